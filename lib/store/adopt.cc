#include <memory>
#include <utility>

#include "base/bytes.h"
#include "base/path.h"
#include "base/status.h"
#include "io/whole_file.h"
#include "log/leader_epoch_limit.h"
#include "log/partition_lock.h"
#include "log/partition_state.h"
#include "state/checkpoint_file.h"
#include "state/partition_metadata.h"
#include "store/adoption_plan.h"
#include "store/data_directory_files.h"
#include "store/partition_copy.h"
#include "varve/hand_over.h"
#include "varve/log.h"
#include "varve/overlay_file_system.h"
#include "varve/partition_files.h"
#include "varve/verify.h"

namespace varve {
namespace internal {
namespace {

// A name ends at 255 bytes; Kafka cuts the topic short for it (LocalLog.logDirNameWithSuffixCappedLength).
constexpr size_t kMaxNameBytes = 255;

// What is to be known of the source.
struct AdoptionSource {
  std::vector<PartitionFile> files;  // that go along as they are, but for epochs
  std::vector<std::string> left_behind;
  std::vector<LeaderEpoch> leader_epochs;
  AdoptedExtent extent;
  int64_t last_stable_offset = 0;
  int64_t producers = 0;
};

bool GoesAlong(PartitionFileKind kind) {
  switch (kind) {
    case PartitionFileKind::kLog:
    case PartitionFileKind::kOffsetIndex:
    case PartitionFileKind::kTimeIndex:
    case PartitionFileKind::kTransactionIndex:
    case PartitionFileKind::kSnapshot:
      return true;
    case PartitionFileKind::kLeaderEpochs:       // written anew, as its epochs may be too late
    case PartitionFileKind::kPartitionMetadata:  // likewise, as the broker has an id of its own
    case PartitionFileKind::kSavedAside:
    case PartitionFileKind::kOwn:
    case PartitionFileKind::kLeftover:
    case PartitionFileKind::kOther:
      break;
  }
  return false;
}

class Adopter {
 public:
  Adopter(FileSystem* file_system, std::string directory, std::string log_directory, const AdoptOptions& options)
      : file_system_(file_system),
        directory_(std::move(directory)),
        log_directory_(std::move(log_directory)),
        options_(options) {}

  [[nodiscard]] absl::StatusOr<AdoptResult> Run() {
    VARVE_RETURN_IF_ERROR(Identify());
    VARVE_RETURN_IF_ERROR(Lock());
    VARVE_RETURN_IF_ERROR(InspectSource());
    VARVE_RETURN_IF_ERROR(InspectTarget());
    if (const absl::Status status = MakeCopy(); !status.ok()) return Abandoned(status);
    if (const absl::Status status = PutInPlace(); !status.ok()) return Abandoned(Undone(status));
    // The broker removes it too.
    (void)RemoveTree(file_system_, stage_);
    if (options_.move) {
      VARVE_RETURN_IF_ERROR(Annotate(RemoveSource(), result_.directory + " is in place; removing the source failed"));
    }
    return std::move(result_);
  }

 private:
  // Names and ids, and who is who.
  [[nodiscard]] absl::Status Identify() {
    const absl::StatusOr<BrokerIdentity> broker = ReadMetaProperties(file_system_, log_directory_);
    if (absl::IsNotFound(broker.status())) {
      return Error(absl::StatusCode::kInvalidArgument,
                   "{}: expected the log directory of a Kafka broker, which has a {}, found none", log_directory_,
                   kMetaProperties);
    }
    VARVE_RETURN_IF_ERROR(broker.status());
    result_.cluster_id = broker->cluster_id;
    result_.node_id = broker->node_id;
    VARVE_ASSIGN_OR_RETURN(const bool in_log_directory, HoldsKafkaFiles(file_system_, ParentDirectory(directory_)));
    if (in_log_directory) {
      return Error(absl::StatusCode::kInvalidArgument,
                   "{}: expected a partition by itself, found one in a log directory of Kafka: export it first",
                   directory_);
    }
    const std::string name = options_.as.has_value() ? options_.as->DirectoryName() : BaseName(directory_);
    VARVE_ASSIGN_OR_RETURN(result_.partition, ParseTopicPartition(name));
    if (result_.partition.DirectoryName() != name || options_.as.value_or(result_.partition) != result_.partition) {
      return Error(absl::StatusCode::kInvalidArgument, "{}: expected a name TOPIC-N, found {}", directory_, name);
    }
    VARVE_RETURN_IF_ERROR(CheckTopicName(result_.partition.topic));
    if (options_.topic_id.has_value()) {
      VARVE_ASSIGN_OR_RETURN(asked_topic_id_, ParseTopicId(*options_.topic_id));
    }
    result_.directory = JoinPath(log_directory_, result_.partition.DirectoryName());
    const std::string suffix = fmt::format("-{}.{}-delete", result_.partition.partition, UniqueSuffix());
    stage_ = JoinPath(log_directory_, result_.partition.topic.substr(0, kMaxNameBytes - suffix.size()) + suffix);
    copy_ = JoinPath(stage_, result_.partition.DirectoryName());
    replaced_ = JoinPath(stage_, "replaced");
    return absl::OkStatus();
  }

