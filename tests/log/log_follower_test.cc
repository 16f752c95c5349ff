// A log opened read-only: what it takes in from a writer, where its consumers stop, and what it does without one.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "log/log_places.h"
#include "log/partition_fixture.h"
#include "segment/segment_files.h"
#include "state/producer_batches.h"
#include "varve/testing/faulty_file_system.h"

namespace varve {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using testing_support::AppendMany;
using testing_support::AppendNext;
using testing_support::DataBatch;
using testing_support::ExpectRecords;
using testing_support::LogTest;
using testing_support::MarkerBatch;
using testing_support::OpenLog;
using testing_support::ReadFiles;
using testing_support::StatusIs;

constexpr int64_t kRecords = 24;

// Followers read through the system's calls alone: here they share the files with the writer, in one process.
template <typename Base>
class Following : public Base {
 protected:
  std::unique_ptr<Log> Follow() {
    return Follow([](LogOptions*) {});
  }
  std::unique_ptr<Log> Follow(const std::function<void(LogOptions*)>& change) {
    LogOptions options = this->options_;
    options.read_only = true;
    change(&options);
    return OpenLog(this->directory_, options);
  }
};

class LogFollowerPlaceTest : public Following<testing_support::LogPlaceTest> {};
VARVE_INSTANTIATE_LOG_PLACES(LogFollowerPlaceTest);
class LogFollowerTest : public Following<LogTest> {};

void ExpectSameOffsets(const Log& follower, const Log& writer) {
  const LogOffsets found = follower.offsets();
  const LogOffsets expected = writer.offsets();
  EXPECT_EQ(found.log_start_offset, expected.log_start_offset);
  EXPECT_EQ(found.high_watermark, expected.high_watermark);
  EXPECT_EQ(found.log_end_offset, expected.log_end_offset);
  EXPECT_EQ(found.durable_offset, expected.durable_offset);
  EXPECT_EQ(found.last_stable_offset, expected.last_stable_offset);
}

// A snapshot keeps the last batch of each producer: of a follower no more is asked.
std::vector<ProducerStateEntry> LastBatches(std::vector<ProducerStateEntry> producers) {
  for (ProducerStateEntry& producer : producers) {
    if (!producer.batches.empty()) producer.batches = {producer.batches.back()};
  }
  return producers;
}

int64_t CountRecords(const Log& log, Isolation isolation) {
  int64_t count = 0;
  LogScan scan = log.Scan(log.log_start_offset(), {.isolation = isolation});
  for (const RecordView& record : scan) count += record.offset() >= 0 ? 1 : 0;
  EXPECT_TRUE(scan.status().ok()) << scan.status();
  return count;
}

void Take(Log* log, const std::vector<std::byte>& batches) {
  const auto result = log->AppendAsFollower(batches, 9);
  ASSERT_TRUE(result.ok()) << result.status();
}

// --- What the writer does ---

TEST_P(LogFollowerPlaceTest, TakesInAppendsAndRolls) {
  const auto writer = Open();
  const auto follower = Follow();
  LogReader reader = follower->NewReader();
  for (int64_t end = 1; end <= kRecords; ++end) {
    AppendNext(writer.get());
    VARVE_ASSERT_OK(follower->Refresh());
    ExpectSameOffsets(*follower, *writer);
    VARVE_ASSERT_OK_AND_ASSIGN(const auto last, reader.ReadBatch(end - 1));
    ASSERT_TRUE(last.has_value());
    EXPECT_EQ(last->base_offset(), end - 1);
  }
  EXPECT_GT(writer->segments().size(), 3u);
  ExpectRecords(*follower, 0, kRecords);
  EXPECT_EQ(follower->segments().size(), writer->segments().size());
  VARVE_ASSERT_OK_AND_ASSIGN(const auto last, follower->OffsetForTimestamp(kMaxTimestamp));
  EXPECT_EQ(last->offset, kRecords - 1);
}

TEST_P(LogFollowerPlaceTest, ComesToALogThatIsWrittenAlready) {
  const auto writer = Open();
  AppendMany(writer.get(), kRecords);
  const auto follower = Follow();
  ExpectRecords(*follower, 0, kRecords);
  ExpectSameOffsets(*follower, *writer);
}

// Until Refresh every read says so; afterwards none does.
TEST_P(LogFollowerPlaceTest, PublishedDataThatWentIsToldOnce) {
  struct Change {
    const char* name;
    std::function<absl::Status(Log*)> make;
  };
  const Change changes[] = {
      {"truncation inside a segment", [](Log* log) { return log->TruncateTo(kRecords - 1); }},
      {"truncation to an earlier segment", [](Log* log) { return log->TruncateTo(7); }},
      {"truncation of everything", [](Log* log) { return log->TruncateTo(0); }},
      {"a fresh start behind the end", [](Log* log) { return log->TruncateFullyAndStartAt(1000); }},
      {"a fresh start at 0", [](Log* log) { return log->TruncateFullyAndStartAt(0); }},
      {"deletion of segments", [](Log* log) { return log->DeleteBefore(13); }},
  };
  for (const Change& change : changes) {
    SCOPED_TRACE(change.name);
    const auto writer = Open();
    VARVE_ASSERT_OK(writer->TruncateFullyAndStartAt(0));
    AppendMany(writer.get(), kRecords);
    const auto follower = Follow();
    LogReader reader = follower->NewReader();
    VARVE_ASSERT_OK(reader.Read(kRecords - 1));
    VARVE_ASSERT_OK(change.make(writer.get()));
    for (int read = 0; read < 2; ++read) {
      EXPECT_THAT(reader.Read(writer->log_end_offset()), StatusIs(absl::StatusCode::kAborted, HasSubstr("Refresh")));
    }
    VARVE_ASSERT_OK(follower->Refresh());
    ExpectSameOffsets(*follower, *writer);
    VARVE_EXPECT_OK(reader.Read(writer->log_end_offset()));
    ExpectRecords(*follower, writer->log_start_offset(), writer->log_end_offset());
    AppendMany(writer.get(), 7);
    VARVE_EXPECT_OK(reader.Read(follower->log_end_offset()));
    VARVE_ASSERT_OK(follower->Refresh());
    ExpectRecords(*follower, writer->log_start_offset(), writer->log_end_offset());
    VARVE_EXPECT_OK(reader.Read(writer->log_end_offset() - 1));
  }
}

TEST_F(LogFollowerTest, ALogStartInsideASegmentMovesWithoutAFuss) {
  const auto writer = Open();
  AppendMany(writer.get(), 3);
  const auto follower = Follow();
  LogReader reader = follower->NewReader();
  VARVE_ASSERT_OK(writer->DeleteBefore(2));
  VARVE_EXPECT_OK(reader.Read(1));
  VARVE_ASSERT_OK(follower->Refresh());
  EXPECT_THAT(reader.Read(1), StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("holds 2 to 3")));
  ExpectRecords(*follower, 2, 3);
}

