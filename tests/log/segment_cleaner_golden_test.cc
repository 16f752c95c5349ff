// What Kafka's cleaner left, byte for byte. The logs before it are made anew: the holes that it left in the offsets are
// filled with records that are superseded later on.
#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/cleaning_fixture.h"

namespace varve::internal {
namespace {

using ::testing::Contains;
using ::testing::Key;
using ::testing::Not;
using testing_support::CleanGroup;
using testing_support::Cleaning;
using testing_support::FileMap;
using testing_support::GoldenCase;
using testing_support::kDeleteRetentionMs;
using testing_support::LoadGoldenCase;
using testing_support::SplitBatches;

// When the cleaning of the case `compacted` took place: its delete horizons less the retention.
constexpr int64_t kCompactedAtMs = 1'700'000'004'960;

std::string NameOf(int64_t base_offset, SegmentFileKind kind) { return SegmentFileName(base_offset, kind); }

// The segments below the active one, with the files as they are.
void AddSealedSegments(const GoldenCase& golden, Cleaning* cleaning) {
  const auto& segments = golden.manifest["segments"];
  for (size_t i = 0; i + 1 < segments.size(); ++i) {
    const auto base_offset = segments[i]["base"].get<int64_t>();
    cleaning->AddSegment(base_offset, segments[i + 1]["base"].get<int64_t>(),
                         golden.files.at(NameOf(base_offset, SegmentFileKind::kLog)));
  }
  cleaning->index_interval_bytes = golden.manifest["config"]["index.interval.bytes"].get<int64_t>();
}

// Batches of records of the key that the last record of the range has.
class Filler {
 public:
  explicit Filler(std::string key) : key_(std::move(key)) {}
  [[nodiscard]] Record record() const { return {.key = key_, .value = "to be superseded", .timestamp_ms = 1}; }

  // Offsets [first, end), four to a batch.
  [[nodiscard]] std::string Batches(int64_t first, int64_t end) const {
    std::string bytes;
    while (first < end) {
      RecordBatchBuilder builder({.base_offset = first, .leader_epoch = 0});
      for (int i = 0; i < 4 && first < end; ++i, ++first) EXPECT_TRUE(builder.Add(record()).ok());
      bytes += AsText(*builder.Build());
    }
    return bytes;
  }

