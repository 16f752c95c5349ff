#include "varve/record_batch.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "record/hex.h"
#include "record/vectors.h"

namespace varve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::FromHex;
using testing_support::kOneRecord;
using testing_support::ToHex;

static_assert(std::is_trivially_copyable_v<RecordView>);
static_assert(std::forward_iterator<HeaderRange::Iterator>);

constexpr int64_t kTime = 1'700'000'000'000;

std::vector<RecordView> ReadAll(RecordBatchView batch, DecodeBuffer* scratch, absl::Status* status) {
  RecordCursor cursor(batch, scratch);
  std::vector<RecordView> records;
  for (RecordView record; cursor.Next(&record);) records.push_back(record);
  *status = cursor.status();
  return records;
}

std::vector<Header> HeadersOf(const RecordView& record) { return {record.headers().begin(), record.headers().end()}; }

TEST(RecordBatchView, ReadsEveryFieldOfABatchThatKafkaWrote) {
  const std::vector<std::byte> bytes = FromHex(testing_support::kThreeRecords);
  const absl::StatusOr<RecordBatchView> batch = RecordBatchView::Parse(bytes);
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ(batch->size_bytes(), 96U);
  EXPECT_EQ(batch->base_offset(), 1000);
  EXPECT_EQ(batch->last_offset(), 1002);
  EXPECT_EQ(batch->next_offset(), 1003);
  EXPECT_EQ(batch->leader_epoch(), 5);
  EXPECT_EQ(batch->magic(), 2);
  EXPECT_EQ(batch->crc(), 0xde87479fU);
  EXPECT_EQ(batch->attributes(), 0x10);
  EXPECT_EQ(batch->codec(), Codec::kNone);
  EXPECT_EQ(batch->timestamp_type(), TimestampType::kCreateTime);
  EXPECT_TRUE(batch->is_transactional());
  EXPECT_FALSE(batch->is_control());
  EXPECT_EQ(batch->delete_horizon_ms(), std::nullopt);
  EXPECT_EQ(batch->last_offset_delta(), 2);
  EXPECT_EQ(batch->base_timestamp_ms(), kTime);
  EXPECT_EQ(batch->max_timestamp_ms(), kTime + 500);
  EXPECT_EQ(batch->producer_id(), 4242);
  EXPECT_TRUE(batch->has_producer_id());
  EXPECT_EQ(batch->producer_epoch(), 7);
  EXPECT_EQ(batch->base_sequence(), 99);
  EXPECT_EQ(batch->last_sequence(), 101);
  EXPECT_EQ(batch->record_count(), 3);
  EXPECT_TRUE(batch->CrcMatches());
}

TEST(RecordBatchView, HasNoSequenceWithoutAProducer) {
  const std::vector<std::byte> bytes = FromHex(kOneRecord[0].batch);
  const RecordBatchView batch(bytes);
  EXPECT_FALSE(batch.has_producer_id());
  EXPECT_EQ(batch.base_sequence(), kNoSequence);
  EXPECT_EQ(batch.last_sequence(), kNoSequence);
}

TEST(RecordBatchView, TakesTheFirstOfSeveralBatches) {
  std::vector<std::byte> bytes = FromHex(testing_support::kThreeRecords);
  const std::vector<std::byte> second = FromHex(kOneRecord[0].batch);
  bytes.insert(bytes.end(), second.begin(), second.end());
  EXPECT_EQ(RecordBatchView::Parse(bytes)->size_bytes(), 96U);
}

