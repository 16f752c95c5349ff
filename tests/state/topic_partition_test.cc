#include "varve/topic_partition.h"

#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/status_matchers.h"

namespace varve {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;
using testing_support::IsOk;
using testing_support::IsOkAndHolds;
using testing_support::StatusIs;

constexpr char kUnique[] = "0123456789abcdef0123456789abcdef";

TEST(TopicPartitionTest, ParsesLiveDirectories) {
  EXPECT_THAT(ParseTopicPartition("orders-0"), IsOkAndHolds(TopicPartition{"orders", 0}));
  EXPECT_THAT(ParseTopicPartition("a-b-0"), IsOkAndHolds(TopicPartition{"a-b", 0}));
  EXPECT_THAT(ParseTopicPartition("a.b_c-12"), IsOkAndHolds(TopicPartition{"a.b_c", 12}));
  EXPECT_THAT(ParseTopicPartition("t-2147483647"), IsOkAndHolds(TopicPartition{"t", 2147483647}));
  EXPECT_THAT(ParseTopicPartition("--7"), IsOkAndHolds(TopicPartition{"-", 7}));
}

TEST(TopicPartitionTest, ParsesDirectoriesWithASuffix) {
  for (const char* suffix : {"-future", "-delete", "-stray"}) {
    EXPECT_THAT(ParseTopicPartition("orders.eu-3." + std::string(kUnique) + suffix),
                IsOkAndHolds(TopicPartition{"orders.eu", 3}));
  }
}

TEST(TopicPartitionTest, RefusesOtherNames) {
  for (const char* name : {"", "-3", "orders", "orders-", "orders-x", "orders-1x", "orders--", "orders-+1",
                           "orders-2147483648", "x-0-future", "x-0-delete", "x-0-stray", "x-0.-future", "-0.abc-delete",
                           "orders.abc-stray", "-delete", ".-delete"}) {
    EXPECT_THAT(ParseTopicPartition(name), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(name))) << name;
  }
}

TEST(TopicPartitionTest, LiveDirectoryNamesAreReadBack) {
  const TopicPartition partition{"a-b.c", 41};
  EXPECT_EQ(partition.DirectoryName(), "a-b.c-41");
  EXPECT_THAT(ParseTopicPartition(partition.DirectoryName()), IsOkAndHolds(partition));
}

TEST(TopicPartitionTest, OnlyALiveDirectorysOwnNameIsThatOfALivePartition) {
  EXPECT_THAT(LivePartitionOf("a-b.c-41"), Optional(TopicPartition{"a-b.c", 41}));
  const std::vector<std::string> others = {"orders-3." + std::string(kUnique) + "-delete", "orders-3.x-future",
                                           "orders-03", "orders", ""};
  for (const std::string& name : others) {
    EXPECT_EQ(LivePartitionOf(name), std::nullopt) << name;
  }
}

TEST(TopicPartitionTest, OrdersByTopicThenPartition) {
  EXPECT_LT((TopicPartition{"a", 9}), (TopicPartition{"b", 0}));
  EXPECT_LT((TopicPartition{"a", 9}), (TopicPartition{"a", 10}));
}

TEST(TopicPartitionTest, LongestTopicNameFitsADirectoryName) {
  const std::string longest(249, 't');
  EXPECT_THAT(CheckTopicName(longest), IsOk());
  EXPECT_THAT(CheckTopicName(longest + "t"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected 1 to 249 characters, found 250")));
}

TEST(TopicPartitionTest, ChecksTopicNames) {
  for (const char* good : {"a", "A.b_c-9", "...", "-", "__consumer_offsets"}) EXPECT_THAT(CheckTopicName(good), IsOk());
  EXPECT_THAT(CheckTopicName(""), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("found 0")));
  EXPECT_THAT(CheckTopicName("."), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(CheckTopicName(".."), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(CheckTopicName("ab/c"), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("character 2")));
  EXPECT_THAT(CheckTopicName("a b"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(CheckTopicName("\xc3\xa9"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(CheckTopicName(std::string("a\0", 2)), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace varve
