#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "record/batch_encoder.h"
#include "record/hex.h"
#include "record/random_records.h"
#include "record/vectors.h"
#include "varve/record_batch.h"

namespace varve {
namespace {

using ::testing::HasSubstr;
using testing_support::FromHex;
using testing_support::RandomRecords;
using testing_support::ToHex;

constexpr int64_t kTime = 1'700'000'000'000;
constexpr int32_t kMaxInt32 = std::numeric_limits<int32_t>::max();

std::string HexOf(const absl::StatusOr<std::span<const std::byte>>& batch) {
  return batch.ok() ? ToHex(*batch) : batch.status().ToString();
}

RecordBatchView ViewOf(const absl::StatusOr<std::span<const std::byte>>& batch) {
  EXPECT_TRUE(batch.ok()) << batch.status();
  return batch.ok() ? RecordBatchView(*batch) : RecordBatchView();
}

TEST(RecordBatchBuilder, WritesEveryCodecAsKafkaDoes) {
  for (const testing_support::CodecVector& vector : testing_support::kOneRecord) {
    RecordBatchBuilder builder({.codec = vector.codec});
    ASSERT_TRUE(builder.Add({.key = "k1", .value = "hello", .timestamp_ms = kTime}).ok());
    EXPECT_EQ(HexOf(builder.Build()), vector.batch) << CodecName(vector.codec);
  }
}

TEST(RecordBatchBuilder, WritesCompressibleBlobsAsKafkaDoes) {
  const std::string value(300, 'x');
  for (const testing_support::CodecVector& vector : testing_support::kCompressibleBlob) {
    RecordBatchBuilder builder({.codec = vector.codec});
    ASSERT_TRUE(builder.Add({.key = "k1", .value = value, .timestamp_ms = kTime}).ok());
    EXPECT_EQ(ToHex(ViewOf(builder.Build()).payload()), vector.batch) << CodecName(vector.codec);
  }
}

const RecordBatchBuilderOptions kProducerOptions = {.base_offset = 1000,
                                                    .leader_epoch = 5,
                                                    .producer_id = 4242,
                                                    .producer_epoch = 7,
                                                    .base_sequence = 99,
                                                    .transactional = true};

void AddThreeRecords(RecordBatchBuilder* builder) {
  const Header headers[] = {{"h1", "v"}, {"", std::nullopt}};
  ASSERT_TRUE(builder->Add({.key = "a", .timestamp_ms = kTime, .headers = headers}).ok());
  ASSERT_TRUE(builder->Add({.value = "", .timestamp_ms = kTime - 1000}).ok());
  ASSERT_TRUE(builder->Add({.key = "bb", .value = "cc", .timestamp_ms = kTime + 500}).ok());
}

TEST(RecordBatchBuilder, WritesProducerFieldsNullsAndHeadersAsKafkaDoes) {
  RecordBatchBuilder builder(kProducerOptions);
  AddThreeRecords(&builder);
  EXPECT_EQ(HexOf(builder.Build()), testing_support::kThreeRecords);
}

TEST(RecordBatchBuilder, WritesLogAppendTimeAsKafkaStampsIt) {
  RecordBatchBuilderOptions options = kProducerOptions;
  options.base_offset = 2000;
  options.leader_epoch = 6;
  options.log_append_time_ms = 1'700'000'009'999;
  RecordBatchBuilder builder(options);
  AddThreeRecords(&builder);
  EXPECT_EQ(HexOf(builder.Build()), testing_support::kThreeRecordsLogAppendTime);
}

TEST(RecordBatchBuilder, RewritesABatchAsKafkasCompactionDoes) {
  const std::vector<std::byte> input = FromHex(testing_support::kCompactionInput);
  RecordBatchBuilderOptions options = {.base_offset = 100,
                                       .leader_epoch = 5,
                                       .producer_id = 4242,
                                       .producer_epoch = 7,
                                       .base_sequence = 10,
                                       .last_offset = 102,
                                       .delete_horizon_ms = 60'000,
                                       .empty_max_timestamp_ms = 3000};
  RecordBatchBuilder builder(options);
  RecordCursor cursor(RecordBatchView(input), nullptr);
  for (RecordView record; cursor.Next(&record);) {
    if (record.offset() != 101) continue;
    ASSERT_TRUE(builder.AddAt(record.offset(), record).ok());
  }
  ASSERT_TRUE(cursor.status().ok()) << cursor.status();
  EXPECT_EQ(HexOf(builder.Build()), testing_support::kCompactionKept);

  // Nothing left: no codec and no horizon, whatever was asked.
  options.codec = Codec::kGzip;
  builder.Reset(options);
  EXPECT_EQ(HexOf(builder.Build()), testing_support::kCompactionEmptied);
}

TEST(BuildTransactionMarker, IsWhatKafkaWrites) {
  MarkerOptions options{.type = ControlType::kCommit,
                        .base_offset = 77,
                        .leader_epoch = 3,
                        .timestamp_ms = kTime,
                        .producer_id = 4242,
                        .producer_epoch = 7,
                        .coordinator_epoch = 12};
  const absl::StatusOr<std::vector<std::byte>> commit = BuildTransactionMarker(options);
  ASSERT_TRUE(commit.ok()) << commit.status();
  EXPECT_EQ(ToHex(*commit), testing_support::kCommitMarker);
  options.type = ControlType::kAbort;
  EXPECT_EQ(ToHex(*BuildTransactionMarker(options)), testing_support::kAbortMarker);
  options.timestamp_ms = -2;
  EXPECT_EQ(BuildTransactionMarker(options).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ParseControlRecord, ReadsMarkersThatKafkaWrote) {
  for (const std::string_view hex : {testing_support::kCommitMarker, testing_support::kAbortMarker}) {
    const std::vector<std::byte> bytes = FromHex(hex);
    RecordCursor cursor(RecordBatchView(bytes), nullptr);
    RecordView record;
    ASSERT_TRUE(cursor.Next(&record));
    const absl::StatusOr<ControlRecord> control = ParseControlRecord(record);
    ASSERT_TRUE(control.ok()) << control.status();
    EXPECT_TRUE(control->IsMarker());
    EXPECT_EQ(control->type, hex == testing_support::kCommitMarker ? 1 : 0);
    EXPECT_EQ(control->version, 0);
    EXPECT_EQ(control->coordinator_epoch, 12);
  }
}

TEST(ParseControlRecord, TakesHigherVersionsAndUnknownTypes) {
  struct Case {
    std::string key, value;
    int16_t version, type;
    int32_t coordinator_epoch;
  };
  const Case cases[] = {
      {"0003000199", "0009000000210000", 3, 1, 33},
      {"00000002", "", 0, 2, -1},
      {"0000fff0", "", 0, -16, -1},
  };
  for (const Case& c : cases) {
    const std::vector<std::byte> key = FromHex(c.key), value = FromHex(c.value);
    const RecordView record(5, 0, std::string_view(reinterpret_cast<const char*>(key.data()), key.size()),
                            std::string_view(reinterpret_cast<const char*>(value.data()), value.size()), {});
    const absl::StatusOr<ControlRecord> control = ParseControlRecord(record);
    ASSERT_TRUE(control.ok()) << control.status();
    EXPECT_EQ(control->version, c.version);
    EXPECT_EQ(control->type, c.type);
    EXPECT_EQ(control->coordinator_epoch, c.coordinator_epoch);
  }
}

TEST(ParseControlRecord, RefusesWhatIsTooShortOrOfNegativeVersion) {
  struct Case {
    std::optional<std::string> key, value;
    std::string message;
  };
  const Case cases[] = {
      {std::nullopt, "", "a key of at least 4 bytes expected, found 0"},
      {"000000", "", "a key of at least 4 bytes expected, found 3"},
      {"ffff0000", "000000000000", "a key version of at least 0 expected, found -1"},
      {"00000001", "0000000000", "a marker value of at least 6 bytes expected, found 5"},
      {"00000001", std::nullopt, "a marker value of at least 6 bytes expected, found 0"},
      {"00000000", "ffff00000000", "a marker version of at least 0 expected, found -1"},
  };
  for (const Case& c : cases) {
    const std::vector<std::byte> key = FromHex(c.key.value_or("")), value = FromHex(c.value.value_or(""));
    const auto text = [](const std::vector<std::byte>& bytes, bool present) -> std::optional<std::string_view> {
      if (!present) return std::nullopt;
      return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    };
    const RecordView record(5, 0, text(key, c.key.has_value()), text(value, c.value.has_value()), {});
    const absl::Status status = ParseControlRecord(record).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr("offset 5: " + c.message));
  }
}

TEST(RecordBatchBuilder, KeepsSparseOffsets) {
  RecordBatchBuilder builder({.base_offset = 10, .default_timestamp_ms = 77});
  ASSERT_TRUE(builder.AddAt(12, Record{.value = "x"}).ok());
  ASSERT_TRUE(builder.Add({.value = "y"}).ok());
  ASSERT_TRUE(builder.AddAt(10 + int64_t{kMaxInt32}, Record{.value = "z"}).ok());
  const RecordBatchView batch = ViewOf(builder.Build());
  EXPECT_EQ(batch.last_offset_delta(), kMaxInt32);
  std::vector<int64_t> offsets;
  RecordCursor cursor(batch, nullptr);
  for (RecordView record; cursor.Next(&record);) {
    offsets.push_back(record.offset());
    EXPECT_EQ(record.timestamp_ms(), 77);
  }
  EXPECT_TRUE(cursor.status().ok());
  EXPECT_THAT(offsets, ::testing::ElementsAre(12, 13, 10 + int64_t{kMaxInt32}));
}

TEST(RecordBatchBuilder, RefusesWhatDoesNotFitAndStaysAsItWas) {
  RecordBatchBuilder builder({.base_offset = 10});
  ASSERT_TRUE(builder.AddAt(11, Record{.value = "x", .timestamp_ms = 5}).ok());
  const std::string before = HexOf(builder.Build());
  const std::string_view huge(before.data(), size_t{1} << 31);
  const std::string_view almost(before.data(), (size_t{1} << 31) - 60);
  const Header huge_key[] = {{huge, std::nullopt}};
  const Header huge_value[] = {{"", huge}};
  struct Case {
    int64_t offset;
    Record record;
    std::string message;
  };
  const Case cases[] = {
      {11, {}, "an offset above 11 expected, found 11"},
      {10, {}, "an offset above 11 expected, found 10"},
      {11 + int64_t{kMaxInt32}, {}, "at most 2^31-1 above the base offset 10 expected"},
      {12, {.timestamp_ms = -2}, "a timestamp of at least -1 expected, found -2"},
      {12, {.key = huge}, "exceeds the 2^31-1 bytes"},
      {12, {.value = huge}, "exceeds the 2^31-1 bytes"},
      {12, {.headers = huge_key}, "exceeds the 2^31-1 bytes"},
      {12, {.headers = huge_value}, "exceeds the 2^31-1 bytes"},
      {12, {.value = almost}, "does not fit a batch"},
      {12, {.key = almost, .value = almost}, "does not fit a batch"},
  };
  for (const Case& c : cases) {
    const absl::Status status = builder.AddAt(c.offset, c.record);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.message;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message));
    EXPECT_EQ(HexOf(builder.Build()), before);
  }
}

