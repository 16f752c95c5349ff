#include "log/segment_cleaner.h"

#include <limits>
#include <memory>
#include <utility>

#include "base/status.h"
#include "log/cleaned_files.h"
#include "record/batch_filter.h"

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

class GroupCleaner {
 public:
  GroupCleaner(std::span<const SourceSegment> sources, CleaningPass* pass)
      : pass_(*pass),
        new_horizon_ms_(HorizonOf(*pass)),
        files_(pass->file_system, pass->directory, sources.front().base_offset, pass->index_interval_bytes,
               pass->segment_index_bytes) {
    for (const SourceSegment& source : sources) bytes_to_read_ += source.size_bytes;
  }

  [[nodiscard]] absl::Status Clean(std::span<const SourceSegment> sources) {
    if (bytes_to_read_ > kMaxSegmentBytes) {
      return Error(absl::StatusCode::kInvalidArgument, "segments of at most 2^31-1 bytes expected, found {}",
                   bytes_to_read_);
    }
    VARVE_RETURN_IF_ERROR(files_.Create());
    for (const SourceSegment& source : sources) VARVE_RETURN_IF_ERROR(CleanSource(source));
    return files_.Finish();
  }

  void RemoveFiles() { files_.Remove().IgnoreError(); }

  [[nodiscard]] CleanedSegment Result(int64_t base_offset) const {
    CleanedSegment result = counts_;
    result.base_offset = base_offset;
    result.next_offset = files_.next_offset();
    result.size_bytes = files_.size_bytes();
    result.offset_index_bytes = files_.offset_index_bytes();
    result.time_index_bytes = files_.time_index_bytes();
    result.transaction_index_bytes = files_.transaction_index_bytes();
    result.largest_timestamp = files_.largest_timestamp();
    return result;
  }

 private:
  [[nodiscard]] absl::Status CleanSource(const SourceSegment& segment) {
    VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<SourceReader> source,
                           SourceReader::Open(pass_.file_system, pass_.directory, segment, &pass_.on_read));
    while (true) {
      VARVE_ASSIGN_OR_RETURN(const bool found, source->Next());
      if (!found) return absl::OkStatus();
      const auto batch_bytes = static_cast<int64_t>(source->header().size_bytes);
      bytes_to_read_ -= batch_bytes;
      counts_.bytes_read += batch_bytes;
      const absl::StatusOr<std::span<const std::byte>> left = CleanBatch(source->batch());
      if (!left.ok()) return source->Locate(left.status());
      if (!left->empty()) VARVE_RETURN_IF_ERROR(files_.Append(*left));
    }
  }

  // What is to be written of the batch.
  [[nodiscard]] absl::StatusOr<std::span<const std::byte>> CleanBatch(const RecordBatchView& batch) {
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
                    static_cast<int64_t>(batch.size_bytes()), bytes_to_read_)) {
      counts_.removed = removed_before;
      counts_.records_kept += batch.record_count();
      return batch.bytes();
    }
    counts_.records_kept += filtered.kept_count;
    return filtered.bytes;
  }

  // True for data of an aborted transaction, and for a marker of nothing.
  [[nodiscard]] absl::StatusOr<bool> EnterTransaction(const RecordBatchView& batch) {
    if (!batch.is_control()) return pass_.transactions.OnData(batch);
    VARVE_ASSIGN_OR_RETURN(const CleanedTransactions::Marker marker, pass_.transactions.OnControl(batch));
    if (marker.aborted.has_value()) VARVE_RETURN_IF_ERROR(files_.AppendAborted(*marker.aborted));
    return marker.discardable;
  }

  [[nodiscard]] bool Keep(const RecordView& record) {
    if (record.offset() > pass_.map_end_offset) return true;
    if (!record.key().has_value()) {
      ++counts_.removed.unkeyed;
      return false;
    }
    const std::optional<int64_t> latest_offset = pass_.map->Find(*record.key());
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

  CleaningPass& pass_;
  const int64_t new_horizon_ms_;
  CleanedFiles files_;
  BatchFilter filter_;
  std::optional<int64_t> delete_horizon_ms_;  // of the batch at hand
  const KeepRecord keep_ = [this](const RecordView& record) { return Keep(record); };
  const KeepRecord keep_all_ = [](const RecordView&) { return true; };
  int64_t bytes_to_read_ = 0;  // behind the batch at hand
  CleanedSegment counts_;
};

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

absl::StatusOr<CleanedSegment> CleanGroup(std::span<const SourceSegment> sources, CleaningPass* pass) {
  GroupCleaner cleaner(sources, pass);
  const absl::Status cleaned = cleaner.Clean(sources);
  if (!cleaned.ok()) {
    cleaner.RemoveFiles();
    return cleaned;
  }
  return cleaner.Result(sources.front().base_offset);
}

}  // namespace varve::internal
