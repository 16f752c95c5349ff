// Truncation and deletion: all of it or none, whatever the crash; readers keep what they hold.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "log/log_places.h"
#include "varve/errors.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/manual_clock.h"

namespace varve {
namespace {

using ::testing::HasSubstr;
using testing_support::AppendMany;
using testing_support::AppendNext;
using testing_support::ExpectRecords;
using testing_support::kPartition;
using testing_support::LogTest;
using testing_support::OpenLog;
using testing_support::StatusIs;
using testing_support::TinyOptions;

class LogTruncationPlaceTest : public testing_support::LogPlaceTest {};
VARVE_INSTANTIATE_LOG_PLACES(LogTruncationPlaceTest);
class LogTruncationTest : public LogTest {};

constexpr int64_t kRecords = 24;

TEST_P(LogTruncationPlaceTest, ToEveryOffset) {
  for (int64_t offset = 0; offset <= kRecords; ++offset) {
    SCOPED_TRACE(offset);
    {
      const auto log = Open();
      VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(0));
      AppendMany(log.get(), kRecords);
      VARVE_ASSERT_OK_AND_ASSIGN(const FileRange kept, log->Read(kRecords - 1));
      VARVE_ASSERT_OK(log->TruncateTo(offset));
      EXPECT_EQ(log->log_end_offset(), offset);
      EXPECT_LE(log->durable_offset(), offset);
      ExpectRecords(*log, 0, offset);
      VARVE_ASSERT_OK_AND_ASSIGN(const RecordBatchView batch, RecordBatchView::Parse(kept.View()));
      EXPECT_TRUE(batch.CrcMatches());
      EXPECT_EQ(batch.base_offset(), kRecords - 1);
      AppendMany(log.get(), 3);
      ExpectRecords(*log, 0, offset + 3);
    }
    ExpectRecords(*Open(), 0, offset + 3);
  }
}

TEST_P(LogTruncationPlaceTest, DeletionBeforeEveryOffset) {
  for (int64_t offset = 0; offset <= kRecords; ++offset) {
    SCOPED_TRACE(offset);
    {
      const auto log = Open();
      VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(0));
      AppendMany(log.get(), kRecords);
      VARVE_ASSERT_OK_AND_ASSIGN(const FileRange kept, log->Read(0));
      VARVE_ASSERT_OK(log->DeleteBefore(offset));
      EXPECT_EQ(log->log_start_offset(), offset);
      if (offset > 0) {
        EXPECT_THAT(log->Read(offset - 1), StatusIs(absl::StatusCode::kOutOfRange));
      }
      ExpectRecords(*log, offset, kRecords);
      EXPECT_LE(log->segments().front().base_offset, offset);
      if (log->segments().size() > 1) {
        EXPECT_GT(log->segments()[1].base_offset, offset);
      }
      VARVE_ASSERT_OK_AND_ASSIGN(const RecordBatchView batch, RecordBatchView::Parse(kept.View()));
      EXPECT_TRUE(batch.CrcMatches());
      AppendMany(log.get(), 3);
    }
    const auto log = Open();
    EXPECT_EQ(log->log_start_offset(), offset);
    ExpectRecords(*log, offset, kRecords + 3);
  }
}

// What is announced has to be stable before a name changes, and it is so after one sync.
TEST_F(LogTruncationTest, TheAnnouncementIsSyncedOnce) {
  ManualClock clock{1'700'000'000'000};
  options_.clock = &clock;
  for (const bool anew : {false, true}) {
    FaultyFileSystem watched(&memory_);
    LogOptions options = options_;
    options.file_system = &watched;
    const auto log = OpenLog(directory_, options);
    AppendMany(log.get(), kRecords);
    int syncs = 0;
    bool names_changed = false;
    watched.SetObserver([&](const FileCall& call) {
      if (call.operation == FileOperation::kRename || call.operation == FileOperation::kRemove) names_changed = true;
      if (call.operation == FileOperation::kSync && call.path.ends_with("varve.state") && !names_changed) ++syncs;
    });
    VARVE_ASSERT_OK(anew ? log->TruncateFullyAndStartAt(0) : log->TruncateTo(7));
    watched.SetObserver(nullptr);
    EXPECT_TRUE(names_changed);
    EXPECT_EQ(syncs, 1);
  }
}

