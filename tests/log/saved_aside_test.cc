// varve.cut-OFFSET: what it is called, and that it is there for good before anything goes.
#include "log/saved_aside.h"

#include <cstddef>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/bad_sectors.h"
#include "log/partition_fixture.h"
#include "support/status_matchers.h"
#include "varve/testing/faulty_file_system.h"

namespace varve::internal {
namespace {

using testing_support::FileSystemWithBadSectors;
using testing_support::IsOkAndHolds;
using testing_support::kDirectory;
using testing_support::Partition;
using testing_support::ReadFile;
using testing_support::StatusIs;

constexpr char kLogName[] = "00000000000000000000.log";
constexpr char kAside[] = "varve.cut-00000000000000000007";
constexpr char kNextAside[] = "varve.cut-00000000000000000007-1";

class SavedAsideTest : public ::testing::Test {
 protected:
  SavedAsideTest() { partition_.AddSegment(0, "before what goes behind"); }

  // Saves the middle of the segment.
  absl::StatusOr<std::string> Save(FileSystem* file_system) {
    return SaveAside(file_system, kDirectory, kLogName, 7, 9, /*first_offset=*/7, SavedBytes::kStable);
  }
  static std::string Path(const std::string& name) { return std::string(kDirectory) + "/" + name; }

  Partition partition_;
};

TEST_F(SavedAsideTest, OtherBytesGetAnotherName) {
  EXPECT_THAT(Save(partition_.fs.get()), IsOkAndHolds(kAside));
  EXPECT_THAT(Save(partition_.fs.get()), IsOkAndHolds(kAside));
  EXPECT_THAT(SaveAside(partition_.fs.get(), kDirectory, kLogName, 0, 6, 7, SavedBytes::kStable),
              IsOkAndHolds(kNextAside));
  EXPECT_EQ(ReadFile(partition_.fs.get(), Path(kAside)), "what goes");
  EXPECT_EQ(ReadFile(partition_.fs.get(), Path(kNextAside)), "before");
}

TEST_F(SavedAsideTest, AFileThatTheDeviceCannotReadHoldsOtherBytes) {
  ASSERT_THAT(Save(partition_.fs.get()), IsOkAndHolds(kAside));
  FileSystemWithBadSectors bad(partition_.fs.get(), Path(kAside), 0, 512);
  EXPECT_THAT(Save(&bad), IsOkAndHolds(kNextAside));
  EXPECT_THAT(Save(&bad), IsOkAndHolds(kNextAside));
}

// A file that somebody cuts while it is compared.
TEST_F(SavedAsideTest, AFileThatEndsEarlyHoldsOtherBytes) {
  ASSERT_THAT(Save(partition_.fs.get()), IsOkAndHolds(kAside));
  for (const size_t read_bytes : {size_t{0}, size_t{4}}) {
    FaultyFileSystem faulty(partition_.fs.get());
    faulty.AddRule({.operation = FileOperation::kRead,
                    .path_part = kAside,
                    .status = absl::OkStatus(),
                    .partial_bytes = read_bytes});
    EXPECT_THAT(Save(&faulty), IsOkAndHolds(kNextAside));
  }
  FaultyFileSystem faulty(partition_.fs.get());
  faulty.AddRule({.operation = FileOperation::kRead,
                  .path_part = kLogName,
                  .for_ever = true,
                  .status = absl::OkStatus(),
                  .partial_bytes = 0});
  EXPECT_THAT(Save(&faulty), StatusIs(absl::StatusCode::kInternal));
}

TEST_F(SavedAsideTest, AFailureThatIsNotTheFilesOwnIsPassedOn) {
  ASSERT_THAT(Save(partition_.fs.get()), IsOkAndHolds(kAside));
  FaultyFileSystem faulty(partition_.fs.get());
  faulty.AddRule({.operation = FileOperation::kOpen,
                  .path_part = kAside,
                  .status = absl::ResourceExhaustedError("too many open files")});
  EXPECT_THAT(Save(&faulty), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(SavedAsideTest, AWholeFileIsSharedIfTheDiskHasItAndWrittenIfPerhapsNot) {
  for (const bool stable : {true, false}) {
    Partition partition;
    partition.AddSegment(0, "before what goes behind");
    FaultyFileSystem counting(partition.fs.get());
    const SavedBytes bytes = stable ? SavedBytes::kStable : SavedBytes::kPerhapsCached;
    EXPECT_THAT(SaveAside(&counting, kDirectory, kLogName, 0, 23, 7, bytes), IsOkAndHolds(kAside));
    EXPECT_EQ(counting.operation_count(FileOperation::kCopy), stable ? 1u : 0u);
    EXPECT_EQ(counting.operation_count(FileOperation::kWrite), stable ? 0u : 1u);
    EXPECT_EQ(ReadFile(partition.fs.get(), Path(kAside)), "before what goes behind");
  }
}

// The opening that finds the bytes saved already is about to take them out of the log.
TEST_F(SavedAsideTest, ANameThatAStoppedOpeningLeftIsMadeDurable) {
  FaultyFileSystem faulty(partition_.fs.get());
  faulty.AddRule({.operation = FileOperation::kSyncDirectory});
  ASSERT_THAT(Save(&faulty), StatusIs(absl::StatusCode::kInternal));
  ASSERT_THAT(Save(partition_.fs.get()), IsOkAndHolds(kAside));
  const auto crashed = partition_.fs->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  EXPECT_EQ(ReadFile(crashed.get(), Path(kAside)), "what goes");
}

}  // namespace
}  // namespace varve::internal
