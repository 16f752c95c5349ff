#include "cli/verify.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/json_values.h"
#include "cli/output.h"
#include "cli/partition_access.h"
#include "cli/progress_bar.h"
#include "cli/quantities.h"
#include "cli/report_text.h"
#include "varve/verify.h"

namespace varve::cli {
namespace {

constexpr char kCommand[] = "verify";

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

// Complains, and with --json gives the directory its line all the same.
ExitStatus Refuse(const std::string& directory, const absl::Status& why, const VerifySettings& settings, Output* out) {
  if (settings.json) {
    const OrderedJson json = {{"ok", false}, {"error", std::string(MessageOf(why))}, {"dir", directory}};
    out->Print("{}\n", JsonText(json));
  }
  out->Flush();
  return Complain(kCommand, why);
}

// Verifies one partition and prints what was found.
ExitStatus VerifyPartition(const std::string& directory, const VerifySettings& settings, Output* out) {
  FileSystem* const file_system = FileSystem::Default();
  const absl::StatusOr<DataDirectory> data = ReadMarks(kCommand, file_system, directory);
  if (!data.ok()) return Refuse(directory, data.status(), settings, out);
  ProgressBar bar(kCommand);
  const absl::StatusOr<VerifyReport> report =
      Verify(file_system, directory, data->marks(),
             [&bar](int64_t done_bytes, int64_t total_bytes) { bar.Update(done_bytes, total_bytes); });
  bar.Finish();
  if (!report.ok()) return Refuse(directory, report.status(), settings, out);
  if (settings.json) {
    out->Print("{}\n", JsonText(VerifyJson(directory, *report)));
  } else {
    PrintVerifyReport(directory, *report, out);
  }
  out->Flush();
  return report->ok ? ExitStatus::kDone : ExitStatus::kDataWrong;
}

}  // namespace

ExitStatus RunVerify(const VerifySettings& settings) {
  Output out;
  ExitStatus status = ExitStatus::kDone;
  for (const std::string& directory : settings.directories) {
    const absl::StatusOr<std::vector<std::string>> partitions = PartitionsIn(FileSystem::Default(), directory);
    if (!partitions.ok()) {
      status = std::max(status, Refuse(directory, partitions.status(), settings, &out));
      continue;
    }
    for (const std::string& partition : *partitions) {
      status = std::max(status, VerifyPartition(partition, settings, &out));
    }
  }
  return out.Finish(kCommand, status);
}

}  // namespace varve::cli
