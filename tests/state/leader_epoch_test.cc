// Who truncates where: the decisions of format notes §9.5, one by one.
#include "varve/leader_epoch.h"

#include <cstdint>
#include <optional>
#include <ostream>
#include <vector>

#include "gtest/gtest.h"

namespace varve {

void PrintTo(const FetchAnswer& answer, std::ostream* out) {
  *out << "verdict " << static_cast<int>(answer.verdict) << ", epoch " << answer.diverging.epoch << " to "
       << answer.diverging.start_offset;
}

void PrintTo(const TruncationStep& step, std::ostream* out) {
  *out << "action " << static_cast<int>(step.action) << " at " << step.offset
       << (step.ask_again ? ", ask again" : ", done");
}

namespace {

TEST(LeaderEpochTest, ALeaderServesWhatAgreesAndTellsWhereTheLogsPart) {
  struct Case {
    const char* name;
    int32_t last_fetched_epoch;
    int64_t fetch_offset;
    std::optional<LeaderEpoch> end_of_epoch;
    FetchAnswer answer;
  };
  constexpr int64_t kLogStartOffset = 10;
  constexpr FetchAnswer kServed{};
  constexpr FetchAnswer kOutOfRange{.verdict = FetchVerdict::kOutOfRange};
  const auto diverging = [](int32_t epoch, int64_t end_offset) {
    return FetchAnswer{.verdict = FetchVerdict::kDiverging, .diverging = {epoch, end_offset}};
  };
  const std::vector<Case> cases = {
      {"at the epoch's end", 3, 20, LeaderEpoch{3, 20}, kServed},
      {"before the epoch's end", 3, 15, LeaderEpoch{3, 20}, kServed},
      {"at the log start", 3, 10, LeaderEpoch{3, 20}, kServed},
      {"behind the epoch's end", 3, 21, LeaderEpoch{3, 20}, diverging(3, 20)},
      {"an epoch that the leader never had", 3, 15, LeaderEpoch{2, 20}, diverging(2, 20)},
      {"both", 3, 25, LeaderEpoch{2, 20}, diverging(2, 20)},
      {"an epoch above the leader's", 3, 15, std::nullopt, kOutOfRange},
      {"below the log start", 3, 9, LeaderEpoch{3, 20}, kOutOfRange},
      {"below the log start, and parted", 3, 9, LeaderEpoch{2, 5}, kOutOfRange},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(JudgeFetch(c.last_fetched_epoch, c.fetch_offset, c.end_of_epoch, kLogStartOffset), c.answer) << c.name;
  }
}

TEST(LeaderEpochTest, AFollowerTruncatesToWhatBothVouchFor) {
  using enum TruncationAction;
  struct Case {
    const char* name;
    LeaderEpoch diverging;
    std::optional<LeaderEpoch> own_end;
    TruncationStep step;
  };
  constexpr int64_t kLogStartOffset = 11;
  constexpr int64_t kLogEndOffset = 20;
  const std::vector<Case> cases = {
      {"the leader's end is lower", {3, 12}, LeaderEpoch{3, 18}, {kTruncateTo, 12, false}},
      {"the own end is lower", {3, 18}, LeaderEpoch{3, 12}, {kTruncateTo, 12, false}},
      {"both are beyond the log end", {3, 25}, LeaderEpoch{3, 30}, {kTruncateTo, 20, false}},
      {"an epoch that the follower never had", {3, 25}, LeaderEpoch{2, 15}, {kTruncateTo, 15, true}},
      {"which ends at the log end", {3, 12}, LeaderEpoch{2, 30}, {kTruncateTo, 20, true}},
      {"no answer of its own", {3, 12}, std::nullopt, {kTruncateTo, 12, false}},
      {"no answer of its own, and a short log", {3, 25}, std::nullopt, {kTruncateTo, 20, false}},
      {"at the log start", {3, 11}, LeaderEpoch{3, 18}, {kTruncateTo, 11, false}},
      {"below the log start", {3, 10}, LeaderEpoch{3, 18}, {kTruncateFullyAndStart, 10, false}},
      {"below the log start, of another epoch", {3, 18}, LeaderEpoch{2, 10}, {kTruncateFullyAndStart, 10, true}},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(StepAfterDivergence(c.diverging, c.own_end, kLogStartOffset, kLogEndOffset), c.step) << c.name;
  }
}

TEST(LeaderEpochTest, AFollowerOutOfRangeFindsBackIn) {
  using enum TruncationAction;
  struct Case {
    const char* name;
    int64_t leader_log_start_offset;
    int64_t leader_log_end_offset;
    TruncationStep step;
  };
  constexpr int64_t kLogStartOffset = 15;
  constexpr int64_t kLogEndOffset = 40;
  const std::vector<Case> cases = {
      {"the leader's log is shorter", 0, 39, {kTruncateTo, 39}},
      {"it ends where the follower's starts", 0, 15, {kTruncateTo, 15}},
      {"it ends below", 0, 14, {kTruncateFullyAndStart, 14}},
      {"both end alike", 0, 40, {kGoOn, 40}},
      {"the leader's starts where the follower's ends", 40, 90, {kGoOn, 40}},
      {"it starts behind", 41, 90, {kTruncateFullyAndStart, 41}},
      {"it starts behind the follower's start, and is shorter", 16, 20, {kTruncateTo, 20}},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(StepAfterOutOfRange(c.leader_log_start_offset, c.leader_log_end_offset, kLogStartOffset, kLogEndOffset),
              c.step)
        << c.name;
  }
}

}  // namespace
}  // namespace varve