TEST_P(LogFollowerPlaceTest, GoesOnThroughCloseAndReopening) {
  auto writer = Open();
  AppendMany(writer.get(), 3);
  const auto follower = Follow();
  for (int64_t round = 1; round <= 3; ++round) {
    AppendMany(writer.get(), 7);
    VARVE_ASSERT_OK(writer->Close());
    VARVE_ASSERT_OK(follower->Refresh());
    ExpectRecords(*follower, 0, 3 + 7 * round);
    EXPECT_EQ(follower->durable_offset(), 3 + 7 * round);
    VARVE_ASSERT_OK(follower->Refresh());
    writer = Open();
    VARVE_ASSERT_OK(follower->Refresh());
    ExpectRecords(*follower, 0, 3 + 7 * round);
    ExpectSameOffsets(*follower, *writer);
  }
}

// A writer that another line is made for, as after a removal of varve's own files, is followed by that one.
TEST_F(LogFollowerTest, FollowsTheLineOfTheMoment) {
  auto writer = Open();
  AppendMany(writer.get(), 3);
  const auto follower = Follow();
  LogReader reader = follower->NewReader();
  VARVE_ASSERT_OK(reader.Read(0));
  VARVE_ASSERT_OK(writer->Close());
  VARVE_ASSERT_OK(memory_.Remove(directory_ + "/varve.live"));
  VARVE_ASSERT_OK(memory_.Remove(directory_ + "/varve.state"));
  writer = Open();
  AppendMany(writer.get(), 3);
  VARVE_ASSERT_OK(follower->Refresh());
  ExpectRecords(*follower, 0, 6);
  VARVE_ASSERT_OK(writer->TruncateTo(4));
  EXPECT_THAT(reader.Read(0), StatusIs(absl::StatusCode::kAborted));
  VARVE_ASSERT_OK(follower->Refresh());
  ExpectRecords(*follower, 0, 4);
}

