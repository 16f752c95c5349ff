// Who syncs what, in which order, and who is told: lib/log/flusher.h, seen through logs.
#include "log/flusher.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/path.h"
#include "fmt/format.h"
#include "log/appender.h"
#include "log/log_places.h"
#include "state/producer_batches.h"
#include "support/sync_hook.h"
#include "varve/errors.h"

namespace varve {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing_support::AppendMany;
using testing_support::AppendNext;
using testing_support::DataBatch;
using testing_support::ExpectRecords;
using testing_support::kPartition;
using testing_support::MarkerBatch;
using testing_support::OpenLog;
using testing_support::StatusIs;
using testing_support::SyncHook;
using testing_support::TinyOptions;

class FlusherTest : public ::testing::TestWithParam<IoMode> {
 protected:
  FlusherTest()
      : files_(&disk_, [this](const std::string& path) { Note(path); }),
        options_(TinyOptions(&files_, &clock_, GetParam())) {}

  // Knows its leader epoch already: the first append of a new one syncs leader-epoch-checkpoint.
  std::unique_ptr<Log> Open() {
    auto log = OpenLog(kPartition, options_);
    VARVE_EXPECT_OK(log->AssignLeaderEpoch(0));
    return log;
  }

  std::string StateBytes() {
    const auto file = disk_.Open("orders-0/varve.state", OpenMode::kRead);
    EXPECT_TRUE(file.ok()) << file.status();
    std::string bytes(4096, '\0');
    const auto count = (*file)->ReadAt(0, std::as_writable_bytes(std::span(bytes)));
    EXPECT_TRUE(count.ok()) << count.status();
    bytes.resize(*count);
    return bytes;
  }

  void Note(const std::string& path) {
    std::shared_future<void> hold;
    {
      const std::lock_guard lock(mutex_);
      syncs_.push_back(internal::BaseName(path));
      if (path.ends_with(".log")) hold = std::exchange(hold_, {});
    }
    if (!hold.valid()) return;
    held_.set_value();
    hold.wait();
  }

  // A sync in another thread that has come to its .log and waits there.
  class HeldSync {
   public:
    HeldSync(FlusherTest* test, Log* log) {
      std::promise<void> held;
      std::future<void> is_held = held.get_future();
      {
        const std::lock_guard lock(test->mutex_);
        test->held_ = std::move(held);
        test->hold_ = release_.get_future().share();
      }
      syncing_ = std::thread([log] { VARVE_EXPECT_OK(log->Flush()); });
      is_held.wait();
    }
    void LetGo() {
      release_.set_value();
      syncing_.join();
    }

   private:
    std::promise<void> release_;
    std::thread syncing_;
  };

  // What was synced since the last call, but for varve.state, which is a lower bound and has its own time.
  std::vector<std::string> Syncs() {
    const std::lock_guard lock(mutex_);
    std::erase(syncs_, "varve.state");
    return std::exchange(syncs_, {});
  }