TEST(RecordBatchView, RefusesWhatIsNoBatchAndSaysWhy) {
  struct Case {
    std::string hex;
    absl::StatusCode code;
    std::string message;
  };
  const std::string whole(kOneRecord[0].batch);
  std::string length_13 = whole, length_48 = whole, length_negative = whole, magic_3 = whole, magic_negative = whole;
  length_13.replace(16, 8, "0000000d");
  length_48.replace(16, 8, "00000030");
  length_negative.replace(16, 8, "ffffffff");
  magic_3.replace(32, 2, "03");
  magic_negative.replace(32, 2, "ff");
  const Case cases[] = {
      {"", absl::StatusCode::kDataLoss, "at least 18 bytes expected, 0 bytes left"},
      {whole.substr(0, 34), absl::StatusCode::kDataLoss, "at least 18 bytes expected, 17 bytes left"},
      {whole.substr(0, 36), absl::StatusCode::kDataLoss, "a batch of 75 bytes expected, 18 bytes left"},
      {whole.substr(0, 148), absl::StatusCode::kDataLoss, "a batch of 75 bytes expected, 74 bytes left"},
      {length_13, absl::StatusCode::kDataLoss, "a batch length of at least 14 expected, found 13"},
      {length_negative, absl::StatusCode::kDataLoss, "a batch length of at least 14 expected, found -1"},
      {length_48, absl::StatusCode::kDataLoss, "a batch length of at least 49 expected, found 48"},
      {magic_3, absl::StatusCode::kDataLoss, "magic 2 expected, found 3"},
      {magic_negative, absl::StatusCode::kDataLoss, "magic 2 expected, found -1"},
      {std::string(testing_support::kMagic0), absl::StatusCode::kUnimplemented, "magic 2 expected, found 0"},
      {std::string(testing_support::kMagic1), absl::StatusCode::kUnimplemented, "magic 2 expected, found 1"},
  };
  for (const Case& c : cases) {
    const std::vector<std::byte> bytes = FromHex(c.hex);
    const absl::StatusOr<RecordBatchView> batch = RecordBatchView::Parse(bytes);
    EXPECT_EQ(batch.status().code(), c.code) << c.message;
    EXPECT_THAT(std::string(batch.status().message()), HasSubstr(c.message));
  }
}

TEST(RecordBatchView, ChecksumCoversEverythingFromTheAttributesOn) {
  const std::vector<std::byte> whole = FromHex(testing_support::kThreeRecords);
  constexpr size_t kFirstCovered = 21;
  constexpr size_t kChecksum = 17;
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::vector<std::byte> flipped = whole;
    flipped[bit / 8] ^= std::byte{1} << (bit % 8);
    const bool covered = bit / 8 >= kChecksum;
    EXPECT_EQ(RecordBatchView(flipped).CrcMatches(), !covered) << "bit " << bit << ", covered from " << kFirstCovered;
  }
}

TEST(RecordCursor, ReadsEveryCodecThatKafkaWrote) {
  for (const testing_support::CodecVector& vector : kOneRecord) {
    SCOPED_TRACE(CodecName(vector.codec));
    const std::vector<std::byte> bytes = FromHex(vector.batch);
    const absl::StatusOr<RecordBatchView> batch = RecordBatchView::Parse(bytes);
    ASSERT_TRUE(batch.ok()) << batch.status();
    EXPECT_TRUE(batch->CrcMatches());
    EXPECT_EQ(batch->codec(), vector.codec);
    DecodeBuffer scratch;
    absl::Status status;
    const std::vector<RecordView> records = ReadAll(*batch, &scratch, &status);
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records[0].offset(), 0);
    EXPECT_EQ(records[0].timestamp_ms(), kTime);
    EXPECT_EQ(records[0].key(), "k1");
    EXPECT_EQ(records[0].value(), "hello");
    EXPECT_FALSE(records[0].is_tombstone());
    EXPECT_THAT(HeadersOf(records[0]), IsEmpty());
  }
}