TEST_F(LogFollowerTest, TwoFollowersDoNotMindEachOther) {
  const auto writer = Open();
  const auto one = Follow();
  const auto other = Follow();
  AppendMany(writer.get(), 9);
  VARVE_ASSERT_OK(one->Refresh());
  ExpectRecords(*one, 0, 9);
  EXPECT_EQ(other->log_end_offset(), 0);
  VARVE_ASSERT_OK(writer->TruncateTo(4));
  VARVE_ASSERT_OK(other->Refresh());
  ExpectRecords(*other, 0, 4);
  EXPECT_THAT(one->Read(0), StatusIs(absl::StatusCode::kAborted));
  VARVE_ASSERT_OK(one->Close());
  VARVE_ASSERT_OK(writer->Append({{.value = "more"}}));
  VARVE_ASSERT_OK(other->Refresh());
  EXPECT_EQ(other->log_end_offset(), 5);
  EXPECT_THAT(one->Refresh(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("closed")));
}

// Its own segment_bytes says how much is mapped at once: the writer's may be larger.
TEST_F(LogFollowerTest, ASegmentMayOutgrowTheMapping) {
  options_.segment_bytes = 1 << 20;
  const auto writer = Open();
  const auto follower = Follow([](LogOptions* options) { options->segment_bytes = 14; });
  for (int64_t end = 1; end <= kRecords; ++end) {
    AppendNext(writer.get());
    VARVE_ASSERT_OK(follower->Refresh());
    ExpectRecords(*follower, 0, end);
  }
  EXPECT_EQ(follower->segments().size(), 1u);
}

TEST_F(LogFollowerTest, LeaderEpochsComeWithTheirBatches) {
  const auto writer = Open();
  const auto follower = Follow();
  for (const int32_t epoch : {1, 1, 4, 4, 9}) {
    AppendNext(writer.get(), {.leader_epoch = epoch});
    VARVE_ASSERT_OK(follower->Refresh());
    EXPECT_EQ(follower->leader_epochs(), writer->leader_epochs());
    EXPECT_EQ(follower->EndOffsetForEpoch(epoch), writer->EndOffsetForEpoch(epoch));
  }
  VARVE_ASSERT_OK(writer->DeleteBefore(3));
  VARVE_ASSERT_OK(follower->Refresh());
  EXPECT_EQ(follower->leader_epochs(), writer->leader_epochs());
  EXPECT_EQ(follower->OffsetForTimestamp(kLatestTimestamp)->value().leader_epoch, 9);
}

// --- Where consumers stop ---

TEST_F(LogFollowerTest, TheHighWatermarkIsTheWriters) {
  auto writer = Open();
  writer->SetHighWatermark(0);
  AppendMany(writer.get(), 5);
  writer->SetHighWatermark(2);
  const auto follower = Follow();
  ExpectSameOffsets(*follower, *writer);
  EXPECT_EQ(CountRecords(*follower, Isolation::kHighWatermark), 2);
  EXPECT_EQ(CountRecords(*follower, Isolation::kLogEnd), 5);
  EXPECT_THAT(follower->WaitForData(2, milliseconds(5)), StatusIs(absl::StatusCode::kDeadlineExceeded));
  writer->SetHighWatermark(4);
  VARVE_ASSERT_OK(follower->WaitForData(3, std::chrono::minutes(5)));
  EXPECT_EQ(CountRecords(*follower, Isolation::kHighWatermark), 4);
  // What was not committed is not, only because the writer has gone.
  VARVE_ASSERT_OK(writer->Close());
  VARVE_ASSERT_OK(follower->Refresh());
  EXPECT_EQ(CountRecords(*follower, Isolation::kHighWatermark), 4);
  writer = Open();
  VARVE_ASSERT_OK(follower->Refresh());
  EXPECT_EQ(CountRecords(*follower, Isolation::kHighWatermark), 5);
}

