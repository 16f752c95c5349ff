#include "record/batch_validator.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "record/hex.h"
#include "record/vectors.h"
#include "support/status_matchers.h"
#include "varve/errors.h"

namespace varve::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::FromHex;
using testing_support::IsOk;
using testing_support::StatusIs;
using testing_support::ToHex;

constexpr int64_t kNow = 1'700'000'000'000;

using Bytes = std::vector<std::byte>;

// Records "0", "1", ... with keys, all of time kNow.
Bytes Batch(RecordBatchBuilderOptions options = {}, int count = 3) {
  options.default_timestamp_ms = kNow;
  RecordBatchBuilder builder(options);
  for (int i = 0; i < count; ++i) {
    const std::string text = std::to_string(i);
    VARVE_EXPECT_OK(builder.Add({.key = text, .value = text}));
  }
  const absl::StatusOr<std::span<const std::byte>> batch = builder.Build();
  VARVE_EXPECT_OK(batch);
  return {batch->begin(), batch->end()};
}

template <typename T>
Bytes With(Bytes batch, size_t position, T value) {
  StoreBigEndian(batch.data() + position, value);
  SealBatch(batch);
  return batch;
}

LeaderRules Rules() { return {.log_end_offset = 500, .leader_epoch = 9, .now_ms = kNow}; }

// What the log would have written.
struct Appended {
  absl::Status status;
  Bytes bytes;
  bool rebuilt = false;
};

Appended AppendAsLeader(std::span<const std::byte> input, const LeaderRules& rules) {
  ValidatorScratch scratch;
  const absl::StatusOr<LeaderPlan> plan = ValidateAsLeader(input, rules, &scratch);
  if (!plan.ok()) return {.status = plan.status(), .bytes = {}};
  Appended appended{
      .status = absl::OkStatus(), .bytes = Bytes(plan->bytes.begin(), plan->bytes.end()), .rebuilt = plan->rebuilt};
  if (appended.bytes.empty()) return appended;
  RestampBatch(appended.bytes, plan->restamp);
  const RecordBatchView written(appended.bytes);
  EXPECT_TRUE(written.CrcMatches());
  EXPECT_EQ(written.base_offset(), rules.log_end_offset);
  EXPECT_EQ(written.leader_epoch(), rules.leader_epoch);
  // The header that the plan announces is the one written.
  BatchHeader announced = plan->header;
  announced.crc = written.crc();
  Bytes header(kBatchHeaderBytes);
  EncodeBatchHeader(announced, header.data());
  EXPECT_EQ(ToHex(header), ToHex(written.bytes().first(kBatchHeaderBytes)));
  return appended;
}

struct ReadRecord {
  int64_t offset;
  int64_t timestamp_ms;
  std::string value;
  friend bool operator==(const ReadRecord&, const ReadRecord&) = default;
};

std::vector<ReadRecord> Read(std::span<const std::byte> batch) {
  std::vector<ReadRecord> records;
  DecodeBuffer scratch;
  RecordCursor cursor(RecordBatchView(batch), &scratch);
  for (RecordView record; cursor.Next(&record);) {
    records.push_back({record.offset(), record.timestamp_ms(), std::string(record.value().value_or("null"))});
  }
  VARVE_EXPECT_OK(cursor.status());
  return records;
}

TEST(ValidateAsLeader, StampsInPlaceWithoutTouchingTheChecksum) {
  for (const Codec codec : {Codec::kNone, Codec::kGzip, Codec::kSnappy, Codec::kLz4, Codec::kZstd}) {
    const Bytes input = Batch({.codec = codec});
    const Appended appended = AppendAsLeader(input, Rules());
    VARVE_ASSERT_OK(appended.status);
    EXPECT_FALSE(appended.rebuilt);
    EXPECT_EQ(RecordBatchView(appended.bytes).crc(), RecordBatchView(input).crc());
    EXPECT_THAT(Read(appended.bytes),
                ElementsAre(ReadRecord{500, kNow, "0"}, ReadRecord{501, kNow, "1"}, ReadRecord{502, kNow, "2"}));
  }
}

