// Log::Compact as its callers see it: what stays, when it is due, what readers and other operations meet meanwhile.
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/compacted_log.h"
#include "log/log_places.h"
#include "support/hooked_file_system.h"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"
#include "varve/errors.h"
#include "varve/log.h"

namespace varve {
namespace {

using ::testing::Contains;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using testing_support::AppendKeyed;
using testing_support::CompactedOptions;
using testing_support::ExpectLatest;
using testing_support::kKeyCount;
using testing_support::LogPlaceTest;
using testing_support::LogTest;
using testing_support::OpenLog;
using testing_support::StatusIs;

constexpr int64_t kRecords = 60;

class LogCompactionPlaceTest : public LogPlaceTest {
 protected:
  LogCompactionPlaceTest() { options_.cleanup_policy = CleanupPolicy::kCompact; }
};
VARVE_INSTANTIATE_LOG_PLACES(LogCompactionPlaceTest);

class LogCompactionTest : public LogTest {
 protected:
  LogCompactionTest() { options_.cleanup_policy = CleanupPolicy::kCompact; }

  std::vector<std::string> Names() { return *memory_.List(directory_); }
};

TEST_P(LogCompactionPlaceTest, KeepsTheLatestRecordOfEachKey) {
  int64_t end = 0;
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE(round);
    const auto log = Open();
    ASSERT_NE(log, nullptr);
    AppendKeyed(log.get(), kRecords);
    end += kRecords;
    VARVE_ASSERT_OK_AND_ASSIGN(const FileRange held, log->Read(log->log_start_offset()));
    const std::string before(reinterpret_cast<const char*>(held.View().data()), held.View().size());
    const int64_t active_base = log->segments().back().base_offset;
    VARVE_ASSERT_OK_AND_ASSIGN(const CompactionResult result, log->Compact());
    EXPECT_EQ(result.reason, CompactionReason::kDirtyRatio);
    EXPECT_EQ(result.end_offset, active_base);
    // Full segments grow together only once they have shrunk.
    if (round > 0) {
      EXPECT_GT(result.segments_before, result.segments_after);
    }
    EXPECT_GT(result.bytes_before, result.bytes_after);
    EXPECT_GT(result.removed.superseded, 0);
    EXPECT_EQ(result.segments_dropped, 0);
    EXPECT_LE(ExpectLatest(*log, end), kKeyCount + 1 + end - active_base) << "and the last before the active segment";
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(held.View().data()), held.View().size()), before);
    AppendKeyed(log.get(), 3);
    end += 3;
    ExpectLatest(*log, end);
  }
  ExpectLatest(*Open(), end);
}

TEST_P(LogCompactionPlaceTest, IsDueAsTheRatioSays) {
  const auto log = Open();
  AppendKeyed(log.get(), 3);
  VARVE_ASSERT_OK_AND_ASSIGN(CompactionResult result, log->Compact());
  EXPECT_EQ(result.reason, CompactionReason::kNothingToClean) << "all is in the active segment";
  AppendKeyed(log.get(), kRecords);
  VARVE_ASSERT_OK_AND_ASSIGN(result, log->Compact());
  EXPECT_EQ(result.reason, CompactionReason::kDirtyRatio);
  EXPECT_EQ(result.dirty_ratio, 1);
  const int64_t mark = result.end_offset;
  VARVE_ASSERT_OK_AND_ASSIGN(result, log->Compact());
  EXPECT_EQ(result.reason, CompactionReason::kNothingToClean);
  EXPECT_EQ(result.first_dirty_offset, mark);
  VARVE_ASSERT_OK(log->Roll());
  VARVE_ASSERT_OK_AND_ASSIGN(result, log->Compact());
  EXPECT_EQ(result.first_dirty_offset, mark);
  EXPECT_GT(result.dirty_ratio, 0);
  const int64_t active_base = log->segments().back().base_offset;
  VARVE_ASSERT_OK_AND_ASSIGN(result, log->Compact({.force = true}));
  EXPECT_EQ(result.reason, CompactionReason::kForced);
  EXPECT_EQ(result.end_offset, active_base);
  ExpectLatest(*log, kRecords + 3);
}

