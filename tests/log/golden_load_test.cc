// Directories that Kafka wrote, opened: what is left must be what Kafka itself leaves when it opens and closes them.
#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "gtest/gtest.h"
#include "log/partition_fixture.h"
#include "segment/segment_files.h"
#include "state/producer_snapshot.h"
#include "support/status_matchers.h"

namespace varve::internal {
namespace {

using testing_support::FileMap;
using testing_support::GoldenCase;
using testing_support::IsOk;
using testing_support::kDirectory;
using testing_support::Partition;

template <typename T>
void Append(std::string* out, T value) {
  std::byte bytes[sizeof(T)];
  StoreBigEndian(bytes, value);
  out->append(AsText(bytes));
}

// The index files by the manifest's entries, byte for byte.
FileMap ExpectedIndexes(const nlohmann::json& manifest) {
  FileMap files;
  for (const nlohmann::json& segment : manifest["segments"]) {
    const int64_t base = segment["base"];
    std::string& offsets = files[SegmentFileName(base, SegmentFileKind::kOffsetIndex)];
    for (const nlohmann::json& entry : manifest["index"]) {
      if (entry[0] != base) continue;
      Append(&offsets, static_cast<int32_t>(entry[1].get<int64_t>() - base));
      Append(&offsets, entry[2].get<int32_t>());
    }
    std::string& times = files[SegmentFileName(base, SegmentFileKind::kTimeIndex)];
    for (const nlohmann::json& entry : manifest["time_index"]) {
      if (entry[0] != base) continue;
      Append(&times, entry[1].get<int64_t>());
      Append(&times, static_cast<int32_t>(entry[2].get<int64_t>() - base));
    }
  }
  return files;
}

class GoldenLoadTest : public testing::TestWithParam<std::string> {
 protected:
  GoldenLoadTest() : golden_(testing_support::LoadGoldenCase(GetParam())) {
    testing_support::SetUpGolden(golden_, &partition_);
  }

  void ExpectFilesAsKafkaLeavesThem() {
    const FileMap files = testing_support::ReadKafkaFiles(partition_.fs.get(), kDirectory);
    std::map<std::string, size_t> sizes, expected_sizes;
    for (const auto& [name, content] : files) sizes[name] = content.size();
    for (const nlohmann::json& file : golden_.manifest["files_after"]) {
      expected_sizes[file["name"]] = file["bytes"].get<size_t>();
    }
    EXPECT_EQ(sizes, expected_sizes);
    for (const auto& [name, content] : ExpectedIndexes(golden_.manifest)) {
      ASSERT_TRUE(files.contains(name)) << name;
      EXPECT_TRUE(files.at(name) == content) << name;
    }
    for (const auto& [name, content] : files) {
      // A .log only loses bytes at its end.
      if (name.ends_with(".log")) {
        EXPECT_TRUE(golden_.files.at(name).starts_with(content)) << name;
      }
      if (name.ends_with(".txnindex")) {
        EXPECT_TRUE(golden_.files.at(name) == content) << name;
      }
    }
  }

  void ExpectSnapshots() {
    for (const nlohmann::json& snapshot : golden_.manifest["snapshots"]) {
      const std::string path =
          std::string(kDirectory) + "/" + SegmentFileName(snapshot["offset"], SegmentFileKind::kSnapshot);
      VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<ProducerStateEntry> entries,
                                 ReadProducerSnapshot(partition_.fs.get(), path));
      ExpectProducers(entries, snapshot["entries"]);
    }
  }

  static void ExpectProducers(const std::vector<ProducerStateEntry>& found, const nlohmann::json& expected) {
    std::map<int64_t, std::vector<int64_t>> by_id, expected_by_id;
    for (const ProducerStateEntry& entry : found) {
      by_id[entry.producer_id] = {entry.epoch,
                                  entry.last_sequence(),
                                  entry.last_offset(),
                                  entry.last_offset_delta(),
                                  entry.last_timestamp_ms,
                                  entry.coordinator_epoch,
                                  entry.current_transaction_first_offset.value_or(-1)};
    }
    for (const nlohmann::json& entry : expected) {
      expected_by_id[entry["producer_id"]] = {entry["epoch"],
                                              entry["last_sequence"],
                                              entry["last_offset"],
                                              entry["offset_delta"],
                                              entry["timestamp"],
                                              entry["coordinator_epoch"],
                                              entry["current_txn_first_offset"]};
    }
    EXPECT_EQ(by_id, expected_by_id);
  }

  void ExpectLog(const LoadedLog& loaded) {
    const nlohmann::json& log = golden_.manifest["log"];
    EXPECT_EQ(loaded.log_start_offset, log["log_start_offset"].get<int64_t>());
    EXPECT_EQ(loaded.log_end_offset, log["log_end_offset"].get<int64_t>());
    ASSERT_EQ(loaded.segments.size(), golden_.manifest["segments"].size());
    for (size_t i = 0; i < loaded.segments.size(); ++i) {
      const nlohmann::json& segment = golden_.manifest["segments"][i];
      EXPECT_EQ(loaded.segments[i].base_offset, segment["base"].get<int64_t>());
      EXPECT_EQ(loaded.segments[i].size_bytes, segment["log_bytes"].get<int64_t>());
    }
    std::vector<std::vector<int64_t>> epochs;
    for (const LeaderEpoch& epoch : loaded.epochs->entries()) epochs.push_back({epoch.epoch, epoch.start_offset});
    EXPECT_EQ(epochs, golden_.manifest["leader_epochs"].get<std::vector<std::vector<int64_t>>>());
    ExpectProducers(loaded.producers->entries(), golden_.manifest["producers"]);
  }

  GoldenCase golden_;
  Partition partition_;
};

TEST_P(GoldenLoadTest, LeavesWhatKafkaLeaves) {
  partition_.options.on_damage = OnDamage::kTruncate;
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition_.Load());
  EXPECT_EQ(loaded.report.clean, partition_.options.marks.clean);
  ExpectLog(loaded);
  ExpectFilesAsKafkaLeavesThem();
  ExpectSnapshots();
}

// Kafka's marks are of the stop before the first opening; the ones after it find an unclean directory. The first of
// those builds indexes anew, which need not be what a log written in several goes had ("reopened").
TEST_P(GoldenLoadTest, RecoveringAgainChangesNothing) {
  ASSERT_THAT(partition_.Load(), IsOk());
  partition_.options.marks.clean.reset();
  partition_.options.marks.recovery_point.reset();
  ASSERT_THAT(partition_.Load(), IsOk());
  const FileMap once = testing_support::ReadKafkaFiles(partition_.fs.get(), kDirectory);
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog again, partition_.Load());
  EXPECT_FALSE(again.report.clean);
  const FileMap twice = testing_support::ReadKafkaFiles(partition_.fs.get(), kDirectory);
  ASSERT_EQ(twice.size(), once.size());
  for (const auto& [name, content] : once) {
    ASSERT_TRUE(twice.contains(name)) << name;
    EXPECT_TRUE(twice.at(name) == content) << name;
  }
  ExpectLog(again);
}

INSTANTIATE_TEST_SUITE_P(Kafka, GoldenLoadTest, testing::ValuesIn(testing_support::GoldenCaseNames()),
                         [](const testing::TestParamInfo<std::string>& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace varve::internal
