#include <memory>
#include <utility>

#include "base/bytes.h"
#include "base/path.h"
#include "base/status.h"
#include "io/whole_file.h"
#include "log/leader_epoch_limit.h"
#include "log/partition_lock.h"
#include "segment/segment_files.h"
#include "state/checkpoint_file.h"
#include "state/partition_metadata.h"
#include "state/producer_snapshot.h"
#include "store/adoption_plan.h"
#include "store/adoption_source.h"
#include "store/adoption_stage.h"
#include "store/data_directory_files.h"
#include "store/partition_copy.h"
#include "varve/hand_over.h"
#include "varve/partition_files.h"
#include "varve/verify.h"

namespace varve {
namespace internal {
namespace {

// Of the quorum that all brokers read their settings from.
constexpr char kClusterMetadataTopic[] = "__cluster_metadata";

// What an error means that comes of the broker's own checkpoints.
absl::Status OfCheckpoints(const absl::Status& status) {
  if (!absl::IsDataLoss(status)) return status;
  // Nothing is wrong with the partition.
  return Error(absl::StatusCode::kFailedPrecondition,
               "{}: a line of the broker's own file cannot be set before it is mended", std::string(status.message()));
}

// Of a source that is being removed, beside where it was.
std::string NameOfGone(const std::string& directory, std::string_view unique) {
  return CappedName(fmt::format(".{}", BaseName(directory)), fmt::format(".{}-moved", unique));
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
    VARVE_RETURN_IF_ERROR(OfCheckpoints(ClearAdoptionStages(file_system_, log_directory_, result_.partition)));
    VARVE_RETURN_IF_ERROR(InspectTarget());
    if (options_.move) VARVE_RETURN_IF_ERROR(CheckMayRemoveSource());
    if (const absl::Status status = MakeCopy(); !status.ok()) return Abandoned(status);
    // Before anything of the broker's is touched: what one has written since is not undone.
    if (const absl::Status status = broker_lock_->Check(); !status.ok()) return Abandoned(status);
    if (const absl::Status status = PutInPlace(); !status.ok()) return Abandoned(Undone(status));
    // The broker removes it too.
    (void)RemoveTree(file_system_, stage_.path);
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
    if (broker->cluster_id.empty() || broker->node_id.empty()) {
      return Error(absl::StatusCode::kInvalidArgument,
                   "{}: expected a {} with cluster.id and node.id, found '{}' and '{}'", log_directory_,
                   kMetaProperties, broker->cluster_id, broker->node_id);
    }
    result_.cluster_id = broker->cluster_id;
    result_.node_id = broker->node_id;
    VARVE_ASSIGN_OR_RETURN(const bool in_log_directory, HoldsKafkaFiles(file_system_, ParentDirectory(directory_)));
    if (in_log_directory) {
      return Error(absl::StatusCode::kInvalidArgument,
                   "{}: expected a partition by itself, found one in a log directory of Kafka: export it first",
                   directory_);
    }
    const std::string name = options_.as.has_value() ? options_.as->DirectoryName() : BaseName(directory_);
    const std::optional<TopicPartition> named = LivePartitionOf(name);
    if (!named.has_value() || options_.as.value_or(*named) != *named) {
      return Error(absl::StatusCode::kInvalidArgument, "{}: expected a name TOPIC-N, found {}", directory_, name);
    }
    result_.partition = *named;
    VARVE_RETURN_IF_ERROR(CheckTopicName(result_.partition.topic));
    if (result_.partition.topic == kClusterMetadataTopic) {
      return Error(absl::StatusCode::kInvalidArgument, "{}: expected a topic of records, found the cluster's own {}",
                   directory_, kClusterMetadataTopic);
    }
    if (options_.topic_id.has_value()) {
      VARVE_ASSIGN_OR_RETURN(asked_topic_id_, ParseTopicId(*options_.topic_id));
    }
    result_.directory = JoinPath(log_directory_, result_.partition.DirectoryName());
    stage_ = NewAdoptionStage(log_directory_, result_.partition);
    return absl::OkStatus();
  }

