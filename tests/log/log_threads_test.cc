// Writers, readers, waiters and truncations of one log at the same time: short, to be run under the thread sanitizer.
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "log/log_places.h"

namespace varve {
namespace {

using testing_support::IsOk;
using testing_support::LogTest;
using testing_support::OpenLog;
using testing_support::TinyOptions;

class LogThreadsTest : public ::testing::TestWithParam<IoMode> {
 protected:
  LogThreadsTest() : options_(TinyOptions(&memory_, &clock_, GetParam())) { options_.segment_bytes = 4096; }

  // Offsets rise by one from the log start to the visible end, and every value is one that a writer appended.
  static void ReadAll(const Log& log) {
    std::optional<int64_t> expected;
    LogScan scan = log.Scan(log.log_start_offset());
    while (scan.Next()) {
      ASSERT_EQ(scan.record().offset(), expected.value_or(scan.record().offset()));
      ASSERT_TRUE(scan.record().value()->starts_with("writer "));
      expected = scan.record().offset() + 1;
    }
    // A truncation may have taken the rest away.
    ASSERT_TRUE(scan.status().ok() || absl::IsOutOfRange(scan.status()) || absl::IsAborted(scan.status()))
        << scan.status();
  }

  ManualClock clock_{1'700'000'000'000, 1'000'000'000'000};
  MemoryFileSystem memory_;
  LogOptions options_;
};

INSTANTIATE_TEST_SUITE_P(, LogThreadsTest, ::testing::Values(IoMode::kMapped, IoMode::kWrite),
                         [](const auto& param) { return param.param == IoMode::kMapped ? "Mapped" : "Write"; });

constexpr int64_t kAppends = 150;  // of each writer

TEST_P(LogThreadsTest, WritersOfEveryAckReadersAndWaiters) {
  const auto log = OpenLog("orders-0", options_);
  constexpr Ack kAcks[] = {Ack::kNone, Ack::kWritten, Ack::kDurable, Ack::kDurable};
  std::atomic<bool> done{false};
  std::atomic<int64_t> told{0};
  std::vector<std::thread> writers;
  for (size_t writer = 0; writer < std::size(kAcks); ++writer) {
    writers.emplace_back([&, writer] {
      for (int64_t number = 0; number < kAppends; ++number) {
        const std::string value = "writer " + std::to_string(writer) + " number " + std::to_string(number);
        const auto result = log->Append({{.value = value, .timestamp_ms = number}}, {.ack = kAcks[writer]});
        ASSERT_TRUE(result.ok()) << result.status();
        if (kAcks[writer] == Ack::kDurable) {
          ASSERT_GE(log->durable_offset(), result->end_offset());
        }
        log->OnDurable(result->end_offset(), [&told](const absl::Status& status) {
          VARVE_EXPECT_OK(status);
          told.fetch_add(1);
        });
      }
    });
  }
  std::thread reader([&] {
    while (!done.load()) ASSERT_NO_FATAL_FAILURE(ReadAll(*log));
  });
  std::thread waiter([&] {
    constexpr int64_t kTotal = kAppends * static_cast<int64_t>(std::size(kAcks));
    for (int64_t offset = 0; offset < kTotal; ++offset)
      VARVE_ASSERT_OK(log->WaitForData(offset, std::chrono::hours(1)));
    VARVE_ASSERT_OK(log->WaitDurable(kTotal));
  });
  for (std::thread& writer : writers) writer.join();
  waiter.join();
  done.store(true);
  reader.join();
  VARVE_ASSERT_OK(log->Close());
  EXPECT_EQ(told.load(), kAppends * static_cast<int64_t>(std::size(kAcks)));

  // Nothing lost, nothing twice, each writer's records in its order.
  const auto again = OpenLog("orders-0", options_);
  std::vector<int64_t> next_number(std::size(kAcks));
  LogScan scan = again->Scan(0);
  for (int64_t offset = 0; scan.Next(); ++offset) {
    ASSERT_EQ(scan.record().offset(), offset);
    const std::string value(*scan.record().value());
    const auto writer = static_cast<size_t>(value[7] - '0');
    ASSERT_EQ(value.substr(9), "number " + std::to_string(next_number[writer]++));
  }
  VARVE_EXPECT_OK(scan.status());
  EXPECT_EQ(next_number, std::vector<int64_t>(std::size(kAcks), kAppends));
}

TEST_P(LogThreadsTest, TruncationsAmongWritersAndReaders) {
  const auto log = OpenLog("orders-0", options_);
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (const Ack ack : {Ack::kWritten, Ack::kDurable}) {
    threads.emplace_back([&, ack] {
      while (!done.load()) {
        const auto result = log->Append({{.value = "writer of it"}}, {.ack = ack});
        // Truncated away before it was durable.
        ASSERT_TRUE(result.ok() || (ack == Ack::kDurable && absl::IsAborted(result.status()))) << result.status();
      }
    });
  }
  threads.emplace_back([&] {
    while (!done.load()) ASSERT_NO_FATAL_FAILURE(ReadAll(*log));
  });
  for (int round = 0; round < 10; ++round) {
    const int64_t end_offset = log->log_end_offset();
    VARVE_ASSERT_OK(log->WaitForData(end_offset + 30, std::chrono::hours(1)));
    VARVE_EXPECT_OK(log->TruncateTo(end_offset));
    if (round % 3 == 2) {
      VARVE_EXPECT_OK(log->DeleteBefore(end_offset / 2));
    }
  }
  done.store(true);
  for (std::thread& thread : threads) thread.join();
  ReadAll(*log);
  VARVE_ASSERT_OK(log->Close());
  ReadAll(*OpenLog("orders-0", options_));
}

// Files are removed beside the writer, the list changes under planners and readers.
TEST_P(LogThreadsTest, RetentionAmongWritersReadersAndTruncations) {
  options_.file_delete_delay_ms = 0;
  const auto log = OpenLog("orders-0", options_);
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    while (!done.load()) VARVE_ASSERT_OK(log->Append({{.value = "writer of it"}}));
  });
  threads.emplace_back([&] {
    while (!done.load()) ASSERT_NO_FATAL_FAILURE(ReadAll(*log));
  });
  threads.emplace_back([&] {
    while (!done.load()) VARVE_ASSERT_OK(log->ApplyRetention({.retention_ms = -1, .retention_bytes = 9000}));
  });
  for (int round = 0; round < 10; ++round) {
    const int64_t end_offset = log->log_end_offset();
    VARVE_ASSERT_OK(log->WaitForData(end_offset + 100, std::chrono::hours(1)));
    VARVE_EXPECT_OK(log->PlanRetention({.retention_ms = 0}));
    const absl::Status truncated = log->TruncateTo(end_offset);
    EXPECT_TRUE(truncated.ok() || absl::IsOutOfRange(truncated)) << truncated;  // it may be deleted by then
  }
  done.store(true);
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(log->log_start_offset(), 0);
  ReadAll(*log);
  VARVE_ASSERT_OK(log->Close());
  ReadAll(*OpenLog("orders-0", options_));
}

}  // namespace
}  // namespace varve
