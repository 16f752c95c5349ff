#include "record/batch_filter.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "record/hex.h"
#include "record/random_records.h"
#include "record/vectors.h"
#include "support/status_matchers.h"

namespace varve::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::FromHex;
using testing_support::RandomRecords;
using testing_support::StatusIs;
using testing_support::ToHex;

constexpr int64_t kTime = 1'700'000'000'000;
constexpr FilterRules kRules{.new_horizon_ms = 60'000};
constexpr FilterRules kRetainEmpty{.retain_empty = true, .new_horizon_ms = 60'000};

KeepRecords KeepOnly(std::set<int64_t> offsets) {
  return [offsets = std::move(offsets)](std::span<const RecordView> records, std::span<bool> keep) {
    ASSERT_EQ(records.size(), keep.size());
    for (size_t index = 0; index < records.size(); ++index) keep[index] = offsets.contains(records[index].offset());
  };
}

void KeepAll(std::span<const RecordView>, std::span<bool> keep) { std::ranges::fill(keep, true); }
void KeepNone(std::span<const RecordView>, std::span<bool>) {}

std::string Filtered(BatchFilter* filter, std::span<const std::byte> batch, const FilterRules& rules,
                     const KeepRecords& keep) {
  const absl::StatusOr<FilteredBatch> filtered = filter->Filter(RecordBatchView(batch), rules, keep);
  return filtered.ok() ? ToHex(filtered->bytes) : filtered.status().ToString();
}

// Offsets 10 to 14, the last one a tombstone if asked for.
std::vector<std::byte> FiveRecords(RecordBatchBuilderOptions options, bool with_tombstone = false) {
  options.base_offset = 10;
  RecordBatchBuilder builder(options);
  for (int64_t i = 0; i < 5; ++i) {
    const std::string key(1, static_cast<char>('a' + i));
    Record record{.key = key, .value = "some value", .timestamp_ms = kTime + 100 * ((i * 3) % 5)};
    if (with_tombstone && i == 4) record.value.reset();
    EXPECT_TRUE(builder.Add(record).ok());
  }
  const absl::StatusOr<std::span<const std::byte>> batch = builder.Build();
  EXPECT_TRUE(batch.ok()) << batch.status();
  return {batch->begin(), batch->end()};
}

std::vector<int64_t> OffsetsOf(const RecordBatchView& batch) {
  std::vector<int64_t> offsets;
  DecodeBuffer scratch;
  RecordCursor cursor(batch, &scratch);
  for (RecordView record; cursor.Next(&record);) offsets.push_back(record.offset());
  EXPECT_TRUE(cursor.status().ok()) << cursor.status();
  return offsets;
}

TEST(BatchFilter, LeavesWhatKafkaLeaves) {
  BatchFilter filter;
  const std::vector<std::byte> input = FromHex(testing_support::kCompactionInput);
  EXPECT_EQ(Filtered(&filter, input, kRules, KeepOnly({101})), testing_support::kCompactionKept);
  EXPECT_EQ(Filtered(&filter, input, kRetainEmpty, KeepNone), testing_support::kCompactionEmptied);
  EXPECT_EQ(Filtered(&filter, input, kRules, KeepNone), "");
  EXPECT_EQ(ToHex(*filter.Empty(RecordBatchView(input))), testing_support::kCompactionEmptied);

  // The horizon stays what it was, whatever the time; emptied it goes.
  const std::vector<std::byte> kept = FromHex(testing_support::kCompactionKept);
  EXPECT_EQ(Filtered(&filter, kept, {.new_horizon_ms = 90'000}, KeepAll), testing_support::kCompactionKept);
  const std::vector<std::byte> emptied = FromHex(testing_support::kCompactionEmptied);
  EXPECT_EQ(Filtered(&filter, emptied, kRetainEmpty, KeepAll), testing_support::kCompactionEmptied);
  EXPECT_EQ(Filtered(&filter, emptied, kRules, KeepAll), "");
}

TEST(BatchFilter, HandsOutTheSourceItselfWhereNothingGoes) {
  BatchFilter filter;
  // Compressed by another encoder than ours would be told apart if it were rebuilt.
  for (const testing_support::CodecVector& vector : testing_support::kOneRecord) {
    if (!CodecAvailable(vector.codec)) continue;
    const std::vector<std::byte> batch = FromHex(vector.batch);
    const absl::StatusOr<FilteredBatch> filtered = filter.Filter(RecordBatchView(batch), kRules, KeepAll);
    VARVE_ASSERT_OK(filtered);
    EXPECT_EQ(filtered->bytes.data(), batch.data());
    EXPECT_EQ(filtered->bytes.size(), batch.size());
    EXPECT_EQ(filtered->kept_count, 1);
  }
}

class BatchFilterCodec : public ::testing::TestWithParam<Codec> {};

TEST_P(BatchFilterCodec, RebuildsWithTheSameCodecAndTheSameFrame) {
  if (!CodecAvailable(GetParam())) return;
  BatchFilter filter;
  const std::vector<std::byte> source = FiveRecords({.codec = GetParam(),
                                                     .leader_epoch = 3,
                                                     .producer_id = 77,
                                                     .producer_epoch = 2,
                                                     .base_sequence = 2'147'483'645,
                                                     .transactional = true});
  const absl::StatusOr<FilteredBatch> filtered = filter.Filter(RecordBatchView(source), kRules, KeepOnly({11, 13}));
  VARVE_ASSERT_OK(filtered);
  EXPECT_EQ(filtered->kept_count, 2);
  VARVE_ASSERT_OK_AND_ASSIGN(const RecordBatchView batch, RecordBatchView::Parse(filtered->bytes));
  EXPECT_TRUE(batch.CrcMatches());
  EXPECT_EQ(batch.size_bytes(), filtered->bytes.size());
  EXPECT_EQ(batch.codec(), GetParam());
  EXPECT_EQ(batch.base_offset(), 10);
  EXPECT_EQ(batch.last_offset(), 14);
  EXPECT_EQ(batch.leader_epoch(), 3);
  EXPECT_EQ(batch.producer_id(), 77);
  EXPECT_EQ(batch.producer_epoch(), 2);
  EXPECT_EQ(batch.base_sequence(), 2'147'483'645);
  EXPECT_TRUE(batch.is_transactional());
  EXPECT_FALSE(batch.delete_horizon_ms().has_value());
  EXPECT_EQ(batch.record_count(), 2);
  // Of the records left: 11 at +300, 13 at +400. The source had 10 at +0 and 13 at +400.
  EXPECT_EQ(batch.base_timestamp_ms(), kTime + 300);
  EXPECT_EQ(batch.max_timestamp_ms(), kTime + 400);
  EXPECT_THAT(OffsetsOf(batch), ElementsAre(11, 13));
}

TEST_P(BatchFilterCodec, EmptiesToAnUncompressedHeader) {
  if (!CodecAvailable(GetParam())) return;
  BatchFilter filter;
  const std::vector<std::byte> source = FiveRecords({.codec = GetParam(), .producer_id = 77, .base_sequence = 4});
  const absl::StatusOr<FilteredBatch> filtered = filter.Filter(RecordBatchView(source), kRetainEmpty, KeepNone);
  VARVE_ASSERT_OK(filtered);
  EXPECT_EQ(filtered->kept_count, 0);
  VARVE_ASSERT_OK_AND_ASSIGN(const RecordBatchView batch, RecordBatchView::Parse(filtered->bytes));
  EXPECT_TRUE(batch.CrcMatches());
  EXPECT_EQ(batch.size_bytes(), 61u);
  EXPECT_EQ(batch.attributes(), 0);
  EXPECT_EQ(batch.last_offset(), 14);
  EXPECT_EQ(batch.base_timestamp_ms(), kNoTimestamp);
  EXPECT_EQ(batch.max_timestamp_ms(), kTime + 400);
  EXPECT_EQ(batch.base_sequence(), 4);
}

TEST_P(BatchFilterCodec, SetsAHorizonOnceForWhatCanGoLater) {
  if (!CodecAvailable(GetParam())) return;
  BatchFilter filter;
  struct Case {
    const char* what;
    bool tombstone;
    FilterRules rules;
    std::set<int64_t> kept;
    std::optional<int64_t> horizon_ms;
  };
  const std::set<int64_t> all = {10, 11, 12, 13, 14};
  const Case cases[] = {
      {"values alone", false, {.new_horizon_ms = kTime + 5000}, all, std::nullopt},
      {"a tombstone stays", true, {.new_horizon_ms = kTime + 5000}, all, kTime + 5000},
      {"the tombstone goes", true, {.new_horizon_ms = kTime + 5000}, {10, 12}, std::nullopt},
      {"only the tombstone stays", true, {.new_horizon_ms = kTime + 5000}, {14}, kTime + 5000},
      {"anything can go", false, {.new_horizon_ms = kTime + 5000, .horizon_for_any = true}, all, kTime + 5000},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    const std::vector<std::byte> source = FiveRecords({.codec = GetParam()}, c.tombstone);
    const absl::StatusOr<FilteredBatch> filtered = filter.Filter(RecordBatchView(source), c.rules, KeepOnly(c.kept));
    VARVE_ASSERT_OK(filtered);
    const RecordBatchView batch(filtered->bytes);
    EXPECT_TRUE(batch.CrcMatches());
    EXPECT_EQ(batch.delete_horizon_ms(), c.horizon_ms);
    EXPECT_EQ(OffsetsOf(batch), std::vector<int64_t>(c.kept.begin(), c.kept.end()));
    // Records keep their times, though deltas count from the horizon now.
    DecodeBuffer scratch;
    RecordCursor cursor(batch, &scratch);
    for (RecordView record; cursor.Next(&record);) {
      EXPECT_EQ(record.timestamp_ms(), kTime + 100 * (((record.offset() - 10) * 3) % 5));
    }
    // The next pass, later, changes nothing.
    const std::vector<std::byte> again(filtered->bytes.begin(), filtered->bytes.end());
    EXPECT_EQ(
        Filtered(&filter, again, {.new_horizon_ms = kTime + 9000, .horizon_for_any = c.rules.horizon_for_any}, KeepAll),
        ToHex(again));
  }
}

INSTANTIATE_TEST_SUITE_P(Codecs, BatchFilterCodec,
                         ::testing::Values(Codec::kNone, Codec::kGzip, Codec::kSnappy, Codec::kLz4, Codec::kZstd),
                         [](const auto& codec) { return std::string(CodecName(codec.param)); });

TEST(BatchFilter, KeepsTheLogAppendTime) {
  BatchFilter filter;
  const std::vector<std::byte> source = FiveRecords({.log_append_time_ms = kTime + 9000});
  absl::StatusOr<FilteredBatch> filtered = filter.Filter(RecordBatchView(source), kRules, KeepOnly({12}));
  VARVE_ASSERT_OK(filtered);
  RecordBatchView batch(filtered->bytes);
  EXPECT_EQ(batch.timestamp_type(), TimestampType::kLogAppendTime);
  EXPECT_EQ(batch.max_timestamp_ms(), kTime + 9000);
  EXPECT_EQ(batch.base_timestamp_ms(), kTime + 9000);
  filtered = filter.Filter(RecordBatchView(source), kRetainEmpty, KeepNone);
  VARVE_ASSERT_OK(filtered);
  batch = RecordBatchView(filtered->bytes);
  EXPECT_EQ(batch.timestamp_type(), TimestampType::kLogAppendTime);
  EXPECT_EQ(batch.max_timestamp_ms(), kTime + 9000);
}

TEST(BatchFilter, KeepsRecordsWithoutTimestamp) {
  BatchFilter filter;
  RecordBatchBuilder builder;
  ASSERT_TRUE(builder.Add({.key = "a", .value = "1", .timestamp_ms = kTime}).ok());
  ASSERT_TRUE(builder.Add({.key = "b", .value = "2", .timestamp_ms = kNoTimestamp}).ok());
  VARVE_ASSERT_OK_AND_ASSIGN(const auto source, builder.Build());
  const absl::StatusOr<FilteredBatch> filtered = filter.Filter(RecordBatchView(source), kRules, KeepOnly({1}));
  VARVE_ASSERT_OK(filtered);
  EXPECT_EQ(RecordBatchView(filtered->bytes).base_timestamp_ms(), kNoTimestamp);
  EXPECT_EQ(RecordBatchView(filtered->bytes).max_timestamp_ms(), kNoTimestamp);
}

TEST(BatchFilter, EmptiesAndDatesMarkers) {
  BatchFilter filter;
  const std::vector<std::byte> marker = FromHex(testing_support::kAbortMarker);
  const absl::StatusOr<FilteredBatch> dated =
      filter.Filter(RecordBatchView(marker), {.new_horizon_ms = kTime + 5, .horizon_for_any = true}, KeepAll);
  VARVE_ASSERT_OK(dated);
  const RecordBatchView batch(dated->bytes);
  EXPECT_TRUE(batch.CrcMatches());
  EXPECT_TRUE(batch.is_control());
  EXPECT_EQ(batch.delete_horizon_ms(), kTime + 5);
  EXPECT_EQ(batch.max_timestamp_ms(), kTime);
  RecordCursor cursor(batch, nullptr);
  RecordView record;
  ASSERT_TRUE(cursor.Next(&record));
  EXPECT_EQ(ParseControlRecord(record)->type, static_cast<int16_t>(ControlType::kAbort));
  EXPECT_EQ(ParseControlRecord(record)->coordinator_epoch, 12);

  const auto emptied = filter.Empty(RecordBatchView(marker));
  VARVE_ASSERT_OK(emptied);
  EXPECT_TRUE(RecordBatchView(*emptied).is_control());
  EXPECT_TRUE(RecordBatchView(*emptied).is_transactional());
}

TEST(BatchFilter, AsksAboutSomeRecordsAtATimeInOrder) {
  for (const size_t count : {kRecordsAsked - 1, kRecordsAsked, kRecordsAsked + 1, 3 * kRecordsAsked}) {
    SCOPED_TRACE(count);
    RecordBatchBuilder builder({.base_offset = 1000});
    for (size_t i = 0; i < count; ++i) VARVE_ASSERT_OK(builder.Add({.key = "k", .value = "v", .timestamp_ms = kTime}));
    VARVE_ASSERT_OK_AND_ASSIGN(const auto source, builder.Build());
    std::vector<int64_t> asked;
    BatchFilter filter;
    VARVE_ASSERT_OK(
        filter.Filter(RecordBatchView(source), kRules, [&](std::span<const RecordView> records, std::span<bool> keep) {
          EXPECT_LE(records.size(), kRecordsAsked);
          EXPECT_EQ(records.size(), keep.size());
          for (const RecordView& record : records) asked.push_back(record.offset());
        }));
    std::vector<int64_t> all(count);
    std::iota(all.begin(), all.end(), 1000);
    EXPECT_EQ(asked, all);
  }
}

// Whatever the records, those that are left read as they did before.
TEST(BatchFilter, LeavesRandomRecordsAsTheyWere) {
  std::mt19937 random(20'240'601);
  BatchFilter filter;
  for (int round = 0; round < 200; ++round) {
    const auto records = RandomRecords(&random, 1 + random() % (3 * kRecordsAsked));
    RecordBatchBuilder builder({.codec = static_cast<Codec>(round % 5), .base_offset = 1000});
    if (!CodecAvailable(static_cast<Codec>(round % 5))) continue;
    for (const Record& record : records.views()) VARVE_ASSERT_OK(builder.Add(record));
    VARVE_ASSERT_OK_AND_ASSIGN(const auto source, builder.Build());
    std::set<int64_t> kept;
    for (size_t i = 0; i < records.views().size(); ++i) {
      if (random() % 2 == 0) kept.insert(1000 + static_cast<int64_t>(i));
    }
    const absl::StatusOr<FilteredBatch> filtered = filter.Filter(RecordBatchView(source), kRules, KeepOnly(kept));
    VARVE_ASSERT_OK(filtered);
    ASSERT_EQ(filtered->kept_count, static_cast<int32_t>(kept.size()));
    if (kept.empty()) {
      EXPECT_TRUE(filtered->bytes.empty());
      continue;
    }
    DecodeBuffer scratch;
    RecordCursor cursor(RecordBatchView(filtered->bytes), &scratch);
    for (const int64_t offset : kept) {
      const Record& record = records.views()[static_cast<size_t>(offset - 1000)];
      RecordView view;
      ASSERT_TRUE(cursor.Next(&view)) << cursor.status();
      EXPECT_EQ(view.offset(), offset);
      EXPECT_EQ(view.key(), record.key);
      EXPECT_EQ(view.value(), record.value);
      EXPECT_EQ(view.timestamp_ms(), record.timestamp_ms.value_or(kNoTimestamp));
      EXPECT_TRUE(std::equal(view.headers().begin(), view.headers().end(), record.headers.begin()));
    }
    RecordView none;
    EXPECT_FALSE(cursor.Next(&none));
    VARVE_EXPECT_OK(cursor.status());
  }
}

TEST(BatchFilter, RefusesMalformedBatches) {
  BatchFilter filter;
  std::vector<std::byte> cut = FromHex(testing_support::kCompactionInput);
  cut[60] = std::byte{4};  // one more record than there is
  EXPECT_THAT(filter.Filter(RecordBatchView(cut), kRules, KeepAll).status(), StatusIs(absl::StatusCode::kDataLoss));

  // The second record's offset delta, 1 (02 in the varint), becomes 0: not above the first one's. Nobody minds unless
  // the batch has to be rebuilt.
  std::vector<std::byte> repeated = FromHex(testing_support::kCompactionInput);
  const size_t delta_at = 61 + 9 + 4;
  ASSERT_EQ(repeated[delta_at], std::byte{2});
  repeated[delta_at] = std::byte{0};
  EXPECT_THAT(
      filter.Filter(RecordBatchView(repeated), {.new_horizon_ms = 1}, KeepAll).status(),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("an offset above 100 and up to 102 expected, found 100")));
  repeated[delta_at] = std::byte{8};
  EXPECT_THAT(
      filter.Filter(RecordBatchView(repeated), {.new_horizon_ms = 1}, KeepAll).status(),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("an offset above 100 and up to 102 expected, found 104")));
}

}  // namespace
}  // namespace varve::internal
