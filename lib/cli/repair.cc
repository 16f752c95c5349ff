#include "cli/repair.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "cli/json_values.h"
#include "cli/output.h"
#include "cli/partition_access.h"
#include "cli/progress_bar.h"
#include "cli/quantities.h"
#include "cli/report_text.h"
#include "varve/overlay_file_system.h"
#include "varve/partition_files.h"
#include "varve/verify.h"

namespace varve::cli {
namespace {

constexpr char kCommand[] = "repair";

// True if the partition was left as it is. A repair of anything recovers at least one segment; what the report then
// lists all the same is what the next opening for writing will do.
bool WasLeftAlone(const RepairSettings& settings, const RecoveryReport& report) {
  return !settings.options.force && report.clean && report.segments_recovered == 0;
}

struct RepairResult {
  RecoveryReport report;
  int64_t bytes = 0;  // of the log afterwards
};

absl::StatusOr<RepairResult> RepairOn(FileSystem* file_system, const RepairSettings& settings, RepairOptions options,
                                      std::string_view bar_title) {
  const auto bar = std::make_shared<ProgressBar>(bar_title);
  options.progress = UpdatesOf(bar);
  absl::StatusOr<RecoveryReport> report = Repair(file_system, settings.directory, options);
  if (!report.ok()) return report.status();
  const absl::StatusOr<int64_t> bytes = LogBytes(file_system, settings.directory);
  if (!bytes.ok()) return bytes.status();
  return RepairResult{.report = *std::move(report), .bytes = *bytes};
}

absl::StatusOr<RepairResult> TryRepair(const RepairSettings& settings, RepairOptions options) {
  OverlayFileSystem trial(FileSystem::Default());
  return RepairOn(&trial, settings, std::move(options), "repair (trial)");
}

absl::Status LowerTo(const RecoveryReport& report, DataDirectory* data) {
  return data->LowerCheckpoints(report.log_end_offset, report.log_start_offset);
}

absl::StatusOr<RepairResult> RepairInPlace(const RepairSettings& settings, RepairOptions options, DataDirectory* data) {
  if (absl::Status status = CheckNoWriter(FileSystem::Default(), settings.directory); !status.ok()) return status;
  if (data->is_kafka()) {
    // A directory that needs nothing, or whose repair would fail, shall keep its clean marker.
    absl::StatusOr<RepairResult> trial = TryRepair(settings, options);
    if (!trial.ok() || WasLeftAlone(settings, trial->report)) return trial;
    if (absl::Status status = PrepareForWriting(kCommand, data); !status.ok()) return status;
    options.marks = data->marks();
    // Before the log is cut: a checkpoint that is too low costs Kafka a scan, one that is too high vouches for what
    // is not there.
    if (absl::Status status = LowerTo(trial->report, data); !status.ok()) return status;
  }
  absl::StatusOr<RepairResult> result = RepairOn(FileSystem::Default(), settings, std::move(options), kCommand);
  if (result.ok()) {
    if (absl::Status status = LowerTo(result->report, data); !status.ok()) return status;
  }
  return result;
}

void PrintRepairSummary(const RepairSettings& settings, const RepairResult& result, Output* out) {
  const RecoveryReport& report = result.report;
  if (settings.json) {
    const OrderedJson json = {{"dir", settings.directory},
                              {"dry_run", settings.dry_run},
                              {"log_start_offset", report.log_start_offset},
                              {"log_end_offset", report.log_end_offset},
                              {"bytes", result.bytes},
                              {"bytes_scanned", report.bytes_scanned},
                              {"bytes_cut", report.bytes_cut},
                              {"bytes_saved_aside", report.bytes_saved_aside},
                              {"report", ReportJson(report)}};
    out->Print("{}\n", JsonText(json));
    return;
  }
  if (WasLeftAlone(settings, report)) {
    out->Print("{}: clean and sound, nothing to repair; offsets {} to {}\n", settings.directory,
               report.log_start_offset, report.log_end_offset);
    return;
  }
  out->Print("{}: {}\n", settings.directory,
             settings.dry_run ? "repair would do this (nothing was changed)" : "repaired");
  PrintReport(report, out);
}

}  // namespace

ExitStatus RunRepair(const RepairSettings& settings) {
  FileSystem* const file_system = FileSystem::Default();
  if (absl::Status status = CheckPartition(file_system, settings.directory); !status.ok()) {
    return Complain(kCommand, status);
  }
  absl::StatusOr<DataDirectory> data = ReadMarks(kCommand, file_system, settings.directory);
  if (!data.ok()) return Complain(kCommand, data.status());

  RepairOptions options = settings.options;
  options.marks = data->marks();
  std::optional<StoppedClock> stopped_clock;
  if (settings.now_ms.has_value()) options.clock = &stopped_clock.emplace(*settings.now_ms);
  absl::StatusOr<RepairResult> result =
      settings.dry_run ? TryRepair(settings, options) : RepairInPlace(settings, options, &*data);
  if (!result.ok()) return Complain(kCommand, result.status());
  RecoveryReport& report = result->report;
  if (WasLeftAlone(settings, report)) report.findings.clear();

  Output out;
  PrintRepairSummary(settings, *result, &out);
  ExitStatus status = ExitStatus::kDone;
  // With the other choices the report still lists what was damaged, but it has been moved aside.
  if (!report.damage.empty() && settings.options.on_damage == OnDamage::kKeep) {
    out.Flush();
    status = Complain(kCommand, ExitStatus::kDataWrong,
                      fmt::format("{}: {} damaged ranges stay where they are; --on-damage quarantine moves them aside, "
                                  "--on-damage truncate ends the log before the first",
                                  settings.directory, report.damage.size()));
  }
  return out.Finish(kCommand, status);
}

}  // namespace varve::cli
