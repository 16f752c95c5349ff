// Stopwatch, Latencies: durations, and how they are spread.
#ifndef VARVE_BENCH_DRIVER_TIMING_H_
#define VARVE_BENCH_DRIVER_TIMING_H_

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace varve::bench {

[[nodiscard]] inline int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class Stopwatch {
 public:
  [[nodiscard]] double ns() const { return static_cast<double>(NowNs() - begin_ns_); }
  [[nodiscard]] double ms() const { return ns() / 1e6; }
  [[nodiscard]] double NsEach(int64_t count) const { return ns() / static_cast<double>(count); }
  [[nodiscard]] double PerSecond(int64_t count) const { return static_cast<double>(count) * 1e9 / ns(); }
  // 10^9 bytes a second.
  [[nodiscard]] double GigabytesPerSecond(int64_t bytes) const { return static_cast<double>(bytes) / ns(); }

 private:
  const int64_t begin_ns_ = NowNs();
};

// Durations of single operations, of which none is dropped.
class Latencies {
 public:
  explicit Latencies(int64_t expected) { ns_.reserve(static_cast<size_t>(expected)); }

  void Add(int64_t ns) { ns_.push_back(static_cast<double>(ns)); }

  // The least duration that `share` of all do not exceed.
  [[nodiscard]] double At(double share) {
    const auto rank = std::max<size_t>(static_cast<size_t>(std::ceil(share * static_cast<double>(ns_.size()))), 1);
    const auto place = ns_.begin() + static_cast<std::ptrdiff_t>(rank - 1);
    std::nth_element(ns_.begin(), place, ns_.end());
    return *place;
  }

 private:
  std::vector<double> ns_;
};

}  // namespace varve::bench

#endif  // VARVE_BENCH_DRIVER_TIMING_H_
