// Retention of a log: what goes and what stays, for whom, and when its files do (format notes §6, §12 cases 33 to 38).
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "log/log_places.h"
#include "varve/errors.h"
#include "varve/testing/faulty_file_system.h"

namespace varve {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using testing_support::AppendMany;
using testing_support::AppendNext;
using testing_support::ExpectRecords;
using testing_support::IsOk;
using testing_support::LogTest;
using testing_support::OpenLog;
using testing_support::StatusIs;
using testing_support::TinyOptions;
using testing_support::ValueAt;

constexpr int64_t kDayMs = int64_t{24} * 3600 * 1000;
constexpr int64_t kRecords = 24;
// Of a record of AppendNext: 1'000'000 + offset.
constexpr int64_t kFirstMs = 1'000'000;

RetentionOptions KeepBytes(int64_t retention_bytes) { return {.retention_ms = -1, .retention_bytes = retention_bytes}; }

// All that is older than `timestamp_ms` is due.
RetentionOptions KeepFrom(int64_t timestamp_ms) { return {.retention_ms = 0, .now_ms = timestamp_ms}; }

int64_t TotalBytes(const Log& log) {
  int64_t bytes = 0;
  for (const LogSegmentInfo& segment : log.segments()) bytes += segment.size_bytes;
  return bytes;
}

class LogRetentionPlaceTest : public testing_support::LogPlaceTest {};
VARVE_INSTANTIATE_LOG_PLACES(LogRetentionPlaceTest);

class LogRetentionTest : public LogTest {
 protected:
  std::vector<std::string> DeletedNames() {
    std::vector<std::string> names = memory_.List(directory_).value();
    std::erase_if(names, [](const std::string& name) { return !name.ends_with(".deleted"); });
    return names;
  }

  FaultyFileSystem faulty_{&memory_};
};

TEST_P(LogRetentionPlaceTest, WhatIsDueGoesAndTheRestStays) {
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  const std::vector<LogSegmentInfo> before = log->segments();
  ASSERT_GE(before.size(), 4u);
  const int64_t bytes = TotalBytes(*log);
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult by_size, log->ApplyRetention(KeepBytes(bytes - 1)));
    EXPECT_THAT(by_size.deleted, IsEmpty());
  }
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult by_size,
                             log->ApplyRetention(KeepBytes(bytes - before[0].size_bytes)));
  EXPECT_THAT(by_size.deleted, ElementsAre(RetiredSegment{.base_offset = 0,
                                                          .next_offset = before[1].base_offset,
                                                          .size_bytes = before[0].size_bytes,
                                                          .rule = RetentionRule::kSize}));
  EXPECT_EQ(by_size.log_start_offset, before[1].base_offset);
  EXPECT_EQ(by_size.size_bytes, bytes - before[0].size_bytes);

  // The segment that begins at `third` is a millisecond too young.
  const int64_t third = before[3].base_offset;
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult by_time, log->ApplyRetention(KeepFrom(kFirstMs + third)));
  EXPECT_EQ(by_time.DeletedSegments(RetentionRule::kTime), 2);
  EXPECT_EQ(by_time.DeletedBytes(RetentionRule::kTime), before[1].size_bytes + before[2].size_bytes);
  EXPECT_EQ(by_time.DeletedSegments(RetentionRule::kSize), 0);
  EXPECT_EQ(by_time.log_start_offset, third);
  EXPECT_EQ(log->log_start_offset(), third);
  EXPECT_EQ(log->segments().front().base_offset, third);
  EXPECT_THAT(log->Read(third - 1), StatusIs(absl::StatusCode::kOutOfRange));
  ExpectRecords(*log, third, kRecords);
  AppendMany(log.get(), 3);
  VARVE_ASSERT_OK(log->Close());
  const auto reopened = Open();
  EXPECT_TRUE(reopened->recovery_report().clean);
  EXPECT_EQ(reopened->log_start_offset(), third);
  ExpectRecords(*reopened, third, kRecords + 3);
}

