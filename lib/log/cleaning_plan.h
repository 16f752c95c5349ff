// What a compaction does, decided from values (format notes §7.1, §7.3; Kafka LogCleanerManager, LogToClean, Cleaner).
// Pure.
//
//   clean            cleanable                            not to be touched
//   |----------------|------------------------------------|--------------------------->
//   log start        first dirty offset                   first uncleanable offset       log end
//
// Below the first dirty offset no two records have the same key; from there on nobody has looked yet.
#ifndef VARVE_LIB_LOG_CLEANING_PLAN_H_
#define VARVE_LIB_LOG_CLEANING_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "varve/compaction.h"

namespace varve::internal {

// A segment as planning sees it.
struct CleaningSegment {
  int64_t base_offset = 0;
  int64_t size_bytes = 0;  // of the .log
  int64_t offset_index_bytes = 0;
  int64_t time_index_bytes = 0;
  int64_t first_batch_timestamp_ms = -1;  // max timestamp of its first batch; -1 unknown, or it has none
  int64_t largest_timestamp_ms = -1;      // -1: unknown, or it has none
};

struct CleaningLimits {
  double min_cleanable_dirty_ratio = 0.5;
  int64_t min_compaction_lag_ms = 0;  // unless 0, a segment with records and without a timestamp is young
  int64_t max_compaction_lag_ms = 0;
  int64_t segment_bytes = 0;
  int64_t segment_index_bytes = 0;
};

// The stored mark where it lies in the log, else the log start.
[[nodiscard]] int64_t FirstDirtyOffset(int64_t stored_offset, int64_t log_start_offset, int64_t log_end_offset);

struct CleanableRange {
  int64_t first_dirty_offset = 0;
  int64_t first_uncleanable_offset =
      0;  // a segment's base, at or above the first dirty one's; nothing above is touched
  int64_t clean_bytes = 0;
  int64_t cleanable_bytes = 0;  // of whole segments: one with clean records in it counts twice
  std::optional<int64_t> earliest_dirty_timestamp_ms =
      std::nullopt;  // of the first batches of dirty segments; absent: none has one

  [[nodiscard]] double dirty_ratio() const;
};

// `segments` ascending; the last is the active one, which is never cleaned.
[[nodiscard]] CleanableRange FindCleanable(std::span<const CleaningSegment> segments, int64_t first_dirty_offset,
                                           int64_t last_stable_offset, const CleaningLimits& limits, int64_t now_ms);

// Whether to clean, and why. `force`: whatever the ratio, and even where nothing is dirty, as there may be tombstones
// whose time has come.
[[nodiscard]] CompactionReason DecideCompaction(const CleanableRange& range, const CleaningLimits& limits, bool force,
                                                int64_t now_ms);

// Segments [begin, end) of a list, which become one.
struct CleaningGroup {
  size_t begin = 0;
  size_t end = 0;

  friend bool operator==(const CleaningGroup&, const CleaningGroup&) = default;
};

// All segments that begin below `end_offset`, which lies at or below the base of the last one, in groups that fit into a
// segment each. Clean ones are among them: what is in the way of a newer value goes there too.
[[nodiscard]] std::vector<CleaningGroup> GroupSegments(std::span<const CleaningSegment> segments, int64_t end_offset,
                                                       const CleaningLimits& limits);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_CLEANING_PLAN_H_