TEST_F(LogTruncationTest, WhatIsRefused) {
  const auto log = Open();
  AppendMany(log.get(), 6);
  VARVE_ASSERT_OK(log->Append({{.value = "6"}, {.value = "7"}, {.value = "8"}}));
  AppendMany(log.get(), 2);
  VARVE_ASSERT_OK(log->DeleteBefore(3));
  for (const int64_t offset : {-1, 2, 12}) {
    const absl::Status status = log->TruncateTo(offset);
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kOutOfRange));
    EXPECT_EQ(KafkaErrorOf(status), KafkaError::kOffsetOutOfRange);
  }
  for (const int64_t offset : {7, 8}) {
    EXPECT_THAT(log->TruncateTo(offset), StatusIs(absl::StatusCode::kInvalidArgument,
                                                  ::testing::AllOf(HasSubstr("truncate to 6"), HasSubstr("or to 9"))));
  }
  EXPECT_FALSE(log->TruncateFullyAndStartAt(-1).ok());
  log->SetHighWatermark(5);
  EXPECT_THAT(log->DeleteBefore(6), StatusIs(absl::StatusCode::kOutOfRange));
  VARVE_EXPECT_OK(log->DeleteBefore(2));
  EXPECT_EQ(log->log_start_offset(), 3);
  VARVE_EXPECT_OK(log->DeleteBefore(-1));
  EXPECT_EQ(log->log_start_offset(), 5);
  EXPECT_EQ(log->log_end_offset(), 11);
}

enum class Change { kTruncate, kStartAt, kDeleteBefore };

absl::Status Apply(Change change, int64_t offset, Log* log) {
  switch (change) {
    case Change::kTruncate:
      return log->TruncateTo(offset);
    case Change::kStartAt:
      return log->TruncateFullyAndStartAt(offset);
    case Change::kDeleteBefore:
      return log->DeleteBefore(offset);
  }
  return absl::InternalError("no such change");
}

struct Ends {
  int64_t log_start;
  int64_t log_end;
  friend bool operator==(const Ends&, const Ends&) = default;
};

class LogTruncationCrashTest : public LogTest, public ::testing::WithParamInterface<IoMode> {
 protected:
  LogTruncationCrashTest() { options_.io_mode = GetParam(); }

  // What a crash leaves is the log before the change or after it; after it for sure once the change has returned.
  void ExpectBeforeOrAfter(MemoryFileSystem* disk, Ends before, Ends after, bool done) {
    const auto log = OpenLog(kPartition, TinyOptions(disk, &clock_, GetParam()));
    ASSERT_NE(log, nullptr);
    const Ends found{log->log_start_offset(), log->log_end_offset()};
    ASSERT_TRUE(found == after || (!done && found == before)) << "found " << found.log_start << " to " << found.log_end;
    ASSERT_TRUE(log->damage().empty()) << log->recovery_report().ToJson();
    ExpectRecords(*log, found.log_start, found.log_end);
    AppendMany(log.get(), 3, {.ack = Ack::kDurable});
    ExpectRecords(*log, found.log_start, found.log_end + 3);
  }

  // The n-th operation of the change and all after it fail, so that the disk stays as it was then: there the process or
  // the machine dies.
  void CrashAtEveryOperation(Change change, int64_t offset, Ends after) {
    const Ends before{0, kRecords};
    for (uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(::testing::Message() << "operation " << nth << ", offset " << offset);
      MemoryFileSystem disk;
      FaultyFileSystem faulty(&disk);
      const auto log = OpenLog(kPartition, TinyOptions(&faulty, &clock_, GetParam()));
      ASSERT_NE(log, nullptr);
      AppendMany(log.get(), kRecords);
      VARVE_ASSERT_OK(log->Flush());
      faulty.AddRule({.nth = nth, .for_ever = true, .status = absl::InternalError("crashed")});
      const absl::Status status = Apply(change, offset, log.get());
      const bool done = faulty.faults_fired() == 0;
      // What fails behind the change, the removal of deleted files, costs nothing.
      ASSERT_TRUE(status.ok() || !done) << status;
      ExpectBeforeOrAfter(disk.CloneAfterProcessDeath().get(), before, after, status.ok());
      for (uint64_t seed = 0; seed < 4; ++seed) {
        SCOPED_TRACE(::testing::Message() << "crash seed " << seed);
        const auto crashed =
            disk.CloneAfterCrash({.seed = seed, .mode = seed == 0 ? CrashMode::kLoseAllUnsynced : CrashMode::kRandom});
        ExpectBeforeOrAfter(crashed.get(), before, after, status.ok());
      }
      if (HasFatalFailure()) return;
      if (done) {
        EXPECT_GT(nth, 2u);
        return;
      }
    }
  }
};

INSTANTIATE_TEST_SUITE_P(, LogTruncationCrashTest, ::testing::Values(IoMode::kMapped, IoMode::kWrite),
                         [](const auto& param) { return param.param == IoMode::kMapped ? "Mapped" : "Write"; });

TEST_P(LogTruncationCrashTest, TruncationIsAllOrNone) {
  for (const int64_t offset : {0, 1, 9, 17, 23}) CrashAtEveryOperation(Change::kTruncate, offset, {0, offset});
}

TEST_P(LogTruncationCrashTest, AFreshStartIsAllOrNone) {
  for (const int64_t offset : {0, 7, 1000}) CrashAtEveryOperation(Change::kStartAt, offset, {offset, offset});
}

TEST_P(LogTruncationCrashTest, DeletionIsAllOrNone) {
  for (const int64_t offset : {1, 9, 17, 24}) CrashAtEveryOperation(Change::kDeleteBefore, offset, {offset, kRecords});
}

}  // namespace
}  // namespace varve
