#include "cli/adopt.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "cli/json_values.h"
#include "cli/output.h"
#include "cli/partition_access.h"
#include "cli/progress_bar.h"
#include "cli/quantities.h"
#include "varve/clock.h"
#include "varve/overlay_file_system.h"
#include "varve/segment.h"

namespace varve::cli {
namespace {

constexpr char kCommand[] = "adopt";

struct Adopted {
  AdoptResult result;
  // The largest of the oldest segment, which goes first by retention.
  std::optional<int64_t> oldest_timestamp_ms = std::nullopt;
};

// Absent where the segment has none, or cannot be read: that is no reason to say that nothing was handed over.
std::optional<int64_t> OldestTimestamp(FileSystem* file_system, const std::string& directory) {
  const absl::StatusOr<std::vector<int64_t>> bases = Segment::List(file_system, directory);
  if (!bases.ok() || bases->empty()) return std::nullopt;
  const absl::StatusOr<Segment> oldest = Segment::Open(file_system, directory, bases->front());
  if (!oldest.ok() || oldest->largest_timestamp().timestamp_ms < 0) return std::nullopt;
  return oldest->largest_timestamp().timestamp_ms;
}

// What the partition is to be called where no option says so.
absl::StatusOr<TopicPartition> GivenPartition(const std::string& directory) {
  const absl::StatusOr<std::string> name = NameAsGiven(directory);
  if (!name.ok()) return name.status();
  if (const std::optional<TopicPartition> partition = LivePartitionOf(*name)) return *partition;
  return Failure(absl::StatusCode::kInvalidArgument, "{}: expected a name TOPIC-N, found {}; --as gives another",
                 directory, *name);
}

// What is not there is no obstacle.
absl::Status CheckMayChange(const std::string& path) {
  if (::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0 || errno == ENOENT) return absl::OkStatus();
  return Failure(absl::StatusCode::kPermissionDenied, "{}: {}", path, std::generic_category().message(errno));
}

// Before the work, and in a dry run too. Once the source has lost its name it is too late.
absl::Status CheckMayRemove(const std::string& directory) {
  for (const std::string& path :
       {std::filesystem::path(directory).parent_path().string(), directory, directory + "/varve.lock"}) {
    if (absl::Status status = CheckMayChange(path); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// What a trial does not ask for.
absl::Status CheckMayAdoptInto(const std::string& log_directory) {
  for (const std::string& path : {log_directory, log_directory + "/.lock"}) {
    if (absl::Status status = CheckMayChange(path); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// Not from the copy either: what the broker deletes is gone then.
absl::Status CheckRetained(const AdoptSettings& settings, const std::string& directory) {
  const std::optional<int64_t> oldest_ms = OldestTimestamp(FileSystem::Default(), directory);
  if (settings.retention_ms < 0 || !oldest_ms.has_value()) return absl::OkStatus();
  if (Clock::Default()->WallMs() - *oldest_ms <= settings.retention_ms) return absl::OkStatus();
  return Failure(
      absl::StatusCode::kFailedPrecondition,
      "{}: its oldest segment ends at {}, further back than a retention.ms of {}, by which the broker deletes "
      "it: set the topic's own (kafka-configs.sh --describe prints it), and say so by --retention-ms, which is "
      "-1 too where cleanup.policy is compact; or leave --move away",
      directory, FormatTime(*oldest_ms), settings.retention_ms);
}

absl::StatusOr<Adopted> Adopt(FileSystem* file_system, const AdoptSettings& settings) {
  const absl::StatusOr<std::string> directory = CanonicalPath(settings.directory);
  if (!directory.ok()) return directory.status();
  const absl::StatusOr<std::string> log_directory = CanonicalPath(settings.log_directory);
  if (!log_directory.ok()) return log_directory.status();
  AdoptOptions options = settings.options;
  if (!options.as.has_value()) {
    const absl::StatusOr<TopicPartition> given = GivenPartition(settings.directory);
    if (!given.ok()) return given.status();
    options.as = *given;
  }
  if (options.move) {
    if (absl::Status status = CheckMayRemove(*directory); !status.ok()) return status;
    if (absl::Status status = CheckRetained(settings, *directory); !status.ok()) return status;
  }
  const auto copy_bar = std::make_shared<ProgressBar>("adopt: copy");
  options.copy_progress = UpdatesOf(copy_bar);
  const auto check_bar = std::make_shared<ProgressBar>("adopt: check");
  options.verify_progress = [copy_bar, update = UpdatesOf(check_bar)](int64_t done_bytes, int64_t total_bytes) {
    copy_bar->Finish();
    update(done_bytes, total_bytes);
  };
  absl::StatusOr<AdoptResult> result = AdoptPartition(file_system, *directory, *log_directory, options);
  if (!result.ok()) return result.status();
  if (settings.dry_run) {
    if (absl::Status status = CheckMayAdoptInto(*log_directory); !status.ok()) return status;
  }
  Adopted adopted{.result = *std::move(result)};
  adopted.oldest_timestamp_ms = OldestTimestamp(file_system, adopted.result.directory);
  return adopted;
}

// Prints the offset that the broker then serves from, or up to: `time` is "earliest" or "latest".
std::string CheckCommand(const TopicPartition& partition, std::string_view time) {
  return fmt::format("kafka-get-offsets.sh --bootstrap-server HOST:9092 --topic-partitions {}:{} --time {}",
                     partition.topic, partition.partition, time);
}

OrderedJson AdoptedJson(const AdoptSettings& settings, const Adopted& adopted) {
  const AdoptResult& result = adopted.result;
  OrderedJson oldest_timestamp_ms;
  if (adopted.oldest_timestamp_ms.has_value()) oldest_timestamp_ms = *adopted.oldest_timestamp_ms;
  return {{"dir", settings.directory},
          {"into", result.directory},
          {"dry_run", settings.dry_run},
          {"topic", result.partition.topic},
          {"partition", result.partition.partition},
          {"topic_id", result.topic_id},
          {"cluster_id", result.cluster_id},
          {"node_id", result.node_id},
          {"log_start_offset", result.log_start_offset},
          {"log_end_offset", result.log_end_offset},
          {"last_stable_offset", result.last_stable_offset},
          {"segments", result.segments},
          {"compacted", result.compacted},
          {"bytes", result.bytes},
          {"oldest_timestamp_ms", oldest_timestamp_ms},
          {"producers", result.producers},
          {"max_leader_epoch", result.max_leader_epoch},
          {"batches_restamped", result.batches_restamped},
          {"replaced_empty", result.replaced_empty},
          {"stopped_cleanly", result.stopped_cleanly},
          {"source_removed", result.source_removed},
          {"left_behind", result.left_behind},
          {"check_commands", {CheckCommand(result.partition, "earliest"), CheckCommand(result.partition, "latest")}}};
}

void PrintWhatWasDone(const AdoptSettings& settings, const AdoptResult& result, Output* out) {
  out->Print("{}: {} {}\n", settings.directory, settings.dry_run ? "would be adopted into" : "adopted into",
             result.directory);
  out->Print("  cluster {}, node {}; topic id {}{}\n", result.cluster_id, result.node_id, result.topic_id,
             result.replaced_empty ? ", of the empty partition in whose place it is" : "");
  out->Print("  offsets {} to {}, {} in {} segments, every checksum checked\n", result.log_start_offset,
             result.log_end_offset, FormatBytes(result.bytes), FormatCount(result.segments));
  if (result.batches_restamped > 0) {
    out->Print("  {} batches bore a leader epoch above {}, the broker's latest: in the copy they bear that one\n",
               FormatCount(result.batches_restamped), result.max_leader_epoch);
  }
  if (!result.left_behind.empty()) {
    out->Print("  not taken along: {}\n", fmt::join(result.left_behind, ", "));
  }
  if (settings.options.move) {
    out->Print("  {} {}\n", settings.directory, settings.dry_run ? "would be removed" : "was removed");
  } else {
    out->Print("  {} stays as it is\n", settings.directory);
  }
}

void PrintWhatToKnow(const AdoptSettings& settings, const Adopted& adopted, Output* out) {
  const AdoptResult& result = adopted.result;
  if (!settings.replication_factor.has_value()) {
    out->Print(
        "  kafka-topics.sh --describe --topic {} must tell of ReplicationFactor: 1. Where there are more, this broker "
        "comes back as a follower, and cuts the log down to its leader's, which is empty\n",
        result.partition.topic);
  }
  if (!result.stopped_cleanly) {
    out->Print("  the broker was not stopped cleanly: it will check its logs when it starts\n");
  }
  if (adopted.oldest_timestamp_ms.has_value()) {
    out->Print(
        "  the oldest segment ends at {}: the topic's retention.ms, 7 days by default, must reach back to that, and "
        "its retention.bytes, if any, hold {}\n",
        FormatTime(*adopted.oldest_timestamp_ms), FormatBytes(result.bytes));
  }
  if (result.compacted) {
    out->Print("  the log was compacted: that goes on where the topic's cleanup.policy is compact\n");
  }
  if (result.last_stable_offset < result.log_end_offset) {
    out->Print(
        "  a transaction is open from offset {} on, which nobody in the cluster will end; read_committed consumers "
        "stop "
        "there until kafka-transactions.sh abort --topic {} --partition {} --start-offset {} has\n",
        result.last_stable_offset, result.partition.topic, result.partition.partition, result.last_stable_offset);
  }
  if (result.producers > 0) {
    out->Print(
        "  {} producers of open transactions go along, so that these can be aborted: should one of the cluster get "
        "the id of one meanwhile, its batches are refused, or taken for some that are there already\n",
        FormatCount(result.producers));
  }
}

void PrintWhatIsNext(const AdoptResult& result, Output* out) {
  const auto answer = [&](std::string_view time, int64_t offset) {
    out->Print("  {}:{}:{} is what this answers: {}\n", result.partition.topic, result.partition.partition, offset,
               CheckCommand(result.partition, time));
  };
  out->Print("next: start the broker\n");
  answer("earliest", result.log_start_offset);
  answer("latest", result.log_end_offset);
}

// What must be done first, the message says; the partition is not what it is expected to be.
ExitStatus ComplainOf(const absl::Status& status) {
  if (absl::IsFailedPrecondition(status)) return Complain(kCommand, ExitStatus::kDataWrong, MessageOf(status));
  return Complain(kCommand, status);
}

}  // namespace

ExitStatus RunAdopt(const AdoptSettings& settings) {
  if (absl::Status status = CheckPartition(FileSystem::Default(), settings.directory); !status.ok()) {
    return Complain(kCommand, status);
  }
  OverlayFileSystem trial(FileSystem::Default());
  const absl::StatusOr<Adopted> adopted = Adopt(settings.dry_run ? &trial : FileSystem::Default(), settings);
  if (!adopted.ok()) return ComplainOf(adopted.status());
  Output out;
  if (settings.json) {
    out.Print("{}\n", JsonText(AdoptedJson(settings, *adopted)));
  } else {
    PrintWhatWasDone(settings, adopted->result, &out);
    PrintWhatToKnow(settings, *adopted, &out);
    if (!settings.dry_run) PrintWhatIsNext(adopted->result, &out);
  }
  return out.Finish(kCommand, ExitStatus::kDone);
}

}  // namespace varve::cli
