// What reading promises: include/varve/log_reader.h, file_range.h and the reading half of log.h.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/path.h"
#include "log/log_places.h"
#include "log/partition_fixture.h"
#include "segment/segment_files.h"
#include "state/producer_batches.h"
#include "varve/errors.h"

namespace varve {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::AppendMany;
using testing_support::AppendNext;
using testing_support::DataBatch;
using testing_support::ExpectRecords;
using testing_support::MarkerBatch;
using testing_support::StatusIs;
using testing_support::ValueAt;
using testing_support::WriteFile;

constexpr int64_t kRecords = 24;
constexpr Isolation kIsolations[] = {Isolation::kLogEnd, Isolation::kHighWatermark, Isolation::kCommitted};

class LogReadPlaceTest : public testing_support::LogPlaceTest {};
VARVE_INSTANTIATE_LOG_PLACES(LogReadPlaceTest);
class LogReadTest : public testing_support::LogTest {};

// One, two or three records a batch, with the values and timestamps of AppendNext.
void AppendBatches(Log* log, int count) {
  for (int number = 0; number < count; ++number) {
    const int64_t base_offset = log->log_end_offset();
    std::vector<std::string> values;
    for (int64_t index = 0; index <= number % 3; ++index) values.push_back(ValueAt(base_offset + index));
    std::vector<Record> records;
    for (const std::string& value : values) {
      const int64_t timestamp_ms = 1'000'000 + base_offset + static_cast<int64_t>(records.size());
      records.push_back({.key = "key", .value = value, .timestamp_ms = timestamp_ms});
    }
    VARVE_ASSERT_OK(log->Append(records));
  }
}

std::vector<OffsetLookup> AllBatches(const Log& log) {
  std::vector<OffsetLookup> batches;
  LogReader reader = log.NewReader();
  for (int64_t offset = log.log_start_offset();;) {
    const auto found = reader.Find(offset, Isolation::kLogEnd);
    EXPECT_TRUE(found.ok()) << found.status();
    if (!found.ok() || !found->has_value()) return batches;
    batches.push_back(**found);
    offset = (*found)->last_offset + 1;
  }
}

std::vector<int64_t> ScannedOffsets(LogScan scan) {
  std::vector<int64_t> offsets;
  for (const RecordView& record : scan) offsets.push_back(record.offset());
  EXPECT_TRUE(scan.status().ok()) << scan.status();
  return offsets;
}

std::vector<int64_t> OffsetsBetween(int64_t first, int64_t end) {
  std::vector<int64_t> offsets;
  for (int64_t offset = first; offset < end; ++offset) offsets.push_back(offset);
  return offsets;
}

// --- Byte limits ---

// Against a walk through the list of batches, for every offset and every limit up to more than a segment.
TEST_P(LogReadPlaceTest, ARangeIsWholeBatchesOfOneSegmentUpToItsLimit) {
  const auto log = Open();
  AppendBatches(log.get(), 18);
  ASSERT_GT(log->segments().size(), 3u);
  const std::vector<OffsetLookup> batches = AllBatches(*log);
  ASSERT_EQ(batches.size(), 18u);
  LogReader reader = log->NewReader();
  for (size_t first = 0; first < batches.size(); ++first) {
    for (int64_t offset = batches[first].base_offset; offset <= batches[first].last_offset; ++offset) {
      for (int64_t max_bytes = 0; max_bytes <= options_.segment_bytes + 100; ++max_bytes) {
        for (const bool min_one_batch : {true, false}) {
          size_t end = first;
          int64_t size_bytes = 0;
          while (end < batches.size() && batches[end].segment == batches[first].segment &&
                 (size_bytes + batches[end].size_bytes <= max_bytes || (end == first && min_one_batch))) {
            size_bytes += batches[end++].size_bytes;
          }
          const auto range = reader.Read(offset, {.max_bytes = max_bytes, .min_one_batch = min_one_batch});
          ASSERT_TRUE(range.ok()) << range.status();
          ASSERT_EQ(range->size_bytes(), size_bytes) << "offset " << offset << ", limit " << max_bytes;
          ASSERT_EQ(range->next_offset(), end == first ? offset : batches[end - 1].last_offset + 1);
          if (end == first) continue;
          ASSERT_EQ(range->segment(), batches[first].segment);
          ASSERT_EQ(range->position(), batches[first].position);
          ASSERT_EQ(range->base_offset(), batches[first].base_offset);
        }
      }
    }
  }
}

TEST_P(LogReadPlaceTest, RangesThatFollowOneAnotherHoldEveryBatch) {
  const auto log = Open();
  AppendBatches(log.get(), 18);
  for (const int64_t max_bytes : {1, 200, 1 << 20}) {
    std::vector<int64_t> base_offsets;
    LogReader reader = log->NewReader();
    int64_t offset = 0;
    for (;;) {
      VARVE_ASSERT_OK_AND_ASSIGN(const FileRange range, reader.Read(offset, {.max_bytes = max_bytes}));
      if (range.empty()) break;
      std::span<const std::byte> bytes = range.View();
      for (RecordBatchView batch; NextBatch(&bytes, &batch);) {
        EXPECT_TRUE(batch.CrcMatches());
        base_offsets.push_back(batch.base_offset());
      }
      EXPECT_TRUE(bytes.empty());
      offset = range.next_offset();
    }
    EXPECT_EQ(offset, log->log_end_offset());
    std::vector<int64_t> expected;
    for (const OffsetLookup& batch : AllBatches(*log)) expected.push_back(batch.base_offset);
    EXPECT_EQ(base_offsets, expected);
  }
}

// --- Isolation ---

// Offsets 0 to 2: committed, with its marker. 3, 4: aborted, with its marker. 5: open. 6: of no transaction.
void AppendTransactions(Log* log) {
  const auto take = [&](const std::vector<std::byte>& batch) { VARVE_ASSERT_OK(log->AppendAsFollower(batch, 0)); };
  const auto data = [](int64_t offset, int64_t producer_id, int32_t sequence) {
    return DataBatch(
        {.base_offset = offset, .producer_id = producer_id, .base_sequence = sequence, .transactional = true});
  };
  take(data(0, 7, 0));
  take(data(1, 7, 1));
  take(MarkerBatch(ControlType::kCommit, 2, 7));
  take(data(3, 8, 0));
  take(MarkerBatch(ControlType::kAbort, 4, 8));
  take(data(5, 9, 0));
  take(DataBatch({.base_offset = 6}));
}

// Where reading stops: for a range, a batch, a place and a scan alike, and without an error.
void ExpectVisibleEnd(const Log& log, Isolation isolation, int64_t visible_end) {
  LogReader reader = log.NewReader();
  for (int64_t offset = log.log_start_offset(); offset <= log.log_end_offset(); ++offset) {
    SCOPED_TRACE(offset);
    VARVE_ASSERT_OK_AND_ASSIGN(const FileRange range, reader.Read(offset, {.isolation = isolation}));
    EXPECT_EQ(range.empty(), offset >= visible_end);
    EXPECT_LE(range.next_offset(), std::max(visible_end, offset));
    VARVE_ASSERT_OK_AND_ASSIGN(const auto batch, reader.ReadBatch(offset, isolation));
    EXPECT_EQ(batch.has_value(), offset < visible_end);
    VARVE_ASSERT_OK_AND_ASSIGN(const auto found, reader.Find(offset, isolation));
    EXPECT_EQ(found.has_value(), offset < visible_end);
    std::vector<int64_t> scanned = OffsetsBetween(offset, visible_end);
    if (isolation == Isolation::kCommitted) std::erase(scanned, 3);  // aborted
    EXPECT_EQ(ScannedOffsets(log.Scan(offset, {.control_records = true, .isolation = isolation})), scanned);
  }
}

TEST_P(LogReadPlaceTest, EachIsolationStopsWhereItsFrontierIs) {
  options_.producer_id_expiration_ms = std::numeric_limits<int64_t>::max();
  const auto log = Open();
  log->SetHighWatermark(0);
  AppendTransactions(log.get());
  struct Case {
    int64_t high_watermark;
    int64_t committed_end;
  };
  for (const Case& expected : {Case{0, 0}, {1, 0}, {2, 0}, {3, 3}, {4, 3}, {5, 5}, {6, 5}, {7, 5}}) {
    SCOPED_TRACE(expected.high_watermark);
    log->SetHighWatermark(expected.high_watermark);
    ExpectVisibleEnd(*log, Isolation::kLogEnd, 7);
    ExpectVisibleEnd(*log, Isolation::kHighWatermark, expected.high_watermark);
    ExpectVisibleEnd(*log, Isolation::kCommitted, expected.committed_end);
  }
}

TEST_F(LogReadTest, ABatchIsVisibleWhenAllOfItIs) {
  const auto log = Open();
  for (int batch = 0; batch < 2; ++batch)
    VARVE_ASSERT_OK(log->Append({{.value = "a"}, {.value = "b"}, {.value = "c"}}));
  for (int64_t high_watermark = 0; high_watermark <= 6; ++high_watermark) {
    log->SetHighWatermark(high_watermark);
    ExpectVisibleEnd(*log, Isolation::kHighWatermark, high_watermark / 3 * 3);
  }
}

// --- Scans ---

TEST_F(LogReadTest, AScanLeavesControlRecordsOutUnlessAskedForThem) {
  options_.producer_id_expiration_ms = std::numeric_limits<int64_t>::max();
  const auto log = Open();
  AppendTransactions(log.get());
  const auto scan = [&](bool control_records, Isolation isolation) {
    return ScannedOffsets(log->Scan(0, {.control_records = control_records, .isolation = isolation}));
  };
  using Offsets = std::vector<int64_t>;
  EXPECT_EQ(scan(false, Isolation::kHighWatermark), (Offsets{0, 1, 3, 5, 6}));
  EXPECT_EQ(scan(true, Isolation::kHighWatermark), (Offsets{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(scan(false, Isolation::kCommitted), (Offsets{0, 1}));  // 3 was aborted
  EXPECT_EQ(scan(true, Isolation::kCommitted), (Offsets{0, 1, 2, 4}));
  LogScan to_the_marker = log->Scan(3, {.isolation = Isolation::kCommitted});
  while (to_the_marker.Next()) continue;
  EXPECT_EQ(to_the_marker.next_offset(), 5);  // what was left out is not met again
}

TEST_F(LogReadTest, AScanBeginsAndEndsInsideBatches) {
  const auto log = Open();
  AppendBatches(log.get(), 12);
  const int64_t end = log->log_end_offset();
  for (int64_t from = 0; from <= end; ++from) {
    for (int64_t to = 0; to <= end; ++to) {
      LogScan scan = log->Scan(from, {.to_offset = to});
      std::vector<int64_t> offsets;
      for (const RecordView& record : scan) {
        offsets.push_back(record.offset());
        ASSERT_EQ(record.value(), ValueAt(record.offset()));
      }
      VARVE_ASSERT_OK(scan.status());
      ASSERT_EQ(offsets, OffsetsBetween(from, to));
      ASSERT_EQ(scan.next_offset(), std::max(from, to));
    }
  }
}

TEST_F(LogReadTest, AScanEndsWhereTheLogDidWhenItBegan) {
  const auto log = Open();
  AppendMany(log.get(), 3);
  LogScan scan = log->Scan(0);
  AppendMany(log.get(), 3);
  EXPECT_EQ(ScannedOffsets(std::move(scan)), OffsetsBetween(0, 3));
}

// Bytes that went bad since the log was opened.
TEST_P(LogReadPlaceTest, AScanEndsAtAChecksumThatFailsAndSaysWhereToGoOn) {
  const auto log = Open();
  AppendBatches(log.get(), 9);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto bad, log->NewReader().Find(4));
  ASSERT_EQ(bad->base_offset, 3);
  ASSERT_EQ(bad->last_offset, 5);
  ASSERT_EQ(bad->segment, 0);
  VARVE_ASSERT_OK_AND_ASSIGN(
      const auto file, options_.file_system->Open(directory_ + "/00000000000000000000.log", OpenMode::kReadWrite));
  // The last byte but one of the batch: "5" of the last record's value, before its count of headers.
  const uint64_t position = static_cast<uint64_t>(bad->position + bad->size_bytes - 2);
  VARVE_ASSERT_OK(file->WriteAt(position, std::vector<std::byte>{std::byte{'X'}}));
  LogScan scan = log->Scan(1);
  std::vector<int64_t> offsets;
  for (const RecordView& record : scan) offsets.push_back(record.offset());
  EXPECT_EQ(offsets, OffsetsBetween(1, 3));
  EXPECT_THAT(scan.status(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("batch with offsets 3 to 5")));
  EXPECT_EQ(KafkaErrorOf(scan.status()), KafkaError::kCorruptMessage);
  EXPECT_FALSE(scan.Next());
  EXPECT_EQ(scan.next_offset(), 6);
  ExpectRecords(*log, scan.next_offset(), log->log_end_offset());
  LogScan unverified = log->Scan(5, {.to_offset = 6, .verify_checksums = false});
  ASSERT_TRUE(unverified.Next());
  EXPECT_EQ(unverified.record().value(), "value X");
}

// --- Damage ---

// Three records of a batch, in a segment that is sealed or active, are known to be damaged.
TEST_P(LogReadPlaceTest, InsideDamageIsDataLossWithItsOffsetsOutsideReadingGoesOn) {
  options_.recover_all = true;
  for (const bool sealed : {true, false}) {
    SCOPED_TRACE(sealed ? "sealed" : "active");
    if (!sealed) options_.segment_bytes = 1 << 20;
    directory_ += sealed ? "1" : "2";
    {
      const auto log = Open();
      AppendBatches(log.get(), 9);
      VARVE_ASSERT_OK_AND_ASSIGN(const auto bad, log->NewReader().Find(4));
      VARVE_ASSERT_OK(log->Close());
      VARVE_ASSERT_OK_AND_ASSIGN(
          const auto file, options_.file_system->Open(directory_ + "/00000000000000000000.log", OpenMode::kReadWrite));
      VARVE_ASSERT_OK(file->WriteAt(static_cast<uint64_t>(bad->position + 61), std::vector<std::byte>(5)));
    }
    const auto log = Open();
    ASSERT_EQ(log->damage().size(), 1u);
    EXPECT_EQ(log->damage()[0].first_offset, 3);
    EXPECT_EQ(log->damage()[0].last_offset, 5);
    LogReader reader = log->NewReader();
    for (int64_t offset = 0; offset < log->log_end_offset(); ++offset) {
      const auto range = reader.Read(offset);
      if (offset >= 3 && offset <= 5) {
        const auto in_damage = StatusIs(
            absl::StatusCode::kDataLoss,
            AllOf(HasSubstr("00000000000000000000.log: at position " + std::to_string(log->damage()[0].position)),
                  HasSubstr("offsets 3 to 5 cannot be served")));
        EXPECT_THAT(range, in_damage);
        EXPECT_THAT(reader.ReadBatch(offset), in_damage);
        EXPECT_THAT(reader.Find(offset), in_damage);
        continue;
      }
      ASSERT_TRUE(range.ok()) << range.status();
      EXPECT_FALSE(range->empty());
      EXPECT_TRUE(range->next_offset() <= 3 || range->base_offset() > 5);  // stops before the damage
    }
    LogScan scan = log->Scan(0);
    std::vector<int64_t> offsets;
    for (const RecordView& record : scan) offsets.push_back(record.offset());
    EXPECT_EQ(offsets, OffsetsBetween(0, 3));
    EXPECT_THAT(scan.status(), StatusIs(absl::StatusCode::kDataLoss));
    ASSERT_EQ(scan.next_offset(), 6);
    ExpectRecords(*log, 6, log->log_end_offset());
  }
}

// --- Bounds ---

TEST_P(LogReadPlaceTest, AnOffsetOutOfRangeIsToldWithBothBounds) {
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  VARVE_ASSERT_OK(log->DeleteBefore(7));
  const auto out_of_range = [](int64_t offset) {
    return StatusIs(absl::StatusCode::kOutOfRange,
                    HasSubstr("offset " + std::to_string(offset) + ": the log holds 7 to 24"));
  };
  LogReader reader = log->NewReader();
  for (const int64_t offset : {int64_t{-1}, int64_t{0}, int64_t{6}, int64_t{25}, int64_t{1} << 40}) {
    EXPECT_THAT(log->Read(offset), out_of_range(offset));
    EXPECT_EQ(KafkaErrorOf(log->Read(offset).status()), KafkaError::kOffsetOutOfRange);
    EXPECT_THAT(reader.Read(offset), out_of_range(offset));
    EXPECT_THAT(reader.ReadBatch(offset), out_of_range(offset));
    EXPECT_THAT(reader.Find(offset), out_of_range(offset));
    LogScan scan = log->Scan(offset, {.to_offset = int64_t{1} << 41});
    EXPECT_FALSE(scan.Next());
    EXPECT_THAT(scan.status(), out_of_range(offset));
  }
  for (const Isolation isolation : kIsolations) {
    VARVE_ASSERT_OK_AND_ASSIGN(const FileRange at_end, log->Read(kRecords, {.isolation = isolation}));
    EXPECT_TRUE(at_end.empty());
    EXPECT_EQ(at_end.next_offset(), kRecords);
  }
  ExpectRecords(*log, 7, kRecords);
}

// --- By time ---

void ExpectLookup(const Log& log, int64_t timestamp_ms, int64_t found_ms, int64_t offset) {
  const auto found = log.OffsetForTimestamp(timestamp_ms);
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_TRUE(found->has_value()) << timestamp_ms;
  EXPECT_EQ((*found)->timestamp_ms, found_ms) << timestamp_ms;
  EXPECT_EQ((*found)->offset, offset) << timestamp_ms;
}

void ExpectNoLookup(const Log& log, int64_t timestamp_ms) {
  const auto found = log.OffsetForTimestamp(timestamp_ms);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_FALSE(found->has_value()) << timestamp_ms;
}

TEST_P(LogReadPlaceTest, AnEmptyLogKnowsItsEndsByTimeAndNothingElse) {
  const auto log = Open();
  for (const int64_t start : {0, 1000}) {
    if (start > 0) {
      AppendMany(log.get(), 3);
      VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(start));
    }
    ExpectLookup(*log, kEarliestTimestamp, kNoTimestamp, start);
    ExpectLookup(*log, kLatestTimestamp, kNoTimestamp, start);
    for (const int64_t timestamp_ms : {kMaxTimestamp, int64_t{0}, int64_t{1'000'000}}) {
      ExpectNoLookup(*log, timestamp_ms);
    }
  }
}

TEST_P(LogReadPlaceTest, TimesThatGoBackAndForthAreSearchedInOffsetOrder) {
  const auto log = Open();
  std::vector<int64_t> times_ms;
  for (int64_t offset = 0; offset < kRecords; ++offset) {
    times_ms.push_back(1000 + (offset * 7) % 11 * 10);
    const auto result = log->Append({{.value = ValueAt(offset), .timestamp_ms = times_ms.back()}},
                                    {.leader_epoch = offset < 10 ? 3 : 5});
    ASSERT_TRUE(result.ok()) << result.status();
  }
  ASSERT_GT(log->segments().size(), 3u);
  for (const int64_t start : {0, 1, 9, 17}) {
    VARVE_ASSERT_OK(log->DeleteBefore(start));
    const auto from = times_ms.begin() + start;
    for (int64_t timestamp_ms = 990; timestamp_ms <= 1110; ++timestamp_ms) {
      const auto first = std::find_if(from, times_ms.end(), [&](int64_t time_ms) { return time_ms >= timestamp_ms; });
      if (first == times_ms.end()) {
        ExpectNoLookup(*log, timestamp_ms);
      } else {
        ExpectLookup(*log, timestamp_ms, *first, first - times_ms.begin());
      }
    }
    const auto largest = std::max_element(from, times_ms.end());
    ExpectLookup(*log, kMaxTimestamp, *largest, largest - times_ms.begin());
    ExpectLookup(*log, kEarliestTimestamp, kNoTimestamp, start);
    ExpectLookup(*log, kLatestTimestamp, kNoTimestamp, kRecords);
    EXPECT_EQ(log->OffsetForTimestamp(kEarliestTimestamp)->value().leader_epoch, start < 10 ? 3 : 5);
    EXPECT_EQ(log->OffsetForTimestamp(kMaxTimestamp)->value().leader_epoch, largest - times_ms.begin() < 10 ? 3 : 5);
  }
}

TEST_F(LogReadTest, ARecordFoundByTimeHasTheLeaderEpochOfItsBatch) {
  {
    const auto log = Open();
    VARVE_ASSERT_OK(log->Append({{.value = "old", .timestamp_ms = 1000}}, {.leader_epoch = 3}));
    VARVE_ASSERT_OK(log->Append({{.value = "new", .timestamp_ms = 2000}}, {.leader_epoch = 5}));
  }
  WriteFile(&memory_, directory_ + "/leader-epoch-checkpoint", "0\n1\n5 1\n");
  const auto log = Open();
  EXPECT_EQ(log->OffsetForTimestamp(1000)->value().leader_epoch, 3);
  EXPECT_EQ(log->OffsetForTimestamp(1001)->value().leader_epoch, 5);
  EXPECT_EQ(log->OffsetForTimestamp(kMaxTimestamp)->value().leader_epoch, 5);
  EXPECT_EQ(log->OffsetForTimestamp(kEarliestTimestamp)->value().leader_epoch, std::nullopt);
  EXPECT_EQ(log->OffsetForTimestamp(kLatestTimestamp)->value().leader_epoch, 5);
}

TEST_F(LogReadTest, AnAnswerBeyondTheHighWatermarkIsNone) {
  const auto log = Open();
  AppendMany(log.get(), 6);
  log->SetHighWatermark(4);
  ExpectLookup(*log, kLatestTimestamp, kNoTimestamp, 4);
  ExpectLookup(*log, 1'000'003, 1'000'003, 3);
  ExpectNoLookup(*log, 1'000'004);
  ExpectNoLookup(*log, kMaxTimestamp);
  log->SetHighWatermark(6);
  ExpectLookup(*log, kMaxTimestamp, 1'000'005, 5);
}

TEST_F(LogReadTest, RecordsWithoutATimestampHaveNoLargest) {
  const auto log = Open();
  VARVE_ASSERT_OK(log->Append({{.value = "v", .timestamp_ms = kNoTimestamp}}));
  ExpectNoLookup(*log, kMaxTimestamp);
  ExpectNoLookup(*log, 0);
  AppendNext(log.get());
  ExpectLookup(*log, kMaxTimestamp, 1'000'001, 1);
  ExpectLookup(*log, 0, 1'000'001, 1);
}

TEST_F(LogReadTest, ATimeThatIsNoneIsRefused) {
  const auto log = Open();
  for (const int64_t timestamp_ms : {int64_t{-4}, std::numeric_limits<int64_t>::min()}) {
    EXPECT_THAT(log->OffsetForTimestamp(timestamp_ms),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::to_string(timestamp_ms))));
  }
}

