#include "log/cleaning_plan.h"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varve::internal {
namespace {

using ::testing::IsEmpty;

constexpr int64_t kNowMs = 1'000'000;
constexpr CleaningLimits kLimits{.min_cleanable_dirty_ratio = 0.5,
                                 .min_compaction_lag_ms = 0,
                                 .max_compaction_lag_ms = std::numeric_limits<int64_t>::max(),
                                 .segment_bytes = 1000,
                                 .segment_index_bytes = 100};

// Segments of 100 bytes at 10, 20, 30, 40; the active one at 50.
std::vector<CleaningSegment> Segments() {
  std::vector<CleaningSegment> segments;
  for (int64_t base = 10; base <= 50; base += 10) {
    segments.push_back({.base_offset = base,
                        .size_bytes = 100,
                        .offset_index_bytes = 8,
                        .time_index_bytes = 12,
                        .first_batch_timestamp_ms = 1000 * base,
                        .largest_timestamp_ms = 1000 * base + 500});
  }
  return segments;
}

TEST(FirstDirtyOffsetTest, IsTheStoredMarkWhereTheLogHoldsIt) {
  EXPECT_EQ(FirstDirtyOffset(20, 10, 30), 20);
  EXPECT_EQ(FirstDirtyOffset(10, 10, 30), 10);
  EXPECT_EQ(FirstDirtyOffset(30, 10, 30), 30);
  EXPECT_EQ(FirstDirtyOffset(9, 10, 30), 10) << "below the log start";
  EXPECT_EQ(FirstDirtyOffset(31, 10, 30), 10) << "above the log end";
  EXPECT_EQ(FirstDirtyOffset(0, 10, 30), 10) << "absent";
}

struct CleanableCase {
  const char* name;
  int64_t first_dirty;
  int64_t last_stable;
  int64_t min_lag_ms;
  int64_t first_uncleanable;
  int64_t clean_bytes;
  int64_t cleanable_bytes;
  std::optional<int64_t> earliest_ms;
};

constexpr CleanableCase kCleanableCases[] = {
    {"NothingCompactedYet", 10, 60, 0, 50, 0, 400, 10'000},
    {"OnlyTheActiveSegmentIsDirty", 50, 60, 0, 50, 400, 0, std::nullopt},
    {"DirtyWithinTheActiveSegment", 55, 60, 0, 50, 400, 0, std::nullopt},
    {"FromASegmentsBase", 30, 60, 0, 50, 200, 200, 30'000},
    {"FromWithinASegmentWhichIsBoth", 35, 60, 0, 50, 300, 200, 30'000},
    {"BelowTheFirstSegment", 5, 60, 0, 50, 0, 400, 10'000},
    {"AnOpenTransaction", 10, 35, 0, 30, 0, 200, 10'000},
    {"AnOpenTransactionFromASegmentsBase", 10, 30, 0, 30, 0, 200, 10'000},
    {"AnOpenTransactionFromTheLastOffsetBeforeOne", 10, 29, 0, 20, 0, 100, 10'000},
    {"AnOpenTransactionBelowTheMark", 40, 25, 0, 20, 100, 0, std::nullopt},
    {"AnOpenTransactionInTheFirstSegment", 10, 12, 0, 10, 0, 0, std::nullopt},
    {"YoungSegments", 10, 60, kNowMs - 30'000, 30, 0, 200, 10'000},
    {"ASegmentAsOldAsTheLag", 10, 60, kNowMs - 30'500, 40, 0, 300, 10'000},
    {"CleanSegmentsAreNeverTooYoung", 30, 60, kNowMs - 10'000, 30, 200, 0, std::nullopt},
};

TEST(FindCleanableTest, StopsAtTheFirstThatMayNotBeTouched) {
  for (const CleanableCase& c : kCleanableCases) {
    SCOPED_TRACE(c.name);
    CleaningLimits limits = kLimits;
    limits.min_compaction_lag_ms = c.min_lag_ms;
    const CleanableRange range = FindCleanable(Segments(), c.first_dirty, c.last_stable, limits, kNowMs);
    EXPECT_EQ(range.first_dirty_offset, c.first_dirty);
    EXPECT_EQ(range.first_uncleanable_offset, c.first_uncleanable);
    EXPECT_EQ(range.clean_bytes, c.clean_bytes);
    EXPECT_EQ(range.cleanable_bytes, c.cleanable_bytes);
    EXPECT_EQ(range.earliest_dirty_timestamp_ms, c.earliest_ms);
  }
}

// Nobody can tell how old it is.
TEST(FindCleanableTest, ASegmentWithoutATimestampIsYoung) {
  std::vector<CleaningSegment> segments = Segments();
  segments[1].largest_timestamp_ms = -1;
  CleaningLimits limits = kLimits;
  EXPECT_EQ(FindCleanable(segments, 10, 60, limits, kNowMs).first_uncleanable_offset, 50) << "no lag is asked for";
  limits.min_compaction_lag_ms = 1;
  EXPECT_EQ(FindCleanable(segments, 10, 60, limits, kNowMs).first_uncleanable_offset, 20);
  EXPECT_EQ(FindCleanable(segments, 30, 60, limits, kNowMs).first_uncleanable_offset, 50) << "clean ones never are";
  segments[1].size_bytes = 0;
  EXPECT_EQ(FindCleanable(segments, 10, 60, limits, kNowMs).first_uncleanable_offset, 50) << "nothing in it is young";
}

TEST(FindCleanableTest, ABatchWithoutATimestampIsNoneToWaitFor) {
  std::vector<CleaningSegment> segments = Segments();
  segments[0].first_batch_timestamp_ms = -1;
  segments[1].first_batch_timestamp_ms = 0;
  EXPECT_EQ(FindCleanable(segments, 10, 60, kLimits, kNowMs).earliest_dirty_timestamp_ms, 30'000);
}

struct ReasonCase {
  const char* name;
  int64_t clean_bytes;
  int64_t cleanable_bytes;
  std::optional<int64_t> earliest_ms;
  bool force;
  CompactionReason reason;
};

constexpr int64_t kMaxLagMs = 10'000;
constexpr ReasonCase kReasonCases[] = {
    {"Nothing", 0, 0, std::nullopt, false, CompactionReason::kNothingToClean},
    {"NothingDirty", 100, 0, std::nullopt, false, CompactionReason::kNothingToClean},
    {"HalfIsNotEnough", 100, 100, std::nullopt, false, CompactionReason::kRatioTooLow},
    {"MoreThanHalf", 100, 101, std::nullopt, false, CompactionReason::kDirtyRatio},
    {"AllOfIt", 0, 1, std::nullopt, false, CompactionReason::kDirtyRatio},
    {"AsOldAsTheLag", 100, 100, kNowMs - kMaxLagMs, false, CompactionReason::kRatioTooLow},
    {"OlderThanTheLag", 100, 100, kNowMs - kMaxLagMs - 1, false, CompactionReason::kMaxLag},
    {"ForcedWithNothingAtAll", 0, 0, std::nullopt, true, CompactionReason::kNothingToClean},
    {"ForcedWithNothingDirty", 100, 0, std::nullopt, true, CompactionReason::kForced},
    {"ForcedBelowTheRatio", 100, 100, std::nullopt, true, CompactionReason::kForced},
};

TEST(DecideCompactionTest, SaysWhy) {
  CleaningLimits limits = kLimits;
  limits.max_compaction_lag_ms = kMaxLagMs;
  for (const ReasonCase& c : kReasonCases) {
    SCOPED_TRACE(c.name);
    const CleanableRange range{.clean_bytes = c.clean_bytes,
                               .cleanable_bytes = c.cleanable_bytes,
                               .earliest_dirty_timestamp_ms = c.earliest_ms};
    EXPECT_EQ(DecideCompaction(range, limits, c.force, kNowMs), c.reason);
  }
}

TEST(DecideCompactionTest, AnUnlimitedLagNeverMakesItDue) {
  const CleanableRange range{.clean_bytes = 100, .cleanable_bytes = 1, .earliest_dirty_timestamp_ms = 1};
  EXPECT_EQ(DecideCompaction(range, kLimits, false, std::numeric_limits<int64_t>::max()),
            CompactionReason::kRatioTooLow);
}

using Groups = std::vector<CleaningGroup>;

Groups GroupsWith(int64_t end_offset, void (*change)(CleaningLimits*, std::vector<CleaningSegment>*)) {
  CleaningLimits limits = kLimits;
  std::vector<CleaningSegment> segments = Segments();
  change(&limits, &segments);
  return GroupSegments(segments, end_offset, limits);
}

TEST(GroupSegmentsTest, AsManyAsFitIntoOne) {
  const auto unchanged = [](CleaningLimits*, std::vector<CleaningSegment>*) {};
  EXPECT_EQ(GroupsWith(50, unchanged), (Groups{{0, 4}}));
  EXPECT_EQ(GroupsWith(31, unchanged), (Groups{{0, 3}})) << "the map ended within the third";
  EXPECT_EQ(GroupsWith(30, unchanged), (Groups{{0, 2}})) << "the map ended with the second";
  EXPECT_THAT(GroupsWith(10, unchanged), IsEmpty());
  EXPECT_EQ(GroupsWith(50, [](CleaningLimits* limits, auto*) { limits->segment_bytes = 200; }),
            (Groups{{0, 2}, {2, 4}}));
  EXPECT_EQ(GroupsWith(50, [](CleaningLimits* limits, auto*) { limits->segment_bytes = 299; }),
            (Groups{{0, 2}, {2, 4}}));
  EXPECT_EQ(GroupsWith(50, [](CleaningLimits* limits, auto*) { limits->segment_index_bytes = 24; }),
            (Groups{{0, 2}, {2, 4}}))
      << "time index entries are the larger ones";
  EXPECT_EQ(GroupsWith(50,
                       [](CleaningLimits* limits, std::vector<CleaningSegment>* segments) {
                         limits->segment_index_bytes = 36;
                         for (CleaningSegment& segment : *segments) segment.offset_index_bytes = 13;
                       }),
            (Groups{{0, 2}, {2, 4}}));
}

TEST(GroupSegmentsTest, OneThatIsTooLargeStaysAlone) {
  EXPECT_EQ(GroupsWith(50,
                       [](CleaningLimits* limits, std::vector<CleaningSegment>* segments) {
                         limits->segment_bytes = 200;
                         (*segments)[1].size_bytes = 1000;
                       }),
            (Groups{{0, 1}, {1, 2}, {2, 4}}));
}

TEST(GroupSegmentsTest, NoOffsetIsFurtherFromTheBaseThanAnIndexReaches) {
  const auto move_third = [](int64_t base_offset) {
    std::vector<CleaningSegment> segments = Segments();
    segments.resize(3);
    segments[2].base_offset = base_offset;
    return GroupSegments(segments, base_offset, kLimits);
  };
  constexpr int64_t kReach = std::numeric_limits<int32_t>::max();
  EXPECT_EQ(move_third(10 + kReach + 1), (Groups{{0, 2}}));
  EXPECT_EQ(move_third(10 + kReach + 2), (Groups{{0, 1}, {1, 2}}));
}

TEST(GroupSegmentsTest, AnEmptySegmentJoinsHoweverFarItIs) {
  constexpr int64_t kFar = int64_t{1} << 40;
  const std::vector<CleaningSegment> segments = {{.base_offset = 10, .size_bytes = 100},
                                                 {.base_offset = kFar},
                                                 {.base_offset = 2 * kFar},
                                                 {.base_offset = 3 * kFar, .size_bytes = 100},
                                                 {.base_offset = 4 * kFar}};
  EXPECT_EQ(GroupSegments(segments, 4 * kFar, kLimits), (Groups{{0, 3}, {3, 4}}));
}

}  // namespace
}  // namespace varve::internal
