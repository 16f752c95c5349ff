#include "log/frontiers.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "support/own_processor.h"
#include "support/status_matchers.h"
#include "varve/errors.h"

namespace varve::internal {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using testing_support::RunOnProcessor;
using testing_support::StatusIs;

void ExpectOffsets(const Frontiers& frontiers, int64_t log_start, int64_t high_watermark, int64_t log_end,
                   int64_t durable, int64_t last_stable) {
  const LogOffsets offsets = frontiers.Load();
  EXPECT_EQ(offsets.log_start_offset, log_start);
  EXPECT_EQ(offsets.high_watermark, high_watermark);
  EXPECT_EQ(offsets.log_end_offset, log_end);
  EXPECT_EQ(offsets.durable_offset, durable);
  EXPECT_EQ(offsets.last_stable_offset, last_stable);
  EXPECT_EQ(frontiers.log_start(), log_start);
  EXPECT_EQ(frontiers.log_end(), log_end);
  EXPECT_EQ(frontiers.durable(), durable);
  EXPECT_EQ(frontiers.VisibleEnd(Isolation::kLogEnd), log_end);
  EXPECT_EQ(frontiers.VisibleEnd(Isolation::kHighWatermark), high_watermark);
  EXPECT_EQ(frontiers.VisibleEnd(Isolation::kCommitted), last_stable);
}

TEST(FrontiersTest, TheHighWatermarkFollowsTheLogEnd) {
  Frontiers frontiers(Visibility::kLogEnd);
  ExpectOffsets(frontiers, 0, 0, 0, 0, 0);
  frontiers.Reset(10, 40, 30);
  ExpectOffsets(frontiers, 10, 40, 40, 30, 40);
  frontiers.PublishEnd(50);
  ExpectOffsets(frontiers, 10, 50, 50, 30, 50);
  frontiers.PublishDurable(50);
  ExpectOffsets(frontiers, 10, 50, 50, 50, 50);
}

TEST(FrontiersTest, TheHighWatermarkFollowsTheDurableOffsetWhereTheHostSaysSo) {
  Frontiers frontiers(Visibility::kDurable);
  frontiers.Reset(10, 40, 30);
  ExpectOffsets(frontiers, 10, 30, 40, 30, 30);
  frontiers.PublishEnd(50);
  ExpectOffsets(frontiers, 10, 30, 50, 30, 30);
  frontiers.PublishDurable(45);
  ExpectOffsets(frontiers, 10, 45, 50, 45, 45);
  // The log start may pass what is durable: nothing below it is readable.
  frontiers.AdvanceLogStart(48);
  ExpectOffsets(frontiers, 48, 48, 50, 45, 48);
}

TEST(FrontiersTest, AHostThatMovesTheHighWatermarkKeepsIt) {
  for (const Visibility visibility : {Visibility::kLogEnd, Visibility::kDurable}) {
    Frontiers frontiers(visibility);
    frontiers.Reset(10, 40, 40);
    frontiers.SetHighWatermark(20);
    frontiers.PublishEnd(60);
    frontiers.PublishDurable(60);
    ExpectOffsets(frontiers, 10, 20, 60, 60, 20);
    frontiers.SetHighWatermark(5);
    ExpectOffsets(frontiers, 10, 10, 60, 60, 10);
    frontiers.SetHighWatermark(1000);
    ExpectOffsets(frontiers, 10, 60, 60, 60, 60);
    frontiers.SetHighWatermark(30);
    frontiers.AdvanceLogStart(35);
    ExpectOffsets(frontiers, 35, 35, 60, 60, 35);
  }
}

TEST(FrontiersTest, ATruncationTakesTheHighWatermarkAlong) {
  Frontiers frontiers(Visibility::kLogEnd);
  frontiers.Reset(10, 40, 40);
  frontiers.SetHighWatermark(35);
  frontiers.Reset(10, 20, 20);
  ExpectOffsets(frontiers, 10, 20, 20, 20, 20);
  frontiers.PublishEnd(60);
  ExpectOffsets(frontiers, 10, 20, 60, 20, 20);
  frontiers.Reset(100, 100, 100);
  ExpectOffsets(frontiers, 100, 100, 100, 100, 100);
}

// A follower's refresh takes nothing back that its host has set, but an end that went back does.
TEST(FrontiersTest, AHighWatermarkThatIsKeptGoesNoFurtherThanTheEnd) {
  Frontiers frontiers(Visibility::kLogEnd);
  const auto follow = [&](int64_t log_end_offset, bool keep) {
    frontiers.Follow(
        {.log_start_offset = 10, .log_end_offset = log_end_offset, .durable_offset = 10, .keep_high_watermark = keep});
  };
  follow(40, true);
  ExpectOffsets(frontiers, 10, 40, 40, 10, 40);
  frontiers.SetHighWatermark(30);
  follow(50, true);
  ExpectOffsets(frontiers, 10, 30, 50, 10, 30);
  follow(20, true);
  ExpectOffsets(frontiers, 10, 20, 20, 10, 20);
  follow(60, true);
  ExpectOffsets(frontiers, 10, 20, 60, 10, 20);
  follow(60, false);
  ExpectOffsets(frontiers, 10, 60, 60, 10, 60);
}

TEST(FrontiersTest, AHighWatermarkSetDuringARefreshIsKept) {
  Frontiers frontiers(Visibility::kLogEnd);
  frontiers.Reset(0, 1'000'000, 0);
  std::atomic<bool> stop{false};
  std::thread refreshing([&] {
    while (!stop.load()) frontiers.Follow({.log_end_offset = 1'000'000, .keep_high_watermark = true});
  });
  for (int64_t offset = 1; offset < 100'000; ++offset) {
    frontiers.SetHighWatermark(offset);
    ASSERT_EQ(frontiers.VisibleEnd(Isolation::kHighWatermark), offset);
  }
  stop.store(true);
  refreshing.join();
}

TEST(FrontiersTest, AnOpenTransactionHoldsTheLastStableOffsetBack) {
  Frontiers frontiers(Visibility::kLogEnd);
  frontiers.Reset(0, 40, 0);
  frontiers.SetFirstUnstable(25);
  ExpectOffsets(frontiers, 0, 40, 40, 0, 25);
  frontiers.SetHighWatermark(20);
  ExpectOffsets(frontiers, 0, 20, 40, 0, 20);
  frontiers.SetHighWatermark(30);
  frontiers.SetFirstUnstable(Frontiers::kNone);
  ExpectOffsets(frontiers, 0, 30, 40, 0, 30);
}

TEST(FrontiersTest, AClosedTransactionHoldsItBackUntilItsMarkerIsCommitted) {
  Frontiers frontiers(Visibility::kDurable);
  frontiers.Reset(0, 40, 20);
  frontiers.SetClosedTransactions({{10, 25}, {15, 20}, {18, 30}});
  ExpectOffsets(frontiers, 0, 20, 40, 20, 10);
  frontiers.PublishDurable(25);
  ExpectOffsets(frontiers, 0, 25, 40, 25, 10);
  frontiers.PublishDurable(26);
  ExpectOffsets(frontiers, 0, 26, 40, 26, 18);
  frontiers.SetFirstUnstable(17);
  ExpectOffsets(frontiers, 0, 26, 40, 26, 17);
  frontiers.AdvanceLogStart(19);
  ExpectOffsets(frontiers, 19, 26, 40, 26, 19);
  frontiers.SetClosedTransactions({});
  frontiers.SetFirstUnstable(Frontiers::kNone);
  ExpectOffsets(frontiers, 19, 26, 40, 26, 26);
}

TEST(FrontiersTest, WhoSeesTheLogEnd) {
  Frontiers frontiers(Visibility::kLogEnd);
  EXPECT_TRUE(frontiers.SeesLogEnd(Isolation::kLogEnd));
  EXPECT_TRUE(frontiers.SeesLogEnd(Isolation::kHighWatermark));
  EXPECT_FALSE(frontiers.SeesLogEnd(Isolation::kCommitted));
  frontiers.SetHighWatermark(0);
  EXPECT_TRUE(frontiers.SeesLogEnd(Isolation::kLogEnd));
  EXPECT_FALSE(frontiers.SeesLogEnd(Isolation::kHighWatermark));
  const Frontiers durable(Visibility::kDurable);
  EXPECT_TRUE(durable.SeesLogEnd(Isolation::kLogEnd));
  EXPECT_FALSE(durable.SeesLogEnd(Isolation::kHighWatermark));
}

TEST(FrontiersTest, WaitingForWhatIsThereDoesNotWait) {
  Frontiers frontiers(Visibility::kLogEnd);
  frontiers.Reset(0, 5, 0);
  VARVE_EXPECT_OK(frontiers.WaitVisible(4, nanoseconds(0)));
  VARVE_EXPECT_OK(frontiers.WaitVisible(4, nanoseconds::max()));
}

TEST(FrontiersTest, ADeadlineEndsAWait) {
  Frontiers frontiers(Visibility::kLogEnd);
  frontiers.Reset(0, 5, 0);
  EXPECT_THAT(frontiers.WaitVisible(5, nanoseconds(0)),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("offset 5: the visible end is still 5")));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(frontiers.WaitVisible(5, milliseconds(30)), StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(25));
  EXPECT_THAT(frontiers.WaitVisible(5, milliseconds(-5)), StatusIs(absl::StatusCode::kDeadlineExceeded));
}

