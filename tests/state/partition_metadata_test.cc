#include "state/partition_metadata.h"

#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"

namespace varve::internal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::IsOkAndHolds;
using testing_support::StatusIs;

constexpr TopicId kOne = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
constexpr TopicId kHigh = {0xfb, 0xff, 0xfe, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr char kOneText[] = "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ";

TEST(PartitionMetadataTest, ReadsAndWritesKafkasExample) {
  EXPECT_EQ(FormatPartitionMetadata(kOne), kOneText);
  EXPECT_EQ(FormatPartitionMetadata(kOne).size(), 43u);
  EXPECT_THAT(ParsePartitionMetadata("f", kOneText), IsOkAndHolds(kOne));
}

TEST(PartitionMetadataTest, UsesTheUrlSafeAlphabet) {
  EXPECT_EQ(FormatPartitionMetadata(kHigh), "version: 0\ntopic_id: -__-AwQFBgcICQoLDA0ODw");
  EXPECT_THAT(ParsePartitionMetadata("f", FormatPartitionMetadata(kHigh)), IsOkAndHolds(kHigh));
}

TEST(PartitionMetadataTest, TakesLaterVersionsAndLineEnds) {
  EXPECT_THAT(ParsePartitionMetadata("f", "version: 7\r\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ\r\nmore: 1\n"),
              IsOkAndHolds(kOne));
}

TEST(PartitionMetadataTest, NamesTheBadLine) {
  struct Case {
    const char* text;
    const char* message;
  };
  const std::vector<Case> cases = {
      {"", "f: line 1: expected \"version: \" and a number from 0 on, found \"\""},
      {"version: -1\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ", "line 1"},
      {"version: x\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ", "found \"version: x\""},
      {"version: 0x\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ", "line 1"},
      {"version: 99999999999\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ", "line 1"},
      {"topic_id: AAAAAAAAAAAAAAAAAAAAAQ", "line 1"},
      {"version: 0", "line 2: expected \"topic_id: \" and 22 characters of base64, found \"\""},
      {"version: 0\ntopic: AAAAAAAAAAAAAAAAAAAAAQ", "line 2"},
      {"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAA", "line 2"},
      {"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQA", "line 2"},
      {"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ==", "line 2"},
      {"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAR", "line 2"},
      {"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAA AQ", "line 2"},
      {"version: 0\ntopic_id: +AAAAAAAAAAAAAAAAAAAAQ", "line 2"},
      {"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA", "line 2: the topic id is zero"},
  };
  for (const Case& bad : cases) {
    EXPECT_THAT(ParsePartitionMetadata("f", bad.text), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(bad.message)))
        << bad.text;
  }
}

TEST(PartitionMetadataTest, FilesAreRead) {
  const testing_support::TemporaryDirectory directory;
  const std::string path = directory.path() + "/" + kPartitionMetadataFile;
  EXPECT_THAT(ReadPartitionMetadata(FileSystem::Default(), path), StatusIs(absl::StatusCode::kNotFound));
  std::ofstream(path) << FormatPartitionMetadata(kHigh);
  EXPECT_THAT(ReadPartitionMetadata(FileSystem::Default(), path), IsOkAndHolds(kHigh));
  std::ofstream(path) << "version: 0\n";
  EXPECT_THAT(ReadPartitionMetadata(FileSystem::Default(), path),
              StatusIs(absl::StatusCode::kDataLoss, AllOf(HasSubstr(path), HasSubstr("line 2"))));
}

}  // namespace
}  // namespace varve::internal
