#include "log/cut_point.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "base/bytes.h"
#include "base/path.h"
#include "base/status.h"
#include "log/believed_marks.h"
#include "log/tail_check.h"
#include "record/batch_format.h"
#include "segment/segment_files.h"
#include "segment/segment_lookup.h"
#include "segment/segment_recovery.h"

namespace varve::internal {
namespace {

// The first byte that does not stay.
absl::StatusOr<int64_t> CutPosition(const OpenSegment& segment, int64_t offset, PublishedEnd end) {
  for (const DamagedRange& range : segment.damage()) {
    if (range.first_offset == offset) return range.position;
  }
  VARVE_ASSIGN_OR_RETURN(const std::optional<FoundBatch> first_gone, FindBatch(segment, offset, end));
  if (!first_gone.has_value()) return end.end_position;
  if (first_gone->base_offset >= offset) return first_gone->position;
  return Error(absl::StatusCode::kInvalidArgument,
               "{}: offset {} lies inside the batch with offsets {} to {}: truncate to {} or to {}", segment.path(),
               offset, first_gone->base_offset, first_gone->last_offset, first_gone->base_offset,
               first_gone->last_offset + 1);
}

// A batch not far before the cut, where the index has one: an entry at or below offset - 1 is of a batch that stays.
absl::StatusOr<int64_t> WalkStart(const OpenSegment& segment, int64_t offset, PublishedEnd end) {
  const absl::StatusOr<std::optional<FoundBatch>> before = FindBatch(segment, offset - 1, end);
  if (absl::IsDataLoss(before.status())) return 0;
  VARVE_RETURN_IF_ERROR(before.status());
  return before->has_value() ? (*before)->floor.position : 0;
}

}  // namespace

absl::StatusOr<DurablePoint> PointBelow(const OpenSegment& segment, int64_t offset) {
  const PublishedEnd end = segment.published();
  DurablePoint point{.offset = segment.base_offset(), .segment = segment.base_offset()};
  VARVE_ASSIGN_OR_RETURN(point.position, CutPosition(segment, offset, end));
  VARVE_ASSIGN_OR_RETURN(int64_t position, WalkStart(segment, offset, end));
  while (true) {
    VARVE_ASSIGN_OR_RETURN(const std::optional<FoundBatch> batch, BatchAt(segment, position, end));
    if (!batch.has_value() || batch->position >= point.position) break;
    position = batch->position + batch->size_bytes;
    point.offset = batch->last_offset + 1;
    point.batch_position = batch->position;
    point.batch_crc = LoadBigEndian<uint32_t>(segment.log() + batch->position + kCrcPosition);
  }
  // Damage right before the cut: no batch names the point.
  for (const DamagedRange& range : segment.damage()) {
    if (range.position >= point.position || range.position < point.batch_position) continue;
    point.offset = std::max(point.offset, range.last_offset + 1);
    point.batch_position = -1;
    point.batch_crc = 0;
  }
  return point;
}

absl::Status CheckOpens(FileSystem* file_system, const std::string& directory, const DurablePoint& point) {
  if (point.position == 0) return absl::OkStatus();
  const std::string name = SegmentFileName(point.segment, SegmentFileKind::kLog);
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> log,
                         file_system->Open(JoinPath(directory, name), OpenMode::kRead));
  const FoundSegment kept{.base_offset = point.segment, .size_bytes = point.position};
  const SegmentRecoveryInput input{.base_offset = kept.base_offset,
                                   .size_bytes = kept.size_bytes,
                                   .index_entries = RisingIndexEntries(file_system, directory, kept),
                                   .durable_position = kept.size_bytes};
  NoVisitor visitor;
  return RecoverSegment(*log, input, visitor).status();
}

}  // namespace varve::internal
