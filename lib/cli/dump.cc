#include "cli/dump.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "cli/held_files.h"
#include "cli/opened_view.h"
#include "cli/partition_access.h"
#include "cli/progress_bar.h"
#include "varve/checkpoint.h"

namespace varve::cli {
namespace {

constexpr char kCommand[] = "dump";

// Says what was odd, on standard error and after the dump. Returns kDataWrong if any of it was damage.
ExitStatus ReportFaults(const PartitionContents& contents) {
  for (const std::string& note : contents.notes()) Note(kCommand, note);
  ExitStatus status = ExitStatus::kDone;
  for (const std::string& fault : contents.faults()) status = Complain(kCommand, ExitStatus::kDataWrong, fault);
  return status;
}

// What the marks beside the files and among them say, for a dump of the files as they are: where nobody opens the log,
// nobody else does.
absl::Status TakeMarks(FileSystem* file_system, const std::string& directory, PartitionSummary* summary) {
  const absl::StatusOr<DataDirectory> data = ReadMarks(kCommand, file_system, directory);
  if (!data.ok()) return data.status();
  const absl::StatusOr<MergedMarks> marks = MergeMarks(file_system, directory, data->marks());
  if (!marks.ok()) return marks.status();
  summary->log_start_offset =
      std::min(std::max(summary->log_start_offset, marks->log_start_offset), summary->log_end_offset);
  summary->recovery_point = std::min(marks->recovery_point, summary->log_end_offset);
  return absl::OkStatus();
}

// How often a .log is read to print what is in it: JSON has a list of batches and one of records.
int64_t ReadingsOf(const DumpSettings& settings) { return settings.json && !settings.form.batches_only ? 2 : 1; }

absl::StatusOr<ExitStatus> DumpDirectory(const DumpSettings& settings, Output* out) {
  if (absl::Status status = CheckPartition(FileSystem::Default(), settings.path); !status.ok()) return status;
  const absl::StatusOr<std::unique_ptr<HeldFiles>> held = HeldFiles::OfPartition(FileSystem::Default(), settings.path);
  if (!held.ok()) return held.status();
  FileSystem* file_system = held->get();
  OpenedView view;
  if (settings.as_opened) {
    absl::StatusOr<OpenedView> opened =
        ViewAsOpened(kCommand, file_system, settings.path, settings.index_interval_bytes);
    if (!opened.ok()) return opened.status();
    view = *std::move(opened);
    file_system = view.files.get();
  }
  absl::StatusOr<PartitionContents> contents = PartitionContents::OfDirectory(file_system, settings.path);
  if (!contents.ok()) return contents.status();
  const auto bar = std::make_shared<ProgressBar>(kCommand, ProgressBar::Beside::kOutput);
  contents->ReportProgress(UpdatesOf(bar), 1 + ReadingsOf(settings));
  absl::StatusOr<PartitionSummary> summary = contents->Summarize();
  if (!summary.ok()) return summary.status();
  if (settings.as_opened) {
    summary->log_start_offset = view.offsets.log_start_offset;
    summary->log_end_offset = view.offsets.log_end_offset;
    summary->last_stable_offset = view.offsets.last_stable_offset;
    summary->recovery_point = view.offsets.durable_offset;
    summary->producers = std::move(view.producers);
    summary->leader_epochs = std::move(view.leader_epochs);
  } else if (absl::Status status = TakeMarks(file_system, settings.path, &*summary); !status.ok()) {
    return status;
  }
  const absl::Status dumped = settings.json ? DumpPartitionJson(file_system, &*contents, *summary, settings.form, out)
                                            : DumpPartitionText(file_system, &*contents, *summary, settings.form, out);
  bar->Finish();
  if (!dumped.ok()) return dumped;
  out->Flush();
  return ReportFaults(*contents);
}

absl::StatusOr<ExitStatus> DumpFile(const DumpSettings& settings, Output* out) {
  const std::string name = settings.path.substr(settings.path.rfind('/') + 1);
  if (IsOffsetCheckpointName(name)) {
    if (absl::Status status = DumpOffsetCheckpoint(FileSystem::Default(), settings.path, settings.json, out);
        !status.ok()) {
      return status;
    }
    return ExitStatus::kDone;
  }
  const absl::StatusOr<std::unique_ptr<HeldFiles>> held = HeldFiles::OfFile(FileSystem::Default(), settings.path);
  if (!held.ok()) return held.status();
  FileSystem* const file_system = held->get();
  PartitionContents contents = PartitionContents::OfFile(file_system, settings.path);
  const PartitionFile& file = contents.files().front();
  if (file.kind == PartitionFileKind::kOther || file.kind == PartitionFileKind::kOwn) {
    return Failure(absl::StatusCode::kInvalidArgument,
                   "{}: expected a partition directory, a file of one (00000000000000000000.log, .index, .timeindex, "
                   ".txnindex, .snapshot, leader-epoch-checkpoint, partition.metadata, varve.cut-N) or an offset "
                   "checkpoint, found another name",
                   settings.path);
  }
  const auto bar = std::make_shared<ProgressBar>(kCommand, ProgressBar::Beside::kOutput);
  const bool has_summary = settings.json && file.kind == PartitionFileKind::kLog;
  contents.ReportProgress(UpdatesOf(bar), ReadingsOf(settings) + (has_summary ? 1 : 0));
  const absl::Status dumped = settings.json ? DumpFileJson(file_system, file, &contents, settings.form, out)
                                            : DumpFileText(file_system, file, &contents, settings.form, out);
  bar->Finish();
  if (!dumped.ok()) return dumped;
  out->Flush();
  return ReportFaults(contents);
}

}  // namespace

ExitStatus RunDump(const DumpSettings& settings) {
  const absl::StatusOr<FileInfo> info = FileSystem::Default()->Info(settings.path);
  if (absl::IsNotFound(info.status())) {
    return Complain(kCommand, ExitStatus::kSystem, fmt::format("{}: no such file or directory", settings.path));
  }
  if (!info.ok()) return Complain(kCommand, info.status());
  if (settings.as_opened && !info->is_directory) {
    return Complain(kCommand, ExitStatus::kUsage,
                    fmt::format("--as-opened: expected a partition directory, found the file {}", settings.path));
  }
  Output out;
  const absl::StatusOr<ExitStatus> status =
      info->is_directory ? DumpDirectory(settings, &out) : DumpFile(settings, &out);
  if (status.ok()) return out.Finish(kCommand, *status);
  out.Flush();
  return out.Finish(kCommand, Complain(kCommand, status.status()));
}

}  // namespace varve::cli
