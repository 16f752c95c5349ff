// Believed marks: which of the things that were written down about a partition (varve.state, Kafka's checkpoints and
// clean marker) match its files, and what follows from those that do (durability notes, Opening 2 and 3).
//
//   clean          both say so, where both exist; one at least exists
//   durable point  the lower of both
//   log start      the higher of both
// A mark that does not match the files counts for nothing and is reported as ignored.
#ifndef VARVE_LIB_LOG_BELIEVED_MARKS_H_
#define VARVE_LIB_LOG_BELIEVED_MARKS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "log/partition_state.h"
#include "varve/file_system.h"
#include "varve/log_options.h"
#include "varve/recovery_report.h"

namespace varve::internal {

// A segment's .log as found.
struct FoundSegment {
  int64_t base_offset = 0;
  int64_t size_bytes = 0;
};

struct BelievedMarks {
  bool clean = false;
  bool cache_survived = false;
  int64_t durable_offset = 0;
  // Set where varve.state says where durable_offset lies, and its batch is there.
  std::optional<DurablePoint> durable_point = std::nullopt;
  // True where the directory was last written by varve, so that its segments follow one another without gaps above the
  // durable point.
  bool written_by_varve = false;
  int64_t log_start_offset = 0;
  // varve.state's: segments that end at or below it are leftovers of a prefix deletion.
  int64_t deleted_before_offset = 0;
  std::string evidence;  // why the cache is believed to have survived, or not
  std::vector<RecoveryFinding> findings;
};

// `segments` ascending; `state` as PartitionState::Peek answered. Reads at most one batch. Errors: as the file system.
[[nodiscard]] absl::StatusOr<BelievedMarks> BelieveMarks(FileSystem* file_system, const std::string& directory,
                                                         const std::vector<FoundSegment>& segments,
                                                         const std::optional<PartitionStateValues>& state,
                                                         const OpenMarks& marks);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_BELIEVED_MARKS_H_
