// A crash in the midst of the recovery from a crash: of another kind than the first, as one cache survives and the other
// does not.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "log/log_places.h"
#include "varve/testing/faulty_file_system.h"

namespace varve {
namespace {

using testing_support::AppendMany;
using testing_support::ExpectRecords;
using testing_support::LogTest;
using testing_support::OpenLog;

class InterruptedRecoveryTest : public LogTest {
 protected:
  // Opens a copy of the disk so often, stopped at the first, the second, ... operation, until one opening is not
  // stopped; `check` gets each disk, and whether the opening had come to its end.
  static void StopAtEveryOperation(const MemoryFileSystem& found, const std::string& directory, LogOptions options,
                                   const std::function<void(const MemoryFileSystem&)>& check) {
    uint64_t nth = 1;
    for (bool stopped = true; stopped; ++nth) {
      const std::unique_ptr<MemoryFileSystem> disk = found.CloneAfterProcessDeath();
      FaultyFileSystem stopping(disk.get());
      stopping.AddRule({.nth = nth, .for_ever = true, .status = absl::InternalError("stopped")});
      options.file_system = &stopping;
      const auto log = Log::Open(directory, options);
      stopped = stopping.faults_fired() > 0;
      SCOPED_TRACE(::testing::Message() << "stopped at operation " << nth);
      ASSERT_NO_FATAL_FAILURE(check(*disk));
    }
    EXPECT_GT(nth, 20u);
  }
};

// Power is lost, then the process that recovers is killed: its page cache is the present one, and says nothing of what
// the one before had published.
TEST_F(InterruptedRecoveryTest, TheLiveLineFromBeforeAPowerLossIsNotTakenForOneThatSurvived) {
  const auto log = Open();
  AppendMany(log.get(), 4);
  const auto found = memory_.CloneAfterCrash({.mode = CrashMode::kKeepAll});
  VARVE_ASSERT_OK_AND_ASSIGN(const auto segment,
                             found->Open(directory_ + "/00000000000000000000.log", OpenMode::kReadWrite));
  VARVE_ASSERT_OK(segment->Truncate(0));
  VARVE_ASSERT_OK(segment->SyncData());
  StopAtEveryOperation(*found, directory_, options_, [&](const MemoryFileSystem& stopped) {
    const auto killed = stopped.CloneAfterProcessDeath();
    LogOptions options = options_;
    options.file_system = killed.get();
    const auto opened = OpenLog(directory_, options);
    ASSERT_NE(opened, nullptr);
    ASSERT_TRUE(opened->damage().empty()) << opened->damage().front().reason;
    ASSERT_EQ(opened->log_end_offset(), 0);
  });
}

// All that is left of a log is in segments whose names nobody has synced. The one before, which is below the log start,
// holds the durable point that the disk knows of.
class UnsyncedRollTest : public InterruptedRecoveryTest {
 protected:
  UnsyncedRollTest() : log_(Open()) {
    AppendMany(log_.get(), 3);
    VARVE_EXPECT_OK(log_->Flush());
    VARVE_EXPECT_OK(log_->DeleteBefore(3));
    VARVE_EXPECT_OK(log_->Roll());
  }

  // Power is lost at any operation of an opening of `found`, `crashes` times anew: the log goes on at offset 3.
  void ExpectTheLogGoesOn(const MemoryFileSystem& found, CrashMode mode, int crashes) {
    StopAtEveryOperation(found, directory_, options_, [&](const MemoryFileSystem& stopped) {
      for (int crash = 0; crash < crashes; ++crash) {
        const auto crashed = stopped.CloneAfterCrash({.seed = next_seed_++, .mode = mode});
        LogOptions options = options_;
        options.file_system = crashed.get();
        const auto opened = OpenLog(directory_, options);
        ASSERT_NE(opened, nullptr);
        ASSERT_EQ(opened->log_start_offset(), 3);
        ASSERT_NO_FATAL_FAILURE(ExpectRecords(*opened, 3, opened->log_end_offset()));
      }
    });
  }