// --- What is held ---

struct Held {
  explicit Held(FileRange held) : range(std::move(held)), bytes(range.View().begin(), range.View().end()) {}
  FileRange range;
  std::vector<std::byte> bytes;  // when it was read
};

void ExpectUnchanged(const std::vector<Held>& held) {
  for (const Held& one : held) {
    SCOPED_TRACE(one.range.base_offset());
    const std::span<const std::byte> view = one.range.View();
    ASSERT_EQ(std::vector(view.begin(), view.end()), one.bytes);
    std::vector<std::byte> copy(one.bytes.size());
    VARVE_ASSERT_OK(one.range.CopyTo(copy));
    ASSERT_EQ(copy, one.bytes);
  }
}

TEST_P(LogReadPlaceTest, AHeldRangeOutlivesWhateverBecomesOfTheLog) {
  auto log = Open();
  AppendMany(log.get(), kRecords);
  std::vector<Held> held;
  LogReader reader = log->NewReader();
  for (int64_t offset = 0; offset < kRecords; ++offset) {
    VARVE_ASSERT_OK_AND_ASSIGN(FileRange owned, log->Read(offset, {.max_bytes = 200}));
    held.emplace_back(std::move(owned));
    VARVE_ASSERT_OK_AND_ASSIGN(FileRange kept, reader.Read(offset));
    kept.Keep();
    held.emplace_back(std::move(kept));
  }
  const std::function<absl::Status()> changes[] = {
      [&] { return log->Roll(); },
      [&] { return log->TruncateTo(kRecords - 2); },
      [&] { return log->DeleteBefore(6); },
      [&] { return log->TruncateTo(8); },
      [&] { return log->Append({{.key = "another", .value = "record at offset 8"}}).status(); },
      [&] { return log->TruncateFullyAndStartAt(0); },
      [&] { return log->Append({{.key = "another", .value = "record at offset 0"}}).status(); },
      [&] { return log->Close(); },
  };
  for (const auto& change : changes) {
    VARVE_ASSERT_OK(change());
    ExpectUnchanged(held);
  }
  log.reset();
  ExpectUnchanged(held);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto batch, reader.ReadBatch(0));
  EXPECT_EQ(batch->base_offset(), 0);
}

