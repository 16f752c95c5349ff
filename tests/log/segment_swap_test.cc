// A swap that is stopped anywhere leaves the old segments or the new one, with its own transaction index: by the death
// of the process, by power loss with any of the renames kept, by an operation that fails, while it goes forward, while
// it is taken back, and while an opening finishes it. Old segments behind all that the new one holds may come back with
// it, the newest first: never a value without the tombstone that followed it.
#include "log/segment_swap.h"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/path.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/partition_fixture.h"
#include "segment/segment_files.h"
#include "support/status_matchers.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/transaction_index.h"

namespace varve::internal {
namespace {

using testing_support::BatchesBytes;
using testing_support::FileMap;
using testing_support::kDirectory;
using testing_support::Partition;
using testing_support::ReadFile;
using testing_support::ReadFiles;
using testing_support::ServedBatches;
using testing_support::SplitBatches;
using testing_support::SyncAll;
using testing_support::WriteFile;

constexpr std::array<int64_t, 3> kReplaced = {0, 10, 20};
constexpr int64_t kActive = 30;
constexpr int64_t kEnd = 40;

std::string Aborted(int64_t producer_id, int64_t first_offset) {
  const std::vector<AbortedTransaction> entries = {{.producer_id = producer_id,
                                                    .first_offset = first_offset,
                                                    .last_offset = first_offset + 3,
                                                    .last_stable_offset = first_offset}};
  return std::string(AsText(TransactionIndex::Encode(entries)));
}

// What becomes of segments 0 to 9, 10 to 19 and 20 to 29. The active one is 30 to 39.
struct Output {
  std::string name;
  std::string log;
  int64_t next_offset = 0;  // behind the last batch
  std::string aborted;      // the content of its transaction index; empty: there is no such file
};

std::vector<Output> Outputs() {
  const std::string of_two = BatchesBytes(1, 3) + BatchesBytes(15, 20);
  return {{"SomeOfEach", of_two + BatchesBytes(28, 29), 29, Aborted(2, 12)},
          {"WithoutATransactionIndex", of_two + BatchesBytes(28, 29), 29, ""},
          {"NothingOfTheLastTwo", BatchesBytes(1, 3), 3, ""},
          {"Nothing", "", 0, ""}};
}

class SegmentSwapTest : public ::testing::TestWithParam<Output> {
 protected:
  static std::string Path(int64_t base_offset, SegmentFileKind kind, SegmentFileSuffix suffix) {
    return JoinPath(kDirectory, SegmentFileName(base_offset, kind, suffix));
  }

  // Old segments and the complete .cleaned files of the new one. The names of the latter may not be stable yet.
  static std::unique_ptr<MemoryFileSystem> SetUpFiles() {
    Partition partition;
    partition.AddSegment(0, BatchesBytes(0, 10));
    partition.AddSegment(10, BatchesBytes(10, 20));
    partition.AddSegment(20, BatchesBytes(20, 30));
    partition.AddSegment(kActive, BatchesBytes(kActive, kEnd));
    const int64_t active_bytes = static_cast<int64_t>(BatchesBytes(kActive, kEnd).size());
    partition.SetDurablePoint(kActive, active_bytes, kEnd, /*survived=*/true);
    EXPECT_TRUE(partition.Load().ok()) << "which makes the indexes";
    MemoryFileSystem* const files = partition.fs.get();
    WriteFile(files, Path(0, SegmentFileKind::kTransactionIndex, SegmentFileSuffix::kNone), Aborted(1, 2));
    WriteFile(files, Path(10, SegmentFileKind::kTransactionIndex, SegmentFileSuffix::kNone), Aborted(2, 12));
    SyncAll(files, kDirectory);

    Partition compacted;
    compacted.AddSegment(0, GetParam().log);
    compacted.AddSegment(kActive, BatchesBytes(kActive, kEnd));
    EXPECT_TRUE(compacted.Load().ok()) << "which makes its indexes";
    FileMap made = {{SegmentFileName(0, SegmentFileKind::kTransactionIndex), GetParam().aborted}};
    for (const SegmentFileKind kind :
         {SegmentFileKind::kLog, SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex}) {
      made[SegmentFileName(0, kind)] = ReadFile(compacted.fs.get(), Path(0, kind, SegmentFileSuffix::kNone));
    }
    for (const auto& [name, content] : made) {
      if (content.empty() && name.ends_with(".txnindex")) continue;
      const std::string path = JoinPath(kDirectory, name + ".cleaned");
      WriteFile(files, path, content);
      VARVE_EXPECT_OK((*files->Open(path, OpenMode::kReadWrite))->SyncData());
    }
    return std::move(partition.fs);
  }

