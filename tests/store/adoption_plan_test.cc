#include "store/adoption_plan.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/leader_epoch_limit.h"
#include "store/data_directory_files.h"
#include "support/status_matchers.h"

namespace varve::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::StatusIs;

constexpr TopicId kBrokersId = {1};
constexpr TopicId kAnotherId = {2};

TargetEntry Entry(const std::string& name, uint64_t size_bytes = 0, bool is_directory = false) {
  return {.file = ClassifyPartitionFile(name), .is_directory = is_directory, .size_bytes = size_bytes};
}

// As a broker leaves a partition that it led and nobody wrote to.
AdoptionTarget EmptyTarget() {
  return {.path = "kafka/orders-0",
          .exists = true,
          .entries = {Entry("00000000000000000000.log"), Entry("00000000000000000000.index", 10485760),
                      Entry("00000000000000000000.timeindex", 10485756), Entry("leader-epoch-checkpoint", 8),
                      Entry("partition.metadata", 43)},
          .topic_id = kBrokersId,
          .leader_epochs = {{.epoch = 0, .start_offset = 0}, {.epoch = 4, .start_offset = 0}}};
}

TEST(AdoptionPlanTest, TheBrokersIdAndItsLatestEpochCount) {
  VARVE_ASSERT_OK_AND_ASSIGN(const AdoptionPlan plan, PlanAdoption(EmptyTarget(), std::nullopt));
  EXPECT_EQ(plan.topic_id, kBrokersId);
  EXPECT_EQ(plan.max_leader_epoch, 4);
  VARVE_EXPECT_OK(PlanAdoption(EmptyTarget(), kBrokersId));
}

TEST(AdoptionPlanTest, WithoutADirectoryTheIdMustBeAskedFor) {
  const AdoptionTarget absent{.path = "kafka/orders-0"};
  VARVE_ASSERT_OK_AND_ASSIGN(const AdoptionPlan plan, PlanAdoption(absent, kAnotherId));
  EXPECT_EQ(plan.topic_id, kAnotherId);
  EXPECT_EQ(plan.max_leader_epoch, 0);
  EXPECT_THAT(PlanAdoption(absent, std::nullopt),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("create the topic in Kafka")));
}

TEST(AdoptionPlanTest, ADirectoryWithoutAnIdTakesTheOneAskedFor) {
  AdoptionTarget target = EmptyTarget();
  target.topic_id.reset();
  VARVE_ASSERT_OK_AND_ASSIGN(const AdoptionPlan plan, PlanAdoption(target, kAnotherId));
  EXPECT_EQ(plan.topic_id, kAnotherId);
  EXPECT_EQ(plan.max_leader_epoch, 4);
  EXPECT_THAT(PlanAdoption(target, std::nullopt),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("partition.metadata")));
}

TEST(AdoptionPlanTest, AnIdThatIsOnlyAskedForMustSuitTheNeighbours) {
  for (const bool exists : {true, false}) {
    AdoptionTarget target = exists ? EmptyTarget() : AdoptionTarget{.path = "kafka/orders-0"};
    target.partition = {.topic = "orders", .partition = 0};
    target.topic_id.reset();
    target.neighbours = {{.partition = {.topic = "orders", .partition = 1}, .topic_id = kBrokersId},
                         {.partition = {.topic = "others", .partition = 0}}};
    EXPECT_THAT(PlanAdoption(target, kAnotherId), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("orders-1")));
    VARVE_EXPECT_OK(PlanAdoption(target, kBrokersId));
  }
}

TEST(AdoptionPlanTest, TwoIdsAreOneTooMany) {
  EXPECT_THAT(PlanAdoption(EmptyTarget(), kAnotherId),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(FormatTopicId(kBrokersId))));
}

TEST(AdoptionPlanTest, TheLatestEpochIsTheGreatest) {
  AdoptionTarget target = EmptyTarget();
  target.leader_epochs = {{.epoch = 6, .start_offset = 0}, {.epoch = 4, .start_offset = 0}};
  VARVE_ASSERT_OK_AND_ASSIGN(const AdoptionPlan plan, PlanAdoption(target, std::nullopt));
  EXPECT_EQ(plan.max_leader_epoch, 6);
}

TEST(AdoptionPlanTest, AnAdoptedLogEndsWithAnEmptySegment) {
  const SegmentExtent held{.base_offset = 2, .size_bytes = 100};
  const SegmentExtent empty{.base_offset = 7, .size_bytes = 0};
  EXPECT_TRUE(NeedsEmptySegment({held}, 7));
  EXPECT_FALSE(NeedsEmptySegment({held, empty}, 7));
  EXPECT_FALSE(NeedsEmptySegment({empty}, 7));
}

