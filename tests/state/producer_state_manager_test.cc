#include "state/producer_state_manager.h"

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "state/first_unstable_offset.h"
#include "state/producer_batches.h"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"
#include "varve/errors.h"

namespace varve::internal {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing_support::DataBatch;
using testing_support::DataBatchOptions;
using testing_support::FirstUnstableOffset;
using testing_support::IsOkAndHolds;
using testing_support::MarkerBatch;
using testing_support::StatusIs;

constexpr int64_t kDayMs = 86'400'000;
constexpr int32_t kMaxSequence = std::numeric_limits<int32_t>::max();

class ProducerStateManagerTest : public ::testing::Test {
 protected:
  // Replays a batch; the transaction it completed, if any.
  std::optional<CompletedTransaction> Replay(const std::vector<std::byte>& batch) {
    std::optional<CompletedTransaction> completed;
    EXPECT_TRUE(manager_.Replay(RecordBatchView(batch), &completed).ok());
    return completed;
  }
  std::optional<CompletedTransaction> Replay(const DataBatchOptions& options) { return Replay(DataBatch(options)); }

  absl::StatusOr<std::optional<ProducerBatch>> Check(const std::vector<std::byte>& batch) const {
    return manager_.Check(RecordBatchView(batch));
  }
  absl::StatusOr<std::optional<ProducerBatch>> Check(const DataBatchOptions& options) const {
    return Check(DataBatch(options));
  }
  void ExpectAccepted(const DataBatchOptions& options) const {
    EXPECT_THAT(Check(options), IsOkAndHolds(std::optional<ProducerBatch>()));
  }
  static void ExpectRefused(const absl::StatusOr<std::optional<ProducerBatch>>& answer, KafkaError error,
                            const std::string& message) {
    EXPECT_THAT(answer, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(message)));
    EXPECT_EQ(KafkaErrorOf(answer.status()), error) << answer.status();
  }

  std::string SnapshotPath(int64_t offset) const { return directory_.path() + "/" + ProducerSnapshotName(offset); }
  std::vector<int64_t> Snapshots() const { return *ListProducerSnapshots(FileSystem::Default(), directory_.path()); }

  testing_support::TemporaryDirectory directory_;
  ProducerStateManager manager_{FileSystem::Default(), directory_.path(), kDayMs};
};

TEST_F(ProducerStateManagerTest, BatchesWithoutAProducerLeaveNothing) {
  EXPECT_EQ(Replay({.base_offset = 5, .producer_id = -1, .epoch = -1, .base_sequence = -1}), std::nullopt);
  EXPECT_TRUE(manager_.empty());
  ExpectAccepted({.producer_id = -1, .epoch = -1, .base_sequence = -1});
}

TEST_F(ProducerStateManagerTest, KeepsTheLastFiveBatches) {
  for (int32_t i = 0; i < 7; ++i) {
    Replay({.base_offset = 100 + 10 * i,
            .producer_id = 1,
            .base_sequence = 3 * i,
            .record_count = 3,
            .timestamp_ms = 50 + i});
  }
  const ProducerStateEntry* producer = manager_.Find(1);
  ASSERT_NE(producer, nullptr);
  EXPECT_THAT(producer->batches, SizeIs(5));
  EXPECT_EQ(producer->batches.front(),
            (ProducerBatch{.last_sequence = 8, .last_offset = 122, .offset_delta = 2, .timestamp_ms = 52}));
  EXPECT_EQ(producer->batches.front().first_offset(), 120);
  EXPECT_EQ(producer->batches.front().first_sequence(), 6);
  EXPECT_EQ(producer->last_sequence(), 20);
  EXPECT_EQ(producer->last_offset(), 162);
  EXPECT_EQ(producer->last_offset_delta(), 2);
  EXPECT_EQ(producer->last_timestamp_ms, 56);
  EXPECT_EQ(manager_.Find(2), nullptr);
}

