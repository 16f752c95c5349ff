// What a compaction, a split, a deletion or a replacement leaves behind at each point a crash may choose (format notes
// §5.5): each row of that table, and that clearing up may itself be stopped anywhere.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/partition_fixture.h"
#include "support/status_matchers.h"
#include "varve/testing/faulty_file_system.h"

namespace varve::internal {
namespace {

using testing_support::BatchesBytes;
using testing_support::FileMap;
using testing_support::IsOk;
using testing_support::kDirectory;
using testing_support::Partition;
using testing_support::ReadFiles;
using testing_support::ReadKafkaFiles;
using testing_support::ServedBatches;
using testing_support::SplitBatches;
using testing_support::SyncAll;
using testing_support::WriteFile;

std::string Name(int64_t base_offset, const std::string& ending) {
  const std::string digits = absl::StrCat(base_offset);
  return std::string(20 - digits.size(), '0') + digits + ending;
}

// Segments 0 to 9, 10 to 19 (both were compacted into one at 0) and 20 to 29; the active one.
const std::string kOld0 = BatchesBytes(0, 10);
const std::string kOld10 = BatchesBytes(10, 20);
const std::string kActive = BatchesBytes(20, 30);
const std::string kCleaned = BatchesBytes(1, 3) + BatchesBytes(15, 20);

struct LeftoversCase {
  std::string name;
  FileMap files;                        // besides the active segment
  std::string front;                    // what the log holds before the active segment afterwards
  std::vector<std::string> gone = {};   // names that must not be there afterwards
  std::vector<std::string> stays = {};  // names that must
};

std::vector<LeftoversCase> Cases() {
  const FileMap old = {{Name(0, ".log"), kOld0}, {Name(10, ".log"), kOld10}};
  const auto with_old = [&](FileMap files) {
    files.insert(old.begin(), old.end());
    return files;
  };
  return {
      {"WhileWriting", with_old({{Name(0, ".log.cleaned"), kCleaned.substr(0, 200)}, {Name(0, ".index.cleaned"), ""}}),
       kOld0 + kOld10},
      {"SomeCleanedSomeSwap",
       with_old({{Name(0, ".log.cleaned"), kCleaned}, {Name(0, ".index.swap"), ""}, {Name(10, ".log.swap"), "x"}}),
       kOld0 + kOld10},
      {"ASwapBelowEveryCleanedCounts",
       {{Name(0, ".log.swap"), kOld0},
        {Name(0, ".log"), "old"},
        {Name(10, ".log"), kOld10},
        {Name(10, ".log.cleaned"), "x"}},
       kOld0 + kOld10},
      {"AllSwapped",
       with_old({{Name(0, ".log.swap"), kCleaned}, {Name(0, ".index.swap"), ""}, {Name(0, ".timeindex.swap"), ""}}),
       kCleaned,
       {Name(10, ".log")}},
      {"ALaterSegmentSwapped",
       with_old({{Name(10, ".log.swap"), kCleaned.substr(kCleaned.size() / 7 * 2)}, {Name(5, ".snapshot"), "stale"}}),
       kOld0 + kCleaned.substr(kCleaned.size() / 7 * 2)},
      {"SnapshotsAndIndexesOfCoveredSegmentsGo",
       with_old({{Name(0, ".log.swap"), kCleaned}, {Name(10, ".snapshot"), "stale"}, {Name(10, ".index"), "stale"}}),
       kCleaned,
       {Name(10, ".snapshot"), Name(10, ".index"), Name(10, ".log")}},
      {"SomeOldDeleted",
       {{Name(0, ".log.swap"), kCleaned},
        {Name(0, ".log.deleted"), kOld0},
        {Name(10, ".log"), kOld10},
        {Name(10, ".index.deleted"), ""}},
       kCleaned,
       {Name(10, ".log")}},
      {"ASwapWithoutBatchesLeavesTheIndexOfItsName",
       {{Name(0, ".log.swap"), ""}, {Name(0, ".timeindex"), ""}, {Name(10, ".log"), kOld10}},
       kOld10,
       {},
       {Name(0, ".log"), Name(0, ".timeindex"), Name(10, ".log")}},
      {"SomeSwapRenamed",
       {{Name(0, ".log"), kCleaned},
        {Name(0, ".index.swap"), ""},
        {Name(0, ".timeindex.swap"), ""},
        {Name(10, ".log.deleted"), kOld10}},
       kCleaned},
      {"AnIndexOnlySwapDeletesNothing", with_old({{Name(0, ".index.swap"), ""}}), kOld0 + kOld10},
      {"BeforeUnlink",
       {{Name(0, ".log"), kCleaned}, {Name(10, ".log.deleted"), kOld10}, {Name(0, ".log.deleted"), kOld0}},
       kCleaned},
      {"AnIndexWithoutItsLog",
       with_old({{Name(15, ".index"), ""}, {Name(15, ".timeindex"), ""}, {Name(15, ".txnindex"), ""}}),
       kOld0 + kOld10,
       {Name(15, ".index"), Name(15, ".timeindex"), Name(15, ".txnindex")}},
      {"AnUnfinishedReplacement",
       with_old({{"varve.truncate", "half"},
                 {"leader-epoch-checkpoint.tmp", "half"},
                 {Name(10, ".index.tmp"), "half"},
                 {"varve.cut-00000000000000000007.tmp", "half"},
                 {"notes.tmp", "mine"},
                 {"readme", "mine"}}),
       kOld0 + kOld10,
       {"varve.truncate", "leader-epoch-checkpoint.tmp", Name(10, ".index.tmp"), "varve.cut-00000000000000000007.tmp"},
       {"notes.tmp", "readme"}},
  };
}

class LeftoversTest : public ::testing::TestWithParam<LeftoversCase> {
 protected:
  void SetUpFiles(Partition* partition) {
    for (const auto& [name, content] : GetParam().files) {
      WriteFile(partition->fs.get(), absl::StrCat(kDirectory, "/", name), content);
    }
    partition->AddSegment(20, kActive);
  }

