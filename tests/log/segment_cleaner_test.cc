#include "log/segment_cleaner.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/cleaning_fixture.h"
#include "varve/sparse_offset_index.h"
#include "varve/time_index.h"

namespace varve::internal {
namespace {

using ::testing::Contains;
using ::testing::Key;
using ::testing::Not;
using testing_support::CleanGroup;
using testing_support::Cleaning;
using testing_support::CleaningBatch;
using testing_support::CleaningMarker;
using testing_support::InTransaction;
using testing_support::kDeleteRetentionMs;
using testing_support::Picture;
using testing_support::WriteFile;

constexpr int64_t kNowMs = testing_support::kCleaningTime + 1'000'000;
constexpr int64_t kNoRoundEnd = -1;

struct Case {
  const char* what;
  std::string log;
  std::string picture;
  RemovedRecords removed = {};
  ActiveProducers producers = {};
  std::vector<AbortedTransaction> aborted = {};
  int64_t round_end_offset = kNoRoundEnd;
};

void Check(const Case& c) {
  SCOPED_TRACE(c.what);
  Cleaning cleaning;
  cleaning.producers = c.producers;
  cleaning.aborted = c.aborted;
  cleaning.round_end_offset = c.round_end_offset;
  cleaning.AddSegment(0, 100, c.log);
  VARVE_ASSERT_OK_AND_ASSIGN(const CleanedSegment cleaned, cleaning.Clean());
  EXPECT_EQ(Picture(cleaning.CleanedLog()), c.picture);
  EXPECT_EQ(cleaned.removed, c.removed);
  EXPECT_EQ(cleaned.records_kept + cleaned.removed.total(), cleaned.records_read);
  EXPECT_EQ(cleaned.bytes_read, static_cast<int64_t>(c.log.size()));
}

RecordBatchBuilderOptions WithHorizon(int64_t delete_horizon_ms, RecordBatchBuilderOptions options = {}) {
  options.delete_horizon_ms = delete_horizon_ms;
  return options;
}

RecordBatchBuilderOptions OfProducer(int64_t producer_id, int32_t base_sequence) {
  return {.producer_id = producer_id, .producer_epoch = 0, .base_sequence = base_sequence};
}

TEST(SegmentCleaner, KeepsTheLatestRecordOfEachKey) {
  Check({"older ones go, within a batch and across",
         CleaningBatch({{0, "a", "1"}, {1, "b", "1"}, {2, "a", "2"}}) + CleaningBatch({{3, "c", "1"}}) +
             CleaningBatch({{4, "b", "2"}}),
         "0: a=2 | 3: c=1 | 4: b=2",
         {.superseded = 2}});
  Check({"batches without a record left go",
         CleaningBatch({{0, "a", "1"}, {1, "b", "1"}}) + CleaningBatch({{2, "a", "2"}, {3, "b", "2"}}),
         "2: a=2 b=2",
         {.superseded = 2}});
  Check({"records without a key go, as an append refuses them today",
         CleaningBatch({{0, "", "1"}, {1, "b", "1"}}) + CleaningBatch({{2, "", "1"}}),
         "0: b=1",
         {.unkeyed = 2}});
  Check({"nothing may be left", CleaningBatch({{0, "", "1"}}), "", {.unkeyed = 1}});
  Check({"nothing may be there", "", ""});
}

TEST(SegmentCleaner, LetsTombstonesGoInTwoPhases) {
  Check({"a horizon is set",
         CleaningBatch({{0, "a", "1"}}) + CleaningBatch({{1, "a", ""}, {2, "b", "1"}}),
         "1!: a b=1",
         {.superseded = 1}});
  Check({"a superseded tombstone goes",
         CleaningBatch({{0, "a", ""}, {1, "b", "1"}, {2, "a", "2"}}),
         "0: b=1 a=2",
         {.superseded = 1}});
  Check({"before its horizon it stays", CleaningBatch({{0, "a", ""}}, WithHorizon(kNowMs + 1)), "0!: a"});
  Check({"at its horizon it goes",
         CleaningBatch({{0, "a", ""}, {1, "b", "1"}}, WithHorizon(kNowMs)),
         "0!: b=1",
         {.tombstones = 1}});
  Check({"and the values beside it never", CleaningBatch({{0, "a", "1"}}, WithHorizon(kNowMs - 5)), "0!: a=1"});
}

// Edge case 39, with the clock going on between the passes.
TEST(SegmentCleaner, ATombstoneLivesUntilItsRetentionHasPassed) {
  Cleaning cleaning;
  cleaning.round_end_offset = kNoRoundEnd;
  cleaning.AddSegment(0, 100, CleaningBatch({{0, "a", "1"}, {1, "a", ""}, {2, "b", "1"}}));
  VARVE_ASSERT_OK(cleaning.Clean());
  const std::string first = cleaning.CleanedLog();
  EXPECT_EQ(RecordBatchView(AsBytes(first)).delete_horizon_ms(), cleaning.now_ms + kDeleteRetentionMs);
  cleaning.Swap();
  cleaning.now_ms += kDeleteRetentionMs - 1;
  VARVE_ASSERT_OK(cleaning.Clean());
  EXPECT_EQ(cleaning.CleanedLog(), first);
  cleaning.Swap();
  ++cleaning.now_ms;
  VARVE_ASSERT_OK(cleaning.Clean());
  EXPECT_EQ(Picture(cleaning.CleanedLog()), "0!: b=1");
}

TEST(SegmentCleaner, AHorizonBeyondAllTimeIsTheLast) {
  Cleaning cleaning;
  cleaning.AddSegment(0, 100, CleaningBatch({{0, "a", ""}}));
  VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap built, cleaning.BuildMap());
  CleaningPass pass = cleaning.Pass(built);
  pass.delete_retention_ms = std::numeric_limits<int64_t>::max();
  VARVE_ASSERT_OK(CleanGroup(cleaning.sources, &pass));
  const std::string log = cleaning.CleanedLog();
  EXPECT_EQ(RecordBatchView(AsBytes(log)).delete_horizon_ms(), std::numeric_limits<int64_t>::max());
  RecordCursor cursor(RecordBatchView(AsBytes(log)), nullptr);
  RecordView record;
  ASSERT_TRUE(cursor.Next(&record));
  EXPECT_EQ(record.timestamp_ms(), testing_support::kCleaningTime);
}

// Edge case 40.
TEST(SegmentCleaner, KeepsTheHeaderOfAnActiveProducersLastBatch) {
  const std::string log = CleaningBatch({{0, "a", "1"}}, OfProducer(7, 0)) +
                          CleaningBatch({{1, "a", "2"}, {2, "b", "1"}}, OfProducer(7, 1)) +
                          CleaningBatch({{3, "a", "3"}, {4, "b", "2"}});
  Check({"its last data", log, "1: (none to 2) | 3: a=3 b=2", {.superseded = 3}, {{7, {2, 0}}}});
  Check({"not those of others", log, "3: a=3 b=2", {.superseded = 3}, {{8, {2, 0}}}});
  Check({"not one that is not its last", log, "3: a=3 b=2", {.superseded = 3}, {{7, {90, 0}}}});
  Check({"records left are kept",
         CleaningBatch({{0, "a", "1"}, {1, "b", "1"}}, OfProducer(7, 0)) + CleaningBatch({{2, "a", "2"}}),
         "0: b=1 | 2: a=2",
         {.superseded = 1},
         {{7, {1, 0}}}});
  Check({"nor does no producer match one",
         CleaningBatch({{0, "a", "1"}}) + CleaningBatch({{1, "a", "2"}}),
         "1: a=2",
         {.superseded = 1},
         {{-1, {0, -1}}}});
  // Emptied by an earlier pass.
  RecordBatchBuilderOptions emptied = OfProducer(7, 1);
  emptied.base_offset = 1;
  emptied.last_offset = 2;
  const std::string again = CleaningBatch({{0, "a", "1"}}) + std::string(AsText(*RecordBatchBuilder(emptied).Build()));
  Check({"once empty, as long as the producer is active", again, "0: a=1 | 1: (none to 2)", {}, {{7, {2, 0}}}});
  Check({"and no longer", again, "0: a=1"});
}

TEST(SegmentCleaner, TheProducerGoesOnAfterItsLastBatchWasEmptied) {
  Cleaning cleaning;
  cleaning.producers = {{7, {1, 0}}};
  cleaning.AddSegment(
      0, 3, CleaningBatch({{0, "a", "1"}, {1, "b", "1"}}, OfProducer(7, 40)) + CleaningBatch({{2, "a", "2"}}));
  const std::string active = CleaningBatch({{3, "b", "2"}});
  cleaning.AddSegment(3, 4, active);
  VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap built, cleaning.BuildMap());
  CleaningPass pass = cleaning.Pass(built);
  VARVE_ASSERT_OK(CleanGroup({cleaning.sources.data(), 1}, &pass));
  EXPECT_EQ(Picture(cleaning.CleanedLog()), "0: (none to 1) | 2: a=2");
  WriteFile(cleaning.partition.fs.get(), cleaning.partition.LogPath(0), cleaning.CleanedLog());
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, cleaning.partition.Load());
  const std::string next = CleaningBatch({{4, "c", "1"}}, OfProducer(7, 42));
  EXPECT_THAT(loaded.producers->Check(RecordBatchView(AsBytes(next))), testing_support::IsOk());
  const std::string gap = CleaningBatch({{4, "c", "1"}}, OfProducer(7, 43));
  EXPECT_THAT(loaded.producers->Check(RecordBatchView(AsBytes(gap))), Not(testing_support::IsOk()));
}

