// Appends, readers and a follower while passes run, in threads: what is read is always what was appended, and the
// latest of each key is never missing.
#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "log/compacted_log.h"
#include "log/log_places.h"
#include "support/status_matchers.h"
#include "varve/log.h"

namespace varve {
namespace {

using testing_support::AppendKeyed;
using testing_support::ExpectLatest;
using testing_support::KeyAt;
using testing_support::kKeyCount;
using testing_support::LogPlaceTest;
using testing_support::OpenLog;
using testing_support::ValueAt;

constexpr int64_t kRecords = 100;
constexpr int kPasses = 8;

class LogBesideCompactionTest : public LogPlaceTest {
 protected:
  LogBesideCompactionTest() {
    options_.cleanup_policy = CleanupPolicy::kCompact;
    options_.max_open_segments = 2;  // so that segments are opened by name again and again
  }
};
VARVE_INSTANTIATE_LOG_PLACES(LogBesideCompactionTest);

// Reads it all: every record is the one appended there; of each key there is one as new as the last below `end`, where
// the scan begins, unless the writer has appended a later one meanwhile.
void ExpectSoundScan(const char* whose, const Log& writer, LogScan* scan, int64_t end) {
  SCOPED_TRACE(whose);
  std::map<std::string, int64_t> latest;
  int64_t previous = -1;
  for (const RecordView& record : *scan) {
    ASSERT_GT(record.offset(), previous);
    previous = record.offset();
    ASSERT_EQ(record.key(), KeyAt(record.offset()));
    ASSERT_EQ(record.value(), ValueAt(record.offset()));
    latest[std::string(*record.key())] = record.offset();
  }
  if (absl::IsAborted(scan->status())) return;  // a follower's: to be refreshed
  ASSERT_TRUE(scan->status().ok()) << scan->status();
  std::map<std::string, int64_t> appended = testing_support::LatestBelow(writer.segments().back().base_offset);
  for (const auto& [key, offset] : testing_support::LatestBelow(end)) {
    if (appended[key] < end) {
      ASSERT_GE(latest[key], offset) << key;
    }
  }
}

TEST_P(LogBesideCompactionTest, WhatIsReadIsWhatWasAppended) {
  const auto log = Open();
  ASSERT_NE(log, nullptr);
  AppendKeyed(log.get(), kRecords);
  std::atomic<int> passes{0};
  const auto running = [&] { return passes.load() < kPasses && !HasFailure(); };
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    for (int64_t round = 0; round < kRecords && running(); ++round) AppendKeyed(log.get(), 1);
  });
  threads.emplace_back([&] {
    while (running()) {
      const int64_t end = log->log_end_offset();
      LogScan scan = log->Scan(0);
      ExpectSoundScan("of the log", *log, &scan, end);
    }
  });
  threads.emplace_back([&] {
    LogReader reader = log->NewReader();
    for (int64_t offset = 0; running(); offset = (offset + 13) % kRecords) {
      const absl::StatusOr<FileRange> range = reader.Read(offset, {.max_bytes = 300});
      ASSERT_TRUE(range.ok()) << range.status();
      const auto batch = RecordBatchView::Parse(range->View());
      ASSERT_TRUE(batch.ok()) << batch.status();
      ASSERT_TRUE(batch->CrcMatches());
      ASSERT_GE(batch->last_offset(), offset);
    }
  });
  threads.emplace_back([&] {
    LogOptions following = options_;
    following.read_only = true;
    const auto follower = OpenLog(directory_, following);
    ASSERT_NE(follower, nullptr);
    while (running()) {
      const absl::Status refreshed = follower->Refresh();
      if (absl::IsAborted(refreshed)) continue;  // the writer was faster
      ASSERT_TRUE(refreshed.ok()) << refreshed;
      const int64_t end = follower->log_end_offset();
      LogScan scan = follower->Scan(0);
      ExpectSoundScan("of the follower", *log, &scan, end);
    }
  });
  int64_t removed = 0;
  while (running()) {
    const auto result = log->Compact({.force = true});
    EXPECT_TRUE(result.ok()) << result.status();
    if (result.ok()) removed += result->removed.superseded;
    ++passes;
  }
  passes = kPasses;
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(removed, kRecords / 2);
  ExpectLatest(*log, log->log_end_offset());
}

// A close in another thread stops a pass and waits for it.
TEST_P(LogBesideCompactionTest, ACloseEndsThePass) {
  const auto log = Open();
  ASSERT_NE(log, nullptr);
  AppendKeyed(log.get(), kRecords);
  std::atomic<bool> begun{false};
  std::thread closing([&] {
    begun.wait(false);
    EXPECT_TRUE(log->Close().ok());
  });
  absl::Status status;
  while (status.ok()) {
    const auto pass = log->BeginCompaction({.force = true});
    status = pass.status();
    while (status.ok()) {
      const absl::StatusOr<bool> done = (*pass)->Step({.bytes = 1});
      status = done.status();
      begun = true;
      begun.notify_one();
      if (done.ok() && *done) break;
    }
  }
  closing.join();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  ExpectLatest(*Open(), kRecords);
}

}  // namespace
}  // namespace varve
