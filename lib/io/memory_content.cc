#include "io/memory_content.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/status.h"

namespace varve::internal {
namespace {

// The kernel reads the page cache without telling the thread sanitizer; so does this. Volatile, or the compiler would
// make it a call of memcpy, which the sanitizer sees.
__attribute__((no_sanitize("thread"))) void CopyUnsynchronized(const std::byte* from, std::byte* to, size_t count) {
  size_t done = 0;
  while (done < count && (reinterpret_cast<uintptr_t>(from + done) % sizeof(uint64_t)) != 0) {
    to[done] = *static_cast<const volatile std::byte*>(from + done);
    ++done;
  }
  for (; count - done >= sizeof(uint64_t); done += sizeof(uint64_t)) {
    const uint64_t word = *reinterpret_cast<const volatile uint64_t*>(from + done);
    std::memcpy(to + done, &word, sizeof word);
  }
  for (; done < count; ++done) to[done] = *static_cast<const volatile std::byte*>(from + done);
}

// Zeros [begin, end) of an anonymous mapping; whole pages by giving them back, which costs nothing where none was
// touched.
void Clear(std::byte* mapping, uint64_t begin, uint64_t end) {
  constexpr uint64_t kPageBytes = 4096;
  const uint64_t first_page = (begin + kPageBytes - 1) / kPageBytes * kPageBytes;
  const uint64_t pages_end = end / kPageBytes * kPageBytes;
  if (first_page >= pages_end || ::madvise(mapping + first_page, pages_end - first_page, MADV_DONTNEED) == -1) {
    std::memset(mapping + begin, 0, end - begin);
    return;
  }
  std::memset(mapping + begin, 0, first_page - begin);
  std::memset(mapping + pages_end, 0, end - pages_end);
}

}  // namespace

MemoryContent::~MemoryContent() {
  if (pinned_ != nullptr) ::munmap(pinned_, kMaxPinnedBytes);
}

absl::Status MemoryContent::Resize(uint64_t size) {
  if (pinned_ == nullptr) {
    bytes_.resize(size);
  } else {
    if (size > kMaxPinnedBytes) {
      return Error(absl::StatusCode::kResourceExhausted, "a mapped file may have {} bytes, not {}", kMaxPinnedBytes,
                   size);
    }
    // Both what is cut off and what was stored beyond the end read as zeros when the file grows.
    Clear(pinned_, std::min(size, size_), std::max(size, size_));
  }
  size_ = size;
  return absl::OkStatus();
}

absl::Status MemoryContent::Pin() {
  if (pinned_ != nullptr) return absl::OkStatus();
  if (size_ > kMaxPinnedBytes) {
    return Error(absl::StatusCode::kResourceExhausted, "a file of at most {} bytes can be mapped, not {}",
                 kMaxPinnedBytes, size_);
  }
  void* const reserved =
      ::mmap(nullptr, kMaxPinnedBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) {
    return Error(absl::StatusCode::kResourceExhausted, "no {} bytes of address space", kMaxPinnedBytes);
  }
  pinned_ = static_cast<std::byte*>(reserved);
  if (size_ > 0) std::memcpy(pinned_, bytes_.data(), size_);
  std::vector<std::byte>().swap(bytes_);
  return absl::OkStatus();
}

void MemoryContent::Copy(uint64_t position, std::span<std::byte> out) const {
  const uint64_t available = position < size_ ? size_ - position : 0;
  const size_t count = std::min<uint64_t>(available, out.size());
  if (pinned_ != nullptr) {
    CopyUnsynchronized(pinned_ + position, out.data(), count);
  } else if (count > 0) {
    std::memcpy(out.data(), bytes_.data() + position, count);
  }
  std::ranges::fill(out.subspan(count), std::byte{0});
}

}  // namespace varve::internal