TEST(RecordCursor, TellsNullFromEmptyAndKeepsNegativeDeltasAndHeaders) {
  const std::vector<std::byte> bytes = FromHex(testing_support::kThreeRecords);
  absl::Status status;
  const std::vector<RecordView> records = ReadAll(RecordBatchView(bytes), nullptr, &status);
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[0].offset(), 1000);
  EXPECT_EQ(records[0].key(), "a");
  EXPECT_EQ(records[0].value(), std::nullopt);
  EXPECT_TRUE(records[0].is_tombstone());
  EXPECT_EQ(records[0].header_count(), 2U);
  EXPECT_THAT(HeadersOf(records[0]), ElementsAre(Header{"h1", "v"}, Header{"", std::nullopt}));
  EXPECT_EQ(records[1].offset(), 1001);
  EXPECT_EQ(records[1].timestamp_ms(), kTime - 1000);
  EXPECT_EQ(records[1].key(), std::nullopt);
  EXPECT_EQ(records[1].value(), "");
  EXPECT_EQ(records[2].timestamp_ms(), kTime + 500);
  EXPECT_EQ(records[2].key(), "bb");
  EXPECT_EQ(records[2].value(), "cc");
}

TEST(RecordCursor, SkipsRecords) {
  const std::vector<std::byte> bytes = FromHex(testing_support::kThreeRecords);
  const RecordBatchView batch(bytes);
  absl::Status status;
  const std::vector<RecordView> records = ReadAll(batch, nullptr, &status);
  ASSERT_EQ(records.size(), 3U);
  for (size_t wanted = 0; wanted < records.size(); ++wanted) {
    SCOPED_TRACE(wanted);
    RecordCursor cursor(batch, nullptr);
    for (size_t number = 0; number < wanted; ++number) EXPECT_TRUE(cursor.Skip());
    RecordView record;
    EXPECT_TRUE(cursor.Next(&record));
    EXPECT_EQ(record.offset(), records[wanted].offset());
    EXPECT_EQ(record.value(), records[wanted].value());
    for (size_t number = wanted + 1; number < records.size(); ++number) EXPECT_TRUE(cursor.Skip());
    EXPECT_FALSE(cursor.Skip());
    EXPECT_TRUE(cursor.status().ok()) << cursor.status();
  }
}

TEST(RecordCursor, GivesEveryRecordTheLogAppendTime) {
  const std::vector<std::byte> bytes = FromHex(testing_support::kThreeRecordsLogAppendTime);
  const RecordBatchView batch(bytes);
  EXPECT_TRUE(batch.CrcMatches());
  EXPECT_EQ(batch.timestamp_type(), TimestampType::kLogAppendTime);
  absl::Status status;
  const std::vector<RecordView> records = ReadAll(batch, nullptr, &status);
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(records.size(), 3U);
  for (const RecordView& record : records) EXPECT_EQ(record.timestamp_ms(), 1'700'000'009'999);
  EXPECT_EQ(records[2].offset(), 2002);
}

TEST(RecordCursor, DoesNotCopyUncompressedRecords) {
  const std::vector<std::byte> bytes = FromHex(testing_support::kThreeRecords);
  absl::Status status;
  const std::vector<RecordView> records = ReadAll(RecordBatchView(bytes), nullptr, &status);
  const auto* first = reinterpret_cast<const char*>(bytes.data());
  EXPECT_TRUE(records[2].value()->data() > first && records[2].value()->data() < first + bytes.size());
}

TEST(RecordCursor, ReadsBatchesThatCompactionRewrote) {
  const std::vector<std::byte> kept_bytes = FromHex(testing_support::kCompactionKept);
  const RecordBatchView kept(kept_bytes);
  EXPECT_TRUE(kept.CrcMatches());
  EXPECT_EQ(kept.delete_horizon_ms(), 60'000);
  EXPECT_EQ(kept.last_offset(), 102);
  absl::Status status;
  const std::vector<RecordView> records = ReadAll(kept, nullptr, &status);
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].offset(), 101);
  EXPECT_EQ(records[0].timestamp_ms(), 2000);
  EXPECT_TRUE(records[0].is_tombstone());

  const std::vector<std::byte> emptied_bytes = FromHex(testing_support::kCompactionEmptied);
  const RecordBatchView emptied(emptied_bytes);
  EXPECT_TRUE(emptied.CrcMatches());
  EXPECT_THAT(ReadAll(emptied, nullptr, &status), IsEmpty());
  EXPECT_TRUE(status.ok()) << status;
}

