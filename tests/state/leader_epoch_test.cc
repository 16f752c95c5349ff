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

void PrintTo(const DivergenceStep& step, std::ostream* out) {
  *out << "truncate to " << step.truncate_to << (step.ask_again ? ", ask again" : ", done");
}

void PrintTo(const OutOfRangeStep& step, std::ostream* out) {
  *out << "action " << static_cast<int>(step.action) << " at " << step.offset;
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
  struct Case {
    const char* name;
    LeaderEpoch diverging;
    std::optional<LeaderEpoch> own_end;
    DivergenceStep step;
  };
  constexpr int64_t kLogEndOffset = 20;
  const std::vector<Case> cases = {
      {"the leader's end is lower", {3, 12}, LeaderEpoch{3, 18}, {12, false}},
      {"the own end is lower", {3, 18}, LeaderEpoch{3, 12}, {12, false}},
      {"both are beyond the log end", {3, 25}, LeaderEpoch{3, 30}, {20, false}},
      {"an epoch that the follower never had", {3, 25}, LeaderEpoch{2, 15}, {15, true}},
      {"which ends at the log end", {3, 12}, LeaderEpoch{2, 30}, {20, true}},
      {"no answer of its own", {3, 12}, std::nullopt, {12, false}},
      {"no answer of its own, and a short log", {3, 25}, std::nullopt, {20, false}},
  };
  for (const Case& c : cases) EXPECT_EQ(StepAfterDivergence(c.diverging, c.own_end, kLogEndOffset), c.step) << c.name;
}

TEST(LeaderEpochTest, AFollowerOutOfRangeFindsBackIn) {
  constexpr int64_t kLogEndOffset = 40;
  using enum OutOfRangeAction;
  EXPECT_EQ(StepAfterOutOfRange(0, 39, kLogEndOffset), (OutOfRangeStep{kTruncateTo, 39}));
  EXPECT_EQ(StepAfterOutOfRange(0, 40, kLogEndOffset), (OutOfRangeStep{kGoOn, 40}));
  EXPECT_EQ(StepAfterOutOfRange(40, 90, kLogEndOffset), (OutOfRangeStep{kGoOn, 40}));
  EXPECT_EQ(StepAfterOutOfRange(41, 90, kLogEndOffset), (OutOfRangeStep{kTruncateFullyAndStart, 41}));
  EXPECT_EQ(StepAfterOutOfRange(10, 20, kLogEndOffset), (OutOfRangeStep{kTruncateTo, 20}));
}

}  // namespace
}  // namespace varve
