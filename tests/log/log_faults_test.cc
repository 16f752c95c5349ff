// What follows when certain calls of the file system fail; tests/faults lets each of them fail in its turn.
#include <memory>
#include <string>

#include "log/log_places.h"
#include "log/partition_state.h"
#include "varve/errors.h"
#include "varve/testing/faulty_file_system.h"

namespace varve {
namespace {

using testing_support::AppendMany;
using testing_support::AppendNext;
using testing_support::ExpectRecords;
using testing_support::kPartition;
using testing_support::OpenLog;
using testing_support::StatusIs;
using testing_support::TinyOptions;
using testing_support::ValueAt;

absl::StatusOr<AppendResult> AppendOne(Log* log, Ack ack) {
  const int64_t offset = log->log_end_offset();
  const std::string value = ValueAt(offset);
  return log->Append({{.key = "key", .value = value, .timestamp_ms = 1'000'000 + offset}}, {.ack = ack});
}

void ExpectAfter(MemoryFileSystem* disk, Clock* clock, IoMode io_mode, int64_t acknowledged) {
  const auto log = OpenLog(kPartition, TinyOptions(disk, clock, io_mode));
  ASSERT_NE(log, nullptr);
  ASSERT_GE(log->log_end_offset(), acknowledged);
  ExpectRecords(*log, 0, log->log_end_offset());
  ASSERT_TRUE(log->damage().empty());
  AppendNext(log.get(), {.ack = Ack::kDurable});
  AppendNext(log.get());
  ExpectRecords(*log, 0, log->log_end_offset());
}

class LogFaultsTest : public ::testing::TestWithParam<IoMode> {
 protected:
  ManualClock clock_{1'700'000'000'000, 1'000'000'000'000};
};

INSTANTIATE_TEST_SUITE_P(, LogFaultsTest, ::testing::Values(IoMode::kMapped, IoMode::kWrite),
                         [](const auto& param) { return param.param == IoMode::kMapped ? "Mapped" : "Write"; });

TEST_P(LogFaultsTest, AFailedSyncPoisonsAndIsNeverRetried) {
  MemoryFileSystem disk;
  FaultyFileSystem faulty(&disk);
  const auto log = OpenLog(kPartition, TinyOptions(&faulty, &clock_, GetParam()));
  AppendNext(log.get(), {.ack = Ack::kDurable});
  AppendNext(log.get());
  int told = 0;
  log->OnDurable(2, [&](const absl::Status& status) {
    EXPECT_FALSE(status.ok());
    ++told;
  });
  faulty.AddRule(
      {.operation = FileOperation::kSync, .path_part = ".log", .status = absl::InternalError("EIO of the disk")});
  EXPECT_FALSE(log->WaitDurable(2).ok());
  EXPECT_EQ(told, 1);
  const uint64_t syncs = faulty.operation_count(FileOperation::kSync);
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(IsPoisoned(log->WaitDurable(2)));
    EXPECT_TRUE(IsPoisoned(log->Flush()));
    const auto append = log->Append({{.value = "v"}});
    EXPECT_THAT(append, StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::HasSubstr("EIO of the disk")));
    EXPECT_TRUE(IsPoisoned(append.status()));
    EXPECT_TRUE(IsPoisoned(log->TruncateTo(1)));
    EXPECT_TRUE(IsPoisoned(log->DeleteBefore(1)));
  }
  VARVE_EXPECT_OK(log->WaitDurable(1));
  EXPECT_EQ(log->durable_offset(), 1);
  ExpectRecords(*log, 0, 2);
  EXPECT_FALSE(log->Close().ok());
  EXPECT_EQ(faulty.operation_count(FileOperation::kSync), syncs);
}