  [[nodiscard]] absl::Status Lock() {
    VARVE_ASSIGN_OR_RETURN(
        broker_lock_, DataDirectoryLock::Take(file_system_, log_directory_, LockKind::kExclusive, Access::kReadWrite));
    // As with the broker's: an overlay only tells of its base's.
    VARVE_ASSIGN_OR_RETURN(const bool held, PartitionIsLocked(file_system_, directory_));
    // What is only copied may be another user's.
    VARVE_ASSIGN_OR_RETURN(source_lock_, options_.move ? LockPartition(file_system_, directory_)
                                                       : LockPartitionForReading(file_system_, directory_));
    if (!held) return absl::OkStatus();
    return Error(absl::StatusCode::kUnavailable, "{}: the partition is open for writing elsewhere", directory_);
  }

  [[nodiscard]] absl::Status InspectSource() {
    VARVE_ASSIGN_OR_RETURN(source_, InspectAdoptionSource(file_system_, directory_, options_.move));
    result_.log_start_offset = source_.extent.log_start_offset;
    result_.log_end_offset = source_.extent.log_end_offset;
    result_.last_stable_offset = source_.last_stable_offset;
    result_.segments = static_cast<int64_t>(source_.segments.size());
    result_.producers = static_cast<int64_t>(source_.producers.size());
    result_.left_behind = source_.left_behind;
    result_.compacted = LinesOfAdopted(source_.extent).first_dirty_offset.has_value();
    return absl::OkStatus();
  }

  [[nodiscard]] absl::Status InspectTarget() {
    AdoptionTarget target{.path = result_.directory, .partition = result_.partition};
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
    if (!target.topic_id.has_value()) {
      VARVE_ASSIGN_OR_RETURN(target.neighbours, Neighbours());
    }
    VARVE_ASSIGN_OR_RETURN(plan_, PlanAdoption(target, asked_topic_id_));
    VARVE_RETURN_IF_ERROR(ReadFormerLines());
    VARVE_ASSIGN_OR_RETURN(result_.stopped_cleanly, Exists(file_system_, JoinPath(log_directory_, kCleanMarker)));
    result_.topic_id = FormatTopicId(plan_.topic_id);
    result_.max_leader_epoch = plan_.max_leader_epoch;
    result_.replaced_empty = target.exists;
    return absl::OkStatus();
  }

  [[nodiscard]] absl::Status ReadFormerLines() {
    const absl::StatusOr<CheckpointLines> lines = ReadCheckpointLines(file_system_, log_directory_, result_.partition);
    VARVE_RETURN_IF_ERROR(OfCheckpoints(lines.status()));
    former_lines_ = *lines;
    return absl::OkStatus();
  }

  // The other partitions in the log directory.
  [[nodiscard]] absl::StatusOr<std::vector<Neighbour>> Neighbours() {
    std::vector<Neighbour> neighbours;
    VARVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, file_system_->List(log_directory_));
    for (const std::string& name : names) {
      const std::optional<TopicPartition> partition = LivePartitionOf(name);
      if (!partition.has_value() || *partition == result_.partition) continue;
      Neighbour neighbour{.partition = *partition};
      // What cannot be read tells nothing.
      const absl::StatusOr<TopicId> topic_id =
          ReadPartitionMetadata(file_system_, JoinPath(JoinPath(log_directory_, name), kPartitionMetadataFile));
      if (topic_id.ok()) neighbour.topic_id = *topic_id;
      neighbours.push_back(std::move(neighbour));
    }
    return neighbours;
  }

