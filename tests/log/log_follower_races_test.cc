// A follower beside a writer that changes the files just while they are opened, one that is not serving, and operations
// that fail.
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "log/live_line.h"
#include "log/log_places.h"
#include "log/partition_listing.h"
#include "log/partition_lock.h"
#include "log/writer_watch.h"
#include "segment/segment_files.h"
#include "state/producer_batches.h"
#include "support/hooked_file_system.h"

namespace varve {
namespace {

using internal::LiveLine;
using internal::LiveValues;
using std::chrono::milliseconds;
using ::testing::HasSubstr;
using testing_support::AppendMany;
using testing_support::DataBatch;
using testing_support::ExpectRecords;
using testing_support::HookedFileSystem;
using testing_support::MarkerBatch;
using testing_support::OpenLog;
using testing_support::StatusIs;

constexpr int64_t kRecords = 24;
constexpr char kFirstLog[] = "/00000000000000000000.log";

std::unique_ptr<Log> FollowThrough(FileSystem* file_system, const std::string& directory, LogOptions options) {
  options.file_system = file_system;
  options.read_only = true;
  return OpenLog(directory, options);
}

class LogFollowerRacePlaceTest : public testing_support::LogPlaceTest {};
VARVE_INSTANTIATE_LOG_PLACES(LogFollowerRacePlaceTest);
class LogFollowerRaceTest : public testing_support::LogTest {};

// The writer acts once, before the n-th file is opened by the follower: at every one of them, until none is left.
TEST_F(LogFollowerRaceTest, TheWriterActsWhileFilesAreOpened) {
  struct Change {
    const char* name;
    std::function<absl::Status(Log*)> make;
  };
  const Change changes[] = {{"cuts the active segment", [](Log* log) { return log->TruncateTo(kRecords - 3); }},
                            {"goes back to an earlier segment", [](Log* log) { return log->TruncateTo(7); }},
                            {"starts anew", [](Log* log) { return log->TruncateFullyAndStartAt(1000); }},
                            {"deletes segments", [](Log* log) { return log->DeleteBefore(13); }},
                            {"rolls", [](Log* log) { return log->Roll(); }},
                            {"goes back and writes on", [](Log* log) {
                               const absl::Status truncated = log->TruncateTo(7);
                               if (truncated.ok()) AppendMany(log, 2 * kRecords);
                               return truncated;
                             }}};
  for (const Change& change : changes) {
    for (const bool at_opening : {true, false}) {
      int opens = 0;
      for (int nth = 1;; ++nth) {
        SCOPED_TRACE(testing::Message() << change.name << " before open " << nth
                                        << (at_opening ? "" : " of a refresh"));
        const auto writer = Open();
        VARVE_ASSERT_OK(writer->TruncateFullyAndStartAt(0));
        AppendMany(writer.get(), at_opening ? kRecords : 3);
        HookedFileSystem hooked(options_.file_system);
        const auto act_at_nth = [&](const std::string&) {
          if (++opens != nth) return;
          VARVE_ASSERT_OK(change.make(writer.get()));
        };
        opens = 0;
        if (at_opening) hooked.before_open = act_at_nth;
        const auto follower = FollowThrough(&hooked, directory_, options_);
        ASSERT_NE(follower, nullptr);
        if (!at_opening) {
          AppendMany(writer.get(), kRecords - 3);
          hooked.before_open = act_at_nth;
          VARVE_ASSERT_OK(follower->Refresh());
        }
        hooked.before_open = nullptr;
        if (opens < nth) break;
        LogScan scan = follower->Scan(follower->log_start_offset());
        for (const RecordView& record : scan) ASSERT_EQ(record.value(), testing_support::ValueAt(record.offset()));
        EXPECT_TRUE(scan.status().ok() || absl::IsAborted(scan.status())) << scan.status();
        VARVE_ASSERT_OK(follower->Refresh());
        ExpectRecords(*follower, writer->log_start_offset(), writer->log_end_offset());
        EXPECT_EQ(follower->log_start_offset(), writer->log_start_offset());
      }
      EXPECT_GT(opens, 2);
    }
  }
}

// A segment that a reader comes to for the first time has gone, or is another by now.
TEST_P(LogFollowerRacePlaceTest, ASegmentThatWentBeforeItWasReadIsToldOf) {
  const std::function<absl::Status(Log*)> asks[] = {
      [](Log* log) { return log->Read(3).status(); },
      [](Log* log) { return log->OffsetForTimestamp(1'000'003).status(); },
      [](Log* log) { return log->OffsetForTimestamp(kMaxTimestamp).status(); },
  };
  for (const auto& ask : asks) {
    for (const bool deleted : {true, false}) {
      const auto writer = Open();
      VARVE_ASSERT_OK(writer->TruncateFullyAndStartAt(0));
      AppendMany(writer.get(), kRecords);
      HookedFileSystem hooked(options_.file_system);
      const auto follower = FollowThrough(&hooked, directory_, options_);
      int acted = 0;
      hooked.before_open = [&](const std::string&) {
        if (++acted > 1) return;
        VARVE_ASSERT_OK(deleted ? writer->DeleteBefore(kRecords - 1) : writer->TruncateTo(2));
      };
      EXPECT_THAT(ask(follower.get()), StatusIs(absl::StatusCode::kAborted, HasSubstr("Refresh")));
      EXPECT_GT(acted, 0);
      VARVE_ASSERT_OK(follower->Refresh());
      ExpectRecords(*follower, writer->log_start_offset(), writer->log_end_offset());
    }
  }
}

TEST_F(LogFollowerRaceTest, AWriterThatNeverStopsReplacingFilesIsToldOf) {
  const auto writer = Open();
  AppendMany(writer.get(), 5);
  HookedFileSystem hooked(&memory_);
  const auto follower = FollowThrough(&hooked, directory_, options_);
  VARVE_ASSERT_OK(writer->TruncateTo(4));
  hooked.before_open = [&](const std::string& path) {
    if (!path.ends_with(".log")) return;
    AppendMany(writer.get(), 1);
    VARVE_ASSERT_OK(writer->TruncateTo(4));
  };
  EXPECT_THAT(follower->Refresh(), StatusIs(absl::StatusCode::kAborted, HasSubstr("faster than they can be opened")));
  hooked.before_open = nullptr;
  VARVE_ASSERT_OK(follower->Refresh());
  ExpectRecords(*follower, 0, 4);
}

// --- Lines that say more than the files hold ---

// After a power loss the next writer holds the lock and has not recovered yet: the line of the one before is there, the
// file is shorter.
TEST_F(LogFollowerRaceTest, ALineOfBeforeAPowerLossIsNotBelieved) {
  const auto writer = Open();
  AppendMany(writer.get(), 4);
  VARVE_ASSERT_OK(writer->Flush());
  AppendMany(writer.get(), 1);
  const std::unique_ptr<MemoryFileSystem> after = memory_.CloneAfterCrash({.mode = CrashMode::kKeepAll});
  VARVE_ASSERT_OK_AND_ASSIGN(const auto found, writer->NewReader().Find(4));
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto file, after->Open(directory_ + kFirstLog, OpenMode::kReadWrite));
    VARVE_ASSERT_OK(file->Truncate(static_cast<uint64_t>(found->position)));
  }
  VARVE_ASSERT_OK_AND_ASSIGN(const auto lock, internal::LockPartition(after.get(), directory_));
  const auto follower = FollowThrough(after.get(), directory_, options_);
  ExpectRecords(*follower, 0, 4);
}

