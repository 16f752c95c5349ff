// What a leader answers to producers and to transaction coordinators (format notes §8.2), and when it forgets them.
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "log/log_places.h"
#include "state/producer_batches.h"
#include "varve/errors.h"
#include "varve/testing/faulty_file_system.h"

namespace varve {
namespace {

using ::testing::HasSubstr;
using testing_support::DataBatch;
using testing_support::LogTest;
using testing_support::OpenLog;
using testing_support::StatusIs;

constexpr int32_t kLastSequence = std::numeric_limits<int32_t>::max();
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int64_t kProducer = 4242;

// How a producer's records come: as records with its stamp, in one codec or none, or as the batch that it made.
enum class Way { kRecords, kCompressedRecords, kBatch };

struct Sent {
  int32_t base_sequence = 0;
  int16_t epoch = 0;
  int32_t record_count = 1;
  bool transactional = false;
  int64_t producer_id = kProducer;
  int64_t timestamp_ms = 1000;
};

class LogProducersTest : public LogTest, public ::testing::WithParamInterface<Way> {
 protected:
  LogProducersTest() {
    options_.segment_bytes = 4096;
    options_.producer_id_expiration_ms = kNever;
  }

  absl::StatusOr<AppendResult> Send(Log* log, const Sent& sent) const {
    if (GetParam() == Way::kBatch) {
      return log->AppendBatch(DataBatch({.producer_id = sent.producer_id,
                                         .epoch = sent.epoch,
                                         .base_sequence = sent.base_sequence,
                                         .record_count = sent.record_count,
                                         .transactional = sent.transactional,
                                         .timestamp_ms = sent.timestamp_ms}));
    }
    const Record record{.value = "v", .timestamp_ms = sent.timestamp_ms};
    const std::vector<Record> records(static_cast<size_t>(sent.record_count), record);
    return log->Append(records, {.compression = GetParam() == Way::kCompressedRecords ? Codec::kGzip : Codec::kNone,
                                 .producer = ProducerStamp{.producer_id = sent.producer_id,
                                                           .producer_epoch = sent.epoch,
                                                           .base_sequence = sent.base_sequence,
                                                           .transactional = sent.transactional}});
  }

  void ExpectAppended(Log* log, const Sent& sent) const {
    const int64_t end = log->log_end_offset();
    const auto result = Send(log, sent);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_FALSE(result->duplicate);
    EXPECT_EQ(result->base_offset, end);
    EXPECT_EQ(result->end_offset(), end + sent.record_count);
    EXPECT_EQ(log->log_end_offset(), result->end_offset());
  }

  void ExpectDuplicate(Log* log, const Sent& sent, int64_t base_offset) const {
    const int64_t end = log->log_end_offset();
    const auto result = Send(log, sent);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_TRUE(result->duplicate);
    EXPECT_EQ(result->base_offset, base_offset);
    EXPECT_EQ(result->end_offset(), base_offset + sent.record_count);
    EXPECT_EQ(log->log_end_offset(), end);
  }