// All of it is years old. The log keeps its end, also over a power loss.
TEST_P(LogRetentionPlaceTest, ALogOfWhichEverythingIsDueGoesOnAtItsEnd) {
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  const size_t segments = log->segments().size();
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult result, log->ApplyRetention());
  EXPECT_THAT(result.deleted, SizeIs(segments));
  EXPECT_EQ(result.size_bytes, 0);
  EXPECT_EQ(log->log_start_offset(), kRecords);
  EXPECT_EQ(log->log_end_offset(), kRecords);
  ASSERT_THAT(log->segments(), SizeIs(1));
  EXPECT_EQ(log->segments().front().base_offset, kRecords);
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult again, log->ApplyRetention());
  EXPECT_THAT(again.deleted, IsEmpty());
  AppendMany(log.get(), 2);
  ExpectRecords(*log, kRecords, kRecords + 2);
}

TEST_F(LogRetentionTest, ASegmentAboveTheHighWatermarkStays) {
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  const int64_t last = log->segments().back().base_offset;
  log->SetHighWatermark(last);
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult result, log->ApplyRetention());
  EXPECT_EQ(result.log_start_offset, last);
  ASSERT_THAT(log->segments(), SizeIs(1));
  ExpectRecords(*log, last, last);
  log->SetHighWatermark(kRecords);
  ExpectRecords(*log, last, kRecords);
}

TEST_F(LogRetentionTest, ARecordFromTheFutureBlocksUntilItIsNotBelieved) {
  const int64_t future_ms = clock_.WallMs() + 365 * kDayMs;
  {
    const auto log = Open();
    VARVE_ASSERT_OK(log->Append({{.value = "from a wrong clock", .timestamp_ms = future_ms}}));
    VARVE_ASSERT_OK(log->Roll());
    AppendMany(log.get(), kRecords);
    VARVE_ASSERT_OK(log->Roll());
    VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult result, log->ApplyRetention());
    EXPECT_THAT(result.deleted, IsEmpty());
    EXPECT_EQ(result.block, (RetentionBlock{.base_offset = 0,
                                            .next_offset = 1,
                                            .timestamp_ms = future_ms,
                                            .ahead_ms = 365 * kDayMs,
                                            .due_segments = static_cast<int64_t>(log->segments().size()) - 2,
                                            .due_bytes = TotalBytes(*log) - log->segments().front().size_bytes}));
  }
  options_.retention_timestamp_ahead_max_ms = kDayMs;
  const auto log = Open();
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult result, log->ApplyRetention());
  EXPECT_EQ(result.block, std::nullopt);
  EXPECT_EQ(result.log_start_offset, kRecords + 1);
}

TEST_F(LogRetentionTest, ARecordFromLongAgoTakesNothingYoungAlong) {
  options_.retention_timestamp_behind_max_ms = 100 * kDayMs;
  const auto log = Open();
  AppendMany(log.get(), kRecords);  // of 1970
  VARVE_ASSERT_OK(log->Roll());
  VARVE_ASSERT_OK(log->Append({{.value = "now"}}));
  VARVE_ASSERT_OK_AND_ASSIGN(RetentionResult result, log->ApplyRetention());
  EXPECT_THAT(result.deleted, IsEmpty());
  clock_.AdvanceMs(7 * kDayMs + 1);
  VARVE_ASSERT_OK_AND_ASSIGN(result, log->ApplyRetention());
  EXPECT_EQ(result.log_start_offset, kRecords + 1);
}

// Kafka asks for the file's modification time, which says when somebody copied it.
TEST_F(LogRetentionTest, ASegmentWithoutTimestampsStays) {
  const auto log = Open();
  RecordBatchBuilder builder;
  VARVE_ASSERT_OK(builder.Add({.value = "v", .timestamp_ms = kNoTimestamp}));
  VARVE_ASSERT_OK_AND_ASSIGN(const std::span<const std::byte> batch, builder.Build());
  VARVE_ASSERT_OK(log->AppendBatch(batch));
  VARVE_ASSERT_OK(log->Roll());
  AppendMany(log.get(), 1);
  VARVE_ASSERT_OK(log->Roll());
  VARVE_ASSERT_OK_AND_ASSIGN(RetentionResult result, log->ApplyRetention());
  EXPECT_THAT(result.deleted, IsEmpty());
  ASSERT_TRUE(result.block.has_value());
  EXPECT_EQ(result.block->timestamp_ms, std::nullopt);
  EXPECT_EQ(result.block->due_segments, 1);
  VARVE_ASSERT_OK_AND_ASSIGN(result, log->ApplyRetention({.before_offset = result.block->next_offset}));
  EXPECT_EQ(result.DeletedSegments(RetentionRule::kLogStart), 1);
  EXPECT_EQ(result.DeletedSegments(RetentionRule::kTime), 1);
}

