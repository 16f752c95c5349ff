#include "cli/stat.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "cli/held_files.h"
#include "cli/json_forms.h"
#include "cli/json_values.h"
#include "cli/opened_view.h"
#include "cli/output.h"
#include "cli/partition_access.h"
#include "cli/progress_bar.h"
#include "cli/quantities.h"
#include "cli/report_text.h"
#include "cli/segment_picture.h"
#include "varve/partition_files.h"

namespace varve::cli {
namespace {

constexpr char kCommand[] = "stat";

// What stat tells. The sums are over all segments.
struct PartitionStat {
  LogOffsets offsets;
  RecoveryReport report;
  PartitionSummary summary;
  int64_t bytes = 0;
  int64_t index_entries = 0;
  int64_t time_index_entries = 0;
  int64_t min_timestamp_ms = kNoTimestamp;
  int64_t max_timestamp_ms = kNoTimestamp;
  std::map<Codec, int64_t> batches_of_codec;
  bool has_writer = false;
};

void AddUp(PartitionStat* stat) {
  for (const SegmentSummary& segment : stat->summary.segments) {
    stat->bytes += segment.log_bytes;
    stat->index_entries += segment.index_entries;
    stat->time_index_entries += segment.time_index_entries;
    if (segment.min_timestamp_ms != kNoTimestamp) {
      stat->min_timestamp_ms = stat->min_timestamp_ms == kNoTimestamp
                                   ? segment.min_timestamp_ms
                                   : std::min(stat->min_timestamp_ms, segment.min_timestamp_ms);
    }
    stat->max_timestamp_ms = std::max(stat->max_timestamp_ms, segment.max_timestamp_ms);
    for (const auto& [codec, batches] : segment.batches_of_codec) stat->batches_of_codec[codec] += batches;
  }
}

// A partition without a writer is looked at as opening would leave it; one that is being written, as its writer
// publishes it: the files then have room behind their ends, which is no part of the log.
absl::StatusOr<PartitionStat> GatherStat(const std::string& directory) {
  if (absl::Status status = CheckPartition(FileSystem::Default(), directory); !status.ok()) return status;
  const absl::StatusOr<std::unique_ptr<HeldFiles>> held = HeldFiles::OfPartition(FileSystem::Default(), directory);
  if (!held.ok()) return held.status();
  FileSystem* file_system = held->get();
  PartitionStat stat;
  OpenedView view;
  const absl::StatusOr<bool> has_writer = PartitionHasWriter(file_system, directory);
  if (!has_writer.ok()) return has_writer.status();
  stat.has_writer = *has_writer;
  std::map<int64_t, int64_t> published_bytes;
  if (stat.has_writer) {
    const absl::StatusOr<std::unique_ptr<Log>> log = OpenForReading(kCommand, directory);
    if (!log.ok()) return log.status();
    stat.offsets = (*log)->offsets();
    stat.report = (*log)->recovery_report();
    for (const LogSegmentInfo& segment : (*log)->segments()) published_bytes[segment.base_offset] = segment.size_bytes;
  } else {
    absl::StatusOr<OpenedView> opened = ViewAsOpened(kCommand, file_system, directory, std::nullopt);
    if (!opened.ok()) return opened.status();
    view = *std::move(opened);
    stat.offsets = view.offsets;
    stat.report = view.report;
    file_system = view.files.get();
  }
  absl::StatusOr<PartitionContents> contents = PartitionContents::OfDirectory(file_system, directory);
  if (!contents.ok()) return contents.status();
  const auto bar = std::make_shared<ProgressBar>(kCommand);
  contents->ReportProgress(UpdatesOf(bar), /*passes=*/1);
  absl::StatusOr<PartitionSummary> summary = contents->Summarize();
  if (!summary.ok()) return summary.status();
  stat.summary = *std::move(summary);
  for (SegmentSummary& segment : stat.summary.segments) {
    const auto published = published_bytes.find(segment.base_offset);
    if (published != published_bytes.end()) segment.log_bytes = published->second;
  }
  AddUp(&stat);
  return stat;
}

OrderedJson StatJson(const std::string& directory, const PartitionStat& stat) {
  OrderedJson codecs = OrderedJson::object();
  for (const auto& [codec, batches] : stat.batches_of_codec) codecs[std::string(CodecName(codec))] = batches;
  OrderedJson segments = OrderedJson::array();
  for (const SegmentSummary& segment : stat.summary.segments) {
    std::string row;
    AppendSegmentRow(&row, segment);
    segments.push_back(OrderedJson::parse(row));
  }
  const auto time_or_null = [](int64_t time_ms) {
    return time_ms == kNoTimestamp ? OrderedJson() : OrderedJson(time_ms);
  };
  return {
      {"dir", directory},
      {"log_start_offset", stat.offsets.log_start_offset},
      {"log_end_offset", stat.offsets.log_end_offset},
      {"high_watermark", stat.offsets.high_watermark},
      {"last_stable_offset", stat.offsets.last_stable_offset},
      {"durable_offset", stat.offsets.durable_offset},
      {"being_written", stat.has_writer},
      {"bytes", stat.bytes},
      {"batches", stat.summary.batches},
      {"records", stat.summary.records},
      {"min_timestamp", time_or_null(stat.min_timestamp_ms)},
      {"max_timestamp", time_or_null(stat.max_timestamp_ms)},
      {"codecs", codecs},
      {"index_entries", stat.index_entries},
      {"time_index_entries", stat.time_index_entries},
      {"bytes_per_index_entry", stat.index_entries > 0 ? OrderedJson(stat.bytes / stat.index_entries) : OrderedJson()},
      {"segments", segments},
      {"report", ReportJson(stat.report)}};
}

void PrintStat(const std::string& directory, const PartitionStat& stat, Output* out) {
  out->Print("{}{}\n\n", directory, stat.has_writer ? "  (being written)" : "");
  out->Print("  offsets   {} to {}", stat.offsets.log_start_offset, stat.offsets.log_end_offset);
  if (stat.offsets.last_stable_offset != stat.offsets.log_end_offset) {
    out->Print(", last stable {}", stat.offsets.last_stable_offset);
  }
  if (stat.offsets.durable_offset != stat.offsets.log_end_offset) {
    out->Print(", durable {}", stat.offsets.durable_offset);
  }
  out->Print("\n  records   {} in {} batches\n", FormatCount(stat.summary.records), FormatCount(stat.summary.batches));
  out->Print("  size      {} in {} segments\n", FormatBytes(stat.bytes),
             FormatCount(static_cast<int64_t>(stat.summary.segments.size())));
  if (stat.max_timestamp_ms != kNoTimestamp) {
    out->Print("  times     {} to {}\n", FormatTime(stat.min_timestamp_ms), FormatTime(stat.max_timestamp_ms));
  }
  out->Write("  codecs    ");
  std::string_view separator;
  for (const auto& [codec, batches] : stat.batches_of_codec) {
    out->Print("{}{} {} batches", separator, CodecName(codec), FormatCount(batches));
    separator = ", ";
  }
  out->Write(stat.batches_of_codec.empty() ? "-\n" : "\n");
  out->Print("  indexes   {} offset entries, {} time entries", FormatCount(stat.index_entries),
             FormatCount(stat.time_index_entries));
  if (stat.index_entries > 0) out->Print(": one in {}", FormatBytes(stat.bytes / stat.index_entries));
  out->Write("\n");
  if (stat.report.HasNews()) {
    out->Write("\nopening it would find this, and do this about it:\n");
    PrintReport(stat.report, out);
  }
  out->Write("\n");
  out->Write(DrawSegments(stat.summary.segments));
}

}  // namespace

ExitStatus RunStat(const StatSettings& settings) {
  const absl::StatusOr<PartitionStat> stat = GatherStat(settings.directory);
  if (!stat.ok()) return Complain(kCommand, stat.status());
  Output out;
  if (settings.json) {
    out.Print("{}\n", JsonText(StatJson(settings.directory, *stat)));
  } else {
    PrintStat(settings.directory, *stat, &out);
  }
  return out.Finish(kCommand, stat->report.damage.empty() ? ExitStatus::kDone : ExitStatus::kDataWrong);
}

}  // namespace varve::cli
