// A full disk takes nothing from a log and stops no more than what needs space: with space again it goes on, without
// being opened anew.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "log/log_places.h"
#include "varve/errors.h"
#include "varve/testing/faulty_file_system.h"

namespace varve {
namespace {

using ::testing::Contains;
using ::testing::Not;
using testing_support::AppendMany;
using testing_support::AppendNext;
using testing_support::ExpectRecords;
using testing_support::OpenLog;
using testing_support::StatusIs;

class LogFullDiskTest : public testing_support::LogTest {
 protected:
  void FillDisk() { memory_.set_capacity_bytes(memory_.used_bytes()); }
  void FreeDisk() { memory_.set_capacity_bytes(std::nullopt); }

  FaultyFileSystem faulty_{&memory_};
};

// A deletion inside the first segment frees nothing, and the epochs' checkpoint is written anew.
TEST_F(LogFullDiskTest, ADeletionIsDoneAndAppendsGoOn) {
  {
    const auto log = Open();
    AppendMany(log.get(), 2, {.leader_epoch = 3});
    AppendMany(log.get(), 22, {.leader_epoch = 4});
    FillDisk();
    VARVE_ASSERT_OK(log->DeleteBefore(1));
    EXPECT_EQ(log->log_start_offset(), 1);
    VARVE_ASSERT_OK(log->DeleteBefore(4));
    EXPECT_EQ(log->log_start_offset(), 4);
    ExpectRecords(*log, 4, 24);
    // The checkpoint says still what it said before; who follows leaves out what lies below the log start.
    LogOptions following = options_;
    following.read_only = true;
    EXPECT_EQ(OpenLog(directory_, following)->leader_epochs(),
              (std::vector<LeaderEpoch>{{.epoch = 4, .start_offset = 4}}));
    FreeDisk();
    AppendMany(log.get(), 3, {.leader_epoch = 4});
    ExpectRecords(*log, 4, 27);
    VARVE_EXPECT_OK(log->Close());
  }
  const auto log = Open();
  EXPECT_TRUE(log->recovery_report().clean);
  EXPECT_EQ(log->log_start_offset(), 4);
  EXPECT_EQ(log->leader_epochs(), (std::vector<LeaderEpoch>{{.epoch = 4, .start_offset = 4}}));
  ExpectRecords(*log, 4, 27);
}

// The kept part of a segment is copied before the truncation is announced.
TEST_F(LogFullDiskTest, ATruncationWithoutRoomForItsCopyHasNotBegun) {
  const auto log = Open();
  AppendMany(log.get(), 24);
  for (int64_t offset = 23; offset > 0; offset -= 7) {
    SCOPED_TRACE(offset);
    FillDisk();
    const absl::Status full = log->TruncateTo(offset);
    EXPECT_THAT(full, StatusIs(absl::StatusCode::kResourceExhausted));
    EXPECT_EQ(log->log_end_offset(), offset == 23 ? 24 : offset + 10);
    ExpectRecords(*log, 0, log->log_end_offset());
    FreeDisk();
    AppendMany(log.get(), 3);
    VARVE_ASSERT_OK(log->TruncateTo(offset));
    ExpectRecords(*log, 0, offset);
    AppendMany(log.get(), 3);
  }
}

// Where a full disk would end the process at a store into a mapping (Btrfs), what other processes are told is written by
// calls, and those calls fail.
class LogFullCopyOnWriteDiskTest : public testing_support::LogTest {
 protected:
  LogFullCopyOnWriteDiskTest() {
    options_.file_system = &faulty_;
    options_.io_mode = IoMode::kAuto;
  }
  // Write calls to varve.live fail: the nth from now on, or all from that one on.
  void FailLine(uint64_t nth, bool for_ever) {
    faulty_.AddRule({.operation = FileOperation::kWrite,
                     .path_part = "varve.live",
                     .nth = nth,
                     .for_ever = for_ever,
                     .status = absl::ResourceExhaustedError("full")});
  }
  std::unique_ptr<Log> Follow() {
    LogOptions options = options_;
    options.read_only = true;
    return OpenLog(directory_, options);
  }

