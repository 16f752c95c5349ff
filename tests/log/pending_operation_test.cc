// Truncations, fresh starts and prefix deletions: interrupted at every operation, by a death of the process or of the
// machine, each has happened wholly or not at all once the log is opened again (durability notes, Writing 7).
#include "log/pending_operation.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/path.h"
#include "gtest/gtest.h"
#include "log/live_line.h"
#include "log/log_places.h"
#include "log/partition_fixture.h"
#include "segment/segment_files.h"
#include "support/status_matchers.h"
#include "varve/testing/faulty_file_system.h"

namespace varve {
namespace {

using internal::DurablePoint;
using internal::PartitionState;
using internal::PartitionStateValues;
using internal::PendingOperation;
using testing_support::AppendMany;
using testing_support::AppendNext;
using testing_support::ExpectRecords;
using testing_support::IsOk;
using testing_support::kPartition;
using testing_support::OpenLog;
using testing_support::Partition;
using testing_support::TinyOptions;

constexpr int64_t kRecords = 16;

struct OperationCase {
  const char* name;
  PendingOperation operation;
  int64_t offset;
  int64_t start_after;
  int64_t end_after;

  absl::Status Run(Log* log) const {
    switch (operation) {
      case PendingOperation::kTruncateTo:
        return log->TruncateTo(offset);
      case PendingOperation::kStartAt:
        return log->TruncateFullyAndStartAt(offset);
      case PendingOperation::kDeleteBefore:
        return log->DeleteBefore(offset);
      case PendingOperation::kNone:
        break;
    }
    return absl::OkStatus();
  }
};

constexpr OperationCase kCases[] = {
    {"TruncateInsideTheActiveSegment", PendingOperation::kTruncateTo, kRecords - 1, 0, kRecords - 1},
    {"TruncateAcrossSegments", PendingOperation::kTruncateTo, 7, 0, 7},
    {"TruncateToASegmentsBase", PendingOperation::kTruncateTo, 5, 0, 5},
    {"TruncateToNothing", PendingOperation::kTruncateTo, 0, 0, 0},
    {"StartAbove", PendingOperation::kStartAt, 40, 40, 40},
    {"StartBelowTheEnd", PendingOperation::kStartAt, 6, 6, 6},
    {"StartAtTheBeginning", PendingOperation::kStartAt, 0, 0, 0},
    {"DeleteInsideASegment", PendingOperation::kDeleteBefore, 8, 8, kRecords},
    {"DeleteEverything", PendingOperation::kDeleteBefore, kRecords, kRecords, kRecords},
};

class PendingTruncationTest : public ::testing::Test {
 protected:
  // A log of 16 records in several segments, all of them durable.
  std::unique_ptr<Log> OpenFull(FileSystem* file_system) {
    auto log = OpenLog(kPartition, TinyOptions(file_system, &clock_, IoMode::kWrite));
    AppendMany(log.get(), kRecords);
    VARVE_EXPECT_OK(log->Flush());
    log->SetHighWatermark(kRecords);
    EXPECT_GE(log->segments().size(), 3u);
    return log;
  }

  // Everything is still there, and the report says why.
  static void ExpectDropped(const Log& log, int64_t end) {
    EXPECT_EQ(log.log_start_offset(), 0);
    EXPECT_EQ(log.log_end_offset(), end);
    ExpectRecords(log, 0, end);
    int dropped = 0;
    for (const RecoveryFinding& finding : log.recovery_report().findings) {
      EXPECT_NE(finding.action, RecoveryAction::kCompleted);
      if (finding.action == RecoveryAction::kIgnored && finding.rule == "Writing 7") ++dropped;
    }
    EXPECT_EQ(dropped, 1);
  }

  ManualClock clock_{1'700'000'000'000, 1'000'000'000'000};
};

class PendingOperationTest : public PendingTruncationTest, public ::testing::WithParamInterface<OperationCase> {
 protected:
  bool IsAfter(const Log& log) const {
    return log.log_start_offset() == GetParam().start_after && log.log_end_offset() == GetParam().end_after;
  }

