#include "model/model_run.h"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "support/status_matchers.h"

namespace varve::testing_support {
namespace {

constexpr int64_t kIdempotent = 300;
constexpr int64_t kTransactional[] = {100, 200};

}  // namespace

ModelRun::ModelRun(uint64_t seed, const ModelShape& shape, CrashSimulator* machine)
    : random_(seed), shape_(shape), machine_(machine) {
  options_.clock = &clock_;
  options_.io_mode = Pick(2) == 0 ? IoMode::kMapped : IoMode::kWrite;
  options_.segment_bytes = 300 + Pick(900);
  options_.index_interval_bytes = Pick(200);
  options_.segment_index_bytes = 1024;
  options_.max_open_segments = 1 + Pick(4);
  options_.cleanup_policy = CleanupPolicy::kCompactAndDelete;
  options_.file_delete_delay_ms = Pick(3) * 1000;
  if (shape_.adjust != nullptr) shape_.adjust(&options_);
}

ModelRun::NamedStep ModelRun::StepOf(ModelStep step) {
  switch (step) {
    case ModelStep::kAppend:
      return {"append", &ModelRun::AppendRecords};
    case ModelStep::kAppendOfProducer:
      return {"append of a producer", &ModelRun::AppendOfProducer};
    case ModelStep::kAppendAgain:
      return {"append again", &ModelRun::AppendAgain};
    case ModelStep::kEndTransaction:
      return {"end a transaction", &ModelRun::EndTransaction};
    case ModelStep::kAppendAsFollower:
      return {"append as a follower", &ModelRun::AppendAsFollower};
    case ModelStep::kAssignEpoch:
      return {"assign an epoch", &ModelRun::AssignEpoch};
    case ModelStep::kAppendAndWait:
      return {"append and wait", &ModelRun::AppendAndWait};
    case ModelStep::kAppendWithCallback:
      return {"append with a callback", &ModelRun::AppendWithCallback};
    case ModelStep::kAppendWhileSyncing:
      return {"append while syncing", &ModelRun::AppendWhileSyncing};
    case ModelStep::kTruncate:
      return {"truncate", &ModelRun::Truncate};
    case ModelStep::kStartAt:
      return {"start at", &ModelRun::StartAt};
    case ModelStep::kDeleteBefore:
      return {"delete before", &ModelRun::DeleteBefore};
    case ModelStep::kRetain:
      return {"retain", &ModelRun::Retain};
    case ModelStep::kCompact:
      return {"compact", &ModelRun::Compact};
    case ModelStep::kCompactInSteps:
      return {"compact in steps", &ModelRun::CompactInSteps};
    case ModelStep::kRoll:
      return {"roll", &ModelRun::Roll};
    case ModelStep::kFlush:
      return {"flush", &ModelRun::Flush};
    case ModelStep::kReopen:
      return {"reopen", &ModelRun::Reopen};
    case ModelStep::kKillProcess:
      return {"kill the process", &ModelRun::KillProcess};
    case ModelStep::kCutPower:
      return {"cut the power", &ModelRun::CutPower};
    case ModelStep::kLetTimePass:
      break;
  }
  return {"let time pass", &ModelRun::LetTimePass};
}

void ModelRun::Take(int steps) {
  if (log_ == nullptr) {
    ASSERT_NO_FATAL_FAILURE(Open());
  }
  for (int number = 0; number < steps; ++number) {
    const NamedStep chosen = StepOf(random_.Weighted(shape_.steps).step);
    history_ += std::string(chosen.name) + " at " + std::to_string(model_.log_end_offset()) + "\n";
    ASSERT_NO_FATAL_FAILURE((this->*chosen.step)());
    ASSERT_NO_FATAL_FAILURE(CheckOffsets());
    ASSERT_NO_FATAL_FAILURE(CheckRecords());
    ASSERT_NO_FATAL_FAILURE(CheckLookups());
    machine_->CrashHere(std::string("after ") + chosen.name);
  }
}

// --- What a crash may leave ---

int64_t ModelRun::DurableOffset() const {
  return log_ == nullptr ? durable_offset_ : std::max(durable_offset_, log_->durable_offset());
}

std::vector<PossibleLog> ModelRun::Possible() const {
  const int64_t durable_offset = DurableOffset();
  std::vector<PossibleLog> possible = {
      {.log = &model_, .durable_offset = durable_offset, .written_offset = written_offset_, .may_be_missing = nullptr}};
  if (compacting_) {
    possible[0].may_be_missing = [this](const ReferenceBatch& batch, const ReferenceRecord& record,
                                        int64_t end_offset) { return MayBeMissing(batch, record, end_offset); };
  }
  if (under_way_.has_value()) {
    const auto left = [&](int64_t offset) {
      return std::max(std::min(offset, under_way_->most_durable_offset), under_way_->least_end_offset);
    };
    possible.push_back({.log = &under_way_->after,
                        .durable_offset = left(durable_offset),
                        .written_offset = left(written_offset_),
                        .may_be_missing = nullptr});
  }
  return possible;
}

bool ModelRun::MayBeMissing(const ReferenceBatch& batch, const ReferenceRecord& record, int64_t end_offset) const {
  if (batch.control.has_value()) return IsHorizonPassed(record.offset);
  if (!record.value.has_value() && IsHorizonPassed(record.offset)) return true;
  if (model_.IsAborted(record.offset)) return true;
  for (const ReferenceRecord& other : model_.CommittedRecords(end_offset)) {
    if (other.offset > record.offset && other.key == record.key) return true;
  }
  return false;
}

void ModelRun::Begin(ReferenceLog after, int64_t least_end_offset, int64_t most_durable_offset) {
  under_way_ = UnderWay{
      .after = std::move(after), .least_end_offset = least_end_offset, .most_durable_offset = most_durable_offset};
}

void ModelRun::BeginAppendAt(int64_t base_offset, ReferenceBatch batch) {
  ReferenceLog after = model_;
  after.AppendAt(base_offset, std::move(batch));
  Begin(std::move(after), 0, std::numeric_limits<int64_t>::max());
}

void ModelRun::EndAppend(Ack ack) {
  model_ = std::move(under_way_->after);
  End();
  ASSERT_EQ(log_->log_end_offset(), model_.log_end_offset());
  if (ack == Ack::kNone) return;
  written_offset_ = model_.log_end_offset();
  if (ack != Ack::kDurable) return;
  ASSERT_EQ(log_->durable_offset(), model_.log_end_offset());
  durable_offset_ = model_.log_end_offset();
}

void ModelRun::Open() {
  log_.reset();
  file_systems_.push_back(std::make_unique<FaultyFileSystem>(machine_->file_system()));
  file_systems_.back()->SetObserver([this](const FileCall& call) {
    if (call.operation != FileOperation::kSync || while_syncing_ == nullptr) return;
    std::exchange(while_syncing_, nullptr)();
  });
  options_.file_system = file_systems_.back().get();
  VARVE_ASSERT_OK_AND_ASSIGN(log_, Log::Open(kPartition, options_));
}

ReferenceBatch ModelRun::RandomBatch() {
  const BatchShape& shape = shape_.batches;
  ReferenceBatch batch;
  const int64_t count = 1 + Pick(shape.max_records);
  for (int64_t number = 0; number < count; ++number) {
    ReferenceRecord record{.timestamp_ms = Pick(20) == 0 ? kNoTimestamp : clock_.WallMs() - Pick(3000)};
    record.key = "key " + std::to_string(Pick(shape.key_count));
    if (Pick(5) != 0) {
      const int64_t bytes = shape.min_value_bytes + Pick(shape.max_value_bytes - shape.min_value_bytes);
      record.value = std::string(static_cast<size_t>(bytes), static_cast<char>('a' + Pick(26)));
    }
    batch.records.push_back(std::move(record));
  }
  return batch;
}

std::vector<Record> ModelRun::RecordsOf(const ReferenceBatch& batch) const {
  std::vector<Record> records;
  for (const ReferenceRecord& record : batch.records) {
    records.push_back({.key = record.key, .value = record.value, .timestamp_ms = record.timestamp_ms});
  }
  return records;
}

AppendOptions ModelRun::RandomAck() {
  const BatchShape& shape = shape_.batches;
  AppendOptions options;
  if (shape.durable_one_in > 0 && Pick(shape.durable_one_in) == 0) {
    options.ack = Ack::kDurable;
  } else if (shape.unacknowledged_one_in > 0 && Pick(shape.unacknowledged_one_in) == 0) {
    options.ack = Ack::kNone;
  }
  if (shape.compressed_one_in > 0 && Pick(shape.compressed_one_in) == 0) options.compression = random_.Of(shape.codecs);
  return options;
}

void ModelRun::AppendRecords() { ASSERT_NO_FATAL_FAILURE(AppendAs(RandomAck())); }

void ModelRun::AppendAs(const AppendOptions& options) {
  const ReferenceBatch batch = RandomBatch();
  BeginAppend(batch);
  VARVE_ASSERT_OK_AND_ASSIGN(const AppendResult result, log_->Append(RecordsOf(batch), options));
  ASSERT_EQ(result.base_offset, model_.log_end_offset());
  ASSERT_NO_FATAL_FAILURE(EndAppend(options.ack));
  ASSERT_EQ(result.end_offset(), model_.log_end_offset());
}

void ModelRun::AppendAndWait() {
  ASSERT_NO_FATAL_FAILURE(AppendAs({.ack = Ack::kWritten}));
  const int64_t offset = Pick(4) == 0 ? model_.log_end_offset() - 1 : model_.log_end_offset();
  VARVE_ASSERT_OK(log_->WaitDurable(offset));
  durable_offset_ = std::max(durable_offset_, offset);
}

void ModelRun::AppendWithCallback() {
  ASSERT_NO_FATAL_FAILURE(AppendAs({.ack = Ack::kWritten}));
  log_->OnDurable(model_.log_end_offset(), [this, life = life_, offset = model_.log_end_offset()](const auto& status) {
    // One that is told by the closing of a log whose machine has crashed is told too late.
    if (status.ok() && life == life_) durable_offset_ = std::max(durable_offset_, offset);
  });
}

// As another thread would, in the midst of a sync that this one waits for.
void ModelRun::AppendWhileSyncing() {
  ASSERT_NO_FATAL_FAILURE(AppendAs({.ack = Ack::kWritten}));
  const int64_t offset = model_.log_end_offset();
  while_syncing_ = [this] {
    AppendWithCallback();
    if (Pick(2) == 0) AppendAs({.ack = Ack::kWritten});
  };
  VARVE_ASSERT_OK(log_->WaitDurable(offset));
  while_syncing_ = nullptr;
  durable_offset_ = std::max(durable_offset_, offset);
}

void ModelRun::AppendAsFollower() {
  ReferenceBatch batch = RandomBatch();
  const int64_t base_offset = model_.log_end_offset() + (Pick(4) == 0 ? Pick(20) : 0);
  if (Pick(4) == 0) leader_epoch_ += 1 + static_cast<int32_t>(Pick(3));
  batch.leader_epoch = leader_epoch_;
  const AppendOptions options = RandomAck();
  RecordBatchBuilder builder({.codec = options.compression, .base_offset = base_offset, .leader_epoch = leader_epoch_});
  for (const Record& record : RecordsOf(batch)) VARVE_ASSERT_OK(builder.Add(record));
  VARVE_ASSERT_OK_AND_ASSIGN(const std::span<const std::byte> bytes, builder.Build());
  BeginAppendAt(base_offset, std::move(batch));
  VARVE_ASSERT_OK(log_->AppendAsFollower(bytes, leader_epoch_, {.ack = options.ack}));
  ASSERT_NO_FATAL_FAILURE(EndAppend(options.ack));
}

void ModelRun::AssignEpoch() {
  leader_epoch_ += 1 + static_cast<int32_t>(Pick(3));
  VARVE_ASSERT_OK(log_->AssignLeaderEpoch(leader_epoch_));
}

void ModelRun::AppendOfProducer() {
  ReferenceBatch batch = RandomBatch();
  // A producer whose last batch has no timestamp counts as idle for ever: an opening forgets it.
  for (ReferenceRecord& record : batch.records)
    record.timestamp_ms = std::max(record.timestamp_ms, clock_.WallMs() - 10);
  const bool transactional = Pick(2) == 0;
  const int64_t producer_id = transactional ? kTransactional[Pick(2)] : kIdempotent;
  int16_t& epoch = epochs_[producer_id];
  std::optional<int32_t> sequence = model_.NextSequence(producer_id, epoch);
  if (!sequence.has_value()) {
    // The log may still know it from a time that was truncated away, or not any more: a new epoch is right either way.
    ++epoch;
    sequence = 0;
  }
  RecordBatchBuilder builder({.producer_id = producer_id,
                              .producer_epoch = epoch,
                              .base_sequence = *sequence,
                              .transactional = transactional});
  for (const Record& record : RecordsOf(batch)) VARVE_ASSERT_OK(builder.Add(record));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto bytes, builder.Build());
  last_batch_.assign(bytes.begin(), bytes.end());
  batch.producer_id = producer_id;
  batch.producer_epoch = epoch;
  batch.base_sequence = *sequence;
  batch.transactional = transactional;
  BeginAppend(std::move(batch));
  const AppendOptions options = RandomAck();
  VARVE_ASSERT_OK_AND_ASSIGN(last_sent_, log_->AppendBatch(last_batch_, options));
  ASSERT_EQ(last_sent_->base_offset, model_.log_end_offset());
  ASSERT_NO_FATAL_FAILURE(EndAppend(options.ack));
}

