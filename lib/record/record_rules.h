// What a topic's settings ask of every record that a client sends, alone or in a ready-made batch (Kafka LogValidator,
// format notes §2.5, step 7).
//
// Thread rules: plain values and free functions.
#ifndef VARVE_LIB_RECORD_RECORD_RULES_H_
#define VARVE_LIB_RECORD_RECORD_RULES_H_

#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "varve/record_batch.h"

namespace varve::internal {

struct RecordRules {
  bool compacted = false;  // a key is needed
  TimestampType timestamp_type = TimestampType::kCreateTime;
  // How far a record's own timestamp may be before or after now.
  int64_t now_ms = 0;
  int64_t before_max_ms = std::numeric_limits<int64_t>::max();
  int64_t after_max_ms = std::numeric_limits<int64_t>::max();

  [[nodiscard]] bool BoundTimestamps() const {
    return timestamp_type == TimestampType::kCreateTime && (before_max_ms != std::numeric_limits<int64_t>::max() ||
                                                            after_max_ms != std::numeric_limits<int64_t>::max());
  }
  // False where every record is as good as any other.
  [[nodiscard]] bool AskAnything() const { return compacted || BoundTimestamps(); }
};

// kInvalidArgument, naming the record by `number`: no key (kInvalidRecord), a timestamp out of bounds
// (kInvalidTimestamp). kNoTimestamp is within all bounds.
[[nodiscard]] absl::Status CheckRecordRules(bool has_key, int64_t timestamp_ms, int64_t number,
                                            const RecordRules& rules);

}  // namespace varve::internal

#endif  // VARVE_LIB_RECORD_RECORD_RULES_H_
