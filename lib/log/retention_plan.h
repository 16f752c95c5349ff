// What retention takes away (format notes §6; Kafka UnifiedLog.deleteOldSegments). Pure: include/varve/retention.h has
// the rules.
#ifndef VARVE_LIB_LOG_RETENTION_PLAN_H_
#define VARVE_LIB_LOG_RETENTION_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "varve/retention.h"

namespace varve::internal {

// A log as retention sees it.
struct RetentionView {
  struct Segment {
    int64_t base_offset = 0;
    int64_t size_bytes = 0;
  };
  std::vector<Segment> segments = {};  // ascending, at least one; the last is the active one
  int64_t log_start_offset = 0;        // that it is to have, before segments go
  int64_t high_watermark = 0;
  int64_t log_end_offset = 0;
  int64_t now_ms = 0;
};

struct RetentionLimits {
  bool deletes = true;           // by size and time, not only below the log start
  int64_t retention_ms = -1;     // -1: unlimited
  int64_t retention_bytes = -1;  // likewise
  // How far a timestamp may lie from now to be believed.
  int64_t ahead_max_ms = std::numeric_limits<int64_t>::max();
  int64_t behind_max_ms = std::numeric_limits<int64_t>::max();
  size_t max_segments = std::numeric_limits<size_t>::max();  // no more go
};

// The largest timestamp of the segment of that index, which may have to be read; absent where it has none, or where it
// cannot be told: nothing goes on a guess. Asked for no more segments than the answer needs.
using LargestTimestampOf = std::function<std::optional<int64_t>(size_t index)>;

struct RetentionPlan {
  std::vector<RetentionRule> rules = {};  // of the segments that go, from the first on; all of them: roll first
  bool more_due = false;                  // max_segments go, and another would
  std::optional<RetentionBlock> block = std::nullopt;

  friend bool operator==(const RetentionPlan&, const RetentionPlan&) = default;
};

[[nodiscard]] RetentionPlan PlanRetention(const RetentionView& view, const RetentionLimits& limits,
                                          const LargestTimestampOf& largest_timestamp_of);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_RETENTION_PLAN_H_