// What a producer sends that did not hear the answer: nothing is appended, and the answer is the one it missed.
void ModelRun::AppendAgain() {
  if (!last_sent_.has_value()) return;
  VARVE_ASSERT_OK_AND_ASSIGN(const AppendResult again, log_->AppendBatch(last_batch_));
  ASSERT_EQ(again.base_offset, last_sent_->base_offset);
  ASSERT_EQ(again.last_offset, last_sent_->last_offset);
}

void ModelRun::EndTransaction() {
  const int64_t producer_id = kTransactional[Pick(2)];
  if (!model_.IsOpen(producer_id)) return;
  const ControlType type = Pick(2) == 0 ? ControlType::kCommit : ControlType::kAbort;
  const int16_t epoch = epochs_[producer_id];
  BeginAppend({.records = {{.timestamp_ms = clock_.WallMs()}},
               .producer_id = producer_id,
               .producer_epoch = epoch,
               .transactional = true,
               .control = type});
  const AppendOptions options{.ack = RandomAck().ack};
  VARVE_ASSERT_OK(log_->AppendEndTransaction(producer_id, epoch, type, 0, options));
  ASSERT_NO_FATAL_FAILURE(EndAppend(options.ack));
}

void ModelRun::Truncate() {
  std::vector<int64_t> ends = {model_.log_end_offset()};
  for (const ReferenceBatch& batch : model_.batches()) {
    if (batch.base_offset >= model_.log_start_offset()) ends.push_back(batch.base_offset);
  }
  const int64_t offset = ends[static_cast<size_t>(Pick(std::ssize(ends)))];
  ReferenceLog after = model_;
  after.TruncateTo(offset);
  const int64_t last_record_end = after.LastRecordEnd();
  Begin(std::move(after), 0, last_record_end);
  VARVE_ASSERT_OK(log_->TruncateTo(offset));
  End();
  if (offset < model_.log_end_offset()) last_sent_.reset();
  // Lower where compaction left a gap before it.
  const int64_t end_offset = log_->log_end_offset();
  ASSERT_LE(end_offset, offset);
  for (const ReferenceRecord& record : model_.Records()) {
    ASSERT_TRUE(record.offset < end_offset || record.offset >= offset) << record;
  }
  TruncateModel(end_offset);
}

