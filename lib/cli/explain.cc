#include "cli/explain.h"

#include <memory>
#include <string>

#include "cli/json_values.h"
#include "cli/output.h"
#include "cli/partition_access.h"
#include "cli/report_text.h"
#include "varve/verify.h"

namespace varve::cli {
namespace {

constexpr char kCommand[] = "explain";

}  // namespace

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
    out.Print("{}\n", JsonText(json));
  } else if (!report.ok()) {
    out.Print("{}: no opening so far found anything to tell\n", settings.directory);
  } else {
    out.Print("{}: the last opening that had anything to tell\n", settings.directory);
    PrintReport(*report, &out);
  }
  return out.Finish(kCommand, ExitStatus::kDone);
}

}  // namespace varve::cli
