// ManualClock: a clock that stands still until it is told to move.
//
// Thread rules: every operation may be called from any thread at any time.
//
//   varve::ManualClock clock(1'700'000'000'000);
//   options.clock = &clock;
//   clock.AdvanceMs(7 * 24 * 3600 * 1000);  // a week later
#ifndef VARVE_TESTING_MANUAL_CLOCK_H_
#define VARVE_TESTING_MANUAL_CLOCK_H_

#include <atomic>
#include <cstdint>

#include "varve/clock.h"

namespace varve {

class ManualClock : public Clock {
 public:
  explicit ManualClock(int64_t wall_ms = 1'700'000'000'000, int64_t monotonic_ns = 0)
      : wall_ms_(wall_ms), monotonic_ns_(monotonic_ns) {}

  [[nodiscard]] int64_t WallMs() override { return wall_ms_.load(); }
  [[nodiscard]] int64_t MonotonicNs() override { return monotonic_ns_.load(); }

  // Moves both times on by the same span, which is not negative.
  void AdvanceMs(int64_t span_ms) { AdvanceNs(span_ms * 1'000'000); }

  // As AdvanceMs. Wall time keeps what is less than a millisecond for the next call.
  void AdvanceNs(int64_t span_ns) {
    const int64_t before_ns = monotonic_ns_.fetch_add(span_ns);
    wall_ms_.fetch_add((before_ns + span_ns) / 1'000'000 - before_ns / 1'000'000);
  }

  // Sets the wall time alone, backwards too, as an administrator or NTP may.
  void SetWallMs(int64_t wall_ms) { wall_ms_.store(wall_ms); }

 private:
  std::atomic<int64_t> wall_ms_;
  std::atomic<int64_t> monotonic_ns_;
};

}  // namespace varve

#endif  // VARVE_TESTING_MANUAL_CLOCK_H_
