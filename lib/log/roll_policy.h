// When a new segment is due (format notes §3.3; Kafka LogSegment.shouldRoll, RollParams). Pure.
#ifndef VARVE_LIB_LOG_ROLL_POLICY_H_
#define VARVE_LIB_LOG_ROLL_POLICY_H_

#include <cstdint>
#include <limits>
#include <optional>

namespace varve::internal {

// The active segment as it is.
struct RollSegment {
  int64_t base_offset = 0;
  int64_t size_bytes = 0;
  bool indexes_full = false;
  std::optional<int64_t> first_batch_timestamp_ms;  // max timestamp of its first batch
  int64_t opened_wall_ms = 0;
};

// What is about to be appended.
struct RollAppend {
  int64_t size_bytes = 0;
  int64_t last_offset = 0;
  int64_t max_timestamp_ms = -1;
};

struct RollLimits {
  int64_t segment_bytes = 0;
  int64_t segment_ms = 0;  // jitter already taken off
};

inline constexpr int64_t kMaxRelativeOffset = std::numeric_limits<int32_t>::max();

// True if the segment's age says so. The message clock runs from the first batch's timestamp; only a segment whose
// first batch has none asks the wall clock, which costs a clock read: `wall_ms` is called then.
template <typename WallClock>
[[nodiscard]] bool IsAged(const RollSegment& segment, const RollAppend& append, const RollLimits& limits,
                          WallClock&& wall_ms) {
  if (segment.size_bytes == 0) return false;
  if (segment.first_batch_timestamp_ms.has_value() && *segment.first_batch_timestamp_ms >= 0) {
    return append.max_timestamp_ms > *segment.first_batch_timestamp_ms &&
           append.max_timestamp_ms - *segment.first_batch_timestamp_ms > limits.segment_ms;
  }
  return wall_ms() - segment.opened_wall_ms > limits.segment_ms;
}

template <typename WallClock>
[[nodiscard]] bool ShouldRoll(const RollSegment& segment, const RollAppend& append, const RollLimits& limits,
                              WallClock&& wall_ms) {
  return segment.size_bytes > limits.segment_bytes - append.size_bytes || segment.indexes_full ||
         append.last_offset - segment.base_offset > kMaxRelativeOffset || IsAged(segment, append, limits, wall_ms);
}

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_ROLL_POLICY_H_