// What ends a wait for offset 5 of a log that ends there: each on its own, with waiters that have all the time there
// is.
template <typename Event>
void ExpectWakes(Visibility visibility, Event&& event, absl::StatusCode expected) {
  Frontiers frontiers(visibility);
  frontiers.Reset(0, 5, 5);
  std::atomic<int> waiting{0};
  std::vector<std::thread> threads;
  for (int count = 0; count < 4; ++count) {
    threads.emplace_back([&] {
      waiting.fetch_add(1);
      EXPECT_THAT(frontiers.WaitVisible(5, nanoseconds::max()), StatusIs(expected));
    });
  }
  while (waiting.load() < 4) std::this_thread::yield();
  std::this_thread::sleep_for(milliseconds(5));
  event(&frontiers);
  for (std::thread& thread : threads) thread.join();
}

TEST(FrontiersTest, WhatEndsAWait) {
  ExpectWakes(
      Visibility::kLogEnd, [](Frontiers* frontiers) { frontiers->PublishEnd(6); }, absl::StatusCode::kOk);
  ExpectWakes(
      Visibility::kLogEnd, [](Frontiers* frontiers) { frontiers->Reset(8, 9, 9); }, absl::StatusCode::kOk);
  ExpectWakes(
      Visibility::kLogEnd, [](Frontiers* frontiers) { frontiers->Close(); }, absl::StatusCode::kFailedPrecondition);
  ExpectWakes(
      Visibility::kDurable,
      [](Frontiers* frontiers) {
        frontiers->PublishEnd(6);  // not durable: nobody sees it
        frontiers->PublishDurable(6);
      },
      absl::StatusCode::kOk);
  ExpectWakes(
      Visibility::kDurable,
      [](Frontiers* frontiers) {
        frontiers->PublishEnd(6);
        frontiers->SetHighWatermark(6);
      },
      absl::StatusCode::kOk);
}

