// ExportPartition: what a broker's partition is by itself, what is refused, and what a failure or a crash leaves.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/process_user.h"
#include "store/hand_over_fixture.h"
#include "support/hooked_file_system.h"
#include "support/owned_file_system.h"
#include "support/status_matchers.h"
#include "varve/overlay_file_system.h"
#include "varve/segment.h"

namespace varve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::StartsWith;
using testing_support::FilesBelow;
using testing_support::HandOverTest;
using testing_support::HookedFileSystem;
using testing_support::IsThere;
using testing_support::kAdopted;
using testing_support::kBroker;
using testing_support::kExported;
using testing_support::kMetadata;
using testing_support::kRecords;
using testing_support::kTopicId;
using testing_support::OpenLog;
using testing_support::OwnedFileSystem;
using testing_support::ReadFile;
using testing_support::StatusIs;
using testing_support::SyncAll;
using testing_support::WriteFile;

using FilesByPath = std::map<std::string, std::string>;

class ExportTest : public HandOverTest {
 protected:
  // A broker's partition, as it is after a clean stop.
  void MakeBrokersPartition() {
    MakeSource();
    MakeEmpty();
    VARVE_ASSERT_OK(AdoptPartition(&fs_, "data/orders-0", kBroker, {.move = true}));
  }

  void ExpectRefused(absl::StatusCode code, const std::string& message, const std::string& directory = kAdopted,
                     const std::string& target = kExported) {
    const FilesByPath before = FilesBelow(&fs_, "/");
    EXPECT_THAT(ExportPartition(&fs_, directory, target), StatusIs(code, HasSubstr(message)));
    EXPECT_EQ(FilesBelow(&fs_, "/"), before);
  }
};

TEST_F(ExportTest, TheCopyStandsByItself) {
  MakeBrokersPartition();
  WriteFile(&fs_, "kafka/log-start-offset-checkpoint", "0\n1\norders 0 2\n");
  WriteFile(&fs_, "kafka/orders-0/notes.txt", "mine");
  const FilesByPath before = FilesBelow(&fs_, kBroker);
  VARVE_ASSERT_OK_AND_ASSIGN(const ExportResult result, ExportPartition(&fs_, kAdopted, kExported));
  EXPECT_THAT(result.topic_id, Optional(std::string(kTopicId)));
  EXPECT_EQ(result.log_start_offset, 2);
  EXPECT_EQ(result.log_end_offset, kRecords);
  EXPECT_GT(result.segments, 1);
  EXPECT_TRUE(result.stopped_cleanly);
  EXPECT_TRUE(result.report.clean);
  EXPECT_EQ(result.report.segments_recovered, 0);
  EXPECT_THAT(result.left_behind, ElementsAre("notes.txt"));
  EXPECT_EQ(FilesBelow(&fs_, kBroker), before);
  EXPECT_EQ(ReadFile(&fs_, std::string(kExported) + "/partition.metadata"), kMetadata);
  EXPECT_NO_FATAL_FAILURE(ExpectWhole(&fs_, &clock_, kExported, 2));
  EXPECT_THAT(fs_.List("data"), testing_support::IsOkAndHolds(ElementsAre("exported-0")));
}

// The broker died: the copy is recovered from where its checkpoint vouches for, and what it cut is told.
TEST_F(ExportTest, WhatNobodyVouchesForIsRecovered) {
  MakeBrokersPartition();
  VARVE_ASSERT_OK(fs_.Remove("kafka/.kafka_cleanshutdown"));
  WriteFile(&fs_, "kafka/recovery-point-offset-checkpoint", "0\n1\norders 0 0\n");
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<int64_t> bases, Segment::List(&fs_, kAdopted));
  const std::string last = fmt::format("kafka/orders-0/{:020}.log", bases.back());
  const std::string log = ReadFile(&fs_, last);
  WriteFile(&fs_, last, log + "the beginning of a batch");
  VARVE_ASSERT_OK_AND_ASSIGN(const ExportResult result, ExportPartition(&fs_, kAdopted, kExported));
  EXPECT_FALSE(result.stopped_cleanly);
  EXPECT_FALSE(result.report.clean);
  EXPECT_EQ(result.report.segments_recovered, static_cast<int64_t>(bases.size()));
  EXPECT_GT(result.report.bytes_cut + result.report.bytes_saved_aside, 0);
  EXPECT_EQ(result.log_end_offset, kRecords);
  EXPECT_NO_FATAL_FAILURE(ExpectWhole(&fs_, &clock_, kExported));
  EXPECT_THAT(ReadFile(&fs_, last), StartsWith(log));
}

