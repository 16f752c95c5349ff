#include "log/unsynced_ranges.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>

#include "base/path.h"
#include "base/status.h"
#include "record/batch_scanner.h"
#include "segment/segment_files.h"

namespace varve::internal {
namespace {

constexpr size_t kWriteBytes = size_t{1} << 20;

// The range of a recovered segment; absent where all of it has reached the disk.
std::optional<UnsyncedRange> RangeOf(const PlannedSegment& segment, const BelievedMarks& marks) {
  const SegmentRecovery& recovery = *segment.recovery;
  const int64_t base_offset = segment.found.base_offset;
  UnsyncedRange range{.segment = base_offset,
                      .end_position = recovery.end_position,
                      .offset = base_offset,
                      .next_offset = recovery.next_offset};
  if (!marks.durable_point.has_value()) {
    return recovery.next_offset <= marks.durable_offset ? std::nullopt : std::optional(range);
  }
  const DurablePoint& point = *marks.durable_point;
  if (base_offset < point.segment) return std::nullopt;
  if (base_offset == point.segment) {
    // A segment that ends before the point was compacted since: nothing of it is to be written again.
    const bool ends_before = range.end_position <= point.position;
    range.position = ends_before ? range.end_position : point.position;
    range.offset = ends_before ? range.next_offset : std::min(point.offset, range.next_offset);
  }
  return range;
}

// True if the segments stay as they are, but for a torn tail that goes.
bool StaysAsFound(const LoadPlan& plan) {
  if (plan.starts_anew || !plan.beyond.empty() || !plan.deleted.empty()) return false;
  return std::all_of(plan.segments.begin(), plan.segments.end(), [](const PlannedSegment& segment) {
    if (!segment.recovery.has_value()) return segment.known_damage.empty();
    const SegmentRecovery& recovery = *segment.recovery;
    const bool whole = recovery.log_end == LogEnd::kNowhere || recovery.log_end == LogEnd::kTornTail;
    return whole && recovery.damage.empty() && recovery.mended.empty();
  });
}

bool IsPointKnown(const LoadPlan& plan, const UnsyncedRange& first) {
  if (const std::optional<DurablePoint>& point = plan.marks.durable_point; point.has_value()) {
    return point->batch_position >= 0 || point->position == 0;
  }
  return !plan.state.has_value() && !plan.state_is_lost && plan.marks.durable_offset <= first.segment;
}

bool FollowOneAnother(const std::vector<UnsyncedRange>& ranges) {
  return std::adjacent_find(ranges.begin(), ranges.end(), [](const UnsyncedRange& range, const UnsyncedRange& next) {
           return range.next_offset != next.segment;
         }) == ranges.end();
}

// Writes whole batches again, and nothing that differs from what was found.
class BatchRewriter {
 public:
  BatchRewriter(File* file, const UnsyncedRange& range)
      : file_(file), range_(range), written_up_to_(range.position), next_offset_(range.offset) {}

  absl::Status Run() {
    BatchReader reader(file_, static_cast<uint64_t>(range_.position), static_cast<uint64_t>(range_.end_position));
    while (true) {
      const absl::StatusOr<bool> found = reader.Next();
      if (absl::IsUnimplemented(found.status())) return Changed(reader);
      VARVE_RETURN_IF_ERROR(found.status());
      if (!*found) break;
      const BatchHeader& header = reader.header();
      const bool follows = HasSaneOffsets(header) && header.base_offset >= next_offset_;
      if (!reader.crc_matches() || !follows) return Changed(reader);
      next_offset_ = header.next_offset();
      VARVE_RETURN_IF_ERROR(Add(reader.bytes()));
    }
    if (reader.end() != ScanEnd::kLimit || next_offset_ != range_.next_offset) return Changed(reader);
    return WriteHeld();
  }

 private:
  absl::Status Add(std::span<const std::byte> batch) {
    if (held_.size() + batch.size() > kWriteBytes) VARVE_RETURN_IF_ERROR(WriteHeld());
    held_.insert(held_.end(), batch.begin(), batch.end());
    return absl::OkStatus();
  }

  absl::Status WriteHeld() {
    if (held_.empty()) return absl::OkStatus();
    VARVE_RETURN_IF_ERROR(file_->WriteAt(static_cast<uint64_t>(written_up_to_), held_));
    written_up_to_ += static_cast<int64_t>(held_.size());
    held_.clear();
    return absl::OkStatus();
  }

  absl::Status Changed(const BatchReader& reader) const {
    return Error(absl::StatusCode::kDataLoss,
                 "{}, position {}: the batch that was good when the log was opened expected, found another or none",
                 file_->path(), reader.position());
  }

  File* const file_;
  const UnsyncedRange& range_;
  int64_t written_up_to_;
  int64_t next_offset_;
  std::vector<std::byte> held_;  // tested, and not yet written
};

}  // namespace

std::vector<UnsyncedRange> FindUnsynced(const LoadPlan& plan) {
  std::vector<UnsyncedRange> ranges;
  if (plan.clean) return ranges;
  for (const PlannedSegment& segment : plan.segments) {
    if (!segment.recovery.has_value()) continue;
    const std::optional<UnsyncedRange> range = RangeOf(segment, plan.marks);
    if (range.has_value()) ranges.push_back(*range);
  }
  return ranges;
}

bool MayAwaitSync(const LoadPlan& plan, const std::vector<UnsyncedRange>& ranges, const LogOptions& options) {
  const bool any_bytes = std::any_of(ranges.begin(), ranges.end(),
                                     [](const UnsyncedRange& range) { return range.end_position > range.position; });
  return any_bytes && options.visibility == Visibility::kLogEnd && StaysAsFound(plan) &&
         IsPointKnown(plan, ranges.front()) && FollowOneAnother(ranges);
}

DurablePoint PointBeforeSync(const LoadPlan& plan, const std::vector<UnsyncedRange>& ranges) {
  const int64_t first = ranges.front().segment;
  return plan.marks.durable_point.value_or(DurablePoint{.offset = first, .segment = first});
}

absl::Status RewriteUnsynced(FileSystem* file_system, const std::string& directory,
                             const std::vector<UnsyncedRange>& ranges, bool* found_no_room) {
  for (const UnsyncedRange& range : ranges) {
    const std::string name = SegmentFileName(range.segment, SegmentFileKind::kLog);
    const auto file = file_system->Open(JoinPath(directory, name), OpenMode::kReadWrite);
    *found_no_room = absl::IsResourceExhausted(file.status());  // too many open files
    VARVE_RETURN_IF_ERROR(file.status());
    const absl::Status written = BatchRewriter(file->get(), range).Run();
    VARVE_RETURN_IF_ERROR((*file)->SyncData());  // what was written before a failure, too
    *found_no_room = absl::IsResourceExhausted(written);
    VARVE_RETURN_IF_ERROR(written);
  }
  return absl::OkStatus();
}

}  // namespace varve::internal