void ModelRun::TruncateModel(int64_t offset) {
  model_.TruncateTo(offset);
  durable_offset_ = std::min(durable_offset_, offset);
  written_offset_ = std::min(written_offset_, offset);
  horizons_.erase(horizons_.lower_bound(offset), horizons_.end());
}

void ModelRun::StartAt() {
  const int64_t offset = model_.log_end_offset() + Pick(100);
  ReferenceLog after = model_;
  after.StartAt(offset);
  Begin(std::move(after), offset, offset);
  VARVE_ASSERT_OK(log_->TruncateFullyAndStartAt(offset));
  End();
  last_sent_.reset();
  horizons_.clear();
  model_.StartAt(offset);
  durable_offset_ = written_offset_ = offset;
}

void ModelRun::DeleteBefore() {
  const int64_t log_start_offset = model_.log_start_offset();
  const int64_t offset = log_start_offset + Pick(model_.log_end_offset() - log_start_offset + 1);
  BeginDeletion(offset);
  VARVE_ASSERT_OK(log_->DeleteBefore(offset));
  End();
  last_sent_.reset();
  model_.DeleteBefore(offset);
}

void ModelRun::BeginDeletion(int64_t log_start_offset) {
  ReferenceLog after = model_;
  after.DeleteBefore(log_start_offset);
  Begin(std::move(after), 0, std::numeric_limits<int64_t>::max());
}