TEST(ValidateAsLeader, DropsAPartialTailSilently) {
  const Bytes whole = Batch();
  Bytes input = whole;
  input.insert(input.end(), whole.begin(), whole.end() - 1);
  EXPECT_EQ(AppendAsLeader(input, Rules()).bytes.size(), whole.size());

  // Without a whole one there is nothing to append: an error from a client.
  for (const size_t size : {size_t{0}, size_t{17}, whole.size() - 1}) {
    LeaderRules rules = Rules();
    const absl::Status refused = AppendAsLeader(std::span(whole).first(size), rules).status;
    EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("one whole batch expected")));
    EXPECT_EQ(KafkaErrorOf(refused), KafkaError::kInvalidRecord);
    rules.client_origin = false;
    const Appended appended = AppendAsLeader(std::span(whole).first(size), rules);
    VARVE_EXPECT_OK(appended.status);
    EXPECT_THAT(appended.bytes, IsEmpty());
  }
}

TEST(ValidateAsLeader, LeavesRoomForALogEndBehindTheBatch) {
  LeaderRules rules = Rules();
  const Bytes input = Batch();
  rules.log_end_offset = std::numeric_limits<int64_t>::max() - 3;
  VARVE_EXPECT_OK(AppendAsLeader(input, rules).status);
  ++rules.log_end_offset;
  EXPECT_THAT(AppendAsLeader(input, rules).status,
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("3 offsets")));
}

TEST(ValidateAsLeader, TakesExactlyTheLargestSizeAsReceived) {
  const Bytes input = Batch();
  LeaderRules rules = Rules();
  rules.max_message_bytes = static_cast<int64_t>(input.size());
  VARVE_EXPECT_OK(AppendAsLeader(input, rules).status);
  --rules.max_message_bytes;
  EXPECT_EQ(KafkaErrorOf(AppendAsLeader(input, rules).status), KafkaError::kMessageTooLarge);
}

TEST(ValidateAsLeader, CountsTheCompressedSizeHoweverLargeTheDecoded) {
  RecordBatchBuilder builder({.codec = Codec::kZstd});
  const std::string value(10'000'000, 'x');
  VARVE_ASSERT_OK(builder.Add({.value = value, .timestamp_ms = kNow}));
  LeaderRules rules = Rules();
  rules.max_message_bytes = 10'000;
  VARVE_EXPECT_OK(AppendAsLeader(*builder.Build(), rules).status);
  // Rebuilt without compression it no longer fits: the size is checked once more.
  rules.codec = Codec::kNone;
  EXPECT_EQ(KafkaErrorOf(AppendAsLeader(*builder.Build(), rules).status), KafkaError::kMessageTooLarge);
}