  void ExpectRefused(Log* log, const Sent& sent, KafkaError error) const {
    ExpectRefused(log, Send(log, sent).status(), error, log->log_end_offset());
  }
  static void ExpectRefused(Log* log, const absl::Status& status, KafkaError error, int64_t end) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(KafkaErrorOf(status), error) << status;
    EXPECT_EQ(log->log_end_offset(), end);
  }
};

std::string NameOf(const ::testing::TestParamInfo<Way>& param) {
  if (param.param == Way::kBatch) return "Batch";
  return param.param == Way::kRecords ? "Records" : "CompressedRecords";
}

INSTANTIATE_TEST_SUITE_P(, LogProducersTest, ::testing::Values(Way::kRecords, Way::kCompressedRecords, Way::kBatch),
                         NameOf);

// --- Sequences ---

TEST_P(LogProducersTest, TheLastFiveBatchesAreRecognisedAndNoOlderOne) {
  const auto log = Open();
  for (int32_t number = 0; number < 7; ++number) {
    ExpectAppended(log.get(), {.base_sequence = 2 * number, .record_count = 2});
  }
  for (int32_t number = 6; number >= 2; --number) {
    ExpectDuplicate(log.get(), {.base_sequence = 2 * number, .record_count = 2}, 2 * number);
  }
  for (int32_t number = 1; number >= 0; --number) {
    ExpectRefused(log.get(), {.base_sequence = 2 * number, .record_count = 2}, KafkaError::kOutOfOrderSequenceNumber);
  }
  ExpectAppended(log.get(), {.base_sequence = 14});
}

TEST_P(LogProducersTest, APartOfABatchIsNoDuplicate) {
  const auto log = Open();
  ExpectAppended(log.get(), {.base_sequence = 0, .record_count = 3});
  for (const auto& [base_sequence, record_count] : {std::pair{0, 2}, {0, 4}, {1, 2}, {1, 3}, {2, 2}}) {
    ExpectRefused(log.get(), {.base_sequence = base_sequence, .record_count = record_count},
                  KafkaError::kOutOfOrderSequenceNumber);
  }
}

TEST_P(LogProducersTest, ASequenceThatLeavesAGapIsRefused) {
  const auto log = Open();
  ExpectAppended(log.get(), {.base_sequence = 0});
  ExpectRefused(log.get(), {.base_sequence = 2}, KafkaError::kOutOfOrderSequenceNumber);
  ExpectAppended(log.get(), {.base_sequence = 1});
}

TEST_P(LogProducersTest, SequencesGoOnFromZeroBehindTheLast) {
  const auto log = Open();
  ExpectAppended(log.get(), {.base_sequence = kLastSequence - 1, .record_count = 2});
  ExpectRefused(log.get(), {.base_sequence = 1}, KafkaError::kOutOfOrderSequenceNumber);
  ExpectAppended(log.get(), {.base_sequence = 0});
  ExpectDuplicate(log.get(), {.base_sequence = kLastSequence - 1, .record_count = 2}, 0);
  ExpectAppended(log.get(), {.base_sequence = 1});
}

TEST_P(LogProducersTest, ABatchMayCrossTheLastSequence) {
  const auto log = Open();
  ExpectAppended(log.get(), {.base_sequence = kLastSequence - 1, .record_count = 4});
  ExpectDuplicate(log.get(), {.base_sequence = kLastSequence - 1, .record_count = 4}, 0);
  ExpectAppended(log.get(), {.base_sequence = 2});
}

TEST_P(LogProducersTest, AnUnknownProducerBeginsWhereItLikes) {
  const auto log = Open();
  ExpectAppended(log.get(), {.base_sequence = 77, .epoch = 3});
  ExpectAppended(log.get(), {.base_sequence = 78, .epoch = 3});
  ExpectAppended(log.get(), {.base_sequence = 0, .producer_id = kProducer + 1});
}

// --- Epochs ---

TEST_P(LogProducersTest, ANewEpochBeginsAtZeroAndFencesTheOld) {
  const auto log = Open();
  ExpectAppended(log.get(), {.base_sequence = 0, .epoch = 4});
  ExpectRefused(log.get(), {.base_sequence = 1, .epoch = 5}, KafkaError::kOutOfOrderSequenceNumber);
  ExpectAppended(log.get(), {.base_sequence = 0, .epoch = 5});
  ExpectRefused(log.get(), {.base_sequence = 1, .epoch = 4}, KafkaError::kInvalidProducerEpoch);
  ExpectRefused(log.get(), {.base_sequence = 0, .epoch = 4}, KafkaError::kInvalidProducerEpoch);  // nor a duplicate
  ExpectDuplicate(log.get(), {.base_sequence = 0, .epoch = 5}, 1);
  ExpectAppended(log.get(), {.base_sequence = 1, .epoch = 5});
}

// --- Transactions ---

TEST_P(LogProducersTest, ATransactionIsCommittedOrAbortedByItsMarker) {
  const auto log = Open();
  int32_t sequence = 0;
  for (const ControlType end : {ControlType::kCommit, ControlType::kAbort}) {
    ExpectAppended(log.get(), {.base_sequence = sequence++, .transactional = true});
    ExpectAppended(log.get(), {.base_sequence = sequence++, .transactional = true});
    EXPECT_EQ(log->offsets().last_stable_offset, log->log_end_offset() - 2);
    VARVE_ASSERT_OK_AND_ASSIGN(const AppendResult marker, log->AppendEndTransaction(kProducer, 0, end, 12));
    EXPECT_EQ(marker.base_offset, marker.last_offset);
    EXPECT_EQ(log->offsets().last_stable_offset, marker.end_offset());
  }
  std::vector<int64_t> offsets;
  for (const RecordView& record : log->Scan(0, {.isolation = Isolation::kCommitted})) {
    offsets.push_back(record.offset());
  }
  EXPECT_EQ(offsets, (std::vector<int64_t>{0, 1}));
  ExpectAppended(log.get(), {.base_sequence = sequence});  // outside of a transaction again
}

TEST_P(LogProducersTest, DataOutsideOfTheOpenTransactionIsRefused) {
  const auto log = Open();
  ExpectAppended(log.get(), {.base_sequence = 0, .transactional = true});
  ExpectRefused(log.get(), {.base_sequence = 1}, KafkaError::kInvalidTxnState);
  ExpectAppended(log.get(), {.base_sequence = 1, .transactional = true});
}

TEST_P(LogProducersTest, AMarkerOfALaterEpochFencesTheProducer) {
  const auto log = Open();
  ExpectAppended(log.get(), {.base_sequence = 0, .epoch = 4, .transactional = true});
  VARVE_ASSERT_OK(log->AppendEndTransaction(kProducer, 5, ControlType::kAbort, 0));
  ExpectRefused(log.get(), {.base_sequence = 1, .epoch = 4, .transactional = true}, KafkaError::kInvalidProducerEpoch);
  ExpectRefused(log.get(), {.base_sequence = 1, .epoch = 5, .transactional = true},
                KafkaError::kOutOfOrderSequenceNumber);
  ExpectAppended(log.get(), {.base_sequence = 0, .epoch = 5, .transactional = true});
  const int64_t end = log->log_end_offset();
  ExpectRefused(log.get(), log->AppendEndTransaction(kProducer, 4, ControlType::kCommit, 0).status(),
                KafkaError::kInvalidProducerEpoch, end);
}

TEST_P(LogProducersTest, ACoordinatorThatWasReplacedIsFenced) {
  const auto log = Open();
  ExpectAppended(log.get(), {.base_sequence = 0, .transactional = true});
  VARVE_ASSERT_OK(log->AppendEndTransaction(kProducer, 0, ControlType::kCommit, 12));
  ExpectAppended(log.get(), {.base_sequence = 1, .transactional = true});
  const int64_t end = log->log_end_offset();
  ExpectRefused(log.get(), log->AppendEndTransaction(kProducer, 0, ControlType::kCommit, 11).status(),
                KafkaError::kTransactionCoordinatorFenced, end);
  VARVE_ASSERT_OK(log->AppendEndTransaction(kProducer, 0, ControlType::kCommit, 12));
  EXPECT_EQ(log->offsets().last_stable_offset, end + 1);
}

// --- Reopening, expiry ---

TEST_P(LogProducersTest, AReopenedLogKnowsTheLastBatchAndTheOpenTransaction) {
  auto log = Open();
  ExpectAppended(log.get(), {.base_sequence = 0, .epoch = 2, .transactional = true});
  VARVE_ASSERT_OK(log->AppendEndTransaction(kProducer, 2, ControlType::kCommit, 9));
  ExpectAppended(log.get(), {.base_sequence = 1, .epoch = 2, .record_count = 2, .transactional = true});
  const std::vector<ProducerStateEntry> before = log->producers();
  VARVE_ASSERT_OK(log->Close());
  log = Open();
  ASSERT_EQ(log->producers().size(), 1u);
  EXPECT_EQ(log->producers()[0].current_transaction_first_offset, before[0].current_transaction_first_offset);
  EXPECT_EQ(log->producers()[0].coordinator_epoch, 9);
  ExpectDuplicate(log.get(), {.base_sequence = 1, .epoch = 2, .record_count = 2, .transactional = true}, 2);
  ExpectRefused(log.get(), {.base_sequence = 3, .epoch = 2}, KafkaError::kInvalidTxnState);
  ExpectAppended(log.get(), {.base_sequence = 3, .epoch = 2, .transactional = true});
  VARVE_ASSERT_OK(log->AppendEndTransaction(kProducer, 2, ControlType::kAbort, 9));
  EXPECT_EQ(log->offsets().last_stable_offset, 6);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto aborted, log->AbortedTransactions(0, 6));
  ASSERT_EQ(aborted.size(), 1u);
  EXPECT_EQ(aborted[0].first_offset, 2);
}