// On the same run of the kernel it is the writer that stops the service before it recovers. Who follows already stays
// with what was published; who comes now looks at the log as at a stopped one.
TEST_F(LogFollowerRaceTest, AWriterThatRecoversIsNotBelievedYet) {
  const auto writer = Open();
  AppendMany(writer.get(), 5);
  const auto follower = FollowThrough(&memory_, directory_, options_);
  VARVE_ASSERT_OK(LiveLine::StopService(&memory_, directory_));
  const auto late = FollowThrough(&memory_, directory_, options_);
  ExpectRecords(*late, 0, 5);
  EXPECT_EQ(late->recovery_report().log_end_offset, 5);
  VARVE_ASSERT_OK(follower->Refresh());
  VARVE_ASSERT_OK(late->Refresh());
  ExpectRecords(*follower, 0, 5);
  EXPECT_THAT(follower->WaitForData(5, milliseconds(10)), StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(late->WaitForData(5, milliseconds(10)), StatusIs(absl::StatusCode::kDeadlineExceeded));
  AppendMany(writer.get(), 2);  // it serves again
  for (Log* const log : {follower.get(), late.get()}) {
    VARVE_ASSERT_OK(log->WaitForData(6, std::chrono::minutes(5)));
    ExpectRecords(*log, 0, 7);
  }
}

// Between a recovery that has forgotten the line and the first store of the writer whose recovery it was. Who takes that
// for a log without a line notices nothing of what the writer then changes.
TEST_F(LogFollowerRaceTest, AForgottenLineIsABusyWriters) {
  const auto writer = Open();
  AppendMany(writer.get(), kRecords);
  const auto follower = FollowThrough(&memory_, directory_, options_);
  VARVE_ASSERT_OK(LiveLine::StopService(&memory_, directory_));
  VARVE_ASSERT_OK(LiveLine::Forget(&memory_, directory_));
  internal::WriterWatch watch(&memory_, directory_);
  VARVE_ASSERT_OK_AND_ASSIGN(const internal::WriterSight sight, watch.Look());
  EXPECT_EQ(sight.presence, internal::WriterPresence::kBusy);
  EXPECT_EQ(sight.values.generation, watch.line()->generation());
  const auto late = FollowThrough(&memory_, directory_, options_);
  VARVE_ASSERT_OK(follower->Refresh());
  for (Log* const log : {follower.get(), late.get()}) ExpectRecords(*log, 0, kRecords);
  VARVE_ASSERT_OK(writer->TruncateTo(kRecords - 1));
  for (Log* const log : {follower.get(), late.get()}) {
    EXPECT_THAT(log->Read(0), StatusIs(absl::StatusCode::kAborted, HasSubstr("call Refresh")));
    VARVE_ASSERT_OK(log->Refresh());
    ExpectRecords(*log, 0, kRecords - 1);
  }
}

// A swap of many files on a slow disk outlasts the patience of a follower, which then looks at files whose names change
// under it.
TEST_F(LogFollowerRaceTest, ANameThatABusyWriterChangesIsLookedForAgain) {
  const auto writer = Open();
  AppendMany(writer.get(), kRecords);
  const std::string final_name = directory_ + kFirstLog;
  const std::string swap_name = final_name + ".swap";
  VARVE_ASSERT_OK(LiveLine::StopService(&memory_, directory_));
  VARVE_ASSERT_OK(memory_.Rename(final_name, swap_name));
  HookedFileSystem hooked(&memory_);
  int opened = 0;
  hooked.before_open = [&](const std::string& path) {
    if (path != swap_name || ++opened > 1) return;
    VARVE_ASSERT_OK(memory_.Rename(swap_name, final_name));
  };
  const auto follower = FollowThrough(&hooked, directory_, options_);
  EXPECT_EQ(opened, 1);
  ExpectRecords(*follower, 0, kRecords);
}

// A listing of names that are just being changed may lack a file under both its names.
TEST_F(LogFollowerRaceTest, NamesThatChangeWhileALogIsOpenedAreListedAgain) {
  {
    const auto writer = Open();
    AppendMany(writer.get(), kRecords);
    VARVE_ASSERT_OK(writer->Close());
  }
  VARVE_ASSERT_OK_AND_ASSIGN(const auto listing, internal::ListPartition(&memory_, directory_));
  const std::string renamed =
      directory_ + "/" + internal::SegmentFileName(listing.BaseOffsets().at(1), internal::SegmentFileKind::kLog);
  const std::string elsewhere = "/elsewhere";
  VARVE_ASSERT_OK(memory_.Rename(renamed, elsewhere));
  HookedFileSystem hooked(&memory_);
  int opened = 0;
  hooked.before_open = [&](const std::string& path) {
    if (!path.ends_with(".log") || ++opened > 1) return;
    VARVE_ASSERT_OK(memory_.Rename(elsewhere, renamed));
  };
  const auto follower = FollowThrough(&hooked, directory_, options_);
  ExpectRecords(*follower, 0, kRecords);
}

TEST_F(LogFollowerRaceTest, ADirectoryThatCannotBeListedIsToldOfWheneverThatIs) {
  {
    const auto writer = Open();
    AppendMany(writer.get(), kRecords);
    VARVE_ASSERT_OK(writer->Close());
  }
  LogOptions options = options_;
  options.read_only = true;
  for (uint64_t nth = 1;; ++nth) {
    SCOPED_TRACE(nth);
    FaultyFileSystem faulty(&memory_);
    faulty.AddRule({.operation = FileOperation::kList, .nth = nth, .status = absl::ResourceExhaustedError("EMFILE")});
    options.file_system = &faulty;
    const auto follower = Log::Open(directory_, options);
    if (faulty.faults_fired() == 0) {
      EXPECT_GT(nth, 4u);
      break;
    }
    EXPECT_THAT(follower, StatusIs(absl::StatusCode::kResourceExhausted));
  }
}

// A transaction index whose name is changed just then would make of what was aborted what was committed.
TEST_F(LogFollowerRaceTest, WhatWasAbortedIsKnownThoughABusyWriterTakesTheIndexAway) {
  const auto writer = Open();
  VARVE_ASSERT_OK(writer->AppendAsFollower(DataBatch({.base_offset = 0, .producer_id = 7, .transactional = true}), 9));
  VARVE_ASSERT_OK(writer->AppendAsFollower(MarkerBatch(ControlType::kAbort, 1, 7), 9));
  VARVE_ASSERT_OK(writer->Roll());
  VARVE_ASSERT_OK(LiveLine::StopService(&memory_, directory_));
  const auto follower = FollowThrough(&memory_, directory_, options_);
  VARVE_ASSERT_OK(memory_.Remove(directory_ + "/00000000000000000000.txnindex"));
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<AbortedTransaction> aborted, follower->AbortedTransactions(0, 2));
  ASSERT_EQ(aborted.size(), 1u);
  EXPECT_EQ(aborted.front().producer_id, 7);
}

