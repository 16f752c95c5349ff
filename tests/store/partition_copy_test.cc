#include "store/partition_copy.h"

#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/partition_fixture.h"
#include "support/status_matchers.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using testing_support::IsOkAndHolds;
using testing_support::ReadFile;
using testing_support::StatusIs;
using testing_support::WriteFile;

class PartitionCopyTest : public ::testing::Test {
 protected:
  PartitionCopyTest() {
    EXPECT_TRUE(fs_.CreateDirectory("from").ok());
    WriteFile(&fs_, "from/00000000000000000000.log", "batches");
    WriteFile(&fs_, "from/00000000000000000000.index", "entries");
    WriteFile(&fs_, "from/notes.txt", "mine");
    for (const char* const name : {"00000000000000000000.log", "00000000000000000000.index"}) {
      files_.push_back(ClassifyPartitionFile(name));
    }
  }

  MemoryFileSystem fs_;
  std::vector<PartitionFile> files_;
};

TEST_F(PartitionCopyTest, NothingOfACopyGetsLostOnceItsNameIsSynced) {
  std::vector<std::pair<int64_t, int64_t>> progress;
  const auto note = [&](int64_t done, int64_t total) { progress.emplace_back(done, total); };
  const auto amend = [](const PartitionFile& file, File* copy) {
    return file.kind == PartitionFileKind::kLog ? copy->WriteAt(0, std::as_bytes(std::span("B", 1))) : absl::OkStatus();
  };
  EXPECT_THAT(CopyPartitionFiles(&fs_, "from", files_, "to", SourceBytes::kStable, note, amend), IsOkAndHolds(14));
  EXPECT_THAT(progress, ElementsAre(std::pair(7, 14), std::pair(14, 14)));
  VARVE_ASSERT_OK(fs_.SyncDirectory("/"));
  const std::unique_ptr<MemoryFileSystem> after = fs_.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  EXPECT_THAT(after->List("to"), IsOkAndHolds(ElementsAre("00000000000000000000.index", "00000000000000000000.log")));
  EXPECT_EQ(ReadFile(after.get(), "to/00000000000000000000.log"), "Batches");
  EXPECT_EQ(ReadFile(after.get(), "to/00000000000000000000.index"), "entries");
  EXPECT_EQ(ReadFile(&fs_, "from/00000000000000000000.log"), "batches");
}

// What is copied by reference is what the disk has, which after a failed sync is not what is read.
TEST_F(PartitionCopyTest, BytesThatTheDiskMayLackAreWrittenAgain) {
  fs_.FailNextSync("from/00000000000000000000.log", absl::InternalError("input/output error"));
  const auto log = fs_.Open("from/00000000000000000000.log", OpenMode::kReadWrite);
  ASSERT_TRUE(log.ok());
  EXPECT_THAT((*log)->SyncData(), StatusIs(absl::StatusCode::kInternal));
  for (const auto& [bytes, to] :
       {std::pair(SourceBytes::kStable, "by-reference"), std::pair(SourceBytes::kPerhapsCached, "by-content")}) {
    EXPECT_THAT(CopyPartitionFiles(&fs_, "from", files_, to, bytes, nullptr), IsOkAndHolds(14));
    VARVE_ASSERT_OK(fs_.SyncDirectory("/"));
  }
  const std::unique_ptr<MemoryFileSystem> after = fs_.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  EXPECT_NE(ReadFile(after.get(), "by-reference/00000000000000000000.log"), "batches");  // or nothing is tested here
  EXPECT_EQ(ReadFile(after.get(), "by-content/00000000000000000000.log"), "batches");
}

TEST_F(PartitionCopyTest, AFileThatEndsWhileItIsCopiedIsAnError) {
  FaultyFileSystem faulty(&fs_);
  faulty.AddRule(
      {.operation = FileOperation::kRead, .path_part = "00.index", .status = absl::OkStatus(), .partial_bytes = 3});
  EXPECT_THAT(CopyPartitionFiles(&faulty, "from", files_, "to", SourceBytes::kPerhapsCached, nullptr),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("more bytes expected, the file ends")));
}

TEST_F(PartitionCopyTest, ACopyTakesNobodysPlace) {
  VARVE_ASSERT_OK(fs_.CreateDirectory("to"));
  EXPECT_THAT(CopyPartitionFiles(&fs_, "from", files_, "to", SourceBytes::kStable, nullptr),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(PartitionCopyTest, ATreeGoesWithAllItHolds) {
  VARVE_ASSERT_OK(fs_.CreateDirectory("from/below"));
  WriteFile(&fs_, "from/below/notes.txt", "mine");
  VARVE_ASSERT_OK(RemoveTree(&fs_, "from"));
  EXPECT_THAT(fs_.Info("from"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(RemoveTree(&fs_, "from"), StatusIs(absl::StatusCode::kNotFound));
}

TEST(UniqueSuffixTest, IsOf32HexadecimalDigitsAndDiffers) {
  std::set<std::string> suffixes;
  for (int i = 0; i < 100; ++i) {
    const std::string suffix = UniqueSuffix();
    EXPECT_EQ(suffix.size(), 32u);
    EXPECT_THAT(suffix, MatchesRegex("[0-9a-f]+"));
    suffixes.insert(suffix);
  }
  EXPECT_EQ(suffixes.size(), 100u);
}

}  // namespace
}  // namespace varve::internal
