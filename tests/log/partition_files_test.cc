#include "varve/partition_files.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/partition_fixture.h"
#include "support/status_matchers.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/memory_file_system.h"

namespace varve {
namespace {

using ::testing::ElementsAre;
using testing_support::IsOkAndHolds;
using testing_support::StatusIs;

TEST(PartitionFilesTest, TellsEveryKindByItsName) {
  const std::vector<PartitionFile> cases = {
      {"00000000000000000042.log", PartitionFileKind::kLog, 42},
      {"00000000000000000042.index", PartitionFileKind::kOffsetIndex, 42},
      {"00000000000000000042.timeindex", PartitionFileKind::kTimeIndex, 42},
      {"00000000000000000042.txnindex", PartitionFileKind::kTransactionIndex, 42},
      {"00009007199254740993.snapshot", PartitionFileKind::kSnapshot, 9007199254740993},
      {"00000000000000000042.log.deleted", PartitionFileKind::kLeftover, 42},
      {"00000000000000000042.index.cleaned", PartitionFileKind::kLeftover, 42},
      {"00000000000000000042.timeindex.swap", PartitionFileKind::kLeftover, 42},
      {"leader-epoch-checkpoint", PartitionFileKind::kLeaderEpochs, -1},
      {"partition.metadata", PartitionFileKind::kPartitionMetadata, -1},
      {"varve.cut-812", PartitionFileKind::kSavedAside, 812},
      {"varve.cut-812.1", PartitionFileKind::kSavedAside, 812},
      {"varve.cut-", PartitionFileKind::kSavedAside, -1},
      {"varve.state", PartitionFileKind::kOwn, -1},
      {"varve.lock", PartitionFileKind::kOwn, -1},
      {"42.log", PartitionFileKind::kOther, -1},
      {"00000000000000000042.LOG", PartitionFileKind::kOther, -1},
      {"leader-epoch-checkpoint.tmp", PartitionFileKind::kOther, -1},
      {"", PartitionFileKind::kOther, -1},
  };
  for (const PartitionFile& expected : cases)
    EXPECT_EQ(ClassifyPartitionFile(expected.name), expected) << expected.name;
}

TEST(PartitionFilesTest, ListsSegmentsByBaseOffset) {
  MemoryFileSystem fs;
  VARVE_ASSERT_OK(fs.CreateDirectory("p-0"));
  for (const char* name : {"00000000000000000100.log", "00000000000000000020.log", "00000000000000000003.log"}) {
    VARVE_ASSERT_OK(fs.Open(std::string("p-0/") + name, OpenMode::kCreate));
  }
  EXPECT_THAT(ListPartitionFiles(&fs, "p-0"),
              IsOkAndHolds(ElementsAre(PartitionFile{"00000000000000000003.log", PartitionFileKind::kLog, 3},
                                       PartitionFile{"00000000000000000020.log", PartitionFileKind::kLog, 20},
                                       PartitionFile{"00000000000000000100.log", PartitionFileKind::kLog, 100})));
}

TEST(PartitionFilesTest, ADirectoryThatIsNotThereIsNotFound) {
  MemoryFileSystem fs;
  EXPECT_THAT(ListPartitionFiles(&fs, "p-0"), StatusIs(absl::StatusCode::kNotFound));
}

TEST(PartitionFilesTest, AWriterIsWhoHoldsTheLock) {
  MemoryFileSystem fs;
  VARVE_ASSERT_OK(fs.CreateDirectory("p-0"));
  EXPECT_THAT(PartitionHasWriter(&fs, "p-0"), IsOkAndHolds(false));
  VARVE_EXPECT_OK(CheckNoWriter(&fs, "p-0"));
  VARVE_ASSERT_OK(fs.Open("p-0/varve.lock", OpenMode::kCreate));
  EXPECT_THAT(PartitionHasWriter(&fs, "p-0"), IsOkAndHolds(false));
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<FileLock> lock, fs.Lock("p-0/varve.lock", LockKind::kExclusive));
  EXPECT_THAT(PartitionHasWriter(&fs, "p-0"), IsOkAndHolds(true));
  EXPECT_THAT(CheckNoWriter(&fs, "p-0"), StatusIs(absl::StatusCode::kUnavailable));
}

// What cannot be looked at now must not be handed over as something else.
TEST(MergeMarksTest, ACallThatFailsIsToldOf) {
  testing_support::Partition partition;
  partition.AddSegment(0, testing_support::BatchesBytes(0, 10));
  partition.SetDurablePoint(0, static_cast<int64_t>(partition.Log(0).size()), 10, /*survived=*/true);
  for (uint64_t nth = 1;; ++nth) {
    FaultyFileSystem faulty(partition.fs.get());
    faulty.AddRule({.nth = nth, .status = absl::ResourceExhaustedError("too many open files")});
    const absl::StatusOr<MergedMarks> marks = MergeMarks(&faulty, testing_support::kDirectory, {.recovery_point = 20});
    if (faulty.faults_fired() > 0) {
      ASSERT_THAT(marks, StatusIs(absl::StatusCode::kResourceExhausted)) << "call " << nth;
      continue;
    }
    VARVE_ASSERT_OK(marks);
    EXPECT_EQ(marks->recovery_point, 10);
    EXPECT_FALSE(marks->clean);
    EXPECT_GT(nth, 4u);
    break;
  }
}

}  // namespace
}  // namespace varve