TEST_F(ProducerStateManagerTest, NewEpochForgetsTheBatches) {
  Replay({.base_offset = 0, .producer_id = 1, .epoch = 0});
  Replay({.base_offset = 1, .producer_id = 1, .epoch = 1});
  EXPECT_THAT(manager_.Find(1)->batches, SizeIs(1));
  EXPECT_EQ(manager_.Find(1)->epoch, 1);
}

TEST_F(ProducerStateManagerTest, ReplayTakesWhatCheckWouldRefuse) {
  Replay({.base_offset = 0, .producer_id = 1, .epoch = 3, .base_sequence = 10});
  Replay({.base_offset = 1, .producer_id = 1, .epoch = 3, .base_sequence = 50});
  Replay({.base_offset = 2, .producer_id = 1, .epoch = 2, .base_sequence = 7});
  EXPECT_EQ(manager_.Find(1)->epoch, 2);
  EXPECT_EQ(manager_.Find(1)->last_sequence(), 7);
}

TEST_F(ProducerStateManagerTest, EntriesAreOrderedById) {
  for (const int64_t id : {30, 10, 20}) Replay({.base_offset = id, .producer_id = id});
  std::vector<int64_t> ids;
  for (const ProducerStateEntry& producer : manager_.entries()) ids.push_back(producer.producer_id);
  EXPECT_THAT(ids, ElementsAre(10, 20, 30));
}

// The rules of format notes §8.2, one by one.
TEST_F(ProducerStateManagerTest, ResentBatchesAreRecognisedAmongTheLastFive) {
  for (int32_t i = 0; i < 6; ++i) {
    Replay({.base_offset = 100 + 2 * i, .producer_id = 1, .base_sequence = 2 * i, .record_count = 2});
  }
  const auto fifth = Check({.producer_id = 1, .base_sequence = 2, .record_count = 2});
  ASSERT_TRUE(fifth.ok() && fifth->has_value()) << fifth.status();
  EXPECT_EQ((*fifth)->first_offset(), 102);
  EXPECT_EQ((*fifth)->last_offset, 103);
  ExpectRefused(Check({.producer_id = 1, .base_sequence = 0, .record_count = 2}), KafkaError::kOutOfOrderSequenceNumber,
                "producer 1: expected the sequence behind 11 of epoch 0, found 0 to 1");
  // The same first sequence and another last one is no duplicate.
  ExpectRefused(Check({.producer_id = 1, .base_sequence = 10, .record_count = 1}),
                KafkaError::kOutOfOrderSequenceNumber, "found 10 to 10");
  // The same sequences of an older epoch are none either.
  Replay({.base_offset = 200, .producer_id = 1, .epoch = 1, .base_sequence = 0, .record_count = 2});
  ExpectRefused(Check({.producer_id = 1, .epoch = 0, .base_sequence = 10, .record_count = 2}),
                KafkaError::kInvalidProducerEpoch, "producer 1: expected epoch 1 or above, found 0");
}

TEST_F(ProducerStateManagerTest, SequencesMustFollow) {
  Replay({.base_offset = 0, .producer_id = 1, .base_sequence = 0, .record_count = 3});
  ExpectAccepted({.producer_id = 1, .base_sequence = 3});
  ExpectRefused(Check({.producer_id = 1, .base_sequence = 4}), KafkaError::kOutOfOrderSequenceNumber, "found 4 to 4");
  ExpectRefused(Check({.producer_id = 1, .base_sequence = 2}), KafkaError::kOutOfOrderSequenceNumber, "found 2 to 2");
  EXPECT_THAT(manager_.Find(1)->batches, SizeIs(1));
}