TEST_F(LogCompactionTest, TheMarkIsKeptAcrossOpenings) {
  AppendKeyed(Open().get(), kRecords);
  int64_t mark = 0;
  {
    const auto log = Open();
    VARVE_ASSERT_OK_AND_ASSIGN(const CompactionResult result, log->Compact());
    mark = result.end_offset;
  }
  VARVE_ASSERT_OK_AND_ASSIGN(const CompactionResult result, Open()->Compact());
  EXPECT_EQ(result.first_dirty_offset, mark);
}

TEST_F(LogCompactionTest, ARecordWithoutAKeyIsRefusedWhereAskedElseItGoes) {
  options_.cleanup_policy = CleanupPolicy::kDelete;  // one that compacts takes no such record
  {
    const auto log = Open();
    AppendKeyed(log.get(), 7);
    VARVE_ASSERT_OK(log->Append({{.value = "without a key"}}).status());
    AppendKeyed(log.get(), kRecords);
  }
  options_.cleanup_policy = CleanupPolicy::kCompact;
  const auto log = Open();
  const std::vector<std::string> names = Names();
  const absl::Status refused = log->Compact({.refuse_unkeyed = true}).status();
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("found none at offset 7")));
  EXPECT_EQ(KafkaErrorOf(refused), KafkaError::kInvalidRecord);
  EXPECT_EQ(Names(), names);
  int64_t count = 0;
  for (LogScan scan = log->Scan(0); scan.Next();) ++count;
  EXPECT_EQ(count, 7 + 1 + kRecords);
  VARVE_ASSERT_OK_AND_ASSIGN(const CompactionResult result, log->Compact());
  EXPECT_EQ(result.removed.unkeyed, 1);
  ExpectLatest(*log, 7 + 1 + kRecords);
  VARVE_ASSERT_OK(log->Compact({.force = true, .refuse_unkeyed = true}).status());
}

TEST_F(LogCompactionTest, TooSmallAMapCleansTheOldestPart) {
  const auto log = Open();
  AppendKeyed(log.get(), kRecords);
  int64_t mark = 0;
  int passes = 0;
  while (mark < log->segments().back().base_offset) {
    VARVE_ASSERT_OK_AND_ASSIGN(const CompactionResult result, log->Compact({.key_map_bytes = 48, .force = true}));
    ASSERT_GT(result.end_offset, mark);
    mark = result.end_offset;
    ExpectLatest(*log, kRecords);
    ++passes;
  }
  EXPECT_GT(passes, 1);
}

