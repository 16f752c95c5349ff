// Segments that Apache Kafka wrote: written again by ActiveSegment, batch for batch, and read by Segment.
#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "segment/active_segment.h"
#include "segment/reference_segment.h"
#include "support/status_matchers.h"
#include "varve/segment.h"
#include "varve/testing/manual_clock.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {
namespace {

namespace fs = std::filesystem;

struct Golden {
  explicit Golden(const std::string& name) {
    const fs::path base = fs::path(VARVE_TEST_DATA "/golden") / name;
    std::ifstream file(base / "manifest.json");
    EXPECT_TRUE(file.good()) << base;
    manifest = nlohmann::json::parse(file);
    directory = (base / manifest["dir"].get<std::string>()).string();
  }

  nlohmann::json manifest;
  std::string directory;
};

std::vector<std::byte> GoldenFile(const Golden& golden, int64_t base_offset, SegmentFileKind kind) {
  return testing_support::ReadWholeFile(FileSystem::Default(),
                                        testing_support::SegmentPath(golden.directory, base_offset, kind));
}

// The cases whose logs were written in one go: only then do index entries fall where a writer puts them.
constexpr const char* kWrittenInOneGo[] = {
    "plain",  "timestamps-out-of-order", "large-record",  "big-offsets", "preallocated", "batch-1-and-5000",
    "codecs", "log-append-time",         "nulls-headers", "idempotent",  "transactions", "defaults"};

class GoldenSegmentTest : public ::testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(, GoldenSegmentTest, ::testing::ValuesIn(kWrittenInOneGo), [](const auto& param) {
  std::string name = param.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST_P(GoldenSegmentTest, WrittenAgainTheFilesAreKafkas) {
  const Golden golden(GetParam());
  const nlohmann::json& config = golden.manifest["config"];
  for (const bool mapped : {true, false}) {
    const auto memory = std::make_shared<MemoryFileSystem>();
    VARVE_ASSERT_OK(memory->CreateDirectory("copy-0"));
    ManualClock clock;
    const ActiveSegmentOptions options{.file_system = memory,
                                       .clock = &clock,
                                       .directory = "copy-0",
                                       .segment_bytes = 1 << 20,
                                       .segment_index_bytes = config.value("segment.index.bytes", 10 << 20),
                                       .index_interval_bytes = config.value("index.interval.bytes", 4096),
                                       .mapped = mapped};
    int segments = 0;
    for (const auto& segment : golden.manifest["segments"]) {
      const int64_t base_offset = segment["base"];
      SCOPED_TRACE(::testing::Message() << "segment " << base_offset << (mapped ? ", mapped" : ", by writes"));
      const std::vector<std::byte> log = GoldenFile(golden, base_offset, SegmentFileKind::kLog);
      VARVE_ASSERT_OK_AND_ASSIGN(const auto active, ActiveSegment::Create(options, base_offset));
      std::span<const std::byte> rest = log;
      for (RecordBatchView batch; NextBatch(&rest, &batch);) {
        VARVE_ASSERT_OK(active->Append(batch.bytes(), testing_support::SummaryOf(batch.bytes()), false));
        active->Publish();
      }
      ASSERT_TRUE(rest.empty());
      VARVE_ASSERT_OK(active->Seal());
      for (const SegmentFileKind kind :
           {SegmentFileKind::kLog, SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex}) {
        EXPECT_TRUE(
            testing_support::ReadWholeFile(memory.get(), testing_support::SegmentPath("copy-0", base_offset, kind)) ==
            GoldenFile(golden, base_offset, kind))
            << SegmentFileName(base_offset, kind);
      }
      ++segments;
    }
    EXPECT_GT(segments, 0);
  }
}

// Every case that Kafka opened clean, whatever its history: Kafka's own answers to lookups by offset.
TEST(GoldenSegmentLookupTest, OffsetsAreFoundWhereKafkaFindsThem) {
  int compared = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(VARVE_TEST_DATA "/golden")) {
    if (!entry.is_directory()) continue;
    const Golden golden(entry.path().filename().string());
    if (!golden.manifest["open"].value("clean", false)) continue;
    for (const auto& query : golden.manifest["offset_queries"]) {
      if (query["result"] != "batch") continue;
      SCOPED_TRACE(golden.directory + " offset " + query["offset"].dump());
      VARVE_ASSERT_OK_AND_ASSIGN(const Segment segment,
                                 Segment::Open(FileSystem::Default(), golden.directory, query["segment"]));
      const auto found = segment.FindOffset(query["offset"]);
      ASSERT_TRUE(found.ok() && found->has_value()) << found.status();
      EXPECT_EQ((*found)->segment, query["segment"]);
      EXPECT_EQ((*found)->position, query["position"]);
      EXPECT_EQ((*found)->size_bytes, query["bytes"]);
      EXPECT_EQ((*found)->base_offset, query["base_offset"]);
      EXPECT_EQ((*found)->last_offset, query["last_offset"]);
      EXPECT_EQ((*found)->index_offset, query["index"][0]);
      EXPECT_EQ((*found)->index_position, query["index"][1]);
      ++compared;
    }
  }
  EXPECT_GT(compared, 200);
}

TEST(GoldenSegmentLookupTest, SegmentsAreAsKafkaListsThem) {
  int compared = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(VARVE_TEST_DATA "/golden")) {
    if (!entry.is_directory()) continue;
    const Golden golden(entry.path().filename().string());
    if (!golden.manifest["open"].value("clean", false)) continue;
    SCOPED_TRACE(golden.directory);
    std::vector<int64_t> bases;
    for (const auto& expected : golden.manifest["segments"]) {
      const int64_t base_offset = expected["base"];
      bases.push_back(base_offset);
      VARVE_ASSERT_OK_AND_ASSIGN(const Segment segment,
                                 Segment::Open(FileSystem::Default(), golden.directory, base_offset));
      EXPECT_EQ(segment.base_offset(), base_offset);
      EXPECT_EQ(segment.valid_bytes(), expected["log_bytes"]);
      EXPECT_EQ(segment.next_offset(), expected["next_offset"]);
      int64_t batches = 0;
      for (int64_t position = 0;; ++batches) {
        const auto batch = segment.BatchAt(position);
        ASSERT_TRUE(batch.ok()) << batch.status();
        if (!batch->has_value()) break;
        position += static_cast<int64_t>((*batch)->size_bytes());
      }
      EXPECT_EQ(batches, expected["batches"]);
      ++compared;
    }
    EXPECT_THAT(Segment::List(FileSystem::Default(), golden.directory), testing_support::IsOkAndHolds(bases));
  }
  EXPECT_GT(compared, 40);
}

}  // namespace
}  // namespace varve::internal