TEST_F(ProducerStateManagerTest, SequencesWrapAt31Bits) {
  Replay({.base_offset = 0, .producer_id = 1, .base_sequence = kMaxSequence - 1, .record_count = 2});
  EXPECT_EQ(manager_.Find(1)->last_sequence(), kMaxSequence);
  ExpectAccepted({.producer_id = 1, .base_sequence = 0});
  ExpectRefused(Check({.producer_id = 1, .base_sequence = 1}), KafkaError::kOutOfOrderSequenceNumber, "found 1");
  // A batch that wraps inside ends at 1; both are recognised when they are sent again.
  Replay({.base_offset = 2, .producer_id = 2, .base_sequence = kMaxSequence - 1, .record_count = 4});
  EXPECT_EQ(manager_.Find(2)->last_sequence(), 1);
  EXPECT_EQ(manager_.Find(2)->batches.back().first_sequence(), kMaxSequence - 1);
  ExpectAccepted({.producer_id = 2, .base_sequence = 2});
  for (const auto& [id, count] : {std::pair<int64_t, int32_t>{1, 2}, {2, 4}}) {
    const auto again = Check({.producer_id = id, .base_sequence = kMaxSequence - 1, .record_count = count});
    ASSERT_TRUE(again.ok() && again->has_value()) << again.status();
    EXPECT_EQ((*again)->offset_delta, count - 1);
  }
}

TEST_F(ProducerStateManagerTest, NewEpochBeginsAtSequenceZero) {
  Replay({.base_offset = 0, .producer_id = 1, .epoch = 3, .base_sequence = 0, .record_count = 5});
  ExpectRefused(Check({.producer_id = 1, .epoch = 4, .base_sequence = 5}), KafkaError::kOutOfOrderSequenceNumber,
                "producer 1: expected sequence 0 with the new epoch 4, found 5");
  ExpectAccepted({.producer_id = 1, .epoch = 4, .base_sequence = 0});
  ExpectRefused(Check({.producer_id = 1, .epoch = 2, .base_sequence = 0}), KafkaError::kInvalidProducerEpoch,
                "found 2");
}

TEST_F(ProducerStateManagerTest, UnknownProducersBeginAnywhere) {
  ExpectAccepted({.producer_id = 9, .base_sequence = 1234});
}

TEST_F(ProducerStateManagerTest, MarkerOfAHigherEpochResetsTheSequence) {
  Replay(
      {.base_offset = 0, .producer_id = 1, .epoch = 3, .base_sequence = 0, .record_count = 5, .transactional = true});
  Replay(MarkerBatch(ControlType::kAbort, 5, 1, 4));
  EXPECT_THAT(manager_.Find(1)->batches, IsEmpty());
  EXPECT_EQ(manager_.Find(1)->last_sequence(), -1);
  ExpectAccepted({.producer_id = 1, .epoch = 4, .base_sequence = 0});
  ExpectRefused(Check({.producer_id = 1, .epoch = 4, .base_sequence = 5}), KafkaError::kOutOfOrderSequenceNumber,
                "behind -1 of epoch 4");
}

TEST_F(ProducerStateManagerTest, DataOutsideAnOpenTransactionIsRefused) {
  Replay({.base_offset = 40, .producer_id = 1, .base_sequence = 0, .transactional = true});
  ExpectRefused(Check({.producer_id = 1, .base_sequence = 1}), KafkaError::kInvalidTxnState,
                "producer 1: expected transactional data, its transaction from offset 40 on is open");
  ExpectAccepted({.producer_id = 1, .base_sequence = 1, .transactional = true});
  Replay(MarkerBatch(ControlType::kCommit, 41, 1));
  ExpectAccepted({.producer_id = 1, .base_sequence = 1});
}

