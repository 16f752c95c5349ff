// What an append promises: include/varve/log.h.
#include <sys/wait.h>
#include <unistd.h>

#include <limits>
#include <string>
#include <vector>

#include "log/log_places.h"
#include "varve/errors.h"
#include "varve/testing/faulty_file_system.h"

namespace varve {
namespace {

using ::testing::HasSubstr;
using testing_support::AppendMany;
using testing_support::AppendNext;
using testing_support::ExpectRecords;
using testing_support::IsOkAndHolds;
using testing_support::LogTest;
using testing_support::OpenLog;
using testing_support::StatusIs;
using testing_support::ValueAt;

class LogAppendPlaceTest : public testing_support::LogPlaceTest {};
VARVE_INSTANTIATE_LOG_PLACES(LogAppendPlaceTest);
class LogAppendTest : public LogTest {};

std::vector<std::byte> Batch(const std::vector<Record>& records, const RecordBatchBuilderOptions& options = {}) {
  RecordBatchBuilder builder(options);
  for (const Record& record : records) EXPECT_TRUE(builder.Add(record).ok());
  const auto bytes = builder.Build();
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return {bytes->begin(), bytes->end()};
}

TEST_P(LogAppendPlaceTest, RecordsSurviveRollsAndReopening) {
  for (int64_t round = 0; round < 3; ++round) {
    const auto log = Open();
    ASSERT_EQ(log->log_end_offset(), 40 * round);
    AppendMany(log.get(), 40);
    ExpectRecords(*log, 0, 40 * (round + 1));
    EXPECT_GT(log->segments().size(), 5u);
    for (const LogSegmentInfo& segment : log->segments()) EXPECT_LE(segment.size_bytes, options_.segment_bytes);
    VARVE_ASSERT_OK(log->Close());
  }
  const auto log = Open();
  EXPECT_TRUE(log->recovery_report().clean);
  ExpectRecords(*log, 0, 120);
}

TEST_P(LogAppendPlaceTest, ALogThatWasNotClosedIsWholeAgain) {
  options_.segment_bytes = 4096;
  AppendMany(Open().get(), 10);
  if (GetParam().on_disk) {
    ExpectRecords(*Open(), 0, 10);
    return;
  }
  const auto log = Open();
  AppendMany(log.get(), 30);
  const auto after = memory_.CloneAfterProcessDeath();
  options_.file_system = after.get();
  ExpectRecords(*Open(), 0, 40);
}

TEST_P(LogAppendPlaceTest, ABatchOfManyRecordsHasOneOffsetEach) {
  const auto log = Open();
  const Header headers[] = {{.key = "h", .value = "1"}, {.key = "h"}};
  const Record records[] = {{.key = "a", .value = "1", .timestamp_ms = 5, .headers = headers},
                            {.key = std::nullopt, .value = "2", .timestamp_ms = 4},
                            {.key = "", .value = std::nullopt, .timestamp_ms = kNoTimestamp}};
  VARVE_ASSERT_OK(log->Append({{.value = "first"}}));
  const auto result = log->Append(records);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->base_offset, 1);
  EXPECT_EQ(result->last_offset, 3);
  EXPECT_EQ(result->end_offset(), 4);
  EXPECT_EQ(result->log_append_time_ms, kNoTimestamp);
  size_t number = 0;
  LogScan scan = log->Scan(1);
  for (const RecordView& record : scan) {
    ASSERT_LT(number, 3u);
    EXPECT_EQ(record.offset(), 1 + static_cast<int64_t>(number));
    EXPECT_EQ(record.key(), records[number].key);
    EXPECT_EQ(record.value(), records[number].value);
    EXPECT_EQ(record.timestamp_ms(), records[number].timestamp_ms);
    EXPECT_EQ(record.header_count(), number == 0 ? 2u : 0u);
    ++number;
  }
  VARVE_EXPECT_OK(scan.status());
  EXPECT_EQ(number, 3u);
}

TEST_P(LogAppendPlaceTest, EveryCodecRoundTrips) {
  options_.segment_bytes = 1 << 20;
  const auto log = Open();
  const std::string value(5000, 'z');
  for (const Codec codec : {Codec::kNone, Codec::kGzip, Codec::kSnappy, Codec::kLz4, Codec::kZstd}) {
    if (!CodecAvailable(codec)) {
      EXPECT_THAT(log->Append({{.value = value}}, {.compression = codec}), StatusIs(absl::StatusCode::kUnimplemented));
      continue;
    }
    const auto result = log->Append({{.key = "k", .value = value}, {.value = value}}, {.compression = codec});
    ASSERT_TRUE(result.ok()) << result.status();
    const auto range = log->Read(result->base_offset);
    ASSERT_TRUE(range.ok());
    VARVE_ASSERT_OK_AND_ASSIGN(const RecordBatchView batch, RecordBatchView::Parse(range->View()));
    EXPECT_EQ(batch.codec(), codec);
    EXPECT_EQ(batch.size_bytes() < 5000, codec != Codec::kNone);
    LogScan scan = log->Scan(result->base_offset);
    int records = 0;
    for (const RecordView& record : scan) {
      EXPECT_EQ(record.value(), value);
      ++records;
    }
    VARVE_EXPECT_OK(scan.status());
    EXPECT_EQ(records, 2);
  }
}

TEST_F(LogAppendTest, TheLogsCodecWins) {
  if (!CodecAvailable(Codec::kLz4)) options_.compression_type = Codec::kNone;
  if (CodecAvailable(Codec::kLz4)) options_.compression_type = Codec::kLz4;
  const auto log = Open();
  VARVE_ASSERT_OK(log->Append({{.value = std::string(100, 'x')}}));
  VARVE_ASSERT_OK(log->AppendBatch(Batch({{.value = "ready-made", .timestamp_ms = 1}})));
  for (int64_t offset = 0; offset < 2; ++offset) {
    VARVE_ASSERT_OK_AND_ASSIGN(const FileRange range, log->Read(offset));
    VARVE_ASSERT_OK_AND_ASSIGN(const RecordBatchView batch, RecordBatchView::Parse(range.View()));
    EXPECT_EQ(batch.codec(), *options_.compression_type);
  }
}

TEST_F(LogAppendTest, AbsentTimestampsAreTheClocks) {
  const auto log = Open();
  clock_.SetWallMs(123'456);
  VARVE_ASSERT_OK(log->Append({{.value = "a"}, {.value = "b", .timestamp_ms = 7}}));
  LogScan scan = log->Scan(0);
  ASSERT_TRUE(scan.Next());
  EXPECT_EQ(scan.record().timestamp_ms(), 123'456);
  ASSERT_TRUE(scan.Next());
  EXPECT_EQ(scan.record().timestamp_ms(), 7);
}

TEST_F(LogAppendTest, LogAppendTimeIsTheTimeOfEveryRecord) {
  options_.message_timestamp_type = TimestampType::kLogAppendTime;
  const auto log = Open();
  clock_.SetWallMs(123'456);
  for (int way = 0; way < 2; ++way) {
    const auto result =
        way == 0 ? log->Append({{.value = "a", .timestamp_ms = 1}, {.value = "b", .timestamp_ms = 2}})
                 : log->AppendBatch(Batch({{.value = "a", .timestamp_ms = 1}, {.value = "b", .timestamp_ms = 2}}));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->log_append_time_ms, 123'456);
  }
  LogScan scan = log->Scan(0);
  int records = 0;
  for (const RecordView& record : scan) {
    EXPECT_EQ(record.timestamp_ms(), 123'456);
    ++records;
  }
  VARVE_EXPECT_OK(scan.status());
  EXPECT_EQ(records, 4);
  EXPECT_EQ(log->OffsetForTimestamp(123'456)->value().offset, 0);
}

TEST_F(LogAppendTest, ReadyMadeBatchesAreStamped) {
  const auto log = Open();
  AppendMany(log.get(), 3);
  const auto result = log->AppendBatch(Batch({{.key = "key", .value = ValueAt(3), .timestamp_ms = 1'000'003},
                                              {.key = "key", .value = ValueAt(4), .timestamp_ms = 1'000'004}}),
                                       {.leader_epoch = 5});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->base_offset, 3);
  EXPECT_EQ(result->last_offset, 4);
  ExpectRecords(*log, 0, 5);
  VARVE_ASSERT_OK_AND_ASSIGN(const FileRange range, log->Read(3));
  VARVE_ASSERT_OK_AND_ASSIGN(const RecordBatchView batch, RecordBatchView::Parse(range.View()));
  EXPECT_EQ(batch.leader_epoch(), 5);
  EXPECT_EQ(log->leader_epochs().back(), (LeaderEpoch{5, 3}));
}

TEST_F(LogAppendTest, ABatchMayHaveAMillionBytesByDefault) {
  LogOptions options;
  options.file_system = &memory_;
  options.clock = &clock_;
  const auto log = OpenLog(directory_, options);
  std::string value(900'000, 'v');
  const size_t overhead_bytes = Batch({{.value = value, .timestamp_ms = 1}}).size() - value.size();
  value.resize(1'000'001 - overhead_bytes, 'v');
  const auto refused = log->Append({{.value = value, .timestamp_ms = 1}});
  EXPECT_EQ(KafkaErrorOf(refused.status()), KafkaError::kMessageTooLarge) << refused.status();
  EXPECT_EQ(log->log_end_offset(), 0);
  value.pop_back();
  VARVE_EXPECT_OK(log->Append({{.value = value, .timestamp_ms = 1}}));
  EXPECT_EQ(log->segments().back().size_bytes, 1'000'000);
}

// Each is refused, with Kafka's number, and changes nothing.
TEST_F(LogAppendTest, WrongInputIsRefused) {
  options_.max_message_bytes = 300;
  options_.message_timestamp_before_max_ms = 1000;
  options_.message_timestamp_after_max_ms = 2000;
  options_.cleanup_policy = CleanupPolicy::kCompact;
  const auto log = Open();
  const int64_t now_ms = clock_.WallMs();
  const std::string large(300, 'x');
  const auto expect_refused = [&](const absl::StatusOr<AppendResult>& result, std::optional<KafkaError> error) {
    EXPECT_THAT(result, StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_TRUE(!error.has_value() || KafkaErrorOf(result.status()) == error) << result.status();
    EXPECT_EQ(log->log_end_offset(), 0);
    EXPECT_EQ(log->segments().size(), 1u);
  };
  expect_refused(log->Append(std::span<const Record>()), std::nullopt);
  expect_refused(log->Append({{.key = "k", .value = "v", .timestamp_ms = -2}}), std::nullopt);
  expect_refused(log->Append({{.key = "k", .value = large}}), KafkaError::kMessageTooLarge);
  expect_refused(log->Append({{.value = "no key"}}), KafkaError::kInvalidRecord);
  expect_refused(log->Append({{.key = "k", .timestamp_ms = now_ms - 1001}}), KafkaError::kInvalidTimestamp);
  expect_refused(log->Append({{.key = "k", .timestamp_ms = now_ms + 2001}}), KafkaError::kInvalidTimestamp);
  const Record good{.key = "k", .value = "v", .timestamp_ms = now_ms};
  expect_refused(log->AppendBatch(Batch({good}, {.base_offset = 5})), KafkaError::kInvalidRecord);
  expect_refused(log->AppendBatch(Batch({{.key = "k", .value = large, .timestamp_ms = now_ms}})),
                 KafkaError::kMessageTooLarge);
  expect_refused(log->AppendBatch(Batch({{.value = "v", .timestamp_ms = now_ms}})), KafkaError::kInvalidRecord);
  std::vector<std::byte> two = Batch({good});
  const std::vector<std::byte> second = two;
  two.insert(two.end(), second.begin(), second.end());
  expect_refused(log->AppendBatch(two), std::nullopt);
  // The edges are inside.
  VARVE_EXPECT_OK(
      log->Append({{.key = "k", .timestamp_ms = now_ms - 1000}, {.key = "k", .timestamp_ms = now_ms + 2000}}));
  VARVE_EXPECT_OK(log->Append({{.key = "k", .timestamp_ms = kNoTimestamp}}));
}

// Either bound alone, with the clock where it should be.
TEST_F(LogAppendTest, EachTimestampBoundHoldsAlone) {
  for (const bool before : {true, false}) {
    LogOptions options = options_;
    (before ? options.message_timestamp_before_max_ms : options.message_timestamp_after_max_ms) = 1000;
    const auto log = OpenLog(before ? "orders-1" : "orders-2", options);
    const int64_t now_ms = clock_.WallMs();
    const auto append = [&](int64_t timestamp_ms) {
      const auto result = log->Append({{.value = "v", .timestamp_ms = timestamp_ms}});
      EXPECT_TRUE(result.ok() || KafkaErrorOf(result.status()) == KafkaError::kInvalidTimestamp) << result.status();
      return result.ok();
    };
    EXPECT_TRUE(append(now_ms));
    EXPECT_TRUE(append(now_ms - 1000));
    EXPECT_TRUE(append(now_ms + 1000));
    EXPECT_EQ(append(now_ms - 1001), !before);
    EXPECT_EQ(append(now_ms + 1001), before);
    EXPECT_TRUE(append(kNoTimestamp));
    EXPECT_FALSE(log->Append({{.value = "v", .timestamp_ms = std::numeric_limits<int64_t>::min()}}).ok());
  }
}

TEST_F(LogAppendTest, ADamagedBatchIsNotAppended) {
  const auto log = Open();
  const std::vector<std::byte> whole = Batch({{.value = "v", .timestamp_ms = 1}});
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::vector<std::byte> flipped = whole;
    flipped[bit / 8] ^= std::byte{1} << (bit % 8);
    const auto result = log->AppendBatch(flipped);
    const bool epoch = bit / 8 >= 12 && bit / 8 < 16;  // stamped anew, whatever it was
    if (epoch) {
      ASSERT_TRUE(result.ok()) << result.status();
      continue;
    }
    // A length beyond the bytes given is a partial batch, which is dropped (Kafka does the same).
    if (result.ok()) {
      ASSERT_EQ(result->last_offset, result->base_offset - 1) << "bit " << bit;
    }
  }
  EXPECT_EQ(log->log_end_offset(), 32);
  LogScan scan = log->Scan(0);
  while (scan.Next()) EXPECT_EQ(scan.record().value(), "v");
  VARVE_EXPECT_OK(scan.status());
}

TEST_F(LogAppendTest, AnAppendBeyondASegmentIsRefused) {
  options_.segment_bytes = 200;
  const auto log = Open();
  const auto refused = log->Append({{.value = std::string(150, 'x')}});
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("segment_bytes")));
  EXPECT_EQ(KafkaErrorOf(refused.status()), KafkaError::kRecordListTooLarge);
  AppendMany(log.get(), 5);
  ExpectRecords(*log, 0, 5);
}

TEST_F(LogAppendTest, OptionsOutOfRangeAreNamed) {
  struct Case {
    const char* name;
    void (*change)(LogOptions*);
  };
  for (const Case& wrong :
       {Case{"file_system", [](LogOptions* options) { options->file_system = nullptr; }},
        Case{"clock", [](LogOptions* options) { options->clock = nullptr; }},
        Case{"segment_bytes", [](LogOptions* options) { options->segment_bytes = 13; }},
        Case{"segment_bytes", [](LogOptions* options) { options->segment_bytes = int64_t{1} << 31; }},
        Case{"segment_ms", [](LogOptions* options) { options->segment_ms = 0; }},
        Case{"segment_jitter_ms", [](LogOptions* options) { options->segment_jitter_ms = -1; }},
        Case{"segment_index_bytes", [](LogOptions* options) { options->segment_index_bytes = 3; }},
        Case{"segment_index_bytes", [](LogOptions* options) { options->segment_index_bytes = int64_t{1} << 31; }},
        Case{"index_interval_bytes", [](LogOptions* options) { options->index_interval_bytes = -1; }},
        Case{"max_message_bytes", [](LogOptions* options) { options->max_message_bytes = -1; }},
        Case{"message_timestamp_before_max_ms",
             [](LogOptions* options) { options->message_timestamp_before_max_ms = -1; }},
        Case{"message_timestamp_after_max_ms",
             [](LogOptions* options) { options->message_timestamp_after_max_ms = -1; }},
        Case{"retention_ms", [](LogOptions* options) { options->retention_ms = -2; }},
        Case{"retention_bytes", [](LogOptions* options) { options->retention_bytes = -2; }},
        Case{"retention_timestamp_ahead_max_ms",
             [](LogOptions* options) { options->retention_timestamp_ahead_max_ms = -1; }},
        Case{"retention_timestamp_behind_max_ms",
             [](LogOptions* options) { options->retention_timestamp_behind_max_ms = -1; }},
        Case{"file_delete_delay_ms", [](LogOptions* options) { options->file_delete_delay_ms = -1; }},
        Case{"max_open_segments", [](LogOptions* options) { options->max_open_segments = 0; }}}) {
    LogOptions options = options_;
    wrong.change(&options);
    EXPECT_THAT(Log::Open(directory_, options), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(wrong.name)));
    EXPECT_THAT(memory_.List("/"), IsOkAndHolds(::testing::IsEmpty())) << wrong.name;
  }
}

TEST_F(LogAppendTest, ANewDirectoryNeedsAPartitionsName) {
  const std::string longest(249, 't');
  for (const std::string& name : {std::string("orders"), std::string("orders-"), std::string("-0"),
                                  std::string("orders-01x"), std::string("orders-x"), std::string("..-0"),
                                  std::string("orders!-0"), std::string("orders-2147483648"), longest + "t-0"}) {
    EXPECT_THAT(Log::Open(name, options_), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(name)));
    EXPECT_THAT(memory_.List("/"), IsOkAndHolds(::testing::IsEmpty()));
  }
  AppendNext(OpenLog(longest + "-2147483647", options_).get());
  VARVE_ASSERT_OK(memory_.CreateDirectory("anything"));
  AppendNext(OpenLog("anything", options_).get());
  options_.create = false;
  EXPECT_THAT(Log::Open("absent-0", options_), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(LogAppendPlaceTest, ASecondWriterIsTurnedAway) {
  auto log = Open();
  EXPECT_THAT(Log::Open(directory_, options_), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("varve.lock")));
  AppendNext(log.get());
  VARVE_ASSERT_OK(log->Close());
  ExpectRecords(*Open(), 0, 1);
}

template <typename Check>
void ForEveryChange(Log* log, Check&& check) {
  const std::vector<std::byte> batch = Batch({{.value = "v", .timestamp_ms = 1}});
  check(log->Append({{.value = "v"}}).status());
  check(log->Append({{.value = "v"}}, {.ack = Ack::kDurable}).status());
  check(log->AppendBatch(batch).status());
  check(log->AppendAsFollower(batch, 0).status());
  check(log->TruncateTo(0));
  check(log->TruncateFullyAndStartAt(5));
  check(log->DeleteBefore(1));
  check(log->Roll());
  check(log->AssignLeaderEpoch(9));
  check(log->Flush());
}

TEST_P(LogAppendPlaceTest, AClosedLogTakesNoChange) {
  const auto log = Open();
  AppendMany(log.get(), 3);
  LogReader reader = log->NewReader();
  VARVE_ASSERT_OK_AND_ASSIGN(const FileRange kept, log->Read(0));
  VARVE_ASSERT_OK(log->Close());
  ForEveryChange(log.get(), [](const absl::Status& status) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("closed")));
    EXPECT_FALSE(IsPoisoned(status));
  });
  VARVE_EXPECT_OK(log->Close());
  EXPECT_EQ(kept.size_bytes(), reader.Read(0)->size_bytes());
  ExpectRecords(*log, 0, 3);
  ExpectRecords(*Open(), 0, 3);
}

TEST_P(LogAppendPlaceTest, AReadOnlyLogTakesNoChange) {
  AppendMany(Open().get(), 3);
  options_.read_only = true;
  const auto log = Open();
  ForEveryChange(log.get(), [](const absl::Status& status) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("read-only")));
  });
  int called = 0;
  log->OnDurable(1, [&](const absl::Status& status) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition));
    ++called;
  });
  EXPECT_EQ(called, 1);
  EXPECT_THAT(log->WaitDurable(1), StatusIs(absl::StatusCode::kFailedPrecondition));
  ExpectRecords(*log, 0, 3);
}

