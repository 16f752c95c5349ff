// What the small files of a log directory say, for tools that look at them as they are: Log and Store read and write
// them by themselves.
//
//   recovery-point-offset-checkpoint, log-start-offset-checkpoint, replication-offset-checkpoint,
//   cleaner-offset-checkpoint
//     beside the partitions: an offset for each (Kafka OffsetCheckpointFile)
//   leader-epoch-checkpoint in a partition: since which offset each leader epoch (LeaderEpochCheckpointFile)
//   partition.metadata: the topic's id (PartitionMetadataFile)
//   N.snapshot: producers as they were before offset N (ProducerStateManager)
//
// Thread rules: free functions, callable from any thread.
// Errors: kNotFound if there is no file; kDataLoss for any fault of its content, naming the place; else as FileSystem.
//
//   absl::StatusOr<std::vector<varve::PartitionOffset>> ends =
//       varve::LoadOffsetCheckpoint(fs, "kafka-logs/replication-offset-checkpoint");
#ifndef VARVE_CHECKPOINT_H_
#define VARVE_CHECKPOINT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "varve/file_system.h"
#include "varve/leader_epoch.h"
#include "varve/producer_state.h"
#include "varve/topic_partition.h"

namespace varve {

struct PartitionOffset {
  TopicPartition partition;
  int64_t offset = 0;

  friend bool operator==(const PartitionOffset&, const PartitionOffset&) = default;
};

// True of the names of the four files beside the partitions.
[[nodiscard]] bool IsOffsetCheckpointName(std::string_view file_name);

// By topic, then by number.
[[nodiscard]] absl::StatusOr<std::vector<PartitionOffset>> LoadOffsetCheckpoint(FileSystem* file_system,
                                                                                const std::string& path);

// The lines as they stand.
[[nodiscard]] absl::StatusOr<std::vector<LeaderEpoch>> LoadLeaderEpochCheckpoint(FileSystem* file_system,
                                                                                 const std::string& path);

// The id as the file has it: 22 characters of URL-safe base64.
[[nodiscard]] absl::StatusOr<std::string> LoadTopicId(FileSystem* file_system, const std::string& path);

// The entries as they stand, each with its last batch only: the file has no others.
[[nodiscard]] absl::StatusOr<std::vector<ProducerStateEntry>> LoadProducerSnapshot(FileSystem* file_system,
                                                                                   const std::string& path);

}  // namespace varve

#endif  // VARVE_CHECKPOINT_H_
