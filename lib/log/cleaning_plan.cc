#include "log/cleaning_plan.h"

#include <algorithm>

#include "log/roll_policy.h"

namespace varve::internal {
namespace {

// The segment that `offset` lies in; the first where it lies below.
size_t FloorIndex(std::span<const CleaningSegment> segments, int64_t offset) {
  size_t index = 0;
  while (index + 1 < segments.size() && segments[index + 1].base_offset <= offset) ++index;
  return index;
}

bool IsYoung(const CleaningSegment& segment, const CleaningLimits& limits, int64_t now_ms) {
  if (limits.min_compaction_lag_ms == 0 || segment.size_bytes == 0) return false;
  return segment.largest_timestamp_ms < 0 || segment.largest_timestamp_ms > now_ms - limits.min_compaction_lag_ms;
}

}  // namespace

int64_t FirstDirtyOffset(int64_t stored_offset, int64_t log_start_offset, int64_t log_end_offset) {
  return stored_offset < log_start_offset || stored_offset > log_end_offset ? log_start_offset : stored_offset;
}

double CleanableRange::dirty_ratio() const {
  const int64_t total_bytes = clean_bytes + cleanable_bytes;
  return total_bytes > 0 ? static_cast<double>(cleanable_bytes) / static_cast<double>(total_bytes) : 0;
}

CleanableRange FindCleanable(std::span<const CleaningSegment> segments, int64_t first_dirty_offset,
                             int64_t last_stable_offset, const CleaningLimits& limits, int64_t now_ms) {
  CleanableRange range;
  range.first_dirty_offset = first_dirty_offset;
  const size_t first_dirty = FloorIndex(segments, first_dirty_offset);
  size_t first_uncleanable = std::min(segments.size() - 1, FloorIndex(segments, last_stable_offset));
  for (size_t index = first_dirty; index < first_uncleanable; ++index) {
    if (IsYoung(segments[index], limits, now_ms)) first_uncleanable = index;
  }
  range.first_uncleanable_offset = segments[first_uncleanable].base_offset;
  for (size_t index = 0; index < first_uncleanable; ++index) {
    const CleaningSegment& segment = segments[index];
    if (segment.base_offset < first_dirty_offset) range.clean_bytes += segment.size_bytes;
    if (index < first_dirty) continue;
    range.cleanable_bytes += segment.size_bytes;
    if (segment.first_batch_timestamp_ms <= 0) continue;
    range.earliest_dirty_timestamp_ms = std::min(
        range.earliest_dirty_timestamp_ms.value_or(segment.first_batch_timestamp_ms), segment.first_batch_timestamp_ms);
  }
  return range;
}

CompactionReason DecideCompaction(const CleanableRange& range, const CleaningLimits& limits, bool force,
                                  int64_t now_ms) {
  if (force && range.clean_bytes + range.cleanable_bytes > 0) return CompactionReason::kForced;
  if (range.cleanable_bytes == 0) return CompactionReason::kNothingToClean;
  if (range.dirty_ratio() > limits.min_cleanable_dirty_ratio) return CompactionReason::kDirtyRatio;
  const bool is_late = range.earliest_dirty_timestamp_ms.has_value() &&
                       now_ms - *range.earliest_dirty_timestamp_ms > limits.max_compaction_lag_ms;
  return is_late ? CompactionReason::kMaxLag : CompactionReason::kRatioTooLow;
}

std::vector<CleaningGroup> GroupSegments(std::span<const CleaningSegment> segments, int64_t end_offset,
                                         const CleaningLimits& limits) {
  std::vector<CleaningGroup> groups;
  CleaningSegment sums;
  for (size_t index = 0; index + 1 < segments.size() && segments[index].base_offset < end_offset; ++index) {
    const CleaningSegment& segment = segments[index];
    const int64_t last_possible_offset = segments[index + 1].base_offset - 1;
    // An empty one has no offset to reach: else one would stay every 2^31 offsets.
    const bool fits = !groups.empty() && sums.size_bytes + segment.size_bytes <= limits.segment_bytes &&
                      sums.offset_index_bytes + segment.offset_index_bytes <= limits.segment_index_bytes &&
                      sums.time_index_bytes + segment.time_index_bytes <= limits.segment_index_bytes &&
                      (segment.size_bytes == 0 || last_possible_offset - sums.base_offset <= kMaxRelativeOffset);
    if (fits) {
      sums.size_bytes += segment.size_bytes;
      sums.offset_index_bytes += segment.offset_index_bytes;
      sums.time_index_bytes += segment.time_index_bytes;
      groups.back().end = index + 1;
    } else {
      sums = segment;
      groups.push_back({.begin = index, .end = index + 1});
    }
  }
  return groups;
}

}  // namespace varve::internal
