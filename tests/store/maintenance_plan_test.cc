// Whose turn it is: order, fairness, the choice of what is compacted, and what follows a failure.
#include "store/maintenance_plan.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varve::internal {
namespace {

constexpr int64_t kNsPerMs = 1'000'000;
constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

std::string NameOf(const MaintenanceWork& work) {
  constexpr const char* kNames[] = {"flush", "retention", "files", "producers", "look"};
  const std::string kind = work.of_pass ? "pass" : kNames[static_cast<size_t>(work.kind)];
  return kind + " " + std::to_string(work.log);
}

// At that time that piece of work is taken, and ends like this at once.
struct Turn {
  int64_t at_ms;
  const char* expected;  // "" where nothing is due
  MaintenanceOutcome outcome = {};
};

MaintenanceOutcome Again() { return {.again_ms = 0}; }
MaintenanceOutcome Failed() { return {.failed = true}; }
MaintenanceOutcome Files(int64_t due_ms) { return {.files_due_ms = due_ms}; }
MaintenanceOutcome Dirty(double ratio) { return {.dirty_ratio = ratio}; }
MaintenanceOutcome GoesOn() { return {.pass_goes_on = true, .again_ms = 0}; }

struct Case {
  const char* name;
  MaintenanceIntervals intervals;  // flush, retention, files, producers, compaction
  LogId logs;                      // 1 to that are added at 0, in order; all of them compact
  std::vector<Turn> turns;
};

constexpr std::optional<int64_t> kNo = std::nullopt;
const MaintenanceIntervals kRetention{kNo, 100, kNo, kNo, kNo};
const MaintenanceIntervals kCompaction{kNo, kNo, kNo, kNo, 100};

const Case kCases[] = {
    {"WithoutLogs", {1, 1, kNo, 1, 1}, 0, {{1000, ""}}},
    {"WithoutIntervals", {}, 2, {{kMax / kNsPerMs, ""}}},
    {"FirstTurns",
     {10, 20, kNo, 30, 40},
     1,
     {{0, "retention 1"},
      {0, "look 1"},
      {9, ""},
      {10, "flush 1"},
      {10, ""},
      {30, "retention 1"},
      {30, "flush 1"},
      {30, "producers 1"},
      {30, ""},
      {40, "look 1"}}},
    {"FromTheEndToTheNext",
     kRetention,
     1,
     {{7, "retention 1"}, {106, ""}, {107, "retention 1"}, {300, "retention 1"}, {399, ""}, {400, "retention 1"}}},
    {"TheLongestDueGoesFirst",
     {10, 25, kNo, 15, kNo},
     1,
     {{0, "retention 1"}, {100, "flush 1"}, {100, "producers 1"}, {100, "retention 1"}, {100, ""}}},
    {"TheSameMomentQueues",
     kRetention,
     3,
     {{0, "retention 1"}, {0, "retention 2"}, {0, "retention 3"}, {0, ""}, {100, "retention 1"}}},

    // What goes on.
    {"GoingOnQueuesUpAgain",
     kRetention,
     2,
     {{0, "retention 1", Again()},
      {0, "retention 2", Again()},
      {0, "retention 1", Again()},
      {0, "retention 2"},
      {0, "retention 1"},
      {0, ""}}},
    {"WhatBecomesDueGoesBeforeWhatGoesOnLater",
     kRetention,
     2,
     {{0, "retention 1"},
      {5, "retention 2", Again()},
      {99, "retention 2", Again()},
      {100, "retention 2", Again()},  // was due at 99
      {101, "retention 1"},
      {101, "retention 2"}}},

    // Files.
    {"FilesAreDueWhenToldOf",
     kRetention,
     1,
     {{0, "retention 1", Files(60)}, {59, ""}, {60, "files 1"}, {99, ""}, {100, "retention 1"}, {190, ""}}},
    {"FilesAreDueAtTheEarliest",
     kRetention,
     1,
     {{0, "retention 1", Files(110)},
      {100, "retention 1", Files(110)},
      {109, ""},
      {110, "files 1", Files(100)},
      {200, "retention 1"},
      {210, "files 1"},
      {299, ""}}},
    {"FilesWaitLongerAfterAFailureToo",
     kRetention,
     1,
     {{0, "retention 1", Files(0)},
      {0, "files 1", Failed()},
      {100, "retention 1"},
      {59'999, "retention 1"},
      {60'000, "files 1", Failed()},
      {179'999, "retention 1"},
      {180'000, "files 1"},
      {180'000, ""}}},

    // Failures.
    {"AFailureWaitsLongerEachTime",
     kRetention,
     2,
     {{0, "retention 1", Failed()},
      {0, "retention 2"},
      {100, "retention 1", Failed()},
      {100, "retention 2"},
      {200, "retention 2"},
      {299, ""},
      {300, "retention 1", Failed()},  // after twice as long
      {300, "retention 2"},
      {699, "retention 2"},
      {700, "retention 1"},  // it has come right
      {799, "retention 2"},
      {799, ""},
      {800, "retention 1", Failed()},
      {899, "retention 2"},
      {900, "retention 1"}}},
    {"AFailureIsOfOneKind",
     {10, 20, kNo, kNo, kNo},
     1,
     {{0, "retention 1"},
      {10, "flush 1", Failed()},
      {20, "retention 1"},
      {20, "flush 1", Failed()},
      {39, ""},
      {40, "retention 1"},
      {40, "flush 1", Failed()},
      {60, "retention 1"},
      {79, ""},
      {80, "flush 1"}}},

    // Compaction.
    {"TheDirtiestFirst",
     kCompaction,
     4,
     {{0, "look 1", Dirty(0.6)},
      {0, "look 2", Dirty(0.9)},
      {0, "look 3"},
      {0, "look 4", Dirty(0.7)},
      {0, "pass 2"},
      {0, "pass 4"},
      {0, "pass 1"},
      {0, ""},
      {99, ""},
      {100, "look 3"},
      {100, "look 2"}}},
    {"OnePassAtATime",
     kCompaction,
     2,
     {{0, "look 1", Dirty(0.6)},
      {0, "look 2", Dirty(0.9)},
      {1, "pass 2", GoesOn()},
      {2, "pass 2", GoesOn()},
      {2, "pass 2"},
      {2, "pass 1"},
      {2, ""}}},
    {"OfEqualsTheFirst",
     kCompaction,
     2,
     {{0, "look 1", Dirty(0.6)}, {0, "look 2", Dirty(0.6)}, {0, "pass 1"}, {0, "pass 2"}}},
    {"ALookTakesACandidateBack",
     {kNo, kNo, kNo, kNo, 100},
     2,
     {{0, "look 1", Dirty(0.6)},
      {0, "look 2", Dirty(0.9)},
      {0, "pass 2", GoesOn()},
      {100, "pass 2", GoesOn()},
      {100, "look 1"},
      {100, "pass 2"},
      {100, ""}}},
    {"ARatioOfZeroIsCompactedTooIfItIsDue", kCompaction, 1, {{0, "look 1", Dirty(0)}, {0, "pass 1"}, {0, ""}}},
    {"NoneTwiceWhileAnotherWaits",
     kCompaction,
     2,
     {{0, "look 1", Dirty(0.9)},
      {0, "look 2", Dirty(0.6)},
      {0, "pass 1", Again()},
      {0, "pass 2", GoesOn()},  // at the same moment as log 1's next look
      {0, "look 1", Dirty(0.9)},
      {0, "pass 2"},
      {0, "pass 1"}}},
    {"WhoeverBeganToWaitLaterMayWaitForOneThatHadAPassBefore",
     kCompaction,
     2,
     {{0, "look 1", Dirty(0.9)},
      {0, "look 2"},
      {0, "pass 1", Again()},
      {0, "look 1", Dirty(0.9)},
      {0, "pass 1", GoesOn()},
      {100, "pass 1", GoesOn()},
      {100, "look 2", Dirty(0.6)},
      {100, "pass 1", Again()},
      {100, "pass 2"}}},
    {"APassThatFailsWaitsLongerEachTime",
     kCompaction,
     2,
     {{0, "look 1", Dirty(0.9)},
      {0, "look 2", Dirty(0.8)},
      {0, "pass 1", Failed()},
      {0, "pass 2"},
      {100, "look 1", Dirty(0.9)},  // which goes well, and tells nothing of the pass
      {100, "look 2"},
      {100, "pass 1", GoesOn()},  // nor does its beginning
      {100, "pass 1", Failed()},
      {200, "look 2"},
      {299, ""},
      {300, "look 1", Dirty(0.9)},
      {300, "look 2"},
      {300, "pass 1"},
      {400, "look 2"},
      {400, "look 1", Dirty(0.9)},
      {400, "pass 1", Failed()},
      {499, ""},
      {500, "look 2"},
      {500, "look 1"}}},
    {"ALookThatFailsCountsUntilOneFindsNothing",
     kCompaction,
     1,
     {{0, "look 1", Failed()},
      {100, "look 1", Failed()},
      {299, ""},
      {300, "look 1"},
      {400, "look 1", Failed()},
      {500, "look 1"}}},
    {"APassThatMetDamageIsTheLast",
     kCompaction,
     1,
     {{0, "look 1", Dirty(0.9)}, {0, "pass 1", {.failed = true, .never_again = true}}, {kMax / kNsPerMs, ""}}},

    // One beside the other.
    {"NothingWaitsForMoreThanAStepOfAPass",
     {3, kNo, kNo, kNo, 1000},
     3,
     {{0, "look 1", Dirty(0.9)},
      {0, "look 2"},
      {0, "look 3"},
      {0, "pass 1", GoesOn()},
      {2, "pass 1", GoesOn()},
      {4, "pass 1", GoesOn()},
      {5, "flush 1"},
      {5, "flush 2"},
      {6, "flush 3"},
      {6, "pass 1", GoesOn()},
      {8, "pass 1", GoesOn()},
      {9, "flush 1"}}},
};

class MaintenancePlanTest : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(, MaintenancePlanTest, ::testing::ValuesIn(kCases),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(MaintenancePlanTest, Turns) {
  MaintenancePlan plan(GetParam().intervals);
  for (LogId log = 1; log <= GetParam().logs; ++log) plan.Add(log, /*compacts=*/true, 0);
  for (const Turn& turn : GetParam().turns) {
    SCOPED_TRACE(::testing::Message() << "at " << turn.at_ms << ", " << turn.expected);
    const int64_t now_ns = turn.at_ms * kNsPerMs;
    const std::optional<int64_t> due_ns = plan.NextDueNs();
    const std::optional<MaintenanceWork> work = plan.Take(now_ns);
    ASSERT_EQ(work.has_value() ? NameOf(*work) : "", turn.expected);
    ASSERT_EQ(work.has_value(), due_ns.has_value() && *due_ns <= now_ns);
    if (work.has_value()) plan.Settle(*work, turn.outcome, now_ns);
  }
}

TEST(MaintenancePlanRulesTest, DelaysAfterFailuresGrowToAnHourAndNeverBelowTheInterval) {
  constexpr int64_t kHourMs = 3'600'000;
  struct Delay {
    int64_t interval_ms;
    int64_t failures;
    int64_t expected_ms;
  };
  for (const Delay& delay : std::vector<Delay>{{1000, 1, 1000},
                                               {1000, 2, 2000},
                                               {1000, 5, 16'000},
                                               {1000, 12, 2'048'000},
                                               {1000, 13, kHourMs},
                                               {1000, kMax, kHourMs},
                                               {kHourMs, 3, kHourMs},
                                               {2 * kHourMs, 3, 2 * kHourMs},
                                               {kMax, 3, kMax}}) {
    EXPECT_EQ(RetryDelayMs(delay.interval_ms, delay.failures), delay.expected_ms)
        << delay.interval_ms << ", " << delay.failures;
  }
}

TEST(MaintenancePlanRulesTest, ALogThatDoesNotCompactIsNotLookedAt) {
  MaintenancePlan plan(kCompaction);
  plan.Add(1, /*compacts=*/false, 0);
  EXPECT_EQ(plan.NextDueNs(), std::nullopt);
}

TEST(MaintenancePlanRulesTest, AnIntervalWithoutAnEndIsNever) {
  MaintenancePlan plan({kMax, kNo, kNo, kNo, kNo});
  plan.Add(1, false, 5 * kNsPerMs);
  EXPECT_GT(plan.NextDueNs(), kMax - kNsPerMs - 5 * kNsPerMs);
}

TEST(MaintenancePlanRulesTest, FailuresAreCounted) {
  MaintenancePlan plan(kRetention);
  plan.Add(1, false, 0);
  for (int64_t failures = 1; failures < 4; ++failures) {
    const auto work = plan.Take(kMax);
    ASSERT_TRUE(work.has_value());
    plan.Settle(*work, Failed(), 0);
    EXPECT_EQ(plan.failures(1, MaintenanceKind::kRetention), failures);
  }
  plan.Settle(*plan.Take(kMax), {}, 0);
  EXPECT_EQ(plan.failures(1, MaintenanceKind::kRetention), 0);
}

TEST(MaintenancePlanRulesTest, ALogAtWorkIsOutOfTurnAndOthersAreNot) {
  MaintenancePlan plan({kNo, 100, kNo, kNo, 100});
  plan.Add(1, true, 0);
  plan.Add(2, true, 0);
  const auto first = plan.Take(0);
  const auto second = plan.Take(0);
  EXPECT_EQ(NameOf(first.value()), "retention 1");
  EXPECT_EQ(NameOf(second.value()), "retention 2");
  EXPECT_TRUE(plan.IsAtWork(1));
  EXPECT_EQ(plan.Take(kMax), std::nullopt);
  EXPECT_EQ(plan.NextDueNs(), std::nullopt);
  plan.Settle(*first, {}, 0);
  EXPECT_FALSE(plan.IsAtWork(1));
  EXPECT_EQ(NameOf(plan.Take(0).value()), "look 1");
}

// Another thread begins no second one, neither while the first is in a step nor between two.
TEST(MaintenancePlanRulesTest, OnePassAlsoOfSeveralThreads) {
  MaintenancePlan plan(kCompaction);
  plan.Add(1, true, 0);
  plan.Add(2, true, 0);
  plan.Settle(*plan.Take(0), Dirty(0.9), 0);
  plan.Settle(*plan.Take(0), Dirty(0.8), 0);
  const auto pass = plan.Take(0);
  EXPECT_EQ(NameOf(pass.value()), "pass 1");
  EXPECT_EQ(plan.Take(0), std::nullopt);
  plan.Settle(*pass, GoesOn(), 0);
  EXPECT_EQ(plan.Take(0), pass);
  EXPECT_EQ(plan.Take(0), std::nullopt);
  plan.Settle(*pass, {}, 0);
  EXPECT_EQ(NameOf(plan.Take(0).value()), "pass 2");
}

TEST(MaintenancePlanRulesTest, ASuspendedLogIsOutOfTurnAndItsRemovalEndsItsPass) {
  MaintenancePlan plan(kCompaction);
  plan.Add(1, true, 0);
  plan.Add(2, true, 0);
  plan.Settle(*plan.Take(0), Dirty(0.9), 0);
  plan.Settle(*plan.Take(0), Dirty(0.8), 0);
  const auto pass = plan.Take(0);
  EXPECT_EQ(NameOf(pass.value()), "pass 1");
  plan.Suspend(1);
  EXPECT_TRUE(plan.IsSuspended(1));
  EXPECT_FALSE(plan.IsSuspended(2));
  plan.Settle(*pass, GoesOn(), 0);
  EXPECT_EQ(plan.Take(0), std::nullopt) << "the pass is not over";
  plan.Remove(1);
  EXPECT_EQ(NameOf(plan.Take(0).value()), "pass 2");
}

}  // namespace
}  // namespace varve::internal