// A broker that cannot sync ends. The page cache has what it wrote, the disk has not.
TEST_F(ExportTest, WhatTheBrokerCouldNotSyncIsInTheCopy) {
  MakeBrokersPartition();
  VARVE_ASSERT_OK(fs_.Remove("kafka/.kafka_cleanshutdown"));
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<int64_t> bases, Segment::List(&fs_, kAdopted));
  for (const int64_t base : bases) {
    const std::string path = fmt::format("kafka/orders-0/{:020}.log", base);
    WriteFile(&fs_, path, ReadFile(&fs_, path));
    fs_.FailNextSync(path, absl::InternalError("input/output error"));
    EXPECT_THAT(fs_.Open(path, OpenMode::kReadWrite).value()->SyncData(), StatusIs(absl::StatusCode::kInternal));
  }
  VARVE_ASSERT_OK(ExportPartition(&fs_, kAdopted, kExported));
  const auto after = fs_.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  EXPECT_NO_FATAL_FAILURE(ExpectWhole(after.get(), &clock_, kExported));
}

// A clean marker vouches for bytes that nobody reads on opening. Without it, damage below is found, kept and told.
TEST_F(ExportTest, DamageGoesAlong) {
  MakeBrokersPartition();
  VARVE_ASSERT_OK(fs_.Remove("kafka/.kafka_cleanshutdown"));
  std::string log = ReadFile(&fs_, "kafka/orders-0/00000000000000000000.log");
  log[100] = static_cast<char>(log[100] ^ 1);
  WriteFile(&fs_, "kafka/orders-0/00000000000000000000.log", log);
  VARVE_ASSERT_OK(fs_.Remove("kafka/orders-0/00000000000000000000.index"));
  VARVE_ASSERT_OK_AND_ASSIGN(const ExportResult result, ExportPartition(&fs_, kAdopted, kExported));
  EXPECT_EQ(result.report.damage.size(), 1u);
  EXPECT_EQ(result.log_end_offset, kRecords);
}

// A broker that dies while a cleaned segment takes its place.
TEST_F(ExportTest, ASegmentOnItsWayInArrives) {
  MakeBrokersPartition();
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<int64_t> bases, Segment::List(&fs_, kAdopted));
  ASSERT_GT(bases.size(), 2u);
  for (const char* const kind : {"log", "index", "timeindex"}) {
    const std::string name = fmt::format("kafka/orders-0/{:020}.{}", bases[1], kind);
    VARVE_ASSERT_OK(fs_.Rename(name, name + ".swap"));
  }
  for (const bool clean : {true, false}) {
    const std::string target = clean ? "/data/exported-0" : "/data/exported-1";
    if (!clean) {
      VARVE_ASSERT_OK(fs_.Remove("kafka/.kafka_cleanshutdown"));
    }
    VARVE_ASSERT_OK(ExportPartition(&fs_, kAdopted, target));
    EXPECT_NO_FATAL_FAILURE(ExpectWhole(&fs_, &clock_, target));
  }
}

TEST_F(ExportTest, ACheckpointThatCannotBeParsedIsToldAndCountsForNothing) {
  MakeBrokersPartition();
  WriteFile(&fs_, "kafka/recovery-point-offset-checkpoint", "nonsense");
  VARVE_ASSERT_OK_AND_ASSIGN(const ExportResult result, ExportPartition(&fs_, kAdopted, kExported));
  EXPECT_THAT(result.notes, ElementsAre(HasSubstr("recovery-point-offset-checkpoint")));
}

