#include "state/checkpoint_file.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"

namespace varve::internal {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using testing_support::IsOkAndHolds;
using testing_support::StatusIs;

std::string ReadText(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(OffsetCheckpointTest, ReadsKafkasExample) {
  EXPECT_THAT(ParseOffsetCheckpoint("f", "0\n2\norders 3 42\n__consumer_offsets 7 0\n"),
              IsOkAndHolds(ElementsAre(Pair(TopicPartition{"__consumer_offsets", 7}, 0),
                                       Pair(TopicPartition{"orders", 3}, 42))));
}

TEST(OffsetCheckpointTest, WritesTheFrame) {
  EXPECT_EQ(FormatOffsetCheckpoint({}), "0\n0\n");
  EXPECT_EQ(FormatOffsetCheckpoint({{{"orders", 3}, 42}, {{"a", 10}, 9007199254740996}}),
            "0\n2\na 10 9007199254740996\norders 3 42\n");
}

// Kafka's reader stops quietly at a missing first or second line, splits at any white space and takes any line end.
TEST(OffsetCheckpointTest, ForgivesWhatKafkaForgives) {
  for (const char* text : {"", "0", "0\n", "0\r\n", "0\n0", "0\n0\n", "+0\n-0\n"}) {
    EXPECT_THAT(ParseOffsetCheckpoint("f", text), IsOkAndHolds(IsEmpty())) << text;
  }
  const auto one = ElementsAre(Pair(TopicPartition{"t", 1}, 5));
  for (const char* text : {"0\n1\nt 1 5", "0\r\n1\r\nt 1 5\r\n", "0\r1\rt 1 5\r", "0\n1\nt  1\t\v 5 \t\n",
                           "+0\n+1\nt +1 +5\n", "0\n2\nt 1 4\nt 1 5\n"}) {
    EXPECT_THAT(ParseOffsetCheckpoint("f", text), IsOkAndHolds(one)) << text;
  }
}

TEST(OffsetCheckpointTest, NamesTheBadLine) {
  struct Case {
    const char* text;
    const char* message;
  };
  const std::vector<Case> cases = {
      {"1\n0\n", "f: line 1: expected version 0, found \"1\""},
      {"\n0\n", "line 1: expected version 0, found \"\""},
      {"x\n0\n", "line 1"},
      {" 0\n0\n", "line 1"},
      {"0 \n0\n", "line 1"},
      {"0\nx\n", "line 2: expected the number of entries, found \"x\""},
      {"0\n\n", "line 2"},
      {"0\n2147483648\n", "line 2"},
      {"0\n+-1\n", "line 2"},
      {"0\n2\nt 1 5\n", "f: expected 2 entries as line 2 says, found 1"},
      {"0\n0\nt 1 5\n", "expected 0 entries as line 2 says, found 1"},
      {"0\n-1\n", "expected -1 entries"},
      {"0\n1\nt 1\n", "line 3: expected \"topic partition offset\", found \"t 1\""},
      {"0\n1\nt 1 5 6\n", "line 3"},
      {"0\n1\n t 1 5\n", "line 3"},
      {"0\n2\nt 1 5\n\n", "line 4: expected \"topic partition offset\", found \"\""},
      {"0\n1\nt x 5\n", "line 3"},
      {"0\n1\nt 1 5x\n", "line 3"},
      {"0\n1\nt 2147483648 5\n", "line 3"},
      {"0\n1\nt 1 9223372036854775808\n", "line 3"},
  };
  for (const Case& bad : cases) {
    EXPECT_THAT(ParseOffsetCheckpoint("f", bad.text), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(bad.message)))
        << bad.text;
  }
}

TEST(OffsetCheckpointTest, FilesAreReplacedAndReadBack) {
  const testing_support::TemporaryDirectory directory;
  const std::string path = directory.path() + "/" + kRecoveryPointCheckpoint;
  EXPECT_THAT(ReadOffsetCheckpoint(FileSystem::Default(), path), StatusIs(absl::StatusCode::kNotFound));
  const OffsetCheckpoint checkpoint = {{{"orders", 3}, 42}, {{"orders", 4}, 0}};
  VARVE_ASSERT_OK(WriteOffsetCheckpoint(FileSystem::Default(), path, {}));
  VARVE_ASSERT_OK(WriteOffsetCheckpoint(FileSystem::Default(), path, checkpoint));
  EXPECT_EQ(ReadText(path), "0\n2\norders 3 42\norders 4 0\n");
  EXPECT_THAT(ReadOffsetCheckpoint(FileSystem::Default(), path), IsOkAndHolds(checkpoint));
  std::ofstream(path) << "0\n1\nt\n";
  EXPECT_THAT(ReadOffsetCheckpoint(FileSystem::Default(), path),
              StatusIs(absl::StatusCode::kDataLoss, AllOf(HasSubstr(path), HasSubstr("line 3"))));
  EXPECT_THAT(WriteOffsetCheckpoint(FileSystem::Default(), directory.path() + "/no/file", checkpoint),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST(LeaderEpochFileTest, ReadsAndWritesKafkasExample) {
  const std::vector<LeaderEpoch> epochs = {{3, 0}, {4, 12}};
  EXPECT_THAT(ParseLeaderEpochs("f", "0\n2\n3 0\n4 12\n"), IsOkAndHolds(epochs));
  EXPECT_EQ(FormatLeaderEpochs(epochs), "0\n2\n3 0\n4 12\n");
  EXPECT_EQ(FormatLeaderEpochs({}), "0\n0\n");
  EXPECT_THAT(ParseLeaderEpochs("f", ""), IsOkAndHolds(IsEmpty()));
}

TEST(LeaderEpochFileTest, NamesTheBadLine) {
  struct Case {
    const char* text;
    const char* message;
  };
  const std::vector<Case> cases = {
      {"2\n0\n", "line 1"},
      {"0\n1\n3\n", "f: line 3: expected \"epoch start-offset\", neither negative, found \"3\""},
      {"0\n1\n3 0 0\n", "line 3"},
      {"0\n1\nx 0\n", "line 3"},
      {"0\n1\n3 x\n", "line 3"},
      {"0\n1\n-1 0\n", "line 3"},
      {"0\n2\n1 0\n3 -1\n", "line 4"},
      {"0\n2\n3 0\n", "expected 2 entries"},
  };
  for (const Case& bad : cases) {
    EXPECT_THAT(ParseLeaderEpochs("f", bad.text), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(bad.message)))
        << bad.text;
  }
}

TEST(GoldenCheckpointTest, KafkasFilesAreReadAndWrittenAsTheyAre) {
  int compared = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(VARVE_TEST_DATA "/golden")) {
    const std::string name = entry.path().filename();
    if (!name.ends_with("-offset-checkpoint")) continue;
    SCOPED_TRACE(entry.path().string());
    const std::string text = ReadText(entry.path());
    VARVE_ASSERT_OK_AND_ASSIGN(const OffsetCheckpoint checkpoint,
                               ReadOffsetCheckpoint(FileSystem::Default(), entry.path()));
    EXPECT_EQ(text.empty() ? "" : FormatOffsetCheckpoint(checkpoint), text);
    ++compared;
  }
  EXPECT_GE(compared, 60);
}

TEST(GoldenCheckpointTest, LeaderEpochFilesAreReadAndWrittenAsTheyAre) {
  int compared = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(VARVE_TEST_DATA "/golden")) {
    if (entry.path().filename() != kLeaderEpochCheckpoint) continue;
    SCOPED_TRACE(entry.path().string());
    const std::string text = ReadText(entry.path());
    VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<LeaderEpoch> epochs,
                               ReadLeaderEpochs(FileSystem::Default(), entry.path()));
    EXPECT_EQ(text.empty() ? "" : FormatLeaderEpochs(epochs), text);
    ++compared;
  }
  EXPECT_EQ(compared, 23);
}

}  // namespace
}  // namespace varve::internal