// Edge case 41.
TEST(SegmentCleaner, KeepsTheHeaderOfTheLastBatchOfTheRound) {
  // The map is built of the next segment, too, which the round does not clean.
  Cleaning cleaning;
  cleaning.round_end_offset = 10;
  cleaning.AddSegment(0, 10,
                      CleaningBatch({{0, "a", "1"}, {1, "b", "1"}}) + CleaningBatch({{8, "a", "2"}, {9, "b", "2"}}));
  cleaning.AddSegment(10, 20, CleaningBatch({{10, "a", "3"}, {11, "b", "3"}}));
  VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap built, cleaning.BuildMap());
  CleaningPass pass = cleaning.Pass(built);
  VARVE_ASSERT_OK_AND_ASSIGN(const CleanedSegment cleaned, CleanGroup({cleaning.sources.data(), 1}, &pass));
  EXPECT_EQ(Picture(cleaning.CleanedLog()), "8: (none to 9)");
  EXPECT_EQ(cleaned.next_offset, 10);
  // Its time stays, too.
  EXPECT_EQ(cleaned.largest_timestamp, (TimestampOffset{testing_support::kCleaningTime + 90, 9}));
  VARVE_ASSERT_OK(cleaning.partition.fs->Remove(cleaning.partition.LogPath(10)));
  WriteFile(cleaning.partition.fs.get(), cleaning.partition.LogPath(0), cleaning.CleanedLog());
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, cleaning.partition.Load());
  EXPECT_EQ(loaded.log_end_offset, 10);
}