  MemoryFileSystem disk_{{.allocation_is_promise = false}};
  FaultyFileSystem faulty_{&disk_};
};

TEST_F(LogFullCopyOnWriteDiskTest, AppendsGoOnAndFollowersLearnOfThemLater) {
  const auto log = Open();
  AppendMany(log.get(), 5, {.ack = Ack::kDurable});
  const auto follower = Follow();
  FailLine(1, true);
  AppendMany(log.get(), 10, {.ack = Ack::kDurable});  // rolls too
  ExpectRecords(*log, 0, 15);
  log->SetHighWatermark(14);
  VARVE_ASSERT_OK(follower->Refresh());
  ExpectRecords(*follower, 0, 5);
  EXPECT_EQ(follower->durable_offset(), 5);
  faulty_.ClearRules();
  log->SetHighWatermark(15);
  AppendMany(log.get(), 1, {.ack = Ack::kDurable});
  VARVE_ASSERT_OK(follower->Refresh());
  EXPECT_EQ(follower->log_end_offset(), 16);
  EXPECT_EQ(follower->durable_offset(), 16);
  ExpectRecords(*follower, 0, 15);
  FailLine(1, true);
  VARVE_EXPECT_OK(log->Close());
  VARVE_ASSERT_OK(follower->Refresh());
  EXPECT_EQ(follower->log_end_offset(), 16);
}

TEST_F(LogFullCopyOnWriteDiskTest, ADeletionMakesTheRoomToTellOfIt) {
  const auto log = Open();
  AppendMany(log.get(), 24);
  const auto follower = Follow();
  LogReader reader = follower->NewReader();
  FailLine(1, false);
  VARVE_ASSERT_OK(log->DeleteBefore(13));
  EXPECT_EQ(faulty_.faults_fired(), 1u);
  EXPECT_THAT(reader.Read(3), StatusIs(absl::StatusCode::kAborted));
  VARVE_ASSERT_OK(follower->Refresh());
  ExpectRecords(*follower, 13, 24);
}

// Whichever call fails: the truncation has not begun and the log goes on, or it is announced and the next opening
// carries it through. What followers are told is never more than there is.
TEST_F(LogFullCopyOnWriteDiskTest, ATruncationHasNotBegunOrIsCarriedThroughByTheNextOpening) {
  uint64_t not_begun = 0;
  uint64_t left_to_opening = 0;
  bool fired = true;
  for (uint64_t nth = 1; fired; ++nth) {
    SCOPED_TRACE(nth);
    auto log = Open();
    VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(0));
    AppendMany(log.get(), 24);
    const uint64_t fired_before = faulty_.faults_fired();
    FailLine(nth, false);
    const absl::Status truncated = log->TruncateTo(7);
    fired = faulty_.faults_fired() > fired_before;
    faulty_.ClearRules();
    const bool poisoned = !log->Append({{.value = "v"}}).ok();
    if (!poisoned) {
      VARVE_ASSERT_OK(log->TruncateTo(truncated.ok() ? 7 : 24));
      if (!truncated.ok()) ++not_begun;
      AppendMany(log.get(), 2);
    }
    EXPECT_TRUE(truncated.ok() || absl::IsResourceExhausted(truncated)) << truncated;
    if (poisoned) {
      EXPECT_FALSE(truncated.ok());
      ++left_to_opening;
      log.reset();
      log = Open();
      EXPECT_EQ(log->log_end_offset(), 7);
      AppendMany(log.get(), 2);
    }
    const auto follower = Follow();
    ExpectRecords(*log, 0, truncated.ok() || poisoned ? 9 : 26);
    ExpectRecords(*follower, 0, log->log_end_offset());
    EXPECT_LE(follower->durable_offset(), log->durable_offset());
  }
  EXPECT_EQ(not_begun, 2u);
  EXPECT_GE(left_to_opening, 4u);
}

// A copy-on-write file system has no room for a slot of varve.state: what was to be announced has not begun.
TEST_F(LogFullDiskTest, AnAnnouncementWithoutRoomChangesNothing) {
  options_.file_system = &faulty_;
  const auto log = Open();
  AppendMany(log.get(), 24);
  faulty_.AddRule({.operation = FileOperation::kWrite,
                   .path_part = "varve.state",
                   .for_ever = true,
                   .status = absl::ResourceExhaustedError("disk full")});
  EXPECT_THAT(log->DeleteBefore(7), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(log->TruncateTo(20), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(log->TruncateFullyAndStartAt(50), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(log->log_start_offset(), 0);
  // The copy that the cut had ready gives its room back.
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, memory_.List(directory_));
  EXPECT_THAT(names, Not(Contains("varve.truncate")));
  AppendMany(log.get(), 3, {.ack = Ack::kDurable});
  ExpectRecords(*log, 0, 27);
  faulty_.ClearRules();
  VARVE_ASSERT_OK(log->DeleteBefore(7));
  VARVE_ASSERT_OK(log->TruncateTo(20));
  AppendMany(log.get(), 3);
  ExpectRecords(*log, 7, 23);
}

// A sync that failed may have lost anything, whatever its error.
TEST_F(LogFullDiskTest, AnAnnouncementThatCannotBeSyncedPoisons) {
  options_.file_system = &faulty_;
  const auto log = Open();
  AppendMany(log.get(), 24);
  faulty_.AddRule({.operation = FileOperation::kSync,
                   .path_part = "varve.state",
                   .for_ever = true,
                   .status = absl::ResourceExhaustedError("disk full")});
  EXPECT_FALSE(log->DeleteBefore(7).ok());
  EXPECT_TRUE(IsPoisoned(log->Roll()));
}

// However the log was left. Opening writes over bytes that are there; where it needs more room than there is it refuses,
// and the log can be read all the same.
TEST_F(LogFullDiskTest, OpensWithoutAByteFree) {
  struct State {
    const char* name;
    std::function<void(Log*, FaultyFileSystem*)> leave;
    int64_t log_end_offset;
    absl::StatusCode opened;  // for writing
  };
  const State states[] = {
      {"closed", [](Log* log, FaultyFileSystem*) { VARVE_ASSERT_OK(log->Close()); }, 24, absl::StatusCode::kOk},
      {"flushed", [](Log* log, FaultyFileSystem*) { VARVE_ASSERT_OK(log->Flush()); }, 24,
       absl::StatusCode::kResourceExhausted},
      {"appended to", [](Log* log, FaultyFileSystem*) { AppendMany(log, 8); }, 32,
       absl::StatusCode::kResourceExhausted},
      {"in the middle of a truncation",
       [](Log* log, FaultyFileSystem* faulty) {
         faulty->AddRule({.operation = FileOperation::kRemove, .for_ever = true, .status = absl::InternalError("EIO")});
         ASSERT_FALSE(log->TruncateTo(3).ok());
       },
       3, absl::StatusCode::kOk},  // what goes makes the room
  };
  for (const IoMode io_mode : {IoMode::kMapped, IoMode::kWrite}) {
    for (const State& state : states) {
      SCOPED_TRACE(testing::Message() << state.name << (io_mode == IoMode::kMapped ? ", mapped" : ", by write calls"));
      MemoryFileSystem memory;
      FaultyFileSystem faulty(&memory);
      LogOptions options = testing_support::TinyOptions(&faulty, &clock_, io_mode);
      const auto log = OpenLog(directory_, options);
      AppendMany(log.get(), 24);
      ASSERT_NO_FATAL_FAILURE(state.leave(log.get(), &faulty));
      const auto left = memory.CloneAfterProcessDeath();
      left->set_capacity_bytes(left->used_bytes());
      options.file_system = left.get();
      options.read_only = true;
      ExpectRecords(*OpenLog(directory_, options), 0, state.log_end_offset);
      options.read_only = false;
      {
        const auto full = Log::Open(directory_, options);
        EXPECT_EQ(full.status().code(), state.opened);
        if (full.ok()) ExpectRecords(**full, 0, state.log_end_offset);
      }
      left->set_capacity_bytes(std::nullopt);
      const auto reopened = OpenLog(directory_, options);
      AppendMany(reopened.get(), 3);
      ExpectRecords(*reopened, 0, state.log_end_offset + 3);
    }
  }
}

// Nor after a power loss: an empty segment that came back would overlap what the one before it took on.
TEST_F(LogFullDiskTest, ARollThatFailedHasNotBegun) {
  options_.segment_bytes = 1 << 20;
  for (const char* const file : {"01.log", "01.index", "01.timeindex", "01.snapshot"}) {
    SCOPED_TRACE(file);
    MemoryFileSystem memory;
    FaultyFileSystem faulty(&memory);
    options_.file_system = &faulty;
    const auto log = Open();
    AppendNext(log.get(), {.ack = Ack::kDurable});
    faulty.AddRule(
        {.operation = FileOperation::kOpen, .path_part = file, .status = absl::ResourceExhaustedError("disk full")});
    EXPECT_THAT(log->Roll(), StatusIs(absl::StatusCode::kResourceExhausted));
    AppendNext(log.get(), {.ack = Ack::kDurable});
    for (uint64_t seed = 0; seed < 40; ++seed) {
      const auto after = memory.CloneAfterCrash({.seed = seed});
      options_.file_system = after.get();
      ExpectRecords(*Open(), 0, 2);
    }
  }
}

// The durable point that could not be stored was a lower bound; the cut is made at the one that is announced.
TEST_F(LogFullDiskTest, AStoreThatFailedBeforeTheAnnouncementCostsNothing) {
  options_.file_system = &faulty_;
  const auto log = Open();
  AppendMany(log.get(), 3, {.ack = Ack::kDurable});
  AppendMany(log.get(), 21);
  faulty_.AddRule({.operation = FileOperation::kWrite,
                   .path_part = "varve.state",
                   .status = absl::ResourceExhaustedError("disk full")});
  VARVE_ASSERT_OK(log->TruncateTo(20));
  ExpectRecords(*log, 0, 20);
  EXPECT_EQ(log->durable_offset(), 20);
}

TEST_F(LogFullDiskTest, ADeletionThatStoppedHalfWayGoesOnBeforeATruncation) {
  options_.file_system = &faulty_;
  const std::function<absl::Status(Log*)> truncations[] = {
      [](Log* log) { return log->TruncateTo(30); },
      [](Log* log) { return log->TruncateTo(log->log_start_offset()); },
      [](Log* log) { return log->TruncateFullyAndStartAt(100); },
  };
  for (const auto& truncate : truncations) {
    const auto log = Open();
    VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(0));
    AppendMany(log.get(), 40);
    faulty_.AddRule(
        {.operation = FileOperation::kRename, .for_ever = true, .status = absl::ResourceExhaustedError("disk full")});
    EXPECT_THAT(log->DeleteBefore(19), StatusIs(absl::StatusCode::kResourceExhausted));
    EXPECT_THAT(truncate(log.get()), StatusIs(absl::StatusCode::kResourceExhausted));
    ExpectRecords(*log, 19, 40);
    faulty_.ClearRules();
    VARVE_ASSERT_OK(truncate(log.get()));
    VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, memory_.List(directory_));
    EXPECT_EQ(std::count_if(names.begin(), names.end(), [](const auto& name) { return name.ends_with(".log"); }),
              static_cast<std::ptrdiff_t>(log->segments().size()));
    AppendMany(log.get(), 3);
    ExpectRecords(*log, log->log_start_offset(), log->log_end_offset());
  }
}

TEST_F(LogFullDiskTest, ADeletionThatStoppedHalfWayGoesOnWhenItIsAskedForAgain) {
  options_.file_system = &faulty_;
  const auto log = Open();
  AppendMany(log.get(), 40);
  ASSERT_GT(log->segments().size(), 4u);
  for (const FileOperation operation : {FileOperation::kRename, FileOperation::kWrite}) {
    const int64_t offset = log->log_start_offset() + 9;
    // Of the state's writes the first is the announcement's, after the sync's.
    faulty_.AddRule({.operation = operation,
                     .path_part = operation == FileOperation::kWrite ? "varve.state" : "",
                     .nth = operation == FileOperation::kWrite ? uint64_t{3} : uint64_t{1},
                     .for_ever = true,
                     .status = absl::ResourceExhaustedError("disk full")});
    EXPECT_THAT(log->DeleteBefore(offset), StatusIs(absl::StatusCode::kResourceExhausted));
    EXPECT_EQ(log->log_start_offset(), offset);
    EXPECT_THAT(log->DeleteBefore(offset), StatusIs(absl::StatusCode::kResourceExhausted));
    faulty_.ClearRules();
    VARVE_ASSERT_OK(log->DeleteBefore(offset));
    VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, memory_.List(directory_));
    EXPECT_EQ(std::count_if(names.begin(), names.end(), [](const auto& name) { return name.ends_with(".log"); }),
              static_cast<std::ptrdiff_t>(log->segments().size()));
    const uint64_t operations = faulty_.operation_count();
    VARVE_EXPECT_OK(log->DeleteBefore(offset));
    EXPECT_EQ(faulty_.operation_count(), operations);
    ExpectRecords(*log, offset, 40);
  }
  AppendMany(log.get(), 3);
}

}  // namespace
}  // namespace varve