  // Opens what is left, twice; tells whether the operation has happened.
  bool ExpectAllOrNothing(MemoryFileSystem* disk) {
    std::optional<bool> after;
    for (int opening = 0; opening < 2; ++opening) {
      const auto log = OpenLog(kPartition, TinyOptions(disk, &clock_, IoMode::kWrite));
      if (log == nullptr) return false;
      const bool is_after = IsAfter(*log);
      const bool is_before = log->log_start_offset() == 0 && log->log_end_offset() == kRecords;
      EXPECT_TRUE(is_after || is_before) << log->log_start_offset() << " to " << log->log_end_offset();
      EXPECT_EQ(after.value_or(is_after), is_after);
      EXPECT_TRUE(log->damage().empty());
      ExpectRecords(*log, log->log_start_offset(), log->log_end_offset());
      after = is_after;
      if (opening == 0) continue;
      const int64_t end = log->log_end_offset();
      AppendNext(log.get(), {.ack = Ack::kDurable});
      ExpectRecords(*log, log->log_start_offset(), end + 1);
    }
    return *after;
  }

  void ExpectCrashes(const MemoryFileSystem& disk, bool done, uint64_t random_crashes) {
    const auto killed = disk.CloneAfterProcessDeath();
    const bool after_kill = ExpectAllOrNothing(killed.get());
    EXPECT_TRUE(after_kill || !done);
    for (const CrashMode mode : {CrashMode::kLoseAllUnsynced, CrashMode::kKeepAll, CrashMode::kRandom}) {
      for (uint64_t seed = 0; seed < (mode == CrashMode::kRandom ? random_crashes : 1); ++seed) {
        SCOPED_TRACE(::testing::Message() << "mode " << static_cast<int>(mode) << ", seed " << seed);
        const auto crashed = disk.CloneAfterCrash({.seed = seed, .mode = mode});
        const bool after_crash = ExpectAllOrNothing(crashed.get());
        EXPECT_TRUE(after_crash || !done);
      }
    }
  }
};

INSTANTIATE_TEST_SUITE_P(, PendingOperationTest, ::testing::ValuesIn(kCases),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(PendingOperationTest, StoppedAtEveryOperationItHasHappenedOrNot) {
  for (const bool for_ever : {true, false}) {
    for (uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(::testing::Message() << "operation " << nth << (for_ever ? " and all later ones" : ""));
      MemoryFileSystem disk;
      FaultyFileSystem faulty(&disk);
      const auto log = OpenFull(&faulty);
      faulty.AddRule({.nth = nth, .for_ever = for_ever, .status = absl::ResourceExhaustedError("stopped")});
      const absl::Status done = GetParam().Run(log.get());
      ExpectCrashes(disk, done.ok(), /*random_crashes=*/for_ever ? 3 : 0);
      if (HasFailure()) return;
      if (faulty.faults_fired() > 0) continue;
      EXPECT_THAT(done, IsOk());
      EXPECT_TRUE(IsAfter(*log));
      EXPECT_GT(nth, 5u);
      break;
    }
  }
}

TEST_P(PendingOperationTest, AnnouncedByWhoeverDiedIsCarriedThroughAndReported) {
  MemoryFileSystem disk;
  DurablePoint kept{.offset = GetParam().offset, .segment = 0};
  {
    const auto log = OpenFull(&disk);
    if (GetParam().operation == PendingOperation::kTruncateTo && GetParam().offset > 0) {
      for (const LogSegmentInfo& segment : log->segments()) {
        if (segment.base_offset < GetParam().offset) kept.segment = segment.base_offset;
      }
      VARVE_ASSERT_OK_AND_ASSIGN(const auto last, log->NewReader().Find(GetParam().offset - 1, Isolation::kLogEnd));
      kept.position = last->position + last->size_bytes;
    }
    VARVE_ASSERT_OK(log->Close());
  }
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<PartitionState> state, PartitionState::Open(&disk, kPartition));
    PartitionStateValues values = state->values();
    values.pending = GetParam().operation;
    values.pending_offset = GetParam().offset;
    values.clean = false;
    values.pending_end = {.segment = values.durable.segment, .position = values.durable.position};
    if (GetParam().operation == PendingOperation::kTruncateTo) values.durable = kept;
    state->Store(values);
    VARVE_ASSERT_OK(state->Sync());
  }
  const auto log = OpenLog(kPartition, TinyOptions(&disk, &clock_, IoMode::kWrite));
  ASSERT_NE(log, nullptr);
  EXPECT_TRUE(IsAfter(*log)) << log->log_start_offset() << " to " << log->log_end_offset();
  ExpectRecords(*log, GetParam().start_after, GetParam().end_after);
  int completed = 0;
  for (const RecoveryFinding& finding : log->recovery_report().findings) {
    if (finding.action == RecoveryAction::kCompleted && finding.file == PartitionState::kFileName) ++completed;
  }
  EXPECT_EQ(completed, 1);
}

// varve dies with the announcement, Kafka goes on with the log, varve comes back: what Kafka appended stays. A deletion
// takes nothing of that, and is carried through.
TEST_P(PendingOperationTest, OvertakenByWhoeverWroteSinceItIsDroppedAndReported) {
  for (const int64_t more : {1, 12}) {
    MemoryFileSystem disk;
    PartitionStateValues announced;
    {
      const auto log = OpenFull(&disk);
      VARVE_ASSERT_OK(log->Close());
      VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<PartitionState> state, PartitionState::Open(&disk, kPartition));
      announced = state->values();
      announced.pending = GetParam().operation;
      announced.pending_offset = GetParam().offset;
      announced.clean = false;
      announced.pending_end = {.segment = announced.durable.segment, .position = announced.durable.position};
      announced.durable = {};
    }
    {
      const auto log = OpenLog(kPartition, TinyOptions(&disk, &clock_, IoMode::kWrite));
      AppendMany(log.get(), more);
      VARVE_ASSERT_OK(log->Close());
    }
    {
      VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<PartitionState> state, PartitionState::Open(&disk, kPartition));
      state->Store(announced);
      VARVE_ASSERT_OK(state->Sync());
    }
    const auto log = OpenLog(kPartition, TinyOptions(&disk, &clock_, IoMode::kWrite));
    ASSERT_NE(log, nullptr);
    if (GetParam().operation == PendingOperation::kDeleteBefore) {
      EXPECT_EQ(log->log_start_offset(), GetParam().start_after);
      ExpectRecords(*log, GetParam().start_after, kRecords + more);
    } else {
      ExpectDropped(*log, kRecords + more);
    }
  }
}

