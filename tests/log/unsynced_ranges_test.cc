// What an opening leaves to the first sync: until that, nothing of it counts as durable, and nothing of it is lost that
// a process death leaves; the sync writes it again, but for what is no longer as it was found.
#include "log/unsynced_ranges.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/path.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/log_places.h"
#include "segment/segment_files.h"
#include "support/status_matchers.h"
#include "support/sync_hook.h"
#include "varve/errors.h"
#include "varve/testing/faulty_file_system.h"

namespace varve::internal {
namespace {

using std::chrono_literals::operator""s;

using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::AppendMany;
using testing_support::AppendNext;
using testing_support::ExpectRecords;
using testing_support::IsOk;
using testing_support::kPartition;
using testing_support::OpenLog;
using testing_support::StatusIs;
using testing_support::SyncHook;
using testing_support::TinyOptions;

constexpr int64_t kDurable = 3;
constexpr int64_t kEnd = 23;  // in several segments
constexpr char kFirstLog[] = "orders-0/00000000000000000000.log";

const auto kIsRewritten = Field(&RecoveryFinding::action, RecoveryAction::kRewritten);

class UnsyncedRangesTest : public ::testing::TestWithParam<IoMode> {
 protected:
  LogOptions Options(FileSystem* files) { return TinyOptions(files, &clock_, GetParam()); }
  std::unique_ptr<Log> Open(FileSystem* files) { return OpenLog(kPartition, Options(files)); }

  // What a process leaves that is killed with `end` records, of which `durable` are durable; of the others nothing has
  // reached the disk, and the cache does not know.
  std::unique_ptr<MemoryFileSystem> Killed(int64_t end = kEnd, int64_t durable = kDurable) {
    MemoryFileSystem disk;
    const auto log = Open(&disk);
    AppendMany(log.get(), durable, {.ack = Ack::kDurable});
    AppendMany(log.get(), end - durable);
    for (const auto& segment : log->segments()) {
      const std::string path = JoinPath(kPartition, SegmentFileName(segment.base_offset, SegmentFileKind::kLog));
      disk.FailNextSync(path, absl::InternalError("EIO"));
      EXPECT_FALSE((*disk.Open(path, OpenMode::kReadWrite))->SyncData().ok());
    }
    return disk.CloneAfterProcessDeath();
  }

  // Everything is there after a power loss.
  void ExpectDurable(const MemoryFileSystem& disk, int64_t end) {
    const auto after = disk.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
    const auto log = Open(after.get());
    ASSERT_NE(log, nullptr);
    ASSERT_EQ(log->log_end_offset(), end);
    ExpectRecords(*log, 0, end);
    EXPECT_THAT(log->damage(), IsEmpty());
  }