  void ExpectCleared(Partition* partition) {
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition->Load());
    EXPECT_EQ(loaded.log_end_offset, 30);
    EXPECT_TRUE(ServedBatches(partition->fs.get(), loaded) == SplitBatches(GetParam().front + kActive));
    EXPECT_TRUE(loaded.report.damage.empty());
    VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, partition->fs->List(kDirectory));
    for (const std::string& name : names) {
      EXPECT_FALSE(name.ends_with(".deleted") || name.ends_with(".cleaned") || name.ends_with(".swap")) << name;
    }
    for (const std::string& name : GetParam().gone) EXPECT_THAT(names, ::testing::Not(::testing::Contains(name)));
    for (const std::string& name : GetParam().stays) EXPECT_THAT(names, ::testing::Contains(name));
  }
};

INSTANTIATE_TEST_SUITE_P(, LeftoversTest, ::testing::ValuesIn(Cases()),
                         [](const auto& param) { return param.param.name; });

TEST_P(LeftoversTest, AreClearedUpAndReported) {
  Partition partition;
  SetUpFiles(&partition);
  ExpectCleared(&partition);
  // Nothing is left to do.
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog again, partition.Load());
  for (const RecoveryFinding& finding : again.report.findings) {
    EXPECT_NE(finding.rule, "format notes 5.5") << finding.ToString();
  }
}

TEST_P(LeftoversTest, AreClearedUpByTheNextOpeningWhereverOneWasStopped) {
  for (uint64_t nth = 1;; ++nth) {
    SCOPED_TRACE(nth);
    Partition partition;
    SetUpFiles(&partition);
    FaultyFileSystem faulty(partition.fs.get());
    faulty.AddRule({.nth = nth, .for_ever = true, .status = absl::ResourceExhaustedError("stopped")});
    partition.options.file_system = &faulty;
    const bool loaded = LoadLog(&faulty, kDirectory, partition.options).ok();
    if (faulty.faults_fired() == 0) {
      EXPECT_TRUE(loaded);
      break;
    }
    EXPECT_TRUE(faulty.faults_fired() > 0);
    for (uint64_t seed = 0; seed < 5; ++seed) {
      SCOPED_TRACE(::testing::Message() << "seed " << seed);
      Partition after(seed == 0 ? partition.fs->CloneAfterProcessDeath()
                                : partition.fs->CloneAfterCrash({.seed = seed}));
      ExpectCleared(&after);
      if (HasFailure()) return;
    }
  }
}

// A log that is open and opened anew may be removing what it has deleted.
TEST(LeftoversRaceTest, WhatSomebodyElseRemovesMeanwhileStopsNoOpening) {
  Partition partition;
  const std::string deleted = Name(0, ".log.deleted");
  WriteFile(partition.fs.get(), absl::StrCat(kDirectory, "/", deleted), kOld0);
  partition.AddSegment(20, kActive);
  FaultyFileSystem faulty(partition.fs.get());
  faulty.AddRule({.operation = FileOperation::kRemove,
                  .path_part = deleted,
                  .for_ever = true,
                  .status = absl::NotFoundError("gone"),
                  .after_effect = true});
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, LoadLog(&faulty, kDirectory, partition.options));
  EXPECT_EQ(faulty.faults_fired(), 1u);
  EXPECT_EQ(loaded.log_end_offset, 30);
  EXPECT_TRUE(ServedBatches(partition.fs.get(), loaded) == SplitBatches(kActive));
  EXPECT_FALSE(ReadFiles(partition.fs.get(), kDirectory).contains(deleted));
}

// A power loss that kept the rename and undid a removal before it would bring a covered segment back.
TEST_P(LeftoversTest, AreGoneForGoodBeforeASwapTakesTheNameOfALog) {
  Partition partition;
  SetUpFiles(&partition);
  FaultyFileSystem faulty(partition.fs.get());
  faulty.AddRule({.operation = FileOperation::kRename,
                  .path_part = ".log.swap",
                  .status = absl::ResourceExhaustedError("stopped"),
                  .after_effect = true});
  const bool loaded = LoadLog(&faulty, kDirectory, partition.options).ok();
  EXPECT_EQ(loaded, faulty.faults_fired() == 0);
  for (uint64_t seed = 0; seed < 24; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    Partition after(partition.fs->CloneAfterCrash({.seed = seed}));
    ExpectCleared(&after);
  }
}

}  // namespace
}  // namespace varve::internal
