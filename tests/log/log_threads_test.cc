// Writers, readers, waiters and truncations of one log at the same time: short, to be run under the thread sanitizer.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
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
// A writer that failed leaves nobody waiting for long.
constexpr std::chrono::minutes kPatience(2);

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
    for (int64_t offset = 0; offset < kTotal; ++offset) VARVE_ASSERT_OK(log->WaitForData(offset, kPatience));
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
    VARVE_ASSERT_OK(log->WaitForData(end_offset + 30, kPatience));
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
    VARVE_ASSERT_OK(log->WaitForData(end_offset + 100, kPatience));
    VARVE_EXPECT_OK(log->PlanRetention({.retention_ms = 0}));
    const absl::Status truncated = log->TruncateTo(end_offset);
    EXPECT_TRUE(truncated.ok() || absl::IsOutOfRange(truncated)) << truncated;  // it may be deleted by then
  }
  while (log->log_start_offset() == 0) std::this_thread::yield();  // nothing was long enough before it was cut, maybe
  done.store(true);
  for (std::thread& thread : threads) thread.join();
  ReadAll(*log);
  VARVE_ASSERT_OK(log->Close());
  ReadAll(*OpenLog("orders-0", options_));
}

// All that changes the list of segments, at once. What is left of a key's records still comes in the order of appends.
TEST_P(LogThreadsTest, CompactionAndRetentionAmongAWriterReadersAndTruncations) {
  constexpr int64_t kKeys = 8;
  options_.file_delete_delay_ms = 0;
  options_.cleanup_policy = CleanupPolicy::kCompactAndDelete;
  const auto log = OpenLog("orders-0", options_);
  std::atomic<bool> done{false};
  const auto read_all = [](const Log& of) {
    std::vector<int64_t> newest(kKeys, -1);
    int64_t next_offset = of.log_start_offset();
    LogScan scan = of.Scan(next_offset);
    while (scan.Next()) {
      ASSERT_GE(scan.record().offset(), next_offset);
      next_offset = scan.record().offset() + 1;
      const int64_t number = std::stoll(std::string(*scan.record().value()));
      int64_t& newest_of_key = newest.at(static_cast<size_t>(std::stoll(std::string(*scan.record().key()))));
      ASSERT_GT(number, newest_of_key);
      newest_of_key = number;
    }
    ASSERT_TRUE(scan.status().ok() || absl::IsOutOfRange(scan.status()) || absl::IsAborted(scan.status()))
        << scan.status();
  };
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    for (int64_t number = 0; !done.load(); ++number) {
      VARVE_ASSERT_OK(log->Append({{.key = std::to_string(number % kKeys), .value = std::to_string(number)}}));
    }
  });
  for (int reader = 0; reader < 2; ++reader) {
    threads.emplace_back([&] {
      while (!done.load()) ASSERT_NO_FATAL_FAILURE(read_all(*log));
    });
  }
  threads.emplace_back([&] {
    while (!done.load()) VARVE_ASSERT_OK(log->ApplyRetention({.retention_ms = -1, .retention_bytes = 60000}));
  });
  std::atomic<int64_t> removed{0};
  threads.emplace_back([&] {
    while (!done.load()) {
      VARVE_ASSERT_OK_AND_ASSIGN(const CompactionResult result, log->Compact({.force = true}));
      removed += result.removed.superseded;
    }
  });
  for (int round = 0; round < 10 || (removed == 0 && round < 1000); ++round) {
    const int64_t end_offset = log->log_end_offset();
    VARVE_ASSERT_OK(log->WaitForData(end_offset + 100, kPatience));
    const absl::Status truncated = log->TruncateTo(end_offset);
    EXPECT_TRUE(truncated.ok() || absl::IsOutOfRange(truncated)) << truncated;  // it may be deleted by then
  }
  done.store(true);
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(removed, 0);
  read_all(*log);
  VARVE_ASSERT_OK(log->Close());
  read_all(*OpenLog("orders-0", options_));
}

