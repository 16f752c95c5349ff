#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "base/path.h"
#include "base/status.h"
#include "log/live_line.h"
#include "log/partition_lock.h"
#include "state/partition_metadata.h"
#include "store/data_directory_files.h"
#include "store/partition_copy.h"
#include "varve/data_directory.h"
#include "varve/hand_over.h"
#include "varve/log.h"
#include "varve/partition_files.h"

namespace varve {
namespace internal {
namespace {

// What varve has on disk only while somebody writes.
bool IsOfAWriter(const PartitionFile& file) { return file.name == kLockFileName || file.name == LiveLine::kFileName; }

// Of a copy that is being made, beside its target.
std::string NameOfStage(const std::string& target, std::string_view unique) {
  return CappedName(fmt::format(".{}", BaseName(target)), fmt::format(".{}-export", unique));
}

class Exporter {
 public:
  Exporter(FileSystem* file_system, std::string directory, std::string target, const ExportOptions& options)
      : file_system_(file_system),
        directory_(std::move(directory)),
        target_(std::move(target)),
        stage_(JoinPath(ParentDirectory(target_), NameOfStage(target_, UniqueSuffix()))),
        options_(options) {}

  [[nodiscard]] absl::StatusOr<ExportResult> Run() {
    VARVE_ASSIGN_OR_RETURN(const DataDirectory before_lock, DataDirectory::Of(file_system_, directory_));
    VARVE_RETURN_IF_ERROR(CheckPlaces(before_lock));
    VARVE_ASSIGN_OR_RETURN(
        lock_, DataDirectoryLock::Take(file_system_, ParentDirectory(directory_), LockKind::kExclusive, Access::kRead));
    VARVE_RETURN_IF_ERROR(CheckNoWriter(file_system_, directory_));
    VARVE_ASSIGN_OR_RETURN(const bool held, PartitionHasWriter(file_system_, directory_));
    if (held) {  // who it is, an overlay cannot tell
      return Error(absl::StatusCode::kUnavailable, "{}: the partition is open for writing elsewhere", directory_);
    }
    // A broker may have run until the lock was taken.
    VARVE_ASSIGN_OR_RETURN(const DataDirectory data, DataDirectory::Of(file_system_, directory_));
    absl::Status status = Export(data);
    // What is left of a failed one is of no use to anybody.
    if (!status.ok()) (void)RemoveTree(file_system_, stage_);
    if (!status.ok()) return status;
    return std::move(result_);
  }

 private:
  [[nodiscard]] absl::Status CheckPlaces(const DataDirectory& data) const {
    if (!data.is_kafka()) {
      return Error(absl::StatusCode::kInvalidArgument,
                   "{}: expected a partition in a log directory of Kafka, found neither checkpoints nor {} beside it",
                   directory_, kMetaProperties);
    }
    if (!LivePartitionOf(BaseName(directory_)).has_value()) {
      return Error(absl::StatusCode::kInvalidArgument, "{}: expected the name TOPIC-N of a live partition, found {}",
                   directory_, BaseName(directory_));
    }
    VARVE_RETURN_IF_ERROR(CheckOutside());
    VARVE_ASSIGN_OR_RETURN(const bool taken, Exists(file_system_, target_));
    if (taken) return Error(absl::StatusCode::kAlreadyExists, "{}: expected a name that is free", target_);
    return absl::OkStatus();
  }

  // A broker deletes a partition with all below it. What lies above the working directory, a relative path does not tell.
  [[nodiscard]] absl::Status CheckOutside() const {
    if (!target_.starts_with('/')) {
      return Error(absl::StatusCode::kInvalidArgument, "expected an absolute path for the copy, found {}", target_);
    }
    std::string below = target_;
    for (std::string above = ParentDirectory(below); above != below; above = ParentDirectory(below)) {
      VARVE_ASSIGN_OR_RETURN(const bool into_kafka, HoldsKafkaFiles(file_system_, above));
      if (into_kafka) {
        return Error(absl::StatusCode::kInvalidArgument,
                     "{}: expected a place outside of Kafka's log directories, found one in {}", target_, above);
      }
      below = above;
    }
    return absl::OkStatus();
  }

  // Of earlier runs that were killed.
  [[nodiscard]] absl::Status ClearStages() {
    const std::string parent = ParentDirectory(target_);
    VARVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, file_system_->List(parent));
    const auto name_of_stage = [this](std::string_view unique) { return NameOfStage(target_, unique); };
    for (const std::string& name : names) {
      if (!IsNameWithUniqueSuffix(name, name_of_stage)) continue;
      VARVE_RETURN_IF_ERROR(RemoveTree(file_system_, JoinPath(parent, name)));
    }
    return absl::OkStatus();
  }

  [[nodiscard]] absl::Status Export(const DataDirectory& data) {
    result_.notes = data.notes();
    result_.stopped_cleanly = data.marks().clean.value_or(false);
    VARVE_ASSIGN_OR_RETURN(std::vector<PartitionFile> files, ListPartitionFiles(file_system_, directory_));
    std::erase_if(files, [this](const PartitionFile& file) {
      const bool stays = file.kind == PartitionFileKind::kOther || IsOfAWriter(file);
      if (stays) result_.left_behind.push_back(file.name);
      return stays;
    });
    VARVE_RETURN_IF_ERROR(ClearStages());
    // A broker that could not sync does not stop cleanly.
    const SourceBytes bytes = result_.stopped_cleanly ? SourceBytes::kStable : SourceBytes::kPerhapsCached;
    VARVE_ASSIGN_OR_RETURN(result_.bytes,
                           CopyPartitionFiles(file_system_, directory_, files, stage_, bytes, options_.copy_progress));
    absl::StatusOr<TopicId> topic_id = ReadPartitionMetadata(file_system_, JoinPath(stage_, kPartitionMetadataFile));
    if (topic_id.ok()) result_.topic_id = FormatTopicId(*topic_id);
    VARVE_RETURN_IF_ERROR(OpenCopy(data.marks()));
    VARVE_RETURN_IF_ERROR(lock_->Check());
    const std::string parent = ParentDirectory(target_);
    VARVE_RETURN_IF_ERROR(file_system_->Rename(stage_, target_));
    return file_system_->SyncDirectory(parent);
  }

  // The first opening takes the broker's marks for its own, and recovers what they do not vouch for.
  [[nodiscard]] absl::Status OpenCopy(const OpenMarks& marks) {
    LogOptions open;
    open.file_system = file_system_;
    open.create = false;
    open.marks = marks;
    open.io_mode = IoMode::kWrite;
    open.recovery_progress = options_.recovery_progress;
    VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<Log> log, Log::Open(stage_, open));
    result_.report = log->recovery_report();
    result_.log_start_offset = log->log_start_offset();
    result_.log_end_offset = log->log_end_offset();
    result_.segments = static_cast<int64_t>(log->segments().size());
    return log->Close();
  }

  FileSystem* const file_system_;
  const std::string directory_;
  const std::string target_;
  const std::string stage_;  // beside the target
  const ExportOptions& options_;
  std::unique_ptr<DataDirectoryLock> lock_;
  ExportResult result_;
};

}  // namespace
}  // namespace internal

absl::StatusOr<ExportResult> ExportPartition(FileSystem* file_system, const std::string& directory,
                                             const std::string& target, const ExportOptions& options) {
  return internal::Exporter(file_system, directory, target, options).Run();
}

}  // namespace varve
