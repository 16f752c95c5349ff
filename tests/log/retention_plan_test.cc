// What retention takes, by Kafka's rules (format notes §6), and by what is believed of timestamps.
#include "log/retention_plan.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varve::internal {
namespace {

using ::testing::ElementsAre;
using enum RetentionRule;

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kNowMs = 1'700'000'000'000;
constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kDayMs = 24 * kHourMs;
constexpr int64_t kNone = -1;  // no timestamp

// How a segment looks whose largest timestamp is so old.
constexpr int64_t Aged(int64_t age_ms) { return kNowMs - age_ms; }

struct TestSegment {
  int64_t timestamp_ms;
  int64_t size_bytes = 100;
};

// Segments of ten offsets each, from 0 on; everything is committed.
struct Case {
  const char* name;
  std::vector<TestSegment> segments;
  RetentionLimits limits;
  std::vector<RetentionRule> expected;
  std::optional<int64_t> log_start = std::nullopt;
  std::optional<int64_t> high_watermark = std::nullopt;
  std::optional<RetentionBlock> block = std::nullopt;
  bool more_due = false;
};

const RetentionLimits kWeek{.retention_ms = 7 * kDayMs};
const RetentionLimits kBelieveLittle{
    .retention_ms = 7 * kDayMs, .ahead_max_ms = kHourMs, .behind_max_ms = 100 * kDayMs};
constexpr int64_t kOld = Aged(8 * kDayMs);
constexpr int64_t kYoung = Aged(kDayMs);
constexpr int64_t kFuture = Aged(-365 * kDayMs);
constexpr int64_t kAncient = Aged(1000 * kDayMs);

RetentionLimits Bytes(int64_t retention_bytes) { return {.retention_bytes = retention_bytes}; }

RetentionLimits AtMost(size_t max_segments, RetentionLimits limits = kWeek) {
  limits.max_segments = max_segments;
  return limits;
}

const Case kCases[] = {
    {"NoLimits", {{kOld}, {kOld}, {kYoung}}, {}, {}},

    // Below the log start.
    {"LogStartAtASegmentsBase", {{kYoung}, {kYoung}, {kYoung}}, {}, {kLogStart}, 10},
    {"LogStartInsideASegment", {{kYoung}, {kYoung}, {kYoung}}, {}, {kLogStart}, 19},
    {"LogStartAtTheEndKeepsTheActiveSegment", {{kYoung}, {kYoung}, {kYoung}}, {}, {kLogStart, kLogStart}, 30},
    {"LogStartWhereNothingElseDeletes",
     {{kOld}, {kOld}, {kYoung}},
     {.deletes = false, .retention_ms = 0, .retention_bytes = 0},
     {kLogStart},
     10},

    // Size.
    {"SizeOfExactlyTheLimit", {{kYoung}, {kYoung}, {kYoung}}, Bytes(300), {}},
    {"SizeAByteAbove", {{kYoung}, {kYoung}, {kYoung}}, Bytes(299), {}},
    {"SizeOneSegmentAbove", {{kYoung}, {kYoung}, {kYoung}}, Bytes(200), {kSize}},
    {"SizeStopsAtALargeSegment", {{kYoung, 50}, {kYoung, 500}, {kYoung, 50}}, Bytes(400), {kSize}},
    {"SizeZeroTakesTheActiveSegmentToo", {{kYoung}, {kYoung}}, Bytes(0), {kSize, kSize}},
    {"SizeZeroKeepsAnEmptyActiveSegment", {{kYoung}, {kNone, 0}}, Bytes(0), {kSize}},
    {"SizeOfAnEmptyLog", {{kNone, 0}}, Bytes(0), {}},
    {"SizeAsksForNoTimestamps", {{kNone}, {kFuture}, {kYoung}}, Bytes(100), {kSize, kSize}},
    {"SizeCountsWhatTheLogStartLeaves", {{kYoung}, {kYoung}, {kYoung}}, Bytes(200), {kLogStart}, 10},
    {"SizeUpToTheHighWatermark", {{kYoung}, {kYoung}, {kYoung}}, Bytes(0), {kSize}, std::nullopt, 19},

    // Time.
    {"TimeOfExactlyTheLimit", {{Aged(7 * kDayMs)}, {kYoung}}, kWeek, {}},
    {"TimeAMillisecondMore", {{Aged(7 * kDayMs + 1)}, {kYoung}}, kWeek, {kTime}},
    {"TimeStopsAtTheFirstYoungOne", {{kOld}, {kYoung}, {kOld}}, kWeek, {kTime}},
    {"TimeTakesTheActiveSegmentToo", {{kOld}, {kOld}}, kWeek, {kTime, kTime}},
    {"TimeKeepsAnEmptyActiveSegment", {{kOld}, {kNone, 0}}, kWeek, {kTime}},
    {"TimeUpToTheHighWatermark", {{kOld}, {kOld}}, kWeek, {kTime}, std::nullopt, 19},
    {"TimeAtTheHighWatermark", {{kOld}, {kOld}}, kWeek, {kTime}, std::nullopt, 10},
    {"TimeBelowTheHighWatermark", {{kOld}, {kOld}}, kWeek, {}, std::nullopt, 9},
    {"TimeOfZeroSparesTheMomentItself", {{Aged(1)}, {Aged(0)}}, {.retention_ms = 0}, {kTime}},
    {"TimeOfTheLargestTimestamp", {{kMax}, {kYoung}}, kWeek, {}},
    {"TimePassesAnEmptySegment", {{kOld}, {kNone, 0}, {kOld}, {kYoung}}, kWeek, {kTime, kTime, kTime}},

    // One rule after the other.
    {"AllThree",
     {{kYoung}, {kYoung}, {kOld}, {kYoung}},
     {.retention_ms = 7 * kDayMs, .retention_bytes = 200},
     {kLogStart, kSize, kTime},
     10},

    // What stands in the way of time.
    {"AFutureTimestampBlocks",
     {{kFuture}, {kOld}, {kOld, 50}, {kYoung}},
     kWeek,
     {},
     std::nullopt,
     std::nullopt,
     RetentionBlock{
         .next_offset = 10, .timestamp_ms = kFuture, .ahead_ms = 365 * kDayMs, .due_segments = 2, .due_bytes = 150}},
    {"AFutureTimestampBehindWhatIsDue",
     {{kOld}, {kFuture}, {kOld}, {kYoung}},
     kWeek,
     {kTime},
     std::nullopt,
     std::nullopt,
     RetentionBlock{.base_offset = 10,
                    .next_offset = 20,
                    .timestamp_ms = kFuture,
                    .ahead_ms = 365 * kDayMs,
                    .due_segments = 1,
                    .due_bytes = 100}},
    {"AFutureTimestampBlocksNothingYoung", {{kFuture}, {kYoung}}, kWeek, {}},
    {"AFutureTimestampBlocksNothingUncommitted", {{kFuture}, {kOld}, {kYoung}}, kWeek, {}, std::nullopt, 15},
    {"AFutureTimestampDoesNotBlockSize",
     {{kFuture}, {kOld}, {kYoung}},
     {.retention_ms = 7 * kDayMs, .retention_bytes = 200},
     {kSize, kTime}},
    {"NoTimestampsBlock",
     {{kNone}, {kOld}, {kYoung}},
     kWeek,
     {},
     std::nullopt,
     std::nullopt,
     RetentionBlock{.next_offset = 10, .due_segments = 1, .due_bytes = 100}},
    {"AYoungSegmentBlocksForAWhileOnly", {{kYoung}, {kOld}, {kYoung}}, kWeek, {}},

    // Timestamps that are not believed.
    {"FutureIsAsOldAsTheNextBehind", {{kFuture}, {kOld}, {kYoung}}, kBelieveLittle, {kTime, kTime}},
    {"FutureIsAsYoungAsTheNextBehind", {{kFuture}, {kYoung}, {kOld}}, kBelieveLittle, {}},
    {"FutureIsAsOldAsTheNextThatIsBelieved",
     {{kFuture}, {kAncient}, {kNone, 0}, {kFuture}, {kOld}, {kYoung}},
     kBelieveLittle,
     {kTime, kTime, kTime, kTime, kTime}},
    {"FutureWithNothingBehindIsKept", {{kOld}, {kFuture}}, kBelieveLittle, {kTime}},
    {"FutureWithinTheBoundIsBelieved",
     {{Aged(-kHourMs)}, {kOld}, {kYoung}},
     kBelieveLittle,
     {},
     std::nullopt,
     std::nullopt,
     RetentionBlock{
         .next_offset = 10, .timestamp_ms = Aged(-kHourMs), .ahead_ms = kHourMs, .due_segments = 1, .due_bytes = 100}},
    {"FutureBeyondTheBoundIsNot", {{Aged(-kHourMs - 1)}, {kOld}, {kYoung}}, kBelieveLittle, {kTime, kTime}},
    {"AncientIsAsYoungAsTheNextBehind", {{kAncient}, {kYoung}}, kBelieveLittle, {}},
    {"AncientIsAsOldAsTheNextBehind", {{kAncient}, {kOld}, {kYoung}}, kBelieveLittle, {kTime, kTime}},
    {"AncientWithNothingBehindIsKept", {{kOld}, {kAncient}}, kBelieveLittle, {kTime}},
    {"AncientWithinTheBoundIsBelieved", {{Aged(100 * kDayMs)}, {kYoung}}, kBelieveLittle, {kTime}},
    {"AncientBeyondTheBoundIsNot", {{Aged(100 * kDayMs + 1)}, {kYoung}}, kBelieveLittle, {}},
    {"WithoutBoundsTheAncientGoes", {{kAncient}, {kYoung}}, kWeek, {kTime}},
    {"NoTimestampsStayWhateverIsBehind",
     {{kNone}, {kOld}, {kYoung}},
     kBelieveLittle,
     {},
     std::nullopt,
     std::nullopt,
     RetentionBlock{.next_offset = 10, .due_segments = 1, .due_bytes = 100}},

    // So many at once.
    {.name = "AtMostAsManyAsAreDue",
     .segments = {{kOld}, {kOld}, {kYoung}},
     .limits = AtMost(2),
     .expected = {kTime, kTime}},
    {.name = "AtMostOneOfTwo",
     .segments = {{kOld}, {kOld}, {kYoung}},
     .limits = AtMost(1),
     .expected = {kTime},
     .more_due = true},
    {.name = "AtMostOneBelowTheLogStart",
     .segments = {{kYoung}, {kYoung}, {kYoung}},
     .limits = AtMost(1),
     .expected = {kLogStart},
     .log_start = 20,
     .more_due = true},
    {.name = "AtMostOneWhereAnotherRuleTakesTheNext",
     .segments = {{kYoung}, {kYoung}, {kYoung}},
     .limits = AtMost(1, Bytes(100)),
     .expected = {kLogStart},
     .log_start = 10,
     .more_due = true},
    {.name = "AtMostOneWhereNoOtherRuleTakesTheNext",
     .segments = {{kYoung}, {kYoung}, {kYoung}},
     .limits = AtMost(1, Bytes(200)),
     .expected = {kLogStart},
     .log_start = 10},
    {.name = "AtMostSoManyTellsOfNoBlockBeforeItIsReached",
     .segments = {{kOld}, {kOld}, {kFuture}, {kOld}, {kYoung}},
     .limits = AtMost(1),
     .expected = {kTime},
     .more_due = true},
};

RetentionView ViewOf(const Case& test_case) {
  RetentionView view;
  view.now_ms = kNowMs;
  for (const TestSegment& segment : test_case.segments) {
    view.segments.push_back(
        {.base_offset = 10 * static_cast<int64_t>(view.segments.size()), .size_bytes = segment.size_bytes});
  }
  view.log_end_offset = view.segments.back().base_offset + (test_case.segments.back().size_bytes > 0 ? 10 : 0);
  view.log_start_offset = test_case.log_start.value_or(0);
  view.high_watermark = test_case.high_watermark.value_or(view.log_end_offset);
  return view;
}

LargestTimestampOf TimestampsOf(const Case& test_case, std::set<size_t>* asked = nullptr) {
  return [&test_case, asked](size_t index) -> std::optional<int64_t> {
    if (asked != nullptr) asked->insert(index);
    const int64_t timestamp_ms = test_case.segments.at(index).timestamp_ms;
    return timestamp_ms == kNone ? std::nullopt : std::optional<int64_t>(timestamp_ms);
  };
}

class RetentionPlanTest : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(, RetentionPlanTest, ::testing::ValuesIn(kCases),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(RetentionPlanTest, Plan) {
  const RetentionPlan plan = PlanRetention(ViewOf(GetParam()), GetParam().limits, TimestampsOf(GetParam()));
  EXPECT_EQ(plan.rules, GetParam().expected);
  EXPECT_EQ(plan.block, GetParam().block);
  EXPECT_EQ(plan.more_due, GetParam().more_due);
}

// A timestamp may cost opening a segment.
TEST(RetentionPlanCostTest, AsksForTheTimestampsOfWhatGoesAndOneMore) {
  const Case test_case{"", {{kOld}, {kOld}, {kYoung}, {kOld}, {kYoung}}, kWeek, {}};
  std::set<size_t> asked;
  const RetentionPlan plan = PlanRetention(ViewOf(test_case), kWeek, TimestampsOf(test_case, &asked));
  EXPECT_EQ(plan.rules.size(), 2u);
  EXPECT_THAT(asked, ElementsAre(0, 1, 2));
  asked.clear();
  (void)PlanRetention(ViewOf(test_case), Bytes(100), TimestampsOf(test_case, &asked));
  EXPECT_TRUE(asked.empty());
  (void)PlanRetention(ViewOf(test_case), AtMost(1), TimestampsOf(test_case, &asked));
  EXPECT_THAT(asked, ElementsAre(0, 1));
}

}  // namespace
}  // namespace varve::internal
