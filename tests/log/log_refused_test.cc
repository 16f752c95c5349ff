// What an append that was refused leaves behind: nothing, in the file, in the indexes, in what is known of producers,
// whether the process goes on, dies or the power fails.
#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "log/log_places.h"
#include "record/batch_header.h"
#include "state/producer_batches.h"
#include "varve/errors.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/transaction_index.h"

namespace varve {
namespace {

using testing_support::AppendMany;
using testing_support::AppendNext;
using testing_support::DataBatch;
using testing_support::ExpectRecords;
using testing_support::IsOk;
using testing_support::kPartition;
using testing_support::MarkerBatch;
using testing_support::OpenLog;
using testing_support::StatusIs;

class LogRefusedTest : public ::testing::TestWithParam<IoMode> {
 protected:
  LogRefusedTest() : faulty_(&disk_) {
    options_.file_system = &faulty_;
    options_.clock = &clock_;
    options_.io_mode = GetParam();
    options_.segment_bytes = 1 << 20;
    options_.index_interval_bytes = 100;
  }

  // What the dead process, and the machine after a power loss, left: the log as it was told of, or a shorter one.
  void ExpectAfterDeath(int64_t end_offset) {
    LogOptions options = options_;
    const auto killed = disk_.CloneAfterProcessDeath();
    options.file_system = killed.get();
    ExpectSound(*OpenLog(kPartition, options), end_offset, end_offset);
    for (uint64_t seed = 0; seed < 16; ++seed) {
      SCOPED_TRACE(seed);
      const auto crashed = disk_.CloneAfterCrash({.seed = seed, .mode = CrashMode::kRandom});
      options.file_system = crashed.get();
      ExpectSound(*OpenLog(kPartition, options), 0, end_offset);
    }
  }

  static void ExpectSound(const Log& log, int64_t least_end, int64_t most_end) {
    EXPECT_GE(log.log_end_offset(), least_end);
    EXPECT_LE(log.log_end_offset(), most_end);
    EXPECT_TRUE(log.damage().empty());
    ExpectRecords(log, 0, log.log_end_offset());
  }