  [[nodiscard]] absl::Status Lock() {
    VARVE_ASSIGN_OR_RETURN(broker_lock_, DataDirectoryLock::Take(file_system_, log_directory_, LockKind::kExclusive));
    // As with the broker's: an overlay only tells of its base's.
    VARVE_ASSIGN_OR_RETURN(const bool held, PartitionIsLocked(file_system_, directory_));
    VARVE_ASSIGN_OR_RETURN(source_lock_, LockPartition(file_system_, directory_));
    if (!held) return absl::OkStatus();
    return Error(absl::StatusCode::kUnavailable, "{}: the partition is open for writing elsewhere", directory_);
  }

  [[nodiscard]] absl::Status InspectSource() {
    VARVE_ASSIGN_OR_RETURN(const std::vector<PartitionFile> files, ListPartitionFiles(file_system_, directory_));
    for (const PartitionFile& file : files) {
      if (GoesAlong(file.kind)) {
        source_.files.push_back(file);
      } else if (file.kind != PartitionFileKind::kLeaderEpochs && file.kind != PartitionFileKind::kPartitionMetadata) {
        source_.left_behind.push_back(file.name);
      }
      const bool holds_what_is_not_copied =
          file.kind == PartitionFileKind::kSavedAside || file.kind == PartitionFileKind::kOther;
      if (options_.move && holds_what_is_not_copied) {
        return Error(absl::StatusCode::kFailedPrecondition,
                     "{}: {} would be lost, as it does not go along: copy the partition, or take that file away first",
                     directory_, file.name);
      }
    }
    VARVE_ASSIGN_OR_RETURN(const MergedMarks marks, MergeMarks(file_system_, directory_, {}));
    if (!marks.clean) return NotClean("found none that holds");
    VARVE_ASSIGN_OR_RETURN(const std::optional<PartitionStateValues> state,
                           PartitionState::Peek(file_system_, directory_));
    if (state.has_value()) source_.extent.first_dirty_offset = state->first_dirty_offset;
    return ReadSource();
  }

  // What an opening would make of it, without any change.
  [[nodiscard]] absl::Status ReadSource() {
    OverlayFileSystem trial(file_system_);
    LogOptions open;
    open.file_system = &trial;
    open.create = false;
    open.io_mode = IoMode::kWrite;
    VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<Log> log, Log::Open(directory_, open));
    const RecoveryReport& report = log->recovery_report();
    if (!report.damage.empty()) {
      return Error(absl::StatusCode::kFailedPrecondition, "{}: expected no damage, found {} damaged ranges", directory_,
                   report.damage.size());
    }
    if (report.segments_recovered > 0 || report.bytes_cut > 0) {
      return NotClean(fmt::format("{} segments have to be recovered, {} bytes to be cut", report.segments_recovered,
                                  report.bytes_cut));
    }
    const LogOffsets offsets = log->offsets();
    source_.extent.first_base_offset = log->segments().front().base_offset;
    source_.extent.log_start_offset = offsets.log_start_offset;
    source_.extent.log_end_offset = offsets.log_end_offset;
    source_.last_stable_offset = offsets.last_stable_offset;
    source_.leader_epochs = log->leader_epochs();
    source_.producers = static_cast<int64_t>(log->producers().size());
    result_.segments = static_cast<int64_t>(log->segments().size());
    return absl::OkStatus();
  }