  static absl::Status Swap(FileSystem* file_system) {
    absl::Status swapped = ProposeSwap(file_system, kDirectory, 0);
    return swapped.ok() ? CompleteSwap(file_system, kDirectory, kReplaced, GetParam().next_offset) : swapped;
  }

  // What an opening makes of the files; true if that is the new segment.
  static void ExpectOldOrNew(std::unique_ptr<MemoryFileSystem> files, bool* is_new) {
    Partition partition(std::move(files));
    const auto loaded = partition.Load();
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_TRUE(loaded->report.damage.empty());
    ASSERT_EQ(loaded->log_end_offset, kEnd);
    const std::vector<std::string> served = ServedBatches(partition.fs.get(), *loaded);
    const std::vector<std::string> old_batches = SplitBatches(BatchesBytes(0, kEnd));
    *is_new = served != old_batches;
    const FileMap found = ReadFiles(partition.fs.get(), kDirectory);
    for (const auto& [name, content] : found) {
      ASSERT_FALSE(name.ends_with(".cleaned") || name.ends_with(".swap") || name.ends_with(".deleted")) << name;
    }
    const auto aborted_of = [&](int64_t base_offset) {
      const auto file = found.find(SegmentFileName(base_offset, SegmentFileKind::kTransactionIndex));
      return file != found.end() ? file->second : std::string();
    };
    if (!*is_new) {
      EXPECT_EQ(aborted_of(0), Aborted(1, 2));
      EXPECT_EQ(aborted_of(10), Aborted(2, 12));
      return;
    }
    // Old segments that lie wholly behind what the new one holds may come back, each with all that follow it.
    const int64_t came_back = static_cast<int64_t>(loaded->segments.size()) - 2;
    const int64_t first_back = kActive - 10 * came_back;
    EXPECT_GE(first_back, GetParam().next_offset);
    ASSERT_TRUE(served == SplitBatches(GetParam().log + BatchesBytes(first_back, kEnd)));
    if (first_back == 10) {
      EXPECT_EQ(aborted_of(10), Aborted(2, 12));
    }
    // Where the new segment has no transaction index, an old one may stay: it is true of the records that went.
    const std::string aborted = aborted_of(0);
    EXPECT_TRUE(aborted == GetParam().aborted || (GetParam().aborted.empty() && aborted == Aborted(1, 2)));
  }

