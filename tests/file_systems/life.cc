#include "file_systems/life.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "base/status.h"
#include "fmt/format.h"
#include "support/random_choice.h"
#include "varve/log.h"

namespace varve::testing_support {
namespace {

using internal::Annotate;
using internal::Error;

constexpr int kWriters = 3;

class Life {
 public:
  Life(const LifePlan& plan, Journal* journal, Log* log) : plan_(plan), journal_(journal), log_(log) {}

  absl::Status Run() {
    std::vector<std::thread> threads;
    for (uint64_t writer = 0; writer < kWriters; ++writer) {
      threads.emplace_back([this, writer] { Write(writer); });
    }
    std::vector<std::thread> companions;
    if (plan_.compacts) companions.emplace_back([this] { Compact(); });
    if (plan_.reads) {
      companions.emplace_back([this] { ReadBehind(log_); });
      companions.emplace_back([this] { Follow(); });
    }
    for (std::thread& thread : threads) thread.join();
    over_.store(true);
    for (std::thread& thread : companions) thread.join();
    const std::lock_guard lock(status_mutex_);
    return status_;
  }

 private:
  void Write(uint64_t writer) {
    RandomChoice random(plan_.seed * kWriters + writer);
    while (!over_.load() && appends_.fetch_add(1) < plan_.appends) {
      Append(&random);
      if (!plan_.lies && random.OneIn(40)) Change(&random);
    }
  }

  void Append(RandomChoice* random) {
    const std::shared_lock lock(cutting_);
    const auto count = static_cast<int32_t>(1 + random->Below(4));
    const Ack ack = !plan_.lies && random->OneIn(plan_.durable_one_in) ? Ack::kDurable : Ack::kWritten;
    const int64_t number = journal_->BeginAppend(count, plan_.lies ? Ack::kDurable : ack);
    std::vector<JournalRecord> contents;
    for (int32_t index = 0; index < count; ++index) contents.push_back(JournalRecord::Of(number, index));
    std::vector<Record> records;
    for (const JournalRecord& content : contents) records.push_back({.key = content.key, .value = content.value});
    const auto result = log_->Append(records, {.ack = ack});
    if (!result.ok()) return Fail(result.status(), "appending");
    journal_->End(number, result->base_offset);
  }

  // What is rarer than appends. Truncation is alone with the log, so that everybody knows what it took.
  void Change(RandomChoice* random) {
    switch (random->Below(5)) {
      case 0:
        return Fail(log_->Roll(), "rolling");
      case 1:
        return Fail(log_->Flush(), "flushing");
      case 2:
        return plan_.compacts ? Fail(log_->Flush(), "flushing") : Truncate(random);
      case 3:
        return Delete(random);
      default:
        return Retain();
    }
  }

  void Truncate(RandomChoice* random) {
    const std::unique_lock lock(cutting_);
    const LogOffsets offsets = log_->offsets();
    const int64_t records = offsets.log_end_offset - offsets.log_start_offset;
    if (records < 20) return;
    LogReader reader = log_->NewReader();
    const auto batch = reader.ReadBatch(offsets.log_end_offset - 1 - random->Below(records / 4));
    if (!batch.ok()) return Fail(batch.status(), "looking for a batch");
    const int64_t offset = (*batch)->base_offset();
    const int64_t number = journal_->BeginTruncation(offset);
    const absl::Status truncated = log_->TruncateTo(offset);
    if (!truncated.ok()) return Fail(truncated, "truncating");
    journal_->End(number);
  }

  void Delete(RandomChoice* random) {
    const std::shared_lock lock(cutting_);
    const std::lock_guard deleting(deleting_);
    const LogOffsets offsets = log_->offsets();
    const int64_t records = offsets.log_end_offset - offsets.log_start_offset;
    if (records < 20) return;
    const int64_t number = journal_->BeginDeletion(offsets.log_start_offset + random->Below(records / 8));
    const absl::Status deleted = log_->DeleteBefore(journal_->entry(number).offset.load());
    if (!deleted.ok()) return Fail(deleted, "deleting");
    journal_->End(number);
  }