// Every way to be refused: what is wrong, the number Kafka answers, the words.
TEST(ValidateAsLeader, RefusesWithKafkasErrorNumber) {
  const Bytes good = Batch();
  Bytes bad_crc = good;
  bad_crc.back() ^= std::byte{1};
  Bytes two = good;
  two.insert(two.end(), good.begin(), good.end());
  Bytes invalid_behind = good;
  invalid_behind.insert(invalid_behind.end(), 20, std::byte{0});
  Bytes length_13 = good;
  StoreBigEndian(length_13.data() + kLengthPosition, int32_t{13});
  Bytes magic_3 = good;
  StoreBigEndian(magic_3.data() + kMagicPosition, int8_t{3});
  const Bytes producer = Batch({.producer_id = 1, .producer_epoch = 0, .base_sequence = 0});
  struct Case {
    std::string name;
    Bytes input;
    absl::StatusCode code;
    KafkaError error;
    std::string message;
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  const Case cases[] = {
      {"length", length_13, kInvalid, KafkaError::kCorruptMessage, "a batch length of at least 14 expected, found 13"},
      {"magic 3", magic_3, kInvalid, KafkaError::kCorruptMessage, "magic 2 expected, found 3"},
      {"magic 0", FromHex(testing_support::kMagic0), absl::StatusCode::kUnimplemented,
       KafkaError::kUnsupportedForMessageFormat, "magic 2 expected, found 0"},
      {"magic 1", FromHex(testing_support::kMagic1), absl::StatusCode::kUnimplemented,
       KafkaError::kUnsupportedForMessageFormat, "magic 2 expected, found 1"},
      {"base offset", With(good, kBaseOffsetPosition, int64_t{5}), kInvalid, KafkaError::kInvalidRecord,
       "a base offset of 0 expected from a client, found 5"},
      {"checksum", bad_crc, kInvalid, KafkaError::kCorruptMessage, "checksum"},
      {"two batches", two, kInvalid, KafkaError::kInvalidRecord, "one batch an append expected"},
      {"no batch behind", invalid_behind, kInvalid, KafkaError::kCorruptMessage, "a batch length of at least 14"},
      {"negative delta", With(good, kLastOffsetDeltaPosition, int32_t{-1}), kInvalid, KafkaError::kInvalidRecord,
       "a last offset delta of at least 0 expected, found -1"},
      {"no records", With(good, kRecordCountPosition, int32_t{0}), kInvalid, KafkaError::kInvalidRecord,
       "a record count of at least 1 expected, found 0"},
      {"negative count", With(good, kRecordCountPosition, int32_t{-1}), kInvalid, KafkaError::kInvalidRecord,
       "a record count of at least 1 expected, found -1"},
      {"count too small", With(good, kRecordCountPosition, int32_t{2}), kInvalid, KafkaError::kInvalidRecord,
       "one more than the last offset delta 2 expected, found 2"},
      {"delta too large", With(good, kLastOffsetDeltaPosition, std::numeric_limits<int32_t>::max()), kInvalid,
       KafkaError::kInvalidRecord, "one more than the last offset delta 2147483647 expected, found 3"},
      {"control batch", With(good, kAttributesPosition, kControlBit), kInvalid, KafkaError::kInvalidRecord,
       "found a control batch from a client"},
      {"no sequence", With(producer, kBaseSequencePosition, int32_t{-1}), kInvalid, KafkaError::kInvalidRecord,
       "a base sequence of at least 0 expected, found -1"},
      {"malformed record", With(good, kBatchHeaderBytes, int8_t{-1}), kInvalid, KafkaError::kInvalidRecord,
       "record 0 of 3"},
      {"malformed blob", With(good, kAttributesPosition, int16_t{4}), kInvalid, KafkaError::kInvalidRecord, "zstd"},
      {"no such codec", With(good, kAttributesPosition, int16_t{5}), kInvalid, KafkaError::kInvalidRecord, "found 5"},
  };
  for (const Case& c : cases) {
    const absl::Status status = AppendAsLeader(c.input, Rules()).status;
    EXPECT_THAT(status, StatusIs(c.code, HasSubstr(c.message))) << c.name;
    EXPECT_EQ(KafkaErrorOf(status), c.error) << c.name;
  }
  VARVE_EXPECT_OK(AppendAsLeader(good, Rules()).status);
  VARVE_EXPECT_OK(AppendAsLeader(producer, Rules()).status);
}

TEST(ValidateAsLeader, TakesFromItsOwnHostWhatItRefusesOfClients) {
  LeaderRules rules = Rules();
  rules.client_origin = false;
  const Bytes good = Batch();
  VARVE_EXPECT_OK(AppendAsLeader(With(good, kBaseOffsetPosition, int64_t{5}), rules).status);
  VARVE_EXPECT_OK(AppendAsLeader(With(good, kLastOffsetDeltaPosition, int32_t{7}), rules).status);
  // A marker stays uncompressed whatever the log's codec.
  rules.codec = Codec::kZstd;
  rules.log_end_offset = 77;
  rules.leader_epoch = 3;
  const Appended marker = AppendAsLeader(FromHex(testing_support::kCommitMarker), rules);
  VARVE_ASSERT_OK(marker.status);
  EXPECT_FALSE(marker.rebuilt);
  EXPECT_EQ(ToHex(marker.bytes), testing_support::kCommitMarker);
}

TEST(ValidateAsLeader, ABatchThatDecodesToTooMuchIsAnErrorOfItsOwn) {
  ValidatorScratch scratch{.decoded = DecodeBuffer(5), .builder = {}};
  EXPECT_THAT(ValidateAsLeader(Batch({.codec = Codec::kGzip}), Rules(), &scratch),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("at most 5 bytes")));
}

