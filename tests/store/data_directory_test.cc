#include "varve/data_directory.h"

#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/process_user.h"
#include "state/checkpoint_file.h"
#include "store/data_directory_files.h"
#include "support/owned_file_system.h"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/memory_file_system.h"

namespace varve {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;
using testing_support::IsOk;
using testing_support::IsOkAndHolds;
using testing_support::OwnedFileSystem;
using testing_support::StatusIs;

constexpr char kPartition[] = "data/orders-3";
const TopicPartition kOrders3 = {.topic = "orders", .partition = 3};
constexpr char kCleanMarker[] = "data/.kafka_cleanshutdown";
constexpr char kRecoveryPoints[] = "data/recovery-point-offset-checkpoint";
constexpr char kLogStarts[] = "data/log-start-offset-checkpoint";
constexpr char kHighWatermarks[] = "data/replication-offset-checkpoint";
constexpr char kCleanerOffsets[] = "data/cleaner-offset-checkpoint";

class DataDirectoryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    VARVE_ASSERT_OK(fs_.CreateDirectory("data"));
    VARVE_ASSERT_OK(fs_.CreateDirectory(kPartition));
    VARVE_ASSERT_OK(fs_.SyncDirectory("/"));
    VARVE_ASSERT_OK(fs_.SyncDirectory("data"));
  }

  void Write(const std::string& path, std::string_view text) {
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> file, fs_.Open(path, OpenMode::kTruncate));
    VARVE_ASSERT_OK(file->WriteAt(0, internal::AsBytes(text)));
    VARVE_ASSERT_OK(file->SyncData());
    VARVE_ASSERT_OK(fs_.SyncDirectory("data"));
  }

  std::string Read(const std::string& path) {
    const absl::StatusOr<std::unique_ptr<File>> file = fs_.Open(path, OpenMode::kRead);
    if (!file.ok()) return file.status().ToString();
    std::string text(static_cast<size_t>(*(*file)->Size()), '\0');
    EXPECT_THAT((*file)->ReadAt(0, std::as_writable_bytes(std::span(text))), IsOkAndHolds(Eq(text.size())));
    return text;
  }

  MemoryFileSystem fs_;
};

TEST_F(DataDirectoryTest, ADirectoryWithoutKafkasFilesHasNoMarks) {
  Write("data/.lock", "");
  Write("data/notes.txt", "mine");
  VARVE_ASSERT_OK_AND_ASSIGN(DataDirectory data, DataDirectory::Of(&fs_, kPartition));
  EXPECT_FALSE(data.is_kafka());
  EXPECT_EQ(data.marks(), OpenMarks());
  EXPECT_THAT(data.PrepareForWriting(), IsOkAndHolds(false));
  VARVE_EXPECT_OK(data.LowerCheckpoints(0));
  EXPECT_THAT(fs_.List("data"), IsOkAndHolds(ElementsAre(".lock", "notes.txt", "orders-3")));
}

TEST_F(DataDirectoryTest, EachOfKafkasFilesMakesItOne) {
  for (const std::string path :
       {kRecoveryPoints, kLogStarts, kHighWatermarks, kCleanerOffsets, kCleanMarker, "data/meta.properties"}) {
    Write(path, "");
    VARVE_ASSERT_OK_AND_ASSIGN(const DataDirectory data, DataDirectory::Of(&fs_, kPartition));
    EXPECT_TRUE(data.is_kafka()) << path;
    VARVE_ASSERT_OK(fs_.Remove(path));
  }
}

TEST_F(DataDirectoryTest, ReadsTheMarksOfItsOwnPartition) {
  Write(kCleanMarker, R"({"version":0,"brokerEpoch":9})");
  Write(kRecoveryPoints, "0\n3\norders 3 42\norders 4 7\norders-3 0 9\n");
  Write(kLogStarts, "0\n1\norders 3 17\n");
  for (const std::string path : {"data/orders-3", "data/orders-3/", "/data/orders-3"}) {
    VARVE_ASSERT_OK_AND_ASSIGN(const DataDirectory data, DataDirectory::Of(&fs_, path));
    EXPECT_THAT(data.marks().clean, Optional(true)) << path;
    EXPECT_THAT(data.marks().recovery_point, Optional(42)) << path;
    EXPECT_THAT(data.marks().log_start_offset, Optional(17)) << path;
    EXPECT_THAT(data.notes(), IsEmpty());
  }
}

