#include "io/memory_content.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"

#if __has_include("sanitizer/asan_interface.h")
#include "sanitizer/asan_interface.h"
#else  // as where only a compiler is installed that comes without its sanitizers
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

namespace varve::internal {
namespace {

// What zeroing costs less than asking the system for zeros.
constexpr uint64_t kSmallBytes = uint64_t{64} << 10;

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

// Zeros [begin, end) of an anonymous mapping; many whole pages by giving them back, which costs nothing where none was
// touched.
void Clear(std::byte* mapping, uint64_t begin, uint64_t end) {
  constexpr uint64_t kPageBytes = 4096;
  const uint64_t first_page = (begin + kPageBytes - 1) / kPageBytes * kPageBytes;
  const uint64_t pages_end = end / kPageBytes * kPageBytes;
  if (end - begin <= kSmallBytes || first_page >= pages_end ||
      ::madvise(mapping + first_page, pages_end - first_page, MADV_DONTNEED) == -1) {
    std::memset(mapping + begin, 0, end - begin);
    return;
  }
  std::memset(mapping + begin, 0, first_page - begin);
  std::memset(mapping + pages_end, 0, end - pages_end);
}

// Reserved address space that no content uses any more, all zeros. For the small files of small logs, to reserve it, to
// touch the first pages and to give it all back takes longer than everything else that is done to them.
class FreeRegions {
 public:
  static FreeRegions& Shared() {
    static auto* const shared = new FreeRegions;
    return *shared;
  }

  // Null if there is no address space.
  std::byte* Take() ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      const absl::MutexLock lock(&mutex_);
      if (!regions_.empty()) {
        std::byte* const region = regions_.back();
        regions_.pop_back();
        ASAN_UNPOISON_MEMORY_REGION(region, kKeptBytes);
        return region;
      }
    }
    void* const reserved = ::mmap(nullptr, MemoryContent::kMaxPinnedBytes, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return reserved == MAP_FAILED ? nullptr : static_cast<std::byte*>(reserved);
  }

  // Nothing behind the first `used_bytes` has been touched.
  void Put(std::byte* region, uint64_t used_bytes) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (used_bytes <= kKeptBytes) {
      Clear(region, 0, used_bytes);
      const absl::MutexLock lock(&mutex_);
      if (regions_.size() < kMaxCount) {
        // To the address sanitizer a pointer into a file that is no more is an error still.
        ASAN_POISON_MEMORY_REGION(region, kKeptBytes);
        regions_.push_back(region);
        return;
      }
    }
    ::munmap(region, MemoryContent::kMaxPinnedBytes);
  }

 private:
  static constexpr size_t kMaxCount = 64;
  // Of contents that used more, the address space is not kept.
  static constexpr uint64_t kKeptBytes = uint64_t{1} << 20;

  absl::Mutex mutex_;
  std::vector<std::byte*> regions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

MemoryContent::~MemoryContent() {
  if (pinned_ != nullptr) FreeRegions::Shared().Put(pinned_, used_bytes_);
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
    used_bytes_ = std::max(used_bytes_, size);
  }
  size_ = size;
  return absl::OkStatus();
}

absl::Status MemoryContent::Pin(uint64_t length) {
  if (length > kMaxPinnedBytes || size_ > kMaxPinnedBytes) {
    return Error(absl::StatusCode::kResourceExhausted, "at most {} bytes can be mapped, not {} of a file of {} bytes",
                 kMaxPinnedBytes, length, size_);
  }
  used_bytes_ = std::max({used_bytes_, length, size_});
  if (pinned_ != nullptr) return absl::OkStatus();
  pinned_ = FreeRegions::Shared().Take();
  if (pinned_ == nullptr) {
    return Error(absl::StatusCode::kResourceExhausted, "no {} bytes of address space", kMaxPinnedBytes);
  }
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
