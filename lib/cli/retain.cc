#include "cli/retain.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cli/json_values.h"
#include "cli/output.h"
#include "cli/partition_access.h"
#include "cli/quantities.h"

namespace varve::cli {
namespace {

constexpr char kCommand[] = "retain";

// What retention does, or has done, to a log.
struct Retained {
  RetentionResult result;
  RecoveryReport report;
  int64_t start_before = 0;
  int64_t log_end_offset = 0;
  std::optional<int64_t> broker_log_start_offset;  // below Kafka's data directory

  bool changes_nothing() const { return result.deleted.empty() && result.log_start_offset == start_before; }
};

RetentionOptions LimitsOf(const RetainSettings& settings) {
  RetentionOptions limits = settings.limits;
  limits.retention_ms = limits.retention_ms.value_or(-1);
  limits.retention_bytes = limits.retention_bytes.value_or(-1);
  return limits;
}

// The first offset that a broker will serve of a log that then begins with this segment: it knows nothing of varve's log
// start, which may lie within (LogLoader.load). Absent where no broker looks.
absl::StatusOr<std::optional<int64_t>> BrokerLogStart(const std::string& directory, int64_t first_base_offset) {
  const absl::StatusOr<std::string> path = CanonicalPath(directory);
  if (!path.ok()) return path.status();
  const absl::StatusOr<DataDirectory> data = DataDirectory::Of(FileSystem::Default(), *path);
  if (!data.ok()) return data.status();
  if (!data->is_kafka()) return std::nullopt;
  return std::max(first_base_offset, data->marks().log_start_offset.value_or(0));
}

absl::StatusOr<Retained> Foresee(const RetainSettings& settings) {
  const absl::StatusOr<std::unique_ptr<Log>> log = OpenForReading(kCommand, settings.directory);
  if (!log.ok()) return log.status();
  absl::StatusOr<RetentionResult> result = (*log)->PlanRetention(LimitsOf(settings));
  if (!result.ok()) return result.status();
  const int64_t first_base_offset =
      result->deleted.empty() ? (*log)->segments().front().base_offset : result->deleted.back().next_offset;
  const absl::StatusOr<std::optional<int64_t>> broker_start = BrokerLogStart(settings.directory, first_base_offset);
  if (!broker_start.ok()) return broker_start.status();
  return Retained{.result = *std::move(result),
                  .report = (*log)->recovery_report(),
                  .start_before = (*log)->log_start_offset(),
                  .log_end_offset = (*log)->log_end_offset(),
                  .broker_log_start_offset = *broker_start};
}

absl::StatusOr<Retained> Apply(const RetainSettings& settings) {
  LogOptions options;
  options.create = false;
  options.file_delete_delay_ms = 0;  // who runs this wants the room
  // Opening forgets producers that have been idle for long.
  std::optional<StoppedClock> stopped_clock;
  if (settings.limits.now_ms.has_value()) options.clock = &stopped_clock.emplace(*settings.limits.now_ms);
  absl::StatusOr<WritablePartition> partition = OpenForWriting(kCommand, settings.directory, options);
  if (!partition.ok()) return partition.status();
  Log* const log = partition->log.get();
  const int64_t start_before = log->log_start_offset();
  absl::StatusOr<RetentionResult> result = log->ApplyRetention(LimitsOf(settings));
  const absl::Status closed = log->Close();
  if (!result.ok()) return result.status();
  if (!closed.ok()) return closed;
  const absl::StatusOr<std::optional<int64_t>> broker_start =
      BrokerLogStart(settings.directory, log->segments().front().base_offset);
  if (!broker_start.ok()) return broker_start.status();
  return Retained{.result = *std::move(result),
                  .report = log->recovery_report(),
                  .start_before = start_before,
                  .log_end_offset = log->log_end_offset(),
                  .broker_log_start_offset = *broker_start};
}

std::string_view NameOf(RetentionRule rule) {
  switch (rule) {
    case RetentionRule::kLogStart:
      return "offset";
    case RetentionRule::kSize:
      return "size";
    case RetentionRule::kTime:
      return "time";
  }
  return "?";
}

int64_t BytesBefore(const RetentionResult& result) {
  int64_t bytes = result.size_bytes;
  for (const RetiredSegment& segment : result.deleted) bytes += segment.size_bytes;
  return bytes;
}

OrderedJson BlockJson(const RetentionBlock& block) {
  return {{"segment", block.base_offset},
          {"next_offset", block.next_offset},
          {"timestamp", block.timestamp_ms.has_value() ? OrderedJson(*block.timestamp_ms) : OrderedJson()},
          {"ahead_ms", block.ahead_ms},
          {"due_segments", block.due_segments},
          {"due_bytes", block.due_bytes}};
}

OrderedJson RetainedJson(const RetainSettings& settings, const Retained& retained) {
  const RetentionResult& result = retained.result;
  OrderedJson deleted = OrderedJson::array();
  for (const RetiredSegment& segment : result.deleted) {
    deleted.push_back({{"segment", segment.base_offset},
                       {"next_offset", segment.next_offset},
                       {"bytes", segment.size_bytes},
                       {"rule", NameOf(segment.rule)}});
  }
  return {
      {"dir", settings.directory},
      {"dry_run", settings.dry_run},
      {"log_start_offset", result.log_start_offset},
      {"log_end_offset", retained.log_end_offset},
      {"log_start_offset_before", retained.start_before},
      {"broker_log_start_offset",
       retained.broker_log_start_offset.has_value() ? OrderedJson(*retained.broker_log_start_offset) : OrderedJson()},
      {"bytes", result.size_bytes},
      {"bytes_before", BytesBefore(result)},
      {"deleted", deleted},
      {"blocked", result.block.has_value() ? BlockJson(*result.block) : OrderedJson()},
      {"active_left", result.active_left},
      {"files_left", result.files_left},
      {"report", ReportJson(retained.report)}};
}

void PrintBlock(const RetainSettings& settings, const RetentionBlock& block, Output* out) {
  const std::string why = block.timestamp_ms.has_value() ? fmt::format("its largest timestamp, {}, lies in the future",
                                                                       FormatTime(*block.timestamp_ms))
                                                         : "it has no timestamps";
  out->Print(
      "  stuck: {} segments ({}) behind segment {} are older than --retention-ms and stay: {}\n"
      "  what to do: `varve retain {} --before-offset {}` deletes it, or --retention-bytes, whatever its time is\n",
      FormatCount(block.due_segments), FormatBytes(block.due_bytes), block.base_offset, why, settings.directory,
      block.next_offset);
}

void PrintRetained(const RetainSettings& settings, const Retained& retained, Output* out) {
  const RetentionResult& result = retained.result;
  if (retained.changes_nothing()) {
    out->Print("{}: nothing to delete", settings.directory);
  } else {
    out->Print("{}: {}{} segments, {}", settings.directory, settings.dry_run ? "would delete " : "deleted ",
               FormatCount(static_cast<int64_t>(result.deleted.size())),
               FormatBytes(BytesBefore(result) - result.size_bytes));
  }
  out->Print("; offsets {} to {}, {}\n", result.log_start_offset, retained.log_end_offset,
             FormatBytes(result.size_bytes));
  for (const RetiredSegment& segment : result.deleted) {
    out->Print("  segment {}, {}: by {}\n", segment.base_offset, FormatBytes(segment.size_bytes), NameOf(segment.rule));
  }
  if (retained.broker_log_start_offset.value_or(result.log_start_offset) < result.log_start_offset) {
    out->Print(
        "  a broker will serve from offset {} on, as its log-start-offset-checkpoint is not raised; while it runs, "
        "kafka-delete-records.sh does that\n",
        *retained.broker_log_start_offset);
  }
  if (result.block.has_value()) PrintBlock(settings, *result.block, out);
  if (result.active_left)
    out->Write("  the last segment is due, too: there is no room to begin another; run it again\n");
  if (result.files_left > 0) {
    out->Print("  {} files named .deleted could not be removed; the next opening tries again\n", result.files_left);
  }
}

}  // namespace

ExitStatus RunRetain(const RetainSettings& settings) {
  absl::StatusOr<Retained> retained = Foresee(settings);
  if (retained.ok() && !settings.dry_run && !retained->changes_nothing()) retained = Apply(settings);
  if (!retained.ok()) return Complain(kCommand, retained.status());
  Output out;
  if (settings.json) {
    out.Print("{}\n", JsonText(RetainedJson(settings, *retained)));
  } else {
    PrintRetained(settings, *retained, &out);
  }
  return out.Finish(kCommand, ExitStatus::kDone);
}

}  // namespace varve::cli