TEST(ValidateAsLeader, WantsKeysInACompactedLog) {
  RecordBatchBuilder builder;
  VARVE_ASSERT_OK(builder.Add({.key = "k", .timestamp_ms = kNow}));
  LeaderRules rules = Rules();
  rules.compacted = true;
  VARVE_EXPECT_OK(AppendAsLeader(*builder.Build(), rules).status);
  VARVE_ASSERT_OK(builder.Add({.value = "v", .timestamp_ms = kNow}));
  const absl::Status status = AppendAsLeader(*builder.Build(), rules).status;
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("record 1: a key expected")));
  EXPECT_EQ(KafkaErrorOf(status), KafkaError::kInvalidRecord);
}

TEST(ValidateAsLeader, HoldsTimestampsWithinTheirBounds) {
  constexpr int64_t kForever = std::numeric_limits<int64_t>::max();
  struct Case {
    int64_t timestamp_ms, before_max_ms, after_max_ms;
    bool accepted;
  };
  const Case cases[] = {
      {kNow - 10, 10, 10, true},     {kNow - 11, 10, 10, false},      {kNow + 10, 10, 10, true},
      {kNow + 11, 10, 10, false},    {kNoTimestamp, 0, 0, true},      {0, kForever, 0, true},
      {kForever, 0, kForever, true}, {kForever, 0, 3'600'000, false},
  };
  for (const Case& c : cases) {
    RecordBatchBuilder builder;
    VARVE_ASSERT_OK(builder.Add({.timestamp_ms = c.timestamp_ms}));
    LeaderRules rules = Rules();
    rules.before_max_ms = c.before_max_ms;
    rules.after_max_ms = c.after_max_ms;
    const absl::Status status = AppendAsLeader(*builder.Build(), rules).status;
    EXPECT_EQ(status.ok(), c.accepted) << c.timestamp_ms << status;
    if (!c.accepted) {
      EXPECT_EQ(KafkaErrorOf(status), KafkaError::kInvalidTimestamp);
    }
    // With log append time the producer's clock does not matter.
    rules.timestamp_type = TimestampType::kLogAppendTime;
    VARVE_EXPECT_OK(AppendAsLeader(*builder.Build(), rules).status);
  }
  // Bounds around a clock near the ends of time do not wrap.
  RecordBatchBuilder builder;
  VARVE_ASSERT_OK(builder.Add({.timestamp_ms = 5}));
  LeaderRules rules = Rules();
  rules.now_ms = -10;
  VARVE_EXPECT_OK(AppendAsLeader(*builder.Build(), rules).status);
}

TEST(ValidateAsLeader, RefusesALogAppendTimeBatchWhereKafkaDoes) {
  const Bytes stamped = Batch({.log_append_time_ms = kNow});
  const Bytes stamped_without_time = Batch({.log_append_time_ms = kNoTimestamp});
  LeaderRules create_time = Rules();
  LeaderRules append_time = Rules();
  append_time.timestamp_type = TimestampType::kLogAppendTime;
  EXPECT_EQ(KafkaErrorOf(AppendAsLeader(stamped, append_time).status), KafkaError::kInvalidTimestamp);
  EXPECT_EQ(KafkaErrorOf(AppendAsLeader(stamped_without_time, create_time).status), KafkaError::kInvalidTimestamp);
  // Otherwise the bit is cleared, with a new checksum.
  const Appended appended = AppendAsLeader(stamped, create_time);
  VARVE_ASSERT_OK(appended.status);
  EXPECT_EQ(RecordBatchView(appended.bytes).timestamp_type(), TimestampType::kCreateTime);
  EXPECT_EQ(RecordBatchView(appended.bytes).max_timestamp_ms(), kNow);
}

