// Sums and differences of integers that nobody has checked yet: they wrap, as Java's do, where C++ would not define
// them.
#ifndef VARVE_LIB_BASE_WRAPPING_H_
#define VARVE_LIB_BASE_WRAPPING_H_

#include <cstdint>

namespace varve::internal {

[[nodiscard]] constexpr int64_t AddWrapping(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

[[nodiscard]] constexpr int64_t SubtractWrapping(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}

}  // namespace varve::internal

#endif  // VARVE_LIB_BASE_WRAPPING_H_
