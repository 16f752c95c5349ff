// A partition is handed over to a broker, or taken back out, and each call of the file system fails in its turn: the
// records are whole at one place at least, what was told to be done is done and stays so, and the next try ends it.
#include <memory>
#include <string>
#include <vector>

#include "faults/fault_share.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "store/hand_over_fixture.h"
#include "support/fault_runs.h"
#include "support/status_matchers.h"

namespace varve::testing_support {
namespace {

using ::testing::Contains;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kAdoptedLog[] = "kafka/orders-0/00000000000000000000.log";

// What a machine finds that stops now: its process died, or its power was lost.
std::vector<std::unique_ptr<MemoryFileSystem>> Left(const MemoryFileSystem& disk, uint64_t seed) {
  std::vector<std::unique_ptr<MemoryFileSystem>> left;
  left.push_back(disk.CloneAfterProcessDeath());
  left.push_back(disk.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced}));
  left.push_back(disk.CloneAfterCrash({.seed = seed}));
  return left;
}

bool IsAdopted(MemoryFileSystem* disk) {
  return IsThere(disk, kAdopted) && IsThere(disk, kAdoptedLog) && !ReadFile(disk, kAdoptedLog).empty();
}

class HandOverFaultsTest : public HandOverTest {
 protected:
  static void ExpectNothingOpen(MemoryFileSystem* disk) {
    EXPECT_EQ(disk->used_bytes(), disk->CloneAfterProcessDeath()->used_bytes()) << "a file was never closed";
  }

  FaultOutcome Adopt(const FaultPlan& plan, bool move) {
    const std::unique_ptr<MemoryFileSystem> machine = fs_.CloneAfterProcessDeath();
    FaultInjector faults(machine.get(), plan);
    faults.Begin();
    const absl::Status status = AdoptPartition(faults.file_system(), kSource, kBroker, {.move = move}).status();
    const FaultOutcome outcome = faults.outcome();
    faults.End();
    SCOPED_TRACE(status.ToString());
    EXPECT_TRUE(status.ok() || outcome.fired > 0);
    const bool undone = status.ToString().find("undoing failed") == std::string::npos;
    for (const auto& left : Left(*machine, plan.nth)) {
      EXPECT_TRUE(IsAdopted(left.get()) || !status.ok());
      if (undone) ExpectSafe(left.get(), &clock_);
      ExpectNextAdoption(left.get(), move);
    }
    ExpectNextAdoption(machine.get(), move);
    ExpectNothingOpen(machine.get());
    return outcome;
  }

  // Another try, of which nothing fails, ends with all records at the broker's.
  void ExpectNextAdoption(MemoryFileSystem* disk, bool move) {
    const bool adopted = IsAdopted(disk);
    const absl::Status status = AdoptPartition(disk, kSource, kBroker, {.move = move}).status();
    if (!adopted) {
      VARVE_EXPECT_OK(status);
    } else {
      EXPECT_FALSE(status.ok());
    }
    EXPECT_NO_FATAL_FAILURE(ExpectWhole(disk, &clock_, kAdopted));
    if (status.ok() || IsThere(disk, kSource)) {
      EXPECT_THAT(disk->List(kBroker), IsOkAndHolds(Not(Contains(EndsWith("-delete")))));
    }
  }

  FaultOutcome Export(const FaultPlan& plan) {
    const std::unique_ptr<MemoryFileSystem> machine = fs_.CloneAfterProcessDeath();
    const auto before = FilesBelow(machine.get(), kBroker);
    FaultInjector faults(machine.get(), plan);
    faults.Begin();
    const absl::Status status = ExportPartition(faults.file_system(), kAdopted, kExported).status();
    const FaultOutcome outcome = faults.outcome();
    faults.End();
    SCOPED_TRACE(status.ToString());
    EXPECT_TRUE(status.ok() || outcome.fired > 0);
    EXPECT_EQ(FilesBelow(machine.get(), kBroker), before);
    for (const auto& left : Left(*machine, plan.nth)) {
      EXPECT_TRUE(IsThere(left.get(), kExported) || !status.ok());
      ExpectNextExport(left.get());
    }
    ExpectNextExport(machine.get());
    EXPECT_EQ(FilesBelow(machine.get(), kBroker), before);
    ExpectNothingOpen(machine.get());
    return outcome;
  }

  void ExpectNextExport(MemoryFileSystem* disk) {
    const bool exported = IsThere(disk, kExported);
    if (exported) {
      EXPECT_NO_FATAL_FAILURE(ExpectWhole(disk, &clock_, kExported));
    }
    const absl::Status status = ExportPartition(disk, kAdopted, kExported).status();
    if (exported) {
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kAlreadyExists));
    } else {
      VARVE_EXPECT_OK(status);
      EXPECT_NO_FATAL_FAILURE(ExpectWhole(disk, &clock_, kExported));
      EXPECT_THAT(disk->List("data"), IsOkAndHolds(Not(Contains(EndsWith("-export")))));
    }
  }

  void MakeBrokersPartition() {
    MakeSource();
    MakeEmpty();
    VARVE_ASSERT_OK(AdoptPartition(&fs_, kSource, kBroker, {.move = true}));
    SyncAll(&fs_, kAdopted);
  }
};

TEST_F(HandOverFaultsTest, AnAdoptionIsDoneWhereItSaysSoAndTheNextTryEndsIt) {
  MakeSource();
  MakeEmpty();
  for (const bool move : {false, true}) {
    ForEveryFault(move ? "Adopt, moving" : "Adopt", ShareOfThisRun(),
                  [&](const FaultPlan& plan) { return Adopt(plan, move); });
  }
}

TEST_F(HandOverFaultsTest, AnExportIsDoneWhereItSaysSoAndTheNextTryEndsIt) {
  MakeBrokersPartition();
  ForEveryFault("Export", ShareOfThisRun(), [&](const FaultPlan& plan) { return Export(plan); });
}

// The broker died: the copy is recovered from where its checkpoint vouches for.
TEST_F(HandOverFaultsTest, AnExportOfWhatNobodyVouchesForIsDoneWhereItSaysSo) {
  MakeBrokersPartition();
  VARVE_ASSERT_OK(fs_.Remove("kafka/.kafka_cleanshutdown"));
  constexpr char kPoints[] = "kafka/recovery-point-offset-checkpoint";
  WriteFile(&fs_, kPoints, "0\n1\norders 0 0\n");
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto points, fs_.Open(kPoints, OpenMode::kReadWrite));
    VARVE_ASSERT_OK(points->SyncData());
  }
  VARVE_ASSERT_OK(fs_.SyncDirectory(kBroker));
  ForEveryFault("Export after a broker died", ShareOfThisRun(), [&](const FaultPlan& plan) { return Export(plan); });
}

}  // namespace
}  // namespace varve::testing_support