  [[nodiscard]] absl::Status NotClean(std::string_view found) const {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{}: expected the mark of a clean stop, {}: recover the partition first (varve repair)", directory_,
                 found);
  }

  [[nodiscard]] absl::Status InspectTarget() {
    AdoptionTarget target{.path = result_.directory};
    VARVE_ASSIGN_OR_RETURN(target.exists, Exists(file_system_, target.path));
    if (target.exists) {
      VARVE_ASSIGN_OR_RETURN(const std::vector<PartitionFile> files, ListPartitionFiles(file_system_, target.path));
      for (const PartitionFile& file : files) {
        VARVE_ASSIGN_OR_RETURN(const FileInfo info, file_system_->Info(JoinPath(target.path, file.name)));
        target.entries.push_back({.file = file, .is_directory = info.is_directory, .size_bytes = info.size});
      }
      const absl::StatusOr<TopicId> topic_id =
          ReadPartitionMetadata(file_system_, JoinPath(target.path, kPartitionMetadataFile));
      if (!absl::IsNotFound(topic_id.status())) VARVE_RETURN_IF_ERROR(topic_id.status());
      if (topic_id.ok()) target.topic_id = *topic_id;
      absl::StatusOr<std::vector<LeaderEpoch>> epochs =
          ReadLeaderEpochs(file_system_, JoinPath(target.path, kLeaderEpochCheckpoint));
      if (!absl::IsNotFound(epochs.status())) VARVE_RETURN_IF_ERROR(epochs.status());
      if (epochs.ok()) target.leader_epochs = *std::move(epochs);
    }
    VARVE_ASSIGN_OR_RETURN(plan_, PlanAdoption(target, asked_topic_id_));
    VARVE_ASSIGN_OR_RETURN(former_lines_, ReadCheckpointLines(file_system_, log_directory_, result_.partition));
    VARVE_ASSIGN_OR_RETURN(result_.stopped_cleanly, Exists(file_system_, JoinPath(log_directory_, kCleanMarker)));
    result_.topic_id = FormatTopicId(plan_.topic_id);
    result_.max_leader_epoch = plan_.max_leader_epoch;
    result_.replaced_empty = target.exists;
    result_.log_start_offset = source_.extent.log_start_offset;
    result_.log_end_offset = source_.extent.log_end_offset;
    result_.last_stable_offset = source_.last_stable_offset;
    result_.producers = source_.producers;
    result_.left_behind = source_.left_behind;
    return absl::OkStatus();
  }

  // The whole copy, on stable storage, below a name that the broker would remove, and in it, where it does not look.
  [[nodiscard]] absl::Status MakeCopy() {
    VARVE_RETURN_IF_ERROR(file_system_->CreateDirectory(stage_));
    const AmendCopy limit_epochs = [this](const PartitionFile& file, File* copy) -> absl::Status {
      if (file.kind != PartitionFileKind::kLog) return absl::OkStatus();
      VARVE_ASSIGN_OR_RETURN(const int64_t restamped, LimitBatchEpochs(copy, plan_.max_leader_epoch));
      result_.batches_restamped += restamped;
      return absl::OkStatus();
    };
    VARVE_ASSIGN_OR_RETURN(result_.bytes, CopyPartitionFiles(file_system_, directory_, source_.files, copy_,
                                                             options_.copy_progress, limit_epochs));
    VARVE_RETURN_IF_ERROR(WriteLeaderEpochs(file_system_, JoinPath(copy_, kLeaderEpochCheckpoint),
                                            LimitLeaderEpochs(source_.leader_epochs, plan_.max_leader_epoch)));
    VARVE_RETURN_IF_ERROR(ReplaceFile(file_system_, JoinPath(copy_, kPartitionMetadataFile),
                                      AsBytes(FormatPartitionMetadata(plan_.topic_id))));
    VARVE_RETURN_IF_ERROR(file_system_->SyncDirectory(stage_));
    VARVE_RETURN_IF_ERROR(file_system_->SyncDirectory(log_directory_));
    VARVE_ASSIGN_OR_RETURN(const VerifyReport verified, Verify(file_system_, copy_, {}, options_.verify_progress));
    if (verified.ok) return absl::OkStatus();
    return Error(absl::StatusCode::kDataLoss,
                 "{}: expected a sound partition, found {} damaged ranges, {} faults of indexes and {} bytes of a torn "
                 "tail; nothing was handed over",
                 directory_, verified.damage.size(), verified.index_faults.size(), verified.torn_tail_bytes);
  }

