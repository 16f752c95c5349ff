// The n-th operation of a workload fails, for every n: nothing acknowledged is lost, and nothing half done is seen.
#include <memory>
#include <string>

#include "log/log_places.h"
#include "varve/errors.h"
#include "varve/testing/faulty_file_system.h"

namespace varve {
namespace {

using testing_support::AppendNext;
using testing_support::ExpectRecords;
using testing_support::kPartition;
using testing_support::OpenLog;
using testing_support::StatusIs;
using testing_support::TinyOptions;
using testing_support::ValueAt;

constexpr int64_t kRecords = 16;

// What a run had acknowledged when it ended.
struct Outcome {
  int64_t written = 0;  // acknowledged as written, or as durable
  int64_t durable = 0;  // acknowledged as durable
  bool opened = false;
  bool poisoned = false;
  int refused = 0;
};

absl::StatusOr<AppendResult> AppendOne(Log* log, Ack ack) {
  const int64_t offset = log->log_end_offset();
  const std::string value = ValueAt(offset);
  return log->Append({{.key = "key", .value = value, .timestamp_ms = 1'000'000 + offset}}, {.ack = ack});
}

// Opens, appends, rolls, flushes and closes; carries on after every error as a host would.
Outcome RunWorkload(FileSystem* file_system, Clock* clock, IoMode io_mode) {
  Outcome outcome;
  auto opened = Log::Open(kPartition, TinyOptions(file_system, clock, io_mode));
  if (!opened.ok()) return outcome;
  outcome.opened = true;
  Log* const log = opened->get();
  for (int64_t number = 0; number < kRecords; ++number) {
    const Ack ack = number % 5 == 4 ? Ack::kDurable : Ack::kWritten;
    const int64_t end_before = log->log_end_offset();
    const auto result = AppendOne(log, ack);
    if (result.ok()) {
      EXPECT_EQ(result->base_offset, end_before);
      outcome.written = result->end_offset();
      if (ack == Ack::kDurable) outcome.durable = result->end_offset();
      continue;
    }
    ++outcome.refused;
    // Once poisoned, always: and reads go on.
    EXPECT_FALSE(outcome.poisoned && !IsPoisoned(result.status())) << result.status();
    outcome.poisoned = IsPoisoned(log->Roll());
    ExpectRecords(*log, 0, log->log_end_offset());
  }
  outcome.written = std::max(outcome.written, outcome.durable);
  if (log->Flush().ok()) outcome.durable = log->log_end_offset();
  EXPECT_GE(log->durable_offset(), outcome.durable);
  if (log->Close().ok()) outcome.durable = log->log_end_offset();
  return outcome;
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
  // Runs the workload with its n-th operation failing by `status`, for all n.
  void ForEveryOperation(const absl::Status& status, bool for_ever, std::optional<size_t> partial_bytes) {
    for (uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(::testing::Message() << "operation " << nth << (for_ever ? " and all later ones" : ""));
      MemoryFileSystem disk;
      FaultyFileSystem faulty(&disk);
      faulty.AddRule({.nth = nth, .for_ever = for_ever, .status = status, .partial_bytes = partial_bytes});
      const Outcome outcome = RunWorkload(&faulty, &clock_, GetParam());
      if (faulty.faults_fired() == 0) {
        EXPECT_EQ(outcome.written, kRecords);
        EXPECT_GT(nth, 60u);
        break;
      }
      if (absl::IsNotFound(disk.Info(kPartition).status())) continue;  // not even the directory came about
      const auto killed = disk.CloneAfterProcessDeath();
      ExpectAfter(killed.get(), &clock_, GetParam(), outcome.written);
      for (uint64_t seed = 0; seed < 4; ++seed) {
        const auto crashed =
            disk.CloneAfterCrash({.seed = seed, .mode = seed == 0 ? CrashMode::kLoseAllUnsynced : CrashMode::kRandom});
        if (outcome.durable == 0 && absl::IsNotFound(crashed->Info(kPartition).status())) continue;
        ExpectAfter(crashed.get(), &clock_, GetParam(), outcome.durable);
      }
      if (HasFailure()) return;
    }
  }

  ManualClock clock_{1'700'000'000'000, 1'000'000'000'000};
};

INSTANTIATE_TEST_SUITE_P(, LogFaultsTest, ::testing::Values(IoMode::kMapped, IoMode::kWrite),
                         [](const auto& param) { return param.param == IoMode::kMapped ? "Mapped" : "Write"; });

TEST_P(LogFaultsTest, AnErrorOnceLosesNothingAcknowledged) {
  ForEveryOperation(absl::InternalError("EIO"), false, std::nullopt);
}
TEST_P(LogFaultsTest, AnErrorForEverLosesNothingAcknowledged) {
  ForEveryOperation(absl::InternalError("EIO"), true, std::nullopt);
}
TEST_P(LogFaultsTest, AFullDiskOnceLosesNothingAcknowledged) {
  ForEveryOperation(absl::ResourceExhaustedError("ENOSPC"), false, 3);
}
TEST_P(LogFaultsTest, AFullDiskForEverLosesNothingAcknowledged) {
  ForEveryOperation(absl::ResourceExhaustedError("ENOSPC"), true, 3);
}

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

// The kernel drops the pages of a failed sync: what was acknowledged before must not hang on them.
TEST_P(LogFaultsTest, AfterALostWriteBackReopeningMakesItGood) {
  MemoryFileSystem disk;
  {
    const auto log = OpenLog(kPartition, TinyOptions(&disk, &clock_, GetParam()));
    AppendNext(log.get(), {.ack = Ack::kDurable});
    AppendNext(log.get());
    disk.FailNextSync(".log", absl::InternalError("EIO"));
    EXPECT_FALSE(log->Flush().ok());
  }
  const auto log = OpenLog(kPartition, TinyOptions(&disk, &clock_, GetParam()));
  const int64_t end = log->log_end_offset();
  ASSERT_GE(end, 1);
  AppendNext(log.get(), {.ack = Ack::kDurable});
  const auto after = disk.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  ExpectAfter(after.get(), &clock_, GetParam(), end + 1);
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

}  // namespace
}  // namespace varve
