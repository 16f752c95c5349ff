#include "record/record_rules.h"

#include "base/status.h"
#include "varve/errors.h"

namespace varve::internal {
namespace {

// Whether now - before <= timestamp <= now + after, without running over at either end.
bool IsWithin(int64_t timestamp_ms, const RecordRules& rules) {
  int64_t earliest_ms = 0;
  if (__builtin_sub_overflow(rules.now_ms, rules.before_max_ms, &earliest_ms)) {
    earliest_ms = std::numeric_limits<int64_t>::min();
  }
  int64_t latest_ms = 0;
  if (__builtin_add_overflow(rules.now_ms, rules.after_max_ms, &latest_ms)) {
    latest_ms = std::numeric_limits<int64_t>::max();
  }
  return earliest_ms <= timestamp_ms && timestamp_ms <= latest_ms;
}

}  // namespace

absl::Status CheckRecordRules(bool has_key, int64_t timestamp_ms, int64_t number, const RecordRules& rules) {
  if (rules.compacted && !has_key) {
    return WithKafkaError(
        Error(absl::StatusCode::kInvalidArgument, "record {}: a key expected in a compacted log, found none", number),
        KafkaError::kInvalidRecord);
  }
  if (!rules.BoundTimestamps() || timestamp_ms == kNoTimestamp || IsWithin(timestamp_ms, rules)) {
    return absl::OkStatus();
  }
  return WithKafkaError(Error(absl::StatusCode::kInvalidArgument,
                              "record {}: a timestamp at most {} ms before and {} ms after {} expected, found {}",
                              number, rules.before_max_ms, rules.after_max_ms, rules.now_ms, timestamp_ms),
                        KafkaError::kInvalidTimestamp);
}

}  // namespace varve::internal