// varve worked below the broker's directory: what it noted there goes along, but for the writer's own.
TEST_F(ExportTest, VarvesOwnNotesGoAlong) {
  MakeBrokersPartition();
  {
    VARVE_ASSERT_OK_AND_ASSIGN(DataDirectory data, DataDirectory::Of(&fs_, kAdopted));
    VARVE_ASSERT_OK(data.PrepareForWriting());
    LogOptions options = Options(&fs_);
    options.marks = data.marks();
    const std::unique_ptr<Log> log = OpenLog(kAdopted, options);
    ASSERT_NE(log, nullptr);
    ExpectRefused(absl::StatusCode::kUnavailable, "stop the broker");
    VARVE_ASSERT_OK(log->Close());
  }
  WriteFile(&fs_, "kafka/orders-0/varve.cut-3", "what was cut");
  VARVE_ASSERT_OK_AND_ASSIGN(const ExportResult result, ExportPartition(&fs_, kAdopted, kExported));
  EXPECT_THAT(result.left_behind, ElementsAre("varve.live", "varve.lock"));
  EXPECT_EQ(ReadFile(&fs_, std::string(kExported) + "/varve.cut-3"), "what was cut");
  EXPECT_EQ(result.log_end_offset, kRecords);
}

TEST_F(ExportTest, AnOverlayTriesItOut) {
  MakeBrokersPartition();
  const FilesByPath before = FilesBelow(&fs_, "/");
  OverlayFileSystem trial(&fs_);
  VARVE_ASSERT_OK_AND_ASSIGN(const ExportResult result, ExportPartition(&trial, kAdopted, kExported));
  EXPECT_EQ(result.log_end_offset, kRecords);
  EXPECT_EQ(FilesBelow(&fs_, "/"), before);
}

TEST_F(ExportTest, ThereAndBackAgain) {
  MakeBrokersPartition();
  VARVE_ASSERT_OK(ExportPartition(&fs_, kAdopted, kExported));
  MakeEmpty("0\n1\n0 0\n", "kafka/exported-0");
  VARVE_ASSERT_OK(AdoptPartition(&fs_, kExported, kBroker));
  EXPECT_NO_FATAL_FAILURE(ExpectWhole(&fs_, &clock_, "kafka/exported-0"));
}

// --- What is refused ---

TEST_F(ExportTest, RefusesWhatIsNotInALogDirectory) {
  MakeSource();
  ExpectRefused(absl::StatusCode::kInvalidArgument, "log directory", "data/orders-0");
}

TEST_F(ExportTest, RefusesADirectoryOnItsWayOut) {
  MakeBrokersPartition();
  VARVE_ASSERT_OK(fs_.Rename(kAdopted, "kafka/orders-0.00-delete"));
  ExpectRefused(absl::StatusCode::kInvalidArgument, "live partition", "kafka/orders-0.00-delete");
}

TEST_F(ExportTest, RefusesATargetThatIsTakenOrABrokers) {
  MakeBrokersPartition();
  VARVE_ASSERT_OK(fs_.CreateDirectory(kExported));
  ExpectRefused(absl::StatusCode::kAlreadyExists, kExported);
  VARVE_ASSERT_OK(fs_.CreateDirectory("kafka/deep"));
  for (const char* const target : {"/kafka/orders-1", "/kafka/deep/orders-1", "/kafka/orders-0/orders-1"}) {
    ExpectRefused(absl::StatusCode::kInvalidArgument, "outside", kAdopted, target);
  }
}

// From within a partition, the log directory above it would not be seen.
TEST_F(ExportTest, RefusesATargetThatDoesNotTellWhatLiesAboveIt) {
  MakeBrokersPartition();
  for (const char* const target : {"copy-0", "./copy-0", "data/copy-0", ""}) {
    ExpectRefused(absl::StatusCode::kInvalidArgument, "an absolute path", kAdopted, target);
  }
}

TEST_F(ExportTest, RefusesARunningBroker) {
  MakeBrokersPartition();
  VARVE_ASSERT_OK_AND_ASSIGN(const auto broker, fs_.Lock("kafka/.lock", LockKind::kExclusive));
  ExpectRefused(absl::StatusCode::kUnavailable, "stop the broker");
}