// --- Readers that stop before the log end ---

constexpr int64_t kProducer = 7;

absl::Status AppendOfTransaction(Log* log) {
  const ProducerStamp producer{.producer_id = kProducer, .transactional = true};
  return log->Append({{.value = "of a transaction"}}, {.producer = producer}).status();
}

absl::Status AppendPlain(Log* log, int count) {
  absl::Status status;
  for (int number = 0; number < count && status.ok(); ++number) status = log->Append({{.value = "plain"}}).status();
  return status;
}

class HeldBackReadersTest : public LogThreadsTest {
 protected:
  HeldBackReadersTest() {
    options_.segment_bytes = 1 << 20;
    options_.producer_id_expiration_ms = std::numeric_limits<int64_t>::max();
  }
};

INSTANTIATE_TEST_SUITE_P(, HeldBackReadersTest, ::testing::Values(IoMode::kMapped, IoMode::kWrite),
                         [](const auto& param) { return param.param == IoMode::kMapped ? "Mapped" : "Write"; });

// What is asked for, up to the high watermark of some moment: nothing, or from there on, never backwards.
TEST_P(HeldBackReadersTest, AHighWatermarkThatFallsLeavesRangesWhole) {
  const auto log = OpenLog("orders-0", options_);
  VARVE_ASSERT_OK(AppendPlain(log.get(), 100));
  log->SetHighWatermark(60);
  std::atomic<bool> done{false};
  std::thread moving([&] {
    while (!done.load()) {
      log->SetHighWatermark(5);
      log->SetHighWatermark(60);
    }
  });
  LogReader reader = log->NewReader();
  for (int read = 0; read < 20'000; ++read) {
    const auto range = reader.Read(50);
    if (!range.ok() || range->size_bytes() < 0 || range->next_offset() < 50 || range->next_offset() > 60) {
      done.store(true);
      VARVE_EXPECT_OK(range.status());
      if (range.ok()) {
        ADD_FAILURE() << range->size_bytes() << " bytes up to offset " << range->next_offset() << ", read " << read;
      }
      break;
    }
  }
  done.store(true);
  moving.join();
}

// A batch that a truncation took is not judged by the end of the log that was written on afterwards. To find it takes
// as long as a truncation: no index entry leads to it.
TEST_P(HeldBackReadersTest, WhatATruncationTookUndecidedIsNeverCommitted) {
  constexpr int64_t kPlain = 300;
  options_.index_interval_bytes = 1 << 20;
  const auto log = OpenLog("orders-0", options_);
  VARVE_ASSERT_OK(AppendPlain(log.get(), kPlain));
  std::atomic<bool> done{false};
  std::atomic<int64_t> undecided{0};
  std::thread reading([&] {
    LogReader reader = log->NewReader();
    while (!done.load()) {
      const auto batch = reader.ReadBatch(kPlain, Isolation::kCommitted);
      ASSERT_TRUE(batch.ok() || absl::IsOutOfRange(batch.status())) << batch.status();
      if (batch.ok() && batch->has_value() && (*batch)->is_transactional()) undecided.fetch_add(1);
    }
  });
  for (int round = 0; round < 50; ++round) {
    VARVE_EXPECT_OK(AppendOfTransaction(log.get()));
    VARVE_EXPECT_OK(log->TruncateTo(kPlain));
    VARVE_EXPECT_OK(AppendPlain(log.get(), 3));
    VARVE_EXPECT_OK(log->TruncateTo(kPlain));
  }
  done.store(true);
  reading.join();
  EXPECT_EQ(undecided.load(), 0);
}