TEST_F(LogFollowerTest, AHighWatermarkOfItsOwnHostStaysWhereTheWriterSetsNone) {
  const auto writer = Open();
  AppendMany(writer.get(), 5);
  const auto follower = Follow();
  follower->SetHighWatermark(3);
  AppendMany(writer.get(), 2);
  VARVE_ASSERT_OK(follower->Refresh());
  EXPECT_EQ(follower->high_watermark(), 3);
  writer->SetHighWatermark(6);
  VARVE_ASSERT_OK(follower->Refresh());
  EXPECT_EQ(follower->high_watermark(), 6);
}

// The durable offset moves by syncs, without an append: a follower sees it, and waits for it.
TEST_F(LogFollowerTest, TheDurableOffsetIsThatOfTheLastSync) {
  const auto writer = Open();
  const auto follower = Follow();
  const auto durable = Follow([](LogOptions* options) { options->visibility = Visibility::kDurable; });
  for (int64_t end = 1; end <= kRecords; ++end) {
    AppendNext(writer.get());
    VARVE_ASSERT_OK(follower->Refresh());
    EXPECT_EQ(follower->durable_offset(), end - 1);
    VARVE_ASSERT_OK(writer->Flush());
    VARVE_ASSERT_OK(follower->Refresh());
    EXPECT_EQ(follower->durable_offset(), end);
    VARVE_ASSERT_OK(durable->WaitForData(end - 1, std::chrono::minutes(5)));
    EXPECT_EQ(durable->high_watermark(), end);
  }
  AppendMany(writer.get(), 3, {.ack = Ack::kDurable});
  VARVE_ASSERT_OK(follower->Refresh());
  ExpectSameOffsets(*follower, *writer);
}

TEST_F(LogFollowerTest, AWriterThatShowsOnlyWhatIsDurableIsFollowedInThat) {
  options_.visibility = Visibility::kDurable;
  const auto writer = Open();
  const auto follower = Follow([](LogOptions* options) { options->visibility = Visibility::kLogEnd; });
  AppendMany(writer.get(), 5);
  VARVE_ASSERT_OK(follower->Refresh());
  EXPECT_EQ(CountRecords(*follower, Isolation::kHighWatermark), 0);
  VARVE_ASSERT_OK(writer->Flush());
  VARVE_ASSERT_OK(follower->Refresh());
  EXPECT_EQ(CountRecords(*follower, Isolation::kHighWatermark), 5);
  VARVE_ASSERT_OK(writer->TruncateTo(3));
  VARVE_ASSERT_OK(follower->Refresh());
  ExpectSameOffsets(*follower, *writer);
}

// Transactions open, committed and aborted, with a high watermark that lags, leaps, and follows the log; through rolls.
TEST_F(LogFollowerTest, CommittedReadersStopWhereTheWritersDo) {
  options_.producer_id_expiration_ms = std::numeric_limits<int64_t>::max();
  for (const Visibility visibility : {Visibility::kLogEnd, Visibility::kDurable}) {
    for (const int64_t lag : {int64_t{-1}, int64_t{0}, int64_t{1}, int64_t{5}}) {
      SCOPED_TRACE(lag);
      options_.visibility = visibility;
      const auto writer = Open();
      VARVE_ASSERT_OK(writer->TruncateFullyAndStartAt(0));
      const auto follower = Follow([](LogOptions* options) { options->visibility = Visibility::kLogEnd; });
      for (int32_t step = 0; step < 30; ++step) {
        const int64_t producer_id = 7 + step % 2;
        const int64_t end = writer->log_end_offset();
        if (step % 6 == 4 || step % 6 == 5) {
          Take(writer.get(), MarkerBatch(step % 4 == 0 ? ControlType::kCommit : ControlType::kAbort, end, producer_id));
        } else {
          Take(writer.get(), DataBatch({.base_offset = end,
                                        .producer_id = producer_id,
                                        .base_sequence = step / 2 - step / 6,
                                        .transactional = true}));
        }
        if (lag >= 0) writer->SetHighWatermark(writer->log_end_offset() - lag);
        if (step % 7 == 0) {
          VARVE_ASSERT_OK(writer->Flush());
        }
        VARVE_ASSERT_OK(follower->Refresh());
        ExpectSameOffsets(*follower, *writer);
        EXPECT_EQ(CountRecords(*follower, Isolation::kCommitted), CountRecords(*writer, Isolation::kCommitted));
        EXPECT_EQ(LastBatches(follower->producers()), LastBatches(writer->producers()));
      }
      EXPECT_GT(writer->segments().size(), 3u);
    }
  }
}