TEST(RecordBatchBuilder, RefusesImpossibleOptions) {
  RecordBatchBuilder negative({.base_offset = -5});
  EXPECT_THAT(std::string(negative.Add({}).message()), HasSubstr("a base offset of at least 0 expected, found -5"));

  RecordBatchBuilder last({.base_offset = std::numeric_limits<int64_t>::max()});
  ASSERT_TRUE(last.Add({}).ok());
  EXPECT_EQ(last.Add({}).code(), absl::StatusCode::kInvalidArgument);

  RecordBatchBuilder empty;
  EXPECT_THAT(std::string(empty.Build().status().message()), HasSubstr("at least one record"));

  for (const int64_t last_offset : {int64_t{99}, int64_t{100}, 101 + int64_t{kMaxInt32}}) {
    RecordBatchBuilder builder({.base_offset = 100, .last_offset = last_offset});
    ASSERT_TRUE(builder.AddAt(101, Record{}).ok());
    EXPECT_EQ(builder.Build().status().code(), absl::StatusCode::kInvalidArgument) << last_offset;
  }

  RecordBatchBuilder level({.codec = Codec::kGzip, .compression_level = 10});
  ASSERT_TRUE(level.Add({}).ok());
  EXPECT_EQ(level.Build().status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(RecordBatchBuilder, TellsItsSizeBeforehand) {
  std::mt19937 random(11);
  RecordBatchBuilder builder;
  EXPECT_EQ(builder.size_bytes(), 61U);
  const testing_support::OwnedRecords records = RandomRecords(&random, 100);
  for (const Record& record : records.views()) {
    const size_t expected = builder.SizeWith(record);
    ASSERT_TRUE(builder.Add(record).ok());
    EXPECT_EQ(builder.size_bytes(), expected);
  }
  EXPECT_EQ(builder.record_count(), 100);
  EXPECT_EQ(ViewOf(builder.Build()).size_bytes(), builder.size_bytes());
}

TEST(RecordBatchBuilder, GoesOnAfterABuildAndStartsAnewAfterAReset) {
  RecordBatchBuilder builder({.codec = Codec::kZstd});
  ASSERT_TRUE(builder.Add({.value = "1", .timestamp_ms = 9}).ok());
  const std::string one = HexOf(builder.Build());
  ASSERT_TRUE(builder.Add({.value = "2", .timestamp_ms = 8}).ok());
  EXPECT_EQ(ViewOf(builder.Build()).record_count(), 2);
  builder.Reset();
  EXPECT_EQ(builder.record_count(), 0);
  ASSERT_TRUE(builder.Add({.value = "1", .timestamp_ms = 9}).ok());
  EXPECT_EQ(HexOf(builder.Build()), one);
}

// Records of every shape, through every codec, both ways of building, and back.
TEST(RecordBatch, RandomRecordsRoundTrip) {
  constexpr uint32_t kSeed = 20'261'122;
  std::mt19937 random(kSeed);
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE(round);
    const auto codec = static_cast<Codec>(round % 5);
    const testing_support::OwnedRecords owned = RandomRecords(&random, 1 + random() % 50);
    const std::span<const Record> records = owned.views();
    const auto base_offset = static_cast<int64_t>(random());

    RecordBatchBuilder builder({.codec = codec, .base_offset = base_offset, .default_timestamp_ms = kTime});
    for (const Record& record : records) ASSERT_TRUE(builder.Add(record).ok());
    const absl::StatusOr<std::span<const std::byte>> built = builder.Build();
    ASSERT_TRUE(built.ok()) << built.status();

    const internal::BatchStamp stamp{.base_offset = base_offset, .now_ms = kTime, .codec = codec};
    internal::BatchPlan plan;
    ASSERT_TRUE(internal::PlanBatch(records, stamp, &plan).ok());
    std::vector<std::byte> encoded(plan.size_bytes);
    if (codec == Codec::kNone) {
      internal::EncodeBatch(records, stamp, plan, encoded.data());
    } else {
      ASSERT_TRUE(internal::EncodeCompressedBatch(records, stamp, plan, &encoded).ok());
    }
    ASSERT_TRUE(std::ranges::equal(encoded, *built)) << "the hot path and the builder write the same bytes";

    const absl::StatusOr<RecordBatchView> batch = RecordBatchView::Parse(encoded);
    ASSERT_TRUE(batch.ok()) << batch.status();
    EXPECT_TRUE(batch->CrcMatches());
    EXPECT_EQ(batch->last_offset(), plan.last_offset);
    EXPECT_EQ(batch->max_timestamp_ms(), plan.max_timestamp_ms);
    DecodeBuffer scratch;
    RecordCursor cursor(*batch, &scratch);
    size_t index = 0;
    for (RecordView record; cursor.Next(&record); ++index) {
      ASSERT_LT(index, records.size());
      EXPECT_EQ(record.offset(), base_offset + static_cast<int64_t>(index));
      EXPECT_EQ(record.timestamp_ms(), records[index].timestamp_ms.value_or(kTime));
      EXPECT_EQ(record.key(), records[index].key);
      EXPECT_EQ(record.value(), records[index].value);
      EXPECT_TRUE(std::ranges::equal(record.headers(), records[index].headers));
    }
    EXPECT_TRUE(cursor.status().ok()) << cursor.status();
    EXPECT_EQ(index, records.size());
  }
}

}  // namespace
}  // namespace varve
