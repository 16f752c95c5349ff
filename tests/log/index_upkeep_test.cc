// Indexes that opening or truncation touches: read, never mapped; new ones are stable once a close says clean; those of
// a log that is only read are judged by the interval they were written with.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/bad_sectors.h"
#include "log/cut_segment.h"
#include "log/log_places.h"
#include "log/partition_fixture.h"
#include "state/producer_batches.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/transaction_index.h"
#include "varve/verify.h"

namespace varve::internal {
namespace {

using ::testing::IsEmpty;
using testing_support::AppendMany;
using testing_support::ExpectRecords;
using testing_support::FileSystemWithBadSectors;
using testing_support::IsOk;
using testing_support::kDirectory;
using testing_support::LogTest;
using testing_support::OpenLog;
using testing_support::ReadFile;
using testing_support::StatusIs;

constexpr int64_t kEnd = 30;
const std::string kFirstIndex = std::string(kDirectory) + "/00000000000000000000.index";
const std::string kFirstTimeIndex = std::string(kDirectory) + "/00000000000000000000.timeindex";

class IndexUpkeepTest : public LogTest {};

// A mapped index with a bad sector ends the process at the first touch.
TEST_F(IndexUpkeepTest, TruncationReadsIndexesAndLeavesTheUnreadableToBeRebuilt) {
  { AppendMany(Open().get(), kEnd); }
  for (const std::string& path : {kFirstIndex, kFirstTimeIndex}) {
    const std::unique_ptr<MemoryFileSystem> files = memory_.CloneAfterProcessDeath();
    FileSystemWithBadSectors bad(files.get(), path, 0, 1);
    options_.file_system = &bad;
    {
      const std::unique_ptr<Log> log = Open();
      ASSERT_GT(log->segments().size(), 3u);
      ASSERT_THAT(log->TruncateTo(3), IsOk()) << path;
      ExpectRecords(*log, 0, 3);
    }
    VARVE_ASSERT_OK_AND_ASSIGN(const VerifyReport report, Verify(files.get(), kDirectory));
    EXPECT_TRUE(report.ok) << path;
  }
}

TEST_F(IndexUpkeepTest, RebuiltIndexesAreStableOnceTheCloseIsClean) {
  {
    const std::unique_ptr<Log> log = Open();
    AppendMany(log.get(), kEnd);
  }
  const std::string index = ReadFile(&memory_, kFirstIndex);
  const std::string time_index = ReadFile(&memory_, kFirstTimeIndex);
  ASSERT_FALSE(index.empty());
  ASSERT_THAT(memory_.Remove(kFirstIndex), IsOk());
  ASSERT_THAT(memory_.Remove(kFirstTimeIndex), IsOk());
  ASSERT_THAT(memory_.SyncDirectory(kDirectory), IsOk());
  ASSERT_THAT(Open()->Close(), IsOk());
  const std::unique_ptr<MemoryFileSystem> crashed = memory_.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  EXPECT_EQ(ReadFile(crashed.get(), kFirstIndex), index);
  EXPECT_EQ(ReadFile(crashed.get(), kFirstTimeIndex), time_index);
}

// The next opening begins at the durable point and does not look at the segments before it.
TEST(RecoveredTransactionIndexTest, IsAsStableAsTheDurablePointThatPassesIt) {
  using testing_support::DataBatch;
  using testing_support::MarkerBatch;
  const std::string path = std::string(kDirectory) + "/00000000000000000000.txnindex";
  for (const ControlType end : {ControlType::kAbort, ControlType::kCommit}) {
    std::vector<std::byte> log = DataBatch({.base_offset = 0, .producer_id = 7, .transactional = true});
    const std::vector<std::byte> marker = MarkerBatch(end, 1, 7);
    log.insert(log.end(), marker.begin(), marker.end());
    testing_support::Partition partition;
    partition.AddSegment(0, std::string_view(reinterpret_cast<const char*>(log.data()), log.size()));
    if (end == ControlType::kCommit) {
      testing_support::WriteFile(partition.fs.get(), path, std::string(TransactionIndex::kEntryBytes, '\0'));
      testing_support::SyncAll(partition.fs.get(), kDirectory);
    }
    VARVE_ASSERT_OK(partition.Load());
    const auto held = [&](FileSystem* disk) { return disk->Info(path).ok() ? ReadFile(disk, path) : std::string(); };
    const std::string rebuilt = held(partition.fs.get());
    ASSERT_EQ(rebuilt.size(), end == ControlType::kAbort ? TransactionIndex::kEntryBytes : 0u);
    EXPECT_EQ(held(partition.fs->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced}).get()), rebuilt);
    if (end == ControlType::kCommit) continue;
    // The process that wrote it died before it synced it: only the page cache holds the right bytes.
    testing_support::Partition unsynced;
    unsynced.AddSegment(0, partition.Log(0));
    testing_support::WriteFile(unsynced.fs.get(), path, rebuilt);
    VARVE_ASSERT_OK(unsynced.Load());
    EXPECT_EQ(held(unsynced.fs->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced}).get()), rebuilt);
  }
}