// A forked child has the parent's log in its memory, and must neither use it nor take its lock away.
TEST_F(LogAppendTest, AForkedChildCannotUseItsParentsLog) {
  const testing_support::TemporaryDirectory temporary;
  options_.file_system = FileSystem::Default();
  directory_ = temporary.path() + "/orders-0";
  auto log = Open();
  AppendNext(log.get());
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    int wrong = 0;
    const auto check = [&](const absl::Status& status) {
      if (status.code() != absl::StatusCode::kFailedPrecondition) ++wrong;
    };
    check(log->Append({{.value = "v"}}).status());
    check(log->Append({{.value = "v"}}, {.ack = Ack::kDurable}).status());
    check(log->TruncateTo(0));
    check(log->Roll());
    check(log->Flush());
    check(log->WaitDurable(1));
    log->OnDurable(1, check);
    log->SetHighWatermark(0);
    if (log->high_watermark() != 1) ++wrong;
    check(log->Close());
    log.reset();
    ::_exit(wrong);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "wait status " << status;
  EXPECT_THAT(Log::Open(directory_, options_), StatusIs(absl::StatusCode::kUnavailable));
  AppendMany(log.get(), 5);
  VARVE_ASSERT_OK(log->Close());
  ExpectRecords(*Open(), 0, 6);
}

