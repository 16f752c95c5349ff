// An opening that has much to do is stopped, or fails, at every one of its operations: the next one comes to the same
// log. And what the device cannot read is damage, never a failure.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/bad_sectors.h"
#include "log/partition_fixture.h"
#include "log/recovery_scenarios.h"
#include "support/status_matchers.h"
#include "varve/testing/faulty_file_system.h"

namespace varve::internal {
namespace {

using Outcome = testing_support::RecoveryOutcome;
using testing_support::BatchesBytes;
using testing_support::Describe;
using testing_support::FileSystemWithBadSectors;
using testing_support::IsOk;
using testing_support::kDirectory;
using testing_support::kFirstLog;
using testing_support::Partition;
using testing_support::ReadFile;
using testing_support::RecoveryScenario;
using testing_support::RecoveryScenarios;
using testing_support::ServedBatches;
using testing_support::SetUpDurable;

int64_t SizeOf(const std::string& bytes) { return static_cast<int64_t>(bytes.size()); }

const int64_t kBatchBytes = SizeOf(BatchesBytes(0, 1));

class RecoveryFaultsTest : public ::testing::TestWithParam<RecoveryScenario> {
 protected:
  Outcome Undisturbed(std::optional<OnDamage> on_damage = std::nullopt) {
    Partition partition;
    GetParam().set_up(&partition);
    partition.options.on_damage = on_damage.value_or(partition.options.on_damage);
    const auto loaded = partition.Load();
    EXPECT_THAT(loaded, IsOk());
    return loaded.ok() ? Outcome::Of(partition.fs.get(), *loaded) : Outcome();
  }