// Most segments have no transaction index: only those that there are cost an open.
TEST_F(LogFollowerRaceTest, OnlyTransactionIndexesThatThereAreAreOpened) {
  {
    const auto writer = Open();
    VARVE_ASSERT_OK(
        writer->AppendAsFollower(DataBatch({.base_offset = 0, .producer_id = 7, .transactional = true}), 9));
    VARVE_ASSERT_OK(writer->AppendAsFollower(MarkerBatch(ControlType::kAbort, 1, 7), 9));
    AppendMany(writer.get(), kRecords);
    VARVE_ASSERT_OK(writer->Close());
  }
  HookedFileSystem hooked(&memory_);
  std::vector<std::string> opened;
  hooked.before_open = [&](const std::string& path) {
    if (path.ends_with(".txnindex")) opened.push_back(path);
  };
  const auto follower = FollowThrough(&hooked, directory_, options_);
  EXPECT_GT(follower->segments().size(), 3u);
  EXPECT_THAT(opened, testing::Each(HasSubstr("00000000000000000000.txnindex")));
  EXPECT_FALSE(opened.empty());
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<AbortedTransaction> aborted, follower->AbortedTransactions(0, kRecords));
  EXPECT_EQ(aborted.size(), 1u);
}

// Who opened the log beside a busy writer reads by names that it may be changing.
TEST_F(LogFollowerRaceTest, WhatABusyWriterTakesAwayIsToldOf) {
  const auto writer = Open();
  AppendMany(writer.get(), kRecords);
  VARVE_ASSERT_OK(LiveLine::StopService(&memory_, directory_));
  const auto follower = FollowThrough(&memory_, directory_, options_);
  ExpectRecords(*follower, kRecords - 1, kRecords);
  VARVE_ASSERT_OK(memory_.Rename(directory_ + kFirstLog, "/elsewhere"));
  EXPECT_THAT(follower->Read(0), StatusIs(absl::StatusCode::kAborted, HasSubstr("call Refresh")));
  EXPECT_THAT(follower->OffsetForTimestamp(1), StatusIs(absl::StatusCode::kAborted, HasSubstr("call Refresh")));
  VARVE_ASSERT_OK(memory_.Rename("/elsewhere", directory_ + kFirstLog));
  ExpectRecords(*follower, 0, kRecords);
}