  ManualClock clock_{1'700'000'000'000, 1'000'000'000'000};
  MemoryFileSystem disk_;
  SyncHook files_;
  LogOptions options_;
  std::mutex mutex_;
  std::vector<std::string> syncs_;
  // The next sync of a .log says so in held_ and waits for hold_, where that is set.
  std::shared_future<void> hold_;
  std::promise<void> held_;
};

INSTANTIATE_TEST_SUITE_P(, FlusherTest, ::testing::Values(IoMode::kMapped, IoMode::kWrite),
                         [](const auto& param) { return param.param == IoMode::kMapped ? "Mapped" : "Write"; });

std::string LogName(int64_t base_offset) { return fmt::format("{:020}.log", base_offset); }

TEST_P(FlusherTest, RolledSegmentsAreSyncedInOrderThenNamesThenTheActiveOne) {
  const auto log = Open();
  Syncs();
  for (int64_t round = 0; round < 3; ++round) {
    AppendNext(log.get());
    VARVE_ASSERT_OK(log->Roll());
  }
  AppendNext(log.get());
  EXPECT_THAT(Syncs(), IsEmpty());  // no roll syncs
  VARVE_ASSERT_OK(log->WaitDurable(4));
  EXPECT_THAT(Syncs(), ElementsAre(LogName(0), LogName(1), LogName(2), kPartition, LogName(3)));

  // Each once: what follows is the active file alone, the directory only when there is a new name.
  AppendNext(log.get());
  VARVE_ASSERT_OK(log->WaitDurable(5));
  EXPECT_THAT(Syncs(), ElementsAre(LogName(3)));
  VARVE_ASSERT_OK(log->Roll());
  AppendNext(log.get(), {.ack = Ack::kDurable});
  EXPECT_THAT(Syncs(), ElementsAre(LogName(3), kPartition, LogName(5)));
  VARVE_ASSERT_OK(log->WaitDurable(6));
  EXPECT_THAT(Syncs(), IsEmpty());  // durable already
}

TEST_P(FlusherTest, ATransactionIndexIsSyncedBeforeTheMarkerIsDurable) {
  const auto log = Open();
  const auto take = [&](const std::vector<std::byte>& batch, Ack ack) {
    VARVE_ASSERT_OK(log->AppendAsFollower(batch, 0, {.ack = ack}));
  };
  take(DataBatch({.base_offset = 0, .producer_id = 7, .transactional = true}), Ack::kDurable);
  Syncs();
  take(MarkerBatch(ControlType::kAbort, 1, 7), Ack::kDurable);
  const std::string index = fmt::format("{:020}.txnindex", 0);
  EXPECT_THAT(Syncs(), ElementsAre(index, kPartition, LogName(0)));
  take(DataBatch({.base_offset = 2, .producer_id = 7, .base_sequence = 1, .transactional = true}), Ack::kDurable);
  EXPECT_THAT(Syncs(), ElementsAre(LogName(0)));

  // Of a segment that was rolled since, too.
  take(MarkerBatch(ControlType::kAbort, 3, 7), Ack::kWritten);
  VARVE_ASSERT_OK(log->Roll());
  VARVE_ASSERT_OK(log->Flush());
  EXPECT_THAT(Syncs(), ElementsAre(LogName(0), index, kPartition, LogName(4)));
}

// Each file in the queue holds a descriptor: a log that nobody flushes syncs by itself then, and what waits is told.
TEST_P(FlusherTest, ALongQueueIsSyncedByTheAppendThatRolls) {
  const auto log = Open();
  Syncs();
  int told = 0;
  log->OnDurable(1, [&](const absl::Status& status) {
    VARVE_EXPECT_OK(status);
    ++told;
  });
  constexpr auto kMost = static_cast<int64_t>(internal::Flusher::kMaxQueuedFiles);
  while (static_cast<int64_t>(log->segments().size()) <= kMost) AppendNext(log.get());
  EXPECT_THAT(Syncs(), IsEmpty());
  EXPECT_EQ(told, 0);
  while (static_cast<int64_t>(log->segments().size()) <= kMost + 1) AppendNext(log.get());
  EXPECT_EQ(Syncs().size(), static_cast<size_t>(kMost) + 2);  // the queue, the directory, the active file
  EXPECT_EQ(told, 1);
  EXPECT_EQ(log->durable_offset(), log->log_end_offset() - 1);
  ExpectRecords(*log, 0, log->log_end_offset());
}

// Delayed allocation and quotas make a sync meet a full disk: what it dropped is as lost as after any other failure.
TEST_P(FlusherTest, AFailedSyncPoisonsAndIsNeverRetried) {
  for (const absl::Status& failure : {absl::InternalError("EIO"), absl::ResourceExhaustedError("disk full")}) {
    for (const std::string& file : {LogName(0), std::string(kPartition), LogName(1)}) {
      SCOPED_TRACE(testing::Message() << file << ": " << failure);
      MemoryFileSystem disk;
      SyncHook files(&disk, [this](const std::string& path) { Note(path); });
      options_.file_system = &files;
      const auto log = Open();
      AppendNext(log.get(), {.ack = Ack::kDurable});
      VARVE_ASSERT_OK(log->Roll());
      AppendNext(log.get());
      Syncs();
      files.AddRule({.operation = file == kPartition ? FileOperation::kSyncDirectory : FileOperation::kSync,
                     .path_part = file,
                     .status = failure});
      EXPECT_FALSE(log->WaitDurable(2).ok());
      EXPECT_EQ(Syncs().back(), file);
      EXPECT_TRUE(IsPoisoned(log->WaitDurable(2)));
      EXPECT_TRUE(IsPoisoned(log->Flush()));
      EXPECT_TRUE(IsPoisoned(log->Append({{.value = "refused"}}).status()));
      EXPECT_TRUE(IsPoisoned(log->Close()));
      EXPECT_THAT(Syncs(), IsEmpty());
      EXPECT_EQ(log->durable_offset(), 1);
    }
  }
}

// An append that fails for good leaves nobody waiting.
TEST_P(FlusherTest, AnAppendThatPoisonsTellsThoseWhoWait) {
  options_.segment_bytes = 1 << 20;
  const auto log = Open();
  AppendNext(log.get());
  absl::Status told;
  log->OnDurable(1, [&](const absl::Status& status) { told = status; });
  files_.AddRule({.operation = FileOperation::kWrite, .path_part = ".log", .status = absl::InternalError("EIO")});
  const std::string value(100'000,
                          'x');  // written in one mode; stored into pages that are made by writing in the other
  EXPECT_THAT(log->Append({{.value = value}}, {.compression = Codec::kNone}), StatusIs(absl::StatusCode::kInternal));
  EXPECT_TRUE(IsPoisoned(told));
}

// Another thread's sync takes longer than the append is ready to wait: the record stays, and is durable later.
TEST_P(FlusherTest, ADurableAppendGivesUpAtItsDeadline) {
  const auto log = Open();
  AppendNext(log.get());
  HeldSync sync(this, log.get());
  const auto late = log->Append({{.value = "late"}}, {.ack = Ack::kDurable, .timeout = std::chrono::milliseconds(20)});
  EXPECT_THAT(late, StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(log->log_end_offset(), 2);
  EXPECT_EQ(log->durable_offset(), 0);
  sync.LetGo();
  EXPECT_EQ(log->durable_offset(), 1);  // what was appended meanwhile may have been left out
  VARVE_EXPECT_OK(log->WaitDurable(2));
  EXPECT_EQ(log->durable_offset(), 2);
}

// Whom a sync served, and who came meanwhile, is waited for by the next one: for half the time that this one took.
TEST_P(FlusherTest, ThoseWhomASyncServedJoinTheNextOne) {
  const auto log = Open();
  Syncs();
  std::promise<void> held;
  std::future<void> is_held = held.get_future();
  std::promise<void> release;
  {
    const std::lock_guard lock(mutex_);
    held_ = std::move(held);
    hold_ = release.get_future().share();
  }
  const auto append_durably = [&log] { VARVE_EXPECT_OK(log->Append({{.value = "x"}}, {.ack = Ack::kDurable})); };
  std::thread served([&] {
    append_durably();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // nobody waits for long who is not about to append
    append_durably();
  });
  is_held.wait();
  std::thread waiting(append_durably);
  std::this_thread::sleep_for(std::chrono::seconds(1));
  release.set_value();
  served.join();
  waiting.join();
  EXPECT_THAT(Syncs(), ElementsAre(LogName(0), LogName(0)));
}

// Each sync is of what there was when it began: a file rolled away from meanwhile, and a new name, are the next one's.
TEST_P(FlusherTest, ARollDuringASyncIsTheNextSyncs) {
  const auto log = Open();
  AppendNext(log.get());
  HeldSync sync(this, log.get());
  AppendNext(log.get());
  VARVE_ASSERT_OK(log->Roll());
  AppendNext(log.get());
  sync.LetGo();
  EXPECT_EQ(log->durable_offset(), 1);
  Syncs();
  VARVE_ASSERT_OK(log->WaitDurable(3));
  EXPECT_THAT(Syncs(), ElementsAre(LogName(0), kPartition, LogName(2)));
  const auto crashed = disk_.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  options_.file_system = crashed.get();
  ExpectRecords(*Open(), 0, 3);
}

TEST_P(FlusherTest, TheStateNamesTheLastDurableBatchAndTheActiveFile) {
  options_.segment_bytes = 1 << 20;
  const auto log = Open();
  AppendMany(log.get(), 5);
  VARVE_ASSERT_OK(log->Roll());
  AppendMany(log.get(), 3);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto last, log->NewReader().Find(7));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto batch, log->NewReader().ReadBatch(7));
  VARVE_ASSERT_OK(log->Flush());
  AppendNext(log.get());
  VARVE_ASSERT_OK_AND_ASSIGN(const auto state, internal::PartitionState::Peek(&disk_, kPartition));
  const internal::DurablePoint& point = state->durable;
  EXPECT_EQ(point.offset, 8);
  EXPECT_EQ(point.segment, 5);
  EXPECT_EQ(point.position, last->position + last->size_bytes);
  EXPECT_EQ(point.batch_position, last->position);
  EXPECT_EQ(point.batch_crc, batch->crc());
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo active, disk_.Info(internal::JoinPath(kPartition, LogName(5))));
  EXPECT_EQ(state->active, active.identity);
}

