#include "varve/checkpoint.h"

#include <algorithm>
#include <array>

#include "base/status.h"
#include "state/checkpoint_file.h"
#include "state/partition_metadata.h"
#include "state/producer_snapshot.h"

namespace varve {

bool IsOffsetCheckpointName(std::string_view file_name) {
  constexpr std::array<std::string_view, 4> kNames{
      internal::kRecoveryPointCheckpoint, internal::kLogStartOffsetCheckpoint, internal::kReplicationOffsetCheckpoint,
      internal::kCleanerOffsetCheckpoint};
  return std::find(kNames.begin(), kNames.end(), file_name) != kNames.end();
}

absl::StatusOr<std::vector<PartitionOffset>> LoadOffsetCheckpoint(FileSystem* file_system, const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(const internal::OffsetCheckpoint checkpoint,
                         internal::ReadOffsetCheckpoint(file_system, path));
  std::vector<PartitionOffset> offsets;
  offsets.reserve(checkpoint.size());
  for (const auto& [partition, offset] : checkpoint) offsets.push_back({.partition = partition, .offset = offset});
  return offsets;
}

absl::StatusOr<std::vector<LeaderEpoch>> LoadLeaderEpochCheckpoint(FileSystem* file_system, const std::string& path) {
  return internal::ReadLeaderEpochs(file_system, path);
}

absl::StatusOr<std::string> LoadTopicId(FileSystem* file_system, const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(const internal::TopicId topic_id, internal::ReadPartitionMetadata(file_system, path));
  return internal::FormatTopicId(topic_id);
}

absl::StatusOr<std::vector<ProducerStateEntry>> LoadProducerSnapshot(FileSystem* file_system, const std::string& path) {
  return internal::ReadProducerSnapshot(file_system, path);
}

}  // namespace varve
