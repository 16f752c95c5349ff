#include "varve/data_directory.h"

#include <optional>
#include <utility>

#include "base/path.h"
#include "base/status.h"
#include "store/data_directory_files.h"
#include "varve/topic_partition.h"

namespace varve {

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
  VARVE_ASSIGN_OR_RETURN(const bool clean,
                         internal::Exists(file_system_, internal::JoinPath(parent_, internal::kCleanMarker)));
  marks_.clean = clean;
  VARVE_ASSIGN_OR_RETURN(const internal::CheckpointLines lines,
                         internal::ReadCheckpointLines(file_system_, parent_, *partition, &notes_));
  marks_.recovery_point = lines.recovery_point;
  marks_.log_start_offset = lines.log_start_offset;
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
  const absl::Status removed = file_system_->Remove(internal::JoinPath(parent_, internal::kCleanMarker));
  if (!absl::IsNotFound(removed)) VARVE_RETURN_IF_ERROR(removed);
  // Before the first change of data: a marker that came back after a power cut would vouch for files it never saw. Also
  // where it is gone already: whoever removed it may have died before its sync.
  VARVE_RETURN_IF_ERROR(file_system_->SyncDirectory(parent_));
  prepared_ = true;
  return removed.ok();
}

absl::Status DataDirectory::LowerCheckpoints(int64_t offset, std::optional<int64_t> log_start_offset) {
  const std::optional<TopicPartition> partition = LivePartitionOf(partition_name_);
  if (!is_kafka_ || !partition.has_value()) return absl::OkStatus();
  return internal::LowerCheckpointLines(file_system_, parent_, *partition, offset, log_start_offset.value_or(offset));
}

}  // namespace varve