TEST_F(LogReadTest, ACopyNeedsRoomForAllOfIt) {
  const auto log = Open();
  AppendNext(log.get());
  VARVE_ASSERT_OK_AND_ASSIGN(const FileRange range, log->Read(0));
  std::vector<std::byte> out(static_cast<size_t>(range.size_bytes()) - 1);
  EXPECT_THAT(range.CopyTo(out), StatusIs(absl::StatusCode::kInvalidArgument));
}

// A clean stop vouches for the files: nobody looks at a sealed one before it is read.
TEST_F(LogReadTest, ASealedSegmentThatSomebodyShrankCostsItsLastBatchOnly) {
  { AppendMany(Open().get(), 24); }
  const int64_t last = [&] { return Open()->segments()[2].base_offset - 1; }();
  {
    const auto log = Open();
    const auto found = log->NewReader().Find(last);
    ASSERT_TRUE(found.ok() && found->has_value());
    const std::string path =
        internal::JoinPath(directory_, internal::SegmentFileName((*found)->segment, internal::SegmentFileKind::kLog));
    VARVE_ASSERT_OK(log->Close());
    VARVE_ASSERT_OK_AND_ASSIGN(const auto file, memory_.Open(path, OpenMode::kReadWrite));
    VARVE_ASSERT_OK(file->Truncate(static_cast<uint64_t>((*found)->position + (*found)->size_bytes - 1)));
  }
  const auto log = Open();
  for (int64_t offset = 0; offset < 24; ++offset) {
    const auto batch = log->Read(offset);
    if (offset != last) {
      VARVE_ASSERT_OK(batch);
      EXPECT_EQ(batch->base_offset(), offset);
    } else {
      EXPECT_THAT(batch, StatusIs(absl::StatusCode::kDataLoss, HasSubstr(".log: at position")));
    }
  }
}