// A segment below the durable point that is read only because its transaction index is cut short: a crash at any moment
// of making a new one leaves one that tells of the transaction, or one that makes the next opening read the segment too.
TEST(RecoveredTransactionIndexTest, NeverHasItsNameWithoutItsBytes) {
  const std::string path = std::string(kDirectory) + "/00000000000000000000.txnindex";
  const std::string second = testing_support::BatchesBytes(2, 6);
  const auto set_up = [&](testing_support::Partition* partition) {
    std::vector<std::byte> first =
        testing_support::DataBatch({.base_offset = 0, .producer_id = 7, .transactional = true});
    const std::vector<std::byte> marker = testing_support::MarkerBatch(ControlType::kAbort, 1, 7);
    first.insert(first.end(), marker.begin(), marker.end());
    partition->AddSegment(0, AsText(first));
    partition->AddSegment(2, second);
    VARVE_ASSERT_OK(partition->Load());
    partition->SetDurablePoint(2, static_cast<int64_t>(second.size()), 6, /*survived=*/false, /*clean=*/true);
    testing_support::WriteFile(partition->fs.get(), path, "cut short");
    testing_support::SyncAll(partition->fs.get(), kDirectory);
  };
  for (uint64_t nth = 1;; ++nth) {
    testing_support::Partition partition;
    set_up(&partition);
    FaultyFileSystem faulty(partition.fs.get());
    faulty.AddRule({.nth = nth, .for_ever = true, .status = absl::ResourceExhaustedError("stopped")});
    (void)LoadLog(&faulty, kDirectory, partition.options);
    for (uint64_t seed = 0; seed < 6; ++seed) {
      SCOPED_TRACE(::testing::Message() << "operation " << nth << ", seed " << seed);
      const CrashMode mode = seed == 0 ? CrashMode::kLoseAllUnsynced : CrashMode::kRandom;
      testing_support::Partition after(partition.fs->CloneAfterCrash({.seed = seed, .mode = mode}));
      VARVE_ASSERT_OK(after.Load());
      VARVE_ASSERT_OK_AND_ASSIGN(const TransactionIndex index, TransactionIndex::Open(after.fs.get(), path, 0));
      ASSERT_THAT(index.entries(),
                  ::testing::ElementsAre(AbortedTransaction{
                      .producer_id = 7, .first_offset = 0, .last_offset = 1, .last_stable_offset = 2}));
    }
    if (faulty.faults_fired() > 0) continue;
    EXPECT_GT(nth, 20u);
    break;
  }
}

// What nobody can read is made anew from the batches, once the offset index is gone that would spare the reading.
TEST(CutTransactionIndexTest, OneThatCannotBeReadTakesTheOffsetIndexWithIt) {
  const std::string path = std::string(kDirectory) + "/00000000000000000000.txnindex";
  const std::vector<std::byte> data =
      testing_support::DataBatch({.base_offset = 0, .producer_id = 7, .transactional = true});
  const std::vector<std::byte> marker = testing_support::MarkerBatch(ControlType::kAbort, 1, 7);
  const std::string kept = std::string(AsText(data)) + std::string(AsText(marker));
  for (const bool with_offset_index : {true, false}) {
    testing_support::Partition partition;
    partition.AddSegment(0, kept + testing_support::BatchesBytes(2, 6));
    VARVE_ASSERT_OK(partition.Load());
    const std::string good = ReadFile(partition.fs.get(), path);
    ASSERT_EQ(good.size(), TransactionIndex::kEntryBytes);
    testing_support::WriteFile(partition.fs.get(), path, "cut short");
    if (!with_offset_index) {
      VARVE_ASSERT_OK(partition.fs->Remove(kFirstIndex));
    }
    VARVE_ASSERT_OK(
        CutSegmentFiles(partition.fs.get(), kDirectory, 0, static_cast<int64_t>(kept.size()), /*next_offset=*/2));
    for (const std::string& gone : {path, kFirstIndex}) {
      EXPECT_THAT(partition.fs->Info(gone), StatusIs(absl::StatusCode::kNotFound));
    }
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
    EXPECT_EQ(loaded.log_end_offset, 2);
    EXPECT_EQ(ReadFile(partition.fs.get(), path), good);
  }
}