// A bad sector below the active segment's end, where opening believes what was there before: touching it in the mapping
// would end the process.
TEST_P(LogFaultsTest, WhatWasInTheActiveSegmentIsReadByCallsFirst) {
  MemoryFileSystem disk;
  LogOptions options = TinyOptions(&disk, &clock_, GetParam());
  options.segment_bytes = 1 << 20;
  {
    const auto log = OpenLog(kPartition, options);
    AppendMany(log.get(), 100);
    VARVE_ASSERT_OK(log->Close());
  }
  FaultyFileSystem faulty(&disk);
  options.file_system = &faulty;
  const auto log = OpenLog(kPartition, options);
  AppendNext(log.get());
  const size_t rule = faulty.AddRule(
      {.operation = FileOperation::kRead, .path_part = ".log", .for_ever = true, .status = absl::InternalError("EIO")});
  EXPECT_THAT(log->Read(50), StatusIs(absl::StatusCode::kDataLoss, ::testing::HasSubstr("EIO")));
  EXPECT_GT(faulty.faults_fired(rule), 0u);
  VARVE_EXPECT_OK(log->Read(100).status());
}

// The kernel drops the pages of a failed sync: what was acknowledged before must not hang on them. They are more than one,
// as an append into the same page would make that one dirty again.
TEST_P(LogFaultsTest, AfterALostWriteBackReopeningMakesItGood) {
  constexpr int64_t kSeveralPages = 200;
  MemoryFileSystem disk;
  LogOptions options = TinyOptions(&disk, &clock_, GetParam());
  options.segment_bytes = 1 << 20;
  {
    const auto log = OpenLog(kPartition, options);
    AppendNext(log.get(), {.ack = Ack::kDurable});
    AppendMany(log.get(), kSeveralPages);
    disk.FailNextSync(".log", absl::InternalError("EIO"));
    EXPECT_FALSE(log->Flush().ok());
  }
  const auto log = OpenLog(kPartition, options);
  ASSERT_EQ(log->log_end_offset(), 1 + kSeveralPages);
  AppendNext(log.get(), {.ack = Ack::kDurable});
  const auto after = disk.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  ExpectAfter(after.get(), &clock_, GetParam(), 1 + kSeveralPages + 1);
}

TEST_P(LogFaultsTest, AFullDiskIsSurvivedWithoutReopening) {
  MemoryFileSystem disk;
  LogOptions options = TinyOptions(&disk, &clock_, GetParam());
  const auto log = OpenLog(kPartition, options);
  AppendNext(log.get(), {.ack = Ack::kDurable});
  for (int fill = 0; fill < 5; ++fill) {
    disk.set_capacity_bytes(disk.used_bytes() + 4096);
    int64_t appended = 0;
    absl::Status status;
    for (; appended < 2000; ++appended) {
      status = AppendOne(log.get(), Ack::kWritten).status();
      if (!status.ok()) break;
    }
    ASSERT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted));
    ExpectRecords(*log, 0, log->log_end_offset());
    ASSERT_FALSE(IsPoisoned(log->Append({{.value = "v"}}).status()));
    disk.set_capacity_bytes(disk.used_bytes() + (1 << 20));
    AppendNext(log.get(), {.ack = Ack::kDurable});
  }
  disk.set_capacity_bytes(std::nullopt);
  VARVE_ASSERT_OK(log->Close());
  ExpectRecords(*OpenLog(kPartition, options), 0, log->log_end_offset());
}

// Who made the directory died, or failed, before its name was stable; nothing in it is before the name is.
TEST_P(LogFaultsTest, TheNameOfADirectoryIsStableThoughItsMakerCouldNotSyncIt) {
  for (const bool died : {false, true}) {
    SCOPED_TRACE(died ? "died" : "failed");
    MemoryFileSystem disk;
    FaultyFileSystem faulty(&disk);
    // Where the maker died, nothing it would do afterwards happens either.
    faulty.AddRule(
        {.operation = FileOperation::kSyncDirectory, .for_ever = died, .status = absl::InternalError("EIO")});
    if (died) {
      faulty.AddRule({.operation = FileOperation::kRemove, .for_ever = true, .status = absl::InternalError("EIO")});
    }
    EXPECT_FALSE(Log::Open(kPartition, TinyOptions(&faulty, &clock_, GetParam())).ok());
    EXPECT_EQ(disk.Info(kPartition).ok(), died);
    const auto log = OpenLog(kPartition, TinyOptions(&disk, &clock_, GetParam()));
    ASSERT_NE(log, nullptr);
    AppendNext(log.get(), {.ack = Ack::kDurable});
    const auto after = disk.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
    ExpectAfter(after.get(), &clock_, GetParam(), 1);
  }
}