// A truncation was announced to where the file no longer reaches: what it lacks was durable, and is not given out again.
TEST_F(PendingTruncationTest, WhatTheFileLacksBelowTheCutIsDamage) {
  MemoryFileSystem disk;
  DurablePoint kept;
  {
    const auto log = OpenFull(&disk);
    AppendMany(log.get(), 5);
    VARVE_ASSERT_OK(log->Flush());
    kept.segment = log->segments().back().base_offset;
    kept.offset = log->log_end_offset() - 1;
    ASSERT_GT(kept.offset - 1, kept.segment);
    VARVE_ASSERT_OK_AND_ASSIGN(const auto last, log->NewReader().Find(kept.offset - 1, Isolation::kLogEnd));
    kept.position = last->position + last->size_bytes;
    VARVE_ASSERT_OK(log->Close());
    const std::string path =
        internal::JoinPath(kPartition, internal::SegmentFileName(kept.segment, internal::SegmentFileKind::kLog));
    VARVE_ASSERT_OK_AND_ASSIGN(const auto file, disk.Open(path, OpenMode::kReadWrite));
    VARVE_ASSERT_OK(file->Truncate(static_cast<uint64_t>(last->position)));
    VARVE_ASSERT_OK(disk.Remove(internal::JoinPath(kPartition, internal::LiveLine::kFileName)));
  }
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<PartitionState> state, PartitionState::Open(&disk, kPartition));
    PartitionStateValues values = state->values();
    values.pending = PendingOperation::kTruncateTo;
    values.pending_offset = kept.offset;
    values.clean = false;
    values.pending_end = {.segment = values.durable.segment, .position = values.durable.position};
    values.durable = kept;
    state->Store(values);
    VARVE_ASSERT_OK(state->Sync());
  }
  for (int opening = 0; opening < 2; ++opening) {
    const auto log = OpenLog(kPartition, TinyOptions(&disk, &clock_, IoMode::kWrite));
    ASSERT_NE(log, nullptr);
    EXPECT_EQ(log->log_end_offset(), kept.offset);
    ASSERT_EQ(log->damage().size(), 1u);
    EXPECT_EQ(log->damage()[0].first_offset, kept.offset - 1);
    EXPECT_EQ(log->damage()[0].last_offset, kept.offset - 1);
    EXPECT_EQ(log->damage()[0].bytes, 0);
    for (int64_t offset = 0; offset < kept.offset - 1; ++offset) {
      VARVE_ASSERT_OK_AND_ASSIGN(const auto found, log->NewReader().Find(offset, Isolation::kLogEnd));
      EXPECT_EQ(found->base_offset, offset);
    }
  }
}