// The age is that of the batch's largest timestamp, whenever it came.
TEST_P(LogProducersTest, AProducerExpiresByItsTimestamps) {
  options_.producer_id_expiration_ms = 1000;
  const auto log = Open();
  const int64_t now_ms = clock_.WallMs();
  ExpectAppended(log.get(), {.base_sequence = 0, .timestamp_ms = now_ms});
  ExpectAppended(log.get(), {.base_sequence = 0, .producer_id = 1, .timestamp_ms = now_ms - 31'536'000'000});
  ExpectAppended(log.get(),
                 {.base_sequence = 0, .transactional = true, .producer_id = 2, .timestamp_ms = now_ms - 5000});
  VARVE_ASSERT_OK_AND_ASSIGN(int64_t removed, log->RemoveExpiredProducers());
  EXPECT_EQ(removed, 1);
  ExpectAppended(log.get(), {.base_sequence = 50, .producer_id = 1, .timestamp_ms = now_ms});
  clock_.AdvanceMs(999);
  VARVE_ASSERT_OK_AND_ASSIGN(removed, log->RemoveExpiredProducers());
  EXPECT_EQ(removed, 0);
  ExpectRefused(log.get(), {.base_sequence = 9}, KafkaError::kOutOfOrderSequenceNumber);
  clock_.AdvanceMs(1);
  VARVE_ASSERT_OK_AND_ASSIGN(removed, log->RemoveExpiredProducers());
  EXPECT_EQ(removed, 2);
  ExpectAppended(log.get(), {.base_sequence = 9});
  // One that has a transaction open stays until that is over, and then for as long as its marker is young.
  VARVE_ASSERT_OK(log->AppendEndTransaction(2, 0, ControlType::kCommit, 0));
  VARVE_ASSERT_OK_AND_ASSIGN(removed, log->RemoveExpiredProducers());
  EXPECT_EQ(removed, 1);  // the one that has just come with a timestamp of 1970
  clock_.AdvanceMs(1000);
  VARVE_ASSERT_OK_AND_ASSIGN(removed, log->RemoveExpiredProducers());
  EXPECT_EQ(removed, 1);
  EXPECT_TRUE(log->producers().empty());
}

TEST_P(LogProducersTest, OpeningForgetsWhatExpiredMeanwhile) {
  options_.producer_id_expiration_ms = 1000;
  auto log = Open();
  ExpectAppended(log.get(), {.base_sequence = 0, .timestamp_ms = clock_.WallMs()});
  VARVE_ASSERT_OK(log->Close());
  clock_.AdvanceMs(999);
  log = Open();
  EXPECT_EQ(log->producers().size(), 1u);
  VARVE_ASSERT_OK(log->Close());
  clock_.AdvanceMs(1);
  EXPECT_TRUE(Open()->producers().empty());
}

// --- What is no producer's ---

class LogCoordinatorTest : public LogTest {};

TEST_F(LogCoordinatorTest, AMarkerIsKafkasOwn78Bytes) {
  const auto log = Open();
  VARVE_ASSERT_OK(log->AppendEndTransaction(4242, 7, ControlType::kCommit, 12, {.leader_epoch = 3}));
  VARVE_ASSERT_OK_AND_ASSIGN(const FileRange range, log->Read(0));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto expected, BuildTransactionMarker({.type = ControlType::kCommit,
                                                                          .leader_epoch = 3,
                                                                          .timestamp_ms = clock_.WallMs(),
                                                                          .producer_id = 4242,
                                                                          .producer_epoch = 7,
                                                                          .coordinator_epoch = 12}));
  EXPECT_EQ(expected.size(), 78u);
  const std::span<const std::byte> found = range.View();
  EXPECT_TRUE(std::equal(found.begin(), found.end(), expected.begin(), expected.end()));
  EXPECT_EQ(log->leader_epochs(), (std::vector<LeaderEpoch>{{.epoch = 3, .start_offset = 0}}));
}

TEST_F(LogCoordinatorTest, AMarkerWithoutATransactionHoldsNobodyBack) {
  const auto log = Open();
  VARVE_ASSERT_OK(log->AppendEndTransaction(7, 0, ControlType::kAbort, 0));
  EXPECT_EQ(log->offsets().last_stable_offset, 1);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto aborted, log->AbortedTransactions(0, 1));
  EXPECT_TRUE(aborted.empty());
  EXPECT_EQ(log->producers().size(), 1u);
}