// --- Waiting ---

TEST_F(LogReadTest, WaitingEndsWithTheDeadlineWithDataOrWithTheLog) {
  const auto log = Open();
  AppendMany(log.get(), 3);
  VARVE_EXPECT_OK(log->WaitForData(2, milliseconds(0)));
  const auto started = std::chrono::steady_clock::now();
  EXPECT_THAT(log->WaitForData(3, milliseconds(30)),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("offset 3: the visible end is still 3")));
  EXPECT_GE(std::chrono::steady_clock::now() - started, milliseconds(30));
  const auto expect_woken_by = [&](const std::function<void()>& act, int64_t offset, absl::StatusCode code) {
    std::thread actor([&] {
      std::this_thread::sleep_for(milliseconds(10));
      act();
    });
    EXPECT_THAT(log->WaitForData(offset, std::chrono::minutes(5)), StatusIs(code));
    actor.join();
  };
  expect_woken_by([&] { AppendNext(log.get()); }, 3, absl::StatusCode::kOk);
  log->SetHighWatermark(4);
  AppendNext(log.get());
  EXPECT_THAT(log->WaitForData(4, milliseconds(5)), StatusIs(absl::StatusCode::kDeadlineExceeded));
  expect_woken_by([&] { log->SetHighWatermark(5); }, 4, absl::StatusCode::kOk);
  expect_woken_by([&] { VARVE_EXPECT_OK(log->Close()); }, 5, absl::StatusCode::kFailedPrecondition);
  VARVE_EXPECT_OK(log->WaitForData(4, milliseconds(0)));
}

}  // namespace
}  // namespace varve