// Nothing goes because its files cannot be read.
TEST_F(LogRetentionTest, ASegmentThatCannotBeReadStays) {
  {
    const auto log = Open();
    AppendMany(log.get(), kRecords);
  }
  options_.file_system = &faulty_;
  const auto log = Open();
  faulty_.AddRule({.operation = FileOperation::kMap,
                   .path_part = "00000.log",
                   .for_ever = true,
                   .status = absl::InternalError("EIO")});
  VARVE_ASSERT_OK_AND_ASSIGN(RetentionResult result, log->ApplyRetention());
  EXPECT_THAT(result.deleted, IsEmpty());
  EXPECT_TRUE(result.block.has_value());
  faulty_.ClearRules();
  VARVE_ASSERT_OK_AND_ASSIGN(result, log->ApplyRetention());
  EXPECT_EQ(result.log_start_offset, kRecords);
}

TEST_F(LogRetentionTest, TheLogStartMovesIntoABatchAndStaysThere) {
  {
    const auto log = Open();
    VARVE_ASSERT_OK(log->Append({{.value = "0"}, {.value = "1"}, {.value = "2"}}));
    VARVE_ASSERT_OK(log->Append({{.value = "3"}}));
    VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult result, log->ApplyRetention({.before_offset = 2}));
    EXPECT_THAT(result.deleted, IsEmpty());
    EXPECT_EQ(result.log_start_offset, 2);
  }
  const auto log = Open();
  EXPECT_EQ(log->log_start_offset(), 2);
  EXPECT_THAT(log->Read(1), StatusIs(absl::StatusCode::kOutOfRange));
  VARVE_ASSERT_OK_AND_ASSIGN(const FileRange range, log->Read(2));
  EXPECT_EQ(range.base_offset(), 0);  // the batch is served whole
}

TEST_F(LogRetentionTest, AnOffsetBeyondTheHighWatermarkAndACompactedLogAreRefused) {
  {
    const auto log = Open();
    AppendMany(log.get(), kRecords);
    log->SetHighWatermark(7);
    for (const absl::Status& refused : {log->DeleteBefore(8), log->ApplyRetention({.before_offset = 8}).status()}) {
      EXPECT_THAT(refused, StatusIs(absl::StatusCode::kOutOfRange));
      EXPECT_EQ(KafkaErrorOf(refused), KafkaError::kOffsetOutOfRange);
    }
    VARVE_EXPECT_OK(log->ApplyRetention({.retention_ms = -1, .before_offset = -1}));
    EXPECT_EQ(log->log_start_offset(), 7);
  }
  options_.cleanup_policy = CleanupPolicy::kCompact;
  const auto log = Open();
  for (const absl::Status& refused : {log->DeleteBefore(8), log->ApplyRetention({.before_offset = 8}).status()}) {
    EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_EQ(KafkaErrorOf(refused), KafkaError::kPolicyViolation);
  }
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult result, log->ApplyRetention({.retention_bytes = 0}));
  EXPECT_THAT(result.deleted, IsEmpty());
  EXPECT_EQ(log->log_start_offset(), 7);
}

// On the word of a checkpoint opening deletes nothing; retention does.
TEST_F(LogRetentionTest, SegmentsBelowTheLogStartGoUnderEveryPolicy) {
  for (const CleanupPolicy policy :
       {CleanupPolicy::kDelete, CleanupPolicy::kCompact, CleanupPolicy::kCompactAndDelete}) {
    options_.cleanup_policy = CleanupPolicy::kDelete;
    options_.marks = {};
    {
      const auto log = Open();
      VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(0));
      AppendMany(log.get(), kRecords);
    }
    options_.cleanup_policy = policy;
    options_.marks.log_start_offset = 13;
    const auto log = Open();
    ASSERT_EQ(log->log_start_offset(), 13);
    ASSERT_EQ(log->segments().front().base_offset, 0);
    const int64_t below =
        std::ranges::count_if(log->segments(), [](const auto& info) { return info.base_offset <= 13; });
    VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult result, log->ApplyRetention({.retention_ms = -1}));
    EXPECT_EQ(result.DeletedSegments(RetentionRule::kLogStart), below - 1);
    EXPECT_EQ(log->log_start_offset(), 13);
    EXPECT_GT(log->segments().front().base_offset, 0);
    ExpectRecords(*log, 13, kRecords);
  }
}

