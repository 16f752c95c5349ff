#include "io/wait_word.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace varve::internal {
namespace {

using std::chrono::nanoseconds;

TEST(WaitWordTest, AWordThatHasChangedIsNotWaitedFor) {
  WaitWord word;
  const uint32_t seen = word.Load();
  word.Advance();
  EXPECT_NE(word.Load(), seen);
  EXPECT_TRUE(word.WaitWhile(seen, Deadline::max()));
}

TEST(WaitWordTest, ADeadlineEndsTheWait) {
  const WaitWord word;
  EXPECT_FALSE(word.WaitWhile(word.Load(), DeadlineAfter(std::chrono::milliseconds(5))));
  EXPECT_FALSE(word.WaitWhile(word.Load(), DeadlineAfter(nanoseconds(-1))));
  EXPECT_FALSE(word.WaitWhile(word.Load(), DeadlineAfter(nanoseconds::min())));
  EXPECT_EQ(DeadlineAfter(nanoseconds::max()), Deadline::max());
}

// A wake-up that gets lost lets this test wait for ever.
TEST(WaitWordTest, EachChangeWakesAllWhoWait) {
  constexpr uint32_t kRounds = 2'000;
  constexpr uint32_t kWaiters = 3;
  WaitWord word;
  std::atomic<uint32_t> arrived{0};
  std::vector<std::thread> waiters;
  for (uint32_t i = 0; i < kWaiters; ++i) {
    waiters.emplace_back([&] {
      for (uint32_t round = 0; round < kRounds; ++round) {
        arrived.fetch_add(1);
        while (word.Load() == round) EXPECT_TRUE(word.WaitWhile(round, Deadline::max()));
      }
    });
  }
  for (uint32_t round = 0; round < kRounds; ++round) {
    while (arrived.load() != kWaiters * (round + 1)) std::this_thread::yield();
    word.Advance();
  }
  for (std::thread& waiter : waiters) waiter.join();
  EXPECT_EQ(word.Load(), kRounds);
}

}  // namespace
}  // namespace varve::internal
