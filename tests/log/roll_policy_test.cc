#include "log/roll_policy.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "gtest/gtest.h"

namespace varve::internal {
namespace {

constexpr int64_t kBase = 3'000'000'000;

struct Case {
  const char* name;
  RollSegment segment;
  RollAppend append;
  RollLimits limits;
  bool due;
};

// A segment of 1000 bytes and an append that fits it in every way; each case changes what its name says.
constexpr RollSegment kSegment{.base_offset = kBase,
                               .size_bytes = 900,
                               .indexes_full = false,
                               .first_batch_timestamp_ms = 5000,
                               .opened_wall_ms = 0};
constexpr RollAppend kAppend{.size_bytes = 100, .last_offset = kBase + 50, .max_timestamp_ms = 5500};
constexpr RollLimits kLimits{.segment_bytes = 1000, .segment_ms = 1000};

Case With(const char* name, bool due, void (*change)(RollSegment*, RollAppend*, RollLimits*)) {
  Case result{name, kSegment, kAppend, kLimits, due};
  change(&result.segment, &result.append, &result.limits);
  return result;
}

constexpr int64_t kWallMs = 1'000'000;

const Case kCases[] = {
    With("FillsExactly", false, [](RollSegment*, RollAppend*, RollLimits*) {}),
    With("OneByteTooMany", true, [](RollSegment*, RollAppend* append, RollLimits*) { append->size_bytes = 101; }),
    With("EmptyTakesAnAppendOfItsSize", false,
         [](RollSegment* segment, RollAppend* append, RollLimits*) {
           segment->size_bytes = 0;
           append->size_bytes = 1000;
         }),
    With("LargestSegmentFillsExactly", false,
         [](RollSegment* segment, RollAppend*, RollLimits* limits) {
           limits->segment_bytes = std::numeric_limits<int32_t>::max();
           segment->size_bytes = limits->segment_bytes - 100;
         }),
    With("IndexesFull", true, [](RollSegment* segment, RollAppend*, RollLimits*) { segment->indexes_full = true; }),
    With("IndexesFullOfAnEmptySegment", true,
         [](RollSegment* segment, RollAppend*, RollLimits*) {
           segment->indexes_full = true;
           segment->size_bytes = 0;
         }),
    With("LargestRelativeOffset", false,
         [](RollSegment*, RollAppend* append, RollLimits*) { append->last_offset = kBase + 2'147'483'647; }),
    With("RelativeOffsetOneTooLarge", true,
         [](RollSegment*, RollAppend* append, RollLimits*) { append->last_offset = kBase + 2'147'483'648; }),
    With("RelativeOffsetTooLargeForAnEmptySegment", true,
         [](RollSegment* segment, RollAppend* append, RollLimits*) {
           segment->size_bytes = 0;
           append->last_offset = kBase + 2'147'483'648;
         }),
    With("JustOfAge", false, [](RollSegment*, RollAppend* append, RollLimits*) { append->max_timestamp_ms = 6000; }),
    With("Aged", true, [](RollSegment*, RollAppend* append, RollLimits*) { append->max_timestamp_ms = 6001; }),
    With("LateDataNeverAges", false,
         [](RollSegment*, RollAppend* append, RollLimits*) { append->max_timestamp_ms = 0; }),
    With("AnAppendWithoutTimestampNeverAges", false,
         [](RollSegment*, RollAppend* append, RollLimits*) { append->max_timestamp_ms = -1; }),
    With("AnEmptySegmentHasNoAge", false,
         [](RollSegment* segment, RollAppend* append, RollLimits*) {
           segment->size_bytes = 0;
           segment->first_batch_timestamp_ms.reset();
           segment->opened_wall_ms = 0;
           append->max_timestamp_ms = std::numeric_limits<int64_t>::max();
         }),
    With("AFirstBatchOf1970IsAClockToo", true,
         [](RollSegment* segment, RollAppend*, RollLimits*) { segment->first_batch_timestamp_ms = 0; }),
    With("WithoutFirstTimestampTheWallClockJustOfAge", false,
         [](RollSegment* segment, RollAppend* append, RollLimits*) {
           segment->first_batch_timestamp_ms = -1;
           segment->opened_wall_ms = kWallMs - 1000;
           append->max_timestamp_ms = std::numeric_limits<int64_t>::max();
         }),
    With("WithoutFirstTimestampTheWallClockAged", true,
         [](RollSegment* segment, RollAppend* append, RollLimits*) {
           segment->first_batch_timestamp_ms = -1;
           segment->opened_wall_ms = kWallMs - 1001;
           append->max_timestamp_ms = -1;
         }),
    With("AClockSetBackAgesNothing", false,
         [](RollSegment* segment, RollAppend*, RollLimits*) {
           segment->first_batch_timestamp_ms = -1;
           segment->opened_wall_ms = kWallMs + 1'000'000;
         }),
    With("ForEverIsNeverOver", false,
         [](RollSegment*, RollAppend* append, RollLimits* limits) {
           limits->segment_ms = std::numeric_limits<int64_t>::max();
           append->max_timestamp_ms = std::numeric_limits<int64_t>::max();
         }),
    With("NoTimeAtAllRollsAtTheNextMillisecond", true,
         [](RollSegment*, RollAppend* append, RollLimits* limits) {
           limits->segment_ms = 0;
           append->max_timestamp_ms = 5001;
         }),
    With("NoTimeAtAllKeepsTheSameMillisecond", false,
         [](RollSegment*, RollAppend* append, RollLimits* limits) {
           limits->segment_ms = 0;
           append->max_timestamp_ms = 5000;
         }),
};

class RollPolicyTest : public ::testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(, RollPolicyTest, ::testing::ValuesIn(kCases),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(RollPolicyTest, ASegmentIsDue) {
  const Case& rule = GetParam();
  EXPECT_EQ(ShouldRoll(rule.segment, rule.append, rule.limits, [] { return kWallMs; }), rule.due);
}

TEST(RollPolicyClockTest, TheWallClockIsAskedOnlyWhereItCounts) {
  int asked = 0;
  const auto wall_ms = [&] {
    ++asked;
    return kWallMs;
  };
  RollSegment segment = kSegment;
  EXPECT_FALSE(ShouldRoll(segment, kAppend, kLimits, wall_ms));
  segment.size_bytes = 0;
  segment.first_batch_timestamp_ms.reset();
  EXPECT_FALSE(ShouldRoll(segment, kAppend, kLimits, wall_ms));
  EXPECT_EQ(asked, 0);
  segment.size_bytes = 10;
  segment.first_batch_timestamp_ms = -1;
  EXPECT_TRUE(ShouldRoll(segment, kAppend, kLimits, wall_ms));
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace varve::internal