TEST_F(DataDirectoryTest, WithoutTheMarkerTheStopWasNotClean) {
  Write(kRecoveryPoints, "0\n1\nothers 0 5\n");
  VARVE_ASSERT_OK_AND_ASSIGN(const DataDirectory data, DataDirectory::Of(&fs_, kPartition));
  EXPECT_THAT(data.marks().clean, Optional(false));
  EXPECT_EQ(data.marks().recovery_point, std::nullopt);
  EXPECT_EQ(data.marks().log_start_offset, std::nullopt);
}

TEST_F(DataDirectoryTest, ACheckpointThatCannotBeParsedCountsAsAbsentAndIsNoted) {
  Write(kCleanMarker, "");
  Write(kRecoveryPoints, "0\n2\norders 3 42\n");
  Write(kLogStarts, "1\n1\norders 3 17\n");
  VARVE_ASSERT_OK_AND_ASSIGN(const DataDirectory data, DataDirectory::Of(&fs_, kPartition));
  EXPECT_THAT(data.marks().clean, Optional(true));
  EXPECT_EQ(data.marks().recovery_point, std::nullopt);
  EXPECT_EQ(data.marks().log_start_offset, std::nullopt);
  EXPECT_THAT(data.notes(), ElementsAre(HasSubstr(kRecoveryPoints), HasSubstr(kLogStarts)));
}

TEST_F(DataDirectoryTest, ACopyOnItsWayInOrOutHasNotTheLivePartitionsMarks) {
  Write(kRecoveryPoints, "0\n1\norders 3 42\n");
  for (const std::string name : {"orders-3.0123456789abcdef0123456789abcdef-delete",
                                 "orders-3.0123456789abcdef0123456789abcdef-future", "copy-of-orders"}) {
    VARVE_ASSERT_OK_AND_ASSIGN(const DataDirectory data, DataDirectory::Of(&fs_, "data/" + name));
    EXPECT_TRUE(data.is_kafka());
    EXPECT_EQ(data.marks(), OpenMarks()) << name;
  }
}

TEST_F(DataDirectoryTest, PreparingRemovesTheCleanMarkerForGood) {
  Write(kCleanMarker, "");
  VARVE_ASSERT_OK_AND_ASSIGN(DataDirectory data, DataDirectory::Of(&fs_, kPartition));
  EXPECT_THAT(fs_.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced})->Info(kCleanMarker), IsOk());
  EXPECT_THAT(data.PrepareForWriting(), IsOkAndHolds(true));
  EXPECT_THAT(data.PrepareForWriting(), IsOkAndHolds(false));  // gone already
  const std::unique_ptr<MemoryFileSystem> after = fs_.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  EXPECT_THAT(after->Info(kCleanMarker), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(data.marks().clean, Optional(true));  // what the opening is to believe is what was there
}

// Whoever removed the marker may have died before its sync: then the next writer's sync takes it away for good.
TEST_F(DataDirectoryTest, MarkerThatAnotherRemovedWithoutASyncStaysAwayToo) {
  Write(kRecoveryPoints, "0\n1\norders 3 42\n");
  Write(kCleanMarker, "");
  {
    FaultyFileSystem faulty(&fs_);
    faulty.AddRule({.operation = FileOperation::kSyncDirectory, .for_ever = true});
    VARVE_ASSERT_OK_AND_ASSIGN(DataDirectory dies, DataDirectory::Of(&faulty, kPartition));
    EXPECT_THAT(dies.PrepareForWriting(), StatusIs(absl::StatusCode::kInternal));
  }
  const auto after_crash = [&] { return fs_.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced}); };
  ASSERT_THAT(after_crash()->Info(kCleanMarker), IsOk());
  VARVE_ASSERT_OK_AND_ASSIGN(DataDirectory data, DataDirectory::Of(&fs_, kPartition));
  EXPECT_THAT(data.PrepareForWriting(), IsOkAndHolds(false));
  EXPECT_THAT(after_crash()->Info(kCleanMarker), StatusIs(absl::StatusCode::kNotFound));
}