// Who had opened it before meets the writer while that is busy, and goes on with what was taken in: what the writer does
// then shows all the same.
TEST_F(LogFollowerRaceTest, WhatAWriterReplacesThatWasMetBusyIsToldOf) {
  AppendMany(Open().get(), kRecords);
  const auto follower = FollowThrough(&memory_, directory_, options_);
  ExpectRecords(*follower, kRecords - 1, kRecords);
  HookedFileSystem hooked(&memory_);
  bool met = false;
  hooked.before_open = [&](const std::string& path) {
    if (met || !path.ends_with(".log")) return;
    met = true;
    VARVE_ASSERT_OK(follower->Refresh());
    ExpectRecords(*follower, kRecords - 1, kRecords);
  };
  LogOptions options = options_;
  options.file_system = &hooked;
  const auto writer = OpenLog(directory_, options);
  ASSERT_TRUE(met);
  VARVE_ASSERT_OK(writer->TruncateTo(7));
  for (int64_t offset = 7; offset < kRecords; ++offset) {
    VARVE_ASSERT_OK(writer->Append({{.value = "another"}}));
  }
  EXPECT_THAT(follower->Read(8), StatusIs(absl::StatusCode::kAborted, HasSubstr("call Refresh")));
  VARVE_ASSERT_OK(follower->Refresh());
  EXPECT_EQ(follower->log_end_offset(), writer->log_end_offset());
  EXPECT_THAT(follower->Read(8), StatusIs(absl::StatusCode::kOk));
}

