#include "store/adoption_source.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "segment/segment_files.h"
#include "varve/log.h"
#include "varve/overlay_file_system.h"
#include "varve/recovery_report.h"

namespace varve::internal {
namespace {

bool GoesAlong(PartitionFileKind kind) {
  switch (kind) {
    case PartitionFileKind::kLog:
    case PartitionFileKind::kOffsetIndex:
    case PartitionFileKind::kTimeIndex:
    case PartitionFileKind::kTransactionIndex:
      return true;
    case PartitionFileKind::kSnapshot:           // one is written anew, of the producers that count
    case PartitionFileKind::kLeaderEpochs:       // likewise, as its epochs may be too late
    case PartitionFileKind::kPartitionMetadata:  // likewise, as the broker has an id of its own
    case PartitionFileKind::kSavedAside:
    case PartitionFileKind::kOwn:
    case PartitionFileKind::kLeftover:
    case PartitionFileKind::kOther:
      break;
  }
  return false;
}

bool IsWrittenAnew(PartitionFileKind kind) {
  return kind == PartitionFileKind::kSnapshot || kind == PartitionFileKind::kLeaderEpochs ||
         kind == PartitionFileKind::kPartitionMetadata;
}

// A segment on its way in, which may hold the only records of its offsets. One on its way out is nobody's any more.
bool IsOnItsWayIn(const PartitionFile& file) {
  const std::optional<ParsedSegmentFile> parsed = ParseSegmentFileName(file.name);
  if (!parsed.has_value()) return false;
  return parsed->suffix == SegmentFileSuffix::kSwap || parsed->suffix == SegmentFileSuffix::kCleaned;
}

// What the opening did would make the copy another log than the one that was judged.
bool ChangesWhatGoesAlong(const RecoveryFinding& finding) {
  if (finding.action == RecoveryAction::kIgnored) return false;
  return finding.action == RecoveryAction::kCompleted || GoesAlong(ClassifyPartitionFile(finding.file).kind);
}

absl::Status NotClean(const std::string& directory, std::string_view found) {
  return Error(absl::StatusCode::kFailedPrecondition,
               "{}: expected the mark of a clean stop and nothing to be done at an opening, {}: recover the partition "
               "first (varve repair --force)",
               directory, found);
}

absl::Status ListFiles(FileSystem* file_system, const std::string& directory, bool move, AdoptionSource* source) {
  VARVE_ASSIGN_OR_RETURN(const std::vector<PartitionFile> files, ListPartitionFiles(file_system, directory));
  for (const PartitionFile& file : files) {
    if (IsOnItsWayIn(file)) {
      return NotClean(directory, fmt::format("found {}, which an opening makes a segment of, or removes", file.name));
    }
    if (GoesAlong(file.kind)) {
      source->files.push_back(file);
    } else if (!IsWrittenAnew(file.kind)) {
      source->left_behind.push_back(file.name);
    }
    const bool is_of_worth = file.kind == PartitionFileKind::kSavedAside || file.kind == PartitionFileKind::kOther;
    if (move && is_of_worth) {
      return Error(absl::StatusCode::kFailedPrecondition,
                   "{}: {} would be lost, as it does not go along: copy the partition, or take that file away first",
                   directory, file.name);
    }
  }
  return absl::OkStatus();
}

std::vector<SegmentExtent> ExtentsOf(const Log& log) {
  std::vector<SegmentExtent> extents;
  for (const LogSegmentInfo& segment : log.segments()) {
    extents.push_back({.base_offset = segment.base_offset, .size_bytes = segment.size_bytes});
  }
  return extents;
}

absl::Status CheckReport(const std::string& directory, const RecoveryReport& report) {
  if (!report.damage.empty()) {
    return Error(absl::StatusCode::kFailedPrecondition, "{}: expected no damage, found {} damaged ranges", directory,
                 report.damage.size());
  }
  if (report.segments_recovered > 0 || report.bytes_cut > 0) {
    return NotClean(directory, fmt::format("{} segments have to be recovered, {} bytes to be cut",
                                           report.segments_recovered, report.bytes_cut));
  }
  const auto change = std::ranges::find_if(report.findings, ChangesWhatGoesAlong);
  if (change != report.findings.end()) return NotClean(directory, "found this: " + change->ToString());
  return absl::OkStatus();
}

// What an opening would make of it, without any change.
absl::Status OpenForTrial(FileSystem* file_system, const std::string& directory, AdoptionSource* source) {
  OverlayFileSystem trial(file_system);
  LogOptions open;
  open.file_system = &trial;
  open.create = false;
  open.io_mode = IoMode::kWrite;
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<Log> log, Log::Open(directory, open));
  VARVE_RETURN_IF_ERROR(CheckReport(directory, log->recovery_report()));
  const LogOffsets offsets = log->offsets();
  source->segments = ExtentsOf(*log);
  source->extent.first_base_offset = source->segments.front().base_offset;
  source->extent.log_start_offset = offsets.log_start_offset;
  source->extent.log_end_offset = offsets.log_end_offset;
  source->last_stable_offset = offsets.last_stable_offset;
  source->leader_epochs = log->leader_epochs();
  source->producers = log->producers();
  std::erase_if(source->producers, [](const ProducerStateEntry& producer) {
    return !producer.current_transaction_first_offset.has_value();
  });
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<AdoptionSource> InspectAdoptionSource(FileSystem* file_system, const std::string& directory, bool move) {
  AdoptionSource source;
  VARVE_RETURN_IF_ERROR(ListFiles(file_system, directory, move, &source));
  VARVE_ASSIGN_OR_RETURN(const MergedMarks marks, MergeMarks(file_system, directory, {}));
  if (!marks.clean) return NotClean(directory, "found none that holds");
  source.extent.first_dirty_offset = marks.first_dirty_offset;
  VARVE_RETURN_IF_ERROR(OpenForTrial(file_system, directory, &source));
  return source;
}

absl::Status CheckAdoptedCopy(FileSystem* file_system, const std::string& copy, const AdoptionSource& source) {
  const AdoptedExtent& extent = source.extent;
  LogOptions open;
  open.file_system = file_system;
  open.create = false;
  open.read_only = true;
  open.marks =
      OpenMarks{.clean = true, .recovery_point = extent.log_end_offset, .log_start_offset = extent.log_start_offset};
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<Log> log, Log::Open(copy, open));
  const LogOffsets offsets = log->offsets();
  std::vector<SegmentExtent> expected = source.segments;
  if (NeedsEmptySegment(source.segments, extent.log_end_offset)) {
    expected.push_back({.base_offset = extent.log_end_offset, .size_bytes = 0});
  }
  const bool same = offsets.log_start_offset == extent.log_start_offset &&
                    offsets.log_end_offset == extent.log_end_offset &&
                    offsets.last_stable_offset == source.last_stable_offset && ExtentsOf(*log) == expected;
  if (same) return absl::OkStatus();
  return Error(
      absl::StatusCode::kDataLoss,
      "{}: expected a copy of {} segments with the offsets {} to {}, stable up to {}, found {} segments with the "
      "offsets {} to {}, stable up to {}; nothing was handed over",
      copy, expected.size(), extent.log_start_offset, extent.log_end_offset, source.last_stable_offset,
      log->segments().size(), offsets.log_start_offset, offsets.log_end_offset, offsets.last_stable_offset);
}

}  // namespace varve::internal