TEST(ValidateAsLeader, CorrectsAMaxTimestampThatIsNotTheLargest) {
  const Bytes wrong = With(Batch(), kMaxTimestampPosition, int64_t{42});
  const Appended appended = AppendAsLeader(wrong, Rules());
  VARVE_ASSERT_OK(appended.status);
  EXPECT_EQ(RecordBatchView(appended.bytes).max_timestamp_ms(), kNow);
}

TEST(ValidateAsLeader, StampsLogAppendTimeAsKafkaDoes) {
  Bytes input = FromHex(testing_support::kThreeRecords);
  StoreBigEndian(input.data() + kBaseOffsetPosition, int64_t{0});
  LeaderRules rules = Rules();
  rules.log_end_offset = 2000;
  rules.leader_epoch = 6;
  rules.now_ms = 1'700'000'009'999;
  rules.timestamp_type = TimestampType::kLogAppendTime;
  const Appended appended = AppendAsLeader(input, rules);
  VARVE_ASSERT_OK(appended.status);
  EXPECT_EQ(ToHex(appended.bytes), testing_support::kThreeRecordsLogAppendTime);
}

TEST(ValidateAsLeader, RebuildsForAnotherCodecAndKeepsTheProducer) {
  const RecordBatchBuilderOptions options{
      .producer_id = 4242, .producer_epoch = 7, .base_sequence = 99, .transactional = true};
  for (const Codec from : {Codec::kNone, Codec::kGzip, Codec::kSnappy, Codec::kLz4, Codec::kZstd}) {
    for (const Codec to : {Codec::kNone, Codec::kGzip, Codec::kSnappy, Codec::kLz4, Codec::kZstd}) {
      for (const TimestampType type : {TimestampType::kCreateTime, TimestampType::kLogAppendTime}) {
        RecordBatchBuilderOptions with_codec = options;
        with_codec.codec = from;
        LeaderRules rules = Rules();
        rules.codec = to;
        rules.timestamp_type = type;
        rules.now_ms = kNow + 5;
        const Appended appended = AppendAsLeader(Batch(with_codec), rules);
        VARVE_ASSERT_OK(appended.status);
        EXPECT_EQ(appended.rebuilt, from != to);
        const RecordBatchView batch(appended.bytes);
        EXPECT_EQ(batch.codec(), to);
        EXPECT_EQ(batch.producer_id(), 4242);
        EXPECT_EQ(batch.producer_epoch(), 7);
        EXPECT_EQ(batch.base_sequence(), 99);
        EXPECT_TRUE(batch.is_transactional());
        EXPECT_EQ(batch.timestamp_type(), type);
        const int64_t time = type == TimestampType::kLogAppendTime ? kNow + 5 : kNow;
        EXPECT_THAT(Read(appended.bytes),
                    ElementsAre(ReadRecord{500, time, "0"}, ReadRecord{501, time, "1"}, ReadRecord{502, time, "2"}));
      }
    }
  }
}

TEST(ValidateAsLeader, RebuildsACompressedBatchWhoseInnerOffsetsAreNotConsecutive) {
  RecordBatchBuilder builder({.codec = Codec::kLz4});
  VARVE_ASSERT_OK(builder.AddAt(1, Record{.value = "0", .timestamp_ms = kNow}));
  VARVE_ASSERT_OK(builder.AddAt(2, Record{.value = "1", .timestamp_ms = kNow}));
  const absl::StatusOr<std::span<const std::byte>> built = builder.Build();
  const Bytes input = With(Bytes(built->begin(), built->end()), kLastOffsetDeltaPosition, int32_t{1});
  const Appended appended = AppendAsLeader(input, Rules());
  VARVE_ASSERT_OK(appended.status);
  EXPECT_TRUE(appended.rebuilt);
  EXPECT_EQ(RecordBatchView(appended.bytes).codec(), Codec::kLz4);
  EXPECT_THAT(Read(appended.bytes), ElementsAre(ReadRecord{500, kNow, "0"}, ReadRecord{501, kNow, "1"}));
}

