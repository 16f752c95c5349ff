// WaitWord: a number on which threads sleep until it changes. Whoever changes it wakes all of them at once, and none
// takes a lock on the way: a mutex with a condition variable would let them through one by one.
//
// Thread rules: any thread.
#ifndef VARVE_LIB_IO_WAIT_WORD_H_
#define VARVE_LIB_IO_WAIT_WORD_H_

#include <atomic>
#include <chrono>
#include <cstdint>

namespace varve::internal {

using Deadline = std::chrono::steady_clock::time_point;

// `timeout` from now; the end of time where that is too far to be counted.
[[nodiscard]] Deadline DeadlineAfter(std::chrono::nanoseconds timeout);

class WaitWord {
 public:
  [[nodiscard]] uint32_t Load() const { return word_.load(std::memory_order_seq_cst); }

  // Counts one up and wakes all who wait. Cost: one load more where nobody does.
  void Advance();

  // Sleeps while the word is `seen`, or shorter: the caller looks again. False once the deadline is over.
  [[nodiscard]] bool WaitWhile(uint32_t seen, Deadline deadline) const;

 private:
  mutable std::atomic<uint32_t> word_{0};
  mutable std::atomic<uint32_t> sleepers_{0};
};

}  // namespace varve::internal

#endif  // VARVE_LIB_IO_WAIT_WORD_H_