TEST(RecordCursor, NeedsScratchForACompressedBatchOnly) {
  const std::vector<std::byte> bytes = FromHex(kOneRecord[1].batch);
  absl::Status status;
  EXPECT_THAT(ReadAll(RecordBatchView(bytes), nullptr, &status), IsEmpty());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
}

TEST(RecordCursor, StopsAtTheLimitOfItsScratch) {
  const std::vector<std::byte> bytes = FromHex(kOneRecord[1].batch);
  absl::Status status;
  DecodeBuffer exact(14), too_small(13);
  EXPECT_EQ(ReadAll(RecordBatchView(bytes), &exact, &status).size(), 1U);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(ReadAll(RecordBatchView(bytes), &too_small, &status), IsEmpty());
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("base offset 0"));
}

TEST(RecordCursor, RefusesCodecsThatDoNotExist) {
  for (const char digit : {'5', '6', '7'}) {
    std::string hex(kOneRecord[0].batch);
    hex[45] = digit;
    const std::vector<std::byte> bytes = FromHex(hex);
    DecodeBuffer scratch;
    absl::Status status;
    EXPECT_THAT(ReadAll(RecordBatchView(bytes), &scratch, &status), IsEmpty());
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string("found ") + digit));
  }
}

// The record of kOneRecord is "1a 00 00 00 04 6b31 0a 68656c6c6f 00" behind the count; each case puts another in its
// place.
TEST(RecordCursor, RefusesMalformedRecordsNamingWhatItFound) {
  struct Case {
    std::string name;
    int32_t count;
    std::string records;
    std::string message;
    bool between_records = false;
  };
  const std::string good = "1a000000046b310a68656c6c6f00";
  const Case cases[] = {
      {"negative count", -1, good, "expected a record count that is not negative, found -1", true},
      {"no records but bytes", 0, good, "expected no bytes behind the last record, found 14", true},
      {"bytes left over", 1, good + "00", "record 1 of 1: expected no bytes behind the last record, found 1", true},
      {"fewer records than declared", 2, good,
       "record 1 of 2: expected the length of a record in the bytes left, found 0", true},
      {"length of six bytes", 1, "ffffffffff01", "expected the length of a record", true},
      {"length cut off", 1, "80", "expected the length of a record", true},
      {"length beyond the end", 1, "1c000000046b310a68656c6c6f00",
       "expected a record length within the bytes left, found 14", true},
      {"negative length", 1, "01", "expected a record length within the bytes left, found -1", true},
      {"length of zero", 1, "00", "expected a record of at least 6 bytes, found 0"},
      {"only attributes", 1, "0200", "expected a timestamp delta"},
      {"timestamp of eleven bytes", 1, "1800ffffffffffffffffffff01", "expected a timestamp delta"},
      {"no offset delta", 1, "040000", "expected an offset delta"},
      {"offset delta of six bytes", 1, "100000ffffffffff01", "expected an offset delta"},
      {"no key", 1, "06000000", "expected a key"},
      {"key over the end of the record", 1, "0c000000066162", "expected a key"},
      {"no value", 1, "0800000001", "expected a value"},
      {"value over the end of the record", 1, "0e00000001066162", "expected a value"},
      {"no header count", 1, "0a0000000101", "expected a header count within"},
      {"negative header count", 1, "0c000000010101", "expected a header count from 0 to the bytes left, found -1"},
      {"more headers than bytes", 1, "0c000000010102", "expected a header count from 0 to the bytes left, found 1"},
      {"negative header key", 1,
       "10000000010102"
       "0101",
       "at fault is header, found 0"},
      {"header key over the end", 1,
       "1000000001010204"
       "61",
       "at fault is header, found 0"},
      {"header without value", 1,
       "10000000010102"
       "0261",
       "at fault is header, found 0"},
      {"header value over the end", 1,
       "120000000101020004"
       "61",
       "at fault is header, found 0"},
      {"second header at fault", 1,
       "140000000101040001"
       "0101",
       "at fault is header, found 1"},
      {"bytes behind the headers", 1, "0e00000001010000", "bytes left over, found 1"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    std::string hex(std::string(kOneRecord[0].batch).substr(0, 114));
    hex += c.count == -1 ? "ffffffff" : "0000000" + std::to_string(c.count);
    hex += c.records;
    std::vector<std::byte> bytes = FromHex(hex);
    bytes[11] = static_cast<std::byte>(bytes.size() - 12);
    absl::Status status;
    const std::vector<RecordView> records = ReadAll(RecordBatchView(bytes), nullptr, &status);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message));
    EXPECT_THAT(std::string(status.message()), HasSubstr("base offset 0"));
    // Skipping meets what is wrong between records just so, and does not look into them.
    RecordCursor cursor(RecordBatchView(bytes), nullptr);
    while (cursor.Skip()) continue;
    EXPECT_EQ(cursor.status(), c.between_records ? status : absl::OkStatus());
  }
}