TEST_F(ProducerStateManagerTest, MarkersAreFencedByBothEpochs) {
  Replay({.base_offset = 0, .producer_id = 1, .epoch = 3, .transactional = true});
  Replay(MarkerBatch(ControlType::kCommit, 1, 1, 3, /*coordinator_epoch=*/5));
  const auto none = std::optional<ProducerBatch>();
  EXPECT_THAT(Check(MarkerBatch(ControlType::kCommit, 2, 1, 3, 5)), IsOkAndHolds(none));
  EXPECT_THAT(Check(MarkerBatch(ControlType::kCommit, 2, 7, 0, 0)), IsOkAndHolds(none));
  ExpectRefused(Check(MarkerBatch(ControlType::kCommit, 2, 1, 2, 5)), KafkaError::kInvalidProducerEpoch, "found 2");
  ExpectRefused(Check(MarkerBatch(ControlType::kCommit, 2, 1, 3, 4)), KafkaError::kTransactionCoordinatorFenced,
                "producer 1: expected a marker of coordinator epoch 5 or above, found 4");
}

TEST_F(ProducerStateManagerTest, MarkerClosesATransaction) {
  Replay({.base_offset = 40, .producer_id = 777, .record_count = 2, .transactional = true});
  EXPECT_EQ(manager_.Find(777)->current_transaction_first_offset, 40);
  EXPECT_EQ(FirstUnstableOffset(manager_), 40);
  EXPECT_EQ(Replay(MarkerBatch(ControlType::kAbort, 42, 777, 0, 9, 7000)),
            (CompletedTransaction{
                .producer_id = 777, .first_offset = 40, .last_offset = 42, .last_stable_offset = 43, .aborted = true}));
  const ProducerStateEntry* producer = manager_.Find(777);
  EXPECT_EQ(producer->current_transaction_first_offset, std::nullopt);
  EXPECT_EQ(producer->coordinator_epoch, 9);
  EXPECT_EQ(producer->last_timestamp_ms, 7000);
  EXPECT_EQ(producer->last_offset(), 41);
}

TEST_F(ProducerStateManagerTest, OverlappingTransactionsNameTheOldestOther) {
  Replay({.base_offset = 53, .producer_id = 1, .transactional = true});
  Replay({.base_offset = 57, .producer_id = 2, .transactional = true});
  EXPECT_EQ(Replay(MarkerBatch(ControlType::kAbort, 58, 1))->last_stable_offset, 57);
  const auto committed = Replay(MarkerBatch(ControlType::kCommit, 59, 2));
  EXPECT_EQ(committed->last_stable_offset, 60);
  EXPECT_FALSE(committed->aborted);
}

TEST_F(ProducerStateManagerTest, MarkerWithoutATransactionCompletesNothing) {
  EXPECT_EQ(Replay(MarkerBatch(ControlType::kAbort, 10, 5, 2, 3)), std::nullopt);
  EXPECT_EQ(manager_.Find(5)->epoch, 2);
  EXPECT_EQ(manager_.Find(5)->coordinator_epoch, 3);
  EXPECT_EQ(FirstUnstableOffset(manager_), std::nullopt);
}

TEST_F(ProducerStateManagerTest, AClosedTransactionIsUnstableUntilItsMarkerIsCommitted) {
  using Closed = std::map<int64_t, int64_t>;
  EXPECT_EQ(manager_.FirstOpenOffset(), std::nullopt);
  Replay({.base_offset = 40, .producer_id = 1, .transactional = true});
  EXPECT_EQ(manager_.FirstOpenOffset(), 40);
  EXPECT_EQ(manager_.closed_transactions(), Closed());
  Replay(MarkerBatch(ControlType::kAbort, 41, 1));
  EXPECT_EQ(manager_.FirstOpenOffset(), std::nullopt);
  EXPECT_EQ(manager_.closed_transactions(), (Closed{{40, 41}}));
  EXPECT_FALSE(manager_.AdvanceHighWatermark(41));
  EXPECT_EQ(FirstUnstableOffset(manager_), 40);
  EXPECT_TRUE(manager_.AdvanceHighWatermark(42));
  EXPECT_FALSE(manager_.AdvanceHighWatermark(43));
  EXPECT_EQ(manager_.closed_transactions(), Closed());
  EXPECT_EQ(FirstUnstableOffset(manager_), std::nullopt);
}

