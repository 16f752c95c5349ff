#include <chrono>

#include "varve/clock.h"

namespace varve {
namespace {

class SystemClock : public Clock {
 public:
  int64_t WallMs() override {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  }

  int64_t MonotonicNs() override {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  }
};

}  // namespace

Clock* Clock::Default() {
  // Never destroyed: a host's own static destructors may still ask for the time.
  static Clock* const clock = new SystemClock;
  return clock;
}

}  // namespace varve
