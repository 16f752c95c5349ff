#include "model/model_run.h"

#include <algorithm>
#include <utility>

#include "support/status_matchers.h"

namespace varve::testing_support {
namespace {

constexpr char kPartition[] = "orders-0";
constexpr int64_t kIdempotent = 300;
constexpr int64_t kTransactional[] = {100, 200};

ReferenceRecord Copy(const RecordView& record) {
  ReferenceRecord copy{.offset = record.offset(), .timestamp_ms = record.timestamp_ms()};
  if (record.key().has_value()) copy.key = std::string(*record.key());
  if (record.value().has_value()) copy.value = std::string(*record.value());
  return copy;
}

std::vector<ReferenceRecord> Scanned(const Log& log, Isolation isolation) {
  std::vector<ReferenceRecord> records;
  LogScan scan = log.Scan(log.log_start_offset(), {.isolation = isolation});
  for (const RecordView& record : scan) records.push_back(Copy(record));
  EXPECT_THAT(scan.status(), IsOk());
  return records;
}

// Of records and of markers.
std::set<int64_t> OffsetsIn(const Log& log) {
  std::set<int64_t> offsets;
  LogScan scan = log.Scan(log.log_start_offset(), {.control_records = true});
  for (const RecordView& record : scan) offsets.insert(record.offset());
  EXPECT_THAT(scan.status(), IsOk());
  return offsets;
}

}  // namespace

ModelRun::ModelRun(uint64_t seed) : random_(seed) {
  options_.clock = &clock_;
  options_.io_mode = Pick(2) == 0 ? IoMode::kMapped : IoMode::kWrite;
  options_.segment_bytes = 300 + Pick(900);
  options_.index_interval_bytes = Pick(200);
  options_.segment_index_bytes = 1024;
  options_.max_open_segments = 1 + Pick(4);
  options_.cleanup_policy = CleanupPolicy::kCompactAndDelete;
  options_.file_delete_delay_ms = Pick(3) * 1000;
  Open();
}

const std::vector<ModelRun::Choice>& ModelRun::Choices() {
  static const std::vector<Choice> choices = {
      {"append", 30, &ModelRun::AppendRecords},
      {"append of a producer", 16, &ModelRun::AppendOfProducer},
      {"append again", 3, &ModelRun::AppendAgain},
      {"end a transaction", 8, &ModelRun::EndTransaction},
      {"truncate", 4, &ModelRun::Truncate},
      {"start at", 1, &ModelRun::StartAt},
      {"delete before", 4, &ModelRun::DeleteBefore},
      {"retain", 3, &ModelRun::Retain},
      {"compact", 3, &ModelRun::Compact},
      {"compact in steps", 3, &ModelRun::CompactInSteps},
      {"roll", 2, &ModelRun::Roll},
      {"flush", 4, &ModelRun::Flush},
      {"reopen", 3, &ModelRun::Reopen},
      {"kill the process", 2, &ModelRun::KillProcess},
      {"cut the power", 2, &ModelRun::CutPower},
      {"let time pass", 6, &ModelRun::LetTimePass},
  };
  return choices;
}

void ModelRun::Take(int steps) {
  for (int step = 0; step < steps; ++step) {
    const Choice& choice = random_.Weighted(Choices());
    history_ += std::string(choice.name) + " at " + std::to_string(model_.log_end_offset()) + "\n";
    ASSERT_NO_FATAL_FAILURE((this->*choice.step)());
    ASSERT_NO_FATAL_FAILURE(CheckOffsets());
    ASSERT_NO_FATAL_FAILURE(CheckRecords());
    ASSERT_NO_FATAL_FAILURE(CheckLookups());
  }
}

void ModelRun::Open() {
  log_.reset();
  options_.file_system = disk_.get();
  VARVE_ASSERT_OK_AND_ASSIGN(log_, Log::Open(kPartition, options_));
}

ReferenceBatch ModelRun::RandomBatch() {
  ReferenceBatch batch;
  const int64_t count = 1 + Pick(4);
  for (int64_t number = 0; number < count; ++number) {
    ReferenceRecord record{.timestamp_ms = Pick(20) == 0 ? kNoTimestamp : clock_.WallMs() - Pick(3000)};
    record.key = "key " + std::to_string(Pick(9));
    if (Pick(5) != 0) record.value = std::string(static_cast<size_t>(Pick(40)), static_cast<char>('a' + Pick(26)));
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
  AppendOptions options{.ack = Pick(4) == 0 ? Ack::kDurable : Ack::kWritten};
  if (Pick(4) == 0) options.compression = Codec::kLz4;
  return options;
}

void ModelRun::AppendRecords() {
  ReferenceBatch batch = RandomBatch();
  VARVE_ASSERT_OK_AND_ASSIGN(const AppendResult result, log_->Append(RecordsOf(batch), RandomAck()));
  ASSERT_EQ(result.base_offset, model_.log_end_offset());
  model_.Append(std::move(batch));
  ASSERT_EQ(result.end_offset(), model_.log_end_offset());
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
  VARVE_ASSERT_OK_AND_ASSIGN(last_sent_, log_->AppendBatch(last_batch_, RandomAck()));
  ASSERT_EQ(last_sent_->base_offset, model_.log_end_offset());
  batch.producer_id = producer_id;
  batch.producer_epoch = epoch;
  batch.base_sequence = *sequence;
  batch.transactional = transactional;
  model_.Append(std::move(batch));
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
  VARVE_ASSERT_OK(log_->AppendEndTransaction(producer_id, epoch, type, 0, RandomAck()));
  model_.Append({.records = {{.timestamp_ms = clock_.WallMs()}},
                 .producer_id = producer_id,
                 .producer_epoch = epoch,
                 .transactional = true,
                 .control = type});
}

void ModelRun::Truncate() {
  std::vector<int64_t> ends = {model_.log_end_offset()};
  for (const ReferenceBatch& batch : model_.batches()) {
    if (batch.base_offset >= model_.log_start_offset()) ends.push_back(batch.base_offset);
  }
  const int64_t offset = ends[static_cast<size_t>(Pick(std::ssize(ends)))];
  VARVE_ASSERT_OK(log_->TruncateTo(offset));
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
  horizons_.erase(horizons_.lower_bound(offset), horizons_.end());
}

void ModelRun::StartAt() {
  const int64_t offset = model_.log_end_offset() + Pick(100);
  VARVE_ASSERT_OK(log_->TruncateFullyAndStartAt(offset));
  last_sent_.reset();
  horizons_.clear();
  model_.StartAt(offset);
}

void ModelRun::DeleteBefore() {
  const int64_t log_start_offset = model_.log_start_offset();
  const int64_t offset = log_start_offset + Pick(model_.log_end_offset() - log_start_offset + 1);
  VARVE_ASSERT_OK(log_->DeleteBefore(offset));
  last_sent_.reset();
  model_.DeleteBefore(offset);
}

void ModelRun::Retain() {
  const int64_t now_ms = clock_.WallMs();
  RetentionOptions limits{.retention_ms = -1, .retention_bytes = -1};
  if (Pick(2) == 0) limits.retention_ms = Pick(20'000);
  if (Pick(2) == 0) limits.retention_bytes = Pick(4'000);
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult planned, log_->PlanRetention(limits));
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult result, log_->ApplyRetention(limits));
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
  VARVE_ASSERT_OK_AND_ASSIGN(const CompactionResult result, log_->Compact(options));
  if (!WasDue(result.reason)) return;
  ASSERT_NO_FATAL_FAILURE(TakeOut(clock_.WallMs() + *options.delete_retention_ms));
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
    VARVE_ASSERT_OK_AND_ASSIGN(const bool done, pass->Step({.bytes = 1 + Pick(500)}));
    ASSERT_NO_FATAL_FAILURE(TakeOut(horizon_ms));
    if (done) return;
    ASSERT_NO_FATAL_FAILURE((this->*kMeanwhile[Pick(std::ssize(kMeanwhile))])());
    ASSERT_NO_FATAL_FAILURE(CheckRecords());
    if (Pick(20) == 0) return Pick(2) == 0 ? KillProcess() : CutPower();
  }
}

void ModelRun::TakeOut(int64_t horizon_ms) {
  ASSERT_NO_FATAL_FAILURE(CheckRemoved(Scanned(*log_, Isolation::kHighWatermark)));
  const std::set<int64_t> offsets = OffsetsIn(*log_);
  ASSERT_NO_FATAL_FAILURE(CheckRemovedMarkers(offsets));
  model_.Keep(offsets);
  for (const int64_t offset : offsets) {
    int64_t& least_ms = horizons_.try_emplace(offset, horizon_ms).first->second;
    least_ms = std::min(least_ms, horizon_ms);
  }
}

bool ModelRun::IsHorizonPassed(int64_t offset) {
  const auto horizon = horizons_.find(offset);
  return horizon != horizons_.end() && horizon->second <= clock_.WallMs();
}

void ModelRun::CheckRemoved(const std::vector<ReferenceRecord>& left) {
  const std::vector<ReferenceRecord> committed = model_.CommittedRecords(log_->offsets().last_stable_offset);
  auto next = left.begin();
  for (const ReferenceRecord& record : model_.Records()) {
    if (next != left.end() && *next == record) {
      ++next;
      continue;
    }
    const bool superseded = std::any_of(committed.begin(), committed.end(), [&](const ReferenceRecord& other) {
      return other.offset > record.offset && other.key == record.key;
    });
    const bool expired = !record.value.has_value() && IsHorizonPassed(record.offset);
    ASSERT_TRUE(superseded || expired || model_.IsAborted(record.offset)) << record;
  }
  ASSERT_TRUE(next == left.end()) << *next;
}

void ModelRun::CheckRemovedMarkers(const std::set<int64_t>& offsets) {
  for (const ReferenceBatch& batch : model_.batches()) {
    const bool was_there = batch.control.has_value() && !batch.records.empty();
    if (!was_there || batch.base_offset < model_.log_start_offset() || offsets.contains(batch.base_offset)) continue;
    ASSERT_TRUE(IsHorizonPassed(batch.base_offset)) << batch.base_offset;
    for (const int64_t offset : model_.TransactionOf(batch.base_offset)) {
      ASSERT_FALSE(offsets.contains(offset)) << offset << ", whose marker is gone from " << batch.base_offset;
    }
  }
}

void ModelRun::CheckCompacted(int64_t end_offset) {
  std::map<std::string, int64_t> latest;
  for (const ReferenceRecord& record : model_.Records()) {
    if (record.offset >= end_offset) break;
    ASSERT_FALSE(model_.IsAborted(record.offset)) << record;
    const auto [earlier, is_first] = latest.try_emplace(*record.key, record.offset);
    ASSERT_TRUE(is_first) << record << " and " << earlier->second;
  }
}

void ModelRun::Roll() { VARVE_ASSERT_OK(log_->Roll()); }

void ModelRun::Flush() {
  VARVE_ASSERT_OK(log_->Flush());
  ASSERT_EQ(log_->durable_offset(), model_.log_end_offset());
}

void ModelRun::Reopen() {
  VARVE_ASSERT_OK(log_->Close());
  ASSERT_NO_FATAL_FAILURE(Open());
}

void ModelRun::KillProcess() {
  std::unique_ptr<MemoryFileSystem> left = disk_->CloneAfterProcessDeath();
  log_.reset();
  disk_ = std::move(left);
  ASSERT_NO_FATAL_FAILURE(Open());
}

// Below the durable offset everything is there; above it, batches up to any.
void ModelRun::CutPower() {
  const int64_t durable_offset = log_->durable_offset();
  std::unique_ptr<MemoryFileSystem> left = disk_->CloneAfterCrash({.seed = (*random_.engine())()});
  log_.reset();
  disk_ = std::move(left);
  ASSERT_NO_FATAL_FAILURE(Open());
  const int64_t end_offset = log_->log_end_offset();
  ASSERT_GE(end_offset, durable_offset);
  ASSERT_LE(end_offset, model_.log_end_offset());
  if (end_offset == model_.log_end_offset()) return;
  last_sent_.reset();
  TruncateModel(end_offset);
  ASSERT_TRUE(model_.batches().empty() || model_.batches().back().last_offset < end_offset);
}

void ModelRun::LetTimePass() { clock_.AdvanceMs(Pick(2000)); }

void ModelRun::CheckOffsets() {
  const LogOffsets offsets = log_->offsets();
  ASSERT_EQ(offsets.log_start_offset, model_.log_start_offset());
  ASSERT_EQ(offsets.log_end_offset, model_.log_end_offset());
  ASSERT_EQ(offsets.high_watermark, model_.log_end_offset());
  ASSERT_GE(offsets.last_stable_offset, model_.LastStableOffset(ReferenceLog::DeletedTransactions::kRemembered));
  ASSERT_LE(offsets.last_stable_offset, model_.LastStableOffset(ReferenceLog::DeletedTransactions::kForgotten));
  ASSERT_LE(offsets.durable_offset, model_.log_end_offset());
}

void ModelRun::CheckRecords() {
  ASSERT_EQ(Scanned(*log_, Isolation::kHighWatermark), model_.Records());
  ASSERT_EQ(Scanned(*log_, Isolation::kCommitted), model_.CommittedRecords(log_->offsets().last_stable_offset));
}

void ModelRun::CheckLookups() {
  LogReader reader = log_->NewReader();
  const std::vector<ReferenceRecord> records = model_.Records();
  const int64_t log_start_offset = model_.log_start_offset();
  const int64_t log_end_offset = model_.log_end_offset();
  for (int probe = 0; probe < 3; ++probe) {
    const int64_t offset = log_start_offset + Pick(log_end_offset - log_start_offset + 1);
    VARVE_ASSERT_OK_AND_ASSIGN(const auto batch, reader.ReadBatch(offset));
    const auto next = std::find_if(records.begin(), records.end(),
                                   [&](const ReferenceRecord& record) { return record.offset >= offset; });
    if (next != records.end()) {
      ASSERT_TRUE(batch.has_value()) << offset;
    }
    if (batch.has_value()) {
      ASSERT_GE(batch->last_offset(), offset);
      // No record between is passed over.
      ASSERT_TRUE(next == records.end() || batch->base_offset() <= next->offset) << offset;
    }
    const int64_t timestamp_ms = clock_.WallMs() - Pick(10'000);
    VARVE_ASSERT_OK_AND_ASSIGN(const auto by_time, reader.OffsetForTimestamp(timestamp_ms));
    const std::optional<int64_t> expected = model_.OffsetForTimestamp(timestamp_ms);
    ASSERT_EQ(by_time.has_value(), expected.has_value()) << timestamp_ms;
    if (expected.has_value()) {
      ASSERT_EQ(by_time->offset, *expected) << timestamp_ms;
    }
  }
}

}  // namespace varve::testing_support
