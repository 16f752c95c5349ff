#include "log/segment_cleaner.h"

#include <array>
#include <limits>
#include <utility>

#include "base/status.h"

namespace varve::internal {
namespace {

constexpr int64_t kMaxSegmentBytes = std::numeric_limits<int32_t>::max();

int64_t HorizonOf(const CleaningPass& pass) {
  constexpr int64_t kForEver = std::numeric_limits<int64_t>::max();
  return pass.delete_retention_ms > kForEver - pass.now_ms ? kForEver : pass.now_ms + pass.delete_retention_ms;
}

bool IsLastOfProducer(const RecordBatchView& batch, const ActiveProducers& producers) {
  if (!batch.has_producer_id()) return false;
  const auto producer = producers.find(batch.producer_id());
  if (producer == producers.end()) return false;
  const ActiveProducer& active = producer->second;
  if (active.last_data_offset.has_value()) return batch.last_offset() == *active.last_data_offset;
  return batch.is_control() && batch.producer_epoch() == active.epoch;
}

int64_t TotalBytes(std::span<const SourceSegment> sources) {
  int64_t bytes = 0;
  for (const SourceSegment& source : sources) bytes += source.size_bytes;
  return bytes;
}

}  // namespace

BatchRetention JudgeRetention(const RecordBatchView& batch, bool discardable, const CleaningPass& pass) {
  const std::optional<int64_t> horizon_ms = batch.delete_horizon_ms();
  const bool horizon_has_passed = horizon_ms.has_value() && *horizon_ms <= pass.now_ms;
  return {.drop_records = discardable && (!batch.is_control() || horizon_has_passed),
          .retain_empty = IsLastOfProducer(batch, pass.producers) || batch.next_offset() == pass.round_end_offset,
          .horizon_for_any = discardable && batch.is_control()};
}

bool MayRebuild(int64_t position, int64_t rebuilt_bytes, int64_t source_bytes, int64_t bytes_to_read) {
  return rebuilt_bytes <= source_bytes || position + rebuilt_bytes + bytes_to_read <= kMaxSegmentBytes;
}

SegmentCleaner::SegmentCleaner(std::vector<SourceSegment> sources, CleaningPass* pass)
    : pass_(*pass),
      base_offset_(sources.front().base_offset),
      size_bytes_(TotalBytes(sources)),
      new_horizon_ms_(HorizonOf(*pass)),
      source_(pass->file_system, pass->directory, std::move(sources)),
      files_(pass->file_system, pass->directory, base_offset_, pass->index_interval_bytes, pass->segment_index_bytes) {}

absl::StatusOr<bool> SegmentCleaner::Step() {
  absl::StatusOr<bool> more = CopyNext();
  if (!more.ok()) Discard();
  return more;
}

absl::Status SegmentCleaner::Create() {
  if (size_bytes_ > kMaxSegmentBytes) {
    return Error(absl::StatusCode::kInvalidArgument, "segments of at most 2^31-1 bytes expected, found {}",
                 size_bytes_);
  }
  created_ = true;
  return files_.Create();
}

absl::StatusOr<bool> SegmentCleaner::CopyNext() {
  if (!created_) VARVE_RETURN_IF_ERROR(Create());
  VARVE_ASSIGN_OR_RETURN(const bool found, source_.Next());
  if (!found) return false;
  const absl::StatusOr<std::span<const std::byte>> left = CleanBatch(source_.batch());
  if (!left.ok()) return source_.Locate(left.status());
  if (!left->empty()) VARVE_RETURN_IF_ERROR(files_.Append(*left));
  return true;
}

absl::StatusOr<CleanedSegment> SegmentCleaner::Finish() {
  if (absl::Status finished = files_.Finish(); !finished.ok()) {
    Discard();
    return finished;
  }
  counts_.base_offset = base_offset_;
  counts_.next_offset = files_.next_offset();
  counts_.size_bytes = files_.size_bytes();
  counts_.offset_index_bytes = files_.offset_index_bytes();
  counts_.time_index_bytes = files_.time_index_bytes();
  counts_.transaction_index_bytes = files_.transaction_index_bytes();
  counts_.largest_timestamp = files_.largest_timestamp();
  counts_.bytes_read = source_.bytes_read();
  return counts_;
}

absl::StatusOr<std::span<const std::byte>> SegmentCleaner::CleanBatch(const RecordBatchView& batch) {
  VARVE_ASSIGN_OR_RETURN(const bool discardable, EnterTransaction(batch));
  const BatchRetention retention = JudgeRetention(batch, discardable, pass_);
  counts_.records_read += batch.record_count();
  if (retention.drop_records) {
    (batch.is_control() ? counts_.removed.markers : counts_.removed.aborted) += batch.record_count();
    if (!retention.retain_empty) return std::span<const std::byte>();
    return filter_.Empty(batch);
  }
  delete_horizon_ms_ = batch.delete_horizon_ms();
  const RemovedRecords removed_before = counts_.removed;
  VARVE_ASSIGN_OR_RETURN(const FilteredBatch filtered, filter_.Filter(batch,
                                                                      {.retain_empty = retention.retain_empty,
                                                                       .new_horizon_ms = new_horizon_ms_,
                                                                       .horizon_for_any = retention.horizon_for_any},
                                                                      batch.is_control() ? keep_all_ : keep_));
  if (!MayRebuild(files_.size_bytes(), static_cast<int64_t>(filtered.bytes.size()),
                  static_cast<int64_t>(batch.size_bytes()), size_bytes_ - source_.bytes_read())) {
    counts_.removed = removed_before;
    counts_.records_kept += batch.record_count();
    return batch.bytes();
  }
  counts_.records_kept += filtered.kept_count;
  return filtered.bytes;
}

absl::StatusOr<bool> SegmentCleaner::EnterTransaction(const RecordBatchView& batch) {
  if (!batch.is_control()) return pass_.transactions.OnData(batch);
  VARVE_ASSIGN_OR_RETURN(const CleanedTransactions::Marker marker, pass_.transactions.OnControl(batch));
  if (marker.aborted.has_value()) VARVE_RETURN_IF_ERROR(files_.AppendAborted(*marker.aborted));
  return marker.discardable;
}

void SegmentCleaner::Keep(std::span<const RecordView> records, std::span<bool> keep) {
  std::array<KeyOffsetMap::Hash, kRecordsAsked> keys;
  for (size_t index = 0; index < records.size(); ++index) {
    if (records[index].key().has_value()) keys[index] = pass_.map->Prepare(*records[index].key());
  }
  for (size_t index = 0; index < records.size(); ++index) keep[index] = Stays(records[index], keys[index]);
}

// `key` is that of the record, if it has one.
bool SegmentCleaner::Stays(const RecordView& record, const KeyOffsetMap::Hash& key) {
  if (record.offset() > pass_.map_end_offset) return true;
  if (!record.key().has_value()) {
    ++counts_.removed.unkeyed;
    return false;
  }
  const std::optional<int64_t> latest_offset = pass_.map->Find(key);
  if (latest_offset.has_value() && record.offset() < *latest_offset) {
    ++counts_.removed.superseded;
    return false;
  }
  if (record.is_tombstone() && delete_horizon_ms_.has_value() && *delete_horizon_ms_ <= pass_.now_ms) {
    ++counts_.removed.tombstones;
    return false;
  }
  return true;
}

}  // namespace varve::internal
