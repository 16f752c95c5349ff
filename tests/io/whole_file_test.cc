#include "io/whole_file.h"

#include "base/bytes.h"
#include "base/path.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"

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
