// The index files that Apache Kafka wrote, against the manifests of what Kafka reads from them.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "varve/sparse_offset_index.h"
#include "varve/time_index.h"
#include "varve/transaction_index.h"

namespace varve {
namespace {

namespace fs = std::filesystem;

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

struct GoldenCase {
  fs::path directory;
  nlohmann::json manifest;
  // By name: whether Kafka left the file as it is when it opened and closed the log.
  std::map<std::string, bool> unchanged;

  bool IsUnchanged(const std::string& name) const { return unchanged.contains(name) && unchanged.at(name); }
};

std::vector<GoldenCase> GoldenCases() {
  std::vector<GoldenCase> cases;
  for (const fs::directory_entry& entry : fs::directory_iterator(VARVE_TEST_DATA "/golden")) {
    if (!entry.is_directory()) continue;
    GoldenCase golden;
    golden.manifest = nlohmann::json::parse(ReadFile(entry.path() / "manifest.json"));
    golden.directory = entry.path() / golden.manifest["dir"].get<std::string>();
    std::map<std::string, std::string> after;
    for (const auto& file : golden.manifest["files_after"]) after[file["name"]] = file["sha256"];
    for (const auto& file : golden.manifest["files"]) {
      golden.unchanged[file["name"]] = after[file["name"]] == file["sha256"].get<std::string>();
    }
    cases.push_back(std::move(golden));
  }
  EXPECT_EQ(cases.size(), 23u);
  return cases;
}

std::string SegmentFile(int64_t base_offset, const std::string& suffix) {
  const std::string digits = std::to_string(base_offset);
  return std::string(20 - digits.size(), '0') + digits + suffix;
}

TEST(GoldenIndexTest, OffsetAndTimeEntriesAreKafkas) {
  int compared = 0;
  for (const GoldenCase& golden : GoldenCases()) {
    SCOPED_TRACE(golden.directory.string());
    for (const auto& segment : golden.manifest["segments"]) {
      const int64_t base_offset = segment["base"];
      const std::string index_name = SegmentFile(base_offset, ".index");
      const std::string time_index_name = SegmentFile(base_offset, ".timeindex");
      if (!golden.IsUnchanged(index_name) || !golden.IsUnchanged(time_index_name)) continue;
      SCOPED_TRACE(index_name);
      ++compared;

      std::vector<OffsetPosition> expected;
      for (const auto& entry : golden.manifest["index"]) {
        if (entry[0] == base_offset) expected.push_back({entry[1], entry[2]});
      }
      const std::string bytes = ReadFile(golden.directory / index_name);
      const SparseOffsetIndex index(base_offset, internal::AsBytes(bytes));
      ASSERT_EQ(index.entry_count(), expected.size());
      SparseOffsetIndexBuilder builder(base_offset, 10485760);
      for (size_t i = 0; i < expected.size(); ++i) {
        ASSERT_EQ(index.entry(i), expected[i]);
        ASSERT_TRUE(builder.Append(expected[i].offset, expected[i].position).ok());
      }
      EXPECT_TRUE(index.Check(segment["log_bytes"]).ok()) << index.Check(segment["log_bytes"]);
      std::string written(bytes.size(), '\xff');
      builder.CopyTo(0, builder.entry_count(), reinterpret_cast<std::byte*>(written.data()));
      EXPECT_EQ(written, bytes);

      std::vector<TimestampOffset> expected_times;
      for (const auto& entry : golden.manifest["time_index"]) {
        if (entry[0] == base_offset) expected_times.push_back({entry[1], entry[2]});
      }
      const std::string time_bytes = ReadFile(golden.directory / time_index_name);
      const TimeIndex time_index(base_offset, internal::AsBytes(time_bytes));
      ASSERT_EQ(time_index.entry_count(), expected_times.size());
      TimeIndexBuilder time_builder(base_offset, 10485760);
      for (size_t i = 0; i < expected_times.size(); ++i) {
        ASSERT_EQ(time_index.entry(i), expected_times[i]);
        ASSERT_TRUE(time_builder.MaybeAppend(expected_times[i].timestamp_ms, expected_times[i].offset).ok());
      }
      EXPECT_TRUE(time_index.Check(segment["next_offset"]).ok()) << time_index.Check(segment["next_offset"]);
      std::string time_written(time_bytes.size(), '\xff');
      time_builder.CopyTo(0, time_builder.entry_count(), reinterpret_cast<std::byte*>(time_written.data()));
      EXPECT_EQ(time_written, time_bytes);
    }
  }
  EXPECT_GE(compared, 80);
}

TEST(GoldenIndexTest, LookupsAnswerAsKafkas) {
  int compared = 0;
  for (const GoldenCase& golden : GoldenCases()) {
    if (!golden.manifest["open"]["clean"].get<bool>()) continue;
    SCOPED_TRACE(golden.directory.string());
    for (const auto& query : golden.manifest["offset_queries"]) {
      SCOPED_TRACE(query.dump());
      if (!query.contains("index") || query["index"].is_null()) continue;
      const int64_t base_offset = query["segment"];
      const std::string bytes = ReadFile(golden.directory / SegmentFile(base_offset, ".index"));
      const SparseOffsetIndex index(base_offset, internal::AsBytes(bytes));
      const OffsetPosition floor = index.Floor(query["offset"]);
      EXPECT_EQ(floor, (OffsetPosition{query["index"][0], query["index"][1]}));
      ++compared;
    }
  }
  EXPECT_GE(compared, 100);
}

TEST(GoldenIndexTest, PaddingOfACrashIsRefused) {
  for (const char* name : {"crash", "crash-recovery-point"}) {
    SCOPED_TRACE(name);
    const fs::path root = fs::path(VARVE_TEST_DATA "/golden") / name;
    const nlohmann::json manifest = nlohmann::json::parse(ReadFile(root / "manifest.json"));
    const auto& active = manifest["segments"].back();
    const int64_t base_offset = active["base"];
    const fs::path directory = root / manifest["dir"].get<std::string>();
    const std::string bytes = ReadFile(directory / SegmentFile(base_offset, ".index"));
    const absl::Status offsets = SparseOffsetIndex(base_offset, internal::AsBytes(bytes)).Check(active["log_bytes"]);
    EXPECT_EQ(offsets.code(), absl::StatusCode::kDataLoss) << offsets;
    EXPECT_NE(offsets.message().find("zeros"), absl::string_view::npos) << offsets;
    const std::string time_bytes = ReadFile(directory / SegmentFile(base_offset, ".timeindex"));
    const absl::Status times = TimeIndex(base_offset, internal::AsBytes(time_bytes)).Check(active["next_offset"]);
    EXPECT_EQ(times.code(), absl::StatusCode::kDataLoss) << times;
    EXPECT_NE(times.message().find("zeros"), absl::string_view::npos) << times;
  }
}

TEST(GoldenIndexTest, AbortedTransactionsAreKafkas) {
  int compared = 0;
  for (const GoldenCase& golden : GoldenCases()) {
    SCOPED_TRACE(golden.directory.string());
    for (const auto& segment : golden.manifest["segments"]) {
      const int64_t base_offset = segment["base"];
      const fs::path path = golden.directory / SegmentFile(base_offset, ".txnindex");
      if (!fs::exists(path)) continue;
      std::vector<AbortedTransaction> expected;
      for (const auto& entry : golden.manifest["aborted_txns"]) {
        if (entry["segment"] != base_offset) continue;
        expected.push_back(
            {entry["producer_id"], entry["first_offset"], entry["last_offset"], entry["last_stable_offset"]});
      }
      const std::string bytes = ReadFile(path);
      const absl::StatusOr<TransactionIndex> index =
          TransactionIndex::Parse(path.string(), base_offset, internal::AsBytes(bytes));
      ASSERT_TRUE(index.ok()) << index.status();
      EXPECT_EQ(index->entries(), expected);
      ++compared;
    }
  }
  EXPECT_GE(compared, 3);
}

}  // namespace
}  // namespace varve