// It is a lower bound, and synced itself once that lies a second or a megabyte behind.
TEST_P(FlusherTest, TheStateIsSyncedNowAndThen) {
  options_.segment_bytes = 8 << 20;
  const auto log = Open();
  const auto state_syncs = [&] {
    const std::lock_guard lock(mutex_);
    const auto all = std::exchange(syncs_, {});
    return std::count(all.begin(), all.end(), "varve.state");
  };
  const auto append = [&](size_t bytes) {
    const std::string value(bytes, 'x');
    VARVE_ASSERT_OK(log->Append({{.value = value}}, {.ack = Ack::kDurable}));
  };
  clock_.AdvanceMs(1'000);
  append(1);
  state_syncs();
  clock_.AdvanceMs(999);
  append(1);
  EXPECT_EQ(state_syncs(), 0);
  clock_.AdvanceMs(1);
  append(1);
  EXPECT_EQ(state_syncs(), 1);
  append(900'000);
  EXPECT_EQ(state_syncs(), 0);
  append(200'000);
  EXPECT_EQ(state_syncs(), 1);
  append(1);
  EXPECT_EQ(state_syncs(), 0);
}

// What a sync that has begun stores must not be stored behind the next writer's back.
TEST_P(FlusherTest, NoSyncOutlastsClose) {
  for (int round = 0; round < 50; ++round) {
    const auto log = Open();
    AppendNext(log.get());
    std::thread flushing([&] {
      while (log->Flush().ok()) {
      }
    });
    VARVE_EXPECT_OK(log->Close());
    const std::string state = StateBytes();
    flushing.join();
    ASSERT_EQ(StateBytes(), state);
  }
}

// The log ends where the new segment begins as soon as a sync may make that durable.
TEST_P(FlusherTest, ASyncRightBehindARollThatLeavesAGapIsInOrder) {
  using namespace internal;
  Frontiers frontiers(Visibility::kLogEnd);
  VARVE_ASSERT_OK(disk_.CreateDirectory(kPartition));
  const ActiveSegmentOptions segment_options = {.file_system = Unowned(&disk_),
                                                .clock = &clock_,
                                                .directory = kPartition,
                                                .mapped = GetParam() == IoMode::kMapped};
  VARVE_ASSERT_OK_AND_ASSIGN(auto state, PartitionState::Open(&disk_, kPartition));
  VARVE_ASSERT_OK_AND_ASSIGN(std::shared_ptr<LiveLine> line,
                             LiveLine::Create(&disk_, kPartition, state->values().lineage));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto first, ActiveSegment::Create(segment_options, 0));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto second, ActiveSegment::Create(segment_options, 50));
  Flusher flusher(&disk_, &clock_, kPartition, &frontiers);
  VARVE_ASSERT_OK_AND_ASSIGN(FlushTarget target, FlushTargetOf(*first));
  VARVE_ASSERT_OK(flusher.Restart(std::move(state), std::move(target), line, /*unsynced=*/{}, 0, absl::OkStatus()));
  VARVE_ASSERT_OK_AND_ASSIGN(target, FlushTargetOf(*second));
  flusher.Rolled(std::move(target));
  VARVE_ASSERT_OK(flusher.Sync());
  EXPECT_EQ(frontiers.durable(), 50);
  EXPECT_EQ(frontiers.log_end(), 50);
}

TEST_P(FlusherTest, WhereDurabilityIsVisibilityReadersSeeWhatIsSynced) {
  options_.visibility = Visibility::kDurable;
  const auto log = Open();
  AppendMany(log.get(), 3);
  EXPECT_EQ(log->high_watermark(), 0);
  EXPECT_THAT(log->WaitForData(0, std::chrono::milliseconds(1)), StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_TRUE(log->Read(0)->empty());
  EXPECT_FALSE(log->Read(0, {.isolation = Isolation::kLogEnd})->empty());
  std::thread waiting([&] { VARVE_EXPECT_OK(log->WaitForData(2, std::chrono::hours(1))); });
  VARVE_ASSERT_OK(log->WaitDurable(3));
  waiting.join();
  EXPECT_EQ(log->high_watermark(), 3);
  AppendNext(log.get());
  EXPECT_EQ(log->high_watermark(), 3);
  ExpectRecords(*log, 0, 3);
}

// By itself, as the writer cannot be held between the two from outside.
TEST(FlusherAloneTest, WhatTheSegmentHasAndTheLogHasNotYetIsNotToldDurable) {
  using namespace internal;
  ManualClock clock(1'700'000'000'000, 1'000'000'000'000);
  const auto files = std::make_shared<MemoryFileSystem>();
  VARVE_ASSERT_OK(files->CreateDirectory(kPartition));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto active, ActiveSegment::Create({.file_system = files,
                                                                       .clock = &clock,
                                                                       .directory = kPartition,
                                                                       .segment_bytes = 4 << 20,
                                                                       .segment_index_bytes = 1 << 20,
                                                                       .index_interval_bytes = 4096},
                                                                      0));
  VARVE_ASSERT_OK_AND_ASSIGN(FlushTarget target, FlushTargetOf(*active));
  VARVE_ASSERT_OK_AND_ASSIGN(auto state, PartitionState::Open(files.get(), kPartition));
  VARVE_ASSERT_OK_AND_ASSIGN(const std::shared_ptr<LiveLine> live,
                             LiveLine::Create(files.get(), kPartition, state->values().lineage));
  Frontiers frontiers(Visibility::kLogEnd);
  Flusher flusher(files.get(), &clock, kPartition, &frontiers);
  VARVE_ASSERT_OK(flusher.Restart(std::move(state), std::move(target), live, /*unsynced=*/{}, 0, absl::OkStatus()));

  const std::vector<std::byte> batch = DataBatch({.timestamp_ms = 1000});
  VARVE_ASSERT_OK(active->Append(batch, {static_cast<int64_t>(batch.size()), 0, 1000}, /*durable_acks=*/false));
  active->Publish();
  VARVE_ASSERT_OK(flusher.Sync());
  EXPECT_EQ(frontiers.durable(), 0);
  frontiers.PublishEnd(1);
  VARVE_ASSERT_OK(flusher.WaitDurable(1, std::chrono::hours(1)));
  EXPECT_EQ(frontiers.durable(), 1);
}

}  // namespace
}  // namespace varve
