#include "segment/open_segment.h"

#include <algorithm>
#include <cstring>

#include "base/path.h"
#include "base/status.h"
#include "segment/segment_files.h"
#include "segment/segment_lookup.h"

namespace varve::internal {
namespace {

// An index that cannot be opened or fails its check costs speed, not answers: the segment does without.
SparseOffsetIndex UsableOffsetIndex(FileSystem* file_system, const std::string& path, int64_t base_offset,
                                    int64_t log_bytes) {
  absl::StatusOr<SparseOffsetIndex> index = SparseOffsetIndex::Open(file_system, path, base_offset);
  if (!index.ok() || !index->Check(log_bytes).ok()) return SparseOffsetIndex(base_offset, {});
  return *std::move(index);
}

TimeIndex UsableTimeIndex(FileSystem* file_system, const std::string& path, int64_t base_offset, int64_t next_offset) {
  absl::StatusOr<TimeIndex> index = TimeIndex::Open(file_system, path, base_offset);
  if (!index.ok() || !index->Check(next_offset).ok()) return TimeIndex(base_offset, {});
  return *std::move(index);
}

// How many entries point at or before `position`, of either form of the index: entries rise in both members.
template <typename Index>
size_t CountAtOrBefore(const Index& index, int64_t position) {
  size_t low = 0;
  size_t high = index.entry_count();
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (index.entry(middle).position <= position) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

constexpr size_t kBitsPerWord = 64;

}  // namespace

absl::StatusOr<std::shared_ptr<const OpenSegment>> OpenSegment::OpenSealed(
    const std::shared_ptr<FileSystem>& file_system, const std::string& directory, int64_t base_offset, PublishedEnd end,
    std::vector<DamagedRange> damage, SegmentFileSuffix suffix) {
  const auto path_of = [&](SegmentFileKind kind) {
    return JoinPath(directory, SegmentFileName(base_offset, kind, suffix));
  };
  const std::string path = JoinPath(directory, SegmentFileName(base_offset, SegmentFileKind::kLog));
  // The next segment may begin further up than the offsets of this one can reach. An end between the two does as well:
  // who reads on from there is in the gap, and led to the next.
  constexpr int64_t kReach = int64_t{1} << 31;
  end.next_offset = std::min(end.next_offset, base_offset + kReach);
  if (end.end_position == 0) {
    auto empty =
        std::make_shared<OpenSegment>(file_system, path, base_offset, nullptr, nullptr, nullptr, std::move(damage));
    empty->Publish(end);
    return empty;
  }
  VARVE_ASSIGN_OR_RETURN(std::shared_ptr<File> file,
                         file_system->Open(path_of(SegmentFileKind::kLog), OpenMode::kRead));
  VARVE_ASSIGN_OR_RETURN(const FileInfo info, file->Info());
  if (static_cast<int64_t>(info.size) < end.end_position) {
    return Error(absl::StatusCode::kDataLoss, "{}: expected at least {} bytes, found {}", path, end.end_position,
                 info.size);
  }
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<Mapping> mapping,
                         file->Map(static_cast<uint64_t>(end.end_position), Access::kRead));
  auto segment = std::make_shared<OpenSegment>(file_system, path, base_offset, nullptr, std::move(mapping), nullptr,
                                               std::move(damage));
  segment->ReleaseFile(info.identity);
  segment->offset_index_ =
      UsableOffsetIndex(file_system.get(), path_of(SegmentFileKind::kOffsetIndex), base_offset, end.end_position);
  segment->trusted_ =
      std::make_unique<std::atomic<uint64_t>[]>(segment->offset_index_.entry_count() / kBitsPerWord + 1);
  segment->time_index_ =
      UsableTimeIndex(file_system.get(), path_of(SegmentFileKind::kTimeIndex), base_offset, end.next_offset);
  segment->SetLargestTimestamp(LargestTimestamp(*segment, segment->time_index_.last_entry(), end));
  segment->Publish(end);
  return segment;
}

OpenSegment::OpenSegment(std::shared_ptr<FileSystem> file_system, std::string path, int64_t base_offset,
                         std::shared_ptr<File> file, std::unique_ptr<Mapping> mapping,
                         std::unique_ptr<LiveIndexes> live, std::vector<DamagedRange> damage)
    : file_system_(std::move(file_system)),
      path_(std::move(path)),
      base_offset_(base_offset),
      mapping_(std::move(mapping)),
      log_(mapping_ != nullptr ? mapping_->data() : nullptr),
      live_(std::move(live)),
      offset_index_(base_offset, {}),
      time_index_(base_offset, {}),
      damage_(std::move(damage)),
      largest_timestamp_offset_(base_offset),
      file_(std::move(file)) {}

OpenSegment::IndexHint OpenSegment::HintOf(size_t number) const {
  if (live_ != nullptr) return {.entry = live_->offsets.entry(number), .number = number};
  const uint64_t word = trusted_[number / kBitsPerWord].load(std::memory_order_relaxed);
  IndexHint hint{
      .entry = offset_index_.entry(number), .number = number, .trusted = (word >> (number % kBitsPerWord) & 1) != 0};
  if (!hint.trusted && number + 1 < offset_index_.entry_count()) hint.next = offset_index_.entry(number + 1);
  return hint;
}

OpenSegment::IndexHint OpenSegment::FloorOffset(int64_t target) const {
  const IndexHint none{.entry = {base_offset_, 0}};
  if (distrusted()) return none;
  if (live_ != nullptr) return {.entry = live_->offsets.Floor(target)};
  const std::optional<size_t> number = offset_index_.FloorIndex(target);
  return number.has_value() ? HintOf(*number) : none;
}

OpenSegment::IndexHint OpenSegment::FloorPosition(int64_t position) const {
  const IndexHint none{.entry = {base_offset_, 0}};
  if (distrusted()) return none;
  const size_t count =
      live_ != nullptr ? CountAtOrBefore(live_->offsets, position) : CountAtOrBefore(offset_index_, position);
  return count > 0 ? HintOf(count - 1) : none;
}

TimestampOffset OpenSegment::FloorTimestamp(int64_t timestamp_ms, int64_t next_offset) const {
  const TimestampOffset none{kNoTimestampYet, base_offset_};
  if (distrusted()) return none;
  if (live_ == nullptr) return time_index_.Floor(timestamp_ms);
  const TimestampOffset floor = live_->times.Floor(timestamp_ms);
  if (floor.offset < next_offset) [[likely]] {
    return floor;
  }
  // More was published since the caller loaded its end: the few newest entries are not for it.
  size_t count = live_->times.entry_count();
  while (count > 0 && live_->times.entry(count - 1).offset >= next_offset) --count;
  return count > 0 ? live_->times.entry(count - 1) : none;
}

void OpenSegment::Trust(size_t number) const {
  trusted_[number / kBitsPerWord].fetch_or(uint64_t{1} << (number % kBitsPerWord), std::memory_order_relaxed);
}

TimestampOffset OpenSegment::largest_timestamp() const {
  // The offset is stored first: a reader that sees a timestamp sees an offset at least as far along.
  const int64_t timestamp_ms = largest_timestamp_ms_.load(std::memory_order_acquire);
  return {timestamp_ms, largest_timestamp_offset_.load(std::memory_order_relaxed)};
}

void OpenSegment::SetLargestTimestamp(TimestampOffset largest) {
  largest_timestamp_offset_.store(largest.offset, std::memory_order_relaxed);
  largest_timestamp_ms_.store(largest.timestamp_ms, std::memory_order_release);
}

void OpenSegment::ReleaseFile(const FileIdentity& identity) const {
  const absl::MutexLock lock(&file_mutex_);
  identity_ = identity;
  file_.reset();
}

std::shared_ptr<const File> OpenSegment::Reopened() const {
  const absl::MutexLock lock(&file_mutex_);
  if (file_ != nullptr) return file_;
  // In the order in which a file has these names, so that one that is just being renamed is not missed.
  for (const SegmentFileSuffix suffix :
       {SegmentFileSuffix::kSwap, SegmentFileSuffix::kNone, SegmentFileSuffix::kDeleted}) {
    const std::string name = SegmentFileName(base_offset_, SegmentFileKind::kLog, suffix);
    absl::StatusOr<std::unique_ptr<File>> file =
        file_system_->Open(JoinPath(ParentDirectory(path_), name), OpenMode::kRead);
    if (!file.ok()) continue;
    const absl::StatusOr<FileInfo> info = (*file)->Info();
    if (!info.ok() || info->identity != identity_) continue;
    file_ = *std::move(file);
    return file_;
  }
  return nullptr;
}

absl::Status OpenSegment::ReadAt(int64_t position, std::span<std::byte> out) const {
  const std::shared_ptr<const File> file = Reopened();
  if (file == nullptr) {
    std::memcpy(out.data(), log_ + position, out.size());
    return absl::OkStatus();
  }
  VARVE_ASSIGN_OR_RETURN(const size_t count, file->ReadAt(static_cast<uint64_t>(position), out));
  if (count == out.size()) return absl::OkStatus();
  return Error(absl::StatusCode::kDataLoss, "{}: at position {}: expected {} bytes, found {}: the file was shrunk",
               path_, position, out.size(), count);
}

absl::Status OpenSegment::SendTo(int descriptor, int64_t position, int64_t size_bytes) const {
  const std::shared_ptr<const File> file = Reopened();
  if (file == nullptr) {
    return Error(absl::StatusCode::kNotFound, "{}: the file is gone or was replaced: send View() instead", path_);
  }
  return file->SendTo(descriptor, static_cast<uint64_t>(position), static_cast<uint64_t>(size_bytes));
}

}  // namespace varve::internal