TEST(RecordCursor, ReadsNegativeLengthsOtherThanMinusOneAsNull) {
  // Key length -2, value length -3, one header whose value length is -4.
  std::string hex(std::string(kOneRecord[0].batch).substr(0, 122));
  hex +=
      "10000000030502"
      "0007";
  std::vector<std::byte> bytes = FromHex(hex);
  bytes[11] = static_cast<std::byte>(bytes.size() - 12);
  absl::Status status;
  const std::vector<RecordView> records = ReadAll(RecordBatchView(bytes), nullptr, &status);
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].key(), std::nullopt);
  EXPECT_EQ(records[0].value(), std::nullopt);
  EXPECT_THAT(HeadersOf(records[0]), ElementsAre(Header{"", std::nullopt}));
}

TEST(NextBatch, WalksWholeBatchesAndLeavesThePartialTail) {
  std::vector<std::byte> bytes = FromHex(testing_support::kThreeRecords);
  const std::vector<std::byte> second = FromHex(kOneRecord[0].batch);
  bytes.insert(bytes.end(), second.begin(), second.end());
  bytes.insert(bytes.end(), second.begin(), second.end() - 1);
  std::span<const std::byte> rest = bytes;
  RecordBatchView batch;
  ASSERT_TRUE(NextBatch(&rest, &batch));
  EXPECT_EQ(batch.base_offset(), 1000);
  ASSERT_TRUE(NextBatch(&rest, &batch));
  EXPECT_EQ(batch.base_offset(), 0);
  EXPECT_FALSE(NextBatch(&rest, &batch));
  EXPECT_EQ(rest.size(), second.size() - 1);
  rest = {};
  EXPECT_FALSE(NextBatch(&rest, &batch));
}

TEST(NextBatch, LeavesWhatIsNoBatch) {
  std::vector<std::byte> bytes = FromHex(testing_support::kMagic1);
  std::span<const std::byte> rest = bytes;
  RecordBatchView batch;
  EXPECT_FALSE(NextBatch(&rest, &batch));
  EXPECT_EQ(rest.size(), bytes.size());
  EXPECT_EQ(RecordBatchView::Parse(rest).status().code(), absl::StatusCode::kUnimplemented);
}

TEST(AddToSequence, WrapsWithinTheNonNegativeIntegers) {
  constexpr int32_t kMax = std::numeric_limits<int32_t>::max();
  EXPECT_EQ(AddToSequence(0, 5), 5);
  EXPECT_EQ(AddToSequence(kMax, 1), 0);
  EXPECT_EQ(AddToSequence(kMax - 1, 3), 1);
  EXPECT_EQ(AddToSequence(kMax, kMax), kMax - 1);
  EXPECT_EQ(AddToSequence(0, -1), kMax);
  EXPECT_EQ(AddToSequence(1, -3), kMax - 1);
}

}  // namespace
}  // namespace varve