// A refresh that told at once that there is nothing new would make of a host that reads and refreshes in turn a loop
// that does not pause.
TEST_F(LogFollowerRaceTest, WhoIsSentToRefreshByABusyWriterWaitsForIt) {
  for (const bool viewed : {true, false}) {
    SCOPED_TRACE(viewed ? "followed before" : "comes beside it");
    const auto writer = Open();
    VARVE_ASSERT_OK(writer->TruncateFullyAndStartAt(0));
    AppendMany(writer.get(), kRecords);
    FaultyFileSystem watched(&memory_);
    std::unique_ptr<Log> follower;
    if (viewed) follower = FollowThrough(&watched, directory_, options_);
    VARVE_ASSERT_OK(LiveLine::StopService(&memory_, directory_));
    if (!viewed) follower = FollowThrough(&watched, directory_, options_);
    uint64_t looks = watched.operation_count(FileOperation::kLock);
    VARVE_ASSERT_OK(follower->Refresh());
    EXPECT_EQ(watched.operation_count(FileOperation::kLock), looks + 1) << "nobody lacks anything";
    VARVE_ASSERT_OK(memory_.Rename(directory_ + kFirstLog, "/elsewhere"));
    EXPECT_THAT(follower->Read(0), StatusIs(absl::StatusCode::kAborted, HasSubstr("call Refresh")));
    looks = 0;
    watched.SetObserver([&](const FileCall& call) {
      if (call.operation != FileOperation::kLock || ++looks != 3) return;
      VARVE_ASSERT_OK(memory_.Rename("/elsewhere", directory_ + kFirstLog));
      AppendMany(writer.get(), 1);  // it serves again
    });
    VARVE_ASSERT_OK(follower->Refresh());
    watched.SetObserver(nullptr);
    EXPECT_EQ(follower->log_end_offset(), kRecords + 1);
    ExpectRecords(*follower, 0, kRecords + 1);
  }
}

