// Memory on its way to the cache before it is needed.
#ifndef VARVE_LIB_BASE_PREFETCH_H_
#define VARVE_LIB_BASE_PREFETCH_H_

#include <cstddef>

namespace varve::internal {

inline constexpr std::ptrdiff_t kCacheLineBytes = 64;

// Asks for a line of each 64 bytes from `begin` on, below `end`. Nothing is read: any address will do.
inline void Prefetch(const std::byte* begin, const std::byte* end) {
  for (; begin < end; begin += kCacheLineBytes) __builtin_prefetch(begin);
}

}  // namespace varve::internal

#endif  // VARVE_LIB_BASE_PREFETCH_H_
