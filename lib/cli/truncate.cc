// varve truncate: drops the offsets at and above one.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "cli/commands.h"
#include "cli/json_forms.h"
#include "cli/option_checks.h"
#include "cli/output.h"
#include "cli/partition_access.h"

namespace varve::cli {
namespace {

constexpr char kCommand[] = "truncate";

struct TruncateSettings {
  std::string directory;
  int64_t to_offset = 0;
  bool whole_batch = false;
  bool json = false;
};

// Where the log is to be cut: at the asked offset, or with --whole-batch at the start of the batch that holds it.
absl::StatusOr<int64_t> TargetOffset(const TruncateSettings& settings, const Log& log) {
  if (!settings.whole_batch || settings.to_offset >= log.log_end_offset()) return settings.to_offset;
  LogReader reader = log.NewReader();
  const absl::StatusOr<std::optional<OffsetLookup>> found = reader.Find(settings.to_offset, Isolation::kLogEnd);
  if (!found.ok()) return found.status();
  if (!found->has_value()) return settings.to_offset;
  return std::min(settings.to_offset, (*found)->base_offset);
}

ExitStatus RunTruncate(const TruncateSettings& settings) {
  if (absl::Status status = CheckPartition(FileSystem::Default(), settings.directory); !status.ok()) {
    return Complain(kCommand, status);
  }
  LogOptions options;
  options.create = false;
  absl::StatusOr<WritablePartition> partition = OpenForWriting(kCommand, settings.directory, options);
  if (!partition.ok()) return Complain(kCommand, partition.status());
  Log* const log = partition->log.get();
  const int64_t end_before = log->log_end_offset();
  const absl::StatusOr<int64_t> target = TargetOffset(settings, *log);
  absl::Status status = target.status();
  if (status.ok()) status = log->TruncateTo(*target);
  if (status.ok()) status = partition->data.LowerCheckpoints(*target);
  const absl::Status closed = log->Close();
  if (status.ok()) status = closed;
  if (!status.ok()) return Complain(kCommand, status);

  Output out;
  const LogOffsets offsets = log->offsets();
  int64_t bytes = 0;
  for (const LogSegmentInfo& segment : log->segments()) bytes += segment.size_bytes;
  if (settings.json) {
    const OrderedJson json = {{"dir", settings.directory},
                              {"truncated_to", *target},
                              {"log_start_offset", offsets.log_start_offset},
                              {"log_end_offset", offsets.log_end_offset},
                              {"log_end_offset_before", end_before},
                              {"bytes", bytes},
                              {"report", ReportJson(log->recovery_report())}};
    out.Print("{}\n", json.dump());
  } else if (offsets.log_end_offset == end_before) {
    out.Print("{}: nothing at or above offset {}; the log ends at {}\n", settings.directory, *target, end_before);
  } else {
    out.Print("{}: offsets {} to {} dropped; the log ends at {}\n", settings.directory, *target, end_before - 1,
              offsets.log_end_offset);
  }
  return out.Finish(kCommand, ExitStatus::kDone);
}

}  // namespace

void AddTruncateCommand(CLI::App* app, ExitStatus* status) {
  CLI::App* const command = app->add_subcommand(kCommand, "Drop the offsets at and above one");
  const auto settings = std::make_shared<TruncateSettings>();
  command->add_option("DIR", settings->directory, "Partition directory")->required();
  command->add_option("--to", settings->to_offset, "The log shall end here: a batch's first offset")
      ->required()
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--whole-batch", settings->whole_batch, "Inside a batch: drop all of it");
  command->add_flag("--json", settings->json, "Print the summary as JSON");
  command->callback([settings, status] { *status = RunTruncate(*settings); });
}

}  // namespace varve::cli
