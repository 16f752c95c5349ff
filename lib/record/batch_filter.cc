#include "record/batch_filter.h"

#include <optional>

#include "base/status.h"
#include "base/wrapping.h"

namespace varve::internal {
namespace {

// What a batch keeps however many of its records go.
RecordBatchBuilderOptions OptionsOf(const RecordBatchView& batch, std::optional<int64_t> delete_horizon_ms) {
  RecordBatchBuilderOptions options{.codec = batch.codec(),
                                    .base_offset = batch.base_offset(),
                                    .leader_epoch = batch.leader_epoch(),
                                    .producer_id = batch.producer_id(),
                                    .producer_epoch = batch.producer_epoch(),
                                    .base_sequence = batch.base_sequence(),
                                    .transactional = batch.is_transactional(),
                                    .control = batch.is_control(),
                                    .last_offset = batch.last_offset(),
                                    .delete_horizon_ms = delete_horizon_ms,
                                    .empty_max_timestamp_ms = batch.max_timestamp_ms()};
  if (batch.timestamp_type() == TimestampType::kLogAppendTime) options.log_append_time_ms = batch.max_timestamp_ms();
  return options;
}

}  // namespace

absl::StatusOr<FilteredBatch> BatchFilter::Filter(const RecordBatchView& batch, const FilterRules& rules,
                                                  const KeepRecords& keep) {
  VARVE_ASSIGN_OR_RETURN(const Decision decision, Decide(batch, keep));
  FilteredBatch filtered{.bytes = {}, .kept_count = decision.kept_count};
  if (decision.kept_count == 0) {
    if (rules.retain_empty) {
      VARVE_ASSIGN_OR_RETURN(filtered.bytes, Empty(batch));
    }
    return filtered;
  }
  std::optional<int64_t> horizon_ms = batch.delete_horizon_ms();
  const bool sets_horizon = !horizon_ms.has_value() && (decision.kept_tombstone || rules.horizon_for_any);
  if (decision.kept_count == batch.record_count() && !sets_horizon) {
    filtered.bytes = batch.bytes();
    return filtered;
  }
  if (sets_horizon) horizon_ms = rules.new_horizon_ms;
  builder_.Reset(OptionsOf(batch, horizon_ms));
  VARVE_RETURN_IF_ERROR(AddKept(batch));
  VARVE_ASSIGN_OR_RETURN(filtered.bytes, builder_.Build());
  return filtered;
}

absl::StatusOr<std::span<const std::byte>> BatchFilter::Empty(const RecordBatchView& batch) {
  builder_.Reset(OptionsOf(batch, std::nullopt));
  return builder_.Build();
}

absl::StatusOr<BatchFilter::Decision> BatchFilter::Decide(const RecordBatchView& batch, const KeepRecords& keep) {
  Decision decision;
  kept_.clear();
  RecordCursor cursor(batch, &decoded_);
  size_t count = 0;
  while (cursor.Next(&asked_[count])) {
    if (++count < asked_.size()) continue;
    Ask(asked_, keep, &decision);
    count = 0;
  }
  VARVE_RETURN_IF_ERROR(cursor.status());
  Ask({asked_.data(), count}, keep, &decision);
  return decision;
}

void BatchFilter::Ask(std::span<const RecordView> records, const KeepRecords& keep, Decision* decision) {
  std::array<bool, kRecordsAsked> kept = {};
  keep(records, {kept.data(), records.size()});
  for (size_t index = 0; index < records.size(); ++index) {
    kept_.push_back(kept[index]);
    if (!kept[index]) continue;
    ++decision->kept_count;
    decision->kept_tombstone |= records[index].is_tombstone();
  }
}

absl::Status BatchFilter::AddKept(const RecordBatchView& batch) {
  const bool is_compressed = batch.codec() != Codec::kNone;
  RecordCursor cursor(batch, is_compressed ? decoded_.bytes() : batch.payload());
  int64_t offset_before = SubtractWrapping(batch.base_offset(), 1);
  RecordView record;
  for (size_t number = 0; number < kept_.size(); ++number) {
    if (!(kept_[number] ? cursor.Next(&record) : cursor.Skip())) break;
    if (!kept_[number]) continue;
    if (record.offset() <= offset_before || record.offset() > batch.last_offset()) {
      return Error(absl::StatusCode::kDataLoss,
                   "batch with base offset {}, record {}: an offset above {} and up to {} expected, found {}",
                   batch.base_offset(), number, offset_before, batch.last_offset(), record.offset());
    }
    offset_before = record.offset();
    VARVE_RETURN_IF_ERROR(builder_.AddAt(record.offset(), record));
  }
  return cursor.status();
}

}  // namespace varve::internal
