#include "io/wait_word.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

namespace varve::internal {
namespace {

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t) && std::atomic<uint32_t>::is_always_lock_free,
              "the kernel waits on the number itself");

// Absolute, by CLOCK_MONOTONIC, which is the steady clock.
timespec TimeOf(Deadline deadline) {
  const auto since = deadline.time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since);
  return {.tv_sec = static_cast<time_t>(seconds.count()),
          .tv_nsec = static_cast<long>(std::chrono::nanoseconds(since - seconds).count())};
}

}  // namespace

Deadline DeadlineAfter(std::chrono::nanoseconds timeout) {
  const Deadline now = std::chrono::steady_clock::now();
  return timeout < Deadline::max() - now ? now + timeout : Deadline::max();
}

// A sleeper counts itself and then lets the kernel compare the word; here the word is changed and then the sleepers are
// counted. Whichever order the four fall into, either the kernel sees the new word or the sleeper is seen.
void WaitWord::Advance() {
  word_.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) == 0) return;
  (void)::syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

bool WaitWord::WaitWhile(uint32_t seen, Deadline deadline) const {
  if (deadline <= std::chrono::steady_clock::now()) return false;  // which may lie before the kernel's time began
  const bool ends = deadline != Deadline::max();
  const timespec end = TimeOf(deadline);
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  const long result = ::syscall(SYS_futex, &word_, FUTEX_WAIT_BITSET_PRIVATE, seen, ends ? &end : nullptr, nullptr,
                                FUTEX_BITSET_MATCH_ANY);
  const bool over = result == -1 && errno == ETIMEDOUT;
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
  return !over;
}

}  // namespace varve::internal