TEST_F(ProducerStateManagerTest, FirstUnstableIsTheLowestOfOpenAndUnreplicated) {
  Replay({.base_offset = 10, .producer_id = 1, .transactional = true});
  Replay({.base_offset = 11, .producer_id = 2, .transactional = true});
  Replay(MarkerBatch(ControlType::kCommit, 12, 2));
  EXPECT_EQ(FirstUnstableOffset(manager_), 10);
  Replay(MarkerBatch(ControlType::kCommit, 13, 1));
  Replay({.base_offset = 14, .producer_id = 3, .transactional = true});
  EXPECT_EQ(FirstUnstableOffset(manager_), 10);
  // The marker at 12 is below 13, the one at 13 is not.
  manager_.AdvanceHighWatermark(13);
  EXPECT_EQ(FirstUnstableOffset(manager_), 10);
  manager_.AdvanceHighWatermark(14);
  EXPECT_EQ(FirstUnstableOffset(manager_), 14);
}

TEST_F(ProducerStateManagerTest, UnreadableControlBatchesAreDamage) {
  std::vector<std::byte> marker = MarkerBatch(ControlType::kCommit, 7, 1);
  std::vector<std::byte> cut = marker;
  cut[61] = std::byte{0x7e};  // the record's length
  std::optional<CompletedTransaction> completed;
  EXPECT_THAT(manager_.Replay(RecordBatchView(cut), &completed),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("control batch at offset 7: ")));
  EXPECT_THAT(Check(cut), StatusIs(absl::StatusCode::kDataLoss));
  std::vector<std::byte> negative = marker;
  negative[66] = std::byte{0xff};  // the key's version
  EXPECT_THAT(manager_.Replay(RecordBatchView(negative), &completed),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("control batch at offset 7: ")));
  std::vector<std::byte> compressed = marker;
  compressed[22] |= std::byte{1};  // the codec: gzip
  EXPECT_THAT(manager_.Replay(RecordBatchView(compressed), &completed), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_TRUE(manager_.empty());
  EXPECT_EQ(completed, std::nullopt);
}

TEST_F(ProducerStateManagerTest, EmptyAndForeignControlBatchesChangeNothing) {
  RecordBatchBuilder builder({.base_offset = 7,
                              .producer_id = 1,
                              .producer_epoch = 0,
                              .transactional = true,
                              .control = true,
                              .last_offset = 7});
  const auto emptied = builder.Build();
  ASSERT_TRUE(emptied.ok()) << emptied.status();
  std::optional<CompletedTransaction> completed;
  VARVE_EXPECT_OK(manager_.Replay(RecordBatchView(*emptied), &completed));
  std::vector<std::byte> leader_change = MarkerBatch(ControlType::kCommit, 8, 1);
  leader_change[69] = std::byte{2};  // the key's type
  VARVE_EXPECT_OK(manager_.Replay(RecordBatchView(leader_change), &completed));
  EXPECT_THAT(Check(leader_change), IsOkAndHolds(std::optional<ProducerBatch>()));
  EXPECT_TRUE(manager_.empty());
}

TEST_F(ProducerStateManagerTest, IdleProducersExpireUnlessTheirTransactionIsOpen) {
  Replay({.base_offset = 0, .producer_id = 1, .timestamp_ms = 1000});
  Replay({.base_offset = 1, .producer_id = 2, .timestamp_ms = 1001});
  Replay({.base_offset = 2, .producer_id = 3, .transactional = true, .timestamp_ms = 1000});
  manager_.RemoveExpired(1000 + kDayMs - 1);
  EXPECT_THAT(manager_.entries(), SizeIs(3));
  manager_.RemoveExpired(1000 + kDayMs);
  EXPECT_EQ(manager_.Find(1), nullptr);
  EXPECT_THAT(manager_.entries(), SizeIs(2));
  // A forgotten producer may begin anywhere.
  ExpectAccepted({.producer_id = 1, .base_sequence = 77});
}

