// What an append that is acknowledged as durable promises, and those who wait for it: include/varve/log.h.
#include <barrier>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "log/log_places.h"
#include "varve/testing/faulty_file_system.h"

namespace varve {
namespace {

using testing_support::AppendMany;
using testing_support::AppendNext;
using testing_support::ExpectRecords;
using testing_support::LogTest;
using testing_support::OpenLog;
using testing_support::StatusIs;

// Acknowledged as durable, by any of the ways: there after every crash.
class LogDurabilityTest : public LogTest, public ::testing::WithParamInterface<IoMode> {
 protected:
  LogDurabilityTest() { options_.io_mode = GetParam(); }

  void ExpectAfterCrashes(int64_t acknowledged, int64_t appended) {
    for (uint64_t seed = 0; seed < 12; ++seed) {
      const CrashMode mode = seed == 0   ? CrashMode::kLoseAllUnsynced
                             : seed == 1 ? CrashMode::kKeepAll
                                         : CrashMode::kRandom;
      SCOPED_TRACE(::testing::Message() << acknowledged << " of " << appended << " acknowledged, crash seed " << seed);
      const auto after = memory_.CloneAfterCrash({.seed = seed, .mode = mode});
      LogOptions options = options_;
      options.file_system = after.get();
      const auto log = OpenLog(directory_, options);
      ASSERT_NE(log, nullptr);
      ASSERT_GE(log->log_end_offset(), acknowledged);
      ASSERT_LE(log->log_end_offset(), appended);
      ExpectRecords(*log, 0, log->log_end_offset());
      AppendNext(log.get(), {.ack = Ack::kDurable});
      ASSERT_TRUE(log->damage().empty());
    }
  }
};

INSTANTIATE_TEST_SUITE_P(, LogDurabilityTest, ::testing::Values(IoMode::kMapped, IoMode::kWrite),
                         [](const auto& param) { return param.param == IoMode::kMapped ? "Mapped" : "Write"; });

TEST_P(LogDurabilityTest, DurableAppendsAreInEveryCrashClone) {
  const auto log = Open();
  for (int64_t offset = 0; offset < 30; ++offset) {
    AppendNext(log.get(), {.ack = offset % 3 == 2 ? Ack::kDurable : Ack::kWritten});
    EXPECT_GE(log->durable_offset(), offset % 3 == 2 ? offset + 1 : 0);
    ExpectAfterCrashes(log->durable_offset(), offset + 1);
    if (HasFatalFailure()) return;
  }
}

TEST_P(LogDurabilityTest, WhatIsWaitedForFlushedOrClosedIsInEveryCrashClone) {
  auto log = Open();
  AppendMany(log.get(), 12);
  VARVE_ASSERT_OK(log->WaitDurable(7));
  EXPECT_GE(log->durable_offset(), 7);
  ExpectAfterCrashes(7, 12);
  AppendMany(log.get(), 6);
  VARVE_ASSERT_OK(log->Flush());
  EXPECT_EQ(log->durable_offset(), 18);
  ExpectAfterCrashes(18, 18);
  AppendMany(log.get(), 6);
  VARVE_ASSERT_OK(log->Close());
  ExpectAfterCrashes(24, 24);
  log.reset();
  ExpectAfterCrashes(24, 24);
}

TEST_P(LogDurabilityTest, OnDurableCallsOnceWhenItIsTrue) {
  const auto log = Open();
  std::vector<int64_t> called;
  const auto note = [&](int64_t offset) {
    return [&, offset](const absl::Status& status) {
      VARVE_EXPECT_OK(status);
      EXPECT_GE(log->durable_offset(), offset);
      called.push_back(offset);
    };
  };
  log->OnDurable(0, note(0));
  EXPECT_EQ(called, std::vector<int64_t>({0}));
  AppendMany(log.get(), 12);
  for (const int64_t offset : {12, 5, 20}) log->OnDurable(offset, note(offset));
  EXPECT_EQ(called.size(), 1u);
  VARVE_ASSERT_OK(log->Flush());
  EXPECT_EQ(called, std::vector<int64_t>({0, 5, 12}));
  ExpectAfterCrashes(12, 12);
  log->OnDurable(12, note(12));
  EXPECT_EQ(called.size(), 4u);
  AppendMany(log.get(), 8);
  EXPECT_EQ(called.size(), 4u);
  AppendNext(log.get(), {.ack = Ack::kDurable});
  EXPECT_EQ(called.back(), 20);
  EXPECT_EQ(called.size(), 5u);
}

TEST_P(LogDurabilityTest, OnDurableIsToldOfTruncationAndClose) {
  const auto log = Open();
  AppendMany(log.get(), 10);
  std::vector<absl::Status> told;
  const auto note = [&](const absl::Status& status) { told.push_back(status); };
  absl::Status what_stays = absl::UnknownError("not told");
  log->OnDurable(5, [&](const absl::Status& status) { what_stays = status; });
  log->OnDurable(15, note);
  VARVE_ASSERT_OK(log->TruncateTo(5));
  VARVE_EXPECT_OK(what_stays);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_THAT(told[0], StatusIs(absl::StatusCode::kAborted));
  log->OnDurable(30, note);
  VARVE_ASSERT_OK(log->Close());
  ASSERT_EQ(told.size(), 2u);
  EXPECT_THAT(told[1], StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(LogDurabilityTest, ACallbackMayAppendAndRegister) {
  const auto log = Open();
  AppendNext(log.get());
  int calls = 0;
  std::function<void(const absl::Status&)> again = [&](const absl::Status& status) {
    VARVE_EXPECT_OK(status);
    if (++calls == 4) return;
    AppendNext(log.get());
    log->OnDurable(log->log_end_offset(), again);
  };
  log->OnDurable(1, again);
  for (int round = 0; round < 4; ++round) VARVE_ASSERT_OK(log->Flush());
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(log->durable_offset(), 4);
}

TEST_P(LogDurabilityTest, WaitingBeyondTheEndIsOutOfRange) {
  const auto log = Open();
  AppendNext(log.get());
  EXPECT_THAT(log->WaitDurable(2), StatusIs(absl::StatusCode::kOutOfRange));
  VARVE_EXPECT_OK(log->WaitDurable(1));
}

// Ten thousand waiters cost no ten thousand syncs.
TEST_P(LogDurabilityTest, ConcurrentWaitersShareSyncs) {
  FaultyFileSystem counting(&memory_);
  options_.file_system = &counting;
  options_.segment_bytes = 1 << 20;
  const auto log = Open();
  const uint64_t before = counting.operation_count(FileOperation::kSync);
  constexpr int kThreads = 8;
  constexpr int kRounds = 60;
  std::barrier everybody(kThreads);
  std::vector<std::thread> threads;
  for (int number = 0; number < kThreads; ++number) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const auto result = log->Append({{.value = "v"}});
        EXPECT_TRUE(result.ok()) << result.status();
        everybody.arrive_and_wait();  // all of the round is appended: one sync serves it
        VARVE_EXPECT_OK(log->WaitDurable(result->end_offset()));
        EXPECT_GE(log->durable_offset(), result->end_offset());
        everybody.arrive_and_wait();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  // One of the data a round, and now and then one of varve.state.
  EXPECT_LE(counting.operation_count(FileOperation::kSync) - before, uint64_t{2 * kRounds});
  EXPECT_EQ(log->durable_offset(), kThreads * kRounds);
}

}  // namespace
}  // namespace varve
