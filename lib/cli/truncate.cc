#include "cli/truncate.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "cli/json_values.h"
#include "cli/output.h"
#include "cli/partition_access.h"

namespace varve::cli {
namespace {

constexpr char kCommand[] = "truncate";

// Where the log is to be cut: at the asked offset, or with --whole-batch at the start of the batch that holds it.
absl::StatusOr<int64_t> TargetOffset(const TruncateSettings& settings, const Log& log) {
  if (!settings.whole_batch || settings.to_offset >= log.log_end_offset()) return settings.to_offset;
  LogReader reader = log.NewReader();
  const absl::StatusOr<std::optional<OffsetLookup>> found = reader.Find(settings.to_offset, Isolation::kLogEnd);
  if (!found.ok()) return found.status();
  if (!found->has_value()) return settings.to_offset;
  return std::min(settings.to_offset, (*found)->base_offset);
}

}  // namespace

ExitStatus RunTruncate(const TruncateSettings& settings) {
  if (absl::Status status = CheckPartition(FileSystem::Default(), settings.directory); !status.ok()) {
    return Complain(kCommand, status);
  }
  LogOptions options;
  options.create = false;
  absl::StatusOr<int64_t> target = 0;
  const Rehearsal rehearsal = [&settings, &target](Log* trial) {
    target = TargetOffset(settings, *trial);
    return target.ok() ? trial->TruncateTo(*target) : target.status();
  };
  absl::StatusOr<WritablePartition> partition = OpenForWriting(kCommand, settings.directory, options, rehearsal);
  if (!partition.ok()) return Complain(kCommand, partition.status());
  Log* const log = partition->log.get();
  const int64_t end_before = log->log_end_offset();
  absl::Status status = log->TruncateTo(*target);
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
    out.Print("{}\n", JsonText(json));
  } else if (offsets.log_end_offset == end_before) {
    out.Print("{}: nothing at or above offset {}; the log ends at {}\n", settings.directory, *target, end_before);
  } else {
    out.Print("{}: offsets {} to {} dropped; the log ends at {}\n", settings.directory, *target, end_before - 1,
              offsets.log_end_offset);
  }
  return out.Finish(kCommand, ExitStatus::kDone);
}

}  // namespace varve::cli
