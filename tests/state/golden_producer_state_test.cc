// Logs that Apache Kafka wrote, replayed: their producers, snapshots and aborted transactions are Kafka's.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "state/first_unstable_offset.h"
#include "state/producer_snapshot.h"
#include "state/producer_state_manager.h"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"
#include "varve/record_batch.h"

namespace varve::internal {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing_support::FirstUnstableOffset;

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string LogName(int64_t base_offset) {
  const std::string digits = std::to_string(base_offset);
  return std::string(20 - digits.size(), '0') + digits + ".log";
}

// A producer as the manifests have it.
json ToJson(const ProducerStateEntry& producer) {
  return {{"producer_id", producer.producer_id},
          {"epoch", producer.epoch},
          {"last_sequence", producer.last_sequence()},
          {"last_offset", producer.last_offset()},
          {"offset_delta", producer.last_offset_delta()},
          {"timestamp", producer.last_timestamp_ms},
          {"coordinator_epoch", producer.coordinator_epoch},
          {"current_txn_first_offset", producer.current_transaction_first_offset.value_or(-1)}};
}

json ToJson(std::vector<ProducerStateEntry> producers) {
  std::sort(producers.begin(), producers.end(),
            [](const auto& a, const auto& b) { return a.producer_id < b.producer_id; });
  json list = json::array();
  for (const ProducerStateEntry& producer : producers) list.push_back(ToJson(producer));
  return list;
}

json SortedById(json producers) {
  std::sort(producers.begin(), producers.end(),
            [](const json& a, const json& b) { return a["producer_id"] < b["producer_id"]; });
  return producers;
}

// Replays a segment from `from` on; what it aborted is appended as the manifests have it.
void ReplaySegment(const fs::path& directory, int64_t base_offset, int64_t from, ProducerStateManager* manager,
                   json* aborted) {
  const std::string bytes = ReadFile(directory / LogName(base_offset));
  std::span<const std::byte> rest = AsBytes(bytes);
  for (RecordBatchView batch; NextBatch(&rest, &batch);) {
    if (batch.base_offset() < from) continue;
    std::optional<CompletedTransaction> completed;
    ASSERT_TRUE(manager->Replay(batch, &completed).ok());
    if (!completed.has_value() || !completed->aborted) continue;
    aborted->push_back({{"segment", base_offset},
                        {"producer_id", completed->producer_id},
                        {"first_offset", completed->first_offset},
                        {"last_offset", completed->last_offset},
                        {"last_stable_offset", completed->last_stable_offset}});
  }
}

class GoldenProducerStateTest : public ::testing::TestWithParam<const char*> {
 protected:
  GoldenProducerStateTest()
      : root_(fs::path(VARVE_TEST_DATA "/golden") / GetParam()),
        manifest_(json::parse(ReadFile(root_ / "manifest.json"))),
        directory_(root_ / manifest_["dir"].get<std::string>()) {}

  const fs::path root_;
  const json manifest_;
  const fs::path directory_;
  testing_support::TemporaryDirectory scratch_;
};

TEST_P(GoldenProducerStateTest, ReplayGivesKafkasProducersSnapshotsAndAbortedTransactions) {
  ProducerStateManager manager(FileSystem::Default(), scratch_.path(), kNever);
  json aborted = json::array();
  for (const auto& segment : manifest_["segments"]) {
    ASSERT_TRUE(manager.WriteSnapshot(segment["base"], SnapshotSync::kNone).ok());
    ReplaySegment(directory_, segment["base"], 0, &manager, &aborted);
  }
  const int64_t log_end_offset = manifest_["log"]["log_end_offset"];
  ASSERT_TRUE(manager.WriteSnapshot(log_end_offset, SnapshotSync::kNone).ok());

  EXPECT_EQ(ToJson(manager.entries()), SortedById(manifest_["producers"]));
  EXPECT_EQ(aborted, manifest_["aborted_txns"]);
  manager.AdvanceHighWatermark(log_end_offset);
  EXPECT_EQ(FirstUnstableOffset(manager).value_or(log_end_offset), manifest_["log"]["last_stable_offset"]);
  json snapshots = json::array();
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<int64_t> offsets,
                             ListProducerSnapshots(FileSystem::Default(), scratch_.path()));
  for (const int64_t offset : offsets) {
    const std::string path = scratch_.path() + "/" + ProducerSnapshotName(offset);
    VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<ProducerStateEntry> producers,
                               ReadProducerSnapshot(FileSystem::Default(), path));
    snapshots.push_back({{"offset", offset}, {"entries", ToJson(producers)}});
  }
  json expected = json::array();
  for (const auto& snapshot : manifest_["snapshots"]) {
    expected.push_back({{"offset", snapshot["offset"]}, {"entries", SortedById(snapshot["entries"])}});
  }
  EXPECT_EQ(snapshots, expected);
}

// As a log is opened: from the newest snapshot at or below each segment's base, the rest by replay.
TEST_P(GoldenProducerStateTest, ReloadFromAnySnapshotLeadsToTheSameEnd) {
  for (const auto& snapshot : manifest_["snapshots"]) {
    const int64_t snapshot_offset = snapshot["offset"];
    const std::string name = ProducerSnapshotName(snapshot_offset);
    testing_support::TemporaryDirectory only;
    fs::copy_file(directory_ / name, fs::path(only.path()) / name);
    ProducerStateManager manager(FileSystem::Default(), only.path(), kNever);
    const auto from = manager.Reload(0, manifest_["log"]["log_end_offset"], 0);
    ASSERT_TRUE(from.ok()) << from.status();
    EXPECT_EQ(*from, snapshot_offset);
    json aborted = json::array();
    for (const auto& segment : manifest_["segments"]) {
      if (segment["next_offset"] > *from) ReplaySegment(directory_, segment["base"], *from, &manager, &aborted);
    }
    EXPECT_EQ(ToJson(manager.entries()), SortedById(manifest_["producers"])) << name;
    json expected_aborted = json::array();
    for (const auto& entry : manifest_["aborted_txns"]) {
      if (entry["last_offset"] >= snapshot_offset) expected_aborted.push_back(entry);
    }
    EXPECT_EQ(aborted, expected_aborted) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenProducerStateTest,
                         ::testing::Values("idempotent", "transactions", "plain", "codecs"),
                         [](const auto& golden) { return std::string(golden.param); });

}  // namespace
}  // namespace varve::internal
