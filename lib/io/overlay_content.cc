#include "io/overlay_content.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/status.h"
#include "varve/clock.h"

namespace varve::internal {

absl::StatusOr<uint64_t> OverlayContent::SizeLocked() const {
  if (size_.has_value()) return *size_;
  return base_->Size();
}

absl::Status OverlayContent::Fill(uint64_t position, std::span<std::byte> out) const {
  if (memory_ != nullptr) {
    memory_->Copy(position, out);
    return absl::OkStatus();
  }
  std::ranges::fill(out, std::byte{0});
  if (base_ != nullptr) {
    VARVE_ASSIGN_OR_RETURN(const uint64_t base_end,
                           size_.has_value() ? absl::StatusOr<uint64_t>(base_end_) : base_->Size());
    if (position < base_end) {
      const size_t count = std::min<uint64_t>(out.size(), base_end - position);
      VARVE_RETURN_IF_ERROR(base_->ReadAt(position, out.first(count)).status());
    }
  }
  const uint64_t end = position + out.size();
  for (auto page = pages_.lower_bound(position / kPageBytes); page != pages_.end(); ++page) {
    const uint64_t page_begin = page->first * kPageBytes;
    if (page_begin >= end) break;
    const uint64_t from = std::max(position, page_begin);
    const uint64_t to = std::min(end, page_begin + kPageBytes);
    std::memcpy(out.data() + (from - position), page->second->data() + (from - page_begin), to - from);
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> OverlayContent::Read(uint64_t position, std::span<std::byte> out) const {
  const absl::MutexLock lock(&mutex_);
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, SizeLocked());
  if (position >= size) return 0;
  const size_t count = std::min<uint64_t>(out.size(), size - position);
  VARVE_RETURN_IF_ERROR(Fill(position, out.first(count)));
  return count;
}

absl::Status OverlayContent::BeginChange() {
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, SizeLocked());
  if (!size_.has_value()) base_end_ = size;
  size_ = size;
  modified_ms_ = Clock::Default()->WallMs();
  return absl::OkStatus();
}

absl::Status OverlayContent::Write(uint64_t position, std::span<const std::byte> bytes) {
  if (bytes.empty()) return absl::OkStatus();
  const absl::MutexLock lock(&mutex_);
  VARVE_RETURN_IF_ERROR(BeginChange());
  const uint64_t end = position + bytes.size();
  if (memory_ != nullptr) {
    if (end > *size_) VARVE_RETURN_IF_ERROR(memory_->Resize(end));
    std::memcpy(memory_->data() + position, bytes.data(), bytes.size());
  } else {
    VARVE_RETURN_IF_ERROR(WritePages(position, bytes));
  }
  size_ = std::max(*size_, end);
  return absl::OkStatus();
}

absl::Status OverlayContent::WritePages(uint64_t position, std::span<const std::byte> bytes) {
  const uint64_t end = position + bytes.size();
  for (uint64_t number = position / kPageBytes; number * kPageBytes < end; ++number) {
    const uint64_t page_begin = number * kPageBytes;
    const uint64_t from = std::max(position, page_begin);
    const uint64_t to = std::min(end, page_begin + kPageBytes);
    auto page = pages_.find(number);
    if (page == pages_.end()) {
      auto fresh = std::make_unique<Page>();
      VARVE_RETURN_IF_ERROR(Fill(page_begin, *fresh));
      // Recovery writes whole logs again: what is there already takes no memory.
      if (std::memcmp(fresh->data() + (from - page_begin), bytes.data() + (from - position), to - from) == 0) continue;
      page = pages_.emplace(number, std::move(fresh)).first;
    }
    std::memcpy(page->second->data() + (from - page_begin), bytes.data() + (from - position), to - from);
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> OverlayContent::Size() const {
  const absl::MutexLock lock(&mutex_);
  return SizeLocked();
}

absl::Status OverlayContent::Truncate(uint64_t size) {
  const absl::MutexLock lock(&mutex_);
  return TruncateLocked(size);
}

absl::Status OverlayContent::Extend(uint64_t size) {
  const absl::MutexLock lock(&mutex_);
  VARVE_ASSIGN_OR_RETURN(const uint64_t size_before, SizeLocked());
  return size_before >= size ? absl::OkStatus() : TruncateLocked(size);
}

absl::Status OverlayContent::TruncateLocked(uint64_t size) {
  VARVE_RETURN_IF_ERROR(BeginChange());
  if (memory_ != nullptr) VARVE_RETURN_IF_ERROR(memory_->Resize(size));
  size_ = size;
  base_end_ = std::min(base_end_, size);
  pages_.erase(pages_.lower_bound((size + kPageBytes - 1) / kPageBytes), pages_.end());
  const auto last = pages_.find(size / kPageBytes);
  if (last != pages_.end()) std::ranges::fill(std::span(*last->second).subspan(size % kPageBytes), std::byte{0});
  return absl::OkStatus();
}

absl::StatusOr<bool> OverlayContent::PrefixIsBase(uint64_t length) const {
  if (base_ == nullptr || memory_ != nullptr) return false;
  if (!pages_.empty() && pages_.begin()->first * kPageBytes < length) return false;
  if (size_.has_value()) return length <= base_end_;
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, base_->Size());
  return length <= size;
}

absl::StatusOr<std::unique_ptr<Mapping>> OverlayContent::MapBase(uint64_t length) const {
  const absl::MutexLock lock(&mutex_);
  VARVE_ASSIGN_OR_RETURN(const bool is_base, PrefixIsBase(length));
  if (!is_base) return nullptr;
  return base_->Map(length, Access::kRead);
}

absl::StatusOr<std::byte*> OverlayContent::Materialize(uint64_t length) {
  const absl::MutexLock lock(&mutex_);
  VARVE_RETURN_IF_ERROR(BeginChange());
  if (memory_ != nullptr) {
    VARVE_RETURN_IF_ERROR(memory_->Pin(length));
  } else {
    auto memory = std::make_unique<MemoryContent>();
    VARVE_RETURN_IF_ERROR(memory->Pin(length));
    VARVE_RETURN_IF_ERROR(memory->Resize(*size_));
    VARVE_RETURN_IF_ERROR(Fill(0, {memory->data(), *size_}));
    memory_ = std::move(memory);
    pages_.clear();
    base_ = nullptr;
  }
  return memory_->data();
}

std::shared_ptr<File> OverlayContent::SharedPrefix(uint64_t length) const {
  const absl::MutexLock lock(&mutex_);
  const absl::StatusOr<bool> is_base = PrefixIsBase(length);
  return is_base.ok() && *is_base ? base_ : nullptr;
}

bool OverlayContent::Share(std::shared_ptr<File> base, uint64_t length) {
  const absl::MutexLock lock(&mutex_);
  const absl::StatusOr<uint64_t> size = SizeLocked();
  if (!size.ok() || *size > length || memory_ != nullptr) return false;
  base_ = std::move(base);
  size_ = length;
  base_end_ = length;
  pages_.clear();
  modified_ms_ = Clock::Default()->WallMs();
  return true;
}

std::optional<int64_t> OverlayContent::modified_ms() const {
  const absl::MutexLock lock(&mutex_);
  return size_.has_value() ? std::optional(modified_ms_) : std::nullopt;
}

}  // namespace varve::internal