TEST_F(LogCompactionTest, APlanSaysWhatIsDueAndChangesNothing) {
  const auto log = Open();
  AppendKeyed(log.get(), kRecords);
  const std::vector<std::string> names = Names();
  VARVE_ASSERT_OK_AND_ASSIGN(const CompactionResult planned, log->PlanCompaction());
  EXPECT_EQ(planned.reason, CompactionReason::kDirtyRatio);
  EXPECT_EQ(planned.dirty_ratio, 1);
  EXPECT_EQ(planned.first_uncleanable_offset, log->segments().back().base_offset);
  EXPECT_EQ(log->durable_offset(), 0) << "nor is anything synced";
  EXPECT_EQ(Names(), names);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto pass, log->BeginCompaction());
  VARVE_ASSERT_OK(pass->Step({.bytes = 1}));
  VARVE_ASSERT_OK_AND_ASSIGN(const CompactionResult meanwhile, log->PlanCompaction());
  EXPECT_EQ(meanwhile.reason, planned.reason);
  VARVE_ASSERT_OK(pass->Step());
  EXPECT_EQ(pass->result().first_uncleanable_offset, planned.first_uncleanable_offset);
  VARVE_ASSERT_OK_AND_ASSIGN(const CompactionResult afterwards, log->PlanCompaction());
  EXPECT_EQ(afterwards.reason, CompactionReason::kNothingToClean);
  EXPECT_EQ(afterwards.first_dirty_offset, pass->result().end_offset);
  VARVE_ASSERT_OK(log->Close());
  EXPECT_THAT(log->PlanCompaction(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(LogCompactionTest, WhatIsRefused) {
  options_.cleanup_policy = CleanupPolicy::kDelete;
  {
    const auto log = Open();
    const absl::Status status = log->Compact().status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_EQ(KafkaErrorOf(status), KafkaError::kPolicyViolation);
  }
  options_.cleanup_policy = CleanupPolicy::kCompact;
  for (const auto& [name, options] : {std::pair<const char*, CompactionOptions>{"key_map_bytes", {.key_map_bytes = 0}},
                                      {"delete_retention_ms", {.delete_retention_ms = -1}},
                                      {"min_compaction_lag_ms", {.min_compaction_lag_ms = -1}},
                                      {"now_ms", {.now_ms = -1}}}) {
    EXPECT_THAT(Open()->Compact(options), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(name)));
    EXPECT_THAT(Open()->PlanCompaction(options), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(name)));
  }
  options_.read_only = true;
  EXPECT_THAT(Open()->Compact(), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Open()->PlanCompaction(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(LogCompactionTest, AClosedLogIsLeftAlone) {
  options_.file_delete_delay_ms = 0;
  for (const int64_t count : {int64_t{1}, kRecords}) {  // due or not
    const auto log = Open();
    AppendKeyed(log.get(), count);
    VARVE_ASSERT_OK(log->Close());
    // As another process that writes the log by then may leave it.
    VARVE_ASSERT_OK(memory_.Open(directory_ + "/00000000000000000000.log.deleted", OpenMode::kTruncate).status());
    const std::vector<std::string> names = Names();
    EXPECT_THAT(log->Compact(), StatusIs(absl::StatusCode::kFailedPrecondition));
    EXPECT_EQ(Names(), names);
  }
}

// Where nothing is deleted nobody else asks for it.
TEST_F(LogCompactionTest, ReplacedFilesGoOnceTheirTimeIsUp) {
  options_.file_delete_delay_ms = 1000;
  const auto log = Open();
  AppendKeyed(log.get(), kRecords);
  VARVE_ASSERT_OK(log->Compact());
  EXPECT_THAT(Names(), Contains(EndsWith(".deleted")));
  clock_.AdvanceMs(999);
  VARVE_ASSERT_OK(log->Compact());
  EXPECT_THAT(Names(), Contains(EndsWith(".deleted")));
  clock_.AdvanceMs(1);
  VARVE_ASSERT_OK_AND_ASSIGN(const CompactionResult result, log->Compact());
  EXPECT_FALSE(WasDue(result.reason));
  EXPECT_THAT(Names(), Not(Contains(EndsWith(".deleted"))));
}

// Batches so large that callbacks come several times.
class LogCompactionCallbacksTest : public LogCompactionTest {
 protected:
  LogCompactionCallbacksTest() { options_.segment_bytes = 100'000; }

  std::unique_ptr<Log> OpenLarge() {
    std::unique_ptr<Log> log = Open();
    if (log == nullptr) return nullptr;
    const std::string value(10'000, 'v');
    for (int64_t offset = 0; offset < kRecords; ++offset) {
      EXPECT_TRUE(log->Append({{.key = testing_support::KeyAt(offset), .value = value}}).ok());
    }
    return log;
  }

  std::vector<std::string> Keys(const Log& log) {
    std::vector<std::string> keys;
    for (const RecordView& record : log.Scan(0)) keys.emplace_back(*record.key());
    return keys;
  }
};

TEST_F(LogCompactionCallbacksTest, ProgressRisesToTheTotal) {
  const auto log = OpenLarge();
  int64_t calls = 0;
  int64_t last_done = 0;
  int64_t last_total = 0;
  VARVE_ASSERT_OK(log->Compact({.progress = [&](int64_t done, int64_t total) {
    ++calls;
    EXPECT_GE(done, last_done);
    last_done = done;
    last_total = total;
  }}));
  EXPECT_GT(calls, 10);
  EXPECT_GT(last_total, 2 * 50 * 10'000);
  EXPECT_EQ(last_done, last_total);
}

// Wherever it is stopped, nothing is lost and nothing is left behind; the mark stays.
TEST_F(LogCompactionCallbacksTest, CanBeStopped) {
  const auto log = OpenLarge();
  for (int calls = 0;; ++calls) {
    SCOPED_TRACE(calls);
    int left = calls;
    VARVE_ASSERT_OK_AND_ASSIGN(const CompactionResult result, log->Compact({.cancel = [&] { return left-- == 0; }}));
    EXPECT_THAT(Names(), Not(Contains(EndsWith(".cleaned"))));
    EXPECT_THAT(Names(), Not(Contains(EndsWith(".swap"))));
    if (!result.cancelled) {
      EXPECT_GT(result.end_offset, 0);
      EXPECT_GT(calls, 10);
      break;
    }
    EXPECT_EQ(result.end_offset, 0);
    EXPECT_EQ(result.reason, CompactionReason::kDirtyRatio);
    if (calls == 0) {
      EXPECT_THAT(Names(), Not(Contains(EndsWith(".deleted")))) << "it was only planned";
    }
  }
  const std::vector<std::string> keys = Keys(*log);
  EXPECT_LT(keys.size(), kRecords / 2);
  EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), testing_support::LatestBelow(kRecords).size());
}

TEST_F(LogCompactionTest, DamagedSegmentsAreLeftAlone) {
  AppendKeyed(Open().get(), kRecords);
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto file,
                               memory_.Open(directory_ + "/00000000000000000000.log", OpenMode::kReadWrite));
    const std::byte wrong{0xFF};
    VARVE_ASSERT_OK(file->WriteAt(150, std::span(&wrong, 1)));
    VARVE_ASSERT_OK(file->SyncData());
  }
  {
    const auto log = Open();
    const std::vector<std::string> names = Names();
    EXPECT_THAT(log->Compact(), StatusIs(absl::StatusCode::kDataLoss)) << "met while it is read";
    EXPECT_EQ(Names(), names);
  }
  options_.recover_all = true;
  const auto log = Open();
  ASSERT_FALSE(log->damage().empty());
  const std::vector<std::string> names = Names();
  EXPECT_THAT(log->Compact(), StatusIs(absl::StatusCode::kDataLoss)) << "known";
  EXPECT_EQ(Names(), names);
}

// A reader with the list of before opens no name of the new segment for an old one.
TEST_F(LogCompactionTest, AReaderThatHasOpenedNothingYetIsSentToTheNewSegments) {
  options_.max_open_segments = 1;
  const auto log = Open();
  AppendKeyed(log.get(), kRecords);
  for (int round = 0; round < 3; ++round) {
    LogReader reader = log->NewReader();
    const int64_t active_base = log->segments().back().base_offset;
    VARVE_ASSERT_OK(reader.Read(active_base));  // which takes the list over
    VARVE_ASSERT_OK(log->Compact({.force = true}));
    for (int64_t offset = 0; offset < active_base; ++offset) {
      VARVE_ASSERT_OK_AND_ASSIGN(const auto batch, reader.ReadBatch(offset));
      ASSERT_TRUE(batch.has_value());
      EXPECT_GE(batch->last_offset(), offset);
      EXPECT_TRUE(batch->CrcMatches());
    }
    VARVE_ASSERT_OK(reader.OffsetForTimestamp(1'000'000));
    AppendKeyed(log.get(), 7);
  }
}

// Whatever the file of a segment is called just then.
TEST_F(LogCompactionTest, WhatIsReadWhileNamesChangeCanBeSent) {
  testing_support::TemporaryDirectory temporary;
  directory_ = temporary.path() + "/" + testing_support::kPartition;
  testing_support::HookedFileSystem hooked(FileSystem::Default());
  options_.file_system = &hooked;
  const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(nowhere, 0);
  const auto log = Open();
  AppendKeyed(log.get(), kRecords);
  int sent = 0;
  hooked.around_change = [&] {
    for (const LogSegmentInfo& segment : log->segments()) {
      VARVE_ASSERT_OK_AND_ASSIGN(const FileRange range, log->Read(segment.base_offset));
      VARVE_EXPECT_OK(range.SendTo(nowhere));
      ++sent;
    }
  };
  VARVE_ASSERT_OK(log->Compact());
  hooked.around_change = nullptr;
  EXPECT_GT(sent, 0);
  close(nowhere);
}

// Another process's view: it is told once, and finds the new segments at its next refresh.
TEST_F(LogCompactionTest, AFollowerIsToldAndGoesOn) {
  const auto log = Open();
  AppendKeyed(log.get(), kRecords);
  LogOptions following = options_;
  following.read_only = true;
  following.max_open_segments = 1;
  const auto follower = OpenLog(directory_, following);
  ASSERT_NE(follower, nullptr);
  ExpectLatest(*follower, kRecords);
  VARVE_ASSERT_OK(log->Compact());
  EXPECT_THAT(follower->Read(0), StatusIs(absl::StatusCode::kAborted));
  VARVE_ASSERT_OK(follower->Refresh());
  EXPECT_LT(ExpectLatest(*follower, kRecords), kRecords);
  AppendKeyed(log.get(), 3);
  VARVE_ASSERT_OK(follower->Refresh());
  ExpectLatest(*follower, kRecords + 3);
}

TEST_F(LogCompactionTest, MinAndMaxLagCount) {
  options_.min_cleanable_dirty_ratio = 1;
  options_.min_compaction_lag_ms = 1;
  options_.max_compaction_lag_ms = 1000;
  const auto log = Open();
  AppendKeyed(log.get(), kRecords);
  VARVE_ASSERT_OK_AND_ASSIGN(CompactionResult result, log->Compact({.now_ms = 1'000'000}));
  EXPECT_EQ(result.reason, CompactionReason::kNothingToClean) << "all are younger than the lag";
  VARVE_ASSERT_OK_AND_ASSIGN(result, log->Compact({.now_ms = 1'000'000 + kRecords}));
  EXPECT_EQ(result.reason, CompactionReason::kRatioTooLow);
  VARVE_ASSERT_OK_AND_ASSIGN(result, log->Compact({.now_ms = 1'001'001}));
  EXPECT_EQ(result.reason, CompactionReason::kMaxLag);
  ExpectLatest(*log, kRecords);
}

TEST_F(LogCompactionTest, ATombstoneGoesOnceItHasStayedForItsTime) {
  const auto log = Open();
  VARVE_ASSERT_OK(log->Append({{.key = "gone", .value = "1"}}));
  VARVE_ASSERT_OK(log->Append({{.key = "gone"}}));
  VARVE_ASSERT_OK(log->Append({{.key = "stays", .value = "2"}}));
  VARVE_ASSERT_OK(log->Roll());
  const auto keys = [&] {
    std::vector<std::string> found;
    for (const RecordView& record : log->Scan(0)) found.emplace_back(*record.key());
    return found;
  };
  const int64_t now_ms = 5'000'000;
  VARVE_ASSERT_OK_AND_ASSIGN(CompactionResult result, log->Compact({.delete_retention_ms = 100, .now_ms = now_ms}));
  EXPECT_EQ(result.removed, RemovedRecords{.superseded = 1});
  EXPECT_EQ(keys(), (std::vector<std::string>{"gone", "stays"}));
  VARVE_ASSERT_OK(log->Compact({.force = true, .delete_retention_ms = 100, .now_ms = now_ms + 99}).status());
  EXPECT_EQ(keys(), (std::vector<std::string>{"gone", "stays"}));
  VARVE_ASSERT_OK_AND_ASSIGN(result, log->Compact({.force = true, .delete_retention_ms = 100, .now_ms = now_ms + 100}));
  EXPECT_EQ(result.removed, RemovedRecords{.tombstones = 1});
  EXPECT_EQ(keys(), (std::vector<std::string>{"stays"}));
}

}  // namespace
}  // namespace varve
