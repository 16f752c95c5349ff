#include "testing/memory_file_image.h"

#include <algorithm>
#include <cstring>

#include "base/status.h"

namespace varve::internal {
namespace {

uint64_t RoundUp(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

// As ==, which goes byte by byte.
template <size_t kSize>
bool IsSame(const std::array<std::byte, kSize>& one, const std::array<std::byte, kSize>& other) {
  return std::memcmp(one.data(), other.data(), kSize) == 0;
}

}  // namespace

size_t MemoryFileImage::Read(uint64_t position, std::span<std::byte> out) const {
  if (position >= size()) return 0;
  const size_t count = std::min<uint64_t>(out.size(), size() - position);
  if (count > 0) content_.Copy(position, out.first(count));
  return count;
}

absl::Status MemoryFileImage::Write(uint64_t position, std::span<const std::byte> bytes) {
  if (bytes.empty()) return absl::OkStatus();
  KeepVersions(position, position + bytes.size());
  // Block by block, as the system does: what there is room for is written.
  uint64_t end = position + bytes.size();
  absl::Status status;
  for (uint64_t block = position / kPageBytes; block <= (end - 1) / kPageBytes; ++block) {
    if (blocks_.contains(block)) continue;
    if (!space_->TakeBlock()) {
      status = NoSpace(position, bytes.size());
      end = std::max(position, block * kPageBytes);
      break;
    }
    blocks_.insert(block);
  }
  if (end == position) return status;
  if (end > size()) VARVE_RETURN_IF_ERROR(content_.Resize(end));
  std::memcpy(content_.data() + position, bytes.data(), end - position);
  for (uint64_t page = position / kPageBytes; page <= (end - 1) / kPageBytes; ++page) dropped_.erase(page);
  return status;
}

absl::Status MemoryFileImage::Truncate(uint64_t size) {
  VARVE_RETURN_IF_ERROR(content_.Resize(size));
  smallest_size_ = std::min(smallest_size_, size);
  const uint64_t first_free = RoundUp(size, kPageBytes) / kPageBytes;
  while (!blocks_.empty() && *blocks_.rbegin() >= first_free) {
    blocks_.erase(std::prev(blocks_.end()));
    space_->FreeBlock();
  }
  dropped_.erase(dropped_.lower_bound(first_free), dropped_.end());
  versions_.erase(versions_.lower_bound(RoundUp(size, kSectorBytes) / kSectorBytes), versions_.end());
  return absl::OkStatus();
}

absl::Status MemoryFileImage::TakeSpace(uint64_t position, uint64_t length) {
  if (length == 0) return absl::OkStatus();
  std::vector<uint64_t> taken;
  for (uint64_t block = position / kPageBytes; block <= (position + length - 1) / kPageBytes; ++block) {
    if (blocks_.contains(block)) continue;
    if (!space_->TakeBlock()) {
      for (size_t i = 0; i < taken.size(); ++i) space_->FreeBlock();
      return NoSpace(position, length);
    }
    taken.push_back(block);
  }
  blocks_.insert(taken.begin(), taken.end());
  return absl::OkStatus();
}

void MemoryFileImage::FreeSpace() {
  for (size_t i = 0; i < blocks_.size(); ++i) space_->FreeBlock();
}

absl::Status MemoryFileImage::NoSpace(uint64_t position, uint64_t length) const {
  return Error(absl::StatusCode::kResourceExhausted, "{} bytes at {}: no space, {} bytes are in use", length, position,
               space_->used_bytes());
}

absl::StatusOr<std::byte*> MemoryFileImage::Pin(uint64_t length) {
  VARVE_RETURN_IF_ERROR(content_.Pin(length));
  return content_.data();
}

void MemoryFileImage::CopyDurable(uint64_t position, std::span<std::byte> out) const {
  const uint64_t available = position < durable_.size() ? durable_.size() - position : 0;
  const size_t count = std::min<uint64_t>(available, out.size());
  if (count > 0) std::memcpy(out.data(), durable_.data() + position, count);
  std::ranges::fill(out.subspan(count), std::byte{0});
}

bool MemoryFileImage::IsDropped(uint64_t page, const Page& content) const {
  const auto dropped = dropped_.find(page);
  return dropped != dropped_.end() && IsSame(dropped->second, content);
}

void MemoryFileImage::Sync() {
  smallest_size_ = size();
  versions_.clear();
  durable_.resize(size());
  if (dropped_.empty()) {
    content_.Copy(0, durable_);
    return;
  }
  for (uint64_t page = 0; page * kPageBytes < size(); ++page) {
    Page content;
    content_.Copy(page * kPageBytes, content);
    if (IsDropped(page, content)) continue;
    dropped_.erase(page);
    std::memcpy(durable_.data() + page * kPageBytes, content.data(), std::min(kPageBytes, size() - page * kPageBytes));
  }
}

void MemoryFileImage::DropUnsyncedPages() {
  for (uint64_t page = 0; page * kPageBytes < size(); ++page) {
    Page content;
    Page durable;
    content_.Copy(page * kPageBytes, content);
    CopyDurable(page * kPageBytes, durable);
    if (!IsSame(content, durable)) dropped_[page] = content;
  }
  versions_.clear();
}

std::map<uint64_t, std::vector<std::byte>> MemoryFileImage::DroppedAsStored(uint64_t length) const {
  std::map<uint64_t, std::vector<std::byte>> stored;
  for (const auto& [page, dropped] : dropped_) {
    const uint64_t position = page * kPageBytes;
    Page content;
    content_.Copy(position, content);
    if (position >= length || !IsSame(dropped, content)) continue;
    std::vector<std::byte>& bytes = stored[position];
    bytes.resize(std::min(kPageBytes, length - position));
    CopyDurable(position, bytes);
  }
  return stored;
}

void MemoryFileImage::StartWriteOut(uint64_t position, uint64_t length) {
  if (position >= size() || length == 0) return;
  KeepVersions(position, position + std::min(length, size() - position));
}

void MemoryFileImage::KeepVersions(uint64_t begin, uint64_t end) {
  end = std::min(end, size());
  for (uint64_t sector = begin / kSectorBytes; sector * kSectorBytes < end; ++sector) {
    Sector content;
    Sector durable;
    content_.Copy(sector * kSectorBytes, content);
    CopyDurable(sector * kSectorBytes, durable);
    if (!IsSame(content, durable)) versions_[sector] = content;
  }
}

MemoryFileImage::Sector MemoryFileImage::SectorAfterCrash(uint64_t sector, CrashMode mode, unsigned keep_eighths,
                                                          std::mt19937_64* random) const {
  Sector durable;
  CopyDurable(sector * kSectorBytes, durable);
  if (mode == CrashMode::kLoseAllUnsynced) return durable;
  if (!dropped_.empty()) {
    const uint64_t page = sector * kSectorBytes / kPageBytes;
    Page page_content;
    content_.Copy(page * kPageBytes, page_content);
    if (IsDropped(page, page_content)) return durable;
  }
  Sector current;
  content_.Copy(sector * kSectorBytes, current);
  if (mode == CrashMode::kKeepAll || IsSame(current, durable)) return current;
  if ((*random)() % 8 < keep_eighths) return current;
  const auto version = versions_.find(sector);
  if (version != versions_.end() && (*random)() % 2 == 0) return version->second;
  const uint64_t synced_end = RoundUp(std::min<uint64_t>(smallest_size_, durable_.size()), kSectorBytes);
  if (sector * kSectorBytes < synced_end) return durable;
  switch ((*random)() % 3) {
    case 0:
      return durable;
    case 1:
      return Sector{};
    default:
      std::ranges::generate(current, [&] { return static_cast<std::byte>((*random)()); });
      return current;
  }
}

std::unique_ptr<MemoryFileImage> MemoryFileImage::AfterCrash(CrashMode mode, std::mt19937_64* random,
                                                             SpaceAccount* space) const {
  auto clone = std::make_unique<MemoryFileImage>(space);
  const uint64_t old_size = durable_.size();
  uint64_t found_size = mode == CrashMode::kKeepAll ? size() : old_size;
  unsigned keep_eighths = 0;
  if (mode == CrashMode::kRandom) {
    const uint64_t least = std::min(old_size, size());
    const uint64_t most = std::max(old_size, size());
    switch ((*random)() % 3) {
      case 0:
        found_size = old_size;
        break;
      case 1:
        found_size = size();
        break;
      default:
        found_size = least + (*random)() % (most - least + 1);
    }
    // Drawn once a file, so that among many clones some files are nearly whole and some nearly lost.
    constexpr std::array<unsigned, 5> kEighths = {0, 1, 4, 7, 8};
    keep_eighths = kEighths[(*random)() % kEighths.size()];
  }
  clone->durable_.resize(RoundUp(found_size, kSectorBytes));
  for (uint64_t sector = 0; sector * kSectorBytes < found_size; ++sector) {
    const Sector content = SectorAfterCrash(sector, mode, keep_eighths, random);
    std::memcpy(clone->durable_.data() + sector * kSectorBytes, content.data(), kSectorBytes);
  }
  clone->durable_.resize(found_size);
  clone->smallest_size_ = found_size;
  // Memory for a clone is asked for as for any other container; an image that is not pinned has no other limit.
  if (clone->content_.Resize(found_size).ok() && found_size > 0) {
    std::memcpy(clone->content_.data(), clone->durable_.data(), found_size);
  }
  CopySpaceTo(clone.get());
  return clone;
}

std::unique_ptr<MemoryFileImage> MemoryFileImage::AfterProcessDeath(SpaceAccount* space) const {
  auto clone = std::make_unique<MemoryFileImage>(space);
  if (clone->content_.Resize(size()).ok()) content_.Copy(0, {clone->content_.data(), size()});
  clone->durable_ = durable_;
  clone->smallest_size_ = smallest_size_;
  clone->versions_ = versions_;
  clone->dropped_ = dropped_;
  CopySpaceTo(clone.get());
  return clone;
}

bool MemoryFileImage::HoldsWhat(const MemoryFileImage& other) const {
  if (size() != other.size()) return false;
  for (uint64_t position = 0; position < size(); position += kPageBytes) {
    Page ours;
    Page theirs;
    content_.Copy(position, ours);
    other.content_.Copy(position, theirs);
    if (!IsSame(ours, theirs)) return false;
  }
  return true;
}

void MemoryFileImage::CopySpaceTo(MemoryFileImage* clone) const {
  for (const uint64_t block : blocks_) {
    if (block * kPageBytes >= clone->size()) break;
    clone->space_->ForceBlock();
    clone->blocks_.insert(clone->blocks_.end(), block);
  }
}

}  // namespace varve::internal
