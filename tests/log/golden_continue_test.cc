// Logs that Kafka wrote, gone on with: what it knew of producers, transactions and epochs holds for the next append,
// and for the one after the next opening.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "log/log_places.h"
#include "log/partition_fixture.h"
#include "varve/errors.h"

namespace varve {
namespace {

using nlohmann::json;
using testing_support::GoldenCase;
using testing_support::kDirectory;
using testing_support::OpenLog;
using testing_support::Partition;
using testing_support::StatusIs;

// One record as every reader sees it, but for its headers.
struct Seen {
  int64_t offset = 0;
  int64_t timestamp_ms = 0;
  std::string key;
  std::string value;

  friend bool operator==(const Seen&, const Seen&) = default;
};

std::vector<Seen> RecordsOf(const Log& log, Isolation isolation = Isolation::kLogEnd) {
  std::vector<Seen> records;
  LogScan scan = log.Scan(log.log_start_offset(), {.control_records = true, .isolation = isolation});
  for (const RecordView& record : scan) {
    records.push_back({record.offset(), record.timestamp_ms(), std::string(record.key().value_or("")),
                       std::string(record.value().value_or(""))});
  }
  EXPECT_TRUE(scan.status().ok()) << scan.status();
  return records;
}

class GoldenContinueTest : public ::testing::Test {
 protected:
  // As Kafka left it, at the time of its last record.
  std::unique_ptr<Log> OpenGolden(const std::string& name) {
    golden_ = testing_support::LoadGoldenCase(name);
    testing_support::SetUpGolden(golden_, &partition_);
    partition_.options.file_system = partition_.fs.get();
    partition_.options.clock = &partition_.clock;
    partition_.options.segment_bytes = golden_.manifest["config"]["internal.segment.bytes"];
    if (name == "compacted") partition_.options.cleanup_policy = CleanupPolicy::kCompact;
    int64_t last_timestamp_ms = 0;
    for (const json& segment : golden_.manifest["segments"]) {
      last_timestamp_ms = std::max(last_timestamp_ms, segment["max_timestamp"].get<int64_t>());
    }
    partition_.clock.SetWallMs(last_timestamp_ms);
    std::unique_ptr<Log> log = OpenLog(kDirectory, partition_.options);
    ExpectAsKafkaLeftIt(*log);
    before_ = RecordsOf(*log);
    return log;
  }

  void ExpectAsKafkaLeftIt(const Log& log) const {
    const json& manifest = golden_.manifest;
    const LogOffsets offsets = log.offsets();
    EXPECT_EQ(offsets.log_start_offset, manifest["log"]["log_start_offset"].get<int64_t>());
    EXPECT_EQ(offsets.log_end_offset, manifest["log"]["log_end_offset"].get<int64_t>());
    EXPECT_EQ(offsets.last_stable_offset, manifest["log"]["last_stable_offset"].get<int64_t>());
    for (const json& query : manifest["epoch_queries"]) {
      std::optional<LeaderEpoch> expected;
      if (!query[1].is_null()) expected = {query[1], query[2]};
      EXPECT_EQ(log.EndOffsetForEpoch(query[0]), expected) << query;
    }
  }