TEST_F(IndexUpkeepTest, ReadingAStoppedLogJudgesIndexesByTheirOwnInterval) {
  {
    const std::unique_ptr<Log> log = Open();
    AppendMany(log.get(), kEnd);
  }
  LogOptions options;
  options.file_system = &memory_;
  options.clock = &clock_;
  options.read_only = true;
  options.recover_all = true;
  ASSERT_NE(options.index_interval_bytes, options_.index_interval_bytes);
  const std::unique_ptr<Log> log = OpenLog(directory_, options);
  EXPECT_THAT(log->recovery_report().findings, IsEmpty());
}

TEST_F(IndexUpkeepTest, WithoutAnIntervalAWriterKeepsToTheOneBeforeIt) {
  LogOptions absent = options_;
  absent.index_interval_bytes = std::nullopt;
  const auto stored_interval = [](FileSystem* file_system) {
    const auto state = PartitionState::Peek(file_system, kDirectory);
    return state.ok() && state->has_value() ? (*state)->index_interval_bytes : -1;
  };
  const std::unique_ptr<Log> log = Open();
  AppendMany(log.get(), kEnd);
  const std::unique_ptr<MemoryFileSystem> killed = memory_.CloneAfterProcessDeath();
  for (FileSystem* const file_system : {static_cast<FileSystem*>(&memory_), static_cast<FileSystem*>(killed.get())}) {
    if (file_system == &memory_) {
      VARVE_ASSERT_OK(log->Close());
    }
    absent.file_system = file_system;
    const std::unique_ptr<Log> reopened = OpenLog(directory_, absent);
    EXPECT_EQ(stored_interval(file_system), options_.index_interval_bytes);
    AppendMany(reopened.get(), kEnd);
    VARVE_ASSERT_OK(reopened->Close());
    for (const std::string& path : {kFirstIndex, kFirstTimeIndex}) {
      const std::string written = ReadFile(file_system, path);
      VARVE_ASSERT_OK(file_system->Remove(path));
      VARVE_ASSERT_OK(OpenLog(directory_, absent)->Close());
      EXPECT_EQ(ReadFile(file_system, path), written);
    }
  }
  options_.index_interval_bytes = 300;
  VARVE_ASSERT_OK(Open()->Close());
  EXPECT_EQ(stored_interval(&memory_), 300);
  VARVE_ASSERT_OK(memory_.Remove(std::string(kDirectory) + "/varve.state"));
  absent.file_system = &memory_;
  VARVE_ASSERT_OK(OpenLog(directory_, absent)->Close());
  EXPECT_EQ(stored_interval(&memory_), 4096);
}

// A reader beside a writer makes index entries of its own for what it takes in.
TEST_F(IndexUpkeepTest, AReaderBesideAWriterFindsByTheWritersInterval) {
  options_.segment_bytes = 1 << 20;
  const std::unique_ptr<Log> log = Open();
  LogOptions options = options_;
  options.index_interval_bytes = std::nullopt;
  options.read_only = true;
  const std::unique_ptr<Log> reader = OpenLog(directory_, options);
  AppendMany(log.get(), kEnd);
  VARVE_ASSERT_OK(reader->Refresh());
  for (int64_t offset = 0; offset < kEnd; ++offset) {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto expected, log->NewReader().Find(offset));
    VARVE_ASSERT_OK_AND_ASSIGN(const auto found, reader->NewReader().Find(offset));
    ASSERT_TRUE(expected.has_value() && found.has_value()) << offset;
    EXPECT_EQ(found->index_offset, expected->index_offset) << offset;
    EXPECT_GE(found->index_offset, offset - 4) << "entries are about two batches apart";
  }
}

// Nobody writes: the directory is loaded once, looked at now and then, and loaded anew when it has changed.
TEST_F(IndexUpkeepTest, WaitingOnAStoppedLogDoesNotLoadItOverAndOver) {
  Open();
  FaultyFileSystem faulty(&memory_);
  LogOptions options = options_;
  options.file_system = &faulty;
  options.read_only = true;
  const std::unique_ptr<Log> reader = OpenLog(directory_, options);
  const uint64_t opened = faulty.operation_count(FileOperation::kOpen);
  ASSERT_THAT(reader->WaitForData(0, std::chrono::milliseconds(10)), StatusIs(absl::StatusCode::kDeadlineExceeded));
  const uint64_t opened_once = faulty.operation_count(FileOperation::kOpen) - opened;
  ASSERT_THAT(reader->WaitForData(0, std::chrono::milliseconds(300)), StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_LE(faulty.operation_count(FileOperation::kOpen) - opened, 2 * opened_once);
  { AppendMany(Open().get(), 1); }
  EXPECT_THAT(reader->WaitForData(0, std::chrono::minutes(5)), IsOk());
}

}  // namespace
}  // namespace varve::internal
