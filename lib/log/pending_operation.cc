#include "log/pending_operation.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "base/path.h"
#include "base/status.h"
#include "log/cut_segment.h"
#include "record/batch_scanner.h"
#include "segment/damage_analysis.h"
#include "segment/raw_log.h"
#include "segment/segment_files.h"

namespace varve::internal {
namespace {

// The first byte of the batch that holds `offset` or follows it; the file's size if there is none. Damage on the way is
// passed over where the log provably goes on behind it, else the cut is made there.
absl::StatusOr<int64_t> CutPosition(const File& log, int64_t base_offset, int64_t offset) {
  VARVE_ASSIGN_OR_RETURN(const uint64_t size_bytes, log.Size());
  RawLog raw(&log, static_cast<int64_t>(size_bytes));
  DamageSite site{.segment_base_offset = base_offset, .expected_offset = base_offset};
  while (true) {
    BatchScanner scanner(&log, static_cast<uint64_t>(site.position), size_bytes);
    bool found = true;
    bool unreadable = false;
    while (found) {
      const absl::StatusOr<bool> next = scanner.Next();
      unreadable = absl::IsInternal(next.status());
      if (!next.ok() && !unreadable) return next.status();
      found = next.ok() && *next;
      site.position = static_cast<int64_t>(scanner.position());
      if (found && scanner.header().last_offset() >= offset) return site.position;
      if (found) site.expected_offset = scanner.header().next_offset();
    }
    if (!unreadable && scanner.end() == ScanEnd::kLimit) return site.position;
    VARVE_ASSIGN_OR_RETURN(const DamageAnalysis analysis, AnalyzeDamage(raw, site));
    if (analysis.verdict != DamageVerdict::kResumes && analysis.verdict != DamageVerdict::kMended) return site.position;
    site.position = analysis.resume_position;
  }
}

absl::Status CutSegment(FileSystem* file_system, const std::string& directory, int64_t base_offset, int64_t offset) {
  const std::string path = JoinPath(directory, SegmentFileName(base_offset, SegmentFileKind::kLog));
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<File> log, file_system->Open(path, OpenMode::kRead));
  VARVE_ASSIGN_OR_RETURN(const uint64_t size_bytes, log->Size());
  VARVE_ASSIGN_OR_RETURN(const int64_t cut_position, CutPosition(*log, base_offset, offset));
  log.reset();
  if (cut_position == static_cast<int64_t>(size_bytes)) return absl::OkStatus();
  return CutSegmentFiles(file_system, directory, base_offset, cut_position, offset);
}

absl::Status MakeEmptySegment(FileSystem* file_system, const std::string& directory, int64_t base_offset) {
  for (const SegmentFileKind kind :
       {SegmentFileKind::kLog, SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex}) {
    VARVE_RETURN_IF_ERROR(
        file_system->Open(JoinPath(directory, SegmentFileName(base_offset, kind)), OpenMode::kTruncate).status());
  }
  return absl::OkStatus();
}

// Snapshots that say something about offsets which are gone.
absl::Status RemoveSnapshots(FileSystem* file_system, const std::string& directory, const PartitionListing& listing,
                             int64_t above_offset) {
  for (const int64_t offset : listing.snapshots) {
    if (offset <= above_offset) continue;
    const absl::Status removed =
        file_system->Remove(JoinPath(directory, SegmentFileName(offset, SegmentFileKind::kSnapshot)));
    if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<int64_t> SegmentsToRemove(const std::vector<int64_t>& base_offsets, PendingOperation operation,
                                      int64_t offset) {
  std::vector<int64_t> removals;
  switch (operation) {
    case PendingOperation::kNone:
      break;
    case PendingOperation::kTruncateTo:
      for (size_t i = base_offsets.size(); i-- > 1 && base_offsets[i] >= offset;) removals.push_back(base_offsets[i]);
      break;
    case PendingOperation::kStartAt:
      removals.assign(base_offsets.rbegin(), base_offsets.rend());
      break;
    case PendingOperation::kDeleteBefore:
      for (size_t i = 0; i + 1 < base_offsets.size() && base_offsets[i + 1] <= offset; ++i) {
        removals.push_back(base_offsets[i]);
      }
      break;
  }
  return removals;
}

absl::Status CarryThrough(FileSystem* file_system, const std::string& directory, PendingOperation operation,
                          int64_t offset) {
  if (operation == PendingOperation::kNone) return absl::OkStatus();
  VARVE_ASSIGN_OR_RETURN(const PartitionListing listing, ListPartition(file_system, directory));
  const std::vector<int64_t> base_offsets = listing.BaseOffsets();
  const std::vector<int64_t> removals = SegmentsToRemove(base_offsets, operation, offset);
  for (const int64_t base_offset : removals) {
    VARVE_RETURN_IF_ERROR(RemoveSegmentFiles(file_system, directory, base_offset));
  }
  if (operation == PendingOperation::kTruncateTo) {
    VARVE_RETURN_IF_ERROR(RemoveSnapshots(file_system, directory, listing, offset));
    VARVE_RETURN_IF_ERROR(file_system->SyncDirectory(directory));
    if (base_offsets.size() > removals.size()) {
      const int64_t holder = base_offsets[base_offsets.size() - removals.size() - 1];
      VARVE_RETURN_IF_ERROR(CutSegment(file_system, directory, holder, offset));
    }
  }
  if (operation == PendingOperation::kStartAt) {
    VARVE_RETURN_IF_ERROR(RemoveSnapshots(file_system, directory, listing, /*above_offset=*/-1));
    VARVE_RETURN_IF_ERROR(file_system->SyncDirectory(directory));
    VARVE_RETURN_IF_ERROR(MakeEmptySegment(file_system, directory, offset));
  }
  return file_system->SyncDirectory(directory);
}

}  // namespace varve::internal