  ManualClock clock_{1'700'000'000'000, 1'000'000'000'000};
};

INSTANTIATE_TEST_SUITE_P(, UnsyncedRangesTest, ::testing::Values(IoMode::kMapped, IoMode::kWrite),
                         [](const auto& param) { return param.param == IoMode::kMapped ? "Mapped" : "Write"; });

TEST_P(UnsyncedRangesTest, OpeningWritesNothingAgainAndTheFirstSyncAllOfIt) {
  const auto disk = Killed();
  FaultyFileSystem files(disk.get());
  int syncs = 0;
  files.SetObserver([&](const FileCall& call) {
    if (call.operation == FileOperation::kSync && call.path.ends_with(".log")) ++syncs;
  });
  const auto log = Open(&files);
  EXPECT_LE(syncs, 1) << "of the tail that is cut";
  syncs = 0;
  EXPECT_EQ(log->durable_offset(), kDurable);
  EXPECT_EQ(log->recovery_report().durable_offset, kDurable);
  EXPECT_THAT(log->recovery_report().findings, Contains(kIsRewritten));
  ExpectRecords(*log, 0, kEnd);
  VARVE_ASSERT_OK(log->WaitDurable(kEnd));
  EXPECT_GE(syncs, static_cast<int>(log->segments().size()));
  EXPECT_EQ(log->durable_offset(), kEnd);
  ExpectDurable(*disk, kEnd);
  syncs = 0;
  AppendNext(log.get(), {.ack = Ack::kDurable});
  EXPECT_EQ(syncs, 1) << "it is written again once";
}

TEST_P(UnsyncedRangesTest, TheNextOpeningHasTheSameBeforeItWhereNothingWasSynced) {
  auto disk = Killed();
  for (int death = 0; death < 3; ++death) {
    auto log = Open(disk.get());
    ASSERT_EQ(log->log_end_offset(), kEnd + death);
    EXPECT_EQ(log->durable_offset(), kDurable);
    EXPECT_THAT(log->recovery_report().findings, Contains(kIsRewritten));
    AppendNext(log.get());
    ExpectRecords(*log, 0, kEnd + death + 1);
    auto next = disk->CloneAfterProcessDeath();
    log.reset();
    disk = std::move(next);
  }
  const auto log = Open(disk.get());
  VARVE_ASSERT_OK(log->Flush());
  ExpectDurable(*disk, kEnd + 3);
}

TEST_P(UnsyncedRangesTest, WhateverSyncsFirstCoversIt) {
  const std::vector<std::pair<std::string, std::function<void(Log*)>>> kFirst = {
      {"a durable append", [](Log* log) { AppendNext(log, {.ack = Ack::kDurable}); }},
      {"one behind a roll",
       [](Log* log) {
         VARVE_ASSERT_OK(log->Roll());
         AppendMany(log, 9);
         AppendNext(log, {.ack = Ack::kDurable});
       }},
      {"a truncation", [](Log* log) { VARVE_ASSERT_OK(log->TruncateTo(kEnd - 4)); }},
      {"a close", [](Log* log) { VARVE_ASSERT_OK(log->Close()); }}};
  for (const auto& [name, sync] : kFirst) {
    SCOPED_TRACE(name);
    const auto disk = Killed();
    const auto log = Open(disk.get());
    ASSERT_NO_FATAL_FAILURE(sync(log.get()));
    EXPECT_EQ(log->durable_offset(), log->log_end_offset());
    ExpectDurable(*disk, log->log_end_offset());
  }
}

// With the writer lock free for an append, while the first segment's file is synced.
void ExpectSyncsBeforeItTakesTheWriterLock(MemoryFileSystem* disk, LogOptions options,
                                           const std::function<absl::Status(Log*)>& operation) {
  Log* appended_to = nullptr;
  std::future<void> append;
  SyncHook files(disk, [&](const std::string& path) {
    if (appended_to == nullptr || append.valid() || path != kFirstLog) return;
    append = std::async(std::launch::async, [&] { AppendNext(appended_to); });
    EXPECT_EQ(append.wait_for(60s), std::future_status::ready) << "the writer is locked out";
  });
  options.file_system = &files;
  const auto log = OpenLog(kPartition, options);
  appended_to = log.get();
  VARVE_ASSERT_OK(operation(log.get()));
  appended_to = nullptr;
  ASSERT_TRUE(append.valid());
}

TEST_P(UnsyncedRangesTest, WhatChangesFilesSyncsItFirstAndLetsAppendsGoOnMeanwhile) {
  const std::vector<std::pair<std::string, std::function<absl::Status(Log*)>>> kOperations = {
      {"a deletion of a prefix", [](Log* log) { return log->DeleteBefore(kEnd - 2); }},
      {"retention", [](Log* log) { return log->ApplyRetention({.retention_ms = -1, .retention_bytes = 1}).status(); }},
      {"a truncation", [](Log* log) { return log->TruncateTo(kEnd - 4); }},
      {"a start anew", [](Log* log) { return log->TruncateFullyAndStartAt(100); }}};
  for (const auto& [name, operation] : kOperations) {
    SCOPED_TRACE(name);
    const auto disk = Killed();
    ExpectSyncsBeforeItTakesTheWriterLock(disk.get(), Options(disk.get()), operation);
  }
}

// The pages were dropped from the cache, and the disk has something else; or somebody writes to the file.
TEST_P(UnsyncedRangesTest, NothingIsWrittenOrAcknowledgedThatIsNotAsItWasFound) {
  struct Change {
    const char* name;
    std::function<void(File*, int64_t position)> make;  // of the batch at a position
  };
  const auto flip = [](int64_t at) {
    return [at](File* file, int64_t position) {
      std::byte byte{};
      ASSERT_THAT(file->ReadAt(static_cast<uint64_t>(position + at), {&byte, 1}), IsOk());
      byte ^= std::byte{1};
      VARVE_ASSERT_OK(file->WriteAt(static_cast<uint64_t>(position + at), {&byte, 1}));
    };
  };
  const std::vector<Change> kChanges = {
      {"its body", flip(70)},
      {"its base offset", flip(6)},
      {"its length", flip(11)},
      {"its magic", flip(16)},
      {"all of it is zeros",
       [](File* file, int64_t position) {
         VARVE_ASSERT_OK(file->WriteAt(static_cast<uint64_t>(position), std::vector<std::byte>(80)));
       }},
      {"the file ends before it",
       [](File* file, int64_t position) { VARVE_ASSERT_OK(file->Truncate(static_cast<uint64_t>(position))); }}};
  for (const Change& change : kChanges) {
    SCOPED_TRACE(change.name);
    const auto disk = Killed();
    const auto log = Open(disk.get());
    VARVE_ASSERT_OK_AND_ASSIGN(const auto batch, log->NewReader().Find(kDurable));
    ASSERT_TRUE(batch.has_value());
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> file, disk->Open(kFirstLog, OpenMode::kReadWrite));
    ASSERT_NO_FATAL_FAILURE(change.make(file.get(), batch->position));
    const absl::Status flushed = log->Flush();
    EXPECT_THAT(flushed, StatusIs(absl::StatusCode::kDataLoss));
    EXPECT_EQ(log->durable_offset(), kDurable);
    EXPECT_TRUE(IsPoisoned(log->Append({{.value = "v"}}).status()));
  }
}

TEST_P(UnsyncedRangesTest, ACallThatFailsWhileItIsWrittenAgainPoisonsAndTheNextOpeningBeginsAnew) {
  int64_t fired_in_vain = 0;
  for (uint64_t nth = 1;; ++nth) {
    SCOPED_TRACE(nth);
    const auto disk = Killed();
    FaultyFileSystem files(disk.get());
    bool fired = false;
    {
      const auto log = Open(&files);
      files.AddRule({.path_part = ".log", .nth = nth, .status = absl::InternalError("EIO")});
      const absl::Status flushed = log->Flush();
      fired = files.faults_fired() > 0;
      if (fired && flushed.ok()) ++fired_in_vain;
      EXPECT_TRUE(fired || flushed.ok()) << flushed;
      EXPECT_EQ(log->durable_offset(), flushed.ok() ? kEnd : kDurable);
      files.ClearRules();
      ExpectRecords(*log, 0, kEnd);
      EXPECT_EQ(IsPoisoned(log->AppendBatch({}).status()), !flushed.ok());
    }
    const auto log = Open(disk.get());
    ASSERT_EQ(log->log_end_offset(), kEnd);
    VARVE_ASSERT_OK(log->Flush());
    ExpectDurable(*disk, kEnd);
    if (!fired) {
      EXPECT_GT(nth, 10u);
      EXPECT_LE(fired_in_vain, 1) << "only the batch that names the durable point may be unreadable";
      break;
    }
  }
}

// A write that finds no room has changed nothing, nor has a file that cannot be opened: appends go on, and the next sync
// begins again.
TEST_P(UnsyncedRangesTest, AFullDiskAndTooManyOpenFilesPutItOff) {
  for (const FileOperation operation : {FileOperation::kWrite, FileOperation::kOpen}) {
    SCOPED_TRACE(static_cast<int>(operation));
    const auto disk = Killed();
    FaultyFileSystem files(disk.get());
    const auto log = Open(&files);
    const size_t rule = files.AddRule({.operation = operation,
                                       .path_part = ".log",
                                       .status = absl::ResourceExhaustedError("quota, or too many open files"),
                                       .partial_bytes = 100});
    EXPECT_THAT(log->Flush(), StatusIs(absl::StatusCode::kResourceExhausted));
    EXPECT_EQ(files.faults_fired(rule), 1u);
    EXPECT_EQ(log->durable_offset(), kDurable);
    AppendNext(log.get());
    VARVE_ASSERT_OK(log->Flush());
    ExpectDurable(*disk, kEnd + 1);
  }
}

void RefuseWrites(FaultyFileSystem* files) {
  files->AddRule({.operation = FileOperation::kWrite,
                  .path_part = ".log",
                  .for_ever = true,
                  .status = absl::ResourceExhaustedError("quota"),
                  .partial_bytes = 100});
}

// A refused append, half of which is written, is the first to need a sync.
class RefusedAppend {
 public:
  RefusedAppend(MemoryFileSystem* disk, LogOptions options) : files_(disk) {
    options.file_system = &files_;
    options.segment_bytes = 4 << 20;
    log_ = OpenLog(kPartition, options);
    RefuseWrites(&files_);
  }
  FaultyFileSystem& files() { return files_; }
  Log* log() { return log_.get(); }
  absl::Status Append() {
    const std::string value(700'000, 'v');  // by a write call in either mode
    return log_->Append({{.key = "k", .value = value}}).status();
  }

 private:
  FaultyFileSystem files_;
  std::unique_ptr<Log> log_;
};

// What was written of it is taken back and that is synced, though nothing can be written again: the log takes appends.
TEST_P(UnsyncedRangesTest, ARefusedAppendIsTakenBackThoughNothingCanBeWrittenAgain) {
  const auto disk = Killed();
  RefusedAppend refused(disk.get(), Options(disk.get()));
  const uint64_t syncs = refused.files().operation_count(FileOperation::kSync);
  EXPECT_THAT(refused.Append(), StatusIs(absl::StatusCode::kResourceExhausted));
  // Of what was written again until there was no room, and of the cut.
  EXPECT_EQ(refused.files().operation_count(FileOperation::kSync), syncs + 2);
  EXPECT_EQ(refused.log()->durable_offset(), kDurable);
  refused.files().ClearRules();
  AppendNext(refused.log());
  VARVE_ASSERT_OK(refused.log()->Flush());
  ExpectDurable(*disk, kEnd + 1);
}

TEST_P(UnsyncedRangesTest, ARefusedAppendWhoseCutCannotBeSyncedPoisons) {
  const auto disk = Killed();
  RefusedAppend refused(disk.get(), Options(disk.get()));
  refused.files().AddRule(
      {.operation = FileOperation::kSync, .path_part = ".log", .nth = 2, .status = absl::InternalError("EIO")});
  EXPECT_TRUE(IsPoisoned(refused.Append()));
  refused.files().ClearRules();
  EXPECT_TRUE(IsPoisoned(refused.log()->Append({{.value = "v"}}).status()));
  EXPECT_EQ(refused.log()->log_end_offset(), kEnd);
}

// The segment behind a gap must not be there before what lies below it is durable.
TEST_P(UnsyncedRangesTest, AGapIsRefusedWhereNothingCanBeWrittenAgain) {
  const auto disk = Killed();
  FaultyFileSystem files(disk.get());
  const auto log = Open(&files);
  RefuseWrites(&files);
  RecordBatchBuilder builder({.base_offset = kEnd + 10, .leader_epoch = 0});
  const std::string value(static_cast<size_t>(Options(&files).segment_bytes) - 100, 'v');  // fits only an empty segment
  VARVE_ASSERT_OK(builder.Add({.value = value, .timestamp_ms = 1'000'000}));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto batch, builder.Build());
  EXPECT_THAT(log->AppendAsFollower(batch, /*current_leader_epoch=*/0), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(log->log_end_offset(), kEnd);
  files.ClearRules();
  VARVE_ASSERT_OK(log->AppendAsFollower(batch, /*current_leader_epoch=*/0));
  EXPECT_EQ(log->log_end_offset(), kEnd + 11);
  VARVE_ASSERT_OK(log->Flush());
  const auto after = disk->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  const auto reopened = Open(after.get());
  ASSERT_NE(reopened, nullptr);
  EXPECT_EQ(reopened->log_end_offset(), kEnd + 11);
  EXPECT_THAT(reopened->damage(), IsEmpty());
}

// Told apart from an append that has written nothing: a caller that repeats it has the records twice.
TEST_P(UnsyncedRangesTest, AFullDiskKeepsADurableAppendWaiting) {
  const auto disk = Killed();
  FaultyFileSystem files(disk.get());
  const auto log = Open(&files);
  files.SetObserver([&](const FileCall& call) {
    if (call.operation == FileOperation::kRead) RefuseWrites(&files);  // the first call of writing again
  });
  EXPECT_THAT(
      log->Append({{.key = "k", .value = "v"}}, {.ack = Ack::kDurable}),
      StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("offsets 23 to 23 are appended and not yet durable")));
  files.SetObserver(nullptr);
  files.ClearRules();
  EXPECT_EQ(log->log_end_offset(), kEnd + 1);
  VARVE_EXPECT_OK(log->WaitDurable(kEnd + 1));
}

// Retention would take the active segment too, for which a full disk has no room to roll: the others go.
TEST_P(UnsyncedRangesTest, AFullDiskLetsRetentionTakeAllBelowTheActiveSegment) {
  const auto disk = Killed(kEnd, kEnd - 1);
  FaultyFileSystem files(disk.get());
  const auto log = Open(&files);
  const int64_t active = log->segments().back().base_offset;
  ASSERT_LT(active, kEnd - 1);
  RefuseWrites(&files);
  files.AddRule({.operation = FileOperation::kOpen,
                 .path_part = SegmentFileName(kEnd, SegmentFileKind::kLog),
                 .for_ever = true,
                 .status = absl::ResourceExhaustedError("no space")});
  VARVE_EXPECT_OK(log->ApplyRetention({.retention_ms = -1, .retention_bytes = 0}));
  EXPECT_EQ(log->log_start_offset(), active);
  EXPECT_EQ(log->durable_offset(), kEnd - 1);
  files.ClearRules();
  AppendNext(log.get(), {.ack = Ack::kDurable});
  ExpectRecords(*log, active, kEnd + 1);
}

// It does not depend on what lies below it, which goes without it, and makes room on a full disk.
TEST_P(UnsyncedRangesTest, WhatLiesBelowItGoesThoughNothingCanBeWrittenAgain) {
  const auto disk = Killed(2 * kEnd, kEnd);
  FaultyFileSystem files(disk.get());
  const auto log = Open(&files);
  ASSERT_EQ(log->durable_offset(), kEnd);
  RefuseWrites(&files);
  EXPECT_THAT(log->DeleteBefore(kEnd), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(log->log_start_offset(), 0);
  const size_t segments = log->segments().size();
  VARVE_ASSERT_OK(log->DeleteBefore(kEnd - 1));
  EXPECT_EQ(log->log_start_offset(), kEnd - 1);
  EXPECT_LT(log->segments().size(), segments);
  EXPECT_EQ(log->durable_offset(), kEnd);
  {
    const auto lost = disk->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
    const auto reopened = Open(lost.get());
    ASSERT_NE(reopened, nullptr);
    EXPECT_EQ(reopened->log_start_offset(), kEnd - 1);
    EXPECT_GE(reopened->log_end_offset(), kEnd);
    ExpectRecords(*reopened, kEnd - 1, reopened->log_end_offset());
  }
  files.ClearRules();
  VARVE_ASSERT_OK(log->Flush());
  const auto after = disk->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  const auto reopened = Open(after.get());
  ASSERT_NE(reopened, nullptr);
  ExpectRecords(*reopened, kEnd - 1, 2 * kEnd);
}

TEST_P(UnsyncedRangesTest, WhatIsAppendedWhileItIsWrittenAgainStays) {
  const auto disk = Killed();
  Log* appended_to = nullptr;
  SyncHook files(disk.get(), [&](const std::string& path) {
    if (appended_to == nullptr || path != kFirstLog) return;
    AppendMany(std::exchange(appended_to, nullptr), 30);
  });
  const auto log = Open(&files);
  appended_to = log.get();
  VARVE_ASSERT_OK(log->Flush());
  ASSERT_EQ(log->log_end_offset(), kEnd + 30);
  EXPECT_GE(log->durable_offset(), kEnd);
  ExpectRecords(*log, 0, kEnd + 30);
  VARVE_ASSERT_OK(log->Flush());
  ExpectDurable(*disk, kEnd + 30);
}

TEST_P(UnsyncedRangesTest, WhereOnlyDurableRecordsAreVisibleOpeningDoesItAtOnce) {
  const auto disk = Killed();
  LogOptions options = Options(disk.get());
  options.visibility = Visibility::kDurable;
  const auto log = OpenLog(kPartition, options);
  EXPECT_EQ(log->durable_offset(), kEnd);
  ExpectRecords(*log, 0, kEnd);
  ExpectDurable(*disk, kEnd);
}

TEST_P(UnsyncedRangesTest, AReaderOfAStoppedLogWritesNothingAndCallsItNotDurable) {
  const auto disk = Killed();
  FaultyFileSystem files(disk.get());
  LogOptions options = Options(&files);
  options.read_only = true;
  const auto log = OpenLog(kPartition, options);
  EXPECT_EQ(log->durable_offset(), kDurable);
  ExpectRecords(*log, 0, kEnd);
  EXPECT_EQ(files.operation_count(FileOperation::kWrite), 0u);
}

// --- What may wait ---

LoadPlan Plan() {
  LoadPlan plan;
  plan.marks.durable_point = DurablePoint{.offset = 5, .segment = 0, .position = 500, .batch_position = 400};
  plan.marks.durable_offset = 5;
  plan.state.emplace();
  for (const int64_t base_offset : {0, 10}) {
    PlannedSegment& segment = plan.segments.emplace_back();
    segment.found = {.base_offset = base_offset, .size_bytes = 1000};
    segment.recovery.emplace();
    segment.recovery->end_position = 1000;
    segment.recovery->next_offset = base_offset + 10;
  }
  return plan;
}

TEST(FindUnsyncedTest, BeginsAtTheDurablePoint) {
  EXPECT_EQ(FindUnsynced(Plan()),
            (std::vector<UnsyncedRange>{
                {.segment = 0, .position = 500, .end_position = 1000, .offset = 5, .next_offset = 10},
                {.segment = 10, .position = 0, .end_position = 1000, .offset = 10, .next_offset = 20}}));
  LoadPlan behind = Plan();
  behind.marks.durable_point = DurablePoint{.offset = 20, .segment = 10, .position = 1000, .batch_position = 900};
  EXPECT_EQ(FindUnsynced(behind),
            (std::vector<UnsyncedRange>{
                {.segment = 10, .position = 1000, .end_position = 1000, .offset = 20, .next_offset = 20}}));
  LoadPlan clean = Plan();
  clean.clean = true;
  EXPECT_THAT(FindUnsynced(clean), IsEmpty());
}

// Compacted by another program since, its last batch with the same offsets.
TEST(FindUnsyncedTest, IsNothingOfASegmentThatEndsBeforeThePoint) {
  LoadPlan plan = Plan();
  plan.segments.front().recovery->end_position = 400;
  const std::vector<UnsyncedRange> ranges = FindUnsynced(plan);
  EXPECT_EQ(ranges, (std::vector<UnsyncedRange>{
                        {.segment = 0, .position = 400, .end_position = 400, .offset = 10, .next_offset = 10},
                        {.segment = 10, .position = 0, .end_position = 1000, .offset = 10, .next_offset = 20}}));
}

TEST(FindUnsyncedTest, IsWholeSegmentsBehindACheckpoint) {
  LoadPlan plan = Plan();
  plan.marks.durable_point.reset();
  plan.marks.durable_offset = 10;
  EXPECT_EQ(FindUnsynced(plan),
            (std::vector<UnsyncedRange>{
                {.segment = 10, .position = 0, .end_position = 1000, .offset = 10, .next_offset = 20}}));
}

struct WaitCase {
  const char* name;
  std::function<void(LoadPlan*, LogOptions*)> change;
  bool may_wait = false;
};

std::vector<WaitCase> WaitCases() {
  const auto no_point = [](LoadPlan* plan) {
    plan->marks.durable_point.reset();
    plan->marks.durable_offset = 0;
    plan->state.reset();
  };
  return {
      {"AsFound", [](LoadPlan*, LogOptions*) {}, true},
      {"ATornTail", [](LoadPlan* plan, LogOptions*) { plan->segments.back().recovery->log_end = LogEnd::kTornTail; },
       true},
      {"NoStateEver", [=](LoadPlan* plan, LogOptions*) { no_point(plan); }, true},
      {"NothingToWrite",
       [](LoadPlan* plan, LogOptions*) {
         plan->marks.durable_point = DurablePoint{.offset = 20, .segment = 10, .position = 1000, .batch_position = 900};
       }},
      {"OnlyDurableRecordsAreVisible",
       [](LoadPlan*, LogOptions* options) { options->visibility = Visibility::kDurable; }},
      {"TheLogEndsAtAnInvalidByte",
       [](LoadPlan* plan, LogOptions*) { plan->segments.back().recovery->log_end = LogEnd::kAtInvalid; }},
      {"Damage", [](LoadPlan* plan, LogOptions*) { plan->segments.front().recovery->damage.emplace_back(); }},
      {"DamageOfBefore",
       [](LoadPlan* plan, LogOptions*) {
         PlannedSegment unread;
         unread.found.base_offset = -10;
         unread.known_damage.emplace_back();
         plan->segments.insert(plan->segments.begin(), unread);
       }},
      {"AMendedHeader", [](LoadPlan* plan, LogOptions*) { plan->segments.back().recovery->mended.emplace_back(); }},
      {"SegmentsBeyondTheEnd", [](LoadPlan* plan, LogOptions*) { plan->beyond.emplace_back(); }},
      {"SegmentsThatWereDeleted", [](LoadPlan* plan, LogOptions*) { plan->deleted.push_back(-10); }},
      {"OffsetsLeftOutBetweenSegments",
       [](LoadPlan* plan, LogOptions*) { plan->segments.front().recovery->next_offset = 9; }},
      {"AStateThatIsLost",
       [=](LoadPlan* plan, LogOptions*) {
         no_point(plan);
         plan->state_is_lost = true;
       }},
      {"APointThatNamesNoBatch", [](LoadPlan* plan, LogOptions*) { plan->marks.durable_point->batch_position = -1; }},
      {"AVoidPoint", [](LoadPlan* plan, LogOptions*) { plan->marks.durable_point.reset(); }},
      {"ACheckpointInsideASegment",
       [=](LoadPlan* plan, LogOptions*) {
         no_point(plan);
         plan->marks.durable_offset = 5;
       }},
  };
}

class MayAwaitSyncTest : public ::testing::TestWithParam<WaitCase> {};
INSTANTIATE_TEST_SUITE_P(, MayAwaitSyncTest, ::testing::ValuesIn(WaitCases()),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(MayAwaitSyncTest, IsSoWhereNothingElseIsToBeDone) {
  LoadPlan plan = Plan();
  LogOptions options;
  GetParam().change(&plan, &options);
  const std::vector<UnsyncedRange> ranges = FindUnsynced(plan);
  ASSERT_FALSE(ranges.empty());
  EXPECT_EQ(MayAwaitSync(plan, ranges, options), GetParam().may_wait);
}

TEST(PointBeforeSyncTest, IsTheOldOneOrTheFirstByteOfAll) {
  LoadPlan plan = Plan();
  EXPECT_EQ(PointBeforeSync(plan, FindUnsynced(plan)), *plan.marks.durable_point);
  plan.marks.durable_point.reset();
  plan.marks.durable_offset = 10;
  EXPECT_EQ(PointBeforeSync(plan, FindUnsynced(plan)), (DurablePoint{.offset = 10, .segment = 10}));
}

}  // namespace
}  // namespace varve::internal
