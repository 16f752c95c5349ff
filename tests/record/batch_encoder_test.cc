#include "record/batch_encoder.h"

#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "record/hex.h"
#include "record/vectors.h"

namespace varve::internal {
namespace {

using ::testing::HasSubstr;
using testing_support::ToHex;

constexpr int64_t kTime = 1'700'000'000'000;

std::string Encode(std::span<const Record> records, const BatchStamp& stamp) {
  BatchPlan plan;
  const absl::Status planned = PlanBatch(records, stamp, &plan);
  if (!planned.ok()) return planned.ToString();
  // One byte more shows a write beyond the planned size.
  std::vector<std::byte> bytes(plan.size_bytes + 1, std::byte{0xee});
  EncodeBatch(records, stamp, plan, bytes.data());
  EXPECT_EQ(bytes.back(), std::byte{0xee});
  bytes.pop_back();
  return ToHex(bytes);
}

TEST(EncodeBatch, WritesWhatKafkaWrites) {
  const Record one[] = {{.key = "k1", .value = "hello", .timestamp_ms = kTime}};
  EXPECT_EQ(Encode(one, {}), testing_support::kOneRecord[0].batch);

  const Header headers[] = {{"h1", "v"}, {"", std::nullopt}};
  const Record three[] = {{.key = "a", .timestamp_ms = kTime, .headers = headers},
                          {.value = "", .timestamp_ms = kTime - 1000},
                          {.key = "bb", .value = "cc", .timestamp_ms = kTime + 500}};
  BatchStamp stamp{.base_offset = 1000,
                   .leader_epoch = 5,
                   .producer_id = 4242,
                   .producer_epoch = 7,
                   .base_sequence = 99,
                   .transactional = true};
  EXPECT_EQ(Encode(three, stamp), testing_support::kThreeRecords);
  stamp.base_offset = 2000;
  stamp.leader_epoch = 6;
  stamp.timestamp_type = TimestampType::kLogAppendTime;
  stamp.now_ms = 1'700'000'009'999;
  EXPECT_EQ(Encode(three, stamp), testing_support::kThreeRecordsLogAppendTime);
}

TEST(EncodeBatch, GivesRecordsWithoutTimestampTheClock) {
  const Record records[] = {{.key = "k1", .value = "hello"}};
  EXPECT_EQ(Encode(records, {.now_ms = kTime}), testing_support::kOneRecord[0].batch);
}

TEST(PlanBatch, LargestTimestampIsMinusOneOnlyIfAllAre) {
  const Record none[] = {{.timestamp_ms = kNoTimestamp}, {.timestamp_ms = kNoTimestamp}};
  const Record second[] = {{.timestamp_ms = kNoTimestamp}, {.timestamp_ms = 50}};
  const Record farthest[] = {{.timestamp_ms = kNoTimestamp}, {.timestamp_ms = std::numeric_limits<int64_t>::max()}};
  BatchPlan plan;
  ASSERT_TRUE(PlanBatch(none, {.now_ms = kTime}, &plan).ok());
  EXPECT_EQ(plan.max_timestamp_ms, kNoTimestamp);
  ASSERT_TRUE(PlanBatch(second, {.now_ms = kTime}, &plan).ok());
  EXPECT_EQ(plan.base_timestamp_ms, kNoTimestamp);
  EXPECT_EQ(plan.max_timestamp_ms, 50);
  // The delta between the two wraps, and comes back right.
  ASSERT_TRUE(PlanBatch(farthest, {}, &plan).ok());
  std::vector<std::byte> bytes(plan.size_bytes);
  EncodeBatch(farthest, {}, plan, bytes.data());
  RecordCursor cursor(RecordBatchView(bytes), nullptr);
  RecordView record;
  ASSERT_TRUE(cursor.Next(&record));
  ASSERT_TRUE(cursor.Next(&record));
  EXPECT_EQ(record.timestamp_ms(), std::numeric_limits<int64_t>::max());
}

TEST(PlanBatch, RefusesWhatNoBatchCanHold) {
  const std::string text = "text";
  const std::string_view huge(text.data(), size_t{1} << 31);
  const std::string_view half(text.data(), size_t{1} << 30);
  const Header huge_key[] = {{huge, std::nullopt}};
  const Header huge_value[] = {{"", huge}};
  const Record one[] = {{}};
  const Record two[] = {{}, {}};
  const Record early[] = {{}, {.timestamp_ms = -2}};
  const Record key[] = {{.key = huge}};
  const Record value[] = {{.value = huge}};
  const Record header_key[] = {{.headers = huge_key}};
  const Record header_value[] = {{.headers = huge_value}};
  const Record body[] = {{.key = half, .value = half}};
  const Record total[] = {{.value = half}, {.value = half}};
  constexpr int64_t kLast = std::numeric_limits<int64_t>::max();
  struct Case {
    std::span<const Record> records;
    int64_t base_offset;
    std::string message;
  };
  const Case cases[] = {
      {{}, 0, "at least one record, found none"},
      {one, -1, "between base offset -1 and 2^63-2"},
      {one, kLast, "1 records do not fit between base offset 9223372036854775807 and 2^63-2"},
      {two, kLast, "2 records do not fit between base offset 9223372036854775807"},
      {early, 0, "record 1: a timestamp of at least -1 expected, found -2"},
      {key, 0, "record 0: a key, value or header exceeds the 2^31-1 bytes"},
      {value, 0, "record 0: a key, value or header exceeds the 2^31-1 bytes"},
      {header_key, 0, "record 0: a key, value or header exceeds the 2^31-1 bytes"},
      {header_value, 0, "record 0: a key, value or header exceeds the 2^31-1 bytes"},
      {body, 0, "record 0 of 1: the batch would exceed the 2^31-1 bytes"},
      {total, 0, "record 1 of 2: the batch would exceed the 2^31-1 bytes"},
  };
  for (const Case& c : cases) {
    BatchPlan plan;
    const absl::Status status = PlanBatch(c.records, {.base_offset = c.base_offset}, &plan);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message));
  }
  BatchPlan plan;
  EXPECT_TRUE(PlanBatch(one, {.base_offset = kLast - 1}, &plan).ok());
}

TEST(EncodeCompressedBatch, WritesWhatKafkaWrites) {
  const Record records[] = {{.key = "k1", .value = "hello", .timestamp_ms = kTime}};
  for (const testing_support::CodecVector& vector : testing_support::kOneRecord) {
    BatchPlan plan;
    const BatchStamp stamp{.codec = vector.codec};
    ASSERT_TRUE(PlanBatch(records, stamp, &plan).ok());
    std::vector<std::byte> batch(3);
    ASSERT_TRUE(EncodeCompressedBatch(records, stamp, plan, &batch).ok());
    EXPECT_EQ(ToHex(batch), vector.batch) << CodecName(vector.codec);
  }
}

TEST(EncodeCompressedBatch, PassesOnWhatTheCodecRefuses) {
  const Record records[] = {{.value = "v"}};
  const BatchStamp stamp{.codec = Codec::kZstd, .compression_level = 23};
  BatchPlan plan;
  ASSERT_TRUE(PlanBatch(records, stamp, &plan).ok());
  std::vector<std::byte> batch;
  EXPECT_EQ(EncodeCompressedBatch(records, stamp, plan, &batch).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace varve::internal