TEST_F(LogCoordinatorTest, WhatCannotBeIsRefused) {
  const auto log = Open();
  const auto expect_refused = [](const absl::Status& status, std::string_view message) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::string(message))));
    EXPECT_EQ(KafkaErrorOf(status), KafkaError::kInvalidRecord);
  };
  expect_refused(log->AppendEndTransaction(-1, 0, ControlType::kCommit, 0).status(), "producer -1 of epoch 0");
  expect_refused(log->AppendEndTransaction(7, -1, ControlType::kCommit, 0).status(), "producer 7 of epoch -1");
  expect_refused(log->AppendEndTransaction(7, 0, static_cast<ControlType>(2), 0).status(), "found 2");
  const auto append = [&](const ProducerStamp& stamp) {
    return log->Append({{.value = "v"}}, {.producer = stamp}).status();
  };
  expect_refused(append({.producer_id = -1}), "producer -1");
  expect_refused(append({.producer_id = 7, .producer_epoch = -1}), "of epoch -1");
  expect_refused(append({.producer_id = 7, .base_sequence = -1}), "found -1");
  EXPECT_EQ(log->log_end_offset(), 0);
  options_.read_only = true;
  const auto follower = Open();
  EXPECT_THAT(follower->AppendEndTransaction(7, 0, ControlType::kCommit, 0),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(follower->RemoveExpiredProducers(), StatusIs(absl::StatusCode::kFailedPrecondition));
  VARVE_ASSERT_OK(log->Close());
  EXPECT_THAT(log->RemoveExpiredProducers(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

// A client sends no markers: only the coordinator's call appends one.
TEST_F(LogCoordinatorTest, AMarkerFromAClientIsRefused) {
  const auto log = Open();
  EXPECT_EQ(KafkaErrorOf(log->AppendBatch(testing_support::MarkerBatch(ControlType::kCommit, 0, 7)).status()),
            KafkaError::kInvalidRecord);
}

TEST_F(LogCoordinatorTest, WithLogAppendTimeADuplicateTellsTheTimeOfTheFirst) {
  options_.message_timestamp_type = TimestampType::kLogAppendTime;
  const auto log = Open();
  const AppendOptions options{.producer = ProducerStamp{.producer_id = 7}};
  VARVE_ASSERT_OK_AND_ASSIGN(const AppendResult first, log->Append({{.value = "v"}}, options));
  EXPECT_EQ(first.log_append_time_ms, clock_.WallMs());
  clock_.AdvanceMs(10);
  VARVE_ASSERT_OK_AND_ASSIGN(const AppendResult second, log->Append({{.value = "v"}}, options));
  EXPECT_TRUE(second.duplicate);
  EXPECT_EQ(second.log_append_time_ms, first.log_append_time_ms);
  VARVE_ASSERT_OK_AND_ASSIGN(const AppendResult marker, log->AppendEndTransaction(7, 0, ControlType::kCommit, 0));
  EXPECT_EQ(marker.log_append_time_ms, clock_.WallMs());
}

// What a failure takes back is not remembered of the producer: the same batch is no duplicate afterwards.
TEST_F(LogCoordinatorTest, ABatchThatAFullDiskRefusedMayBeSentAgain) {
  FaultyFileSystem faulty(&memory_);
  options_.file_system = &faulty;
  options_.io_mode = IoMode::kWrite;
  const auto log = Open();
  const AppendOptions options{.producer = ProducerStamp{.producer_id = 7, .transactional = true}};
  faulty.AddRule(
      {.operation = FileOperation::kWrite, .path_part = ".log", .status = absl::ResourceExhaustedError("full")});
  EXPECT_THAT(log->Append({{.value = "v"}}, options), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_TRUE(log->producers().empty());
  EXPECT_EQ(log->offsets().last_stable_offset, 0);
  VARVE_ASSERT_OK_AND_ASSIGN(const AppendResult result, log->Append({{.value = "v"}}, options));
  EXPECT_FALSE(result.duplicate);
  faulty.AddRule(
      {.operation = FileOperation::kWrite, .path_part = ".txnindex", .status = absl::ResourceExhaustedError("full")});
  EXPECT_THAT(log->AppendEndTransaction(7, 0, ControlType::kAbort, 0), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(log->offsets().last_stable_offset, 0);
  EXPECT_EQ(log->log_end_offset(), 1);
  VARVE_ASSERT_OK(log->AppendEndTransaction(7, 0, ControlType::kAbort, 0));
  EXPECT_EQ(log->offsets().last_stable_offset, 2);
}

}  // namespace
}  // namespace varve