  // Before the work of a copy: the directory that holds the source may be another user's.
  [[nodiscard]] absl::Status CheckMayRemoveSource() {
    const std::string parent = ParentDirectory(directory_);
    gone_ = JoinPath(parent, NameOfGone(directory_, UniqueSuffix()));
    VARVE_RETURN_IF_ERROR(Annotate(file_system_->CreateDirectory(gone_), "the source could not be removed"));
    VARVE_RETURN_IF_ERROR(file_system_->RemoveDirectory(gone_));
    // What is left of earlier ones whose removal was cut short.
    VARVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, file_system_->List(parent));
    const auto name_of_gone = [this](std::string_view unique) { return NameOfGone(directory_, unique); };
    for (const std::string& name : names) {
      if (!IsNameWithUniqueSuffix(name, name_of_gone)) continue;
      VARVE_RETURN_IF_ERROR(RemoveTree(file_system_, JoinPath(parent, name)));
    }
    return absl::OkStatus();
  }

  // The whole copy, on stable storage, below a name that the broker would remove, and in it, where it does not look.
  [[nodiscard]] absl::Status MakeCopy() {
    VARVE_RETURN_IF_ERROR(file_system_->CreateDirectory(stage_.path));
    const AmendCopy limit_epochs = [this](const PartitionFile& file, File* copy) -> absl::Status {
      if (file.kind != PartitionFileKind::kLog) return absl::OkStatus();
      VARVE_ASSIGN_OR_RETURN(const int64_t restamped, LimitBatchEpochs(copy, plan_.max_leader_epoch));
      result_.batches_restamped += restamped;
      return absl::OkStatus();
    };
    // A log is closed only after a sync that succeeded.
    VARVE_ASSIGN_OR_RETURN(
        result_.bytes, CopyPartitionFiles(file_system_, directory_, source_.files, stage_.copy, SourceBytes::kStable,
                                          options_.copy_progress, limit_epochs));
    VARVE_RETURN_IF_ERROR(WriteLeaderEpochs(file_system_, JoinPath(stage_.copy, kLeaderEpochCheckpoint),
                                            LimitLeaderEpochs(source_.leader_epochs, plan_.max_leader_epoch)));
    VARVE_RETURN_IF_ERROR(ReplaceFile(file_system_, JoinPath(stage_.copy, kPartitionMetadataFile),
                                      AsBytes(FormatPartitionMetadata(plan_.topic_id))));
    VARVE_RETURN_IF_ERROR(AddEmptySegment());
    VARVE_RETURN_IF_ERROR(file_system_->SyncDirectory(stage_.path));
    VARVE_RETURN_IF_ERROR(file_system_->SyncDirectory(log_directory_));
    return CheckCopy();
  }