  // Alone too, so that what is planned is what is done.
  void Retain() {
    const std::unique_lock lock(cutting_);
    const RetentionOptions limits{.retention_ms = -1, .retention_bytes = 200'000};
    const auto planned = log_->PlanRetention(limits);
    if (!planned.ok()) return Fail(planned.status(), "planning retention");
    const int64_t number = journal_->BeginDeletion(planned->log_start_offset);
    const auto retained = log_->ApplyRetention(limits);
    if (!retained.ok()) return Fail(retained.status(), "retaining");
    journal_->End(number);
  }

  void Compact() {
    for (int64_t seen = log_->log_end_offset(); !over_.load(); seen = log_->log_end_offset()) {
      if (!WaitBehind(log_, seen + 100)) continue;
      const int64_t number = journal_->BeginCompaction();
      const auto compacted = log_->Compact({.force = true});
      if (!compacted.ok()) return Fail(compacted.status(), "compacting");
      journal_->End(number);
    }
  }

  // False if nothing came for a while.
  static bool WaitBehind(Log* log, int64_t offset) {
    return offset < log->log_end_offset() || log->WaitForData(offset, std::chrono::milliseconds(2)).ok();
  }

  // Every record is one that somebody appends.
  void ReadBehind(Log* log) {
    int64_t offset = 0;
    while (!over_.load()) {
      LogScan scan = log->Scan(offset);
      for (const RecordView& record : scan) {
        const absl::Status known = CheckKnown(record);
        if (!known.ok()) return Fail(known, "reading");
      }
      if (absl::IsOutOfRange(scan.status()) || absl::IsAborted(scan.status())) {
        if (log != log_) Fail(log->Refresh(), "refreshing");
        offset = log->log_start_offset();
        continue;
      }
      if (!scan.status().ok()) return Fail(scan.status(), "reading");
      offset = scan.next_offset();
      (void)WaitBehind(log, offset);
    }
  }

  void Follow() {
    LogOptions options = LifeOptions(plan_);
    options.read_only = true;
    auto log = Log::Open(log_->directory(), options);
    if (!log.ok()) return Fail(log.status(), "opening to follow");
    ReadBehind(log->get());
  }

  absl::Status CheckKnown(const RecordView& record) {
    int64_t number = 0;
    int32_t index = 0;
    const std::string value(record.value().value_or(""));
    if (!ParseValue(value, &number, &index) || !journal_->IsAppended(number, index) ||
        value != JournalRecord::Of(number, index).value) {
      return Error(absl::StatusCode::kDataLoss, "nobody appended the record {} with the value {}", record.offset(),
                   value.substr(0, 40));
    }
    const int64_t base_offset = journal_->entry(number).offset.load();
    if (base_offset == -1 || base_offset + index == record.offset()) return absl::OkStatus();
    return Error(absl::StatusCode::kDataLoss, "record {} was appended at {}", record.offset(), base_offset + index);
  }

  void Fail(const absl::Status& status, const char* doing) {
    if (status.ok()) return;
    const std::lock_guard lock(status_mutex_);
    if (status_.ok()) status_ = Annotate(status, doing);
    over_.store(true);
  }

  const LifePlan& plan_;
  Journal* const journal_;
  Log* const log_;
  std::atomic<int64_t> appends_{0};
  std::atomic<bool> over_{false};
  std::shared_mutex cutting_;
  std::mutex deleting_;
  std::mutex status_mutex_;
  absl::Status status_;
};

}  // namespace

LogOptions LifeOptions(const LifePlan& plan) {
  return {.segment_bytes = 64 * 1024,
          .segment_index_bytes = 4096,
          .index_interval_bytes = 1024,
          .cleanup_policy = plan.compacts ? CleanupPolicy::kCompactAndDelete : CleanupPolicy::kDelete,
          .file_delete_delay_ms = 0,
          .io_mode = plan.seed % 2 == 0 ? IoMode::kAuto : IoMode::kWrite};
}

absl::Status Live(const std::string& directory, const LifePlan& plan, Journal* journal) {
  auto log = Log::Open(directory, LifeOptions(plan));
  if (!log.ok()) return Annotate(log.status(), "opening");
  // Closing it would write what an ending must find unwritten.
  return Life(plan, journal, log->release()).Run();
}

}  // namespace varve::testing_support