  // While no directory has the name, lines of checkpoints mean nothing to a broker: it makes an empty log without
  // looking at them (LogManager.getOrCreateLog). So they change just then.
  [[nodiscard]] absl::Status PutInPlace() {
    VARVE_RETURN_IF_ERROR(broker_lock_->Check());
    if (result_.replaced_empty) {
      VARVE_RETURN_IF_ERROR(file_system_->Rename(result_.directory, replaced_));
      VARVE_RETURN_IF_ERROR(file_system_->SyncDirectory(log_directory_));
    }
    VARVE_RETURN_IF_ERROR(
        WriteCheckpointLines(file_system_, log_directory_, result_.partition, LinesOfAdopted(source_.extent)));
    VARVE_RETURN_IF_ERROR(file_system_->Rename(copy_, result_.directory));
    return file_system_->SyncDirectory(log_directory_);
  }

  // Everything as it was before PutInPlace, whatever that got to; answers why it failed.
  [[nodiscard]] absl::Status Undone(const absl::Status& status) {
    const absl::Status undone = Undo();
    if (undone.ok()) return status;
    keep_stage_ = true;
    return Annotate(status, fmt::format("undoing failed as well ({}); what was in {} is in {}", undone.ToString(),
                                        result_.directory, stage_));
  }

  [[nodiscard]] absl::Status Undo() {
    VARVE_ASSIGN_OR_RETURN(const bool copy_is_aside, Exists(file_system_, copy_));
    if (!copy_is_aside) VARVE_RETURN_IF_ERROR(file_system_->Rename(result_.directory, copy_));
    VARVE_RETURN_IF_ERROR(WriteCheckpointLines(file_system_, log_directory_, result_.partition, former_lines_));
    VARVE_ASSIGN_OR_RETURN(const bool was_replaced, Exists(file_system_, replaced_));
    if (was_replaced) VARVE_RETURN_IF_ERROR(file_system_->Rename(replaced_, result_.directory));
    return file_system_->SyncDirectory(log_directory_);
  }

  [[nodiscard]] absl::Status Abandoned(const absl::Status& status) {
    // If it fails, the broker does it.
    if (!keep_stage_) (void)RemoveTree(file_system_, stage_);
    return status;
  }

  // All at once, by its name: half a source would look like a damaged partition.
  [[nodiscard]] absl::Status RemoveSource() {
    const std::string parent = ParentDirectory(directory_);
    const std::string gone = JoinPath(parent, fmt::format(".{}.{}-moved", BaseName(directory_), UniqueSuffix()));
    VARVE_RETURN_IF_ERROR(file_system_->Rename(directory_, gone));
    VARVE_RETURN_IF_ERROR(file_system_->SyncDirectory(parent));
    result_.source_removed = true;
    VARVE_RETURN_IF_ERROR(RemoveTree(file_system_, gone));
    return file_system_->SyncDirectory(parent);
  }

  FileSystem* const file_system_;
  const std::string directory_;
  const std::string log_directory_;
  const AdoptOptions& options_;
  std::optional<TopicId> asked_topic_id_;
  std::string stage_;     // in the log directory, with what is on its way in or out
  std::string copy_;      // in the stage
  std::string replaced_;  // in the stage: the broker's empty directory
  bool keep_stage_ = false;
  std::unique_ptr<DataDirectoryLock> broker_lock_;
  std::unique_ptr<FileLock> source_lock_;
  AdoptionSource source_;
  AdoptionPlan plan_;
  CheckpointLines former_lines_;
  AdoptResult result_;
};

}  // namespace
}  // namespace internal

absl::StatusOr<AdoptResult> AdoptPartition(FileSystem* file_system, const std::string& directory,
                                           const std::string& log_directory, const AdoptOptions& options) {
  return internal::Adopter(file_system, directory, log_directory, options).Run();
}

}  // namespace varve
