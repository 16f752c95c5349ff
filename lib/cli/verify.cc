// varve verify: checks every checksum, continuity, and the indexes against the log; changes nothing.

#include "varve/verify.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/json_forms.h"
#include "cli/option_checks.h"
#include "cli/output.h"
#include "cli/partition_access.h"
#include "cli/progress_bar.h"
#include "cli/quantities.h"
#include "cli/report_text.h"

namespace varve::cli {
namespace {

constexpr char kCommand[] = "verify";

struct VerifySettings {
  std::vector<std::string> directories;
  bool json = false;
};

OrderedJson VerifyJson(const std::string& directory, const VerifyReport& report) {
  OrderedJson damage = OrderedJson::array();
  for (const DamagedRange& range : report.damage) damage.push_back(DamageOfFileJson(range));
  OrderedJson index_faults = OrderedJson::array();
  for (const IndexFault& fault : report.index_faults) {
    index_faults.push_back({{"file", fault.file},
                            {"entry", fault.entry >= 0 ? OrderedJson(fault.entry) : OrderedJson()},
                            {"reason", fault.reason}});
  }
  return {{"ok", report.ok},
          {"batches", report.batches},
          {"records", report.records},
          {"bytes", report.bytes},
          {"torn_tail_bytes", report.torn_tail_bytes},
          {"damage", damage},
          {"index_faults", index_faults},
          {"notes", report.notes},
          {"dir", directory}};
}

void PrintVerifyReport(const std::string& directory, const VerifyReport& report, Output* out) {
  out->Print("{}: {}: {} batches, {} records, {}\n", directory, report.ok ? "ok" : "NOT OK",
             FormatCount(report.batches), FormatCount(report.records), FormatBytes(report.bytes));
  if (report.torn_tail_bytes > 0) {
    out->Print("  torn tail: {} bytes of a batch that was not written whole\n", report.torn_tail_bytes);
  }
  for (const DamagedRange& range : report.damage) PrintDamage(range, out);
  for (const IndexFault& fault : report.index_faults) {
    if (fault.entry >= 0) {
      out->Print("  index: {} entry {}: {}\n", fault.file, fault.entry, fault.reason);
    } else {
      out->Print("  index: {}: {}\n", fault.file, fault.reason);
    }
  }
  for (const std::string& note : report.notes) out->Print("  note: {}\n", note);
}

// Verifies one partition and prints what was found.
ExitStatus VerifyPartition(const std::string& directory, const VerifySettings& settings, Output* out) {
  FileSystem* const file_system = FileSystem::Default();
  const absl::StatusOr<DataDirectory> data = ReadMarks(kCommand, file_system, directory);
  if (!data.ok()) return Complain(kCommand, data.status());
  ProgressBar bar(kCommand);
  const absl::StatusOr<VerifyReport> report =
      Verify(file_system, directory, data->marks(),
             [&bar](int64_t done_bytes, int64_t total_bytes) { bar.Update(done_bytes, total_bytes); });
  bar.Finish();
  if (!report.ok()) return Complain(kCommand, report.status());
  if (settings.json) {
    out->Print("{}\n", VerifyJson(directory, *report).dump());
  } else {
    PrintVerifyReport(directory, *report, out);
  }
  out->Flush();
  return report->ok ? ExitStatus::kDone : ExitStatus::kDataWrong;
}

ExitStatus RunVerify(const VerifySettings& settings) {
  Output out;
  ExitStatus status = ExitStatus::kDone;
  for (const std::string& directory : settings.directories) {
    const absl::StatusOr<std::vector<std::string>> partitions = PartitionsIn(FileSystem::Default(), directory);
    if (!partitions.ok()) {
      status = std::max(status, Complain(kCommand, partitions.status()));
      continue;
    }
    for (const std::string& partition : *partitions) {
      status = std::max(status, VerifyPartition(partition, settings, &out));
    }
  }
  return out.Finish(kCommand, status);
}

}  // namespace

void AddVerifyCommand(CLI::App* app, ExitStatus* status) {
  CLI::App* const command = app->add_subcommand(kCommand, "Check every batch and index entry; change nothing");
  const auto settings = std::make_shared<VerifySettings>();
  command->add_option("DIR", settings->directories, "Partition directories, or data directories with all they hold")
      ->required();
  command->add_flag("--json", settings->json, "Print JSON, a line for each partition");
  command->callback([settings, status] { *status = RunVerify(*settings); });
}

}  // namespace varve::cli
