// Every batch and record of the log directories that Apache Kafka wrote, against what Kafka itself found in them.
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "record/batch_scanner.h"
#include "record/byte_file.h"
#include "varve/record_batch.h"

namespace varve::internal {
namespace {

using Json = nlohmann::json;

std::vector<std::byte> ReadWholeFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

// Base64 without its padding has 4 digits for 3 bytes; longer texts stand as "sha256:HEX:LENGTH".
int64_t LengthOf(const Json& text) {
  if (text.is_null()) return -1;
  const auto digits = text.get<std::string>();
  if (digits.starts_with("sha256:")) return std::stoll(digits.substr(digits.rfind(':') + 1));
  return static_cast<int64_t>(digits.find_last_not_of('=') + 1) * 3 / 4;
}

int64_t LengthOf(const std::optional<std::string_view>& text) {
  return text.has_value() ? static_cast<int64_t>(text->size()) : -1;
}

Json Describe(const RecordView& record) {
  return {record.offset(), record.timestamp_ms(), LengthOf(record.key()), LengthOf(record.value()),
          record.header_count()};
}

Json Describe(const Json& record) {
  return {record[0], record[1], LengthOf(record[2]), LengthOf(record[3]), record[4].size()};
}

Json Describe(int64_t segment, const BatchReader& reader) {
  const RecordBatchView batch = reader.batch();
  const bool is_append_time = batch.timestamp_type() == TimestampType::kLogAppendTime;
  Json horizon;
  if (batch.delete_horizon_ms().has_value()) horizon = *batch.delete_horizon_ms();
  return {{"segment", segment},
          {"position", reader.position()},
          {"bytes", batch.size_bytes()},
          {"base_offset", batch.base_offset()},
          {"last_offset", batch.last_offset()},
          {"count", batch.record_count()},
          {"leader_epoch", batch.leader_epoch()},
          {"magic", batch.magic()},
          {"crc", batch.crc()},
          {"codec", CodecName(batch.codec())},
          {"timestamp_type", is_append_time ? "LogAppendTime" : "CreateTime"},
          {"transactional", batch.is_transactional()},
          {"control", batch.is_control()},
          {"delete_horizon", horizon},
          {"max_timestamp", batch.max_timestamp_ms()},
          {"producer_id", batch.producer_id()},
          {"producer_epoch", batch.producer_epoch()},
          {"base_sequence", batch.base_sequence()}};
}

class GoldenBatches : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenBatches, AreReadAsKafkaReadsThem) {
  const std::filesystem::path root = std::filesystem::path(VARVE_TEST_DATA) / "golden" / GetParam();
  const Json manifest = Json::parse(std::ifstream(root / "manifest.json"));
  std::map<int64_t, std::filesystem::path> segments;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().extension() == ".log") segments[std::stoll(entry.path().stem().string())] = entry.path();
  }
  size_t batch_index = 0;
  size_t record_index = 0;
  DecodeBuffer scratch;
  for (const auto& [base, path] : segments) {
    testing_support::ByteFile file(ReadWholeFile(path));
    BatchReader reader(&file, 0, file.size());
    while (true) {
      const absl::StatusOr<bool> found = reader.Next();
      ASSERT_TRUE(found.ok()) << found.status();
      if (!*found) break;
      ASSERT_TRUE(reader.crc_matches()) << path << " " << reader.position();
      ASSERT_LT(batch_index, manifest["batches"].size());
      const Json& expected = manifest["batches"][batch_index++];
      const Json described = Describe(base, reader);
      for (const auto& [name, value] : described.items()) {
        ASSERT_TRUE(expected.contains(name)) << name;
        EXPECT_EQ(value, expected[name]) << name << " of " << expected.dump();
      }
      RecordCursor cursor(reader.batch(), &scratch);
      for (RecordView record; cursor.Next(&record);) {
        ASSERT_LT(record_index, manifest["records"].size());
        EXPECT_EQ(Describe(record), Describe(manifest["records"][record_index++]));
      }
      ASSERT_TRUE(cursor.status().ok()) << cursor.status();
    }
    EXPECT_EQ(reader.end(), ScanEnd::kLimit) << path << ": " << reader.reason();
  }
  EXPECT_EQ(batch_index, manifest["batches"].size());
  EXPECT_EQ(record_index, manifest["records"].size());
  EXPECT_GT(segments.size(), 0U);
}

// The directories that Kafka closed cleanly: the others hold more than their manifests, until they are recovered.
INSTANTIATE_TEST_SUITE_P(Kafka, GoldenBatches,
                         ::testing::Values("plain", "defaults", "codecs", "nulls-headers", "log-append-time",
                                           "timestamps-out-of-order", "batch-1-and-5000", "large-record",
                                           "leader-epochs", "idempotent", "transactions", "big-offsets", "reopened",
                                           "preallocated", "compacted", "empty", "empty-active"),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace varve::internal