// Bits 7 to 15 go where the timestamps change the checksum, and stay where nothing does.
TEST(ValidateAsLeader, ClearsUnknownAttributesWithTheTimestamps) {
  const Bytes input = With(Batch(), kAttributesPosition, int16_t{0x7f80});
  LeaderRules rules = Rules();
  EXPECT_EQ(DecodeBatchHeader(AppendAsLeader(input, rules).bytes.data()).attributes, 0x7f80);
  rules.timestamp_type = TimestampType::kLogAppendTime;
  EXPECT_EQ(DecodeBatchHeader(AppendAsLeader(input, rules).bytes.data()).attributes, kLogAppendTimeBit);
}

TEST(ValidateAsLeader, RefusesALevelThatTheCodecDoesNotHave) {
  LeaderRules rules = Rules();
  rules.codec = Codec::kGzip;
  rules.compression_level = 99;
  EXPECT_THAT(AppendAsLeader(Batch(), rules).status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("level")));
}

TEST(ValidateAsLeader, NoFlippedBitInWhatTheChecksumCoversIsAppended) {
  const Bytes good = Batch({.codec = Codec::kGzip});
  for (size_t bit = kCrcPosition * 8; bit < good.size() * 8; ++bit) {
    Bytes flipped = good;
    flipped[bit / 8] ^= std::byte{1} << (bit % 8);
    const absl::Status status = AppendAsLeader(flipped, Rules()).status;
    EXPECT_EQ(KafkaErrorOf(status), KafkaError::kCorruptMessage) << bit;
  }
}

TEST(RestampBatch, LeavesTimestampsAloneUnlessAsked) {
  Bytes batch = Batch();
  const uint32_t crc = RecordBatchView(batch).crc();
  RestampBatch(batch, 77, 4);
  EXPECT_EQ(RecordBatchView(batch).base_offset(), 77);
  EXPECT_EQ(RecordBatchView(batch).leader_epoch(), 4);
  EXPECT_EQ(RecordBatchView(batch).crc(), crc);
  EXPECT_TRUE(RecordBatchView(batch).CrcMatches());
  RestampBatch(batch, 78, 5, 123);
  EXPECT_EQ(RecordBatchView(batch).max_timestamp_ms(), 123);
  EXPECT_EQ(RecordBatchView(batch).timestamp_type(), TimestampType::kLogAppendTime);
  EXPECT_TRUE(RecordBatchView(batch).CrcMatches());
}

Bytes Concatenated(const std::vector<Bytes>& batches) {
  Bytes all;
  for (const Bytes& batch : batches) all.insert(all.end(), batch.begin(), batch.end());
  return all;
}

Bytes Fetched(int64_t base_offset, int32_t leader_epoch = 1) {
  return Batch({.base_offset = base_offset, .leader_epoch = leader_epoch});
}

TEST(ValidateAsFollower, TakesBatchesAsTheyAreWithGapsAndDropsThePartialTail) {
  const Bytes whole = Concatenated({Fetched(10), Fetched(13), Fetched(100)});
  Bytes input = whole;
  const Bytes partial = Fetched(103);
  input.insert(input.end(), partial.begin(), partial.end() - 1);
  const absl::StatusOr<FollowerPlan> plan = ValidateAsFollower(input, {.log_end_offset = 8, .leader_epoch = 1});
  VARVE_ASSERT_OK(plan);
  EXPECT_EQ(plan->bytes.data(), input.data());
  EXPECT_EQ(plan->bytes.size(), whole.size());
  EXPECT_EQ(plan->batch_count, 3U);
  EXPECT_EQ(plan->first_offset, 10);
  EXPECT_EQ(plan->last_offset, 102);
  EXPECT_EQ(plan->max_timestamp_ms, kNow);
}

TEST(ValidateAsFollower, TakesWhatALeaderMayHoldAndAClientMayNotSend) {
  const Bytes sparse = With(Fetched(10), kLastOffsetDeltaPosition, int32_t{9});
  const Bytes emptied = FromHex(testing_support::kCompactionEmptied);
  const Bytes marker = With(FromHex(testing_support::kCommitMarker), kBaseOffsetPosition, int64_t{200});
  const absl::StatusOr<FollowerPlan> plan =
      ValidateAsFollower(Concatenated({sparse, emptied, marker}), {.log_end_offset = 10, .leader_epoch = 9});
  VARVE_ASSERT_OK(plan);
  EXPECT_EQ(plan->batch_count, 3U);
  EXPECT_EQ(plan->last_offset, 200);
}