  // Opens what a disturbed opening left, twice, as it was to be opened.
  void ExpectSame(std::unique_ptr<MemoryFileSystem> disk, const LogOptions& options, const Outcome& expected) {
    Partition after(std::move(disk));
    FileSystem* const file_system = after.options.file_system;
    Clock* const clock = after.options.clock;
    after.options = options;
    after.options.file_system = file_system;
    after.options.clock = clock;
    for (int opening = 0; opening < 2; ++opening) {
      VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, after.Load());
      const Outcome outcome = Outcome::Of(file_system, loaded);
      ASSERT_TRUE(outcome == expected) << Describe(outcome) << ", expected " << Describe(expected) << ", opening "
                                       << opening;
    }
  }
};

INSTANTIATE_TEST_SUITE_P(, RecoveryFaultsTest, ::testing::ValuesIn(RecoveryScenarios()),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(RecoveryFaultsTest, StoppedAtEveryOperationTheNextOpeningComesToTheSame) {
  const Outcome expected = Undisturbed();
  // Stopped for good, failed once, failed once though it happened.
  struct Way {
    bool for_ever;
    bool after_effect;
  };
  for (const Way way : {Way{true, false}, Way{false, false}, Way{false, true}}) {
    for (uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(::testing::Message() << "operation " << nth << (way.for_ever ? " and all later ones" : "")
                                        << (way.after_effect ? ", after its effect" : ""));
      Partition partition;
      GetParam().set_up(&partition);
      FaultyFileSystem faulty(partition.fs.get());
      faulty.AddRule({.nth = nth,
                      .for_ever = way.for_ever,
                      .status = absl::ResourceExhaustedError("stopped"),
                      .after_effect = way.after_effect});
      {
        const auto loaded = LoadLog(&faulty, kDirectory, partition.options);
        if (faulty.faults_fired() == 0) {
          EXPECT_THAT(loaded, IsOk());
          EXPECT_GT(nth, 20u);
          break;
        }
      }
      ExpectSame(partition.fs->CloneAfterProcessDeath(), partition.options, expected);
      for (uint64_t seed = 0; seed < 3; ++seed) {
        SCOPED_TRACE(::testing::Message() << "seed " << seed);
        const CrashMode mode = seed == 0 ? CrashMode::kLoseAllUnsynced : CrashMode::kRandom;
        ExpectSame(partition.fs->CloneAfterCrash({.seed = seed, .mode = mode}), partition.options, expected);
      }
      if (HasFailure()) return;
    }
  }
}

// Each read fails once with an I/O error. Whatever that opening makes of it, the batches are still there for the next.
TEST_P(RecoveryFaultsTest, AReadThatFailsCostsNoBatch) {
  const Outcome expected = Undisturbed(OnDamage::kKeep);
  for (uint64_t nth = 1;; ++nth) {
    SCOPED_TRACE(nth);
    Partition partition;
    GetParam().set_up(&partition);
    partition.options.on_damage = OnDamage::kKeep;  // the others may take out what cannot be read
    FaultyFileSystem faulty(partition.fs.get());
    faulty.AddRule({.operation = FileOperation::kRead, .nth = nth, .status = absl::InternalError("EIO")});
    (void)LoadLog(&faulty, kDirectory, partition.options);
    if (faulty.faults_fired() == 0) break;
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
    const Outcome outcome = Outcome::Of(partition.fs.get(), loaded);
    EXPECT_GE(outcome.log_end_offset, expected.log_end_offset);
    auto served = outcome.served.begin();
    for (const std::string& batch : expected.served) {
      served = std::find(served, outcome.served.end(), batch);
      ASSERT_TRUE(served != outcome.served.end()) << Describe(outcome) << ", expected " << Describe(expected);
    }
  }
}

// The state could be read at first, so what it tells stays, though it cannot be read again and the opening is stopped
// before it stores one.
TEST_P(RecoveryFaultsTest, StoppedWhereTheStateCannotBeReadAgainTheNextOpeningComesToTheSame) {
  const Outcome expected = Undisturbed();
  for (uint64_t unreadable = 2;; ++unreadable) {
    bool unreadable_fired = false;
    for (uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(::testing::Message() << "read " << unreadable << ", operation " << nth);
      Partition partition;
      GetParam().set_up(&partition);
      FaultyFileSystem faulty(partition.fs.get());
      const size_t read = faulty.AddRule({.operation = FileOperation::kRead,
                                          .path_part = PartitionState::kFileName,
                                          .nth = unreadable,
                                          .status = absl::InternalError("EIO")});
      const size_t stop =
          faulty.AddRule({.nth = nth, .for_ever = true, .status = absl::ResourceExhaustedError("stopped")});
      (void)LoadLog(&faulty, kDirectory, partition.options);
      unreadable_fired |= faulty.faults_fired(read) > 0;
      if (faulty.faults_fired(stop) == 0) break;
      if (faulty.faults_fired(read) == 0) continue;
      ExpectSame(partition.fs->CloneAfterProcessDeath(), partition.options, expected);
      for (uint64_t seed = 0; seed < 3; ++seed) {
        SCOPED_TRACE(::testing::Message() << "seed " << seed);
        const CrashMode mode = seed == 0 ? CrashMode::kLoseAllUnsynced : CrashMode::kRandom;
        ExpectSame(partition.fs->CloneAfterCrash({.seed = seed, .mode = mode}), partition.options, expected);
      }
      if (HasFailure()) return;
    }
    if (!unreadable_fired) break;
  }
}

// --- Bad sectors ---

std::string NameOfOnDamage(const ::testing::TestParamInfo<OnDamage>& info) {
  constexpr const char* kNames[] = {"Keep", "Truncate", "Quarantine"};
  return kNames[static_cast<size_t>(info.param)];
}

class BadSectorTest : public ::testing::TestWithParam<OnDamage> {};
INSTANTIATE_TEST_SUITE_P(, BadSectorTest,
                         ::testing::Values(OnDamage::kKeep, OnDamage::kTruncate, OnDamage::kQuarantine),
                         NameOfOnDamage);

constexpr int64_t kMany = 200;  // batches: eight pages of them

TEST_P(BadSectorTest, OfALogIsDamageWhereverItLies) {
  constexpr int64_t kPageBytes = 4096;
  const std::string log = BatchesBytes(0, kMany);
  for (int64_t page = 0; page * kPageBytes < SizeOf(log); ++page) {
    for (const bool clean : {false, true}) {
      SCOPED_TRACE(::testing::Message() << "page " << page << (clean ? ", clean" : ""));
      Partition partition;
      partition.AddSegment(0, log);
      partition.SetDurablePoint(0, SizeOf(log), kMany, /*survived=*/false, clean);
      partition.options.on_damage = GetParam();
      partition.options.recover_all = !clean;
      FileSystemWithBadSectors bad(partition.fs.get(), partition.LogPath(0), static_cast<uint64_t>(page * kPageBytes),
                                   512);
      VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, LoadLog(&bad, kDirectory, partition.options));
      if (loaded.report.clean) continue;  // not met: only the tail is read
      const int64_t first = page * kPageBytes / kBatchBytes;
      EXPECT_EQ(loaded.log_end_offset, GetParam() == OnDamage::kTruncate ? first : kMany);
      if (GetParam() == OnDamage::kTruncate) continue;
      ASSERT_EQ(loaded.report.damage.size(), 1u);
      EXPECT_EQ(loaded.report.damage[0].position, first * kBatchBytes);
      EXPECT_LE(loaded.report.damage[0].bytes, kPageBytes + 2 * kBatchBytes);
      if (GetParam() == OnDamage::kKeep) {
        EXPECT_TRUE(partition.Log(0) == log);
      }
    }
  }
}

TEST(BadSectorIndexTest, MakesTheIndexBeRebuilt) {
  const std::string log = BatchesBytes(0, kMany);
  for (const std::string kind : {"index", "timeindex"}) {
    for (const bool clean : {false, true}) {
      Partition partition;
      partition.AddSegment(0, log);
      VARVE_ASSERT_OK(partition.Load());
      partition.SetDurablePoint(0, SizeOf(log), kMany, /*survived=*/false, clean);
      const std::string path = absl::StrCat(kDirectory, "/00000000000000000000.", kind);
      const std::string before = ReadFile(partition.fs.get(), path);
      ASSERT_GT(before.size(), 24u);
      FileSystemWithBadSectors bad(partition.fs.get(), path, 0, 512);
      VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, LoadLog(&bad, kDirectory, partition.options));
      EXPECT_EQ(loaded.log_end_offset, kMany);
      EXPECT_TRUE(loaded.report.damage.empty());
      EXPECT_EQ(ReadFile(partition.fs.get(), path), before);
      EXPECT_THAT(loaded.report.findings, ::testing::Contains(::testing::AllOf(
                                              ::testing::Field(&RecoveryFinding::action, RecoveryAction::kRebuilt),
                                              ::testing::Field(&RecoveryFinding::file, ::testing::HasSubstr(kind)))));
    }
  }
}