// Reads go on in a poisoned log, and what was appended before may still become visible.
TEST(FrontiersTest, PoisonEndsNoWaitForData) {
  Frontiers frontiers(Visibility::kLogEnd);
  frontiers.Reset(0, 5, 0);
  frontiers.Poison(absl::InternalError("EIO"));
  EXPECT_THAT(frontiers.WaitVisible(5, milliseconds(1)), StatusIs(absl::StatusCode::kDeadlineExceeded));
  VARVE_EXPECT_OK(frontiers.WaitVisible(4, milliseconds(1)));
}

// Each publication is awaited by all before the next: a wake-up that is lost once hangs the test.
TEST(FrontiersTest, NoWakeUpIsLost) {
  constexpr int kThreads = 3;
  constexpr int64_t kRounds = 4000;
  Frontiers frontiers(Visibility::kLogEnd);
  std::atomic<int64_t> seen[kThreads] = {};
  std::vector<std::thread> threads;
  for (int number = 0; number < kThreads; ++number) {
    threads.emplace_back([&, number] {
      for (int64_t offset = 0; offset < kRounds; ++offset) {
        const absl::Status status = frontiers.WaitVisible(offset, seconds(60));
        ASSERT_TRUE(status.ok()) << status;
        seen[number].store(offset + 1);
      }
    });
  }
  for (int64_t end = 1; end <= kRounds; ++end) {
    frontiers.PublishEnd(end);
    for (const std::atomic<int64_t>& waiter : seen) {
      const auto begin = std::chrono::steady_clock::now();
      while (waiter.load() < end) {
        ASSERT_LT(std::chrono::steady_clock::now() - begin, seconds(60)) << "a waiter slept on at " << end;
        std::this_thread::yield();
      }
    }
  }
  for (std::thread& thread : threads) thread.join();
}

