// A CompactionPass between whose steps anything may happen to the log.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/compacted_log.h"
#include "log/log_places.h"
#include "log/partition_fixture.h"
#include "support/status_matchers.h"
#include "varve/log.h"
#include "varve/testing/faulty_file_system.h"

namespace varve {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using testing_support::AppendKeyed;
using testing_support::CompactedOptions;
using testing_support::ExpectLatest;
using testing_support::IsOkAndHolds;
using testing_support::LogTest;
using testing_support::OpenLog;
using testing_support::StatusIs;

constexpr int64_t kRecords = 40;
constexpr StepBudget kOneBatch{.bytes = 1};

// Its monotonic time goes on by 1 µs whenever somebody asks.
class TickingClock : public ManualClock {
 public:
  using ManualClock::ManualClock;
  [[nodiscard]] int64_t MonotonicNs() override {
    AdvanceNs(1000);
    return ManualClock::MonotonicNs();
  }
};

class LogCompactionStepsTest : public LogTest {
 protected:
  // A log of its own disk, with kRecords in it.
  struct Scene {
    std::unique_ptr<MemoryFileSystem> disk = std::make_unique<MemoryFileSystem>();
    std::unique_ptr<Log> log;
    std::unique_ptr<CompactionPass> pass;

    [[nodiscard]] std::vector<std::string> Names() const { return *disk->List(testing_support::kPartition); }
  };

  Scene Begin(CleanupPolicy policy = CleanupPolicy::kCompact) {
    Scene scene;
    options_ = CompactedOptions(scene.disk.get(), &clock_, IoMode::kMapped);
    options_.cleanup_policy = policy;
    scene.log = Open();
    AppendKeyed(scene.log.get(), kRecords);
    scene.pass = BeginPass(scene.log.get());
    return scene;
  }

  static std::unique_ptr<CompactionPass> BeginPass(Log* log, const CompactionOptions& options = {.force = true}) {
    auto pass = log->BeginCompaction(options);
    EXPECT_TRUE(pass.ok()) << pass.status();
    return pass.ok() ? *std::move(pass) : nullptr;
  }

  // Takes so many steps; false if the pass came to its end before.
  static bool TakeSteps(CompactionPass* pass, int count) {
    for (int step = 0; step < count; ++step) {
      const absl::StatusOr<bool> done = pass->Step(kOneBatch);
      EXPECT_TRUE(done.ok()) << done.status();
      if (!done.ok() || *done) return false;
    }
    return true;
  }

  // Lets `meanwhile` happen once before each of the steps, each time to a pass and a log of their own.
  void AtEachStep(CleanupPolicy policy, const std::function<void(Scene*)>& meanwhile) {
    for (int steps = 0;; ++steps) {
      SCOPED_TRACE(::testing::Message() << "after " << steps << " steps");
      Scene scene = Begin(policy);
      if (!TakeSteps(scene.pass.get(), steps)) {
        EXPECT_GT(steps, 40);
        return;
      }
      meanwhile(&scene);
      if (HasFatalFailure()) return;
      scene.pass.reset();
      EXPECT_THAT(scene.Names(), Not(Contains(AnyOf(EndsWith(".cleaned"), EndsWith(".swap")))));
    }
  }

