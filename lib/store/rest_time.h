// How long a thread rests after it has worked, so that it works for no more than its share of the time. Pure.
#ifndef VARVE_LIB_STORE_REST_TIME_H_
#define VARVE_LIB_STORE_REST_TIME_H_

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace varve::internal {

// At most a day; `max_share` above 0 to 1.
[[nodiscard]] inline std::chrono::nanoseconds RestTime(std::chrono::nanoseconds worked, double max_share) {
  constexpr std::chrono::nanoseconds kMost = std::chrono::hours(24);
  const double rest_ns = static_cast<double>(worked.count()) * (1 - max_share) / max_share;
  if (rest_ns >= static_cast<double>(kMost.count())) return kMost;
  return std::chrono::nanoseconds(static_cast<int64_t>(std::max(rest_ns, 0.0)));
}

}  // namespace varve::internal

#endif  // VARVE_LIB_STORE_REST_TIME_H_
