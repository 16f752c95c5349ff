#include "varve/sparse_offset_index.h"

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

constexpr size_t kPositionAt = sizeof(int32_t);
static_assert(kPositionAt + sizeof(int32_t) == SparseOffsetIndex::kEntryBytes);

int32_t RelativeOffsetOf(const std::byte* entry) { return internal::LoadBigEndian<int32_t>(entry); }
int32_t PositionOf(const std::byte* entry) { return internal::LoadBigEndian<int32_t>(entry + kPositionAt); }

OffsetPosition DecodeEntry(int64_t base_offset, const std::byte* entry) {
  return {.offset = base_offset + RelativeOffsetOf(entry), .position = PositionOf(entry)};
}

// The search key for an absolute offset: every entry above 31 bits is beyond the last possible one.
int32_t RelativeTarget(int64_t base_offset, int64_t target) {
  return static_cast<int32_t>(std::min<int64_t>(target - base_offset, std::numeric_limits<int32_t>::max()));
}

bool FitsRelative(int64_t value) { return value >= 0 && value <= std::numeric_limits<int32_t>::max(); }

}  // namespace

SparseOffsetIndex::SparseOffsetIndex(int64_t base_offset, std::span<const std::byte> entries)
    : base_offset_(base_offset), bytes_(entries) {}

absl::StatusOr<SparseOffsetIndex> SparseOffsetIndex::Open(FileSystem* file_system, const std::string& path,
                                                          int64_t base_offset) {
  VARVE_ASSIGN_OR_RETURN(auto file, internal::MapIndexFile(file_system, path));
  SparseOffsetIndex index(base_offset, file->bytes());
  index.file_ = std::move(file);
  return index;
}

OffsetPosition SparseOffsetIndex::entry(size_t entry_index) const {
  return DecodeEntry(base_offset_, bytes_.data() + entry_index * kEntryBytes);
}

OffsetPosition SparseOffsetIndex::last_entry() const {
  return entry_count() == 0 ? OffsetPosition{base_offset_, 0} : entry(entry_count() - 1);
}

std::optional<size_t> SparseOffsetIndex::FloorIndex(int64_t target) const {
  if (target < base_offset_) return std::nullopt;
  const size_t not_above =
      internal::CountNotAbove(entry_count(), RelativeTarget(base_offset_, target),
                              [this](size_t i) { return RelativeOffsetOf(bytes_.data() + i * kEntryBytes); });
  if (not_above == 0) return std::nullopt;
  return not_above - 1;
}

OffsetPosition SparseOffsetIndex::Floor(int64_t target) const {
  const std::optional<size_t> floor = FloorIndex(target);
  return floor.has_value() ? entry(*floor) : OffsetPosition{base_offset_, 0};
}

OffsetBracket SparseOffsetIndex::FloorAndNext(int64_t target) const {
  const std::optional<size_t> floor = FloorIndex(target);
  OffsetBracket bracket{.floor = floor.has_value() ? entry(*floor) : OffsetPosition{base_offset_, 0},
                        .next = std::nullopt};
  const size_t next = floor.has_value() ? *floor + 1 : 0;
  if (next < entry_count()) bracket.next = entry(next);
  return bracket;
}

std::optional<OffsetPosition> SparseOffsetIndex::FirstAtOrAfterPosition(int64_t position) const {
  const size_t below = internal::CountNotAbove(
      entry_count(), position - 1, [this](size_t i) -> int64_t { return PositionOf(bytes_.data() + i * kEntryBytes); });
  if (below == entry_count()) return std::nullopt;
  return entry(below);
}