  // Closed and opened again: all that was there, then what was appended since; producers and epochs as they were.
  std::unique_ptr<Log> Reopened(std::unique_ptr<Log> log) {
    const std::vector<Seen> records = RecordsOf(*log);
    const std::vector<ProducerStateEntry> producers = log->producers();
    const std::vector<LeaderEpoch> epochs = log->leader_epochs();
    const int64_t last_stable_offset = log->offsets().last_stable_offset;
    EXPECT_GT(records.size(), before_.size());
    EXPECT_TRUE(std::equal(before_.begin(), before_.end(), records.begin()));
    const absl::Status closed = log->Close();
    EXPECT_TRUE(closed.ok()) << closed;
    // Kafka's marks were of its own stop.
    partition_.options.marks = {};
    log = OpenLog(kDirectory, partition_.options);
    EXPECT_TRUE(log->recovery_report().clean);
    EXPECT_EQ(RecordsOf(*log), records);
    EXPECT_EQ(log->leader_epochs(), epochs);
    EXPECT_EQ(log->offsets().last_stable_offset, last_stable_offset);
    const std::vector<ProducerStateEntry> found = log->producers();
    EXPECT_EQ(found.size(), producers.size());
    for (size_t i = 0; i < std::min(found.size(), producers.size()); ++i) {
      EXPECT_EQ(found[i].producer_id, producers[i].producer_id);
      EXPECT_EQ(found[i].epoch, producers[i].epoch);
      EXPECT_EQ(found[i].coordinator_epoch, producers[i].coordinator_epoch);
      EXPECT_EQ(found[i].last_timestamp_ms, producers[i].last_timestamp_ms);
      EXPECT_EQ(found[i].last_sequence(), producers[i].last_sequence());
      EXPECT_EQ(found[i].last_offset(), producers[i].last_offset());
      EXPECT_EQ(found[i].current_transaction_first_offset, producers[i].current_transaction_first_offset);
    }
    return log;
  }

  absl::StatusOr<AppendResult> Send(Log* log, const ProducerStamp& stamp, int32_t record_count) const {
    const Record record{.key = "key", .value = "value", .timestamp_ms = partition_.options.clock->WallMs()};
    const std::vector<Record> records(static_cast<size_t>(record_count), record);
    return log->Append(records, {.producer = stamp});
  }

  // Each producer sends its last batch again, and then the next one.
  void ExpectProducersGoOn(Log* log) const {
    for (const ProducerStateEntry& producer : log->producers()) {
      SCOPED_TRACE(producer.producer_id);
      ProducerStamp stamp{.producer_id = producer.producer_id,
                          .producer_epoch = producer.epoch,
                          .base_sequence = producer.batches.back().first_sequence(),
                          .transactional = producer.current_transaction_first_offset.has_value()};
      const int64_t end = log->log_end_offset();
      VARVE_ASSERT_OK_AND_ASSIGN(const AppendResult again, Send(log, stamp, producer.last_offset_delta() + 1));
      EXPECT_TRUE(again.duplicate);
      EXPECT_EQ(again.last_offset, producer.last_offset());
      EXPECT_EQ(log->log_end_offset(), end);
      stamp.base_sequence = producer.last_sequence() + 2;
      EXPECT_EQ(KafkaErrorOf(Send(log, stamp, 1).status()), KafkaError::kOutOfOrderSequenceNumber);
      stamp.base_sequence = producer.last_sequence() + 1;
      VARVE_ASSERT_OK_AND_ASSIGN(const AppendResult next, Send(log, stamp, 3));
      EXPECT_FALSE(next.duplicate);
      EXPECT_EQ(next.base_offset, end);
    }
  }

  // Producer 7003 has one open, of coordinator epoch 3.
  void EndOpenTransaction(ControlType end) {
    std::unique_ptr<Log> log = OpenGolden("transactions");
    const int64_t open_from = log->offsets().last_stable_offset;
    ExpectProducersGoOn(log.get());
    EXPECT_EQ(log->offsets().last_stable_offset, open_from);
    log = Reopened(std::move(log));
    for (const ProducerStateEntry& producer : log->producers()) {
      if (!producer.current_transaction_first_offset.has_value()) continue;
      VARVE_ASSERT_OK(log->AppendEndTransaction(producer.producer_id, producer.epoch, end, 3));
    }
    EXPECT_EQ(log->offsets().last_stable_offset, log->log_end_offset());
    EXPECT_EQ(KafkaErrorOf(log->AppendEndTransaction(7003, 0, end, 2).status()),
              KafkaError::kTransactionCoordinatorFenced);
    log = Reopened(std::move(log));
    VARVE_ASSERT_OK_AND_ASSIGN(const auto aborted, log->AbortedTransactions(0, log->log_end_offset()));
    EXPECT_EQ(aborted.size(), golden_.manifest["aborted_txns"].size() + (end == ControlType::kAbort ? 1 : 0));
    const std::vector<Seen> committed = RecordsOf(*log, Isolation::kCommitted);
    const bool is_there =
        std::any_of(committed.begin(), committed.end(), [&](const Seen& record) { return record.offset == open_from; });
    EXPECT_EQ(is_there, end == ControlType::kCommit);
    ExpectProducersGoOn(log.get());
  }