TEST_F(LogRetentionTest, LimitsOutOfRangeAreNamed) {
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  for (const auto& [name, options] : {std::pair<const char*, RetentionOptions>{"retention_ms", {.retention_ms = -2}},
                                      {"retention_bytes", {.retention_bytes = -2}},
                                      {"now_ms", {.now_ms = -1}},
                                      {"max_segments", {.max_segments = 0}}}) {
    EXPECT_THAT(log->ApplyRetention(options), StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr(name)));
  }
  ExpectRecords(*log, 0, kRecords);
}

TEST_F(LogRetentionTest, AClockBeforeTheEpochIsRefused) {
  ManualClock clock{-1, 0};
  options_.clock = &clock;
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  EXPECT_THAT(
      log->ApplyRetention({.retention_ms = 0}),
      StatusIs(absl::StatusCode::kInvalidArgument, ::testing::HasSubstr("now_ms: expected at least 0, found -1")));
  ExpectRecords(*log, 0, kRecords);
}

TEST_F(LogRetentionTest, APlanSaysWhatWouldGoAndChangesNothing) {
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  options_.read_only = true;
  const auto follower = Open();
  const RetentionOptions keep = KeepFrom(kFirstMs + 13);
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult planned, log->PlanRetention(keep));
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult foreseen, follower->PlanRetention(keep));
  EXPECT_THAT(follower->ApplyRetention(keep), StatusIs(absl::StatusCode::kFailedPrecondition));
  ExpectRecords(*log, 0, kRecords);
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult applied, log->ApplyRetention(keep));
  EXPECT_GT(applied.deleted.size(), 1u);
  EXPECT_EQ(planned.deleted, applied.deleted);
  EXPECT_EQ(foreseen.deleted, applied.deleted);
  EXPECT_EQ(planned.log_start_offset, applied.log_start_offset);
  EXPECT_EQ(planned.size_bytes, applied.size_bytes);
  VARVE_ASSERT_OK(log->Close());
  EXPECT_THAT(log->ApplyRetention(keep), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(LogRetentionTest, ASegmentIsOpenedOnceForItsTimestampAndPushesNobodyOut) {
  {
    const auto log = Open();
    AppendMany(log.get(), kRecords);
  }
  options_.file_system = &faulty_;
  options_.max_open_segments = 1;
  const auto log = Open();
  const uint64_t opens = faulty_.operation_count(FileOperation::kOpen);
  const RetentionOptions keep = KeepFrom(kFirstMs + 13);
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult planned, log->PlanRetention(keep));
  const uint64_t opened = faulty_.operation_count(FileOperation::kOpen) - opens;
  EXPECT_EQ(opened, 3 * (planned.deleted.size() + 1));  // log, index, time index: of what goes and one more
  VARVE_ASSERT_OK(log->PlanRetention(keep));
  EXPECT_EQ(faulty_.operation_count(FileOperation::kOpen) - opens, opened);
}

// Every file of the segment, by Kafka's names; a segment's records can be read until the last of its readers is done.
TEST_F(LogRetentionTest, FilesStayForTheirDelayAndReadersLonger) {
  options_.file_delete_delay_ms = 5000;
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  LogReader reader = log->NewReader();
  VARVE_ASSERT_OK_AND_ASSIGN(FileRange held, reader.Read(0));
  held.Keep();
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult result,
                             log->ApplyRetention({.retention_ms = -1, .before_offset = 13}));
  const size_t segments = result.deleted.size();
  ASSERT_GE(segments, 2u);
  EXPECT_THAT(reader.Read(12), StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(DeletedNames(), SizeIs(4 * segments - 1));  // the first has no snapshot
  EXPECT_EQ(result.files_left, static_cast<int64_t>(4 * segments - 1));
  for (const char* const name : {"00.log.deleted", "00.index.deleted", "00.timeindex.deleted"}) {
    EXPECT_THAT(DeletedNames(), Contains(EndsWith(std::string(18, '0') + name)));
  }
  EXPECT_THAT(DeletedNames(), Contains(EndsWith(".snapshot.deleted")));

  std::string bytes(static_cast<size_t>(held.size_bytes()), '\0');
  VARVE_EXPECT_OK(held.CopyTo(std::as_writable_bytes(std::span(bytes))));
  clock_.AdvanceMs(4999);
  VARVE_ASSERT_OK(log->ApplyRetention({.retention_ms = -1}));
  EXPECT_THAT(DeletedNames(), Not(IsEmpty()));
  clock_.AdvanceMs(1);
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult later, log->ApplyRetention({.retention_ms = -1}));
  EXPECT_THAT(DeletedNames(), IsEmpty());
  EXPECT_EQ(later.files_left, 0);
  VARVE_ASSERT_OK_AND_ASSIGN(const RecordBatchView batch, RecordBatchView::Parse(held.View()));
  EXPECT_TRUE(batch.CrcMatches());
}

