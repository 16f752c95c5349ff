// What an opening, or the first sync behind it, calls durable is: bytes and names that the process before never synced,
// or failed to sync, survive a power loss at any moment from when varve.state says so.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/partition_fixture.h"
#include "support/status_matchers.h"
#include "varve/log.h"
#include "varve/testing/faulty_file_system.h"

namespace varve::internal {
namespace {

using ::testing::IsEmpty;
using testing_support::BatchesBytes;
using testing_support::IsOk;
using testing_support::IsOkAndHolds;
using testing_support::kDirectory;
using testing_support::Partition;
using testing_support::ReadFile;
using testing_support::ServedBatches;
using testing_support::SplitBatches;
using testing_support::StatusIs;
using testing_support::WriteFile;

constexpr int64_t kEnd = 30;

// Without a leader epoch: writing one down would sync the directory by the way.
std::string Batches(int64_t first_offset, int64_t end_offset) {
  return BatchesBytes(first_offset, end_offset, kNoLeaderEpoch);
}

const int64_t kBatchBytes = static_cast<int64_t>(Batches(0, 1).size());

void WriteUnsynced(Partition* partition, int64_t base_offset) {
  WriteFile(partition->fs.get(), partition->LogPath(base_offset), Batches(base_offset, base_offset + 10));
}

struct UnsyncedCase {
  const char* name;
  std::function<void(Partition*)> set_up;  // segments 0 to 9, 10 to 19 and 20 to 29
};

std::vector<UnsyncedCase> UnsyncedCases() {
  return {{"NoMarks",
           [](Partition* partition) {
             for (const int64_t base_offset : {0, 10, 20}) WriteUnsynced(partition, base_offset);
           }},
          {"KafkasRecoveryPoint",
           [](Partition* partition) {
             partition->AddSegment(0, Batches(0, 10));
             for (const int64_t base_offset : {10, 20}) WriteUnsynced(partition, base_offset);
             partition->options.marks = {.clean = false, .recovery_point = 10};
           }},
          {"APointInASegmentBefore",
           [](Partition* partition) {
             partition->AddSegment(0, Batches(0, 10));
             partition->SetDurablePoint(0, 5 * kBatchBytes, 5, /*survived=*/true);  // makes the file
             for (const int64_t base_offset : {10, 20}) WriteUnsynced(partition, base_offset);
             partition->SetDurablePoint(0, 5 * kBatchBytes, 5, /*survived=*/true);
           }},
          {"AFailedSync", [](Partition* partition) {
             partition->AddSegment(0, Batches(0, 10));
             WriteUnsynced(partition, 10);
             partition->fs->FailNextSync(partition->LogPath(10), absl::InternalError("EIO"));
             VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> file,
                                        partition->fs->Open(partition->LogPath(10), OpenMode::kReadWrite));
             ASSERT_THAT(file->SyncData(), StatusIs(absl::StatusCode::kInternal));
             partition->AddSegment(20, Batches(20, 30));
             partition->SetDurablePoint(0, 10 * kBatchBytes, 10, /*survived=*/true);
           }}};
}

class UnsyncedTest : public ::testing::TestWithParam<UnsyncedCase> {};
INSTANTIATE_TEST_SUITE_P(, UnsyncedTest, ::testing::ValuesIn(UnsyncedCases()),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(UnsyncedTest, WhatTheStateCallsDurableSurvivesACrashAtEveryOperation) {
  const std::vector<std::string> all = SplitBatches(Batches(0, kEnd));
  for (uint64_t nth = 1;; ++nth) {
    Partition partition;
    GetParam().set_up(&partition);
    FaultyFileSystem faulty(partition.fs.get());
    faulty.AddRule({.nth = nth, .for_ever = true, .status = absl::ResourceExhaustedError("stopped")});
    partition.options.file_system = &faulty;
    const absl::StatusOr<std::unique_ptr<Log>> stopped = Log::Open(kDirectory, partition.options);
    if (stopped.ok()) {
      EXPECT_EQ((*stopped)->log_end_offset(), kEnd);
      EXPECT_LE((*stopped)->durable_offset(), 10) << "what it has not synced";
      (void)(*stopped)->Flush();
    }
    const bool done = faulty.faults_fired() == 0;
    if (done) {
      VARVE_ASSERT_OK(stopped);
      EXPECT_EQ((*stopped)->durable_offset(), kEnd);
      EXPECT_GT(nth, 20u);
    }
    for (uint64_t seed = 0; seed < 5; ++seed) {
      SCOPED_TRACE(::testing::Message() << "operation " << nth << ", seed " << seed);
      const CrashMode mode = seed == 0 ? CrashMode::kLoseAllUnsynced : CrashMode::kRandom;
      Partition after(partition.fs->CloneAfterCrash({.seed = seed, .mode = mode}));
      after.options.marks = partition.options.marks;
      VARVE_ASSERT_OK_AND_ASSIGN(const std::optional<PartitionStateValues> state,
                                 PartitionState::Peek(after.fs.get(), kDirectory));
      const int64_t promised = done ? kEnd : state.has_value() ? state->durable.offset : 0;
      VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, after.Load());
      ASSERT_GE(loaded.log_end_offset, promised);
      ASSERT_THAT(loaded.report.damage, IsEmpty()) << loaded.report.ToJson();
      const std::vector<std::string> served = ServedBatches(after.fs.get(), loaded);
      ASSERT_GE(static_cast<int64_t>(served.size()), promised);
      ASSERT_TRUE(std::equal(all.begin(), all.begin() + promised, served.begin()));
    }
    if (done) break;
  }
}

// A roll trims the file behind the durable point, and the process is killed before the next sync.
TEST(TrimmedFileTest, ItsSizeIsDurableOnceItIsOpenedAgain) {
  Partition partition;
  partition.AddSegment(0, Batches(0, 10) + std::string(100, '\0'));
  partition.SetDurablePoint(0, 10 * kBatchBytes, 10, /*survived=*/true);
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> log,
                               partition.fs->Open(partition.LogPath(0), OpenMode::kReadWrite));
    VARVE_ASSERT_OK(log->Truncate(static_cast<uint64_t>(10 * kBatchBytes)));
  }
  WriteUnsynced(&partition, 10);
  partition.SetDurablePoint(0, 10 * kBatchBytes, 10, /*survived=*/true);
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> opened, Log::Open(kDirectory, partition.options));
  VARVE_ASSERT_OK(opened->Flush());

  const auto crashed = partition.fs->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> log, crashed->Open(partition.LogPath(0), OpenMode::kRead));
  EXPECT_THAT(log->Size(), IsOkAndHolds(static_cast<uint64_t>(10 * kBatchBytes)));
}