// Edge case 43.
TEST(SegmentCleaner, RemovesAbortedDataAndKeepsWhatTellsOfIt) {
  const AbortedTransaction of_seven = {.producer_id = 7, .first_offset = 1, .last_offset = 4, .last_stable_offset = 5};
  const std::string log = CleaningBatch({{0, "a", "1"}}) +
                          CleaningBatch({{1, "a", "2"}, {2, "", "3"}}, InTransaction(7)) +
                          CleaningBatch({{3, "b", "1"}}, InTransaction(8)) + CleaningMarker(4, ControlType::kAbort, 7) +
                          CleaningMarker(5, ControlType::kCommit, 8);
  Check({"data goes, markers stay", log, "0: a=1 | 3: b=1 | 4: ABORT | 5: COMMIT", {.aborted = 2}, {}, {of_seven}});
  Check({"the producer's last batch stays, empty",
         log,
         "0: a=1 | 1: (none to 2) | 3: b=1 | 4: ABORT | 5: COMMIT",
         {.aborted = 2},
         {{7, {2, 0}}},
         {of_seven}});
  Check({"markers of nothing get a horizon",
         CleaningMarker(4, ControlType::kAbort, 7) + CleaningMarker(5, ControlType::kCommit, 8),
         "4!: ABORT | 5!: COMMIT",
         {},
         {},
         {of_seven}});

  const auto dated = [](int64_t offset, ControlType type, int64_t producer_id, int64_t horizon_ms, int16_t epoch = 0) {
    const std::string marker = CleaningMarker(offset, type, producer_id, epoch);
    RecordCursor cursor(RecordBatchView(AsBytes(marker)), nullptr);
    RecordView record;
    EXPECT_TRUE(cursor.Next(&record));
    RecordBatchBuilderOptions options = WithHorizon(horizon_ms, InTransaction(producer_id, kNoSequence, epoch));
    options.base_offset = offset;
    options.control = true;
    RecordBatchBuilder builder(options);
    EXPECT_TRUE(builder.AddAt(offset, record).ok());
    return std::string(AsText(*builder.Build()));
  };
  const std::string markers = dated(4, ControlType::kAbort, 7, kNowMs) + dated(5, ControlType::kCommit, 8, kNowMs + 1);
  Check({"which they wait for", markers, "5!: COMMIT", {.markers = 1}});
  Check({"of a producer without data the marker of its epoch stays",
         dated(4, ControlType::kAbort, 7, kNowMs, 3) + dated(5, ControlType::kAbort, 8, kNowMs, 3),
         "4: (none to 4)",
         {.markers = 2},
         {{7, {std::nullopt, 3}}, {8, {std::nullopt, 4}}}});
  Check({"a marker with data is kept whatever its horizon",
         CleaningBatch({{3, "b", "1"}}, InTransaction(8)) + dated(5, ControlType::kCommit, 8, kNowMs - 1),
         "3: b=1 | 5!: COMMIT"});
}

