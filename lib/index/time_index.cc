#include "varve/time_index.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/status.h"
#include "index/entry_chunks.h"
#include "index/entry_search.h"
#include "index/index_file.h"

namespace varve {
namespace {

constexpr size_t kRelativeOffsetAt = sizeof(int64_t);
static_assert(kRelativeOffsetAt + sizeof(int32_t) == TimeIndex::kEntryBytes);

int64_t TimestampOf(const std::byte* entry) { return internal::LoadBigEndian<int64_t>(entry); }
int32_t RelativeOffsetOf(const std::byte* entry) { return internal::LoadBigEndian<int32_t>(entry + kRelativeOffsetAt); }

TimestampOffset DecodeEntry(int64_t base_offset, const std::byte* entry) {
  return {.timestamp_ms = TimestampOf(entry), .offset = base_offset + RelativeOffsetOf(entry)};
}

}  // namespace

TimeIndex::TimeIndex(int64_t base_offset, std::span<const std::byte> entries)
    : base_offset_(base_offset), bytes_(entries) {}

absl::StatusOr<TimeIndex> TimeIndex::Open(FileSystem* file_system, const std::string& path, int64_t base_offset) {
  VARVE_ASSIGN_OR_RETURN(auto file, internal::MapIndexFile(file_system, path));
  TimeIndex index(base_offset, file->bytes());
  index.file_ = std::move(file);
  return index;
}

TimestampOffset TimeIndex::entry(size_t entry_index) const {
  return DecodeEntry(base_offset_, bytes_.data() + entry_index * kEntryBytes);
}

TimestampOffset TimeIndex::last_entry() const {
  return entry_count() == 0 ? TimestampOffset{-1, base_offset_} : entry(entry_count() - 1);
}

std::optional<size_t> TimeIndex::FloorIndex(int64_t timestamp_ms) const {
  const size_t not_above = internal::CountNotAbove(
      entry_count(), timestamp_ms, [this](size_t i) { return TimestampOf(bytes_.data() + i * kEntryBytes); });
  if (not_above == 0) return std::nullopt;
  return not_above - 1;
}

TimestampOffset TimeIndex::Floor(int64_t timestamp_ms) const {
  const std::optional<size_t> floor = FloorIndex(timestamp_ms);
  return floor.has_value() ? entry(*floor) : TimestampOffset{-1, base_offset_};
}

absl::Status TimeIndex::Check(int64_t end_offset) const {
  const std::string_view name = file_ == nullptr ? std::string_view("time index") : std::string_view(file_->path);
  TimestampOffset previous{-1, base_offset_};
  for (size_t i = 0; i < entry_count(); ++i) {
    const TimestampOffset current = entry(i);
    if (current.timestamp_ms <= previous.timestamp_ms || current.offset < previous.offset) {
      const bool zeros = current == TimestampOffset{0, base_offset_};
      return internal::Error(
          absl::StatusCode::kDataLoss,
          "{}: entry {} at byte {}: expected a timestamp above {} and an offset of {} or more, found "
          "timestamp {} with offset {}{}",
          name, i, i * kEntryBytes, previous.timestamp_ms, previous.offset, current.timestamp_ms, current.offset,
          zeros ? " (zeros: space that was never written)" : "");
    }
    if (current.offset >= end_offset) {
      return internal::Error(absl::StatusCode::kDataLoss,
                             "{}: entry {} at byte {}: expected an offset below the segment's end {}, found {}", name,
                             i, i * kEntryBytes, end_offset, current.offset);
    }
    previous = current;
  }
  if (const size_t left_over = bytes_.size() % kEntryBytes; left_over != 0) {
    return internal::Error(absl::StatusCode::kDataLoss,
                           "{}: expected whole entries of {} bytes, found {} bytes behind {} entries", name,
                           kEntryBytes, left_over, entry_count());
  }
  return absl::OkStatus();
}

TimeIndexBuilder::TimeIndexBuilder(int64_t base_offset, int64_t max_index_bytes)
    : base_offset_(base_offset),
      max_entry_count_(static_cast<size_t>(std::max<int64_t>(max_index_bytes, 0)) / TimeIndex::kEntryBytes) {}

TimeIndexBuilder::~TimeIndexBuilder() = default;

TimestampOffset TimeIndexBuilder::entry(size_t entry_index) const {
  return DecodeEntry(base_offset_, chunks_->At(entry_index));
}

TimestampOffset TimeIndexBuilder::last_entry() const {
  const size_t published = entry_count();
  return published == 0 ? TimestampOffset{-1, base_offset_} : entry(published - 1);
}

std::optional<size_t> TimeIndexBuilder::FloorIndex(int64_t timestamp_ms) const {
  const size_t published = entry_count();
  const size_t not_above = published == 0 ? 0 : chunks_->CountNotAbove(published, timestamp_ms, TimestampOf);
  if (not_above == 0) return std::nullopt;
  return not_above - 1;
}

TimestampOffset TimeIndexBuilder::Floor(int64_t timestamp_ms) const {
  const std::optional<size_t> floor = FloorIndex(timestamp_ms);
  return floor.has_value() ? entry(*floor) : TimestampOffset{-1, base_offset_};
}

absl::Status TimeIndexBuilder::MaybeAppend(int64_t timestamp_ms, int64_t offset, bool even_if_full) {
  const TimestampOffset last = last_entry();
  const size_t count = entry_count();
  if (offset < last.offset || (count > 0 && timestamp_ms < last.timestamp_ms)) {
    return internal::Error(
        absl::StatusCode::kInvalidArgument,
        "time index of segment {}: entry {} must not be below timestamp {} and offset {}, got timestamp "
        "{} with offset {}",
        base_offset_, count, last.timestamp_ms, last.offset, timestamp_ms, offset);
  }
  if (offset - base_offset_ > std::numeric_limits<int32_t>::max()) {
    return internal::Error(absl::StatusCode::kInvalidArgument,
                           "time index of segment {}: offset {} does not fit in 31 bits", base_offset_, offset);
  }
  if (timestamp_ms <= last.timestamp_ms || (full() && !even_if_full)) return absl::OkStatus();
  if (chunks_ == nullptr) chunks_ = std::make_unique<internal::EntryChunks<TimeIndex::kEntryBytes>>();
  std::byte* slot = chunks_->Slot(count);
  internal::StoreBigEndian<int64_t>(slot, timestamp_ms);
  internal::StoreBigEndian<int32_t>(slot + kRelativeOffsetAt, static_cast<int32_t>(offset - base_offset_));
  count_.store(count + 1, std::memory_order_release);
  return absl::OkStatus();
}

absl::Status TimeIndexBuilder::Load(const TimeIndex& index) {
  if (index.base_offset() != base_offset_) {
    return internal::Error(absl::StatusCode::kInvalidArgument,
                           "time index of segment {}: cannot take the entries of segment {}", base_offset_,
                           index.base_offset());
  }
  count_.store(0, std::memory_order_release);
  if (index.entry_count() == 0) return absl::OkStatus();
  if (chunks_ == nullptr) chunks_ = std::make_unique<internal::EntryChunks<TimeIndex::kEntryBytes>>();
  chunks_->CopyFrom(index.bytes());
  count_.store(index.entry_count(), std::memory_order_release);
  return absl::OkStatus();
}

void TimeIndexBuilder::CopyTo(size_t first_entry, size_t count, std::byte* out) const {
  if (count > 0) chunks_->CopyTo(first_entry, count, out);
}

}  // namespace varve
