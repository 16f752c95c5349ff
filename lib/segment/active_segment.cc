#include "segment/active_segment.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/path.h"
#include "base/status.h"
#include "record/batch_format.h"
#include "segment/segment_files.h"

namespace varve::internal {
namespace {

// Entries go to the index files by the page: 4 KiB of offset entries stand for 2 MiB of log at the default interval.
constexpr size_t kEntriesPerWrite = 512;

// Writes entries [*written, builder.entry_count()) where they belong in the file.
template <size_t kEntryBytes, typename Builder>
absl::Status WriteEntries(const Builder& builder, File* file, size_t* written) {
  const size_t count = builder.entry_count();
  if (*written == count) return absl::OkStatus();
  std::vector<std::byte> bytes((count - *written) * kEntryBytes);
  builder.CopyTo(*written, count - *written, bytes.data());
  VARVE_RETURN_IF_ERROR(file->WriteAt(*written * kEntryBytes, bytes));
  *written = count;
  return absl::OkStatus();
}

}  // namespace

ActiveSegment::ActiveSegment(const ActiveSegmentOptions& options, int64_t base_offset)
    : options_(options),
      base_offset_(base_offset),
      end_{0, base_offset},
      counters_{0, {OpenSegment::kNoTimestampYet, base_offset}},
      published_counters_(counters_),
      opened_wall_ms_(options.clock->WallMs()) {}

absl::StatusOr<std::unique_ptr<ActiveSegment>> ActiveSegment::Create(const ActiveSegmentOptions& options,
                                                                     int64_t base_offset) {
  std::unique_ptr<ActiveSegment> segment(new ActiveSegment(options, base_offset));
  absl::Status opened = segment->OpenFiles(OpenMode::kTruncate, {0, base_offset}, {});
  if (opened.ok()) return segment;
  VARVE_RETURN_IF_ERROR(segment->RemoveFiles());
  return opened;
}

absl::Status ActiveSegment::RemoveFiles() {
  for (const SegmentFileKind kind :
       {SegmentFileKind::kLog, SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex}) {
    const std::string path = JoinPath(options_.directory, SegmentFileName(base_offset_, kind));
    const absl::Status removed = options_.file_system->Remove(path);
    if (removed.ok() || absl::IsNotFound(removed)) continue;
    return Error(absl::StatusCode::kInternal, "{}: a segment that could not be made cannot be removed: {}", path,
                 std::string_view(removed.message().data(), removed.message().size()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ActiveSegment>> ActiveSegment::Reopen(const ActiveSegmentOptions& options,
                                                                     int64_t base_offset, PublishedEnd end,
                                                                     std::vector<DamagedRange> damage) {
  std::unique_ptr<ActiveSegment> segment(new ActiveSegment(options, base_offset));
  VARVE_RETURN_IF_ERROR(segment->OpenFiles(OpenMode::kReadWrite, end, std::move(damage)));
  VARVE_RETURN_IF_ERROR(segment->LoadIndexes());
  return segment;
}

absl::Status ActiveSegment::OpenFiles(OpenMode mode, PublishedEnd end, std::vector<DamagedRange> damage) {
  const auto path = [&](SegmentFileKind kind) {
    return JoinPath(options_.directory, SegmentFileName(base_offset_, kind));
  };
  FileSystem* const file_system = options_.file_system.get();
  VARVE_ASSIGN_OR_RETURN(offset_index_file_, file_system->Open(path(SegmentFileKind::kOffsetIndex), mode));
  VARVE_ASSIGN_OR_RETURN(time_index_file_, file_system->Open(path(SegmentFileKind::kTimeIndex), mode));
  VARVE_ASSIGN_OR_RETURN(file_, file_system->Open(path(SegmentFileKind::kLog), mode));

  const int64_t capacity = std::max(options_.segment_bytes, end.end_position);
  VARVE_ASSIGN_OR_RETURN(
      std::unique_ptr<Mapping> mapping,
      file_->Map(static_cast<uint64_t>(capacity), options_.mapped ? Access::kReadWrite : Access::kRead));
  mapping_data_ = mapping->data();
  if (options_.mapped) {
    window_.emplace(file_.get(), mapping.get(), options_.clock, end.end_position, end.end_position, capacity);
  }
  auto live = std::make_unique<LiveIndexes>(base_offset_, options_.segment_index_bytes);
  live_ = live.get();
  open_ = std::make_shared<OpenSegment>(options_.file_system, path(SegmentFileKind::kLog), base_offset_, file_,
                                        std::move(mapping), std::move(live), std::move(damage));
  end_ = end;
  open_->Publish(end_);
  return absl::OkStatus();
}

absl::Status ActiveSegment::LoadIndexes() {
  const auto path = [&](SegmentFileKind kind) {
    return JoinPath(options_.directory, SegmentFileName(base_offset_, kind));
  };
  VARVE_ASSIGN_OR_RETURN(
      const SparseOffsetIndex offsets,
      SparseOffsetIndex::Open(options_.file_system.get(), path(SegmentFileKind::kOffsetIndex), base_offset_));
  VARVE_RETURN_IF_ERROR(offsets.Check(end_.end_position));
  VARVE_RETURN_IF_ERROR(live_->offsets.Load(offsets));
  VARVE_ASSIGN_OR_RETURN(const TimeIndex times,
                         TimeIndex::Open(options_.file_system.get(), path(SegmentFileKind::kTimeIndex), base_offset_));
  VARVE_RETURN_IF_ERROR(times.Check(end_.next_offset));
  VARVE_RETURN_IF_ERROR(live_->times.Load(times));
  offset_entries_written_ = offsets.entry_count();
  time_entries_written_ = times.entry_count();
  open_->TookFromFiles(end_);
  counters_.largest = times.last_entry();
  published_counters_ = counters_;
  open_->SetLargestTimestamp(counters_.largest);
  first_batch_timestamp_ms_ = ReadFirstBatchTimestamp();
  return absl::OkStatus();
}

// By a read call: a bad sector must not end the process in the middle of an opening.
std::optional<int64_t> ActiveSegment::ReadFirstBatchTimestamp() const {
  if (end_.end_position < static_cast<int64_t>(kBatchHeaderBytes)) return std::nullopt;
  const std::vector<DamagedRange>& damage = open_->damage();
  if (!damage.empty() && damage.front().position == 0) return std::nullopt;
  std::array<std::byte, sizeof(int64_t)> timestamp;
  const absl::StatusOr<size_t> count = file_->ReadAt(kMaxTimestampPosition, timestamp);
  if (!count.ok() || *count < timestamp.size()) return std::nullopt;
  return LoadBigEndian<int64_t>(timestamp.data());
}

absl::StatusOr<std::byte*> ActiveSegment::ReserveSlow(int64_t size_bytes, bool durable_acks) {
  if (window_.has_value()) {
    absl::Status extended = window_->Extend(end_.end_position, size_bytes, durable_acks);
    if (extended.ok()) return mapping_data_ + end_.end_position;
    if (!absl::IsUnimplemented(extended)) return extended;
    window_.reset();
  }
  if (buffer_.size() < static_cast<size_t>(size_bytes)) buffer_.resize(static_cast<size_t>(size_bytes));
  reserved_in_buffer_ = true;
  return buffer_.data();
}

absl::Status ActiveSegment::Commit(const BatchSummary& batch) {
  touched_end_ = end_.end_position + batch.size_bytes;
  if (reserved_in_buffer_) {
    reserved_in_buffer_ = false;
    VARVE_RETURN_IF_ERROR(file_->WriteAt(static_cast<uint64_t>(end_.end_position),
                                         std::span(buffer_).first(static_cast<size_t>(batch.size_bytes))));
  }
  TakeIn(batch);
  return absl::OkStatus();
}

absl::Status ActiveSegment::Append(std::span<const std::byte> bytes, const BatchSummary& batch, bool durable_acks) {
  if (window_.has_value() && bytes.size() < kWriteThroughBytes) {
    VARVE_ASSIGN_OR_RETURN(std::byte* const place, Reserve(batch.size_bytes, durable_acks));
    std::memcpy(place, bytes.data(), bytes.size());
    return Commit(batch);
  }
  touched_end_ = end_.end_position + batch.size_bytes;
  VARVE_RETURN_IF_ERROR(file_->WriteAt(static_cast<uint64_t>(end_.end_position), bytes));
  if (window_.has_value()) window_->Skip(end_.end_position + batch.size_bytes);
  TakeIn(batch);
  return absl::OkStatus();
}

void ActiveSegment::TakeIn(const BatchSummary& batch) {
  AddToIndexes(batch);
  if (end_.end_position == 0) first_batch_timestamp_ms_ = batch.max_timestamp_ms;
  end_ = {end_.end_position + batch.size_bytes, batch.last_offset + 1};
}

// The order of Kafka's LogSegment.append: the largest timestamp takes this batch in before the entry for it is written.
void ActiveSegment::AddToIndexes(const BatchSummary& batch) {
  if (batch.max_timestamp_ms > counters_.largest.timestamp_ms) {
    counters_.largest = {batch.max_timestamp_ms, batch.last_offset};
  }
  if (counters_.bytes_since_index_entry > options_.index_interval_bytes) {
    unpublished_entries_.push_back({{batch.last_offset, end_.end_position}, counters_.largest});
    counters_.bytes_since_index_entry = 0;
  }
  counters_.bytes_since_index_entry += batch.size_bytes;
}

// An index is sparse: an entry that it refuses, because it does not rise, is left out.
void ActiveSegment::PublishIndexEntries() {
  for (const IndexEntries& entries : unpublished_entries_) {
    (void)live_->offsets.Append(entries.batch.offset, entries.batch.position);
    (void)live_->times.MaybeAppend(entries.largest.timestamp_ms, entries.largest.offset);
  }
  unpublished_entries_.clear();
  WriteFullIndexPages();
}

// A hint only, and Seal writes what is missing: an error here costs nothing.
void ActiveSegment::WriteFullIndexPages() {
  if (live_->offsets.entry_count() - offset_entries_written_ < kEntriesPerWrite) return;
  (void)WriteIndexEntries();
}

absl::Status ActiveSegment::WriteIndexEntries() {
  VARVE_RETURN_IF_ERROR(
      WriteEntries<SparseOffsetIndex::kEntryBytes>(live_->offsets, offset_index_file_.get(), &offset_entries_written_));
  return WriteEntries<TimeIndex::kEntryBytes>(live_->times, time_index_file_.get(), &time_entries_written_);
}

absl::StatusOr<bool> ActiveSegment::Discard() {
  const PublishedEnd published = open_->published();
  if (touched_end_ <= published.end_position) return false;
  unpublished_entries_.clear();
  counters_ = published_counters_;
  if (published.end_position == 0) first_batch_timestamp_ms_.reset();
  end_ = published;
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, file_->Size());
  const auto kept = static_cast<uint64_t>(published.end_position);
  if (size > kept) {
    if (window_.has_value()) window_->Trim(published.end_position);
    VARVE_RETURN_IF_ERROR(file_->Truncate(kept));
  }
  touched_end_ = published.end_position;
  return size > kept;
}

absl::Status ActiveSegment::Seal() {
  VARVE_RETURN_IF_ERROR(
      live_->times.MaybeAppend(counters_.largest.timestamp_ms, counters_.largest.offset, /*even_if_full=*/true));
  VARVE_RETURN_IF_ERROR(WriteIndexEntries());
  VARVE_RETURN_IF_ERROR(offset_index_file_->Truncate(offset_entries_written_ * SparseOffsetIndex::kEntryBytes));
  VARVE_RETURN_IF_ERROR(time_index_file_->Truncate(time_entries_written_ * TimeIndex::kEntryBytes));
  if (window_.has_value()) window_->Trim(end_.end_position);
  return file_->Truncate(static_cast<uint64_t>(end_.end_position));
}

}  // namespace varve::internal