// Only the lock's file is ever made there.
TEST_F(ExportTest, RefusesAnotherUsersDirectoryWhereItHasNoLock) {
  MakeBrokersPartition();
  OwnedFileSystem theirs(&fs_, internal::ProcessUser() + 1);
  VARVE_ASSERT_OK(ExportPartition(&theirs, kAdopted, kExported));
  VARVE_ASSERT_OK(fs_.Remove("kafka/.lock"));
  const FilesByPath before = FilesBelow(&fs_, "/");
  EXPECT_THAT(ExportPartition(&theirs, kAdopted, "/data/again-0"), StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_EQ(FilesBelow(&fs_, "/"), before);
}

TEST_F(ExportTest, RefusesAWriterThatDoesNotKnowOfTheBroker) {
  MakeBrokersPartition();
  const std::unique_ptr<Log> log = OpenLog(kAdopted, Options(&fs_));
  ASSERT_NE(log, nullptr);
  ExpectRefused(absl::StatusCode::kUnavailable, "open for writing");
}

TEST_F(ExportTest, RefusesWhatABrokerMayHaveChangedMeanwhile) {
  MakeBrokersPartition();
  HookedFileSystem hooked(&fs_);
  hooked.before_open = [this](const std::string& path) {
    if (path.ends_with("-export/partition.metadata")) (void)fs_.Remove("kafka/.lock");
  };
  EXPECT_THAT(ExportPartition(&hooked, kAdopted, kExported),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("try again")));
  EXPECT_FALSE(IsThere(&fs_, "kafka/.lock"));
  EXPECT_THAT(fs_.List("data"), testing_support::IsOkAndHolds(IsEmpty()));
}

TEST_F(ExportTest, AnOverlayKnowsTheLocksOfItsBase) {
  MakeBrokersPartition();
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto broker, fs_.Lock("kafka/.lock", LockKind::kExclusive));
    OverlayFileSystem trial(&fs_);
    EXPECT_THAT(ExportPartition(&trial, kAdopted, kExported),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("stop the broker")));
  }
  const std::unique_ptr<Log> log = OpenLog(kAdopted, Options(&fs_));
  ASSERT_NE(log, nullptr);
  OverlayFileSystem trial(&fs_);
  EXPECT_THAT(ExportPartition(&trial, kAdopted, kExported),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("open for writing")));
}

// Of a run that was killed. What is only called alike stays.
TEST_F(ExportTest, ClearsWhatAnInterruptedOneHasLeft) {
  MakeBrokersPartition();
  const std::string unique(32, 'a');
  for (const char* const name : {".exported-0.", ".exported-1."}) {
    const std::string left = fmt::format("data/{}{}-export", name, unique);
    VARVE_ASSERT_OK(fs_.CreateDirectory(left));
    WriteFile(&fs_, left + "/00000000000000000000.log", "the beginning of a copy");
  }
  VARVE_ASSERT_OK(ExportPartition(&fs_, kAdopted, kExported));
  EXPECT_THAT(fs_.List("data"),
              testing_support::IsOkAndHolds(ElementsAre(fmt::format(".exported-1.{}-export", unique), "exported-0")));
}

// --- What a failure leaves, and what a crash ---

TEST_F(ExportTest, AFailureOrACrashLeavesNoTargetOrAWholeOne) {
  MakeBrokersPartition();
  SyncAll(&fs_, kAdopted);
  const FilesByPath before = FilesBelow(&fs_, kBroker);
  for (const bool for_ever : {false, true}) {
    for (uint64_t n = 1;; ++n) {
      const std::unique_ptr<MemoryFileSystem> machine = fs_.CloneAfterProcessDeath();
      FaultyFileSystem faulty(machine.get());
      faulty.AddRule({.nth = n, .for_ever = for_ever});
      const absl::Status status = ExportPartition(&faulty, kAdopted, kExported).status();
      SCOPED_TRACE(fmt::format("operation {}{}: {}", n, for_ever ? " and all behind it" : "", status.ToString()));
      ASSERT_EQ(FilesBelow(machine.get(), kBroker), before);
      for (const CrashMode mode : {CrashMode::kLoseAllUnsynced, CrashMode::kRandom}) {
        const std::unique_ptr<MemoryFileSystem> after = machine->CloneAfterCrash({.seed = n, .mode = mode});
        const bool is_there = IsThere(after.get(), kExported);
        ASSERT_TRUE(is_there || !status.ok());
        if (is_there) {
          ASSERT_NO_FATAL_FAILURE(ExpectWhole(after.get(), &clock_, kExported));
        }
        ASSERT_FALSE(HasFailure());
      }
      if (faulty.faults_fired() == 0) {
        VARVE_ASSERT_OK(status);
        ASSERT_GT(n, 100u);
        break;
      }
    }
  }
}

}  // namespace
}  // namespace varve