TEST(BadSectorPendingTest, DoesNotStopATruncationThatWasAnnounced) {
  const std::string log = BatchesBytes(0, kMany);
  Partition partition;
  partition.AddSegment(0, log);
  partition.SetDurablePoint(0, SizeOf(log), kMany, /*survived=*/false);
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto state, PartitionState::Open(partition.fs.get(), kDirectory));
    PartitionStateValues values = state->values();
    values.pending = PendingOperation::kTruncateTo;
    values.pending_offset = kMany - 20;
    values.pending_end = {.segment = 0, .position = SizeOf(log)};
    values.durable = {.offset = kMany - 20, .segment = 0, .position = SizeOf(BatchesBytes(0, kMany - 20))};
    state->Store(values);
  }
  FileSystemWithBadSectors bad(partition.fs.get(), partition.LogPath(0), 8192, 512);
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, LoadLog(&bad, kDirectory, partition.options));
  EXPECT_EQ(loaded.log_end_offset, kMany - 20);
  EXPECT_EQ(SizeOf(partition.Log(0)), SizeOf(BatchesBytes(0, kMany - 20)));
}

// --- Stopped while damage is put right ---

// A file gets a new inode before varve.state says so: what is damaged must not look like what a restart lost.
struct StoppedCase {
  const char* name;
  OnDamage on_damage;
  bool died_rolling;  // the process died when it had made the next segment and not yet noted it
  int64_t damaged;    // batch of the second segment
  int64_t end;
  size_t batches;
};

constexpr StoppedCase kStoppedCases[] = {
    {"Keep", OnDamage::kKeep, false, 7, 20, 18},
    {"KeepAtADurableEnd", OnDamage::kKeep, false, 9, 20, 19},
    {"KeepBeforeANewSegment", OnDamage::kKeep, true, 7, 20, 18},
    {"Quarantine", OnDamage::kQuarantine, false, 7, 20, 18},
    {"QuarantineBeforeANewSegment", OnDamage::kQuarantine, true, 7, 20, 18},
    {"Truncate", OnDamage::kTruncate, false, 7, 17, 17},
    {"TruncateBeforeANewSegment", OnDamage::kTruncate, true, 7, 17, 17},
};

class StoppedRecoveryTest : public ::testing::TestWithParam<StoppedCase> {};
INSTANTIATE_TEST_SUITE_P(, StoppedRecoveryTest, ::testing::ValuesIn(kStoppedCases),
                         [](const auto& param) { return std::string(param.param.name); });