TEST(AdoptionPlanTest, AFollowersDirectoryIsRefused) {
  AdoptionTarget target = EmptyTarget();
  target.leader_epochs.clear();
  EXPECT_THAT(PlanAdoption(target, std::nullopt),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("replication factor 1")));
}

TEST(AdoptionPlanTest, OnlyALogThatNeverHeldARecordIsReplaced) {
  const std::vector<TargetEntry> refused = {
      Entry("00000000000000000000.log", 1),
      Entry("00000000000000000042.log"),
      Entry("00000000000000000000.log.swap", 100),
      Entry("00000000000000000000.log.deleted"),
      Entry("varve.cut-3", 100),
      Entry("notes.txt", 1),
      Entry("anything", 0, /*is_directory=*/true),
      Entry("leader-epoch-checkpoint", 0, /*is_directory=*/true),
  };
  for (const TargetEntry& entry : refused) {
    AdoptionTarget target = EmptyTarget();
    target.entries.push_back(entry);
    EXPECT_THAT(PlanAdoption(target, std::nullopt),
                StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr(entry.file.name)))
        << entry.file.name;
  }
  for (const char* const name :
       {"00000000000000000000.snapshot", "00000000000000000000.txnindex", "varve.state", "varve.lock"}) {
    AdoptionTarget target = EmptyTarget();
    target.entries.push_back(Entry(name, 100));
    VARVE_EXPECT_OK(PlanAdoption(target, std::nullopt)) << name;
  }
}

TEST(AdoptionPlanTest, CheckpointsTellNoMoreThanTheyMust) {
  EXPECT_EQ(LinesOfAdopted({.log_end_offset = 9}),
            (CheckpointLines{.recovery_point = 9, .log_start_offset = {}, .high_watermark = 9}));
  EXPECT_EQ(
      LinesOfAdopted({.first_base_offset = 4, .log_start_offset = 4, .first_dirty_offset = 4, .log_end_offset = 9}),
      (CheckpointLines{.recovery_point = 9, .log_start_offset = {}, .high_watermark = 9}));
  EXPECT_EQ(
      LinesOfAdopted({.first_base_offset = 4, .log_start_offset = 5, .first_dirty_offset = 8, .log_end_offset = 9}),
      (CheckpointLines{.recovery_point = 9, .log_start_offset = 5, .high_watermark = 9, .first_dirty_offset = 8}));
}

TEST(LimitLeaderEpochsTest, WhatIsAboveTheLimitBecomesTheLimit) {
  const std::vector<LeaderEpoch> epochs = {
      {.epoch = 1, .start_offset = 0}, {.epoch = 4, .start_offset = 10}, {.epoch = 6, .start_offset = 20}};
  const auto limited = [&](int32_t max_epoch) {
    std::vector<std::string> text;
    for (const LeaderEpoch& epoch : LimitLeaderEpochs(epochs, max_epoch)) {
      text.push_back(fmt::format("{} {}", epoch.epoch, epoch.start_offset));
    }
    return text;
  };
  EXPECT_THAT(limited(7), ElementsAre("1 0", "4 10", "6 20"));
  EXPECT_THAT(limited(6), ElementsAre("1 0", "4 10", "6 20"));
  EXPECT_THAT(limited(5), ElementsAre("1 0", "4 10", "5 20"));
  EXPECT_THAT(limited(4), ElementsAre("1 0", "4 10"));
  EXPECT_THAT(limited(3), ElementsAre("1 0", "3 10"));
  EXPECT_THAT(limited(1), ElementsAre("1 0"));
  EXPECT_THAT(limited(0), ElementsAre("0 0"));
  EXPECT_THAT(LimitLeaderEpochs({}, 3), IsEmpty());
}

TEST(MetaPropertiesTest, AreReadAsJavaWritesThem) {
  const std::vector<std::pair<std::string, BrokerIdentity>> cases = {
      {"#\n#Sun Nov 22 22:22:22 UTC 2026\ncluster.id=4L6g3nShT-eMCtK--X86sw\nversion=1\nnode.id=1\n",
       {.cluster_id = "4L6g3nShT-eMCtK--X86sw", .node_id = "1"}},
      {"version=0\r\nbroker.id=12\r\n", {.cluster_id = "", .node_id = "12"}},
      {"! a comment\n  cluster.id : a\\=b\\:c\\\\d \nnode.id = 3", {.cluster_id = "a=b:c\\d", .node_id = "3"}},
      {"#node.id=4\n\nnode.id\n", {}},
      {"", {}},
  };
  for (const auto& [text, expected] : cases) {
    EXPECT_EQ(ParseMetaProperties(text), expected) << text;
  }
}

}  // namespace
}  // namespace varve::internal