// By the name it has until then.
TEST_F(LogRetentionTest, AHeldRangeCanBeSentUntilItsFileGoes) {
  testing_support::TemporaryDirectory temporary;
  options_.file_system = FileSystem::Default();
  directory_ = temporary.path() + "/orders-0";
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  VARVE_ASSERT_OK(log->Close());
  const auto reopened = Open();  // which opens the segment's file when it is asked to send it
  VARVE_ASSERT_OK_AND_ASSIGN(const FileRange held, reopened->Read(0));
  VARVE_ASSERT_OK(reopened->ApplyRetention());
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  VARVE_EXPECT_OK(held.SendTo(pipe_ends[1]));
  std::string sent(static_cast<size_t>(held.size_bytes()), '\0');
  EXPECT_EQ(read(pipe_ends[0], sent.data(), sent.size()), held.size_bytes());
  EXPECT_EQ(std::memcmp(sent.data(), held.View().data(), sent.size()), 0);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST_F(LogRetentionTest, FilesGoAtOnceWithoutADelay) {
  options_.file_delete_delay_ms = 0;
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  VARVE_ASSERT_OK(log->DeleteBefore(13));
  EXPECT_THAT(DeletedNames(), IsEmpty());
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult result, log->ApplyRetention());
  EXPECT_THAT(DeletedNames(), IsEmpty());
  EXPECT_EQ(result.files_left, 0);
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, memory_.List(directory_));
  EXPECT_THAT(std::ranges::count_if(names, [](const std::string& name) { return name.ends_with("index"); }), 2);
}

TEST_F(LogRetentionTest, FilesGoAtTheClosingAndByTheNextOpening) {
  for (const bool closed : {true, false}) {
    auto log = Open();
    AppendMany(log.get(), kRecords);
    VARVE_ASSERT_OK(log->ApplyRetention());
    EXPECT_THAT(DeletedNames(), Not(IsEmpty()));
    if (closed) {
      VARVE_ASSERT_OK(log->Close());
      EXPECT_THAT(DeletedNames(), IsEmpty());
      continue;
    }
    const auto killed = memory_.CloneAfterProcessDeath();
    options_.file_system = killed.get();
    const auto reopened = Open();
    VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, killed->List(directory_));
    EXPECT_THAT(names, Not(Contains(EndsWith(".deleted"))));
    EXPECT_EQ(reopened->log_start_offset(), reopened->log_end_offset());
  }
}

TEST_F(LogRetentionTest, AFileThatCannotBeRemovedIsTriedAgain) {
  options_.file_delete_delay_ms = 0;
  options_.file_system = &faulty_;
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  faulty_.AddRule({.operation = FileOperation::kRemove, .for_ever = true, .status = absl::InternalError("EIO")});
  VARVE_ASSERT_OK_AND_ASSIGN(RetentionResult result, log->ApplyRetention());
  EXPECT_EQ(result.files_left, static_cast<int64_t>(DeletedNames().size()));
  EXPECT_GT(result.files_left, 0);
  AppendMany(log.get(), 2);
  faulty_.ClearRules();
  faulty_.AddRule({.operation = FileOperation::kList, .for_ever = true, .status = absl::InternalError("EIO")});
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult unlisted, log->ApplyRetention({.retention_ms = -1}));
  EXPECT_EQ(unlisted.files_left, result.files_left);
  faulty_.ClearRules();
  VARVE_ASSERT_OK_AND_ASSIGN(result, log->ApplyRetention({.retention_ms = -1}));
  EXPECT_EQ(result.files_left, 0);
  EXPECT_THAT(DeletedNames(), IsEmpty());
  ExpectRecords(*log, kRecords, kRecords + 2);
}