TEST_F(ProducerStateManagerTest, SnapshotIsLoadedWithTransactions) {
  Replay({.base_offset = 0, .producer_id = 1, .base_sequence = 0});
  Replay({.base_offset = 1, .producer_id = 1, .base_sequence = 1});
  Replay({.base_offset = 2, .producer_id = 2, .transactional = true});
  VARVE_ASSERT_OK(manager_.WriteSnapshot(3, SnapshotSync::kNone));
  ProducerStateManager other(FileSystem::Default(), directory_.path(), kDayMs);
  EXPECT_THAT(other.Reload(0, 10, 2000), IsOkAndHolds(3));
  ASSERT_THAT(other.entries(), SizeIs(2));
  EXPECT_THAT(other.Find(1)->batches, SizeIs(1));
  EXPECT_EQ(other.Find(1)->last_sequence(), 1);
  EXPECT_EQ(FirstUnstableOffset(other), 2);
  std::optional<CompletedTransaction> completed;
  const std::vector<std::byte> marker = MarkerBatch(ControlType::kAbort, 5, 2);
  VARVE_ASSERT_OK(other.Replay(RecordBatchView(marker), &completed));
  EXPECT_EQ(completed->first_offset, 2);
}

TEST_F(ProducerStateManagerTest, AgesWrapAsJavasDo) {
  Replay({.base_offset = 0, .producer_id = 1, .timestamp_ms = 1000});
  manager_.RemoveExpired(std::numeric_limits<int64_t>::min());
  EXPECT_EQ(manager_.Find(1), nullptr);
}

TEST_F(ProducerStateManagerTest, ExpiredProducersAreNotLoaded) {
  Replay({.base_offset = 0, .producer_id = 1, .timestamp_ms = 1000});
  Replay({.base_offset = 1, .producer_id = 2, .timestamp_ms = 2000});
  VARVE_ASSERT_OK(manager_.WriteSnapshot(2, SnapshotSync::kDurable));
  EXPECT_THAT(manager_.Reload(0, 2, 1000 + kDayMs), IsOkAndHolds(2));
  EXPECT_EQ(manager_.Find(1), nullptr);
  EXPECT_NE(manager_.Find(2), nullptr);
}

TEST_F(ProducerStateManagerTest, SnapshotsAreWrittenOnlyAboveTheLast) {
  VARVE_ASSERT_OK(manager_.WriteSnapshot(0, SnapshotSync::kNone));
  EXPECT_THAT(Snapshots(), IsEmpty());
  VARVE_ASSERT_OK(manager_.WriteSnapshot(5, SnapshotSync::kNone));
  ASSERT_TRUE(fs::remove(SnapshotPath(5)));
  VARVE_ASSERT_OK(manager_.WriteSnapshot(5, SnapshotSync::kNone));
  VARVE_ASSERT_OK(manager_.WriteSnapshot(4, SnapshotSync::kNone));
  EXPECT_THAT(Snapshots(), IsEmpty());
  VARVE_ASSERT_OK(manager_.WriteSnapshot(6, SnapshotSync::kDurable));
  EXPECT_THAT(Snapshots(), ElementsAre(6));
  EXPECT_THAT(manager_.Reload(20, 30, 0), IsOkAndHolds(20));
  VARVE_ASSERT_OK(manager_.WriteSnapshot(20, SnapshotSync::kNone));
  VARVE_ASSERT_OK(manager_.WriteSnapshot(21, SnapshotSync::kNone));
  EXPECT_THAT(Snapshots(), ElementsAre(6, 21));
}