TEST(ValidateAsFollower, OfNothingIsNothing) {
  const absl::StatusOr<FollowerPlan> plan = ValidateAsFollower({}, {});
  VARVE_ASSERT_OK(plan);
  EXPECT_EQ(plan->batch_count, 0U);
  EXPECT_THAT(plan->bytes, IsEmpty());
}

TEST(ValidateAsFollower, SkipsALaterLeadersBatchesAndAllBehindThem) {
  const Bytes first = Fetched(10, 4);
  // What is skipped is not looked at: its checksum may be wrong.
  Bytes later = Fetched(13, 6);
  later.back() ^= std::byte{1};
  const Bytes input = Concatenated({first, later, Fetched(16, 4)});
  const absl::StatusOr<FollowerPlan> plan = ValidateAsFollower(input, {.log_end_offset = 10, .leader_epoch = 5});
  VARVE_ASSERT_OK(plan);
  EXPECT_EQ(plan->batch_count, 1U);
  EXPECT_EQ(plan->bytes.size(), first.size());
}

TEST(ValidateAsFollower, RefusesOffsetsThatDoNotRiseAndDamage) {
  const auto with_offsets = [](int64_t base_offset, int32_t last_offset_delta) {
    Bytes batch = Fetched(10);
    BatchHeader header = DecodeBatchHeader(batch.data());
    header.base_offset = base_offset;
    header.last_offset_delta = last_offset_delta;
    EncodeBatchHeader(header, batch.data());
    SealBatch(batch);
    return batch;
  };
  constexpr int32_t kMaxDelta = std::numeric_limits<int32_t>::max();
  Bytes bad_crc = Fetched(13);
  bad_crc.back() ^= std::byte{1};
  Bytes zeros = Fetched(10);
  zeros.insert(zeros.end(), 100, std::byte{0});
  struct Case {
    Bytes input;
    absl::StatusCode code;
    std::optional<KafkaError> error;
    std::string message;
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  const Case cases[] = {
      {Fetched(9), kInvalid, std::nullopt, "a base offset of at least 10 expected, found 9"},
      {Concatenated({Fetched(10), Fetched(10)}), kInvalid, std::nullopt, "a base offset of at least 13 expected"},
      {Concatenated({Fetched(20), Fetched(10)}), kInvalid, std::nullopt, "a base offset of at least 23 expected"},
      {Concatenated({Fetched(10), Fetched(12)}), kInvalid, std::nullopt, "at least 13 expected, found 12"},
      {with_offsets(10, -1), kInvalid, KafkaError::kCorruptMessage, "found a last offset delta of -1"},
      {with_offsets(-1, 0), kInvalid, KafkaError::kCorruptMessage, "base offset -1"},
      {with_offsets(std::numeric_limits<int64_t>::max(), 0), kInvalid, KafkaError::kCorruptMessage, "2^63-2"},
      {Concatenated({Fetched(10), with_offsets(int64_t{11} + kMaxDelta, 0)}), kInvalid, std::nullopt,
       "no more than 2^31"},
      {Concatenated({Fetched(10), bad_crc}), kInvalid, KafkaError::kCorruptMessage, "base offset 13: checksum"},
      {zeros, kInvalid, KafkaError::kCorruptMessage, "a batch length of at least 14 expected, found 0"},
      {FromHex(testing_support::kMagic0), absl::StatusCode::kUnimplemented, KafkaError::kUnsupportedForMessageFormat,
       "magic 2 expected, found 0"},
  };
  for (const Case& c : cases) {
    const absl::Status status = ValidateAsFollower(c.input, {.log_end_offset = 10, .leader_epoch = 1}).status();
    EXPECT_THAT(status, StatusIs(c.code, HasSubstr(c.message)));
    EXPECT_EQ(KafkaErrorOf(status), c.error);
  }
}

}  // namespace
}  // namespace varve::internal