// Where the parent may not be read, whoever made the directory there has synced its name.
TEST_P(LogFaultsTest, ANameThatMayNotBeSyncedStopsNoOpeningAndOneThatCannotBeDoes) {
  for (const absl::StatusCode code : {absl::StatusCode::kPermissionDenied, absl::StatusCode::kInternal}) {
    MemoryFileSystem disk;
    VARVE_ASSERT_OK(disk.CreateDirectory(kPartition));
    FaultyFileSystem faulty(&disk);
    faulty.AddRule({.operation = FileOperation::kSyncDirectory, .status = absl::Status(code, "the parent")});
    const auto log = Log::Open(kPartition, TinyOptions(&faulty, &clock_, GetParam()));
    EXPECT_EQ(faulty.faults_fired(), 1u);
    const bool may = code == absl::StatusCode::kPermissionDenied;
    EXPECT_THAT(log, StatusIs(may ? absl::StatusCode::kOk : code));
    if (log.ok()) AppendNext(log->get(), {.ack = Ack::kDurable});
  }
}

TEST_P(LogFaultsTest, AStateThatCannotBeAskedForStopsTheOpeningBeforeAnythingIsChanged) {
  MemoryFileSystem disk;
  VARVE_ASSERT_OK(disk.CreateDirectory(kPartition));
  FaultyFileSystem faulty(&disk);
  faulty.AddRule({.operation = FileOperation::kInfo, .path_part = "varve.state", .status = absl::InternalError("EIO")});
  EXPECT_THAT(Log::Open(kPartition, TinyOptions(&faulty, &clock_, GetParam())),
              StatusIs(absl::StatusCode::kInternal, ::testing::HasSubstr("EIO")));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto names, disk.List(kPartition));
  EXPECT_THAT(names, ::testing::IsEmpty());
}

// The writer knows what it announced: that the device cannot read it back at that moment must not undo the truncation.
TEST_P(LogFaultsTest, ATruncationIsDoneThoughItsAnnouncementCannotBeReadBack) {
  for (const int64_t log_end_offset : {3, 23, 100}) {
    SCOPED_TRACE(log_end_offset);
    bool fired = true;
    for (uint64_t nth = 1; fired; ++nth) {
      SCOPED_TRACE(nth);
      MemoryFileSystem disk;
      FaultyFileSystem faulty(&disk);
      auto log = OpenLog(kPartition, TinyOptions(&faulty, &clock_, GetParam()));
      AppendMany(log.get(), 24);
      VARVE_ASSERT_OK_AND_ASSIGN(const auto before, internal::PartitionState::Peek(&disk, kPartition));
      faulty.AddRule({.operation = FileOperation::kRead,
                      .path_part = "varve.state",
                      .nth = nth,
                      .status = absl::InternalError("EIO")});
      const absl::Status truncated =
          log_end_offset == 100 ? log->TruncateFullyAndStartAt(100) : log->TruncateTo(log_end_offset);
      fired = faulty.faults_fired() > 0;
      EXPECT_EQ(log->log_end_offset(), log_end_offset) << truncated;
      VARVE_ASSERT_OK_AND_ASSIGN(const auto after, internal::PartitionState::Peek(&disk, kPartition));
      ASSERT_TRUE(before.has_value() && after.has_value());
      EXPECT_EQ(after->lineage, before->lineage) << "by which followers find the live line";
      log.reset();
      log = OpenLog(kPartition, TinyOptions(&disk, &clock_, GetParam()));
      ASSERT_NE(log, nullptr);
      EXPECT_EQ(log->log_end_offset(), log_end_offset) << truncated;
    }
  }
}

}  // namespace
}  // namespace varve
