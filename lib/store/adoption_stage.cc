#include "store/adoption_stage.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/path.h"
#include "base/status.h"
#include "store/data_directory_files.h"
#include "store/partition_copy.h"

namespace varve::internal {
namespace {

constexpr std::string_view kReplaced = "replaced";

// Kafka cuts the topic short likewise (LocalLog.logDirNameWithSuffixCappedLength).
std::string StageName(const TopicPartition& partition, std::string_view unique) {
  return CappedName(partition.topic, fmt::format("-{}.{}-delete", partition.partition, unique));
}

AdoptionStage StageAt(const std::string& path, const TopicPartition& partition) {
  return {.path = path, .copy = JoinPath(path, partition.DirectoryName()), .replaced = JoinPath(path, kReplaced)};
}

// Absent for what somebody else has made.
absl::StatusOr<std::optional<AdoptionStage>> AsStage(FileSystem* file_system, const std::string& path,
                                                     const TopicPartition& partition) {
  VARVE_ASSIGN_OR_RETURN(const FileInfo info, file_system->Info(path));
  if (!info.is_directory) return std::nullopt;
  VARVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, file_system->List(path));
  for (const std::string& name : names) {
    VARVE_ASSIGN_OR_RETURN(const FileInfo entry, file_system->Info(JoinPath(path, name)));
    if (!entry.is_directory || (name != partition.DirectoryName() && name != kReplaced)) return std::nullopt;
  }
  return StageAt(path, partition);
}

absl::Status ClearStage(FileSystem* file_system, const std::string& log_directory, const TopicPartition& partition,
                        const AdoptionStage& stage) {
  const std::string directory = JoinPath(log_directory, partition.DirectoryName());
  VARVE_ASSIGN_OR_RETURN(const bool in_place, Exists(file_system, directory));
  VARVE_ASSIGN_OR_RETURN(const bool put_aside, Exists(file_system, stage.replaced));
  if (put_aside && !in_place) {
    // Without the copy, whose name is whole, it might be another partition's.
    VARVE_ASSIGN_OR_RETURN(const bool copied, Exists(file_system, stage.copy));
    if (!copied) return absl::OkStatus();
    // The lines may be those of the copy already; the partition had never held a record.
    VARVE_RETURN_IF_ERROR(
        WriteCheckpointLines(file_system, log_directory, partition, {.recovery_point = 0, .high_watermark = 0}));
    VARVE_RETURN_IF_ERROR(file_system->Rename(stage.replaced, directory));
  }
  // What was put back, here or by who made the stage, must not be lost with it.
  VARVE_RETURN_IF_ERROR(file_system->SyncDirectory(log_directory));
  return RemoveTree(file_system, stage.path);
}

}  // namespace

AdoptionStage NewAdoptionStage(const std::string& log_directory, const TopicPartition& partition) {
  return StageAt(JoinPath(log_directory, StageName(partition, UniqueSuffix())), partition);
}

absl::Status ClearAdoptionStages(FileSystem* file_system, const std::string& log_directory,
                                 const TopicPartition& partition) {
  VARVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, file_system->List(log_directory));
  for (const std::string& name : names) {
    // A topic that was cut short may be another.
    const auto stage_name = [&](std::string_view unique) { return StageName(partition, unique); };
    if (!IsNameWithUniqueSuffix(name, stage_name)) continue;
    VARVE_ASSIGN_OR_RETURN(const std::optional<AdoptionStage> stage,
                           AsStage(file_system, JoinPath(log_directory, name), partition));
    if (!stage.has_value()) continue;
    VARVE_RETURN_IF_ERROR(ClearStage(file_system, log_directory, partition, *stage));
  }
  return absl::OkStatus();
}

}  // namespace varve::internal
