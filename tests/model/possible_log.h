// PossibleLog: what may be found of a log after a crash, told by a reference; FoundLog: what was found.
#ifndef VARVE_TESTS_MODEL_POSSIBLE_LOG_H_
#define VARVE_TESTS_MODEL_POSSIBLE_LOG_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/reference_log.h"
#include "varve/log.h"

namespace varve::testing_support {

// Everything that an open log gives.
struct FoundLog {
  LogOffsets offsets;
  std::vector<ReferenceRecord> records;  // markers of transactions too
  std::vector<LeaderEpoch> epochs;

  [[nodiscard]] static absl::StatusOr<FoundLog> Of(const Log& log);
};

// A log of which the last part may be lost.
struct PossibleLog {
  const ReferenceLog* log = nullptr;  // with all that was asked for, acknowledged or not
  int64_t durable_offset = 0;         // everything below is there after a power loss
  int64_t written_offset = 0;         // everything below is there after the death of a process
  // True of a record, or of a marker, that a compaction under way may have taken out of a log that ends at `end_offset`.
  // Null where none is.
  std::function<bool(const ReferenceBatch& batch, const ReferenceRecord& record, int64_t end_offset)> may_be_missing;
};

// OK if `found` is this log, whole or with as much lost as may be.
[[nodiscard]] absl::Status Compare(const FoundLog& found, const PossibleLog& possible, bool power_lost);

// OK if it is any of them; else what each of them lacks.
[[nodiscard]] absl::StatusOr<size_t> CompareAny(const FoundLog& found, const std::vector<PossibleLog>& possible,
                                                bool power_lost);

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_MODEL_POSSIBLE_LOG_H_