TEST_F(LogFollowerRaceTest, AWriterThatStaysBusyIsWaitedForOnceALack) {
  const auto writer = Open();
  AppendMany(writer.get(), kRecords);
  FaultyFileSystem watched(&memory_);
  const auto follower = FollowThrough(&watched, directory_, options_);
  VARVE_ASSERT_OK(LiveLine::StopService(&memory_, directory_));
  VARVE_ASSERT_OK(memory_.Rename(directory_ + kFirstLog, "/elsewhere"));
  EXPECT_THAT(follower->Read(0), StatusIs(absl::StatusCode::kAborted, HasSubstr("call Refresh")));
  uint64_t looks = watched.operation_count(FileOperation::kLock);
  VARVE_ASSERT_OK(follower->Refresh());
  EXPECT_GT(watched.operation_count(FileOperation::kLock), looks + 2);
  looks = watched.operation_count(FileOperation::kLock);
  VARVE_ASSERT_OK(follower->Refresh());
  EXPECT_EQ(watched.operation_count(FileOperation::kLock), looks + 1);
  VARVE_ASSERT_OK(memory_.Rename("/elsewhere", directory_ + kFirstLog));
}

// A writer that restarts recovers for minutes: what it has noted as damaged is not on its way.
TEST_F(LogFollowerRaceTest, KnownDamageIsToldOfThoughAWriterIsBusy) {
  options_.io_mode = IoMode::kWrite;
  {
    const auto log = Open();
    AppendMany(log.get(), 4);
    VARVE_ASSERT_OK_AND_ASSIGN(const auto found, log->NewReader().Find(2));
    VARVE_ASSERT_OK_AND_ASSIGN(const auto file, memory_.Open(directory_ + kFirstLog, OpenMode::kReadWrite));
    VARVE_ASSERT_OK(log->Close());
    VARVE_ASSERT_OK(file->WriteAt(static_cast<uint64_t>(found->position), std::vector<std::byte>(61)));
  }
  options_.recover_all = true;
  const auto writer = Open();
  ASSERT_EQ(writer->damage().size(), 1u);
  const auto follower = FollowThrough(&memory_, directory_, options_);
  VARVE_ASSERT_OK(LiveLine::StopService(&memory_, directory_));
  const auto late = FollowThrough(&memory_, directory_, options_);
  for (Log* const log : {follower.get(), late.get()}) {
    EXPECT_THAT(log->Read(2), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("offsets 2 to 2 cannot be served")));
    VARVE_EXPECT_OK(log->Read(3));
  }
  VARVE_ASSERT_OK(writer->TruncateTo(3));
  EXPECT_THAT(follower->Read(2), StatusIs(absl::StatusCode::kAborted)) << "what is there now, nobody here knows";
}

TEST_F(LogFollowerRaceTest, ABusyWriterWhoseFilesCannotBeReadIsToldOf) {
  const auto writer = Open();
  AppendMany(writer.get(), kRecords);
  VARVE_ASSERT_OK(LiveLine::StopService(&memory_, directory_));
  FaultyFileSystem faulty(&memory_);
  faulty.AddRule({.path_part = kFirstLog, .for_ever = true, .status = absl::InternalError("injected")});
  LogOptions options = options_;
  options.file_system = &faulty;
  options.read_only = true;
  EXPECT_THAT(Log::Open(directory_, options), StatusIs(absl::StatusCode::kInternal, HasSubstr("injected")));
}

