#include "varve/checkpoint.h"

#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"
#include "varve/file_system.h"

namespace varve {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using testing_support::IsOkAndHolds;
using testing_support::StatusIs;
using testing_support::TemporaryDirectory;

const std::string kGolden = std::string(VARVE_TEST_DATA) + "/golden/";

std::string Write(const TemporaryDirectory& directory, const std::string& name, const std::string& text) {
  const std::string path = directory.path() + "/" + name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

TEST(CheckpointTest, KnowsTheFourNamesBesideThePartitions) {
  EXPECT_TRUE(IsOffsetCheckpointName("recovery-point-offset-checkpoint"));
  EXPECT_TRUE(IsOffsetCheckpointName("log-start-offset-checkpoint"));
  EXPECT_TRUE(IsOffsetCheckpointName("replication-offset-checkpoint"));
  EXPECT_TRUE(IsOffsetCheckpointName("cleaner-offset-checkpoint"));
  EXPECT_FALSE(IsOffsetCheckpointName("leader-epoch-checkpoint"));
  EXPECT_FALSE(IsOffsetCheckpointName("cleaner-offset-checkpoint.tmp"));
}

TEST(CheckpointTest, LoadsWhatKafkaWrote) {
  FileSystem* const fs = FileSystem::Default();
  EXPECT_THAT(LoadOffsetCheckpoint(fs, kGolden + "log-start-advanced/log-start-offset-checkpoint"),
              IsOkAndHolds(ElementsAre(PartitionOffset{.partition = {"log_start_advanced", 0}, .offset = 333})));
  EXPECT_THAT(LoadLeaderEpochCheckpoint(fs, kGolden + "leader-epochs/leader_epochs-0/leader-epoch-checkpoint"),
              IsOkAndHolds(SizeIs(::testing::Ge(3u))));
  EXPECT_THAT(LoadProducerSnapshot(fs, kGolden + "idempotent/idempotent-0/00000000000000000225.snapshot"),
              IsOkAndHolds(SizeIs(3)));
}

TEST(CheckpointTest, SortsOffsetsByPartition) {
  const TemporaryDirectory directory;
  const std::string path = Write(directory, "recovery-point-offset-checkpoint", "0\n3\nb 0 7\na 10 5\na 2 6\n");
  EXPECT_THAT(LoadOffsetCheckpoint(FileSystem::Default(), path),
              IsOkAndHolds(ElementsAre(PartitionOffset{.partition = {"a", 2}, .offset = 6},
                                       PartitionOffset{.partition = {"a", 10}, .offset = 5},
                                       PartitionOffset{.partition = {"b", 0}, .offset = 7})));
}

TEST(CheckpointTest, LoadsATopicId) {
  const TemporaryDirectory directory;
  const std::string path = Write(directory, "partition.metadata", "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ");
  EXPECT_THAT(LoadTopicId(FileSystem::Default(), path), IsOkAndHolds("AAAAAAAAAAAAAAAAAAAAAQ"));
}

TEST(CheckpointTest, NamesTheFileAndThePlaceOfAFault) {
  const TemporaryDirectory directory;
  FileSystem* const fs = FileSystem::Default();
  const auto names = [](const std::string& path) { return StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path)); };
  const std::string offsets = Write(directory, "offsets", "0\n1\na 0 x\n");
  EXPECT_THAT(LoadOffsetCheckpoint(fs, offsets), names(offsets));
  const std::string epochs = Write(directory, "epochs", "0\n2\n1 0\n");
  EXPECT_THAT(LoadLeaderEpochCheckpoint(fs, epochs), names(epochs));
  const std::string metadata = Write(directory, "metadata", "version: 0\n");
  EXPECT_THAT(LoadTopicId(fs, metadata), names(metadata));
  const std::string snapshot = Write(directory, "00000000000000000001.snapshot", "garbage");
  EXPECT_THAT(LoadProducerSnapshot(fs, snapshot), names(snapshot));
}

TEST(CheckpointTest, AFileThatIsNotThereIsNotFound) {
  FileSystem* const fs = FileSystem::Default();
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/absent";
  EXPECT_THAT(LoadOffsetCheckpoint(fs, path), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(LoadLeaderEpochCheckpoint(fs, path), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(LoadTopicId(fs, path), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(LoadProducerSnapshot(fs, path), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace varve
