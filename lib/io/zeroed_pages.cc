#include "io/zeroed_pages.h"

#include <sys/mman.h>

#include <cerrno>

#include "base/status.h"
#include "io/errno_status.h"

namespace varve::internal {

void UnmapPages::operator()(std::byte* pages) const { ::munmap(pages, size_bytes); }

absl::StatusOr<ZeroedPages> MapZeroedPages(size_t size_bytes) {
  void* const pages = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return ErrnoStatus(errno, "memory", fmt::format("map {} bytes", size_bytes));
  // A wish: without huge pages it is only slower.
  (void)::madvise(pages, size_bytes, MADV_HUGEPAGE);
  return ZeroedPages(static_cast<std::byte*>(pages), UnmapPages{size_bytes});
}

}  // namespace varve::internal
