// varve explain: what the last opening found, cut, kept or saved aside, by which rule and on what evidence.

#include <memory>
#include <string>

#include "cli/commands.h"
#include "cli/json_forms.h"
#include "cli/option_checks.h"
#include "cli/output.h"
#include "cli/partition_access.h"
#include "cli/report_text.h"
#include "varve/verify.h"

namespace varve::cli {
namespace {

constexpr char kCommand[] = "explain";

struct ExplainSettings {
  std::string directory;
  bool json = false;
};

ExitStatus RunExplain(const ExplainSettings& settings) {
  FileSystem* const file_system = FileSystem::Default();
  if (absl::Status status = CheckPartition(file_system, settings.directory); !status.ok()) {
    return Complain(kCommand, status);
  }
  const absl::StatusOr<RecoveryReport> report = LastReport(file_system, settings.directory);
  if (!report.ok() && !absl::IsNotFound(report.status())) return Complain(kCommand, report.status());
  Output out;
  if (settings.json) {
    const OrderedJson json = {{"dir", settings.directory},
                              {"report", report.ok() ? ReportJson(*report) : OrderedJson()}};
    out.Print("{}\n", json.dump());
  } else if (!report.ok()) {
    out.Print("{}: no opening so far found anything to tell\n", settings.directory);
  } else {
    out.Print("{}: the last opening that had anything to tell\n", settings.directory);
    PrintReport(*report, &out);
  }
  return out.Finish(kCommand, ExitStatus::kDone);
}

}  // namespace

void AddExplainCommand(CLI::App* app, ExitStatus* status) {
  CLI::App* const command = app->add_subcommand(kCommand, "Tell what the last opening found and did, and why");
  const auto settings = std::make_shared<ExplainSettings>();
  command->add_option("DIR", settings->directory, "Partition directory")->required();
  command->add_flag("--json", settings->json, "Print JSON");
  command->callback([settings, status] { *status = RunExplain(*settings); });
}

}  // namespace varve::cli