void ModelRun::Retain() {
  const int64_t now_ms = clock_.WallMs();
  RetentionOptions limits{.retention_ms = -1, .retention_bytes = -1};
  if (Pick(2) == 0) limits.retention_ms = Pick(20'000);
  if (Pick(2) == 0) limits.retention_bytes = Pick(4'000);
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult planned, log_->PlanRetention(limits));
  BeginDeletion(planned.log_start_offset);
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult result, log_->ApplyRetention(limits));
  End();
  ASSERT_EQ(result.deleted, planned.deleted);
  for (const RetiredSegment& segment : result.deleted) {
    if (segment.rule != RetentionRule::kTime) continue;
    for (const ReferenceRecord& record : model_.Records()) {
      const bool within = record.offset >= segment.base_offset && record.offset < segment.next_offset;
      ASSERT_TRUE(!within || now_ms - record.timestamp_ms > *limits.retention_ms) << record;
    }
  }
  if (result.DeletedSegments(RetentionRule::kSize) > 0) {
    ASSERT_GE(result.size_bytes + result.DeletedBytes(RetentionRule::kTime), *limits.retention_bytes);
  }
  if (!result.deleted.empty()) {
    ASSERT_EQ(result.log_start_offset, result.deleted.back().next_offset);
    last_sent_.reset();
  }
  model_.DeleteBefore(result.log_start_offset);
}

