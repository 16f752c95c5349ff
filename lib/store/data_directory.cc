#include "varve/data_directory.h"

#include <optional>
#include <utility>

#include "base/path.h"
#include "base/status.h"
#include "state/checkpoint_file.h"
#include "store/data_directory_files.h"
#include "varve/topic_partition.h"

namespace varve {
namespace {

using internal::JoinPath;
using internal::OffsetCheckpoint;

// The partition's line of a checkpoint; absent where there is no line, no file, or a file that cannot be parsed, which
// is noted.
absl::StatusOr<std::optional<int64_t>> OffsetIn(FileSystem* file_system, const std::string& path,
                                                const TopicPartition& partition, std::vector<std::string>* notes) {
  const absl::StatusOr<OffsetCheckpoint> checkpoint = internal::ReadOffsetCheckpoint(file_system, path);
  if (absl::IsNotFound(checkpoint.status())) return std::nullopt;
  if (absl::IsDataLoss(checkpoint.status())) {
    notes->push_back(std::string(checkpoint.status().message()) + "; taken as absent");
    return std::nullopt;
  }
  if (!checkpoint.ok()) return checkpoint.status();
  const auto line = checkpoint->find(partition);
  if (line == checkpoint->end()) return std::nullopt;
  return line->second;
}

}  // namespace

absl::StatusOr<DataDirectory> DataDirectory::Of(FileSystem* file_system, const std::string& partition_directory) {
  DataDirectory data;
  data.file_system_ = file_system;
  data.parent_ = internal::ParentDirectory(partition_directory);
  data.partition_name_ = internal::BaseName(partition_directory);
  VARVE_ASSIGN_OR_RETURN(data.is_kafka_, internal::HoldsKafkaFiles(file_system, data.parent_));
  VARVE_RETURN_IF_ERROR(data.ReadMarks());
  return data;
}

absl::Status DataDirectory::ReadMarks() {
  marks_ = {};
  notes_.clear();
  const std::optional<TopicPartition> partition = LivePartitionOf(partition_name_);
  if (!is_kafka_ || !partition.has_value()) return absl::OkStatus();
  VARVE_ASSIGN_OR_RETURN(const bool clean, internal::Exists(file_system_, JoinPath(parent_, internal::kCleanMarker)));
  marks_.clean = clean;
  VARVE_ASSIGN_OR_RETURN(
      marks_.recovery_point,
      OffsetIn(file_system_, JoinPath(parent_, internal::kRecoveryPointCheckpoint), *partition, &notes_));
  VARVE_ASSIGN_OR_RETURN(
      marks_.log_start_offset,
      OffsetIn(file_system_, JoinPath(parent_, internal::kLogStartOffsetCheckpoint), *partition, &notes_));
  return absl::OkStatus();
}

absl::StatusOr<bool> DataDirectory::PrepareForWriting() {
  if (!is_kafka_ || prepared_) return false;
  if (lock_ == nullptr) {
    VARVE_ASSIGN_OR_RETURN(
        lock_, internal::DataDirectoryLock::Take(file_system_, parent_, LockKind::kShared, Access::kReadWrite));
  }
  // A broker may have started and died since they were read; under the lock none can.
  VARVE_RETURN_IF_ERROR(ReadMarks());
  const absl::Status removed = file_system_->Remove(JoinPath(parent_, internal::kCleanMarker));
  if (!absl::IsNotFound(removed)) VARVE_RETURN_IF_ERROR(removed);
  // Before the first change of data: a marker that came back after a power cut would vouch for files it never saw. Also
  // where it is gone already: whoever removed it may have died before its sync.
  VARVE_RETURN_IF_ERROR(file_system_->SyncDirectory(parent_));
  prepared_ = true;
  return removed.ok();
}

absl::Status DataDirectory::LowerCheckpoints(int64_t offset) {
  const std::optional<TopicPartition> partition = LivePartitionOf(partition_name_);
  if (!is_kafka_ || !partition.has_value()) return absl::OkStatus();
  for (const char* name : {internal::kRecoveryPointCheckpoint, internal::kLogStartOffsetCheckpoint,
                           internal::kReplicationOffsetCheckpoint, internal::kCleanerOffsetCheckpoint}) {
    const std::string path = JoinPath(parent_, name);
    absl::StatusOr<OffsetCheckpoint> checkpoint = internal::ReadOffsetCheckpoint(file_system_, path);
    // What cannot be parsed counts for nothing, for Kafka as well: there is nothing in it to lower.
    if (absl::IsNotFound(checkpoint.status()) || absl::IsDataLoss(checkpoint.status())) continue;
    VARVE_RETURN_IF_ERROR(checkpoint.status());
    const auto line = checkpoint->find(*partition);
    if (line == checkpoint->end() || line->second <= offset) continue;
    line->second = offset;
    VARVE_RETURN_IF_ERROR(internal::WriteOffsetCheckpoint(file_system_, path, *checkpoint));
  }
  return absl::OkStatus();
}

}  // namespace varve
