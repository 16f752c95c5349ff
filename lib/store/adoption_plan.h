// What a broker's log directory must be like for a partition to be adopted into it, decided from values.
//
// Thread rules: pure functions.
#ifndef VARVE_LIB_STORE_ADOPTION_PLAN_H_
#define VARVE_LIB_STORE_ADOPTION_PLAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "state/partition_metadata.h"
#include "store/data_directory_files.h"
#include "varve/leader_epoch.h"
#include "varve/partition_files.h"
#include "varve/topic_partition.h"

namespace varve::internal {

// An entry of the broker's directory of the partition.
struct TargetEntry {
  PartitionFile file;
  bool is_directory = false;
  uint64_t size_bytes = 0;
};

// Another partition in the log directory.
struct Neighbour {
  TopicPartition partition;
  std::optional<TopicId> topic_id = std::nullopt;
};

// The broker's directory of the partition, as found.
struct AdoptionTarget {
  std::string path;
  TopicPartition partition = {};
  bool exists = false;
  std::vector<TargetEntry> entries = {};
  std::optional<TopicId> topic_id = std::nullopt;  // of its partition.metadata
  std::vector<LeaderEpoch> leader_epochs = {};     // of its leader-epoch-checkpoint
  std::vector<Neighbour> neighbours = {};          // asked only where it has no id
};

struct AdoptionPlan {
  TopicId topic_id;
  // The latest the broker knows of: it goes on with it or with a later one. 0, the first there is, where it does not
  // tell.
  int32_t max_leader_epoch = 0;
};

// `asked` is the id that the caller knows the topic by. kAlreadyExists: the target is more than an empty log from
// offset 0. kInvalidArgument: the ids differ, of the partition or of the topic's others in the log directory; or the id
// is another topic's there, or the name is one that Kafka does not tell from another topic's. kFailedPrecondition:
// nobody knows the id, or the broker has never led the partition: as a follower it would cut the log down to its
// leader's.
[[nodiscard]] absl::StatusOr<AdoptionPlan> PlanAdoption(const AdoptionTarget& target,
                                                        const std::optional<TopicId>& asked);

// What an adopted log is, for the checkpoints.
struct AdoptedExtent {
  int64_t first_base_offset = 0;  // of its first segment
  int64_t log_start_offset = 0;
  int64_t first_dirty_offset = 0;
  int64_t log_end_offset = 0;
};

// A segment of a log, and the bytes of its .log.
struct SegmentExtent {
  int64_t base_offset = 0;
  int64_t size_bytes = 0;

  friend bool operator==(const SegmentExtent&, const SegmentExtent&) = default;
};

// An adopted log ends with an empty segment, so that the snapshot of producers there is the one that a broker begins
// with whatever it recovers: of what lies before, the ids of the host's producers would come back. False where it ends
// with one already.
[[nodiscard]] bool NeedsEmptySegment(const std::vector<SegmentExtent>& segments, int64_t log_end_offset);

// Everything is synced, and committed. As Kafka writes them, a log start only where the first segment's name does not
// tell it, and a first dirty offset only where something was compacted.
[[nodiscard]] CheckpointLines LinesOfAdopted(const AdoptedExtent& extent);

}  // namespace varve::internal

#endif  // VARVE_LIB_STORE_ADOPTION_PLAN_H_
