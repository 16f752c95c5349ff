#include "log/pending_operation.h"

#include "base/path.h"
#include "base/status.h"
#include "fmt/format.h"
#include "log/believed_marks.h"
#include "log/cut_segment.h"
#include "segment/segment_files.h"
#include "state/checkpoint_file.h"

namespace varve::internal {
namespace {

// Keeps of a segment what lies below the durable point. A file that ends there already may have an index to be cut.
absl::Status CutAtPoint(FileSystem* file_system, const std::string& directory, const PartitionStateValues& values) {
  const DurablePoint& point = values.durable;
  const std::string path = JoinPath(directory, SegmentFileName(point.segment, SegmentFileKind::kLog));
  VARVE_ASSIGN_OR_RETURN(const FileInfo info, file_system->Info(path));
  if (static_cast<int64_t>(info.size) < point.position) return absl::OkStatus();
  return CutSegmentFiles(file_system, directory, point.segment, point.position, values.pending_offset);
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
    absl::Status removed =
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

absl::StatusOr<std::string> ReasonIsOvertaken(FileSystem* file_system, const std::string& directory,
                                              const PartitionStateValues& values) {
  if (values.pending != PendingOperation::kTruncateTo && values.pending != PendingOperation::kStartAt) {
    return std::string();
  }
  VARVE_ASSIGN_OR_RETURN(const PartitionListing listing, ListPartition(file_system, directory));
  VARVE_ASSIGN_OR_RETURN(const std::vector<FoundSegment> segments, FindSegments(file_system, directory, listing));
  if (segments.empty()) return std::string();
  const FoundSegment& last = segments.back();
  const LogPlace& end = values.pending_end;
  const bool started = values.pending == PendingOperation::kStartAt && last.base_offset == values.pending_offset &&
                       last.size_bytes == 0 && segments.size() == 1;
  const bool beyond =
      last.base_offset > end.segment || (last.base_offset == end.segment && last.size_bytes > end.position);
  if (beyond && !started) {
    return fmt::format("the log ended at position {} of segment {} then, and now at {} of {}", end.position,
                       end.segment, last.size_bytes, last.base_offset);
  }
  // The point of a fresh start names nothing that is to stay, and a segment may be gone already.
  if (values.pending == PendingOperation::kStartAt || !listing.segments.contains(values.durable.segment)) {
    return std::string();
  }
  return ReasonPointIsVoid(file_system, directory, segments, values);
}

absl::Status CarryThrough(FileSystem* file_system, const std::string& directory, const PartitionStateValues& values) {
  const PendingOperation operation = values.pending;
  if (operation == PendingOperation::kNone) return absl::OkStatus();
  VARVE_ASSIGN_OR_RETURN(const PartitionListing listing, ListPartition(file_system, directory));
  const std::vector<int64_t> base_offsets = listing.BaseOffsets();
  for (const int64_t base_offset : SegmentsToRemove(base_offsets, operation, values.pending_offset)) {
    VARVE_RETURN_IF_ERROR(operation == PendingOperation::kDeleteBefore
                              ? SetSegmentFilesAside(file_system, directory, base_offset)
                              : RemoveSegmentFiles(file_system, directory, base_offset));
  }
  if (operation == PendingOperation::kTruncateTo) {
    VARVE_RETURN_IF_ERROR(RemoveSnapshots(file_system, directory, listing, values.pending_offset));
    VARVE_RETURN_IF_ERROR(file_system->SyncDirectory(directory));
    if (listing.segments.contains(values.durable.segment)) {
      VARVE_RETURN_IF_ERROR(CutAtPoint(file_system, directory, values));
    }
  }
  if (operation == PendingOperation::kStartAt) {
    VARVE_RETURN_IF_ERROR(RemoveSnapshots(file_system, directory, listing, /*above_offset=*/-1));
    VARVE_RETURN_IF_ERROR(file_system->SyncDirectory(directory));
    VARVE_RETURN_IF_ERROR(WriteLeaderEpochs(file_system, JoinPath(directory, kLeaderEpochCheckpoint), {}));
    VARVE_RETURN_IF_ERROR(MakeEmptySegment(file_system, directory, values.pending_offset));
  }
  return file_system->SyncDirectory(directory);
}

}  // namespace varve::internal
