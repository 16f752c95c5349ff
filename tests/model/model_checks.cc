// What a ModelRun checks after each of its steps.
#include <algorithm>
#include <utility>

#include "model/model_run.h"
#include "support/status_matchers.h"

namespace varve::testing_support {
namespace {

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

bool ModelRun::IsHorizonPassed(int64_t offset) const {
  const auto horizon = horizons_.find(offset);
  return horizon != horizons_.end() && horizon->second <= options_.clock->WallMs();
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
