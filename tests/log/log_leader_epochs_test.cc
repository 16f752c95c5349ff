// Leader epochs of logs, and two logs that are replicas of one partition: after every change of leader the follower's
// log becomes the leader's (format notes §9.1, §9.5).
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "log/log_places.h"

namespace varve {
namespace {

using testing_support::LogTest;
using testing_support::OpenLog;
using testing_support::StatusIs;

using Epochs = std::vector<LeaderEpoch>;

// Records of one epoch, a batch each; the value names epoch and offset.
void Produce(Log* log, int32_t epoch, int64_t count) {
  for (int64_t number = 0; number < count; ++number) {
    const std::string value = std::to_string(epoch) + " at " + std::to_string(log->log_end_offset());
    VARVE_ASSERT_OK(log->Append({{.value = value, .timestamp_ms = 1000}}, {.leader_epoch = epoch}));
  }
}

std::vector<std::string> Values(const Log& log) {
  std::vector<std::string> values;
  LogScan scan = log.Scan(log.log_start_offset(), {.isolation = Isolation::kLogEnd});
  for (const RecordView& record : scan) values.emplace_back(*record.value());
  EXPECT_TRUE(scan.status().ok()) << scan.status();
  return values;
}

// --- One log ---

class LogLeaderEpochsTest : public LogTest {};

TEST_F(LogLeaderEpochsTest, EndOffsetsAreThoseOfTheNextEpoch) {
  auto log = Open();
  EXPECT_EQ(log->EndOffsetForEpoch(0), std::nullopt);
  VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(5));
  Produce(log.get(), 2, 5);
  Produce(log.get(), 4, 10);
  Produce(log.get(), 7, 10);
  for (const bool reopened : {false, true}) {
    SCOPED_TRACE(reopened);
    EXPECT_EQ(log->EndOffsetForEpoch(-1), std::nullopt);
    EXPECT_EQ(log->EndOffsetForEpoch(8), std::nullopt);
    EXPECT_EQ(log->EndOffsetForEpoch(7), (LeaderEpoch{7, 30}));
    EXPECT_EQ(log->EndOffsetForEpoch(1), (LeaderEpoch{1, 5}));
    EXPECT_EQ(log->EndOffsetForEpoch(2), (LeaderEpoch{2, 10}));
    EXPECT_EQ(log->EndOffsetForEpoch(3), (LeaderEpoch{2, 10}));
    EXPECT_EQ(log->EndOffsetForEpoch(6), (LeaderEpoch{4, 20}));
    VARVE_ASSERT_OK(log->Close());
    log = Open();
  }
}

TEST_F(LogLeaderEpochsTest, ALowerEpochAssignedTakesTheHigherAway) {
  const auto log = Open();
  Produce(log.get(), 1, 3);
  Produce(log.get(), 5, 3);
  VARVE_ASSERT_OK(log->AssignLeaderEpoch(3));
  EXPECT_EQ(log->leader_epochs(), (Epochs{{1, 0}, {3, 6}}));
}

TEST_F(LogLeaderEpochsTest, AnEpochThatNothingWasWrittenInIsForgottenAtOpening) {
  auto log = Open();
  Produce(log.get(), 1, 3);
  VARVE_ASSERT_OK(log->AssignLeaderEpoch(2));
  EXPECT_EQ(log->leader_epochs(), (Epochs{{1, 0}, {2, 3}}));
  VARVE_ASSERT_OK(log->Close());
  log = Open();
  EXPECT_EQ(log->leader_epochs(), (Epochs{{1, 0}}));
}

// --- Two logs ---

class ReplicasTest : public LogTest {
 protected:
  ReplicasTest() : leader_(OpenLog("replica-1", options_)), follower_(OpenLog("replica-2", options_)) {}

  // A log's half of each step, as a host carries it out that fetches batch by batch until there is nothing left; what
  // the follower did to its log is answered.
  std::vector<std::string> Replicate() {
    std::vector<std::string> done;
    for (int round = 0; round < 1000; ++round) {
      const int64_t offset = follower_->log_end_offset();
      const FetchAnswer answer = Fetch(offset);
      if (answer.verdict == FetchVerdict::kOutOfRange) {
        done.push_back("out of range, " + FindBackIn());
      } else if (answer.verdict == FetchVerdict::kDiverging) {
        done.push_back(
            CarryOut(StepAfterDivergence(answer.diverging, follower_->EndOffsetForEpoch(answer.diverging.epoch),
                                         follower_->log_start_offset(), offset)));
      } else if (!Take(offset)) {
        return done;
      }
    }
    ADD_FAILURE() << "the replicas do not come together";
    return done;
  }

  FetchAnswer Fetch(int64_t offset) const {
    const Epochs known = follower_->leader_epochs();
    if (known.empty()) return {.verdict = InLeader(offset) ? FetchVerdict::kServe : FetchVerdict::kOutOfRange};
    const int32_t epoch = known.back().epoch;
    return JudgeFetch(epoch, offset, leader_->EndOffsetForEpoch(epoch), leader_->log_start_offset());
  }