// Segments 0 to 9 and 10 to 19, headers to be mended and damage in both; in the second only where the log ends there
// or is durable.
void SetUpDamaged(const StoppedCase& stopped, Partition* partition) {
  const std::string second = "00000000000000000010.log";
  partition->AddSegment(0, BatchesBytes(0, 10));
  partition->AddSegment(10, BatchesBytes(10, 20));
  VARVE_ASSERT_OK(partition->Load());  // makes the indexes
  const bool at_the_end = stopped.damaged == 9;
  partition->SetDurablePoint(at_the_end ? 10 : 0, (at_the_end ? 10 : 2) * kBatchBytes, at_the_end ? 20 : 2,
                             /*survived=*/true);
  if (stopped.died_rolling) partition->AddSegment(20, "");
  partition->FlipBit(second, 3 * kBatchBytes + 11, 3);
  partition->FlipBit(second, stopped.damaged * kBatchBytes + 90);
  if (at_the_end) return;
  partition->FlipBit(kFirstLog, 6 * kBatchBytes + 7, 4);
  if (stopped.on_damage != OnDamage::kTruncate) partition->FlipBit(kFirstLog, 4 * kBatchBytes + 90);
}

TEST_P(StoppedRecoveryTest, TheNextOpeningGivesTheSameRecords) {
  const StoppedCase& stopped_case = GetParam();
  Partition whole;
  SetUpDamaged(stopped_case, &whole);
  const auto disk_of = [&](const MemoryFileSystem& files) {
    auto partition = std::make_unique<Partition>(files.CloneAfterProcessDeath());
    partition->options.on_damage = stopped_case.on_damage;
    return partition;
  };
  const auto undisturbed = disk_of(*whole.fs);
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog expected, undisturbed->Load());
  const std::vector<std::string> batches = ServedBatches(undisturbed->fs.get(), expected);
  ASSERT_EQ(batches.size(), stopped_case.batches);
  ASSERT_EQ(expected.log_end_offset, stopped_case.end);
  for (uint64_t nth = 1;; ++nth) {
    SCOPED_TRACE(::testing::Message() << "operation " << nth);
    const auto stopped = disk_of(*whole.fs);
    FaultyFileSystem faulty(stopped->fs.get());
    faulty.AddRule({.nth = nth, .for_ever = true, .status = absl::ResourceExhaustedError("stopped")});
    const bool done = LoadLog(&faulty, kDirectory, stopped->options).ok() && faulty.faults_fired() == 0;
    const auto next = disk_of(*stopped->fs);
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, next->Load());
    ASSERT_EQ(ServedBatches(next->fs.get(), loaded), batches);
    ASSERT_EQ(loaded.log_end_offset, expected.log_end_offset);
    if (stopped_case.on_damage != OnDamage::kTruncate) {
      ASSERT_EQ(loaded.report.bytes_cut, 0);
    }
    if (stopped_case.on_damage == OnDamage::kKeep) {
      ASSERT_EQ(loaded.report.damage.size(), expected.report.damage.size());
    }
    if (!done) continue;
    EXPECT_GT(nth, 20u);
    break;
  }
}

// A state that does not match the files must not come to count, with the log start it names, before they are right.
TEST(VoidStateTest, ItsLogStartDoesNotCountAgain) {
  for (uint64_t nth = 1;; ++nth) {
    SCOPED_TRACE(::testing::Message() << "operation " << nth);
    Partition partition;
    SetUpDurable(&partition, /*log_start_offset=*/50);
    {
      VARVE_ASSERT_OK_AND_ASSIGN(const auto state, PartitionState::Open(partition.fs.get(), kDirectory));
      PartitionStateValues values = state->values();
      values.durable = {.offset = 60, .segment = 55};
      state->Store(values);
    }
    partition.options.marks = {.clean = false, .recovery_point = 20, .log_start_offset = 0};
    partition.FlipBit("00000000000000000010.log", 3 * kBatchBytes + 11, 3);
    FaultyFileSystem faulty(partition.fs.get());
    faulty.AddRule({.nth = nth, .for_ever = true, .status = absl::ResourceExhaustedError("stopped")});
    const bool done = LoadLog(&faulty, kDirectory, partition.options).ok() && faulty.faults_fired() == 0;
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
    ASSERT_EQ(ServedBatches(partition.fs.get(), loaded).size(), 20u);
    ASSERT_EQ(loaded.log_end_offset, 20);
    if (done) break;
  }
}

}  // namespace
}  // namespace varve::internal
