#include "varve/segment.h"

#include <algorithm>
#include <utility>

#include "base/path.h"
#include "base/status.h"
#include "record/batch_scanner.h"
#include "segment/open_segment.h"
#include "segment/segment_files.h"
#include "segment/segment_lookup.h"

namespace varve {

using internal::FoundBatch;
using internal::OpenSegment;
using internal::ParsedSegmentFile;
using internal::PublishedEnd;
using internal::SegmentFileKind;
using internal::SegmentFileName;
using internal::SegmentFileSuffix;

namespace {

// Walks batch headers from `start` to where they end; absent if there is none at `start`.
absl::StatusOr<std::optional<PublishedEnd>> WalkFrom(const File& file, int64_t start, int64_t file_bytes) {
  internal::BatchScanner scanner(&file, static_cast<uint64_t>(start), static_cast<uint64_t>(file_bytes));
  std::optional<PublishedEnd> end;
  for (;;) {
    VARVE_ASSIGN_OR_RETURN(const bool more, scanner.Next());
    if (!more) return end;
    end = {static_cast<int64_t>(scanner.position() + scanner.header().size_bytes), scanner.header().next_offset()};
  }
}

// Where the whole batches end. The walk begins at the last index entry if a batch is there, so that a long segment
// costs little; a wrong entry shows when the segment is read.
absl::StatusOr<PublishedEnd> EndOfBatches(const File& file, const SparseOffsetIndex& index, int64_t base_offset,
                                          int64_t file_bytes) {
  if (index.entry_count() > 0 && index.Check(file_bytes).ok()) {
    VARVE_ASSIGN_OR_RETURN(const std::optional<PublishedEnd> end,
                           WalkFrom(file, index.last_entry().position, file_bytes));
    if (end.has_value()) return *end;
  }
  VARVE_ASSIGN_OR_RETURN(const std::optional<PublishedEnd> end, WalkFrom(file, 0, file_bytes));
  return end.value_or(PublishedEnd{0, base_offset});
}

}  // namespace

absl::StatusOr<Segment> Segment::Open(FileSystem* file_system, const std::string& directory, int64_t base_offset) {
  const std::string path = internal::JoinPath(directory, SegmentFileName(base_offset, SegmentFileKind::kLog));
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, file_system->Open(path, OpenMode::kRead));
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  absl::StatusOr<SparseOffsetIndex> index = SparseOffsetIndex::Open(
      file_system, internal::JoinPath(directory, SegmentFileName(base_offset, SegmentFileKind::kOffsetIndex)),
      base_offset);
  if (!index.ok()) index = SparseOffsetIndex(base_offset, {});
  VARVE_ASSIGN_OR_RETURN(const PublishedEnd end, EndOfBatches(*file, *index, base_offset, static_cast<int64_t>(size)));
  const std::shared_ptr<FileSystem> unowned(std::shared_ptr<FileSystem>(), file_system);
  VARVE_ASSIGN_OR_RETURN(std::shared_ptr<const OpenSegment> open,
                         OpenSegment::OpenSealed(unowned, directory, base_offset, end, {}));
  return Segment(std::move(open), static_cast<int64_t>(size));
}

absl::StatusOr<std::vector<int64_t>> Segment::List(FileSystem* file_system, const std::string& directory) {
  VARVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, file_system->List(directory));
  std::vector<int64_t> bases;
  for (const std::string& name : names) {
    const std::optional<ParsedSegmentFile> parsed = internal::ParseSegmentFileName(name);
    if (parsed.has_value() && parsed->kind == SegmentFileKind::kLog && parsed->suffix == SegmentFileSuffix::kNone) {
      bases.push_back(parsed->base_offset);
    }
  }
  std::sort(bases.begin(), bases.end());
  return bases;
}

int64_t Segment::base_offset() const { return open_->base_offset(); }
int64_t Segment::valid_bytes() const { return open_->published().end_position; }
int64_t Segment::next_offset() const { return open_->published().next_offset; }
TimestampOffset Segment::largest_timestamp() const { return open_->largest_timestamp(); }

absl::StatusOr<std::optional<OffsetLookup>> Segment::FindOffset(int64_t offset) const {
  VARVE_ASSIGN_OR_RETURN(const std::optional<FoundBatch> found,
                         internal::FindBatch(*open_, offset, open_->published()));
  if (!found.has_value()) return std::nullopt;
  return OffsetLookup{.segment = base_offset(),
                      .position = found->position,
                      .size_bytes = found->size_bytes,
                      .base_offset = found->base_offset,
                      .last_offset = found->last_offset,
                      .index_offset = found->floor.offset,
                      .index_position = found->floor.position,
                      .batches_scanned = found->batches_scanned};
}

absl::StatusOr<std::optional<TimestampOffset>> Segment::FindTimestamp(int64_t timestamp_ms, int64_t min_offset) const {
  DecodeBuffer scratch;
  return internal::FindTimestamp(*open_, timestamp_ms, min_offset, open_->published(), &scratch);
}

absl::StatusOr<std::optional<RecordBatchView>> Segment::BatchAt(int64_t position) const {
  VARVE_ASSIGN_OR_RETURN(const std::optional<FoundBatch> found,
                         internal::BatchAt(*open_, position, open_->published()));
  if (!found.has_value()) return std::nullopt;
  return RecordBatchView(std::span(open_->log() + found->position, static_cast<size_t>(found->size_bytes)));
}

}  // namespace varve