  bool InLeader(int64_t offset) const {
    return leader_->log_start_offset() <= offset && offset <= leader_->log_end_offset();
  }

  // False at the leader's end.
  bool Take(int64_t offset) {
    const auto range = leader_->Read(offset, {.max_bytes = 200, .isolation = Isolation::kLogEnd});
    EXPECT_TRUE(range.ok()) << range.status();
    if (!range.ok() || range->empty()) return false;
    const auto taken = follower_->AppendAsFollower(range->View(), leader_->leader_epochs().back().epoch);
    EXPECT_TRUE(taken.ok()) << taken.status();
    return taken.ok();
  }

  std::string CarryOut(const TruncationStep& step) {
    if (step.action == TruncationAction::kGoOn) return "goes on at " + std::to_string(step.offset);
    if (step.action == TruncationAction::kTruncateFullyAndStart) {
      VARVE_EXPECT_OK(follower_->TruncateFullyAndStartAt(step.offset));
      return "starts at " + std::to_string(step.offset);
    }
    // Whole batches go.
    const auto batch = follower_->NewReader().Find(step.offset, Isolation::kLogEnd);
    EXPECT_TRUE(batch.ok()) << batch.status();
    const int64_t offset = batch.ok() && batch->has_value() ? (*batch)->base_offset : step.offset;
    VARVE_EXPECT_OK(follower_->TruncateTo(offset));
    return "truncated to " + std::to_string(offset) + (step.ask_again ? ", asks again" : "");
  }

  std::string FindBackIn() {
    return CarryOut(StepAfterOutOfRange(leader_->log_start_offset(), leader_->log_end_offset(),
                                        follower_->log_start_offset(), follower_->log_end_offset()));
  }

  // The other one leads from now on.
  void Elect(int32_t epoch) {
    std::swap(leader_, follower_);
    VARVE_ASSERT_OK(leader_->AssignLeaderEpoch(epoch));
  }

  void ExpectSame() const {
    EXPECT_EQ(Values(*follower_), Values(*leader_));
    EXPECT_EQ(follower_->leader_epochs(), leader_->leader_epochs());
    EXPECT_EQ(follower_->log_end_offset(), leader_->log_end_offset());
  }

  using Steps = std::vector<std::string>;