absl::Status SparseOffsetIndex::Check(int64_t log_bytes) const {
  const std::string_view name = file_ == nullptr ? std::string_view("offset index") : std::string_view(file_->path);
  OffsetPosition previous{base_offset_, 0};
  for (size_t i = 0; i < entry_count(); ++i) {
    const OffsetPosition current = entry(i);
    const bool rises = current.offset > previous.offset && current.position > previous.position;
    if (!rises) {
      const bool zeros = current == OffsetPosition{base_offset_, 0};
      return internal::Error(
          absl::StatusCode::kDataLoss,
          "{}: entry {} at byte {}: expected an offset above {} and a position above {}, found offset "
          "{} at position {}{}",
          name, i, i * kEntryBytes, previous.offset, previous.position, current.offset, current.position,
          zeros ? " (zeros: space that was never written)" : "");
    }
    if (current.position >= log_bytes) {
      return internal::Error(absl::StatusCode::kDataLoss,
                             "{}: entry {} at byte {}: expected a position below the {} bytes of the log, found {}",
                             name, i, i * kEntryBytes, log_bytes, current.position);
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

SparseOffsetIndexBuilder::SparseOffsetIndexBuilder(int64_t base_offset, int64_t max_index_bytes)
    : base_offset_(base_offset),
      max_entry_count_(static_cast<size_t>(std::max<int64_t>(max_index_bytes, 0)) / SparseOffsetIndex::kEntryBytes) {}

SparseOffsetIndexBuilder::~SparseOffsetIndexBuilder() = default;

OffsetPosition SparseOffsetIndexBuilder::entry(size_t entry_index) const {
  return DecodeEntry(base_offset_, chunks_->At(entry_index));
}

OffsetPosition SparseOffsetIndexBuilder::last_entry() const {
  const size_t published = entry_count();
  return published == 0 ? OffsetPosition{base_offset_, 0} : entry(published - 1);
}

std::optional<size_t> SparseOffsetIndexBuilder::FloorIndex(size_t published, int64_t target) const {
  if (published == 0 || target < base_offset_) return std::nullopt;
  const size_t not_above = chunks_->CountNotAbove(published, RelativeTarget(base_offset_, target), RelativeOffsetOf);
  if (not_above == 0) return std::nullopt;
  return not_above - 1;
}

OffsetPosition SparseOffsetIndexBuilder::Floor(int64_t target) const {
  const std::optional<size_t> floor = FloorIndex(entry_count(), target);
  return floor.has_value() ? entry(*floor) : OffsetPosition{base_offset_, 0};
}

OffsetBracket SparseOffsetIndexBuilder::FloorAndNext(int64_t target) const {
  const size_t published = entry_count();
  const std::optional<size_t> floor = FloorIndex(published, target);
  OffsetBracket bracket{.floor = floor.has_value() ? entry(*floor) : OffsetPosition{base_offset_, 0},
                        .next = std::nullopt};
  const size_t next = floor.has_value() ? *floor + 1 : 0;
  if (next < published) bracket.next = entry(next);
  return bracket;
}

std::optional<OffsetPosition> SparseOffsetIndexBuilder::FirstAtOrAfterPosition(int64_t position) const {
  const size_t published = entry_count();
  if (published == 0) return std::nullopt;
  const size_t below = chunks_->CountNotAbove(published, position - 1,
                                              [](const std::byte* entry) -> int64_t { return PositionOf(entry); });
  if (below == published) return std::nullopt;
  return entry(below);
}

absl::Status SparseOffsetIndexBuilder::Append(int64_t offset, int64_t position) {
  const OffsetPosition last = last_entry();
  if (offset <= last.offset || position <= last.position) {
    return internal::Error(
        absl::StatusCode::kInvalidArgument,
        "offset index of segment {}: entry {} must be above offset {} and position {}, got offset {} at "
        "position {}",
        base_offset_, entry_count(), last.offset, last.position, offset, position);
  }
  if (!FitsRelative(offset - base_offset_) || !FitsRelative(position)) {
    return internal::Error(absl::StatusCode::kInvalidArgument,
                           "offset index of segment {}: offset {} at position {} does not fit in 31 bits", base_offset_,
                           offset, position);
  }
  if (full()) return absl::OkStatus();
  const size_t count = entry_count();
  if (chunks_ == nullptr) chunks_ = std::make_unique<internal::EntryChunks<SparseOffsetIndex::kEntryBytes>>();
  std::byte* slot = chunks_->Slot(count);
  internal::StoreBigEndian<int32_t>(slot, static_cast<int32_t>(offset - base_offset_));
  internal::StoreBigEndian<int32_t>(slot + kPositionAt, static_cast<int32_t>(position));
  count_.store(count + 1, std::memory_order_release);
  return absl::OkStatus();
}

absl::Status SparseOffsetIndexBuilder::Load(const SparseOffsetIndex& index) {
  if (index.base_offset() != base_offset_) {
    return internal::Error(absl::StatusCode::kInvalidArgument,
                           "offset index of segment {}: cannot take the entries of segment {}", base_offset_,
                           index.base_offset());
  }
  count_.store(0, std::memory_order_release);
  if (index.entry_count() == 0) return absl::OkStatus();
  if (chunks_ == nullptr) chunks_ = std::make_unique<internal::EntryChunks<SparseOffsetIndex::kEntryBytes>>();
  chunks_->CopyFrom(index.bytes());
  count_.store(index.entry_count(), std::memory_order_release);
  return absl::OkStatus();
}

void SparseOffsetIndexBuilder::CopyTo(size_t first_entry, size_t count, std::byte* out) const {
  if (count > 0) chunks_->CopyTo(first_entry, count, out);
}

}  // namespace varve
