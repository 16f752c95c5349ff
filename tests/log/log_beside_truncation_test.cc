// What others do while published data is taken away: syncs, reads, lookups. All of it keeps what holds without them.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "log/log_places.h"
#include "support/hooked_file_system.h"

namespace varve {
namespace {

using testing_support::AppendMany;
using testing_support::ExpectRecords;
using testing_support::HookedFileSystem;

class LogBesideTruncationTest : public testing_support::LogTest {};

// Calls `work` in some threads until destroyed.
class Busy {
 public:
  template <typename Work>
  Busy(int threads, Work work) {
    for (int number = 0; number < threads; ++number) {
      threads_.emplace_back([this, work] {
        while (!stop_.load()) work();
      });
    }
  }
  ~Busy() {
    stop_.store(true);
    for (std::thread& thread : threads_) thread.join();
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

// The durable point is lowered before anything goes: a sync that raises it again makes the announcement void, and the
// log start with it.
TEST_F(LogBesideTruncationTest, SyncsDoNotRaiseTheDurablePointAgain) {
  for (int at_change = 1;; ++at_change) {
    SCOPED_TRACE(at_change);
    MemoryFileSystem memory;
    HookedFileSystem files(&memory);
    options_.file_system = &files;
    const auto log = Open();
    AppendMany(log.get(), 20);
    VARVE_ASSERT_OK(log->DeleteBefore(6));
    int changes = 0;
    std::future<absl::Status> flushing;
    files.around_change = [&] {
      if (++changes != at_change) return;
      flushing = std::async(std::launch::async, [&] { return log->Flush(); });
      // It has to wait for the end of the truncation.
      EXPECT_EQ(flushing.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
    };
    VARVE_ASSERT_OK(log->TruncateTo(12));
    files.around_change = nullptr;
    if (!flushing.valid()) {
      EXPECT_GT(at_change, 4);  // or nothing was tried
      return;
    }
    VARVE_ASSERT_OK(flushing.get());
    ASSERT_EQ(log->log_start_offset(), 6);
    ASSERT_LE(log->durable_offset(), 12);
    ExpectRecords(*log, 6, 12);
    AppendMany(log.get(), 3, {.ack = Ack::kDurable});
    const auto crashed = memory.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
    options_.file_system = crashed.get();
    const auto reopened = Open();
    ASSERT_EQ(reopened->log_start_offset(), 6);
    ExpectRecords(*reopened, 6, 15);
  }
}

constexpr int64_t kRecords = 24;

// Whatever of a truncation has been carried out, a read answers what stays, or that the offset is out of range.
class LookupsBesideTruncationTest : public LogBesideTruncationTest {
 protected:
  LookupsBesideTruncationTest() { options_.max_open_segments = 1; }  // each lookup opens files

  static void ExpectReads(LogReader* reader, int64_t kept_end) {
    for (int64_t offset = 0; offset <= kRecords; ++offset) {
      const auto batch = reader->ReadBatch(offset);
      if (absl::IsOutOfRange(batch.status())) {
        ASSERT_GE(offset, kept_end);
        continue;
      }
      ASSERT_TRUE(batch.ok()) << "offset " << offset << ": " << batch.status();
      ASSERT_TRUE(batch->has_value() || offset >= kept_end) << offset;
      if (batch->has_value()) {
        ASSERT_EQ((*batch)->base_offset(), offset);
      }
    }
    for (int64_t offset = 0; offset <= kRecords; ++offset) {
      const auto by_time = reader->OffsetForTimestamp(1'000'000 + offset);
      ASSERT_TRUE(by_time.ok()) << "time of offset " << offset << ": " << by_time.status();
      ASSERT_TRUE(by_time->has_value() || offset >= kept_end) << offset;
    }
    const auto largest = reader->OffsetForTimestamp(kMaxTimestamp);
    ASSERT_TRUE(largest.ok()) << largest.status();
  }

  // Runs `change` and reads at each of its steps.
  void ReadAtEveryStep(int64_t kept_end, const std::function<absl::Status(Log*)>& change) {
    MemoryFileSystem memory;
    HookedFileSystem hooked(&memory);
    options_.file_system = &hooked;
    const auto log = Open();
    AppendMany(log.get(), kRecords);
    LogReader older = log->NewReader();
    ASSERT_NO_FATAL_FAILURE(ExpectReads(&older, kRecords));
    int steps = 0;
    hooked.around_change = [&] {
      if (HasFatalFailure()) return;
      ++steps;
      ExpectReads(&older, kept_end);
      LogReader fresh = log->NewReader();
      ExpectReads(&fresh, kept_end);
      EXPECT_FALSE(log->segments().empty());
    };
    VARVE_ASSERT_OK(change(log.get()));
    hooked.around_change = nullptr;
    EXPECT_GT(steps, 4);
    ASSERT_NO_FATAL_FAILURE(ExpectReads(&older, kept_end));
    ExpectRecords(*log, log->log_start_offset(), log->log_end_offset());
  }
};

TEST_F(LookupsBesideTruncationTest, FindWhatStaysAtEveryStepOfATruncation) {
  for (int64_t offset = 0; offset < kRecords; ++offset) {
    SCOPED_TRACE(offset);
    ReadAtEveryStep(offset, [&](Log* log) { return log->TruncateTo(offset); });
  }
}

TEST_F(LookupsBesideTruncationTest, FindNothingAtAnyStepOfAFreshStart) {
  for (const int64_t offset : {0, 7, 10, 1000}) {
    SCOPED_TRACE(offset);
    ReadAtEveryStep(0, [&](Log* log) { return log->TruncateFullyAndStartAt(offset); });
  }
}

// While the first segment is being opened, the others are open already, with records that are gone then. (A truncation
// that asked for the one being opened would wait for it.)
TEST_F(LookupsBesideTruncationTest, ALargestTimestampThatGoesMeanwhileHidesNoOther) {
  options_.max_open_segments = 100;
  HookedFileSystem hooked(&memory_);
  options_.file_system = &hooked;
  { AppendMany(Open().get(), kRecords); }
  int64_t opened = 0;
  const auto log = Open();
  const int64_t kept_end = log->segments()[1].base_offset + 1;
  for (const LogSegmentInfo& segment : log->segments()) {
    if (segment.base_offset == 0) continue;
    VARVE_ASSERT_OK(log->Read(segment.base_offset));
  }
  hooked.before_open = [&](const std::string& path) {
    if (!path.ends_with(".index") || ++opened > 1) return;
    VARVE_ASSERT_OK(log->TruncateTo(kept_end));
  };
  VARVE_ASSERT_OK_AND_ASSIGN(const auto largest, log->OffsetForTimestamp(kMaxTimestamp));
  EXPECT_GE(opened, 1);
  ASSERT_TRUE(largest.has_value());
  EXPECT_EQ(largest->offset, kept_end - 1);
}

// A reader in the middle of a lookup holds a list that is out of date: files that are gone or shorter say nothing then.
TEST_F(LookupsBesideTruncationTest, AListThatIsOutOfDateIsNoReasonToFail) {
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  const auto expect_range = [](const absl::Status& status) {
    ASSERT_TRUE(status.ok() || absl::IsOutOfRange(status)) << status;
  };
  const Busy reading(2, [&] {
    LogReader reader = log->NewReader();
    for (int64_t offset = 0; offset < kRecords; ++offset) {
      expect_range(reader.ReadBatch(offset).status());
      expect_range(reader.OffsetForTimestamp(1'000'000 + offset).status());
    }
  });
  for (int64_t round = 0; round < 60; ++round) {
    VARVE_ASSERT_OK(log->TruncateTo(round % kRecords));
    AppendMany(log.get(), kRecords - round % kRecords);
  }
}

}  // namespace
}  // namespace varve
