#include "segment/header_mending.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "gtest/gtest.h"

namespace varve::internal {
namespace {

BatchHeader Header(int64_t base_offset, int32_t last_offset_delta, int32_t leader_epoch = 5) {
  BatchHeader header{};
  header.base_offset = base_offset;
  header.last_offset_delta = last_offset_delta;
  header.leader_epoch = leader_epoch;
  return header;
}

struct BaseOffsetCase {
  std::string name;
  int64_t found;
  int32_t last_offset_delta;
  BatchNeighbours neighbours;
  std::optional<int64_t> mended;
};

class MendBaseOffsetTest : public ::testing::TestWithParam<BaseOffsetCase> {};

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

INSTANTIATE_TEST_SUITE_P(
    , MendBaseOffsetTest,
    ::testing::Values(
        BaseOffsetCase{"BetweenCloseNeighbours", 999, 2, {.expected_offset = 10, .next_base_offset = 13}, 10},
        BaseOffsetCase{"TooLongForItsPlace", 999, 3, {.expected_offset = 10, .next_base_offset = 13}, std::nullopt},
        BaseOffsetCase{"AnExactEndNamesIt", 999, 2, {.expected_offset = 10, .exact_next_offset = 23}, 20},
        BaseOffsetCase{
            "AnExactEndThatIsTooLow", 999, 2, {.expected_offset = 10, .exact_next_offset = 12}, std::nullopt},
        BaseOffsetCase{"AnIndexEntryNamesIt",
                       999,
                       2,
                       {.expected_offset = 10, .next_base_offset = 50, .indexed_last_offset = 32},
                       30},
        BaseOffsetCase{"AnIndexEntryThatDoesNotFitIsPassedOver",
                       999,
                       2,
                       {.expected_offset = 10, .next_base_offset = 13, .indexed_last_offset = 90},
                       10},
        BaseOffsetCase{"OneBitInAGap", 21 ^ (1 << 20), 0, {.expected_offset = 20, .next_base_offset = 23}, 21},
        BaseOffsetCase{"SeveralBitsFit", 4, 0, {.expected_offset = 5, .next_base_offset = 8}, std::nullopt},
        BaseOffsetCase{"NoBitFits", 0, 0, {.expected_offset = 21, .next_base_offset = 24}, std::nullopt},
        BaseOffsetCase{"NothingBehindSaysNothing", 999, 0, {.expected_offset = 1000}, std::nullopt},
        BaseOffsetCase{
            "ADeltaBelowZeroIsBeyondMending", 10, -1, {.expected_offset = 10, .next_base_offset = 11}, std::nullopt},
        BaseOffsetCase{"NoPlaceAgreesWithTheIndex",
                       999,
                       2,
                       {.expected_offset = 10, .next_base_offset = 13, .indexed_last_offset = 11},
                       std::nullopt},
        BaseOffsetCase{"AnIndexEntryBelowItsLength",
                       999,
                       2,
                       {.expected_offset = 0, .next_base_offset = 3, .indexed_last_offset = 1},
                       std::nullopt},
        BaseOffsetCase{"AnOffsetBelowZero", -7, 0, {.expected_offset = 10, .next_base_offset = 11}, 10},
        BaseOffsetCase{
            "AtTheEndOfAllOffsets", 5, 0, {.expected_offset = kMax - 1, .exact_next_offset = kMax}, kMax - 1}),
    [](const auto& param) { return param.param.name; });

TEST_P(MendBaseOffsetTest, IsWhatTheNeighboursLeaveNoChoiceIn) {
  const BatchHeader header = Header(GetParam().found, GetParam().last_offset_delta);
  EXPECT_FALSE(BaseOffsetFits(header, GetParam().neighbours));
  const std::optional<int64_t> mended = MendBaseOffset(header, GetParam().neighbours);
  EXPECT_EQ(mended, GetParam().mended);
  if (mended.has_value()) {
    EXPECT_TRUE(BaseOffsetFits(Header(*mended, GetParam().last_offset_delta), GetParam().neighbours));
  }
}

TEST(HeaderMendingTest, ABaseOffsetFitsUpToItsNeighbours) {
  const BatchNeighbours neighbours{.expected_offset = 10, .next_base_offset = 20};
  EXPECT_FALSE(BaseOffsetFits(Header(9, 0), neighbours));
  EXPECT_TRUE(BaseOffsetFits(Header(10, 0), neighbours));
  EXPECT_TRUE(BaseOffsetFits(Header(10, 9), neighbours));
  EXPECT_FALSE(BaseOffsetFits(Header(10, 10), neighbours));
  EXPECT_FALSE(BaseOffsetFits(Header(15, 0), {.expected_offset = 10, .indexed_last_offset = 14}));
  EXPECT_TRUE(BaseOffsetFits(Header(15, 1), {.expected_offset = 10, .exact_next_offset = 17}));
  EXPECT_FALSE(BaseOffsetFits(Header(15, 0), {.expected_offset = 10, .exact_next_offset = 17}));
}

TEST(HeaderMendingTest, AnEpochIsMendedBetweenTwoEqualOnesOnly) {
  EXPECT_EQ(MendLeaderEpoch(Header(0, 0, 9), {.previous_epoch = 5, .next_epoch = 5}), 5);
  EXPECT_EQ(MendLeaderEpoch(Header(0, 0, 5), {.previous_epoch = 5, .next_epoch = 5}), std::nullopt);
  EXPECT_EQ(MendLeaderEpoch(Header(0, 0, 9), {.previous_epoch = 5, .next_epoch = 6}), std::nullopt);
  EXPECT_EQ(MendLeaderEpoch(Header(0, 0, 9), {.previous_epoch = 5}), std::nullopt);
  EXPECT_EQ(MendLeaderEpoch(Header(0, 0, 9), {.previous_epoch = kUnknownEpoch, .next_epoch = kUnknownEpoch}),
            std::nullopt);
}

}  // namespace
}  // namespace varve::internal
