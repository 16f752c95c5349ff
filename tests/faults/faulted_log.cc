#include "faults/faulted_log.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "support/status_matchers.h"
#include "varve/errors.h"

namespace varve::testing_support {
namespace {

constexpr char kPartition[] = "orders-0";
constexpr int64_t kKeyCount = 5;

ReferenceBatch BatchOf(std::vector<ReferenceRecord> records) { return {.records = std::move(records)}; }

// A later record below `end` has the same key.
bool IsSuperseded(const ReferenceLog& log, const ReferenceRecord& record, int64_t end) {
  const std::vector<ReferenceRecord> records = log.Records();
  return std::ranges::any_of(records, [&](const ReferenceRecord& other) {
    return other.offset > record.offset && other.offset < end && other.key == record.key;
  });
}

}  // namespace

FaultedLog::FaultedLog(FaultInjector* faults, const LogOptions& options) : faults_(faults), options_(options) {}

FaultedLog::FaultedLog(FaultInjector* faults, const FaultedLog& before, bool power_lost)
    : faults_(faults),
      options_(before.options_),
      current_(before.current_),
      others_(before.others_),
      compacting_(before.compacting_),
      power_lost_(power_lost) {
  options_.file_system = faults->file_system();
}

bool FaultedLog::Judge(const char* operation, const absl::Status& status) {
  // What the log says to be durable is acknowledged by that.
  if (log_ != nullptr) current_.durable_offset = std::max(current_.durable_offset, log_->durable_offset());
  if (status.ok()) {
    EXPECT_FALSE(poisoned_) << operation << " was done by a poisoned log";
    return true;
  }
  EXPECT_GT(faults_->fired(), 0u) << operation << ": " << status;
  EXPECT_TRUE(!poisoned_ || IsPoisoned(status)) << operation << " of a poisoned log: " << status;
  poisoned_ = poisoned_ || IsPoisoned(status);
  CheckReaders();
  return false;
}

// Readers go on, whatever has failed; they may meet failures of their own, but no other records.
void FaultedLog::CheckReaders() {
  if (log_ == nullptr) return;
  const uint64_t fired_before = faults_->fired();
  const absl::StatusOr<FoundLog> found = FoundLog::Of(*log_);
  if (!found.ok()) {
    EXPECT_GT(faults_->fired(), fired_before) << found.status();
    return;
  }
  const State& state = current_;
  const PossibleLog whole{.log = &state.log,
                          .durable_offset = state.log.log_end_offset(),
                          .written_offset = state.log.log_end_offset(),
                          .may_be_missing = Possible().front().may_be_missing};
  EXPECT_THAT(Compare(*found, whole, /*power_lost=*/false), IsOk());
  EXPECT_GE(log_->durable_offset(), std::min(state.durable_offset, state.log.log_end_offset()));
}

void FaultedLog::Open() {
  absl::StatusOr<std::unique_ptr<Log>> opened = Log::Open(kPartition, options_);
  if (!opened.ok()) {
    EXPECT_GT(faults_->fired(), 0u) << opened.status();
    return;
  }
  log_ = *std::move(opened);
  poisoned_ = false;
  if (!log_->damage().empty()) {
    // A read that fails is taken for damage, which stays where it is: the next opening finds that there is none.
    EXPECT_GT(faults_->fired(), 0u) << log_->recovery_report().ToJson();
    log_.reset();
    return;
  }
  const uint64_t fired_before = faults_->fired();
  const absl::StatusOr<FoundLog> found = FoundLog::Of(*log_);
  if (!found.ok()) {
    EXPECT_GT(faults_->fired(), fired_before) << found.status();
    log_.reset();
    return;
  }
  const absl::StatusOr<size_t> index = CompareAny(*found, Possible(), power_lost_);
  ASSERT_THAT(index, IsOk()) << log_->recovery_report().ToJson();
  if (*index > 0) current_ = others_[*index - 1];
  others_.clear();
  power_lost_ = false;
  const int64_t end = found->offsets.log_end_offset;
  if (end < current_.log.log_end_offset()) current_.log.TruncateTo(end);
  EXPECT_LE(log_->durable_offset(), end);
  // What was acknowledged before stays so, though the mark that tells of it may lag.
  current_.durable_offset = std::min(std::max(current_.durable_offset, log_->durable_offset()), end);
  current_.written_offset = end;
}

ReferenceRecord FaultedLog::RecordAt(int64_t offset) const {
  return {.offset = offset,
          .timestamp_ms = 1'000'000 + offset,
          .key = fmt::format("key {}", offset * offset % 7 % kKeyCount),
          .value = fmt::format("value {}", offset)};
}

void FaultedLog::MayBe(State after, bool is_seen) {
  cutting_ = cutting_ || (is_seen && after.log.log_end_offset() != current_.log.log_end_offset());
  if (is_seen) std::swap(current_, after);
  others_.push_back(std::move(after));
}

void FaultedLog::Append(Ack ack, int64_t record_count) {
  if (log_ == nullptr) return;
  const int64_t end_before = log_->log_end_offset();
  std::vector<ReferenceRecord> batch;
  std::vector<Record> records;
  for (int64_t number = 0; number < record_count; ++number) batch.push_back(RecordAt(end_before + number));
  for (const ReferenceRecord& record : batch) {
    records.push_back({.key = record.key, .value = record.value, .timestamp_ms = record.timestamp_ms});
  }
  const absl::StatusOr<AppendResult> result = log_->Append(records, {.ack = ack});
  State after = current_;
  after.log.Append(BatchOf(std::move(batch)));
  const int64_t end = log_->log_end_offset();
  ASSERT_TRUE(end == end_before || end == end_before + record_count) << end;
  // What is published is there for readers, whatever is acknowledged.
  if (end > end_before) current_ = std::move(after);
  if (result.ok()) {
    ASSERT_EQ(end, end_before + record_count);
    EXPECT_EQ(result->base_offset, end_before);
    others_.clear();
    current_.written_offset = end;
    if (ack == Ack::kDurable) current_.durable_offset = end;
  } else if (end == end_before && !absl::IsResourceExhausted(result.status()) && !poisoned_) {
    others_.push_back(std::move(after));  // its bytes may be there, and it is the last
  }
  Judge("append", result.status());
}

void FaultedLog::CheckPoisoned() {
  const FaultKind* const kind = faults_->plan().kind;
  if (log_ == nullptr || kind == nullptr || !faults_->failed_path().ends_with(".log")) return;
  const bool is_last =
      kind->operation == FileOperation::kSync || (kind->operation == FileOperation::kWrite && !kind->IsFullDisk());
  if (!is_last) return;
  const absl::Status appended = log_->Append({{.key = "k", .value = "refused"}}).status();
  EXPECT_TRUE(IsPoisoned(appended)) << "after a write or a sync failed: " << appended;
}

void FaultedLog::CheckGoesOn() {
  const FaultKind* const kind = faults_->plan().kind;
  if (log_ == nullptr || kind == nullptr || !kind->IsFullDisk()) return;
  if (kind->operation != FileOperation::kWrite && kind->operation != FileOperation::kAllocate &&
      kind->operation != FileOperation::kPopulate && kind->operation != FileOperation::kCopy) {
    return;
  }
  if (cutting_) return;
  EXPECT_FALSE(poisoned_) << "by a full disk";
  Append(Ack::kDurable);
  EXPECT_EQ(current_.durable_offset, current_.log.log_end_offset());
}

void FaultedLog::WaitDurable() {
  if (log_ == nullptr) return;
  const int64_t end = log_->log_end_offset();
  bool told = false;
  log_->OnDurable(end, [&](const absl::Status& status) {
    told = true;
    if (status.ok()) current_.durable_offset = std::max(current_.durable_offset, end);
  });
  const absl::Status status = log_->WaitDurable(end);
  EXPECT_TRUE(told);
  if (status.ok()) {
    EXPECT_GE(log_->durable_offset(), end);
  } else {
    Judge("wait", status);
  }
}

void FaultedLog::Roll() {
  if (log_ != nullptr) Judge("roll", log_->Roll());
}

void FaultedLog::Flush() {
  if (log_ == nullptr) return;
  if (Judge("flush", log_->Flush())) current_.durable_offset = log_->log_end_offset();
}

void FaultedLog::Read() { CheckReaders(); }

void FaultedLog::TruncateTo(int64_t offset) {
  if (log_ == nullptr || offset > log_->log_end_offset()) return;
  const absl::Status status = log_->TruncateTo(offset);
  State after = current_;
  after.log.TruncateTo(offset);
  after.durable_offset = std::min(after.durable_offset, offset);
  after.written_offset = std::min(after.written_offset, offset);
  const bool is_seen = log_->log_end_offset() == offset;
  if (status.ok()) {
    others_.clear();
    current_ = std::move(after);
  } else {
    MayBe(std::move(after), is_seen);
  }
  Judge("truncate", status);
}

void FaultedLog::TruncateFullyAndStartAt(int64_t offset) {
  if (log_ == nullptr) return;
  const absl::Status status = log_->TruncateFullyAndStartAt(offset);
  State after;
  after.log.StartAt(offset);
  if (status.ok()) {
    others_.clear();
    current_ = std::move(after);
  } else {
    MayBe(std::move(after), log_->log_start_offset() == offset);
  }
  Judge("start anew", status);
}

void FaultedLog::DeleteBefore(int64_t offset) {
  if (log_ == nullptr || offset > log_->log_end_offset()) return;
  const absl::Status status = log_->DeleteBefore(offset);
  State after = current_;
  after.log.DeleteBefore(offset);
  if (status.ok()) {
    others_.clear();
    current_ = std::move(after);
  } else {
    MayBe(std::move(after), log_->log_start_offset() == offset);
  }
  Judge("delete", status);
}

void FaultedLog::Retain() {
  if (log_ == nullptr) return;
  const absl::StatusOr<RetentionResult> plan = log_->PlanRetention();
  if (!plan.ok()) return;
  const absl::StatusOr<RetentionResult> result = log_->ApplyRetention();
  State after = current_;
  after.log.DeleteBefore(result.ok() ? result->log_start_offset : plan->log_start_offset);
  if (result.ok()) {
    others_.clear();
    current_ = std::move(after);
  } else {
    MayBe(std::move(after), log_->log_start_offset() == plan->log_start_offset);
  }
  Judge("retain", result.status());
}

void FaultedLog::Compact() {
  if (log_ == nullptr) return;
  compacting_ = true;
  Judge("compact", log_->Compact({.force = true}).status());
}

void FaultedLog::Close() {
  if (log_ == nullptr) return;
  const absl::Status status = log_->Close();
  if (Judge("close", status)) current_.durable_offset = log_->log_end_offset();
  log_.reset();
}

std::vector<PossibleLog> FaultedLog::Possible() const {
  std::vector<PossibleLog> possible;
  const FaultPlan& plan = faults_->plan();
  // A device of which nothing can be read while a log is opened takes varve.state along, and with it the knowledge that
  // no offset was left out: what was never durable may then be missing in the midst.
  const bool was_unreadable =
      plan.kind != nullptr && plan.kind->operation == FileOperation::kRead && plan.for_ever && log_ == nullptr;
  const auto add = [&](const State& state) {
    PossibleLog one{.log = &state.log,
                    .durable_offset = state.durable_offset,
                    .written_offset = state.written_offset,
                    .may_be_missing = nullptr};
    if (compacting_ || was_unreadable) {
      one.may_be_missing = [&state, was_unreadable, compacting = compacting_](
                               const ReferenceBatch&, const ReferenceRecord& record, int64_t end) {
        if (was_unreadable && record.offset >= state.durable_offset) return true;
        return compacting && IsSuperseded(state.log, record, end);
      };
    }
    possible.push_back(std::move(one));
  };
  add(current_);
  for (const State& other : others_) add(other);
  return possible;
}

// What a power loss tore counts as damage where varve.state could not be read: nobody knows any more what was durable.
void FaultedLog::CheckBeforeDamage(const Log& log, bool power_lost) const {
  const FaultKind* const kind = faults_->plan().kind;
  ASSERT_TRUE(power_lost && kind != nullptr && kind->operation == FileOperation::kRead)
      << log.recovery_report().ToJson();
  const std::vector<ReferenceRecord> records = current_.log.Records();
  auto next = records.begin();
  LogScan scan = log.Scan(log.log_start_offset());
  for (const RecordView& record : scan) {
    while (next != records.end() && next->offset < record.offset() && next->offset >= current_.durable_offset) ++next;
    ASSERT_TRUE(next != records.end() && next->offset == record.offset() && next->value == record.value());
    ++next;
  }
  ASSERT_GE(next - records.begin(), current_.durable_offset);
}

void FaultedLog::CheckFound(MemoryFileSystem* disk, bool power_lost) const {
  power_lost = power_lost || power_lost_;
  LogOptions options = options_;
  options.file_system = disk;
  if (absl::IsNotFound(disk->Info(kPartition).status())) {
    EXPECT_EQ(power_lost ? current_.durable_offset : std::max(current_.durable_offset, current_.written_offset), 0);
    return;
  }
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> log, Log::Open(kPartition, options));
  if (!log->damage().empty()) return CheckBeforeDamage(*log, power_lost);
  VARVE_ASSERT_OK_AND_ASSIGN(const FoundLog found, FoundLog::Of(*log));
  ASSERT_THAT(CompareAny(found, Possible(), power_lost), IsOk()) << log->recovery_report().ToJson();
  // Whatever the cache pretends after a sync that failed: the next success means what it says.
  VARVE_ASSERT_OK(log->Append({{.key = "k", .value = "v"}}, {.ack = Ack::kDurable}));
  const auto after = disk->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  options.file_system = after.get();
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> last, Log::Open(kPartition, options));
  VARVE_ASSERT_OK_AND_ASSIGN(const FoundLog kept, FoundLog::Of(*last));
  ASSERT_EQ(kept.offsets.log_end_offset, found.offsets.log_end_offset + 1);
  ASSERT_EQ(kept.records.size(), found.records.size() + 1);
  ASSERT_TRUE(std::equal(found.records.begin(), found.records.end(), kept.records.begin()));
}

void FaultedLog::CheckWhatIsLeft() {
  MemoryFileSystem* const disk = faults_->disk();
  {
    SCOPED_TRACE("the process died");
    ASSERT_NO_FATAL_FAILURE(CheckFound(disk->CloneAfterProcessDeath().get(), /*power_lost=*/false));
  }
  for (uint64_t seed = 0; seed < 2; ++seed) {
    SCOPED_TRACE(seed == 0 ? "power was lost, and all that was not synced" : "power was lost");
    const CrashMode mode = seed == 0 ? CrashMode::kLoseAllUnsynced : CrashMode::kRandom;
    const auto crashed = disk->CloneAfterCrash({.seed = faults_->plan().nth, .mode = mode});
    ASSERT_NO_FATAL_FAILURE(CheckFound(crashed.get(), /*power_lost=*/true));
  }
  SCOPED_TRACE("without faults again");
  faults_->End();
  CheckPoisoned();
  CheckGoesOn();
  log_.reset();
  ASSERT_NO_FATAL_FAILURE(CheckFound(disk, /*power_lost=*/false));
  EXPECT_EQ(disk->used_bytes(), disk->CloneAfterProcessDeath()->used_bytes()) << "a file was never closed";
}

}  // namespace varve::testing_support