TEST_F(LogFollowerTest, ProducersAreKnownWhenAFollowerComesLate) {
  options_.producer_id_expiration_ms = std::numeric_limits<int64_t>::max();
  const auto writer = Open();
  for (int32_t step = 0; step < 20; ++step) {
    Take(writer.get(), DataBatch({.base_offset = step, .producer_id = 7 + step % 3, .base_sequence = step / 3}));
    EXPECT_EQ(LastBatches(Follow()->producers()), LastBatches(writer->producers()));
  }
  // Without snapshots the log itself tells.
  for (const auto& [name, content] : ReadFiles(&memory_, directory_)) {
    if (!name.ends_with(".snapshot")) continue;
    VARVE_ASSERT_OK(memory_.Remove(directory_ + "/" + name));
  }
  EXPECT_EQ(Follow()->producers(), writer->producers());
  VARVE_ASSERT_OK(writer->Close());
  const auto follower = Follow();
  EXPECT_EQ(follower->producers().size(), 3u);
}

// Nobody is known while the directory cannot be listed; whoever asks again is told.
TEST_F(LogFollowerTest, ProducersOfADirectoryThatCannotBeListedAreAskedForAgain) {
  options_.producer_id_expiration_ms = std::numeric_limits<int64_t>::max();
  const auto writer = Open();
  Take(writer.get(), DataBatch({.base_offset = 0, .producer_id = 7}));
  FaultyFileSystem faulty(&memory_);
  const auto follower = Follow([&](LogOptions* options) { options->file_system = &faulty; });
  faulty.AddRule({.operation = FileOperation::kList});
  EXPECT_TRUE(follower->producers().empty());
  EXPECT_EQ(faulty.faults_fired(), 1u);
  EXPECT_EQ(follower->producers(), writer->producers());
}

