#include "io/fork_mark.h"

#include <sys/mman.h>

#include <cstddef>

namespace varve::internal {
namespace {

constexpr size_t kPageBytes = 4096;

}  // namespace

ForkMark::ForkMark() {
  void* const page = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return;
  if (::madvise(page, kPageBytes, MADV_WIPEONFORK) != 0) {
    ::munmap(page, kPageBytes);
    return;
  }
  *static_cast<unsigned char*>(page) = 1;
  page_ = static_cast<const volatile unsigned char*>(page);
}

ForkMark::~ForkMark() {
  if (page_ != nullptr) ::munmap(const_cast<unsigned char*>(page_), kPageBytes);
}

}  // namespace varve::internal