  std::unique_ptr<Log> leader_;
  std::unique_ptr<Log> follower_;
};

TEST_F(ReplicasTest, WhatWasNotReplicatedGoesWhenTheOtherLeads) {
  Produce(leader_.get(), 1, 10);
  EXPECT_EQ(Replicate(), Steps{});
  Produce(leader_.get(), 1, 5);
  Elect(2);
  Produce(leader_.get(), 2, 3);
  EXPECT_EQ(Replicate(), Steps{"truncated to 10"});
  ExpectSame();
}

TEST_F(ReplicasTest, AFollowerThatLagsTruncatesNothing) {
  Produce(leader_.get(), 1, 7);
  EXPECT_EQ(Replicate(), Steps{});
  Produce(leader_.get(), 1, 3);
  VARVE_ASSERT_OK(leader_->AssignLeaderEpoch(2));
  Produce(leader_.get(), 2, 3);
  EXPECT_EQ(Replicate(), Steps{});
  ExpectSame();
}

TEST_F(ReplicasTest, AFastDoubleFailoverIsSeenByTheEpochsAlone) {
  Produce(leader_.get(), 1, 8);
  EXPECT_EQ(Replicate(), Steps{});
  Produce(leader_.get(), 1, 2);
  Produce(leader_.get(), 2, 2);  // follower: 8 records; leader: 1 from 0, 2 from 10, end 12
  Produce(follower_.get(), 3, 3);
  Elect(4);
  Produce(leader_.get(), 4, 2);
  EXPECT_EQ(leader_->leader_epochs(), (Epochs{{1, 0}, {3, 8}, {4, 11}}));
  EXPECT_EQ(Replicate(), Steps{"truncated to 8"});
  ExpectSame();
}

TEST_F(ReplicasTest, EpochsThatTheLeaderNeverSawGo) {
  Produce(leader_.get(), 0, 10);
  EXPECT_EQ(Replicate(), Steps{});
  Produce(leader_.get(), 0, 20);
  Produce(leader_.get(), 4, 10);
  Produce(follower_.get(), 1, 5);
  Produce(follower_.get(), 2, 3);
  Produce(follower_.get(), 3, 2);
  EXPECT_EQ(Replicate(), Steps{"truncated to 10"});
  ExpectSame();
}

TEST_F(ReplicasTest, ItMayTakeSeveralQuestions) {
  Produce(leader_.get(), 0, 10);
  EXPECT_EQ(Replicate(), Steps{});
  Produce(leader_.get(), 0, 5);
  Produce(leader_.get(), 2, 15);
  Produce(leader_.get(), 5, 10);
  Produce(follower_.get(), 1, 8);
  Produce(follower_.get(), 3, 2);
  EXPECT_EQ(follower_->leader_epochs(), (Epochs{{0, 0}, {1, 10}, {3, 18}}));
  EXPECT_EQ(Replicate(), (Steps{"truncated to 18, asks again", "truncated to 10"}));
  ExpectSame();
}

TEST_F(ReplicasTest, AnUncleanElectionLosesWhatTheNewLeaderLacks) {
  Produce(leader_.get(), 1, 5);
  EXPECT_EQ(Replicate(), Steps{});
  Produce(leader_.get(), 1, 4);
  leader_->SetHighWatermark(9);
  Elect(2);
  EXPECT_EQ(Replicate(), Steps{"truncated to 5"});
  EXPECT_EQ(follower_->high_watermark(), 5);  // what was committed is gone, and told of no more
  Produce(leader_.get(), 2, 2);
  EXPECT_EQ(Replicate(), Steps{});
  ExpectSame();
}

TEST_F(ReplicasTest, AFollowerThatWasDownPastRetentionStartsAnew) {
  Produce(leader_.get(), 1, 40);
  EXPECT_EQ(Replicate(), Steps{});
  Produce(leader_.get(), 1, 70);
  VARVE_ASSERT_OK(leader_->DeleteBefore(100));
  EXPECT_EQ(Replicate(), Steps{"out of range, starts at 100"});
  ExpectSame();
  EXPECT_EQ(follower_->log_start_offset(), 100);
}

// The follower's retention has gone further than the logs agree.
TEST_F(ReplicasTest, AFollowerWhoseWholeLogPartedStartsAnewWhereTheyAgreed) {
  Produce(leader_.get(), 0, 40);
  EXPECT_EQ(Replicate(), Steps{});
  Produce(leader_.get(), 5, 20);
  Produce(follower_.get(), 0, 10);
  Produce(follower_.get(), 3, 20);
  VARVE_ASSERT_OK(follower_->DeleteBefore(50));
  EXPECT_EQ(Replicate(), Steps{"starts at 40"});
  EXPECT_EQ(follower_->log_start_offset(), 40);
  EXPECT_EQ(follower_->log_end_offset(), 60);
  EXPECT_EQ(follower_->leader_epochs(), (Epochs{{5, 40}}));
}

TEST_F(ReplicasTest, AFollowerMayTruncateBelowItsHighWatermark) {
  Produce(leader_.get(), 1, 10);
  EXPECT_EQ(Replicate(), Steps{});
  follower_->SetHighWatermark(10);
  VARVE_ASSERT_OK(leader_->TruncateTo(6));
  VARVE_ASSERT_OK(leader_->AssignLeaderEpoch(2));
  EXPECT_EQ(Replicate(), Steps{"truncated to 6"});
  EXPECT_EQ(follower_->offsets().high_watermark, 6);
}

// The leader's log ends inside what is one batch here: all of it goes, and comes again.
TEST_F(ReplicasTest, WholeBatchesGo) {
  Produce(leader_.get(), 1, 5);
  VARVE_ASSERT_OK(follower_->Append({{.value = "a"}, {.value = "b"}, {.value = "c"}}, {.leader_epoch = 1}));
  VARVE_ASSERT_OK(follower_->Append({{.value = "d"}, {.value = "e"}, {.value = "f"}}, {.leader_epoch = 1}));
  VARVE_ASSERT_OK(leader_->AssignLeaderEpoch(2));
  EXPECT_THAT(follower_->TruncateTo(5), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(Replicate(), Steps{"truncated to 3"});
  EXPECT_EQ(follower_->log_end_offset(), 5);
}

// The leader's log starts inside a batch, which is served whole: the follower's empty log begins with it.
TEST_F(ReplicasTest, AFollowerStartsAtTheBatchThatHoldsTheLeadersLogStart) {
  VARVE_ASSERT_OK(leader_->Append({{.value = "a"}, {.value = "b"}, {.value = "c"}}, {.leader_epoch = 1}));
  Produce(leader_.get(), 1, 3);
  VARVE_ASSERT_OK(leader_->DeleteBefore(1));
  EXPECT_EQ(Fetch(0).verdict, FetchVerdict::kOutOfRange);
  EXPECT_EQ(FindBackIn(), "starts at 1");
  VARVE_ASSERT_OK_AND_ASSIGN(const FileRange range, leader_->Read(1, {.isolation = Isolation::kLogEnd}));
  EXPECT_THAT(follower_->AppendAsFollower(range.View(), 1), StatusIs(absl::StatusCode::kInvalidArgument));
  VARVE_ASSERT_OK(follower_->TruncateFullyAndStartAt(range.base_offset()));
  VARVE_ASSERT_OK(follower_->AppendAsFollower(range.View(), 1));
  EXPECT_EQ(follower_->log_end_offset(), leader_->log_end_offset());
}

}  // namespace
}  // namespace varve