TEST_F(ProducerStateManagerTest, SnapshotsOutsideTheLogAreNotUsed) {
  for (const int64_t offset : {10, 20, 30, 40}) {
    Replay({.base_offset = offset - 1, .producer_id = offset});
    VARVE_ASSERT_OK(manager_.WriteSnapshot(offset, SnapshotSync::kNone));
  }
  EXPECT_THAT(manager_.Reload(10, 35, 2000), IsOkAndHolds(30));
  EXPECT_THAT(manager_.entries(), SizeIs(3));
  EXPECT_THAT(Snapshots(), ElementsAre(10, 20, 30, 40));
  EXPECT_THAT(manager_.Reload(30, 30, 2000), IsOkAndHolds(30));
  EXPECT_TRUE(manager_.empty());
  EXPECT_THAT(Snapshots(), ElementsAre(10, 20, 30, 40));
}

TEST_F(ProducerStateManagerTest, DamagedSnapshotsArePassedOver) {
  for (const int64_t offset : {10, 20, 30}) {
    Replay({.base_offset = offset - 1, .producer_id = offset});
    VARVE_ASSERT_OK(manager_.WriteSnapshot(offset, SnapshotSync::kNone));
  }
  fs::resize_file(SnapshotPath(30), 20);
  fs::resize_file(SnapshotPath(20), 0);
  EXPECT_THAT(manager_.Reload(0, 30, 2000), IsOkAndHolds(10));
  EXPECT_THAT(manager_.entries(), SizeIs(1));
  EXPECT_THAT(Snapshots(), ElementsAre(10, 20, 30));
  fs::resize_file(SnapshotPath(10), 9);
  EXPECT_THAT(manager_.Reload(0, 30, 2000), IsOkAndHolds(0));
  EXPECT_TRUE(manager_.empty());
}

TEST_F(ProducerStateManagerTest, ReloadForgetsWhatWasReplayedSince) {
  Replay({.base_offset = 0, .producer_id = 1});
  VARVE_ASSERT_OK(manager_.WriteSnapshot(1, SnapshotSync::kNone));
  Replay({.base_offset = 1, .producer_id = 2, .transactional = true});
  Replay({.base_offset = 2, .producer_id = 3, .transactional = true});
  Replay(MarkerBatch(ControlType::kCommit, 3, 3));
  EXPECT_THAT(manager_.Reload(0, 1, 2000), IsOkAndHolds(1));
  EXPECT_THAT(manager_.entries(), SizeIs(1));
  EXPECT_EQ(FirstUnstableOffset(manager_), std::nullopt);
}

TEST_F(ProducerStateManagerTest, RemovingASnapshotThatIsNotThereIsFine) {
  VARVE_ASSERT_OK(manager_.WriteSnapshot(9, SnapshotSync::kNone));
  VARVE_EXPECT_OK(manager_.RemoveSnapshot(9));
  VARVE_EXPECT_OK(manager_.RemoveSnapshot(9));
  EXPECT_THAT(Snapshots(), IsEmpty());
}

TEST_F(ProducerStateManagerTest, ErrorsOfTheFileSystemAreHandedOn) {
  ProducerStateManager lost(FileSystem::Default(), directory_.path() + "/no", kDayMs);
  EXPECT_THAT(lost.Reload(0, 10, 0), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(lost.WriteSnapshot(10, SnapshotSync::kNone), StatusIs(absl::StatusCode::kNotFound));

  // A directory in a snapshot's place can be neither read, nor written, nor removed as a file.
  ASSERT_TRUE(fs::create_directory(SnapshotPath(7)));
  EXPECT_FALSE(manager_.Reload(0, 10, 0).ok());
  EXPECT_FALSE(manager_.RemoveSnapshot(7).ok());
  // A write that failed may be tried again.
  EXPECT_FALSE(manager_.WriteSnapshot(7, SnapshotSync::kNone).ok());
  EXPECT_FALSE(manager_.WriteSnapshot(7, SnapshotSync::kDurable).ok());
  ASSERT_TRUE(fs::remove(SnapshotPath(7)));
  VARVE_EXPECT_OK(manager_.WriteSnapshot(7, SnapshotSync::kDurable));
  EXPECT_THAT(Snapshots(), ElementsAre(7));
}

}  // namespace
}  // namespace varve::internal