  const std::unique_ptr<Log> log_;
  uint64_t next_seed_ = 0;
};

TEST_F(UnsyncedRollTest, TheSegmentBeforeStaysUntilTheNewNameIsStable) {
  ExpectTheLogGoesOn(*memory_.CloneAfterProcessDeath(), CrashMode::kRandom, 8);
}

// Without the point the log would go on behind a batch that was lost.
TEST_F(UnsyncedRollTest, TheSegmentWithTheDurablePointStaysUntilTheEndIsFound) {
  AppendMany(log_.get(), 1);
  VARVE_ASSERT_OK(log_->Roll());
  AppendMany(log_.get(), 1);
  const auto found = memory_.CloneAfterCrash({.mode = CrashMode::kKeepAll});
  VARVE_ASSERT_OK_AND_ASSIGN(const auto segment,
                             found->Open(directory_ + "/00000000000000000003.log", OpenMode::kReadWrite));
  VARVE_ASSERT_OK(segment->Truncate(0));
  VARVE_ASSERT_OK(segment->SyncData());
  ExpectTheLogGoesOn(*found, CrashMode::kLoseAllUnsynced, 1);
}

struct AnnouncedCase {
  const char* name;
  absl::Status (*carry_out)(Log* log);
  int64_t start_offset;  // of the log when it is done
  int64_t end_offset;
};

class AnnouncedTest : public InterruptedRecoveryTest, public ::testing::WithParamInterface<AnnouncedCase> {};

INSTANTIATE_TEST_SUITE_P(
    , AnnouncedTest,
    ::testing::Values(AnnouncedCase{"DeleteBefore", [](Log* log) { return log->DeleteBefore(13); }, 13, 20},
                      AnnouncedCase{"TruncateTo", [](Log* log) { return log->TruncateTo(7); }, 0, 7},
                      AnnouncedCase{"StartAt", [](Log* log) { return log->TruncateFullyAndStartAt(50); }, 50, 50}),
    [](const auto& param) { return std::string(param.param.name); });

// The process is killed as it syncs what it has announced, and then power is lost while that is carried through: the
// announcement, which the page cache alone had, is stable before a name is.
TEST_P(AnnouncedTest, WhatOnlyTheCacheAnnouncesIsCarriedThroughWholeOrNotAtAll) {
  FaultyFileSystem watched(&memory_);
  options_.file_system = &watched;
  const auto log = Open();
  AppendMany(log.get(), 20);
  VARVE_ASSERT_OK(log->Flush());
  std::unique_ptr<MemoryFileSystem> killed;
  watched.SetObserver([&](const FileCall& call) {
    if (call.operation == FileOperation::kSync && call.path.ends_with("varve.state")) {
      if (killed == nullptr) killed = memory_.CloneAfterProcessDeath();
    }
  });
  VARVE_ASSERT_OK(GetParam().carry_out(log.get()));
  watched.SetObserver(nullptr);
  ASSERT_NE(killed, nullptr);
  int carried_through = 0;
  StopAtEveryOperation(*killed, directory_, options_, [&](const MemoryFileSystem& stopped) {
    const auto crashed = stopped.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
    LogOptions options = options_;
    options.file_system = crashed.get();
    const auto opened = OpenLog(directory_, options);
    ASSERT_NE(opened, nullptr);
    const bool done = opened->log_start_offset() != 0 || opened->log_end_offset() != 20;
    if (done) ++carried_through;
    ASSERT_EQ(opened->log_start_offset(), done ? GetParam().start_offset : 0);
    ASSERT_EQ(opened->log_end_offset(), done ? GetParam().end_offset : 20);
    ExpectRecords(*opened, opened->log_start_offset(), opened->log_end_offset());
  });
  EXPECT_GT(carried_through, 5);
}

}  // namespace
}  // namespace varve