// Every opening stops the service while it loads, and every closing, so that no line outlives its writer.
TEST_F(LogFollowerRaceTest, NobodyServesWhileALogIsOpenedOrClosed) {
  {
    const auto writer = Open();
    AppendMany(writer.get(), 5);
  }
  VARVE_ASSERT_OK_AND_ASSIGN(const auto line, LiveLine::Open(&memory_, directory_));
  EXPECT_FALSE(line->Load()->served);
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto writer_line, LiveLine::Create(&memory_, directory_, {}));
    LiveValues values = *line->Load();
    values.served = true;
    VARVE_ASSERT_OK(writer_line->Store(values));
  }
  HookedFileSystem hooked(&memory_);
  int asked = 0;
  hooked.before_open = [&](const std::string& path) {
    if (!path.ends_with(".log")) return;
    ++asked;
    EXPECT_FALSE(line->Load()->served) << path;
  };
  options_.file_system = &hooked;
  const auto writer = Open();
  EXPECT_GT(asked, 0);
  EXPECT_TRUE(line->Load()->served);
}

TEST_P(LogFollowerRacePlaceTest, AFileThatSomebodyShrankIsTold) {
  const auto writer = Open();
  AppendMany(writer.get(), 3);
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto file,
                               options_.file_system->Open(directory_ + kFirstLog, OpenMode::kReadWrite));
    VARVE_ASSERT_OK(file->Truncate(50));
  }
  LogOptions options = options_;
  options.read_only = true;
  EXPECT_THAT(Log::Open(directory_, options),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("that varve.live tells of, found 50")));
}

TEST_F(LogFollowerRaceTest, BytesThatAreNoBatchAreTold) {
  const auto writer = Open();
  AppendMany(writer.get(), 5);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto found, writer->NewReader().Find(2));
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto file, memory_.Open(directory_ + kFirstLog, OpenMode::kReadWrite));
    VARVE_ASSERT_OK(file->WriteAt(static_cast<uint64_t>(found->position), std::vector<std::byte>(61)));
  }
  LogOptions options = options_;
  options.read_only = true;
  EXPECT_THAT(Log::Open(directory_, options),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("at position " + std::to_string(found->position) + ": expected a record batch")));
}

// --- Operations that fail ---

// Each operation of a refresh fails once. The refresh says so or does without, never is anything wrong, and the next
// one is as if nothing had happened.
TEST_F(LogFollowerRaceTest, EveryFailingOperationOfARefreshIsAnErrorOrCostsNothing) {
  enum Moment { kFirst, kAfterARoll, kAfterATruncation, kAfterClosing, kLast };
  for (int moment = kFirst; moment < kLast; ++moment) {
    uint64_t fired = 0;
    for (uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(testing::Message() << "moment " << moment << ", operation " << nth);
      const auto writer = Open();
      VARVE_ASSERT_OK(writer->TruncateFullyAndStartAt(0));
      AppendMany(writer.get(), 12);
      FaultyFileSystem faulty(&memory_);
      const FaultRule rule{.nth = nth, .status = absl::InternalError("injected")};
      LogOptions options = options_;
      options.file_system = &faulty;
      options.read_only = true;
      if (moment == kFirst) faulty.AddRule(rule);
      absl::StatusOr<std::unique_ptr<Log>> follower = Log::Open(directory_, options);
      absl::Status status = follower.status();
      if (moment != kFirst) {
        VARVE_ASSERT_OK(status);
        AppendMany(writer.get(), 12);
        if (moment == kAfterATruncation) {
          VARVE_EXPECT_OK(writer->TruncateTo(8));
        }
        if (moment == kAfterClosing) {
          VARVE_EXPECT_OK(writer->Close());
        }
        faulty.AddRule(rule);
        status = (*follower)->Refresh();
      }
      const bool fault_fired = faulty.faults_fired() > 0;
      faulty.ClearRules();
      if (!status.ok()) {
        EXPECT_THAT(status, StatusIs(absl::StatusCode::kInternal, HasSubstr("injected")));
      }
      if (!follower.ok()) follower = Log::Open(directory_, options);
      VARVE_ASSERT_OK(follower);
      VARVE_ASSERT_OK((*follower)->Refresh());
      ExpectRecords(**follower, 0, writer->log_end_offset());
      if (!fault_fired) break;
      ++fired;
    }
    EXPECT_GT(fired, 8u) << moment;
  }
}

}  // namespace
}  // namespace varve
