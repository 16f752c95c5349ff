#include "cli/export.h"

#include <memory>
#include <utility>

#include "cli/json_values.h"
#include "cli/output.h"
#include "cli/partition_access.h"
#include "cli/progress_bar.h"
#include "cli/quantities.h"
#include "cli/report_text.h"
#include "varve/hand_over.h"
#include "varve/overlay_file_system.h"

namespace varve::cli {
namespace {

constexpr char kCommand[] = "export";

absl::StatusOr<ExportResult> Export(FileSystem* file_system, const ExportSettings& settings) {
  const absl::StatusOr<std::string> directory = CanonicalPath(settings.directory);
  if (!directory.ok()) return directory.status();
  const absl::StatusOr<std::string> target = CanonicalPath(settings.target);
  if (!target.ok()) return target.status();
  ExportOptions options;
  const auto copy_bar = std::make_shared<ProgressBar>("export: copy");
  options.copy_progress = UpdatesOf(copy_bar);
  const auto recovery_bar = std::make_shared<ProgressBar>(RecoveryTitle(kCommand));
  options.recovery_progress = UpdatesOf(recovery_bar);
  return ExportPartition(file_system, *directory, *target, options);
}

OrderedJson ExportedJson(const ExportSettings& settings, const ExportResult& result) {
  OrderedJson topic_id;
  if (result.topic_id.has_value()) topic_id = *result.topic_id;
  return {{"dir", settings.directory},
          {"to", settings.target},
          {"dry_run", settings.dry_run},
          {"topic_id", topic_id},
          {"log_start_offset", result.log_start_offset},
          {"log_end_offset", result.log_end_offset},
          {"segments", result.segments},
          {"bytes", result.bytes},
          {"stopped_cleanly", result.stopped_cleanly},
          {"left_behind", result.left_behind},
          {"report", ReportJson(result.report)}};
}

void PrintExported(const ExportSettings& settings, const ExportResult& result, Output* out) {
  out->Print("{}: {} {}; offsets {} to {}, {} in {} segments\n", settings.directory,
             settings.dry_run ? "would be exported to" : "exported to", settings.target, result.log_start_offset,
             result.log_end_offset, FormatBytes(result.bytes), FormatCount(result.segments));
  if (result.topic_id.has_value()) out->Print("  topic id {}\n", *result.topic_id);
  if (!result.left_behind.empty()) {
    out->Print("  not taken along: {}\n", fmt::join(result.left_behind, ", "));
  }
  if (!result.stopped_cleanly) {
    out->Print("  the broker was not stopped cleanly: the copy was recovered from where it vouched for\n");
  }
  if (result.report.HasNews()) PrintReport(result.report, out);
}

}  // namespace

ExitStatus RunExport(const ExportSettings& settings) {
  if (absl::Status status = CheckPartition(FileSystem::Default(), settings.directory); !status.ok()) {
    return Complain(kCommand, status);
  }
  OverlayFileSystem trial(FileSystem::Default());
  const absl::StatusOr<ExportResult> result = Export(settings.dry_run ? &trial : FileSystem::Default(), settings);
  if (!result.ok()) return Complain(kCommand, result.status());
  for (const std::string& note : result->notes) Note(kCommand, note);
  Output out;
  if (settings.json) {
    out.Print("{}\n", JsonText(ExportedJson(settings, *result)));
  } else {
    PrintExported(settings, *result, &out);
  }
  ExitStatus status = ExitStatus::kDone;
  if (!result->report.damage.empty()) {
    out.Flush();
    status = Complain(
        kCommand, ExitStatus::kDataWrong,
        fmt::format("{}: {} damaged ranges went along as they are", settings.directory, result->report.damage.size()));
  }
  return out.Finish(kCommand, status);
}

}  // namespace varve::cli