// The names of deleted files are taken over by those of a log that begins anew and deletes the same offsets.
TEST_F(LogRetentionTest, TheSameSegmentsAreDeletedOnceMore) {
  const auto log = Open();
  for (int round = 0; round < 3; ++round) {
    AppendMany(log.get(), kRecords);
    VARVE_ASSERT_OK_AND_ASSIGN(const FileRange held, log->Read(0));
    VARVE_ASSERT_OK(log->ApplyRetention());
    VARVE_ASSERT_OK_AND_ASSIGN(const RecordBatchView batch, RecordBatchView::Parse(held.View()));
    EXPECT_TRUE(batch.CrcMatches());
    VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(0));
  }
  AppendMany(log.get(), kRecords);
  ExpectRecords(*log, 0, kRecords);
}

TEST_F(LogRetentionTest, AReaderOfAnotherProcessIsToldAndFindsItsOffsetGone) {
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  options_.read_only = true;
  const auto follower = Open();
  LogReader reader = follower->NewReader();
  VARVE_ASSERT_OK_AND_ASSIGN(FileRange held, reader.Read(3));
  held.Keep();
  VARVE_ASSERT_OK(log->ApplyRetention({.retention_ms = -1, .before_offset = 13}));
  EXPECT_THAT(reader.Read(20), StatusIs(absl::StatusCode::kAborted));
  VARVE_ASSERT_OK(follower->Refresh());
  EXPECT_EQ(follower->log_start_offset(), log->log_start_offset());
  EXPECT_THAT(reader.Read(3), StatusIs(absl::StatusCode::kOutOfRange));
  ExpectRecords(*follower, log->log_start_offset(), log->log_end_offset());
  VARVE_ASSERT_OK_AND_ASSIGN(const RecordBatchView batch, RecordBatchView::Parse(held.View()));
  EXPECT_TRUE(batch.CrcMatches());
}

// Without room for a new segment the others go; what they leave lets the next call begin one.
TEST_F(LogRetentionTest, OnAFullDiskTheActiveSegmentGoesLast) {
  options_.file_system = &faulty_;
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  const int64_t last = log->segments().back().base_offset;
  faulty_.AddRule({.operation = FileOperation::kOpen,
                   .path_part = "24.log",
                   .for_ever = true,
                   .status = absl::ResourceExhaustedError("disk full")});
  VARVE_ASSERT_OK_AND_ASSIGN(RetentionResult result, log->ApplyRetention());
  EXPECT_TRUE(result.active_left);
  EXPECT_EQ(result.log_start_offset, last);
  EXPECT_EQ(log->segments().front().base_offset, last);
  EXPECT_THAT(log->ApplyRetention(), StatusIs(absl::StatusCode::kResourceExhausted));
  ExpectRecords(*log, last, kRecords);
  faulty_.ClearRules();
  VARVE_ASSERT_OK_AND_ASSIGN(result, log->ApplyRetention());
  EXPECT_FALSE(result.active_left);
  EXPECT_EQ(log->log_start_offset(), kRecords);
  AppendMany(log.get(), 2);
  ExpectRecords(*log, kRecords, kRecords + 2);
}

// On a copy-on-write disk: not begun, or announced, and then gone on with when it is asked for again.
TEST_F(LogRetentionTest, WithoutRoomItHasNotBegunOrIsResumed) {
  options_.file_system = &faulty_;
  for (const char* const path : {"varve.state", ".deleted"}) {
    SCOPED_TRACE(path);
    const bool announced = std::string(path) == ".deleted";
    const auto log = Open();
    VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(0));
    AppendMany(log.get(), kRecords);
    faulty_.AddRule({.operation = announced ? FileOperation::kRename : FileOperation::kWrite,
                     .path_part = path,
                     .nth = announced ? uint64_t{2} : uint64_t{1},
                     .for_ever = true,
                     .status = absl::ResourceExhaustedError("disk full")});
    EXPECT_THAT(log->ApplyRetention({.retention_ms = -1, .before_offset = 13}),
                StatusIs(absl::StatusCode::kResourceExhausted));
    EXPECT_EQ(log->log_start_offset() > 0, announced);
    ExpectRecords(*log, log->log_start_offset(), kRecords);
    faulty_.ClearRules();
    VARVE_ASSERT_OK(log->ApplyRetention({.retention_ms = -1, .before_offset = 13}));
    EXPECT_EQ(log->log_start_offset(), 13);
    VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, memory_.List(directory_));
    EXPECT_EQ(std::ranges::count_if(names, [](const std::string& name) { return name.ends_with(".log"); }),
              static_cast<std::ptrdiff_t>(log->segments().size()));
    AppendMany(log.get(), 2);
    VARVE_ASSERT_OK(log->Close());
  }
}