// Offset 10 is of a transaction that is aborted at 11 whenever committed readers see it, by whatever they read. kAborted
// bids them read again: nothing is given out.
void ReadAllButTheAborted(const Log& log, LogReader* reader) {
  LogScan scan = log.Scan(9, {.isolation = Isolation::kCommitted});
  for (const RecordView& record : scan) ASSERT_EQ(record.value(), "plain") << record.offset();
  ASSERT_TRUE(scan.status().ok() || absl::IsAborted(scan.status())) << scan.status();
  const auto batch = reader->ReadBatch(10, Isolation::kCommitted);
  ASSERT_TRUE(batch.ok() || absl::IsAborted(batch.status())) << batch.status();
  if (!batch.ok() || !batch->has_value()) return;
  const auto aborted = reader->IsAborted(**batch);
  if (absl::IsAborted(aborted.status())) return;
  VARVE_ASSERT_OK(aborted);
  ASSERT_TRUE(*aborted);
}

TEST_P(HeldBackReadersTest, AbortedDataIsNeverGivenOutWhereverTheHighWatermarkGoes) {
  const auto log = OpenLog("orders-0", options_);
  VARVE_ASSERT_OK(AppendPlain(log.get(), 10));
  VARVE_ASSERT_OK(AppendOfTransaction(log.get()));
  VARVE_ASSERT_OK(log->AppendEndTransaction(kProducer, 0, ControlType::kAbort, 0));
  VARVE_ASSERT_OK(AppendPlain(log.get(), 1));
  std::atomic<bool> done{false};
  std::thread moving([&] {
    while (!done.load()) {
      log->SetHighWatermark(5);
      log->SetHighWatermark(13);
    }
  });
  LogReader reader = log->NewReader();
  for (int read = 0; read < 5'000 && !HasFatalFailure(); ++read) ReadAllButTheAborted(*log, &reader);
  done.store(true);
  moving.join();
}

TEST_P(HeldBackReadersTest, AbortedDataIsNeverGivenOutWhileItsMarkerIsTruncated) {
  const auto log = OpenLog("orders-0", options_);
  VARVE_ASSERT_OK(AppendPlain(log.get(), 10));
  VARVE_ASSERT_OK(AppendOfTransaction(log.get()));
  std::atomic<bool> done{false};
  std::thread reading([&] {
    LogReader reader = log->NewReader();
    while (!done.load() && !HasFatalFailure()) ReadAllButTheAborted(*log, &reader);
  });
  for (int round = 0; round < 60; ++round) {
    VARVE_EXPECT_OK(log->AppendEndTransaction(kProducer, 0, ControlType::kAbort, 0));
    VARVE_EXPECT_OK(log->TruncateTo(11));
  }
  done.store(true);
  reading.join();
}

// A follower's list of segments and its offsets change one after the other.
TEST_P(HeldBackReadersTest, AbortedDataIsNeverGivenOutByAFollowerThatRefreshes) {
  {
    const auto log = OpenLog("orders-0", options_);
    VARVE_ASSERT_OK(AppendPlain(log.get(), 10));
    VARVE_ASSERT_OK(AppendOfTransaction(log.get()));
  }
  LogOptions following = options_;
  following.read_only = true;
  const auto follower = OpenLog("orders-0", following);
  std::atomic<bool> done{false};
  std::thread reading([&] {
    LogReader reader = follower->NewReader();
    while (!done.load() && !HasFatalFailure()) ReadAllButTheAborted(*follower, &reader);
  });
  for (int round = 0; round < 30; ++round) {
    for (const bool abort : {true, false}) {
      auto log = OpenLog("orders-0", options_);
      if (abort) {
        VARVE_EXPECT_OK(log->AppendEndTransaction(kProducer, 0, ControlType::kAbort, 0));
      } else {
        VARVE_EXPECT_OK(log->TruncateTo(11));
      }
      if (round % 2 == 0) log.reset();  // of a stopped log, else by the writer's line
      VARVE_EXPECT_OK(follower->Refresh());
    }
  }
  done.store(true);
  reading.join();
}

}  // namespace
}  // namespace varve