 private:
  std::string key_;
};

// The batch with its holes filled and without horizon.
std::string Refilled(const std::string& bytes, const Filler& filler) {
  const RecordBatchView batch(AsBytes(bytes));
  RecordBatchBuilder builder(
      {.codec = batch.codec(), .base_offset = batch.base_offset(), .leader_epoch = batch.leader_epoch()});
  int64_t next_offset = batch.base_offset();
  DecodeBuffer scratch;
  RecordCursor cursor(batch, &scratch);
  for (RecordView record; cursor.Next(&record);) {
    for (; next_offset < record.offset(); ++next_offset) EXPECT_TRUE(builder.Add(filler.record()).ok());
    EXPECT_TRUE(builder.AddAt(record.offset(), record).ok());
    ++next_offset;
  }
  for (; next_offset <= batch.last_offset(); ++next_offset) EXPECT_TRUE(builder.Add(filler.record()).ok());
  return std::string(AsText(*builder.Build()));
}

std::string LastKey(const std::string& log) {
  const std::vector<std::string> batches = SplitBatches(log);
  DecodeBuffer scratch;
  RecordCursor cursor(RecordBatchView(AsBytes(batches.back())), &scratch);
  std::string key;
  for (RecordView record; cursor.Next(&record);) key = std::string(*record.key());
  return key;
}

TEST(CleanedGolden, TheLogBeforeBecomesWhatKafkaLeft) {
  const GoldenCase golden = LoadGoldenCase("compacted");
  Cleaning after;
  AddSealedSegments(golden, &after);
  const int64_t last_base_offset = after.sources.back().base_offset;
  const Filler filler(LastKey(after.partition.Log(last_base_offset)));

  Cleaning before;
  before.now_ms = kCompactedAtMs;
  before.index_interval_bytes = after.index_interval_bytes;
  for (const SourceSegment& segment : after.sources) {
    std::string log;
    int64_t next_offset = segment.base_offset;
    for (const std::string& bytes : SplitBatches(after.partition.Log(segment.base_offset))) {
      const RecordBatchView batch(AsBytes(bytes));
      log += filler.Batches(next_offset, batch.base_offset()) + Refilled(bytes, filler);
      next_offset = batch.next_offset();
    }
    log += filler.Batches(next_offset, segment.next_base_offset);
    before.AddSegment(segment.base_offset, segment.next_base_offset, log);
  }

  VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap built, before.BuildMap());
  EXPECT_EQ(built.map_end_offset, 477);
  CleaningPass pass = before.Pass(built);
  for (const SourceSegment& segment : before.sources) {
    SCOPED_TRACE(segment.base_offset);
    VARVE_ASSERT_OK_AND_ASSIGN(const CleanedSegment cleaned, CleanGroup({&segment, 1}, &pass));
    const FileMap files = before.Cleaned();
    for (const SegmentFileKind kind :
         {SegmentFileKind::kLog, SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex}) {
      const std::string name = NameOf(segment.base_offset, kind);
      EXPECT_TRUE(files.at(name) == golden.files.at(name)) << name;
    }
    EXPECT_THAT(files, Not(Contains(Key(NameOf(segment.base_offset, SegmentFileKind::kTransactionIndex)))));
    for (const auto& expected : golden.manifest["segments"]) {
      if (expected["base"] != segment.base_offset) continue;
      EXPECT_EQ(cleaned.base_offset, segment.base_offset);
      EXPECT_EQ(cleaned.size_bytes, expected["log_bytes"].get<int64_t>());
      EXPECT_EQ(cleaned.next_offset, expected["next_offset"].get<int64_t>());
      EXPECT_EQ(cleaned.records_kept, expected["records"].get<int64_t>());
      EXPECT_EQ(cleaned.largest_timestamp.timestamp_ms, expected["max_timestamp"].get<int64_t>());
      EXPECT_EQ(cleaned.offset_index_bytes, 8 * expected["index_entries"].get<int64_t>());
      EXPECT_EQ(cleaned.time_index_bytes, 12 * expected["time_index_entries"].get<int64_t>());
      EXPECT_EQ(cleaned.transaction_index_bytes, 0);
    }
  }
}

TEST(CleanedGolden, AnotherPassMergesAndChangesNothing) {
  Cleaning cleaning;
  AddSealedSegments(LoadGoldenCase("compacted"), &cleaning);
  cleaning.now_ms = kCompactedAtMs + kDeleteRetentionMs - 1;
  std::string all;
  for (const SourceSegment& segment : cleaning.sources) all += cleaning.partition.Log(segment.base_offset);
  VARVE_ASSERT_OK_AND_ASSIGN(const CleanedSegment cleaned, cleaning.Clean());
  EXPECT_TRUE(cleaning.CleanedLog() == all);
  EXPECT_EQ(cleaned.records_kept, 40);
  EXPECT_EQ(cleaned.removed, RemovedRecords());
}

TEST(CleanedGolden, TombstonesGoAtTheirHorizon) {
  const GoldenCase golden = LoadGoldenCase("compacted");
  Cleaning cleaning;
  AddSealedSegments(golden, &cleaning);
  cleaning.now_ms = kCompactedAtMs + kDeleteRetentionMs;
  std::set<int64_t> expected;
  int64_t tombstone_count = 0;
  for (const auto& record : golden.manifest["records"]) {
    const auto offset = record[0].get<int64_t>();
    if (offset >= 478) continue;
    if (record[3].is_null()) {
      ++tombstone_count;
    } else {
      expected.insert(offset);
    }
  }
  VARVE_ASSERT_OK_AND_ASSIGN(const CleanedSegment cleaned, cleaning.Clean());
  std::set<int64_t> found;
  for (const std::string& bytes : SplitBatches(cleaning.CleanedLog())) {
    DecodeBuffer scratch;
    RecordCursor cursor(RecordBatchView(AsBytes(bytes)), &scratch);
    for (RecordView record; cursor.Next(&record);) found.insert(record.offset());
  }
  EXPECT_EQ(found, expected);
  EXPECT_EQ(cleaned.removed, RemovedRecords{.tombstones = tombstone_count});
}

// The case `transactions`: every key is written once, so that nothing goes but the data that was aborted.
TEST(CleanedGolden, AbortedDataGoesAndItsMarkersStayByThreePasses) {
  const GoldenCase golden = LoadGoldenCase("transactions");
  Cleaning cleaning;
  AddSealedSegments(golden, &cleaning);
  std::vector<AbortedTransaction> in_range;
  for (const auto& entry : golden.manifest["aborted_txns"]) {
    const AbortedTransaction transaction{.producer_id = entry["producer_id"],
                                         .first_offset = entry["first_offset"],
                                         .last_offset = entry["last_offset"],
                                         .last_stable_offset = entry["last_stable_offset"]};
    cleaning.aborted.push_back(transaction);
    if (entry["segment"] < 176) in_range.push_back(transaction);
  }
  std::string expected;
  std::string without_aborts;
  for (const SourceSegment& segment : cleaning.sources) {
    for (const std::string& bytes : SplitBatches(cleaning.partition.Log(segment.base_offset))) {
      const RecordBatchView batch(AsBytes(bytes));
      const bool is_aborted =
          batch.is_transactional() && !batch.is_control() &&
          std::any_of(cleaning.aborted.begin(), cleaning.aborted.end(), [&](const AbortedTransaction& transaction) {
            return transaction.producer_id == batch.producer_id() && transaction.first_offset <= batch.base_offset() &&
                   batch.last_offset() < transaction.last_offset;
          });
      // The last batch of the range is of a transaction whose marker lies behind it. It stays, emptied.
      if (is_aborted && batch.last_offset() != 175) continue;
      if (is_aborted) {
        RecordBatchBuilder emptied({.base_offset = 175,
                                    .leader_epoch = batch.leader_epoch(),
                                    .producer_id = batch.producer_id(),
                                    .producer_epoch = batch.producer_epoch(),
                                    .base_sequence = batch.base_sequence(),
                                    .transactional = true,
                                    .last_offset = 175,
                                    .empty_max_timestamp_ms = batch.max_timestamp_ms()});
        const std::string_view empty = AsText(*emptied.Build());
        expected += empty;
        without_aborts += empty;
        continue;
      }
      expected += bytes;
      bool is_abort = false;
      if (batch.is_control()) {
        RecordCursor cursor(batch, nullptr);
        RecordView record;
        ASSERT_TRUE(cursor.Next(&record));
        is_abort = ParseControlRecord(record)->type == static_cast<int16_t>(ControlType::kAbort);
      }
      if (!is_abort) without_aborts += bytes;
    }
  }

  VARVE_ASSERT_OK(cleaning.Clean());
  EXPECT_TRUE(cleaning.CleanedLog() == expected);
  const std::string index_name = NameOf(0, SegmentFileKind::kTransactionIndex);
  const std::vector<std::byte> entries = TransactionIndex::Encode(in_range);
  EXPECT_TRUE(cleaning.Cleaned().at(index_name) == AsText(entries));

  // Nothing of those transactions is left: the markers get a horizon and lose their entries.
  cleaning.Swap();
  VARVE_ASSERT_OK(cleaning.Clean());
  EXPECT_THAT(cleaning.Cleaned(), Not(Contains(Key(index_name))));
  int horizon_count = 0;
  for (const std::string& bytes : SplitBatches(cleaning.CleanedLog())) {
    const RecordBatchView batch(AsBytes(bytes));
    if (!batch.delete_horizon_ms().has_value()) continue;
    EXPECT_TRUE(batch.is_control());
    EXPECT_EQ(*batch.delete_horizon_ms(), cleaning.now_ms + kDeleteRetentionMs);
    ++horizon_count;
  }
  EXPECT_EQ(horizon_count, static_cast<int>(in_range.size()));

  // Before the horizon nothing changes; from then on they are gone.
  cleaning.Swap();
  cleaning.now_ms += kDeleteRetentionMs - 1;
  const std::string dated = cleaning.partition.Log(0);
  VARVE_ASSERT_OK(cleaning.Clean());
  EXPECT_TRUE(cleaning.CleanedLog() == dated);
  ++cleaning.now_ms;
  VARVE_ASSERT_OK_AND_ASSIGN(const CleanedSegment cleaned, cleaning.Clean());
  EXPECT_TRUE(cleaning.CleanedLog() == without_aborts);
  EXPECT_EQ(cleaned.removed, RemovedRecords{.markers = horizon_count});
}

}  // namespace
}  // namespace varve::internal