  GoldenCase golden_;
  Partition partition_;
  std::vector<Seen> before_;
};

TEST_F(GoldenContinueTest, IdempotentProducersGoOnWithTheirNextSequence) {
  std::unique_ptr<Log> log = OpenGolden("idempotent");
  ASSERT_EQ(log->producers().size(), golden_.manifest["producers"].size());
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE(round);
    ExpectProducersGoOn(log.get());
    log = Reopened(std::move(log));
  }
}

TEST_F(GoldenContinueTest, TheOpenTransactionIsAborted) { EndOpenTransaction(ControlType::kAbort); }
TEST_F(GoldenContinueTest, TheOpenTransactionIsCommitted) { EndOpenTransaction(ControlType::kCommit); }

TEST_F(GoldenContinueTest, EpochsGoOn) {
  std::unique_ptr<Log> log = OpenGolden("leader-epochs");
  const Record record{.key = "key", .value = "value", .timestamp_ms = partition_.clock.WallMs()};
  EXPECT_THAT(log->Append({record}, {.leader_epoch = 8}), StatusIs(absl::StatusCode::kInvalidArgument));
  VARVE_ASSERT_OK(log->Append({record}));
  EXPECT_EQ(log->leader_epochs().back(), (LeaderEpoch{9, 314}));
  VARVE_ASSERT_OK(log->AssignLeaderEpoch(12));
  VARVE_ASSERT_OK(log->Append({record}, {.leader_epoch = 12}));
  EXPECT_EQ(log->leader_epochs().back(), (LeaderEpoch{12, 421}));
  log = Reopened(std::move(log));
  EXPECT_EQ(log->EndOffsetForEpoch(9), (LeaderEpoch{9, 421}));
  EXPECT_EQ(log->EndOffsetForEpoch(11), (LeaderEpoch{9, 421}));
  EXPECT_EQ(log->EndOffsetForEpoch(12), (LeaderEpoch{12, 422}));
  VARVE_ASSERT_OK(log->TruncateTo(314));
  EXPECT_EQ(log->leader_epochs().back(), (LeaderEpoch{4, 201}));
  VARVE_ASSERT_OK(log->Append({record}, {.leader_epoch = 13}));
  EXPECT_EQ(log->EndOffsetForEpoch(9), (LeaderEpoch{4, 314}));
}

TEST_F(GoldenContinueTest, ACompactedLogGoesOnBehindItsGaps) {
  std::unique_ptr<Log> log = OpenGolden("compacted");
  EXPECT_EQ(KafkaErrorOf(log->Append({{.value = "no key"}}).status()), KafkaError::kInvalidRecord);
  for (int number = 0; number < 200; ++number) {
    VARVE_ASSERT_OK(log->Append({{.key = "key", .value = std::string(100, 'v')}}));
  }
  EXPECT_GT(log->segments().size(), golden_.manifest["segments"].size());
  log = Reopened(std::move(log));
  // Every offset finds the batch that holds the next record.
  LogReader reader = log->NewReader();
  auto next = before_.begin();
  for (int64_t offset = 0; offset <= before_.back().offset; ++offset) {
    if (next->offset < offset) ++next;
    VARVE_ASSERT_OK_AND_ASSIGN(const auto batch, reader.ReadBatch(offset));
    ASSERT_TRUE(batch.has_value());
    EXPECT_GE(batch->last_offset(), offset);
    EXPECT_LE(batch->base_offset(), next->offset) << offset;
  }
}

}  // namespace
}  // namespace varve