  // Nothing is invented, or there twice.
  static void ExpectOnlyAppended(const Log& log) {
    int64_t previous = -1;
    LogScan scan = log.Scan(log.log_start_offset());
    for (const RecordView& record : scan) {
      ASSERT_GT(record.offset(), previous);
      ASSERT_EQ(record.value(), testing_support::ValueAt(record.offset()));
      previous = record.offset();
    }
    VARVE_ASSERT_OK(scan.status());
    ASSERT_EQ(previous, log.log_end_offset() - 1);
  }
};

// Aborted data makes the files of all four kinds.
void AppendTransactions(Log* log) {
  for (int32_t number = 0; number < 4; ++number) {
    const std::string key = "of a transaction " + std::to_string(number % 2);
    VARVE_ASSERT_OK(log->Append(
        {{.key = key, .value = "1", .timestamp_ms = 2'000'000}},
        {.compression = Codec::kNone,
         .producer =
             ProducerStamp{.producer_id = 7 + number % 2, .base_sequence = number / 2, .transactional = true}}));
    VARVE_ASSERT_OK(
        log->AppendEndTransaction(7 + number % 2, 0, number < 2 ? ControlType::kAbort : ControlType::kCommit, 0));
  }
}

TEST_F(LogCompactionStepsTest, AnyStepsMakeTheFilesThatOneGoMakes) {
  testing_support::FileMap in_one_go;
  for (const StepBudget budget : {StepBudget{}, StepBudget{.bytes = 1}, StepBudget{.bytes = 400},
                                  StepBudget{.time = std::chrono::nanoseconds(0)}}) {
    SCOPED_TRACE(budget.bytes);
    MemoryFileSystem disk;
    ManualClock clock(1'700'000'000'000);
    const auto log = OpenLog(directory_, CompactedOptions(&disk, &clock, IoMode::kMapped));
    AppendKeyed(log.get(), kRecords / 2);
    AppendTransactions(log.get());
    AppendKeyed(log.get(), kRecords / 2);
    const std::unique_ptr<CompactionPass> pass = BeginPass(log.get());
    int64_t steps = 1;
    for (;; ++steps) {
      VARVE_ASSERT_OK_AND_ASSIGN(const bool done, pass->Step(budget));
      if (done) break;
    }
    EXPECT_EQ(pass->progress().done_bytes, pass->progress().total_bytes);
    EXPECT_EQ(pass->result().reason, CompactionReason::kForced);
    EXPECT_GT(pass->result().removed.superseded, 0);
    EXPECT_GT(pass->result().removed.aborted, 0);
    EXPECT_EQ(pass->result().end_offset, log->segments().back().base_offset);
    VARVE_ASSERT_OK(log->Close());
    const testing_support::FileMap files = testing_support::ReadKafkaFiles(&disk, directory_);
    if (in_one_go.empty()) {
      EXPECT_EQ(steps, 1);
      in_one_go = files;
      continue;
    }
    EXPECT_GT(steps, 10);
    EXPECT_EQ(files, in_one_go);
  }
}

TEST_F(LogCompactionStepsTest, AStepRunsOverByABatchAtMost) {
  for (const int64_t bytes : {int64_t{0}, int64_t{1}, int64_t{300}}) {
    SCOPED_TRACE(bytes);
    Scene scene = Begin();
    constexpr int64_t kLargestBatch = 90;
    int64_t steps = 0;
    for (bool done = false; !done; ++steps) {
      const int64_t before = scene.pass->progress().done_bytes;
      VARVE_ASSERT_OK_AND_ASSIGN(done, scene.pass->Step({.bytes = bytes}));
      const int64_t read = scene.pass->progress().done_bytes - before;
      EXPECT_LT(read, bytes + kLargestBatch);
      if (!done) {
        EXPECT_GE(read, bytes);
      }
    }
    EXPECT_GT(steps, scene.pass->progress().total_bytes / (bytes + kLargestBatch));
  }
}

TEST_F(LogCompactionStepsTest, AStepEndsWhenItsTimeIsUp) {
  TickingClock clock;
  MemoryFileSystem disk;
  LogOptions options = CompactedOptions(&disk, &clock, IoMode::kMapped);
  options.segment_bytes = 1 << 20;
  const auto log = OpenLog(directory_, options);
  AppendKeyed(log.get(), 1000);
  VARVE_ASSERT_OK(log->Roll());
  // The clock is asked once for each batch, so that this many fit into a step.
  const std::unique_ptr<CompactionPass> pass = BeginPass(log.get());
  int64_t steps = 0;
  for (bool done = false; !done; ++steps) {
    VARVE_ASSERT_OK_AND_ASSIGN(done, pass->Step({.time = std::chrono::microseconds(100)}));
  }
  EXPECT_GE(steps, 2 * 1000 / 100);
  EXPECT_LE(steps, 2 * 1000 / 100 + 5);
}

TEST_F(LogCompactionStepsTest, APassThatIsNotDueIsDoneAtOnce) {
  const auto log = OpenLog(directory_, CompactedOptions(&memory_, &clock_, IoMode::kMapped));
  AppendKeyed(log.get(), 2);
  const std::unique_ptr<CompactionPass> pass = BeginPass(log.get(), {});
  for (int step = 0; step < 2; ++step) EXPECT_THAT(pass->Step(kOneBatch), IsOkAndHolds(true));
  EXPECT_EQ(pass->result().reason, CompactionReason::kNothingToClean);
  EXPECT_EQ(pass->progress().total_bytes, 0);
}

TEST_F(LogCompactionStepsTest, OnePassAtATime) {
  Scene scene = Begin();
  const auto expect_taken = [&] {
    EXPECT_THAT(scene.log->BeginCompaction().status(), StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_THAT(scene.log->Compact().status(), StatusIs(absl::StatusCode::kUnavailable));
  };
  expect_taken();  // it has not even planned
  ASSERT_TRUE(TakeSteps(scene.pass.get(), 20));
  expect_taken();
  scene.pass.reset();
  scene.pass = BeginPass(scene.log.get());
  expect_taken();
  EXPECT_THAT(scene.pass->Step(), IsOkAndHolds(true));
  // Done, though it is still there.
  VARVE_EXPECT_OK(scene.log->Compact());
}

TEST_F(LogCompactionStepsTest, AppendsBetweenStepsStay) {
  Scene scene = Begin();
  int64_t end = kRecords;
  for (bool done = false; !done;) {
    VARVE_ASSERT_OK_AND_ASSIGN(done, scene.pass->Step(kOneBatch));
    AppendKeyed(scene.log.get(), 1, {.ack = end % 5 == 0 ? Ack::kDurable : Ack::kWritten});
    ExpectLatest(*scene.log, ++end);
  }
  EXPECT_GT(end, 2 * kRecords);
  EXPECT_GT(scene.pass->result().removed.superseded, 0);
  scene.pass.reset();
  scene.log.reset();
  ExpectLatest(*Open(), end);
}

TEST_F(LogCompactionStepsTest, TruncationWins) {
  int dropped = 0;
  for (const int64_t target : {int64_t{4}, kRecords - 7}) {
    SCOPED_TRACE(target);
    AtEachStep(CleanupPolicy::kCompact, [&](Scene* scene) {
      // A batch may have been compacted away: the next that is there.
      VARVE_ASSERT_OK_AND_ASSIGN(const FileRange range, scene->log->Read(target));
      VARVE_ASSERT_OK(scene->log->TruncateTo(range.base_offset()));
      const int64_t end = scene->log->log_end_offset();
      const bool begun = scene->pass->progress().total_bytes > 0;
      VARVE_ASSERT_OK_AND_ASSIGN(bool done, scene->pass->Step(kOneBatch));
      EXPECT_TRUE(done || !begun);
      while (!done) {
        VARVE_ASSERT_OK_AND_ASSIGN(done, scene->pass->Step(kOneBatch));
      }
      dropped += static_cast<int>(scene->pass->result().segments_dropped);
      EXPECT_LE(scene->pass->result().end_offset, end);
      AppendKeyed(scene->log.get(), kRecords);
      // What superseded a record may have been truncated away, as in Kafka.
      ExpectOnlyAppended(*scene->log);
      VARVE_ASSERT_OK(scene->log->Compact({.force = true}));
      ExpectOnlyAppended(*scene->log);
    });
  }
  EXPECT_GT(dropped, 50);
}

TEST_F(LogCompactionStepsTest, ANewBeginningWins) {
  AtEachStep(CleanupPolicy::kCompact, [&](Scene* scene) {
    VARVE_ASSERT_OK(scene->log->TruncateFullyAndStartAt(100));
    while (TakeSteps(scene->pass.get(), 1)) {
    }
    EXPECT_EQ(scene->log->offsets().log_end_offset, 100);
    EXPECT_LE(scene->pass->result().end_offset, 100);
  });
}

TEST_F(LogCompactionStepsTest, DeletionWins) {
  int dropped = 0;
  AtEachStep(CleanupPolicy::kCompactAndDelete, [&](Scene* scene) {
    VARVE_ASSERT_OK(scene->log->DeleteBefore(20));
    while (TakeSteps(scene->pass.get(), 1)) {
    }
    EXPECT_EQ(scene->log->log_start_offset(), 20);
    ExpectLatest(*scene->log, kRecords);
    dropped += static_cast<int>(scene->pass->result().segments_dropped);
    VARVE_ASSERT_OK(scene->log->Compact({.force = true}));
    ExpectLatest(*scene->log, kRecords);
  });
  EXPECT_GT(dropped, 10);
}

// Nothing that a pass holds keeps a segment, and a pass whose segments went reads no more of them.
TEST_F(LogCompactionStepsTest, RetentionTakesWhatIsWorkedOn) {
  AtEachStep(CleanupPolicy::kCompactAndDelete, [&](Scene* scene) {
    const int64_t active_base = scene->log->segments().back().base_offset;
    const bool begun = scene->pass->progress().total_bytes > 0;
    VARVE_ASSERT_OK(scene->log->ApplyRetention({.retention_bytes = 0, .before_offset = active_base}));
    ASSERT_GE(scene->log->log_start_offset(), active_base);
    const int64_t done_bytes = scene->pass->progress().done_bytes;
    VARVE_ASSERT_OK_AND_ASSIGN(const bool done, scene->pass->Step());
    EXPECT_TRUE(done);
    EXPECT_EQ(scene->pass->progress().done_bytes, done_bytes);
    EXPECT_LE(scene->pass->result().segments_dropped, begun ? 1 : 0);
    clock_.AdvanceMs(options_.file_delete_delay_ms);
    VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult retained, scene->log->ApplyRetention());
    EXPECT_EQ(retained.files_left, 0);
    AppendKeyed(scene->log.get(), 3);
  });
}

TEST_F(LogCompactionStepsTest, DestroyedItLeavesNothingBehind) {
  AtEachStep(CleanupPolicy::kCompact, [&](Scene* scene) {
    const int64_t exchanged = scene->pass->result().segments_after;
    scene->pass.reset();
    EXPECT_THAT(scene->Names(), Not(Contains(EndsWith(".cleaned"))));
    ExpectLatest(*scene->log, kRecords);
    scene->pass = BeginPass(scene->log.get());
    VARVE_ASSERT_OK_AND_ASSIGN(const bool done, scene->pass->Step());
    EXPECT_TRUE(done);
    EXPECT_EQ(scene->pass->result().first_dirty_offset, 0) << exchanged << " segments were exchanged";
    EXPECT_GT(scene->pass->result().end_offset, 0);
    ExpectLatest(*scene->log, kRecords);
  });
}

// The pass outlives the log, and touches nothing of the next writer's.
TEST_F(LogCompactionStepsTest, ACloseGivesItUp) {
  AtEachStep(CleanupPolicy::kCompact, [&](Scene* scene) {
    VARVE_ASSERT_OK(scene->log->Close());
    EXPECT_THAT(scene->Names(), Not(Contains(EndsWith(".cleaned"))));
    EXPECT_THAT(scene->pass->Step(), StatusIs(absl::StatusCode::kFailedPrecondition));
    EXPECT_THAT(scene->log->BeginCompaction().status(), StatusIs(absl::StatusCode::kFailedPrecondition));
    scene->log.reset();
    EXPECT_THAT(scene->pass->Step(), StatusIs(absl::StatusCode::kFailedPrecondition));
    EXPECT_EQ(scene->pass->result().end_offset, 0);
    const auto next = Open();
    ASSERT_NE(next, nullptr);
    ExpectLatest(*next, kRecords);
    const std::unique_ptr<CompactionPass> pass = BeginPass(next.get());
    while (!std::ranges::any_of(scene->Names(), [](const std::string& name) { return name.ends_with(".cleaned"); })) {
      ASSERT_TRUE(TakeSteps(pass.get(), 1));
    }
    const std::vector<std::string> names = scene->Names();
    EXPECT_THAT(scene->pass->Step(), StatusIs(absl::StatusCode::kFailedPrecondition));
    scene->pass.reset();
    EXPECT_EQ(scene->Names(), names);
    EXPECT_THAT(pass->Step(), IsOkAndHolds(true));
    ExpectLatest(*next, kRecords);
  });
}

// A step that fails says why, and so do those after it.
TEST_F(LogCompactionStepsTest, APoisonedLogEndsIt) {
  FaultyFileSystem faulty(&memory_);
  LogOptions options = CompactedOptions(&faulty, &clock_, IoMode::kWrite);
  const auto log = OpenLog(directory_, options);
  AppendKeyed(log.get(), kRecords);
  const std::unique_ptr<CompactionPass> pass = BeginPass(log.get());
  ASSERT_TRUE(TakeSteps(pass.get(), 50));
  ASSERT_THAT(*memory_.List(directory_), Contains(EndsWith(".cleaned")));
  faulty.AddRule({.operation = FileOperation::kSync, .status = absl::InternalError("the disk is gone")});
  EXPECT_FALSE(log->Flush().ok());
  for (int step = 0; step < 2; ++step) {
    EXPECT_THAT(pass->Step(kOneBatch).status(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("gone")));
  }
  EXPECT_THAT(*memory_.List(directory_), Not(Contains(EndsWith(".cleaned"))));
  ExpectLatest(*log, kRecords);
}

TEST_F(LogCompactionStepsTest, WhatAReaderHoldsStays) {
  Scene scene = Begin(CleanupPolicy::kCompactAndDelete);
  VARVE_ASSERT_OK_AND_ASSIGN(FileRange range, scene.log->Read(0));
  LogReader reader = scene.log->NewReader();
  VARVE_ASSERT_OK_AND_ASSIGN(const auto batch, reader.ReadBatch(7));
  ASSERT_TRUE(batch.has_value());
  const auto bytes_of = [](std::span<const std::byte> bytes) {
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  };
  const std::vector<std::byte> range_before = bytes_of(range.View());
  const std::vector<std::byte> batch_before = bytes_of(batch->bytes());
  const auto expect_held = [&] {
    EXPECT_EQ(bytes_of(range.View()), range_before);
    EXPECT_EQ(bytes_of(batch->bytes()), batch_before);
    std::vector<std::byte> copied(range_before.size());
    VARVE_ASSERT_OK(range.CopyTo(copied));
    EXPECT_EQ(copied, range_before);
  };
  for (bool done = false; !done;) {
    VARVE_ASSERT_OK_AND_ASSIGN(done, scene.pass->Step(kOneBatch));
    expect_held();
  }
  ASSERT_GT(scene.pass->result().removed.superseded, 0);
  VARVE_ASSERT_OK(scene.log->Compact({.force = true}));
  expect_held();
  VARVE_ASSERT_OK(scene.log->ApplyRetention({.before_offset = 30}));
  clock_.AdvanceMs(options_.file_delete_delay_ms);
  VARVE_ASSERT_OK(scene.log->ApplyRetention());
  expect_held();
  VARVE_ASSERT_OK(scene.log->Close());
  expect_held();
}

// In a child of fork() a pass answers as the log does, and leaves the parent's files alone.
TEST_F(LogCompactionStepsTest, AForkedChildTouchesNothing) {
  const testing_support::TemporaryDirectory temporary;
  const std::string directory = temporary.path() + "/" + testing_support::kPartition;
  const auto log = OpenLog(directory, CompactedOptions(FileSystem::Default(), &clock_, IoMode::kMapped));
  AppendKeyed(log.get(), kRecords);
  std::unique_ptr<CompactionPass> pass = BeginPass(log.get());
  ASSERT_TRUE(TakeSteps(pass.get(), 50));
  const std::vector<std::string> names = *FileSystem::Default()->List(directory);
  ASSERT_THAT(names, Contains(EndsWith(".cleaned")));
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    bool refused = absl::IsFailedPrecondition(pass->Step().status());
    refused = refused && absl::IsFailedPrecondition(log->BeginCompaction().status());
    pass.reset();
    (void)log->Close();
    ::_exit(refused ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(*FileSystem::Default()->List(directory), names);
  EXPECT_THAT(pass->Step(), IsOkAndHolds(true));
  ExpectLatest(*log, kRecords);
}

}  // namespace
}  // namespace varve