// A broker starts, which takes its marker away, and crashes between the first look and the lock.
TEST_F(DataDirectoryTest, MarksAreThoseThatTheLockGuards) {
  Write(kCleanMarker, "");
  Write(kRecoveryPoints, "0\n1\norders 3 42\n");
  Write(kLogStarts, "not a checkpoint\n");
  VARVE_ASSERT_OK_AND_ASSIGN(DataDirectory data, DataDirectory::Of(&fs_, kPartition));
  ASSERT_THAT(data.marks().clean, Optional(true));
  ASSERT_EQ(data.notes().size(), 1u);
  VARVE_ASSERT_OK(fs_.Remove(kCleanMarker));
  Write(kRecoveryPoints, "0\n1\norders 3 40\n");
  Write(kLogStarts, "0\n1\norders 3 17\n");
  EXPECT_THAT(data.PrepareForWriting(), IsOkAndHolds(false));
  EXPECT_THAT(data.marks().clean, Optional(false));
  EXPECT_THAT(data.marks().recovery_point, Optional(40));
  EXPECT_THAT(data.marks().log_start_offset, Optional(17));
  EXPECT_THAT(data.notes(), IsEmpty());
}

TEST_F(DataDirectoryTest, WritersShareTheLockAndABrokerExcludesThem) {
  Write(kCleanMarker, "");
  VARVE_ASSERT_OK_AND_ASSIGN(DataDirectory first, DataDirectory::Of(&fs_, kPartition));
  VARVE_ASSERT_OK_AND_ASSIGN(DataDirectory second, DataDirectory::Of(&fs_, kPartition));
  VARVE_ASSERT_OK(first.PrepareForWriting());
  VARVE_ASSERT_OK(second.PrepareForWriting());
  EXPECT_THAT(fs_.Lock("data/.lock", LockKind::kExclusive), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(DataDirectoryTest, UnderARunningBrokerNothingIsTouched) {
  Write(kCleanMarker, "");
  Write("data/.lock", "");
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<FileLock> broker, fs_.Lock("data/.lock", LockKind::kExclusive));
  VARVE_ASSERT_OK_AND_ASSIGN(DataDirectory data, DataDirectory::Of(&fs_, kPartition));
  EXPECT_THAT(data.PrepareForWriting(), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(fs_.Info(kCleanMarker), IsOk());
}

// A broker that was killed has left its lock file: nothing has to be made before the partition is written to.
TEST_F(DataDirectoryTest, AnotherUsersDirectoryIsNotWrittenToThoughItsLockIsThere) {
  Write(kRecoveryPoints, "0\n1\norders 3 42\n");
  Write(kCleanMarker, "");
  Write("data/.lock", "");
  OwnedFileSystem theirs(&fs_, internal::ProcessUser() + 1);
  VARVE_ASSERT_OK_AND_ASSIGN(DataDirectory data, DataDirectory::Of(&theirs, kPartition));
  EXPECT_THAT(data.PrepareForWriting(), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr(kRecoveryPoints)));
  EXPECT_THAT(fs_.Info(kCleanMarker), IsOk());
  EXPECT_THAT(fs_.Lock("data/.lock", LockKind::kExclusive), IsOk());
  OwnedFileSystem ours(&fs_, internal::ProcessUser());
  VARVE_ASSERT_OK_AND_ASSIGN(DataDirectory own, DataDirectory::Of(&ours, kPartition));
  EXPECT_THAT(own.PrepareForWriting(), IsOkAndHolds(true));
}

TEST_F(DataDirectoryTest, TheLockGoesWithTheObject) {
  Write(kCleanMarker, "");
  {
    VARVE_ASSERT_OK_AND_ASSIGN(DataDirectory data, DataDirectory::Of(&fs_, kPartition));
    VARVE_ASSERT_OK(data.PrepareForWriting());
  }
  EXPECT_THAT(fs_.Lock("data/.lock", LockKind::kExclusive), IsOk());
}

TEST_F(DataDirectoryTest, LoweringTouchesOnlyHigherLinesOfThisPartition) {
  Write(kRecoveryPoints, "0\n2\nothers 0 99\norders 3 42\n");
  Write(kHighWatermarks, "0\n1\norders 3 30\n");
  Write(kCleanerOffsets, "0\n1\norders 3 31\n");
  Write(kLogStarts, "0\n1\norders 3 40\n");
  VARVE_ASSERT_OK_AND_ASSIGN(DataDirectory data, DataDirectory::Of(&fs_, kPartition));
  VARVE_ASSERT_OK(data.LowerCheckpoints(30));
  EXPECT_THAT(Read(kRecoveryPoints), HasSubstr("orders 3 30\n"));
  EXPECT_THAT(Read(kRecoveryPoints), HasSubstr("others 0 99\n"));
  EXPECT_EQ(Read(kHighWatermarks), "0\n1\norders 3 30\n");
  EXPECT_EQ(Read(kCleanerOffsets), "0\n1\norders 3 30\n");
  EXPECT_EQ(Read(kLogStarts), "0\n1\norders 3 30\n");
  const std::unique_ptr<MemoryFileSystem> after = fs_.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  VARVE_ASSERT_OK_AND_ASSIGN(const DataDirectory reread, DataDirectory::Of(after.get(), kPartition));
  EXPECT_THAT(reread.marks().recovery_point, Optional(30));
}

// A line of before the log was started anew, further down than it has grown since.
TEST_F(DataDirectoryTest, ALogStartLineIsLoweredToTheLogStart) {
  for (const int64_t line : {40, 25}) {
    Write(kHighWatermarks, "0\n1\norders 3 40\n");
    Write(kLogStarts, absl::StrCat("0\n1\norders 3 ", line, "\n"));
    VARVE_ASSERT_OK_AND_ASSIGN(DataDirectory data, DataDirectory::Of(&fs_, kPartition));
    VARVE_ASSERT_OK(data.LowerCheckpoints(30, 5));
    EXPECT_EQ(Read(kHighWatermarks), "0\n1\norders 3 30\n");
    EXPECT_EQ(Read(kLogStarts), "0\n1\norders 3 5\n");
  }
}

TEST_F(DataDirectoryTest, LoweringLeavesWhatItCannotParse) {
  Write(kRecoveryPoints, "nonsense");
  Write(kHighWatermarks, "0\n1\norders 3 30\n");
  VARVE_ASSERT_OK_AND_ASSIGN(DataDirectory data, DataDirectory::Of(&fs_, kPartition));
  VARVE_ASSERT_OK(data.LowerCheckpoints(10));
  EXPECT_EQ(Read(kRecoveryPoints), "nonsense");
  EXPECT_EQ(Read(kHighWatermarks), "0\n1\norders 3 10\n");
}

// Writers of several partitions share the directory's lock, and its checkpoints. Each round begins with lines that all
// have to come down.
TEST_F(DataDirectoryTest, WritersOfDifferentPartitionsKeepEachOthersLines) {
  constexpr int kWriters = 4;
  constexpr int kRounds = 20;
  const testing_support::TemporaryDirectory directory;
  FileSystem* const file_system = FileSystem::Default();
  const auto lines_of = [](int64_t offset) {
    internal::OffsetCheckpoint lines;
    for (int32_t n = 0; n < kWriters; ++n) lines[{.topic = "orders", .partition = n}] = offset;
    return lines;
  };
  for (int round = 0; round < kRounds; ++round) {
    for (const char* const name : {internal::kRecoveryPointCheckpoint, internal::kReplicationOffsetCheckpoint}) {
      VARVE_ASSERT_OK(internal::WriteOffsetCheckpoint(file_system, directory.path() + "/" + name, lines_of(1000)));
    }
    std::vector<absl::Status> statuses(kWriters);
    std::vector<std::thread> writers;
    for (size_t n = 0; n < kWriters; ++n) {
      writers.emplace_back([&, n] {
        absl::StatusOr<DataDirectory> data =
            DataDirectory::Of(file_system, directory.path() + "/orders-" + std::to_string(n));
        statuses[n] = data.ok() ? data->LowerCheckpoints(100) : data.status();
      });
    }
    for (std::thread& writer : writers) writer.join();
    for (const absl::Status& status : statuses) VARVE_ASSERT_OK(status);
    for (const char* const name : {internal::kRecoveryPointCheckpoint, internal::kReplicationOffsetCheckpoint}) {
      ASSERT_THAT(internal::ReadOffsetCheckpoint(file_system, directory.path() + "/" + name),
                  IsOkAndHolds(lines_of(100)))
          << name << " in round " << round;
    }
  }
}

// The file that the lock was waited for is gone then, and its lines are of before; so is the name it is written under.
TEST_F(DataDirectoryTest, WhoWaitsForACheckpointReadsWhatHasTakenItsPlace) {
  Write(kRecoveryPoints, "0\n2\nothers 0 99\norders 3 42\n");
  VARVE_ASSERT_OK_AND_ASSIGN(std::unique_ptr<FileLock> other, fs_.Lock(kRecoveryPoints, LockKind::kExclusive));
  absl::Status lowered;
  std::thread waits([&] { lowered = internal::LowerCheckpointLines(&fs_, "data", kOrders3, 10, 10); });
  absl::SleepFor(absl::Milliseconds(20));
  EXPECT_THAT(Read(kRecoveryPoints), HasSubstr("orders 3 42\n"));
  Write("data/new", "0\n2\nothers 0 7\norders 3 42\n");
  VARVE_ASSERT_OK(fs_.Rename("data/new", kRecoveryPoints));
  other.reset();
  waits.join();
  VARVE_EXPECT_OK(lowered);
  EXPECT_THAT(Read(kRecoveryPoints), AllOf(HasSubstr("others 0 7\n"), HasSubstr("orders 3 10\n")));
}

// Another writer of this partition was faster, and went lower: nothing is raised.
TEST_F(DataDirectoryTest, ALineThatFellWhileItWasWaitedForStays) {
  Write(kRecoveryPoints, "0\n1\norders 3 42\n");
  VARVE_ASSERT_OK_AND_ASSIGN(std::unique_ptr<FileLock> other, fs_.Lock(kRecoveryPoints, LockKind::kExclusive));
  absl::Status lowered;
  std::thread waits([&] { lowered = internal::LowerCheckpointLines(&fs_, "data", kOrders3, 10, 10); });
  absl::SleepFor(absl::Milliseconds(20));
  Write("data/new", "0\n1\norders 3 5\n");
  VARVE_ASSERT_OK(fs_.Rename("data/new", kRecoveryPoints));
  other.reset();
  waits.join();
  VARVE_EXPECT_OK(lowered);
  EXPECT_EQ(Read(kRecoveryPoints), "0\n1\norders 3 5\n");
}

TEST_F(DataDirectoryTest, ACheckpointThatIsNeverLetGoIsToldInTheEnd) {
  Write(kRecoveryPoints, "0\n1\norders 3 42\n");
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<FileLock> other, fs_.Lock(kRecoveryPoints, LockKind::kExclusive));
  EXPECT_THAT(internal::LowerCheckpointLines(&fs_, "data", kOrders3, 10, 10, absl::Milliseconds(5)),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("is being replaced elsewhere")));
  EXPECT_EQ(Read(kRecoveryPoints), "0\n1\norders 3 42\n");
}