// Those of what cannot be read are not known; whoever asks again once it can is told.
TEST_F(LogFollowerTest, ProducersOfWhatTheDeviceFailedOnAreAskedForAgain) {
  options_.producer_id_expiration_ms = std::numeric_limits<int64_t>::max();
  const auto writer = Open();
  for (int32_t step = 0; step < 20; ++step) {
    Take(writer.get(), DataBatch({.base_offset = step, .producer_id = 7 + step, .base_sequence = 0}));
  }
  ASSERT_GT(writer->segments().size(), 2u);
  for (const auto& [name, content] : ReadFiles(&memory_, directory_)) {
    if (!name.ends_with(".snapshot")) continue;
    VARVE_ASSERT_OK(memory_.Remove(directory_ + "/" + name));
  }
  FaultyFileSystem faulty(&memory_);
  const auto sealed = Follow([&](LogOptions* options) { options->file_system = &faulty; });
  faulty.AddRule({.operation = FileOperation::kOpen, .path_part = ".log", .for_ever = true});
  EXPECT_EQ(sealed->producers().size(), static_cast<size_t>(20 - writer->segments().back().base_offset));
  faulty.ClearRules();
  EXPECT_EQ(sealed->producers(), writer->producers());

  const auto active = Follow([&](LogOptions* options) { options->file_system = &faulty; });
  faulty.AddRule({.operation = FileOperation::kRead, .path_part = ".log", .for_ever = true});
  EXPECT_THAT(active->NewReader().Read(19).status(), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(active->producers().size(), static_cast<size_t>(writer->segments().back().base_offset));
  faulty.ClearRules();
  EXPECT_EQ(active->producers(), writer->producers());
  VARVE_EXPECT_OK(active->NewReader().Read(19));
}

// The writer has renamed or removed it since the directory was listed.
TEST_F(LogFollowerTest, AFileThatGoesWhileItIsTakenInIsLookedForAgain) {
  for (const bool stopped : {false, true}) {
    SCOPED_TRACE(stopped);
    auto writer = Open();
    AppendMany(writer.get(), 5, {.leader_epoch = stopped ? 2 : 1});
    FaultyFileSystem faulty(&memory_);
    const auto follower = Follow([&](LogOptions* options) { options->file_system = &faulty; });
    VARVE_ASSERT_OK(writer->TruncateTo(writer->log_end_offset() - 1));
    const int64_t log_end_offset = writer->log_end_offset();
    if (stopped) writer.reset();
    const FaultRule gone{.operation = FileOperation::kOpen,
                         .path_part = ".log",
                         .status = absl::NotFoundError("open: No such file or directory")};
    const size_t once = faulty.AddRule(gone);
    VARVE_EXPECT_OK(follower->Refresh());
    EXPECT_EQ(faulty.faults_fired(once), 1u);
    EXPECT_EQ(follower->log_end_offset(), log_end_offset);
  }
}

TEST_F(LogFollowerTest, AFileThatStaysGoneIsTold) {
  const auto writer = Open();
  AppendMany(writer.get(), 5, {.leader_epoch = 1});
  FaultyFileSystem faulty(&memory_);
  const auto follower = Follow([&](LogOptions* options) { options->file_system = &faulty; });
  VARVE_ASSERT_OK(writer->TruncateTo(3));
  faulty.AddRule({.operation = FileOperation::kOpen,
                  .path_part = ".log",
                  .for_ever = true,
                  .status = absl::NotFoundError("open: No such file or directory")});
  EXPECT_THAT(follower->Refresh(), StatusIs(absl::StatusCode::kNotFound));
  faulty.ClearRules();
  VARVE_EXPECT_OK(follower->Refresh());
  EXPECT_EQ(follower->log_end_offset(), 3);
}

// An epoch that no batch has is the writer's alone until the writer rolls; with a batch a refresh brings it.
TEST_F(LogFollowerTest, AnAssignedEpochComesWithItsFirstBatchOrARoll) {
  for (const bool rolls : {false, true}) {
    SCOPED_TRACE(rolls);
    const auto writer = Open();
    VARVE_ASSERT_OK(writer->TruncateFullyAndStartAt(0));
    VARVE_ASSERT_OK(writer->Append({{.value = "v"}}, {.leader_epoch = 1}));
    const auto follower = Follow();
    VARVE_ASSERT_OK(writer->AssignLeaderEpoch(5));
    VARVE_ASSERT_OK(follower->Refresh());
    EXPECT_EQ(follower->leader_epochs().size(), 1u);
    if (rolls) {
      VARVE_ASSERT_OK(writer->Roll());
    } else {
      VARVE_ASSERT_OK(writer->Append({{.value = "v"}}, {.leader_epoch = 5}));
    }
    VARVE_ASSERT_OK(follower->Refresh());
    EXPECT_EQ(follower->leader_epochs(), writer->leader_epochs());
  }
}

// --- Damage ---

TEST_F(LogFollowerTest, DamageThatStaysIsSteppedOver) {
  for (const bool rolled : {false, true}) {
    SCOPED_TRACE(rolled ? "in a segment that the writer rolls" : "in the active segment");
    directory_ = rolled ? "orders-1" : "orders-2";
    options_.io_mode = IoMode::kWrite;
    options_.recover_all = true;
    {
      const auto log = Open();
      AppendMany(log.get(), 4);
      VARVE_ASSERT_OK_AND_ASSIGN(const auto found, log->NewReader().Find(2, Isolation::kLogEnd));
      VARVE_ASSERT_OK_AND_ASSIGN(const auto file,
                                 memory_.Open(directory_ + "/00000000000000000000.log", OpenMode::kReadWrite));
      VARVE_ASSERT_OK(log->Close());
      VARVE_ASSERT_OK(file->WriteAt(static_cast<uint64_t>(found->position), std::vector<std::byte>(61)));
    }
    const auto writer = Open();
    ASSERT_EQ(writer->damage().size(), 1u);
    AppendMany(writer.get(), rolled ? 20 : 1);
    const auto follower = Follow();
    EXPECT_EQ(follower->damage(), writer->damage());
    for (int64_t offset = 0; offset < writer->log_end_offset(); ++offset) {
      const auto batch = follower->NewReader().ReadBatch(offset);
      if (offset == 2) {
        EXPECT_THAT(batch, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("offsets 2 to 2 cannot be served")));
      } else {
        ASSERT_TRUE(batch.ok()) << batch.status();
        EXPECT_EQ((*batch)->base_offset(), offset);
      }
    }
    AppendMany(writer.get(), 3);
    VARVE_ASSERT_OK(follower->Refresh());
    EXPECT_EQ(follower->log_end_offset(), writer->log_end_offset());
  }
}

// --- Without a writer ---