class LogRetentionCrashTest : public LogTest, public ::testing::WithParamInterface<IoMode> {
 protected:
  void ExpectBeforeOrAfter(MemoryFileSystem* disk, int64_t start_after, bool done) {
    const auto log = OpenLog(directory_, TinyOptions(disk, &clock_, GetParam()));
    ASSERT_NE(log, nullptr);
    const int64_t start = log->log_start_offset();
    ASSERT_TRUE(start == start_after || (!done && start == 0)) << start;
    ASSERT_TRUE(log->damage().empty()) << log->recovery_report().ToJson();
    ASSERT_EQ(log->log_end_offset(), kRecords);
    ExpectRecords(*log, start, kRecords);
    VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, disk->List(directory_));
    ASSERT_THAT(names, Not(Contains(EndsWith(".deleted"))));
    AppendMany(log.get(), 2, {.ack = Ack::kDurable});
    ExpectRecords(*log, start, kRecords + 2);
  }

  // Each operation of the call fails in turn, and all behind it: there the process or the machine dies.
  void CrashAtEveryOperation(const RetentionOptions& options, int64_t start_after, int64_t file_delete_delay_ms) {
    for (uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(::testing::Message() << "operation " << nth << ", to " << start_after);
      MemoryFileSystem disk;
      FaultyFileSystem faulty(&disk);
      LogOptions log_options = TinyOptions(&faulty, &clock_, GetParam());
      log_options.file_delete_delay_ms = file_delete_delay_ms;
      const auto log = OpenLog(directory_, log_options);
      ASSERT_NE(log, nullptr);
      AppendMany(log.get(), kRecords);
      VARVE_ASSERT_OK(log->Flush());
      faulty.AddRule({.nth = nth, .for_ever = true, .status = absl::InternalError("crashed")});
      const bool returned = log->ApplyRetention(options).ok();
      const bool done = faulty.faults_fired() == 0;
      ASSERT_TRUE(returned || !done);
      ExpectBeforeOrAfter(disk.CloneAfterProcessDeath().get(), start_after, returned);
      for (uint64_t seed = 0; seed < 4; ++seed) {
        SCOPED_TRACE(::testing::Message() << "crash seed " << seed);
        const auto crashed =
            disk.CloneAfterCrash({.seed = seed, .mode = seed == 0 ? CrashMode::kLoseAllUnsynced : CrashMode::kRandom});
        ExpectBeforeOrAfter(crashed.get(), start_after, returned);
      }
      if (HasFatalFailure()) return;
      if (!done) continue;
      EXPECT_GT(nth, 8u);
      return;
    }
  }
};

INSTANTIATE_TEST_SUITE_P(, LogRetentionCrashTest, ::testing::Values(IoMode::kMapped, IoMode::kWrite),
                         [](const auto& param) { return param.param == IoMode::kMapped ? "Mapped" : "Write"; });

TEST_P(LogRetentionCrashTest, OfAPrefixIsAllOrNone) {
  CrashAtEveryOperation({.retention_ms = -1, .before_offset = 13}, 13, 60'000);
}

// The log start moves at once, the segments below it go one by one.
TEST_P(LogRetentionCrashTest, OfAPartIsAllOrNone) {
  CrashAtEveryOperation({.retention_ms = -1, .before_offset = 13, .max_segments = 1}, 13, 0);
}

TEST_P(LogRetentionCrashTest, OfEverythingIsAllOrNone) {
  for (const int64_t delay_ms : {60'000, 0}) CrashAtEveryOperation({}, kRecords, delay_ms);
}

}  // namespace
}  // namespace varve