CompactionOptions ModelRun::RandomPass() {
  CompactionOptions options{.force = Pick(2) == 0, .delete_retention_ms = Pick(4000)};
  if (Pick(4) == 0) options.key_map_bytes = 24 * (2 + Pick(10));
  if (Pick(4) == 0) options.min_compaction_lag_ms = Pick(3000);
  return options;
}

void ModelRun::Compact() {
  const CompactionOptions options = RandomPass();
  compacting_ = true;
  VARVE_ASSERT_OK_AND_ASSIGN(const CompactionResult result, log_->Compact(options));
  const bool due = WasDue(result.reason);
  // What it took out is known once the log has been read, which may crash as well.
  if (due) {
    ASSERT_NO_FATAL_FAILURE(TakeOut(clock_.WallMs() + *options.delete_retention_ms));
  }
  compacting_ = false;
  if (!due) return;
  // A truncation may have brought the mark into the active segment, which a pass leaves alone.
  CheckCompacted(std::min(result.end_offset, result.first_uncleanable_offset));
}

// Between two steps of a pass anything may happen, and one in some is given up or dies with its process.
void ModelRun::CompactInSteps() {
  const CompactionOptions options = RandomPass();
  const int64_t horizon_ms = clock_.WallMs() + *options.delete_retention_ms;
  VARVE_ASSERT_OK_AND_ASSIGN(const auto pass, log_->BeginCompaction(options));
  constexpr Step kMeanwhile[] = {
      &ModelRun::AppendRecords, &ModelRun::AppendOfProducer, &ModelRun::EndTransaction, &ModelRun::AppendRecords,
      &ModelRun::Truncate,      &ModelRun::DeleteBefore,     &ModelRun::Retain,         &ModelRun::Roll,
      &ModelRun::LetTimePass};
  while (Pick(20) != 0) {
    compacting_ = true;
    VARVE_ASSERT_OK_AND_ASSIGN(const bool done, pass->Step({.bytes = 1 + Pick(500)}));
    ASSERT_NO_FATAL_FAILURE(TakeOut(horizon_ms));
    compacting_ = false;
    if (done) return;
    ASSERT_NO_FATAL_FAILURE((this->*kMeanwhile[Pick(std::ssize(kMeanwhile))])());
    ASSERT_NO_FATAL_FAILURE(CheckRecords());
    if (Pick(20) == 0) return Pick(2) == 0 ? KillProcess() : CutPower();
  }
}

void ModelRun::Roll() { VARVE_ASSERT_OK(log_->Roll()); }

void ModelRun::Flush() {
  VARVE_ASSERT_OK(log_->Flush());
  ASSERT_EQ(log_->durable_offset(), model_.log_end_offset());
  durable_offset_ = written_offset_ = model_.log_end_offset();
}

void ModelRun::Reopen() {
  VARVE_ASSERT_OK(log_->Close());
  durable_offset_ = written_offset_ = model_.log_end_offset();
  ASSERT_NO_FATAL_FAILURE(Open());
}

void ModelRun::KillProcess() { ASSERT_NO_FATAL_FAILURE(Restart(/*power_lost=*/false)); }

void ModelRun::CutPower() { ASSERT_NO_FATAL_FAILURE(Restart(/*power_lost=*/true)); }

void ModelRun::Restart(bool power_lost) {
  durable_offset_ = DurableOffset();
  if (power_lost) {
    written_offset_ = durable_offset_;
    machine_->CutPower();
  } else {
    machine_->KillProcess();
  }
  ++life_;
  ASSERT_NO_FATAL_FAILURE(Open());
  VARVE_ASSERT_OK_AND_ASSIGN(const FoundLog found, FoundLog::Of(*log_));
  VARVE_ASSERT_OK(Compare(found, Possible().front(), power_lost));
  const int64_t end_offset = found.offsets.log_end_offset;
  if (end_offset < model_.log_end_offset()) {
    last_sent_.reset();
    TruncateModel(end_offset);
  }
  written_offset_ = end_offset;
}

void ModelRun::LetTimePass() { clock_.AdvanceMs(Pick(2000)); }

}  // namespace varve::testing_support
