#include "store/adoption_plan.h"

#include <algorithm>

#include "base/status.h"

namespace varve::internal {
namespace {

// Why an entry is none that a log has which never held a record; empty if it is one.
std::string ReasonNotEmpty(const TargetEntry& entry) {
  if (entry.is_directory) return fmt::format("a directory {}", entry.file.name);
  switch (entry.file.kind) {
    case PartitionFileKind::kLog:
      if (entry.size_bytes > 0) return fmt::format("{} bytes in {}", entry.size_bytes, entry.file.name);
      if (entry.file.offset > 0) return fmt::format("{}: it has held records", entry.file.name);
      return {};
    case PartitionFileKind::kOffsetIndex:
    case PartitionFileKind::kTimeIndex:
    case PartitionFileKind::kTransactionIndex:
    case PartitionFileKind::kSnapshot:
    case PartitionFileKind::kLeaderEpochs:
    case PartitionFileKind::kPartitionMetadata:
    case PartitionFileKind::kOwn:
      return {};
    case PartitionFileKind::kSavedAside:
    case PartitionFileKind::kLeftover:
    case PartitionFileKind::kOther:
      break;
  }
  return entry.file.name;
}

// As in the names of metrics, where Kafka writes '_' for '.' (Topic.hasCollision).
bool Collide(std::string a, std::string b) {
  for (std::string* const topic : {&a, &b}) std::ranges::replace(*topic, '.', '_');
  return a == b;
}

// The broker would take the id for another topic's, or the topic for another.
absl::Status CheckNeighbours(const AdoptionTarget& target, const TopicId& asked) {
  const std::string& topic = target.partition.topic;
  for (const Neighbour& neighbour : target.neighbours) {
    const std::string name = neighbour.partition.DirectoryName();
    const bool same_topic = neighbour.partition.topic == topic;
    if (!same_topic && Collide(neighbour.partition.topic, topic)) {
      return Error(
          absl::StatusCode::kInvalidArgument,
          "{}: expected a topic that Kafka tells from all others, found {} beside it: '.' and '_' are one to it",
          target.path, name);
    }
    if (neighbour.topic_id.has_value() && same_topic != (*neighbour.topic_id == asked)) {
      return Error(absl::StatusCode::kInvalidArgument, "{}: expected the topic's id, found {}, while {} has {}",
                   target.path, FormatTopicId(asked), name, FormatTopicId(*neighbour.topic_id));
    }
  }
  return absl::OkStatus();
}

// The broker's own word; where it has said nothing, what is asked for, unless what lies beside it contradicts.
absl::StatusOr<TopicId> DecideTopicId(const AdoptionTarget& target, const std::optional<TopicId>& asked) {
  if (target.topic_id.has_value()) {
    if (asked.value_or(*target.topic_id) == *target.topic_id) return *target.topic_id;
    return Error(absl::StatusCode::kInvalidArgument,
                 "{}: expected the broker's id of the topic, {}, found {}: under another id the broker sets the "
                 "partition aside",
                 target.path, FormatTopicId(*target.topic_id), FormatTopicId(*asked));
  }
  if (asked.has_value()) {
    VARVE_RETURN_IF_ERROR(CheckNeighbours(target, *asked));
    return *asked;
  }
  if (target.exists) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{}: expected a {} with the topic's id, found none: start the broker once, or name the id",
                 target.path, kPartitionMetadataFile);
  }
  return Error(absl::StatusCode::kFailedPrecondition,
               "{}: expected the directory that the broker makes for the partition, found none: create the topic in "
               "Kafka, stop the broker, and name the log directory in which it has made it",
               target.path);
}

}  // namespace

absl::StatusOr<AdoptionPlan> PlanAdoption(const AdoptionTarget& target, const std::optional<TopicId>& asked) {
  for (const TargetEntry& entry : target.entries) {
    if (const std::string reason = ReasonNotEmpty(entry); !reason.empty()) {
      return Error(absl::StatusCode::kAlreadyExists,
                   "{}: expected a partition that has never held a record, found {}; nothing is overwritten: delete "
                   "the topic in Kafka and create it anew, or adopt under another name",
                   target.path, reason);
    }
  }
  VARVE_ASSIGN_OR_RETURN(const TopicId topic_id, DecideTopicId(target, asked));
  if (!target.exists) return AdoptionPlan{.topic_id = topic_id};
  if (target.leader_epochs.empty()) {
    return Error(absl::StatusCode::kFailedPrecondition,
                 "{}: expected a partition that this broker leads, found no leader epoch: a follower would cut the log "
                 "down to its leader's. With replication factor 1, start the broker, wait until the topic has a "
                 "leader, and stop it again",
                 target.path);
  }
  return AdoptionPlan{.topic_id = topic_id,
                      .max_leader_epoch = std::ranges::max(target.leader_epochs, {}, &LeaderEpoch::epoch).epoch};
}

bool NeedsEmptySegment(const std::vector<SegmentExtent>& segments, int64_t log_end_offset) {
  return segments.empty() || segments.back().base_offset != log_end_offset;
}

CheckpointLines LinesOfAdopted(const AdoptedExtent& extent) {
  CheckpointLines lines{.recovery_point = extent.log_end_offset, .high_watermark = extent.log_end_offset};
  if (extent.log_start_offset > extent.first_base_offset) lines.log_start_offset = extent.log_start_offset;
  if (extent.first_dirty_offset > extent.log_start_offset) lines.first_dirty_offset = extent.first_dirty_offset;
  return lines;
}

}  // namespace varve::internal