  // The same, of all that a crash now may leave.
  static void ExpectOldOrNewAfterAnyCrash(const MemoryFileSystem& files, uint64_t seeds, int* old_count,
                                          int* new_count) {
    for (uint64_t seed = 0; seed < seeds; ++seed) {
      SCOPED_TRACE(::testing::Message() << "crash seed " << seed);
      bool is_new = false;
      ASSERT_NO_FATAL_FAILURE(
          ExpectOldOrNew(seed == 0 ? files.CloneAfterProcessDeath() : files.CloneAfterCrash({.seed = seed}), &is_new));
      ++*(is_new ? new_count : old_count);
    }
  }
};

INSTANTIATE_TEST_SUITE_P(, SegmentSwapTest, ::testing::ValuesIn(Outputs()),
                         [](const auto& param) { return param.param.name; });

TEST_P(SegmentSwapTest, IsAllOrNoneWhereverItIsStopped) {
  int old_count = 0;
  int new_count = 0;
  for (const bool after_effect : {false, true}) {
    for (uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(::testing::Message() << "operation " << nth << (after_effect ? ", carried out" : ""));
      const std::unique_ptr<MemoryFileSystem> files = SetUpFiles();
      FaultyFileSystem faulty(files.get());
      faulty.AddRule({.nth = nth, .after_effect = after_effect});
      const bool done = Swap(&faulty).ok();
      ASSERT_NO_FATAL_FAILURE(ExpectOldOrNewAfterAnyCrash(*files, 16, &old_count, &new_count));
      if (faulty.faults_fired() == 0) {
        EXPECT_TRUE(done);
        bool is_new = false;
        ASSERT_NO_FATAL_FAILURE(ExpectOldOrNew(files->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced}), &is_new));
        EXPECT_TRUE(is_new) << "complete means complete after a power loss too";
        break;
      }
    }
  }
  EXPECT_GT(old_count, 0);
  EXPECT_GT(new_count, 0);
}

TEST_P(SegmentSwapTest, CanBeTakenBackUntilItIsComplete) {
  for (uint64_t nth = 1;; ++nth) {
    for (uint64_t stopped = 1;; ++stopped) {
      SCOPED_TRACE(::testing::Message() << "operation " << nth << ", taken back until operation " << stopped);
      const std::unique_ptr<MemoryFileSystem> files = SetUpFiles();
      FaultyFileSystem proposing(files.get());
      proposing.AddRule({.nth = nth, .after_effect = nth % 2 == 0});
      const absl::Status proposed = ProposeSwap(&proposing, kDirectory, 0);
      const bool complete = proposing.faults_fired() == 0;
      ASSERT_TRUE(proposed.ok() || !complete);
      FaultyFileSystem revoking(files.get());
      revoking.AddRule({.nth = stopped});
      const bool revoked = RevokeSwap(&revoking, kDirectory).ok();
      int old_count = 0;
      int new_count = 0;
      ASSERT_NO_FATAL_FAILURE(ExpectOldOrNewAfterAnyCrash(*files, 6, &old_count, &new_count));
      if (revoking.faults_fired() > 0) continue;
      EXPECT_TRUE(revoked);
      EXPECT_EQ(new_count, 0);
      if (complete) return;
      break;
    }
  }
}

TEST_P(SegmentSwapTest, IsFinishedByTheNextOpeningWhereverOneWasStopped) {
  for (uint64_t nth = 1;; ++nth) {
    const std::unique_ptr<MemoryFileSystem> stopped = SetUpFiles();
    FaultyFileSystem faulty(stopped.get());
    faulty.AddRule({.nth = nth});
    (void)Swap(&faulty);
    if (faulty.faults_fired() == 0) return;
    for (const bool power_lost : {false, true}) {
      for (uint64_t opening = 1;; ++opening) {
        SCOPED_TRACE(::testing::Message() << "operation " << nth << (power_lost ? ", power lost" : ", process killed")
                                          << ", opening stopped at its rename or removal " << opening);
        Partition partition(power_lost ? stopped->CloneAfterCrash({.seed = nth}) : stopped->CloneAfterProcessDeath());
        FaultyFileSystem opened(partition.fs.get());
        // Everything before the names are in order is names.
        for (const FileOperation operation :
             {FileOperation::kRename, FileOperation::kRemove, FileOperation::kSyncDirectory}) {
          opened.AddRule({.operation = operation, .nth = opening, .for_ever = true});
        }
        (void)LoadLog(&opened, kDirectory, partition.options);
        int old_count = 0;
        int new_count = 0;
        ASSERT_NO_FATAL_FAILURE(ExpectOldOrNewAfterAnyCrash(*partition.fs, 3, &old_count, &new_count));
        if (opened.faults_fired() == 0) break;
      }
    }
  }
}

}  // namespace
}  // namespace varve::internal