TEST(SegmentCleaner, WritesTheEntriesOfTheMarkersThatStay) {
  Cleaning cleaning;
  cleaning.aborted = {{.producer_id = 7, .first_offset = 0, .last_offset = 11, .last_stable_offset = 12},
                      {.producer_id = 8, .first_offset = 2, .last_offset = 3, .last_stable_offset = 0}};
  // The transaction of 7 begins in one group and ends in the next.
  cleaning.AddSegment(0, 10,
                      CleaningBatch({{0, "a", "1"}}, InTransaction(7)) +
                          CleaningBatch({{2, "a", "1"}}, InTransaction(8)) + CleaningMarker(3, ControlType::kAbort, 8));
  cleaning.AddSegment(10, 20, CleaningBatch({{10, "b", "1"}}) + CleaningMarker(11, ControlType::kAbort, 7));
  cleaning.AddSegment(20, 30, CleaningBatch({{20, "c", "1"}}));
  VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap built, cleaning.BuildMap());
  CleaningPass pass = cleaning.Pass(built);
  VARVE_ASSERT_OK_AND_ASSIGN(const CleanedSegment first, CleanGroup({&cleaning.sources[0], 1}, &pass));
  VARVE_ASSERT_OK_AND_ASSIGN(const CleanedSegment second, CleanGroup({&cleaning.sources[1], 1}, &pass));
  VARVE_ASSERT_OK_AND_ASSIGN(const CleanedSegment third, CleanGroup({&cleaning.sources[2], 1}, &pass));
  const auto files = cleaning.Cleaned();
  EXPECT_EQ(files.at("00000000000000000000.txnindex"), AsText(TransactionIndex::Encode({&cleaning.aborted[1], 1})));
  EXPECT_EQ(files.at("00000000000000000010.txnindex"), AsText(TransactionIndex::Encode({&cleaning.aborted[0], 1})));
  EXPECT_THAT(files, Not(Contains(Key("00000000000000000020.txnindex"))));
  EXPECT_EQ(first.transaction_index_bytes, 34);
  EXPECT_EQ(second.transaction_index_bytes, 34);
  EXPECT_EQ(third.transaction_index_bytes, 0);
}

TEST(SegmentCleaner, KeepsAllAboveTheEndOfTheMap) {
  Cleaning cleaning;
  cleaning.round_end_offset = kNoRoundEnd;
  cleaning.AddSegment(0, 10,
                      CleaningBatch({{0, "a", "1"}, {1, "a", "2"}, {2, "b", "1"}, {3, "", "1"}}) +
                          CleaningBatch({{4, "a", "3"}, {5, "c", ""}}));
  VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap built, cleaning.BuildMap(0, 2 * KeyOffsetMap::kEntryBytes));
  ASSERT_EQ(built.map_end_offset, 1);
  CleaningPass pass = cleaning.Pass(built);
  VARVE_ASSERT_OK(CleanGroup(cleaning.sources, &pass));
  EXPECT_EQ(Picture(cleaning.CleanedLog()), "0: a=2 b=1 (unkeyed)=1 | 4!: a=3 c");
}