TEST_F(DataDirectoryTest, AFailedSyncOfTheDirectoryIsTold) {
  Write(kRecoveryPoints, "0\n1\norders 3 42\n");
  VARVE_ASSERT_OK_AND_ASSIGN(DataDirectory data, DataDirectory::Of(&fs_, kPartition));
  fs_.FailNextSync("recovery-point-offset-checkpoint", absl::InternalError("EIO"));
  EXPECT_THAT(data.LowerCheckpoints(10), StatusIs(absl::StatusCode::kInternal));
  EXPECT_EQ(Read(kRecoveryPoints), "0\n1\norders 3 42\n");
}

// Every operation fails once: the caller is told, the marker is not lost without a word, and the next try succeeds.
TEST_F(DataDirectoryTest, EveryFailureIsToldAndLeavesWholeFiles) {
  for (uint64_t n = 1;; ++n) {
    Write(kCleanMarker, "");
    Write(kRecoveryPoints, "0\n1\norders 3 42\n");
    FaultyFileSystem faulty(&fs_);
    faulty.AddRule({.nth = n, .status = absl::InternalError("EIO")});
    const auto prepare_and_lower = [](FileSystem* fs) -> absl::Status {
      absl::StatusOr<DataDirectory> data = DataDirectory::Of(fs, kPartition);
      if (!data.ok()) return data.status();
      if (const absl::StatusOr<bool> prepared = data->PrepareForWriting(); !prepared.ok()) return prepared.status();
      return data->LowerCheckpoints(10);
    };
    const absl::Status status = prepare_and_lower(&faulty);
    if (faulty.faults_fired() == 0) {
      VARVE_ASSERT_OK(status);
      ASSERT_GT(n, 10u);
      break;
    }
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInternal)) << "operation " << n;
    EXPECT_THAT(Read(kRecoveryPoints), AnyOf("0\n1\norders 3 42\n", "0\n1\norders 3 10\n")) << "operation " << n;
    VARVE_ASSERT_OK(prepare_and_lower(&fs_)) << "operation " << n;
    EXPECT_EQ(Read(kRecoveryPoints), "0\n1\norders 3 10\n");
    EXPECT_THAT(fs_.Info(kCleanMarker), StatusIs(absl::StatusCode::kNotFound));
  }
}

}  // namespace
}  // namespace varve