TEST_F(LogAppendTest, ProducersAreRememberedAndDuplicatesKnown) {
  const auto batch = [&](int32_t sequence, const char* value) {
    return Batch({{.value = value, .timestamp_ms = clock_.WallMs()}},
                 {.producer_id = 7, .producer_epoch = 0, .base_sequence = sequence});
  };
  {
    const auto log = Open();
    for (int32_t sequence = 0; sequence < 4; ++sequence) VARVE_ASSERT_OK(log->AppendBatch(batch(sequence, "v")));
    const auto duplicate = log->AppendBatch(batch(2, "v"));
    ASSERT_TRUE(duplicate.ok()) << duplicate.status();
    EXPECT_EQ(duplicate->base_offset, 2);
    EXPECT_EQ(log->log_end_offset(), 4);
    const auto gap = log->AppendBatch(batch(9, "v"));
    EXPECT_THAT(gap, StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_EQ(KafkaErrorOf(gap.status()), KafkaError::kOutOfOrderSequenceNumber);
    ASSERT_EQ(log->producers().size(), 1u);
  }
  const auto log = Open();
  EXPECT_EQ(log->AppendBatch(batch(3, "v"))->base_offset, 3);
  EXPECT_EQ(log->AppendBatch(batch(4, "v"))->base_offset, 4);
}

TEST_F(LogAppendTest, RollStartsANewSegmentUnlessThePresentOneIsEmpty) {
  options_.segment_bytes = 1 << 20;
  const auto log = Open();
  VARVE_ASSERT_OK(log->Roll());
  EXPECT_EQ(log->segments().size(), 1u);
  AppendNext(log.get());
  VARVE_ASSERT_OK(log->Roll());
  VARVE_ASSERT_OK(log->Roll());
  ASSERT_EQ(log->segments().size(), 2u);
  EXPECT_EQ(log->segments()[1].base_offset, 1);
  EXPECT_TRUE(log->segments()[1].active);
  AppendNext(log.get());
  ExpectRecords(*log, 0, 2);
}

TEST_F(LogAppendTest, FollowersKeepGapsAndEpochs) {
  const auto log = Open();
  std::vector<std::byte> input;
  const auto add = [&](int64_t base_offset, int32_t epoch) {
    const std::vector<std::byte> bytes =
        Batch({{.value = "v", .timestamp_ms = 1}}, {.base_offset = base_offset, .leader_epoch = epoch});
    input.insert(input.end(), bytes.begin(), bytes.end());
  };
  add(5, 1);
  add(9, 2);
  const size_t whole = input.size();
  add(10, 2);
  input.resize(whole + 40);  // cut off by the fetch
  const auto result = log->AppendAsFollower(input, 2);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->base_offset, 5);
  EXPECT_EQ(result->last_offset, 9);
  EXPECT_EQ(log->log_end_offset(), 10);
  EXPECT_EQ(log->leader_epochs(), (std::vector<LeaderEpoch>{{1, 5}, {2, 9}}));
  // From the first batch of an epoch the replica has not heard of, nothing is taken.
  input.clear();
  add(12, 2);
  add(13, 3);
  add(14, 2);
  EXPECT_EQ(log->AppendAsFollower(input, 2)->last_offset, 12);
  // Offsets that do not rise, or lie below the end, are refused whole.
  input.clear();
  add(20, 2);
  add(20, 2);
  EXPECT_THAT(log->AppendAsFollower(input, 2), StatusIs(absl::StatusCode::kInvalidArgument));
  input.clear();
  add(12, 2);
  EXPECT_FALSE(log->AppendAsFollower(input, 2).ok());
  EXPECT_EQ(log->log_end_offset(), 13);
  std::vector<int64_t> offsets;
  LogScan scan = log->Scan(0);
  while (scan.Next()) offsets.push_back(scan.record().offset());
  VARVE_EXPECT_OK(scan.status());
  EXPECT_EQ(offsets, (std::vector<int64_t>{5, 9, 12}));
  EXPECT_EQ(log->EndOffsetForEpoch(1)->start_offset, 9);
}

// Linux before 5.14 cannot populate a mapping.
TEST_F(LogAppendTest, AKernelThatCannotPopulateIsServedByWriteCalls) {
  FaultyFileSystem faulty(&memory_);
  const size_t rule = faulty.AddRule(
      {.operation = FileOperation::kPopulate, .for_ever = true, .status = absl::UnimplementedError("old kernel")});
  options_.file_system = &faulty;
  for (int64_t end = 10; end <= 20; end += 10) {
    const auto log = Open();
    ASSERT_NE(log, nullptr);
    AppendMany(log.get(), 10, {.ack = Ack::kDurable});
    ExpectRecords(*log, 0, end);
    VARVE_EXPECT_OK(log->Close());
  }
  EXPECT_GT(faulty.faults_fired(rule), 0u);
}

}  // namespace
}  // namespace varve