TEST(SegmentCleaner, PutsNeighboursInOneSegment) {
  Cleaning cleaning;
  cleaning.index_interval_bytes = 100;
  cleaning.AddSegment(5, 10, CleaningBatch({{6, "a", "1"}, {7, "b", "1"}}));
  cleaning.AddSegment(10, 20, "");
  cleaning.AddSegment(20, 30, CleaningBatch({{20, "a", "2"}}) + CleaningBatch({{25, "c", "1"}}));
  VARVE_ASSERT_OK_AND_ASSIGN(const CleanedSegment cleaned, cleaning.Clean());
  EXPECT_EQ(Picture(cleaning.CleanedLog()), "6: b=1 | 20: a=2 | 25: c=1");
  EXPECT_EQ(cleaned.base_offset, 5);
  EXPECT_EQ(cleaned.next_offset, 26);
  const auto files = cleaning.Cleaned();
  EXPECT_EQ(files.size(), 3u);
  EXPECT_EQ(cleaned.size_bytes, static_cast<int64_t>(files.at("00000000000000000005.log").size()));
  // 70 bytes a batch: the third is the first with more than 100 before it. Its entry is of its last offset.
  const SparseOffsetIndex index(5, AsBytes(files.at("00000000000000000005.index")));
  ASSERT_EQ(index.entry_count(), 1u);
  EXPECT_EQ(index.entry(0).offset, 25);
  EXPECT_EQ(index.entry(0).position, 140);
  const TimeIndex times(5, AsBytes(files.at("00000000000000000005.timeindex")));
  ASSERT_EQ(times.entry_count(), 1u);
  EXPECT_EQ(times.entry(0), cleaned.largest_timestamp);
}

TEST(SegmentCleaner, AnEmptySegmentHasEmptyFiles) {
  Cleaning cleaning;
  cleaning.AddSegment(5, 10, "");
  VARVE_ASSERT_OK_AND_ASSIGN(const CleanedSegment cleaned, cleaning.Clean());
  EXPECT_EQ(cleaned.next_offset, 5);
  EXPECT_EQ(cleaned.largest_timestamp, (TimestampOffset{-1, 5}));
  EXPECT_EQ(cleaning.Cleaned(), (testing_support::FileMap{{"00000000000000000005.log", ""},
                                                          {"00000000000000000005.index", ""},
                                                          {"00000000000000000005.timeindex", ""}}));
}

TEST(JudgeRetention, GoesByTheBatchItsTransactionAndTheRound) {
  struct RetentionCase {
    const char* what;
    bool control;
    bool discardable;
    std::optional<int64_t> horizon_ms;
    bool drop_records;
    bool horizon_for_any;
  };
  const RetentionCase cases[] = {
      {"live data", false, false, std::nullopt, false, false},
      {"live data with a horizon long past", false, false, kNowMs - 9, false, false},
      {"aborted data", false, true, std::nullopt, true, false},
      {"a marker of something", true, false, std::nullopt, false, false},
      {"a marker of something, dated", true, false, kNowMs - 9, false, false},
      {"a marker of nothing", true, true, std::nullopt, false, true},
      {"the same before its horizon", true, true, kNowMs + 1, false, true},
      {"the same at its horizon", true, true, kNowMs, true, true},
  };
  for (const RetentionCase& c : cases) {
    SCOPED_TRACE(c.what);
    RecordBatchBuilderOptions options = InTransaction(7);
    options.control = c.control;
    options.delete_horizon_ms = c.horizon_ms;
    const std::string bytes = CleaningBatch({{3, "k", "v"}}, options);
    CleaningPass pass;
    pass.now_ms = kNowMs;
    for (const int64_t round_end_offset : {3, 4, 5}) {
      pass.round_end_offset = round_end_offset;
      const BatchRetention retention = JudgeRetention(RecordBatchView(AsBytes(bytes)), c.discardable, pass);
      EXPECT_EQ(retention.drop_records, c.drop_records);
      EXPECT_EQ(retention.horizon_for_any, c.horizon_for_any);
      EXPECT_EQ(retention.retain_empty, round_end_offset == 4);
    }
  }
}

TEST(MayRebuild, KeepsRoomForWhatIsYetToBeRead) {
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  EXPECT_TRUE(MayRebuild(0, 100, 100, 0));
  EXPECT_TRUE(MayRebuild(kMax - 100, 100, 100, 0));
  EXPECT_TRUE(MayRebuild(kMax - 110, 110, 100, 0));
  EXPECT_FALSE(MayRebuild(kMax - 109, 110, 100, 0));
  EXPECT_TRUE(MayRebuild(1000, 110, 100, kMax - 1110));
  EXPECT_FALSE(MayRebuild(1000, 110, 100, kMax - 1109));
  EXPECT_TRUE(MayRebuild(1000, 90, 100, kMax - 1100));
}

}  // namespace
}  // namespace varve::internal
