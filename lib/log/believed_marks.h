// Believed marks: which of the things that were written down about a partition (varve.state, Kafka's checkpoints and
// clean marker) match its files, and what follows from those that do (durability notes, Opening 2 and 3).
//
//   clean          both say so, where both exist; one at least exists
//   durable point  the lower of both
//   log start      the higher of both; but a mark that varve.state knows from before it started the log anew further
//                  down is stale
// The durable point is void, and reported as ignored, only where the files show that somebody else has changed them:
// its segment is absent, another batch stands where its last one was, or the file that was cut short is not the one
// varve wrote. Bytes that cannot be read or are no batch show nothing of the kind: they are damage below a point that
// counts. The log start of a state whose point is void is kept where the files have it.
#ifndef VARVE_LIB_LOG_BELIEVED_MARKS_H_
#define VARVE_LIB_LOG_BELIEVED_MARKS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "log/partition_listing.h"
#include "log/partition_state.h"
#include "varve/file_system.h"
#include "varve/log_options.h"
#include "varve/recovery_report.h"

namespace varve::internal {

struct BelievedMarks {
  bool clean = false;
  bool state_counts = false;  // there is a varve.state whose point is not void
  bool cache_survived = false;
  int64_t durable_offset = 0;
  // Set where varve.state says where durable_offset lies, and nobody else has changed that.
  std::optional<DurablePoint> durable_point = std::nullopt;
  // From here on varve's segments follow one another without gaps: varve.state's durable offset, also where a checkpoint
  // lowers the point itself, as compaction leaves gaps below. Absent where somebody else may have gone on: beside Kafka's
  // clean marker, or since varve closed the log.
  std::optional<int64_t> unbroken_from_offset = std::nullopt;
  int64_t log_start_offset = 0;
  // Of a state whose point is void: counts if the log holds it.
  std::optional<int64_t> doubtful_log_start_offset = std::nullopt;
  // varve.state's: segments that end at or below it are leftovers of a prefix deletion. Nothing is deleted on the word
  // of a state whose point is void.
  int64_t deleted_before_offset = 0;
  // varve.state's; 0, nothing compacted, of a state whose point is void: who changed the files may have put other records
  // below the mark.
  int64_t first_dirty_offset = 0;
  std::string evidence;  // why the cache is believed to have survived, or not
  std::vector<RecoveryFinding> findings;
};

// Why the durable point of `state` is void; empty if it counts. Reads the batch that names the point; if it is not
// there, headers up to it from the last index entry before it. Errors: as the file system.
[[nodiscard]] absl::StatusOr<std::string> ReasonPointIsVoid(FileSystem* file_system, const std::string& directory,
                                                            const std::vector<FoundSegment>& segments,
                                                            const PartitionStateValues& state);

// `segments` ascending; `state` as PartitionState::Peek answered. Reads as ReasonPointIsVoid. Errors: as the file
// system.
[[nodiscard]] absl::StatusOr<BelievedMarks> BelieveMarks(FileSystem* file_system, const std::string& directory,
                                                         const std::vector<FoundSegment>& segments,
                                                         const std::optional<PartitionStateValues>& state,
                                                         const OpenMarks& marks);

// Takes the segments off the front that an interrupted prefix deletion may have left: they are never judged. Answers
// their base offsets, ascending.
[[nodiscard]] std::vector<int64_t> SetDeletedAside(const BelievedMarks& marks, std::vector<FoundSegment>* segments);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_BELIEVED_MARKS_H_