  ManualClock clock_{1'700'000'000'000, 1'000'000'000'000};
  MemoryFileSystem disk_;
  FaultyFileSystem faulty_;
  LogOptions options_;
};

INSTANTIATE_TEST_SUITE_P(, LogRefusedTest, ::testing::Values(IoMode::kMapped, IoMode::kWrite),
                         [](const auto& param) { return param.param == IoMode::kMapped ? "Mapped" : "Write"; });

// Batches as a leader has them, of one record each: a value of its own, so that none can be taken for AppendNext's.
std::vector<std::byte> LeadersBatches(int64_t first_offset, const std::vector<size_t>& value_sizes) {
  std::vector<std::byte> all;
  for (const size_t size : value_sizes) {
    RecordBatchBuilder builder({.base_offset = first_offset++});
    const std::string value(size, 'x');
    EXPECT_TRUE(builder.Add({.value = value, .timestamp_ms = 1}).ok());
    const auto bytes = builder.Build();
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    all.insert(all.end(), bytes->begin(), bytes->end());
  }
  return all;
}

// Two batches are in the file when the third, large enough to go by a write call in either mode, finds the disk full
// half way.
TEST_P(LogRefusedTest, BatchesOfARefusedAppendNeverComeBack) {
  const auto log = OpenLog(kPartition, options_);
  AppendMany(log.get(), 5);
  const uint64_t written = GetParam() == IoMode::kMapped ? 0 : 2;
  faulty_.AddRule({.operation = FileOperation::kWrite,
                   .path_part = ".log",
                   .nth = written + 1,
                   .status = absl::ResourceExhaustedError("disk full"),
                   .partial_bytes = 1000});
  const auto refused = log->AppendAsFollower(LeadersBatches(5, {900, 900, 600'000}), 0);
  ASSERT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(faulty_.faults_fired(), 1u);
  EXPECT_EQ(log->log_end_offset(), 5);
  ExpectAfterDeath(5);

  // A shorter batch in their place leaves nothing of them behind it.
  AppendNext(log.get());
  ExpectAfterDeath(6);
  AppendMany(log.get(), 10);
  VARVE_ASSERT_OK(log->Close());
  ExpectAfterDeath(16);
}

// Bytes that cannot be taken back would come back: the log takes no appends until opening has judged them.
TEST_P(LogRefusedTest, BytesThatCannotBeTakenBackPoison) {
  const auto log = OpenLog(kPartition, options_);
  AppendMany(log.get(), 5);
  const uint64_t written = GetParam() == IoMode::kMapped ? 0 : 2;
  faulty_.AddRule({.operation = FileOperation::kWrite,
                   .path_part = ".log",
                   .nth = written + 1,
                   .status = absl::ResourceExhaustedError("disk full")});
  faulty_.AddRule({.operation = FileOperation::kTruncate,
                   .path_part = ".log",
                   .status = absl::ResourceExhaustedError("no room to cut")});
  const auto refused = log->AppendAsFollower(LeadersBatches(5, {900, 900, 600'000}), 0);
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::HasSubstr("no room to cut")));
  EXPECT_TRUE(IsPoisoned(refused.status()));
  EXPECT_TRUE(IsPoisoned(log->Append({{.value = "v"}}).status()));
  ExpectRecords(*log, 0, 5);
}

// --- Transactions ---

class LogRefusedMarkerTest : public LogRefusedTest {
 protected:
  // Two open transactions: producer 7 from offset 0 on, producer 8 from 2 on.
  std::unique_ptr<Log> OpenWithTransactions() {
    auto log = OpenLog(kPartition, options_);
    int64_t offset = 0;
    for (const auto& [producer_id, sequence] : {std::pair{7, 0}, {7, 1}, {8, 0}}) {
      VARVE_EXPECT_OK(log->AppendAsFollower(
          DataBatch(
              {.base_offset = offset++, .producer_id = producer_id, .base_sequence = sequence, .transactional = true}),
          0));
    }
    return log;
  }

  static std::vector<std::byte> BothAborts() {
    std::vector<std::byte> aborts = MarkerBatch(ControlType::kAbort, 3, 7);
    const std::vector<std::byte> second = MarkerBatch(ControlType::kAbort, 4, 8);
    aborts.insert(aborts.end(), second.begin(), second.end());
    return aborts;
  }

  static void ExpectBothAborted(FileSystem* file_system) {
    const auto index = TransactionIndex::Open(file_system, kTransactionIndexPath, 0);
    ASSERT_TRUE(index.ok()) << index.status();
    EXPECT_EQ(index->entries(), (std::vector<AbortedTransaction>{
                                    {.producer_id = 7, .first_offset = 0, .last_offset = 3, .last_stable_offset = 2},
                                    {.producer_id = 8, .first_offset = 2, .last_offset = 4, .last_stable_offset = 5}}));
  }

  static constexpr char kTransactionIndexPath[] = "orders-0/00000000000000000000.txnindex";
};

INSTANTIATE_TEST_SUITE_P(, LogRefusedMarkerTest, ::testing::Values(IoMode::kMapped, IoMode::kWrite),
                         [](const auto& param) { return param.param == IoMode::kMapped ? "Mapped" : "Write"; });

// The second entry is cut off half way, or the file cannot even be made: neither marker has come, for readers, for the
// producers and for the file, and both come whole once there is room.
TEST_P(LogRefusedMarkerTest, AnAbortWaitsForRoomInTheTransactionIndex) {
  for (const FileOperation operation : {FileOperation::kWrite, FileOperation::kOpen, FileOperation::kInfo}) {
    SCOPED_TRACE(static_cast<int>(operation));
    const auto log = OpenWithTransactions();
    const std::vector<ProducerStateEntry> producers = log->producers();
    faulty_.AddRule({.operation = operation,
                     .path_part = ".txnindex",
                     .status = absl::ResourceExhaustedError("disk full"),
                     .partial_bytes = TransactionIndex::kEntryBytes + 6});
    EXPECT_THAT(log->AppendAsFollower(BothAborts(), 0), StatusIs(absl::StatusCode::kResourceExhausted));
    EXPECT_EQ(log->log_end_offset(), 3);
    EXPECT_EQ(log->offsets().last_stable_offset, 0);
    EXPECT_EQ(log->producers(), producers);
    const auto killed = disk_.CloneAfterProcessDeath();
    LogOptions options = options_;
    options.file_system = killed.get();
    EXPECT_EQ(OpenLog(kPartition, options)->offsets().last_stable_offset, 0);

    VARVE_ASSERT_OK(log->AppendAsFollower(BothAborts(), 0));
    EXPECT_EQ(log->offsets().last_stable_offset, 5);
    ExpectBothAborted(&disk_);
    VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(0));
    faulty_.ClearRules();
  }
}

TEST_P(LogRefusedMarkerTest, EntriesThatCannotBeTakenBackPoison) {
  const auto log = OpenWithTransactions();
  for (const FileOperation operation : {FileOperation::kWrite, FileOperation::kTruncate}) {
    faulty_.AddRule(
        {.operation = operation, .path_part = ".txnindex", .status = absl::ResourceExhaustedError("disk full")});
  }
  EXPECT_THAT(log->AppendAsFollower(BothAborts(), 0), StatusIs(absl::StatusCode::kInternal));
  EXPECT_TRUE(IsPoisoned(log->AppendAsFollower(BothAborts(), 0).status()));
  EXPECT_EQ(log->log_end_offset(), 3);
}

// Recovery judges nothing below the durable point: what it needs to know of aborted transactions there must be on the
// disk as well.
TEST_P(LogRefusedMarkerTest, ADurableAbortIsInTheTransactionIndexAfterAPowerLoss) {
  const auto log = OpenWithTransactions();
  VARVE_ASSERT_OK(log->AppendAsFollower(BothAborts(), 0, {.ack = Ack::kDurable}));
  const auto crashed = disk_.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  ExpectBothAborted(crashed.get());
  LogOptions options = options_;
  options.file_system = crashed.get();
  EXPECT_EQ(OpenLog(kPartition, options)->offsets().last_stable_offset, 5);
  ExpectBothAborted(crashed.get());
}

TEST_P(LogRefusedMarkerTest, AFailedSyncOfTheTransactionIndexPoisons) {
  const auto log = OpenWithTransactions();
  faulty_.AddRule({.operation = FileOperation::kSync, .path_part = ".txnindex", .status = absl::InternalError("EIO")});
  EXPECT_FALSE(log->AppendAsFollower(BothAborts(), 0, {.ack = Ack::kDurable}).ok());
  EXPECT_LT(log->durable_offset(), 5);
  EXPECT_TRUE(IsPoisoned(log->Flush()));
}

// A marker that cannot be read is the leader's fault, not the disk's.
TEST_P(LogRefusedMarkerTest, AnUnreadableMarkerIsRefusedBeforeItIsWritten) {
  const auto log = OpenWithTransactions();
  RecordBatchBuilder builder(
      {.base_offset = 3, .producer_id = 7, .producer_epoch = 0, .transactional = true, .control = true});
  VARVE_ASSERT_OK(builder.Add({.key = "?", .value = "no marker", .timestamp_ms = 1}));
  const auto refused = log->AppendAsFollower(*builder.Build(), 0);
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(KafkaErrorOf(refused.status()), KafkaError::kCorruptMessage);
  EXPECT_EQ(log->log_end_offset(), 3);
  VARVE_EXPECT_OK(log->AppendAsFollower(BothAborts(), 0));
}

// --- Offsets ---

// A leader's batch with these offsets, whatever its records say.
std::vector<std::byte> WithOffsets(int64_t base_offset, int32_t last_offset_delta) {
  std::vector<std::byte> batch = LeadersBatches(0, {10});
  internal::BatchHeader header = internal::DecodeBatchHeader(batch.data());
  header.base_offset = base_offset;
  header.last_offset_delta = last_offset_delta;
  internal::EncodeBatchHeader(header, batch.data());
  internal::SealBatch(batch);
  return batch;
}

// What recovery would call damage, or a segment cannot say, is not acknowledged.
TEST_P(LogRefusedTest, OffsetsThatCannotBeAreRefused) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  constexpr int32_t kMaxDelta = std::numeric_limits<int32_t>::max();
  using Offsets = std::vector<std::pair<int64_t, int32_t>>;
  const auto log = OpenLog(kPartition, options_);
  AppendMany(log.get(), 5);
  for (const Offsets& offsets : {Offsets{{5, -1}},
                                 {{5, -2147483647 - 1}},
                                 {{kMax, 0}},
                                 {{kMax - 9, 9}},
                                 {{4, 3}},
                                 {{5, 3}, {7, 5}},
                                 {{5, 3}, {8, 0}},
                                 {{5, kMaxDelta}, {int64_t{6} + kMaxDelta, 0}},
                                 {{5, 0}, {int64_t{6} + kMaxDelta, 0}}}) {
    SCOPED_TRACE(::testing::PrintToString(offsets));
    std::vector<std::byte> input;
    for (const auto& [base_offset, last_offset_delta] : offsets) {
      const std::vector<std::byte> batch = WithOffsets(base_offset, last_offset_delta);
      input.insert(input.end(), batch.begin(), batch.end());
    }
    EXPECT_THAT(log->AppendAsFollower(input, 0), StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_EQ(log->log_end_offset(), 5);
  }
  ExpectAfterDeath(5);
}

// The widest range that a segment can say begins a segment of its own, and is there after the death of the process.
TEST_P(LogRefusedTest, TheWidestRangeIsHeld) {
  constexpr int32_t kMaxDelta = std::numeric_limits<int32_t>::max();
  const auto log = OpenLog(kPartition, options_);
  AppendMany(log.get(), 5);
  VARVE_ASSERT_OK(log->AppendAsFollower(WithOffsets(7, kMaxDelta), 0, {.ack = Ack::kDurable}));
  const int64_t next_offset = int64_t{8} + kMaxDelta;
  EXPECT_EQ(log->log_end_offset(), next_offset);
  VARVE_ASSERT_OK(log->AppendAsFollower(WithOffsets(next_offset, 0), 0, {.ack = Ack::kDurable}));
  EXPECT_EQ(log->segments().size(), 3u);
  const auto killed = disk_.CloneAfterProcessDeath();
  LogOptions options = options_;
  options.file_system = killed.get();
  const auto again = OpenLog(kPartition, options);
  EXPECT_EQ(again->log_end_offset(), next_offset + 1);
  EXPECT_TRUE(again->damage().empty());
}

// Offsets end at 2^63-2, so that the log end is one too.
TEST_P(LogRefusedTest, AppendsBeyondTheLastOffsetAreRefused) {
  const auto log = OpenLog(kPartition, options_);
  VARVE_ASSERT_OK(log->AppendAsFollower(WithOffsets(std::numeric_limits<int64_t>::max() - 2, 0), 0));
  EXPECT_THAT(log->Append({{.value = "a"}, {.value = "b"}}), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(log->AppendBatch(LeadersBatches(0, {10})), IsOk());
  EXPECT_EQ(log->log_end_offset(), std::numeric_limits<int64_t>::max());
  EXPECT_THAT(log->AppendBatch(LeadersBatches(0, {10})), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(log->Append({{.value = "a"}}), StatusIs(absl::StatusCode::kInvalidArgument));
}

// --- What a client hands over ---

TEST_P(LogRefusedTest, ABatchThatIsCutOffIsNotTakenForNothing) {
  const auto log = OpenLog(kPartition, options_);
  AppendMany(log.get(), 5);
  const std::vector<std::byte> batch = LeadersBatches(0, {100});
  for (const size_t size : {size_t{0}, size_t{1}, size_t{17}, size_t{61}, batch.size() - 1}) {
    SCOPED_TRACE(size);
    for (const Ack ack : {Ack::kWritten, Ack::kDurable}) {
      const auto refused = log->AppendBatch(std::span(batch).first(size), {.ack = ack});
      EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument));
      EXPECT_EQ(KafkaErrorOf(refused.status()), KafkaError::kInvalidRecord);
    }
  }
  EXPECT_EQ(log->log_end_offset(), 5);
  VARVE_EXPECT_OK(log->AppendBatch(batch));
}

// A leader that has been replaced does not know it yet: its epoch is below one that the log has.
TEST_P(LogRefusedTest, AReplacedLeadersAppendsAreRefused) {
  const auto log = OpenLog(kPartition, options_);
  EXPECT_THAT(log->Append({{.value = "v"}}, {.leader_epoch = -1}), StatusIs(absl::StatusCode::kInvalidArgument));
  VARVE_ASSERT_OK(log->Append({{.value = "v"}}, {.leader_epoch = 4}));
  for (const int32_t epoch : {3, 0, -1}) {
    EXPECT_THAT(log->Append({{.value = "v"}}, {.leader_epoch = epoch}), StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(log->AppendBatch(LeadersBatches(0, {10}), {.leader_epoch = epoch}),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_EQ(log->log_end_offset(), 1);
  EXPECT_EQ(log->leader_epochs(), (std::vector<LeaderEpoch>{{4, 0}}));
  VARVE_EXPECT_OK(log->Append({{.value = "v"}}, {.leader_epoch = 4}));
  VARVE_EXPECT_OK(log->Append({{.value = "v"}}, {.leader_epoch = 5}));
}

}  // namespace
}  // namespace varve
