// MapZeroedPages: memory for a large table that is entered at random, in huge pages where the system has them: there
// the processor spends more time on finding where a small page lies than on fetching what it holds.
//
// Thread rules: a free function; the memory is its caller's. Cost: a page is taken from the system when it is first
// touched, a huge one is 2 MiB.
#ifndef VARVE_LIB_IO_ZEROED_PAGES_H_
#define VARVE_LIB_IO_ZEROED_PAGES_H_

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"

namespace varve::internal {

struct UnmapPages {
  size_t size_bytes = 0;
  void operator()(std::byte* pages) const;
};
using ZeroedPages = std::unique_ptr<std::byte[], UnmapPages>;

// `size_bytes` > 0. kResourceExhausted: no such memory.
[[nodiscard]] absl::StatusOr<ZeroedPages> MapZeroedPages(size_t size_bytes);

}  // namespace varve::internal

#endif  // VARVE_LIB_IO_ZEROED_PAGES_H_
