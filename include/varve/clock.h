// Clock: the library's only door to time. A Log gets one at open (LogOptions::clock); tests hand in their own.
//
// Thread rules: every operation may be called from any thread at any time.
//
//   class FixedClock : public varve::Clock {
//    public:
//     int64_t WallMs() override { return 1'700'000'000'000; }
//     int64_t MonotonicNs() override { return 0; }
//   };
#ifndef VARVE_CLOCK_H_
#define VARVE_CLOCK_H_

#include <cstdint>

namespace varve {

class Clock {
 public:
  virtual ~Clock() = default;

  // Milliseconds since the Unix epoch: the timestamps of records, and the age of segments without any.
  [[nodiscard]] virtual int64_t WallMs() = 0;

  // Nanoseconds since some fixed moment; never goes back. For durations and deadlines.
  [[nodiscard]] virtual int64_t MonotonicNs() = 0;

  // The system's clock. Lives as long as the process.
  [[nodiscard]] static Clock* Default();
};

}  // namespace varve

#endif  // VARVE_CLOCK_H_
