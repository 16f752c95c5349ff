#include "io/whole_file.h"

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/path.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {
namespace {

using absl::StatusCode;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using testing_support::IsOk;
using testing_support::IsOkAndHolds;
using testing_support::StatusIs;
using testing_support::TemporaryDirectory;

TEST(WholeFile, ReplaceCreatesAndReplacesAndLeavesNothingAside) {
  const TemporaryDirectory directory;
  FileSystem* const fs = FileSystem::Default();
  const std::string path = JoinPath(directory.path(), "recovery-point-offset-checkpoint");
  VARVE_ASSERT_OK(ReplaceFile(fs, path, AsBytes("0\n0\n")));
  EXPECT_THAT(ReadWholeFile(fs, path, 100), IsOkAndHolds(Eq("0\n0\n")));
  VARVE_ASSERT_OK(ReplaceFile(fs, path, AsBytes("")));
  EXPECT_THAT(ReadWholeFile(fs, path, 100), IsOkAndHolds(Eq("")));
  EXPECT_THAT(fs->List(directory.path()), IsOkAndHolds(ElementsAre("recovery-point-offset-checkpoint")));
}

TEST(WholeFile, ReplaceOverwritesWhatACrashLeftAside) {
  const TemporaryDirectory directory;
  FileSystem* const fs = FileSystem::Default();
  const std::string path = JoinPath(directory.path(), "a");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto aside, fs->Open(path + ".tmp", OpenMode::kCreate));
  VARVE_ASSERT_OK(aside->WriteAt(0, AsBytes("longer than the new content")));
  VARVE_ASSERT_OK(ReplaceFile(fs, path, AsBytes("new")));
  EXPECT_THAT(ReadWholeFile(fs, path, 3), IsOkAndHolds(Eq("new")));
  EXPECT_THAT(fs->List(directory.path()), IsOkAndHolds(ElementsAre("a")));
}

// Stopped at every operation, and then without power.
TEST(WholeFile, ReplacedInAPowerLossItHoldsTheOldBytesOrTheNew) {
  const std::string old_bytes(5000, 'o');
  const std::string new_bytes(6000, 'n');
  for (uint64_t nth = 1;; ++nth) {
    MemoryFileSystem memory;
    VARVE_ASSERT_OK(ReplaceFile(&memory, "a", AsBytes(old_bytes)));
    FaultyFileSystem faulty(&memory);
    faulty.AddRule({.nth = nth, .for_ever = true, .status = absl::InternalError("stopped")});
    const bool replaced = ReplaceFile(&faulty, "a", AsBytes(new_bytes)).ok();
    EXPECT_EQ(replaced, faulty.faults_fired() == 0);
    for (uint64_t seed = 0; seed < 20; ++seed) {
      SCOPED_TRACE(::testing::Message() << "operation " << nth << ", seed " << seed);
      const CrashMode mode = seed == 0 ? CrashMode::kLoseAllUnsynced : CrashMode::kRandom;
      const auto after = memory.CloneAfterCrash({.seed = seed, .mode = mode});
      VARVE_ASSERT_OK_AND_ASSIGN(const std::string held, ReadWholeFile(after.get(), "a", 10'000));
      ASSERT_TRUE(held == new_bytes || (!replaced && held == old_bytes));
    }
    if (replaced) break;
  }
}

TEST(WholeFile, ReadOfMoreThanTheLimitIsDataLoss) {
  const TemporaryDirectory directory;
  FileSystem* const fs = FileSystem::Default();
  const std::string path = JoinPath(directory.path(), "a");
  VARVE_ASSERT_OK(ReplaceFile(fs, path, AsBytes("1234")));
  EXPECT_THAT(ReadWholeFile(fs, path, 4), IsOk());
  EXPECT_THAT(ReadWholeFile(fs, path, 3), StatusIs(StatusCode::kDataLoss, HasSubstr(path)));
  EXPECT_THAT(ReadWholeFile(fs, path + "b", 3), StatusIs(StatusCode::kNotFound));
}

}  // namespace
}  // namespace varve::internal