// Some nanoseconds for each.
void Dawdle(int64_t count) {
  for (std::atomic<int64_t> left(count); left.load(std::memory_order_relaxed) > 0;) left.fetch_sub(1);
}

// Until it is at least `value`, at once; false after far longer than any machine needs.
bool Await(const std::atomic<int64_t>& counter, int64_t value) {
  constexpr int64_t kQuickLooks = 1'000'000;
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t look = 1; counter.load() < value; ++look) {
    if (look < kQuickLooks) continue;
    if (std::chrono::steady_clock::now() - begin > seconds(10)) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

// One waiter, so that nobody else's wake-up hides a lost one, and publications at every moment of its way from the call
// to its sleep: now the one, now the other comes a little later.
TEST(FrontiersTest, NoWakeUpIsLostWheneverItComes) {
  constexpr int64_t kRounds = 4'000;
  constexpr int64_t kWaiterDelays = 41;
  constexpr int64_t kPublisherDelays = 97;
  Frontiers frontiers(Visibility::kLogEnd);
  std::atomic<int64_t> entered{0};
  std::atomic<int64_t> seen{0};
  std::thread waiter([&] {
    RunOnProcessor(0);
    for (int64_t offset = 0; offset < kRounds && !frontiers.closed(); ++offset) {
      entered.store(offset + 1);
      Dawdle(offset % kWaiterDelays);
      (void)frontiers.WaitVisible(offset, seconds(60));
      seen.store(offset + 1);
    }
  });
  std::thread publisher([&] {
    RunOnProcessor(1);
    for (int64_t end = 1; end <= kRounds && Await(entered, end); ++end) {
      Dawdle(end % kPublisherDelays);
      frontiers.PublishEnd(end);
      if (!Await(seen, end)) break;
    }
    EXPECT_EQ(seen.load(), kRounds) << "a waiter slept on";
    frontiers.Close();
  });
  waiter.join();
  publisher.join();
}

TEST(FrontiersTest, PoisonStopsAppendsForTheFirstReason) {
  Frontiers frontiers(Visibility::kLogEnd);
  VARVE_EXPECT_OK(frontiers.Writable());
  frontiers.Poison(absl::InternalError("sync of 42.log: EIO"));
  frontiers.Poison(absl::InternalError("something later"));
  const absl::Status status = frontiers.Writable();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("sync of 42.log: EIO")));
  EXPECT_TRUE(IsPoisoned(status));
  EXPECT_FALSE(frontiers.closed());
}

TEST(FrontiersTest, AClosedLogIsNotPoisoned) {
  Frontiers frontiers(Visibility::kLogEnd);
  frontiers.Close();
  EXPECT_TRUE(frontiers.closed());
  EXPECT_THAT(frontiers.Writable(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("closed")));
  EXPECT_FALSE(IsPoisoned(frontiers.Writable()));
  frontiers.Poison(absl::InternalError("too late"));
  EXPECT_FALSE(IsPoisoned(frontiers.Writable()));
}

// A snapshot taken amid truncations keeps the order that callers rely on.
TEST(FrontiersTest, EverySnapshotIsInOrder) {
  Frontiers frontiers(Visibility::kDurable);
  std::atomic<bool> done{false};
  std::thread reader([&] {
    while (!done.load()) {
      const LogOffsets offsets = frontiers.Load();
      ASSERT_LE(offsets.log_start_offset, offsets.high_watermark);
      ASSERT_LE(offsets.high_watermark, offsets.log_end_offset);
      ASSERT_LE(offsets.durable_offset, offsets.log_end_offset);
      ASSERT_LE(offsets.last_stable_offset, offsets.high_watermark);
    }
  });
  for (int64_t round = 0; round < 20'000; ++round) {
    const int64_t base = round % 50;
    frontiers.Reset(base, base + 10, base + 5);
    frontiers.PublishEnd(base + 30);
    frontiers.PublishDurable(base + 20);
    frontiers.AdvanceLogStart(base + 25);
    frontiers.SetFirstUnstable(base + 28);
  }
  done.store(true);
  reader.join();
}

}  // namespace
}  // namespace varve::internal