TEST_P(LogFollowerPlaceTest, WaitingEndsAtItsDeadline) {
  auto writer = Open();
  AppendMany(writer.get(), 3);
  const auto follower = Follow();
  EXPECT_THAT(follower->WaitForData(3, milliseconds(10)),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("offset 3: the visible end is still 3")));
  VARVE_EXPECT_OK(follower->WaitForData(2, milliseconds(0)));
  VARVE_ASSERT_OK(writer->Close());
  EXPECT_THAT(follower->WaitForData(3, milliseconds(10)), StatusIs(absl::StatusCode::kDeadlineExceeded));
  VARVE_EXPECT_OK(follower->WaitForData(2, milliseconds(0)));
  VARVE_ASSERT_OK(follower->Close());
  EXPECT_THAT(follower->WaitForData(3, seconds(100)), StatusIs(absl::StatusCode::kFailedPrecondition));
}

// A stopped log is loaded once, however long somebody waits; what another program appends to it is met.
TEST_F(LogFollowerTest, WaitingBesideAStoppedLogOpensNoFile) {
  {
    const auto writer = Open();
    AppendMany(writer.get(), kRecords);
  }
  FaultyFileSystem counting(&memory_);
  const auto follower = Follow([&](LogOptions* options) { options->file_system = &counting; });
  const uint64_t opened = counting.operation_count(FileOperation::kOpen);
  EXPECT_THAT(follower->WaitForData(kRecords, milliseconds(1)), StatusIs(absl::StatusCode::kDeadlineExceeded));
  const uint64_t opened_by_a_refresh = counting.operation_count(FileOperation::kOpen) - opened;
  const uint64_t asked = counting.operation_count(FileOperation::kLock);
  // The pauses double from 20 us to 20 ms: once is enough, unless the system takes the processor away.
  uint64_t waits = 1;
  while (counting.operation_count(FileOperation::kLock) - asked < 8) {
    EXPECT_THAT(follower->WaitForData(kRecords, milliseconds(200)), StatusIs(absl::StatusCode::kDeadlineExceeded));
    ++waits;
  }
  EXPECT_EQ(counting.operation_count(FileOperation::kOpen) - opened, waits * opened_by_a_refresh);
  const std::string last =
      directory_ + "/" +
      internal::SegmentFileName(follower->segments().back().base_offset, internal::SegmentFileKind::kLog);
  const std::string batch = testing_support::BatchBytes({.base_offset = kRecords});
  VARVE_ASSERT_OK_AND_ASSIGN(const auto file, memory_.Open(last, OpenMode::kReadWrite));
  VARVE_ASSERT_OK(file->WriteAt(*file->Size(), internal::AsBytes(batch)));
  VARVE_EXPECT_OK(follower->WaitForData(kRecords, std::chrono::minutes(5)));
}

// Reads the log of a process that is killed in the middle: the lock goes, the line stays.
TEST(LogFollowerProcessTest, TheWriterDies) {
  const testing_support::TemporaryDirectory temporary;
  const std::string directory = temporary.path() + "/orders-0";
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto log = Log::Open(directory);
    bool ok = log.ok();
    for (int64_t number = 0; ok && number < 10; ++number) ok = (*log)->Append({{.value = "v"}}).ok();
    const char byte = ok ? 'y' : 'n';
    if (::write(ready[1], &byte, 1) == 1) ::pause();
    ::_exit(0);
  }
  char byte = 'n';
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  const auto follower = OpenLog(directory, {.read_only = true});
  LogReader reader = follower->NewReader();
  EXPECT_EQ(follower->log_end_offset(), 10);
  EXPECT_EQ(follower->durable_offset(), 0);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  const testing_support::FileMap before = ReadFiles(FileSystem::Default(), directory);
  EXPECT_THAT(follower->WaitForData(10, milliseconds(20)), StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(follower->log_end_offset(), 10);
  EXPECT_EQ(follower->recovery_report().log_end_offset, 0);  // of its opening, beside a writer
  VARVE_EXPECT_OK(reader.Read(9));
  EXPECT_EQ(ReadFiles(FileSystem::Default(), directory), before);
  const auto writer = OpenLog(directory, {});
  VARVE_ASSERT_OK(writer->Append({{.value = "v"}}));
  VARVE_ASSERT_OK(follower->WaitForData(10, std::chrono::minutes(5)));
  ExpectSameOffsets(*follower, *writer);
  ::close(ready[0]);
  ::close(ready[1]);
}

}  // namespace
}  // namespace varve