// Else old bytes could come back among those that are appended in their place.
// A copy by reference would have what the disk has, which never got the bytes that the cache holds.
TEST(SavedAsideDurabilityTest, WhatAFailedSyncKeptFromTheDiskIsSavedToIt) {
  for (const bool whole_log : {false, true}) {
    SCOPED_TRACE(whole_log ? "the log starts anew" : "the log ends at damage");
    Partition partition;
    UnsyncedCases().back().set_up(&partition);
    if (whole_log) {
      partition.options.marks = {.clean = false, .recovery_point = 10, .log_start_offset = 1000};
      VARVE_ASSERT_OK(partition.fs->Remove(std::string(kDirectory) + "/varve.state"));
    } else {
      partition.FlipBit("00000000000000000000.log", 3 * kBatchBytes + 90);
      partition.options.on_damage = OnDamage::kTruncate;
    }
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
    ASSERT_EQ(loaded.log_end_offset, whole_log ? 1000 : 3);
    const auto after = partition.fs->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
    EXPECT_EQ(ReadFile(after.get(), std::string(kDirectory) + "/varve.cut-00000000000000000010"), Batches(10, 20));
  }
}

TEST(CutTailTest, IsGoneForGoodBeforeAnythingIsAppended) {
  Partition partition;
  partition.AddSegment(0, Batches(0, 10));
  partition.SetDurablePoint(0, 5 * kBatchBytes, 5, /*survived=*/false);
  partition.FlipBit("00000000000000000000.log", 5 * kBatchBytes + 90);
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
  ASSERT_EQ(loaded.log_end_offset, 5);
  const Partition after(partition.fs->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced}));
  EXPECT_EQ(after.Log(0), Batches(0, 5));
}

// Nothing is written again then, as all that is kept is durable.
TEST(CutTailTest, BehindKafkasRecoveryPointIsGoneForGoodToo) {
  Partition partition;
  partition.AddSegment(0, Batches(0, 10));
  partition.options.marks = {.clean = false, .recovery_point = 5};
  partition.FlipBit("00000000000000000000.log", 5 * kBatchBytes + 90);
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
  ASSERT_EQ(loaded.log_end_offset, 5);
  const Partition after(partition.fs->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced}));
  EXPECT_EQ(after.Log(0), Batches(0, 5));
}

}  // namespace
}  // namespace varve::internal