  // What the broker writes comes into a segment of its own, before which it knows of no producer of the host.
  [[nodiscard]] absl::Status AddEmptySegment() {
    const int64_t end = source_.extent.log_end_offset;
    if (NeedsEmptySegment(source_.segments, end)) {
      for (const SegmentFileKind kind :
           {SegmentFileKind::kLog, SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex}) {
        const std::string path = JoinPath(stage_.copy, SegmentFileName(end, kind));
        VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, file_system_->Open(path, OpenMode::kCreate));
        VARVE_RETURN_IF_ERROR(file->SyncData());
      }
      ++result_.segments;
    }
    VARVE_RETURN_IF_ERROR(WriteProducerSnapshot(file_system_, JoinPath(stage_.copy, ProducerSnapshotName(end)),
                                                source_.producers, SnapshotSync::kDurable));
    return file_system_->SyncDirectory(stage_.copy);
  }

  [[nodiscard]] absl::Status CheckCopy() {
    VARVE_RETURN_IF_ERROR(CheckAdoptedCopy(file_system_, stage_.copy, source_));
    VARVE_ASSIGN_OR_RETURN(const VerifyReport verified,
                           Verify(file_system_, stage_.copy, {}, options_.verify_progress));
    if (verified.ok) return absl::OkStatus();
    return Error(absl::StatusCode::kDataLoss,
                 "{}: expected a sound partition, found {} damaged ranges, {} faults of indexes and {} bytes of a torn "
                 "tail; nothing was handed over",
                 directory_, verified.damage.size(), verified.index_faults.size(), verified.torn_tail_bytes);
  }

  // While no directory has the name, lines of checkpoints mean nothing to a broker: it makes an empty log without
  // looking at them (LogManager.getOrCreateLog). So they change just then.
  [[nodiscard]] absl::Status PutInPlace() {
    if (result_.replaced_empty) {
      VARVE_RETURN_IF_ERROR(file_system_->Rename(result_.directory, stage_.replaced));
      VARVE_RETURN_IF_ERROR(file_system_->SyncDirectory(log_directory_));
    }
    VARVE_RETURN_IF_ERROR(
        WriteCheckpointLines(file_system_, log_directory_, result_.partition, LinesOfAdopted(source_.extent)));
    VARVE_RETURN_IF_ERROR(file_system_->Rename(stage_.copy, result_.directory));
    return file_system_->SyncDirectory(log_directory_);
  }

  // Everything as it was before PutInPlace, whatever that got to; answers why it failed.
  [[nodiscard]] absl::Status Undone(const absl::Status& status) {
    // Once what was put aside has its name back, a power loss may still take that back, and must find the stage then.
    keep_stage_ = result_.replaced_empty;
    const absl::Status undone = Undo();
    if (undone.ok()) return status;
    const bool is_aside = keep_stage_ && Exists(file_system_, stage_.replaced).value_or(true);
    const std::string where =
        is_aside ? fmt::format("; what was in {} is in {}", result_.directory, stage_.path) : std::string();
    return Annotate(status, fmt::format("undoing failed as well ({}){}", undone.ToString(), where));
  }

  [[nodiscard]] absl::Status Undo() {
    VARVE_ASSIGN_OR_RETURN(const bool copy_is_aside, Exists(file_system_, stage_.copy));
    if (!copy_is_aside) {
      VARVE_RETURN_IF_ERROR(file_system_->Rename(result_.directory, stage_.copy));
      VARVE_RETURN_IF_ERROR(file_system_->SyncDirectory(stage_.path));
    }
    // It may be what fills the disk, on which no checkpoint can be written then. Its name stays: should this process
    // die, that tells the next adoption whose the directory beside it is.
    (void)RemoveContent(file_system_, stage_.copy);
    const absl::Status lines = WriteCheckpointLines(file_system_, log_directory_, result_.partition, former_lines_);
    VARVE_ASSIGN_OR_RETURN(const bool was_replaced, Exists(file_system_, stage_.replaced));
    if (was_replaced) VARVE_RETURN_IF_ERROR(file_system_->Rename(stage_.replaced, result_.directory));
    VARVE_RETURN_IF_ERROR(file_system_->SyncDirectory(log_directory_));
    keep_stage_ = false;
    return lines;
  }

  [[nodiscard]] absl::Status Abandoned(const absl::Status& status) {
    // If it fails, the next adoption does it, or the broker.
    if (!keep_stage_) (void)RemoveTree(file_system_, stage_.path);
    return status;
  }

  // All at once, by its name: half a source would look like a damaged partition.
  [[nodiscard]] absl::Status RemoveSource() {
    const std::string parent = ParentDirectory(directory_);
    VARVE_RETURN_IF_ERROR(file_system_->Rename(directory_, gone_));
    VARVE_RETURN_IF_ERROR(file_system_->SyncDirectory(parent));
    result_.source_removed = true;
    VARVE_RETURN_IF_ERROR(RemoveTree(file_system_, gone_));
    return file_system_->SyncDirectory(parent);
  }

  FileSystem* const file_system_;
  const std::string directory_;
  const std::string log_directory_;
  const AdoptOptions& options_;
  std::optional<TopicId> asked_topic_id_;
  AdoptionStage stage_;
  std::string gone_;  // the source, when it is being removed
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