// The active segment had just been begun where the log is to start anew: its name alone shows nothing of the start.
TEST_F(PendingTruncationTest, AStartAtAnEmptyLastSegmentIsCarriedThrough) {
  MemoryFileSystem disk;
  {
    const auto log = OpenFull(&disk);
    VARVE_ASSERT_OK(log->Roll());
    VARVE_ASSERT_OK(log->Close());
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<PartitionState> state, PartitionState::Open(&disk, kPartition));
    PartitionStateValues values = state->values();
    ASSERT_EQ(values.durable.segment, kRecords);
    values.pending = PendingOperation::kStartAt;
    values.pending_offset = kRecords;
    values.clean = false;
    values.pending_end = {.segment = kRecords, .position = 0};
    state->Store(values);
    VARVE_ASSERT_OK(state->Sync());
  }
  for (int opening = 0; opening < 2; ++opening) {
    const auto log = OpenLog(kPartition, TinyOptions(&disk, &clock_, IoMode::kWrite));
    ASSERT_NE(log, nullptr);
    EXPECT_EQ(log->log_start_offset(), kRecords);
    EXPECT_EQ(log->log_end_offset(), kRecords);
    EXPECT_EQ(log->segments().size(), 1u);
  }
}

TEST(CarryThroughTest, NoOperationTouchesNothing) {
  Partition partition;
  partition.AddSegment(0, testing_support::BatchesBytes(0, 10));
  partition.AddSegment(10, testing_support::BatchesBytes(10, 20));
  FaultyFileSystem counting(partition.fs.get());
  PartitionStateValues values;
  values.pending_offset = 5;
  VARVE_EXPECT_OK(internal::CarryThrough(&counting, testing_support::kDirectory, values));
  EXPECT_EQ(counting.operation_count(), 0u);
  EXPECT_TRUE(internal::SegmentsToRemove({0, 10}, PendingOperation::kNone, 5).empty());
  EXPECT_TRUE(internal::SegmentsToRemove({0, 10}, static_cast<PendingOperation>(100), 5).empty());
}

// The log was cut and has grown to where it ended before: only the batch at the cut tells.
TEST_F(PendingTruncationTest, IsDroppedWhereAnotherBatchStandsBeforeTheCut) {
  MemoryFileSystem disk;
  { VARVE_ASSERT_OK(OpenFull(&disk)->Close()); }
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<PartitionState> state, PartitionState::Open(&disk, kPartition));
    PartitionStateValues values = state->values();
    values.pending = PendingOperation::kTruncateTo;
    values.pending_offset = kRecords;
    values.clean = false;
    values.pending_end = {.segment = values.durable.segment, .position = values.durable.position};
    values.durable.batch_crc ^= 1;
    state->Store(values);
    VARVE_ASSERT_OK(state->Sync());
  }
  ExpectDropped(*OpenLog(kPartition, TinyOptions(&disk, &clock_, IoMode::kWrite)), kRecords);
}

}  // namespace
}  // namespace varve
