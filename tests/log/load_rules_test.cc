// The rules of opening, one named test each, on a file system in memory.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/log_places.h"
#include "log/partition_fixture.h"
#include "support/status_matchers.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/verify.h"

namespace varve::internal {
namespace {

using testing_support::BatchesBytes;
using testing_support::FileMap;
using testing_support::IsOk;
using testing_support::kDirectory;
using testing_support::LegacyMessage;
using testing_support::Partition;
using testing_support::ReadFiles;
using testing_support::StatusIs;
using testing_support::WriteFile;

int64_t SizeOf(const std::string& bytes) { return static_cast<int64_t>(bytes.size()); }

// Two batches in a row of a magic that is not known, with good checksums.
std::string BatchesOfMagic(int8_t magic, int64_t first_offset) {
  constexpr size_t kMagicAt = 16;
  std::string bytes;
  for (int64_t offset = first_offset; offset < first_offset + 2; ++offset) {
    std::string batch = BatchesBytes(offset, offset + 1);
    batch[kMagicAt] = static_cast<char>(magic);
    bytes += batch;
  }
  return bytes;
}

TEST(LoadRulesTest, DamageOfAWholeLastSegmentIsKeptAndTheLogGoesOnBehindIt) {
  Partition partition;
  const std::string log = BatchesBytes(0, 10);
  partition.AddSegment(0, std::string(1000, 'x') + log);
  partition.SetDurablePoint(/*segment=*/0, /*position=*/0, /*offset=*/0, /*survived=*/true);
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
  ASSERT_EQ(loaded.segments.size(), 2u);
  EXPECT_EQ(loaded.segments[1].base_offset, 10);
  EXPECT_EQ(loaded.log_end_offset, 10);
  EXPECT_EQ(partition.Log(0), std::string(1000, 'x') + log);
  ASSERT_EQ(loaded.report.damage.size(), 1u);
  EXPECT_EQ(loaded.report.damage[0].bytes, 1000 + SizeOf(log));
}

TEST(LoadRulesTest, TornTailIsCut) {
  Partition partition;
  const std::string log = BatchesBytes(0, 10);
  partition.AddSegment(0, log + BatchesBytes(10, 11).substr(0, 80));
  partition.SetDurablePoint(0, 0, 0, /*survived=*/true);
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
  EXPECT_EQ(loaded.log_end_offset, 10);
  EXPECT_EQ(loaded.report.bytes_cut, 80);
  EXPECT_EQ(partition.Log(0), log);
}

TEST(LoadRulesTest, AfterARestartTheLogEndsAtTheFirstInvalidByteAndWhatIsBehindIsSavedAside) {
  Partition partition;
  const std::string front = BatchesBytes(0, 5);
  const std::string behind = BatchesBytes(6, 9);
  std::string broken = BatchesBytes(5, 6);
  broken[100] ^= 1;
  partition.AddSegment(0, front + broken + behind);
  partition.SetDurablePoint(0, 0, 0, /*survived=*/false);
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
  EXPECT_EQ(loaded.log_end_offset, 5);
  EXPECT_EQ(partition.Log(0), front);
  EXPECT_EQ(testing_support::ReadFile(partition.fs.get(), "orders-0/varve.cut-00000000000000000005"), broken + behind);
  EXPECT_EQ(loaded.report.batches_saved_aside, 3);
}

TEST(LoadRulesTest, PayloadDamageBelowTheDurablePointCostsItsBatchOnly) {
  for (const bool survived : {false, true}) {
    Partition partition;
    const std::string log = BatchesBytes(0, 20);
    partition.AddSegment(0, log);
    partition.SetDurablePoint(0, SizeOf(log), 20, survived);
    const int64_t batch_bytes = SizeOf(BatchesBytes(0, 1));
    partition.FlipBit("00000000000000000000.log", 7 * batch_bytes + 90);
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
    EXPECT_EQ(loaded.log_end_offset, 20);
    ASSERT_EQ(loaded.report.damage.size(), 1u);
    EXPECT_EQ(loaded.report.damage[0].position, 7 * batch_bytes);
    EXPECT_EQ(loaded.report.damage[0].bytes, batch_bytes);
    EXPECT_EQ(loaded.report.damage[0].first_offset, 7);
    EXPECT_EQ(loaded.report.damage[0].last_offset, 7);
  }
}

// --- How much is read ---

uint64_t CountWhileLoading(Partition* partition, FileOperation operation) {
  FaultyFileSystem counting(partition->fs.get());
  EXPECT_THAT(LoadLog(&counting, kDirectory, partition->options), IsOk());
  return counting.operation_count(operation);
}

// Once for all the files, and once for the snapshots that producers are loaded from.
TEST(LoadRulesTest, NamesAreAskedForOnceWhereNothingIsUnfinished) {
  for (const bool clean : {false, true}) {
    Partition partition;
    partition.AddSegment(0, BatchesBytes(0, 10));
    partition.AddSegment(10, BatchesBytes(10, 20));
    VARVE_ASSERT_OK(partition.Load());
    partition.SetDurablePoint(10, SizeOf(BatchesBytes(10, 20)), 20, /*survived=*/true, clean);
    EXPECT_EQ(CountWhileLoading(&partition, FileOperation::kList), 2u);
  }
}

TEST(LoadRulesTest, ALeftoverDoesNotMakeTheLogBeReadTwice) {
  const auto reads = [](bool with_leftover) {
    Partition partition;
    for (int64_t base_offset = 0; base_offset < 200; base_offset += 5) {
      partition.AddSegment(base_offset, BatchesBytes(base_offset, base_offset + 5));
    }
    if (with_leftover) WriteFile(partition.fs.get(), "orders-0/00000000000000000003.log.deleted", "x");
    return CountWhileLoading(&partition, FileOperation::kRead);
  };
  const uint64_t without = reads(false);
  ASSERT_GE(without, 40u);
  EXPECT_LT(reads(true), without + 10);
}

// --- Marks against files ---

// Who wrote the log last, as the marks tell: without varve.state, behind the end at which varve closed it, after varve
// died in it.
enum class KafkaWent { kAlone, kOnBehindAClose, kOnAfterACrash };

TEST(LoadRulesTest, ALogStartBeyondTheEndEmptiesALogThatKafkaWroteLastAndWhatWasThereIsSavedAside) {
  for (const OnDamage on_damage : {OnDamage::kKeep, OnDamage::kTruncate, OnDamage::kQuarantine}) {
    for (const KafkaWent went : {KafkaWent::kAlone, KafkaWent::kOnBehindAClose, KafkaWent::kOnAfterACrash}) {
      const std::string log = BatchesBytes(0, 10, /*leader_epoch=*/3);
      Partition partition;
      partition.AddSegment(0, log);
      if (went != KafkaWent::kAlone) {
        const int64_t durable_bytes = SizeOf(BatchesBytes(0, 8, /*leader_epoch=*/3));
        partition.SetDurablePoint(0, durable_bytes, 8, /*survived=*/true, went == KafkaWent::kOnBehindAClose);
      }
      partition.options.marks = {.clean = true, .recovery_point = 10, .log_start_offset = 50};
      partition.options.on_damage = on_damage;
      for (int opening = 0; opening < 2; ++opening) {
        SCOPED_TRACE(absl::StrCat("went ", static_cast<int>(went), ", opening ", opening));
        VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
        EXPECT_EQ(loaded.log_start_offset, 50);
        EXPECT_EQ(loaded.log_end_offset, 50);
        ASSERT_EQ(loaded.segments.size(), 1u);
        EXPECT_EQ(loaded.segments[0].base_offset, 50);
        EXPECT_TRUE(loaded.epochs->entries().empty());
        if (opening > 0) continue;
        EXPECT_EQ(loaded.report.batches_saved_aside, 10);
        EXPECT_EQ(loaded.report.bytes_cut, SizeOf(log));
        EXPECT_THAT(loaded.report.findings,
                    ::testing::Contains(::testing::AllOf(
                        ::testing::Field(&RecoveryFinding::action, RecoveryAction::kSavedAside),
                        ::testing::Field(&RecoveryFinding::rule, "format notes 5.2.6"),
                        ::testing::Field(&RecoveryFinding::evidence,
                                         ::testing::HasSubstr("; log start 50 is beyond the log end 10, ")))));
      }
      EXPECT_EQ(testing_support::ReadFile(partition.fs.get(), "orders-0/varve.cut-00000000000000000000"), log);
    }
  }
}

// As varve.state says once it was started anew below a log start of Kafka's.
void Supersede(Partition* partition, int64_t marked_start) {
  VARVE_ASSERT_OK_AND_ASSIGN(const auto state, PartitionState::Open(partition->fs.get(), kDirectory));
  PartitionStateValues values = state->values();
  values.superseded_log_start = marked_start;
  state->Store(values);
}

// The checkpoint is of before varve started the log anew further down: what was appended there since is not its to take.
TEST(LoadRulesTest, AStaleLogStartMarkTakesNothingFromALogThatVarveWroteLast) {
  for (const OnDamage on_damage : {OnDamage::kKeep, OnDamage::kTruncate, OnDamage::kQuarantine}) {
    for (const bool clean : {false, true}) {
      for (const std::optional<bool> marker : {std::optional<bool>(), std::optional(false), std::optional(clean)}) {
        const std::string log = BatchesBytes(5, 10, /*leader_epoch=*/3);
        Partition partition;
        partition.AddSegment(5, log);
        partition.SetDurablePoint(5, SizeOf(log), 10, /*survived=*/true, clean);
        Supersede(&partition, 50);
        partition.options.marks = {.clean = marker, .recovery_point = 60, .log_start_offset = 50};
        partition.options.on_damage = on_damage;
        for (int opening = 0; opening < 2; ++opening) {
          SCOPED_TRACE(absl::StrCat("clean ", clean, ", marker ", marker.value_or(false), ", opening ", opening));
          VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
          EXPECT_EQ(loaded.log_start_offset, 5);
          EXPECT_EQ(loaded.log_end_offset, 10);
          EXPECT_THAT(loaded.epochs->entries(), ::testing::ElementsAre(LeaderEpoch{3, 5}));
          EXPECT_EQ(loaded.report.bytes_cut, 0);
          EXPECT_THAT(
              loaded.report.findings,
              ::testing::Contains(::testing::AllOf(
                  ::testing::Field(&RecoveryFinding::action, RecoveryAction::kIgnored),
                  ::testing::Field(&RecoveryFinding::file, "log-start-offset-checkpoint"),
                  ::testing::Field(&RecoveryFinding::evidence, ::testing::HasSubstr("log start 50 is of before")))));
          EXPECT_EQ(partition.Log(5), log);
          partition.options.marks.clean = marker.has_value() ? std::optional(false) : std::nullopt;
        }
      }
    }
  }
}

TEST(LoadRulesTest, AReadThatFailsBesideAStaleLogStartMarkCostsNoBatch) {
  const std::string log = BatchesBytes(5, 10);
  for (const OnDamage on_damage : {OnDamage::kKeep, OnDamage::kTruncate}) {
    for (uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(absl::StrCat("on damage ", static_cast<int>(on_damage), ", read ", nth));
      Partition partition;
      partition.AddSegment(5, log);
      partition.SetDurablePoint(5, SizeOf(log), 10, /*survived=*/true, /*clean=*/true);
      Supersede(&partition, 50);
      partition.options.marks.log_start_offset = 50;
      partition.options.on_damage = on_damage;
      FaultyFileSystem faulty(partition.fs.get());
      faulty.AddRule(
          {.operation = FileOperation::kRead, .path_part = ".log", .nth = nth, .status = absl::InternalError("EIO")});
      const auto loaded = LoadLog(&faulty, kDirectory, partition.options);
      if (faulty.faults_fired() == 0) {
        EXPECT_GT(nth, 3u);
        EXPECT_EQ(loaded->report.bytes_scanned, 2 * SizeOf(log)) << "the tail, and the segment for its indexes";
        break;
      }
      ASSERT_THAT(loaded, IsOk());
      ASSERT_FALSE(loaded->segments.empty());
      EXPECT_EQ(loaded->segments[0].base_offset, 5);
      EXPECT_EQ(loaded->log_start_offset, 5);
      // Who wants the log to end at damage has it end where it cannot be read; what was there is kept aside.
      if (on_damage == OnDamage::kTruncate) continue;
      EXPECT_EQ(loaded->log_end_offset, 10);
      EXPECT_EQ(partition.Log(5), log);
    }
  }
}

// Varve died, a broker went on, stopped and raised the log start: that varve has begun to open the log since, and died
// again, takes nothing of it back. So where the broker had been handed a log that varve started anew.
TEST(LoadRulesTest, ALogStartThatABrokerRaisedCountsThoughItsCleanMarkerIsGone) {
  for (const int64_t superseded : {0, 40, 60}) {
    for (const bool clean : {false, true}) {
      Partition partition;
      partition.AddSegment(0, BatchesBytes(0, 10));
      partition.SetDurablePoint(0, SizeOf(BatchesBytes(0, 10)), 10, /*survived=*/true, clean);
      Supersede(&partition, superseded);
      partition.options.marks = {.clean = false, .recovery_point = 10, .log_start_offset = 50};
      for (int opening = 0; opening < 2; ++opening) {
        SCOPED_TRACE(absl::StrCat("superseded ", superseded, ", clean ", clean, ", opening ", opening));
        VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
        EXPECT_EQ(loaded.log_start_offset, 50);
        EXPECT_EQ(loaded.log_end_offset, 50);
        EXPECT_EQ(loaded.state->values().superseded_log_start, 0) << "were it 60 later on, that would be another one";
      }
    }
  }
}

TEST(LoadRulesTest, WhatIsAppendedBelowAStaleLogStartMarkStays) {
  for (const bool crashes : {false, true}) {
    Partition partition;
    partition.options.marks = {.clean = false, .recovery_point = 1000, .log_start_offset = 1000};
    std::unique_ptr<MemoryFileSystem> after;
    {
      const auto log = testing_support::OpenLog(kDirectory, partition.options);
      ASSERT_EQ(log->log_end_offset(), 1000);
      VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(500));
      testing_support::AppendMany(log.get(), 3, {.ack = Ack::kDurable});
      if (crashes) after = partition.fs->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
      VARVE_ASSERT_OK(log->Close());
    }
    if (crashes) partition.options.file_system = after.get();
    const auto log = testing_support::OpenLog(kDirectory, partition.options);
    EXPECT_EQ(log->log_start_offset(), 500);
    EXPECT_EQ(log->log_end_offset(), 503);
    testing_support::ExpectRecords(*log, 500, 503);
  }
}

TEST(LoadRulesTest, AStaleLogStartMarkHidesNothingOfALogThatHasGrownBeyondIt) {
  Partition partition;
  partition.options.marks = {.clean = false, .recovery_point = 20, .log_start_offset = 20};
  {
    const auto log = testing_support::OpenLog(kDirectory, partition.options);
    VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(5));
    testing_support::AppendMany(log.get(), 25);
    VARVE_ASSERT_OK(log->TruncateTo(28));
  }
  for (int opening = 0; opening < 2; ++opening) {
    const auto log = testing_support::OpenLog(kDirectory, partition.options);
    EXPECT_EQ(log->log_start_offset(), 5);
    testing_support::ExpectRecords(*log, 5, 28);
    VARVE_ASSERT_OK(log->Close());
  }
  // A later life of the log begins above it: then it says nothing that is not known.
  const auto log = testing_support::OpenLog(kDirectory, partition.options);
  VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(30));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto state, PartitionState::Peek(partition.fs.get(), kDirectory));
  EXPECT_EQ(state->superseded_log_start, 0);
}

// What varve.state itself says is no stale mark, nor is one below what varve had synced: damage may end the log before
// it.
TEST(LoadRulesTest, ALogThatDamageEndsBelowItsStartBeginsAnewThere) {
  for (const bool by_mark : {false, true}) {
    Partition partition;
    partition.AddSegment(0, BatchesBytes(0, 10));
    partition.SetDurablePoint(0, SizeOf(BatchesBytes(0, 10)), 10, /*survived=*/true);
    if (by_mark) {
      partition.options.marks.log_start_offset = 7;
    } else {
      VARVE_ASSERT_OK_AND_ASSIGN(const auto state, PartitionState::Open(partition.fs.get(), kDirectory));
      PartitionStateValues values = state->values();
      values.log_start_offset = 7;
      state->Store(values);
    }
    partition.FlipBit("00000000000000000000.log", SizeOf(BatchesBytes(0, 3)) + 70);
    partition.options.on_damage = OnDamage::kTruncate;
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
    EXPECT_EQ(loaded.log_start_offset, 7);
    EXPECT_EQ(loaded.log_end_offset, 7);
  }
}

// A follower of Kafka's that truncated to its log start, 50, dropped the whole batch 45 to 54. Whoever went on at 45
// would lose what he appends there to the next opening by the same mark.
TEST(LoadRulesTest, WhatIsAppendedWhereTheLogStartLayBeyondTheEndStays) {
  Partition partition;
  partition.AddSegment(0, BatchesBytes(0, 45));
  partition.options.marks = {.clean = true, .recovery_point = 50, .log_start_offset = 50};
  int64_t first_offset = 0;
  {
    const auto log = testing_support::OpenLog(kDirectory, partition.options);
    first_offset = log->log_end_offset();
    testing_support::AppendMany(log.get(), 3, {.ack = Ack::kDurable});
    VARVE_ASSERT_OK(log->Close());
  }
  partition.options.marks.clean = false;
  const auto log = testing_support::OpenLog(kDirectory, partition.options);
  EXPECT_EQ(log->log_start_offset(), 50);
  EXPECT_EQ(log->log_end_offset(), 53);
  testing_support::ExpectRecords(*log, first_offset, 53);
}

// Deletion moves epochs up to the log start, of which a crash may leave no other trace; then damage ends the log below.
TEST(LoadRulesTest, EpochsOfOffsetsThatAreGoneDoNotHideThoseOfTheBatches) {
  Partition partition;
  partition.AddSegment(0, BatchesBytes(0, 5, /*leader_epoch=*/2) + BatchesBytes(5, 10, /*leader_epoch=*/3));
  WriteFile(partition.fs.get(), "orders-0/leader-epoch-checkpoint", "0\n2\n3 50\n6 60\n");
  partition.options.marks = {.clean = false, .recovery_point = 0};
  for (int opening = 0; opening < 2; ++opening) {
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
    EXPECT_EQ(loaded.log_end_offset, 10);
    EXPECT_THAT(loaded.epochs->entries(), ::testing::ElementsAre(LeaderEpoch{2, 0}, LeaderEpoch{3, 5}));
  }
}

TEST(LoadRulesTest, ASegmentThatDoesNotBeginWhereTheOneBeforeEndsWasOrphanedByTheRestart) {
  for (const bool survived : {false, true}) {
    Partition partition;
    const std::string front = BatchesBytes(0, 5);
    partition.AddSegment(0, front);
    partition.AddSegment(8, BatchesBytes(8, 12));
    partition.SetDurablePoint(0, 0, 0, survived);
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
    EXPECT_EQ(loaded.log_end_offset, survived ? 12 : 5);
    if (survived) continue;
    EXPECT_EQ(testing_support::ReadFile(partition.fs.get(), "orders-0/varve.cut-00000000000000000008"),
              BatchesBytes(8, 12));
    EXPECT_THAT(loaded.report.findings,
                ::testing::Contains(::testing::AllOf(
                    ::testing::Field(&RecoveryFinding::action, RecoveryAction::kSavedAside),
                    ::testing::Field(&RecoveryFinding::evidence,
                                     ::testing::HasSubstr("a segment at offset 5 expected, found 8")))));
  }
}

// A checkpoint that lags behind, as a host may keep one, moves the point from which on everything is read.
TEST(LoadRulesTest, AGapOfCompactionBelowTheDurablePointIsNoLostTailAboveACheckpoint) {
  Partition partition;
  partition.AddSegment(0, BatchesBytes(0, 5));
  partition.AddSegment(8, BatchesBytes(8, 12));
  partition.SetDurablePoint(8, SizeOf(BatchesBytes(8, 12)), 12, /*survived=*/false);
  partition.options.marks.recovery_point = 0;
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
  EXPECT_EQ(loaded.log_end_offset, 12);
  EXPECT_EQ(loaded.report.bytes_cut, 0);
}

// The close had synced it: it has gone bad since, and is told before anything is appended behind it.
TEST(LoadRulesTest, ABitThatFlippedInTheTailSinceACleanStopIsDamage) {
  const std::string log = BatchesBytes(0, 10);
  const int64_t batch_bytes = SizeOf(log) / 10;
  Partition partition;
  partition.AddSegment(0, log);
  VARVE_ASSERT_OK(partition.Load());  // makes the indexes
  partition.SetDurablePoint(0, SizeOf(log), 10, /*survived=*/true, /*clean=*/true);
  partition.FlipBit("00000000000000000000.log", 9 * batch_bytes + 90);
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
  EXPECT_FALSE(loaded.report.clean);
  EXPECT_EQ(loaded.log_end_offset, 10);
  ASSERT_EQ(loaded.report.damage.size(), 1u);
  EXPECT_EQ(loaded.report.damage[0].first_offset, 9);
  EXPECT_EQ(loaded.report.damage[0].last_offset, 9);
}

// Somebody who knows nothing of varve's notes went on, and compacted, after varve had closed the log.
TEST(LoadRulesTest, AGapAboveACleanCloseIsNoLostTail) {
  Partition partition;
  partition.AddSegment(0, BatchesBytes(0, 5));
  partition.AddSegment(8, BatchesBytes(8, 12));
  partition.SetDurablePoint(0, SizeOf(BatchesBytes(0, 2)), 2, /*survived=*/false, /*clean=*/true);
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
  EXPECT_EQ(loaded.log_end_offset, 12);
  EXPECT_EQ(loaded.report.bytes_cut, 0);
  VARVE_ASSERT_OK_AND_ASSIGN(const VerifyReport report, Verify(partition.fs.get(), kDirectory));
  EXPECT_TRUE(report.damage.empty());
}

TEST(LoadRulesTest, AFollowersGapSurvivesARestart) {
  // A gap inside a segment, one below the durable point between segments, and one too wide for a segment.
  Partition partition;
  const int64_t far = int64_t{1} << 40;
  partition.AddSegment(0, BatchesBytes(0, 5));
  partition.AddSegment(7, BatchesBytes(7, 9) + BatchesBytes(20, 22));
  partition.AddSegment(22, BatchesBytes(30, 32));
  partition.AddSegment(far, BatchesBytes(far, far + 2));
  partition.SetDurablePoint(7, SizeOf(BatchesBytes(7, 8)), 8, /*survived=*/false);
  partition.options.recover_all = true;
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
  EXPECT_EQ(loaded.log_end_offset, far + 2);
  EXPECT_EQ(loaded.report.bytes_cut, 0);
  EXPECT_TRUE(loaded.report.damage.empty());
}

TEST(LoadRulesTest, AStateThatOutlivedItsSegmentsCountsForNothing) {
  for (const OnDamage on_damage : {OnDamage::kKeep, OnDamage::kTruncate, OnDamage::kQuarantine}) {
    Partition partition;
    const std::string log = BatchesBytes(0, 10);
    partition.options.on_damage = on_damage;
    partition.AddSegment(0, log);
    partition.SetDurablePoint(0, SizeOf(log), 10, /*survived=*/true);
    VARVE_ASSERT_OK(partition.fs->Remove(partition.LogPath(0)));
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
    EXPECT_EQ(loaded.log_start_offset, 0);
    EXPECT_EQ(loaded.log_end_offset, 0);
    EXPECT_THAT(loaded.report.findings,
                ::testing::Contains(::testing::Field(&RecoveryFinding::action, RecoveryAction::kIgnored)));
  }
}

TEST(LoadRulesTest, DamageOfTheLastDurableBatchIsNotSomebodyElsesWork) {
  const std::string log = BatchesBytes(0, 10);
  const int64_t batch_bytes = SizeOf(log) / 10;
  enum class Fault { kZeros, kCutShort, kCutInside };
  for (const Fault fault : {Fault::kZeros, Fault::kCutShort, Fault::kCutInside}) {
    for (const bool survived : {false, true}) {
      for (const bool clean : {false, true}) {
        SCOPED_TRACE(absl::StrCat("fault ", static_cast<int>(fault), ", survived ", survived, ", clean ", clean));
        Partition partition;
        partition.AddSegment(0, log);
        partition.SetDurablePoint(0, SizeOf(log), 10, survived, clean);
        {
          VARVE_ASSERT_OK_AND_ASSIGN(const auto state, PartitionState::Open(partition.fs.get(), kDirectory));
          PartitionStateValues values = state->values();
          values.log_start_offset = 3;
          state->Store(values);
        }
        VARVE_ASSERT_OK_AND_ASSIGN(const auto file, partition.fs->Open(partition.LogPath(0), OpenMode::kReadWrite));
        const std::string zeros(static_cast<size_t>(batch_bytes), '\0');
        if (fault == Fault::kZeros) {
          VARVE_ASSERT_OK(file->WriteAt(static_cast<uint64_t>(9 * batch_bytes), AsBytes(zeros)));
        } else {
          const int64_t left = 9 * batch_bytes + (fault == Fault::kCutInside ? 70 : 0);
          VARVE_ASSERT_OK(file->Truncate(static_cast<uint64_t>(left)));
        }
        VARVE_ASSERT_OK_AND_ASSIGN(const VerifyReport verified, Verify(partition.fs.get(), kDirectory));
        ASSERT_EQ(verified.damage.size(), 1u);
        EXPECT_EQ(verified.damage[0].first_offset, 9);
        VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
        EXPECT_EQ(loaded.log_start_offset, 3);
        EXPECT_EQ(loaded.log_end_offset, 10) << "a durable offset is not given out again";
        ASSERT_EQ(loaded.report.damage.size(), 1u);
        EXPECT_EQ(loaded.report.damage[0].first_offset, 9);
        EXPECT_EQ(loaded.report.damage[0].last_offset, 9);
        EXPECT_EQ(loaded.report.bytes_cut, 0);
      }
    }
  }
}

TEST(LoadRulesTest, TheLogStartOfAVoidPointCountsWhereTheLogHasIt) {
  const std::string log = BatchesBytes(5, 10);
  for (const int64_t log_start_offset : {3, 5, 8, 10, 11}) {
    for (const OnDamage on_damage : {OnDamage::kKeep, OnDamage::kTruncate, OnDamage::kQuarantine}) {
      Partition partition;
      partition.options.on_damage = on_damage;
      partition.AddSegment(5, log);
      partition.SetDurablePoint(5, SizeOf(log), 10, /*survived=*/true);
      {
        VARVE_ASSERT_OK_AND_ASSIGN(const auto state, PartitionState::Open(partition.fs.get(), kDirectory));
        PartitionStateValues values = state->values();
        values.log_start_offset = log_start_offset;
        values.durable.batch_crc ^= 1;
        state->Store(values);
      }
      VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
      EXPECT_EQ(loaded.log_start_offset, log_start_offset > 10 ? 5 : std::max<int64_t>(log_start_offset, 5));
      EXPECT_EQ(loaded.log_end_offset, 10);
      EXPECT_EQ(partition.Log(5), log);
      const bool ignored =
          std::any_of(loaded.report.findings.begin(), loaded.report.findings.end(), [](const RecoveryFinding& finding) {
            return finding.evidence.find("log start 11 is beyond the log end 10") != std::string::npos;
          });
      EXPECT_EQ(ignored, log_start_offset == 11);
    }
  }
}

// --- Refusals ---

struct RefusedCase {
  std::string name;
  std::string log;  // of the segment at offset 10
  std::string magic;
  int64_t position;
};

std::vector<RefusedCase> RefusedCases() {
  const std::string front = BatchesBytes(10, 13);
  return {{"MagicZeroFirst", LegacyMessage(0, 10), "magic 2 expected, found 0", 0},
          {"MagicOneFirst", LegacyMessage(1, 10), "magic 2 expected, found 1", 0},
          {"MagicZeroBehindBatches", front + LegacyMessage(0, 13), "magic 2 expected, found 0", SizeOf(front)},
          {"MagicOneBehindBatches", front + LegacyMessage(1, 13) + BatchesBytes(14, 16), "magic 2 expected, found 1",
           SizeOf(front)},
          {"MagicThree", front + BatchesOfMagic(3, 13), "magic 2 expected, found 3", SizeOf(front)}};
}

class RefusalTest : public ::testing::TestWithParam<RefusedCase> {};
INSTANTIATE_TEST_SUITE_P(, RefusalTest, ::testing::ValuesIn(RefusedCases()),
                         [](const auto& param) { return param.param.name; });

// Whatever else there is to do in the directory, and whatever the marks say: not a byte of it changes.
TEST_P(RefusalTest, LeavesEveryByteAsItWas) {
  enum class Also { kNothing, kTornTail, kLeftovers, kPending, kCleanMark };
  for (const Also also : {Also::kNothing, Also::kTornTail, Also::kLeftovers, Also::kPending, Also::kCleanMark}) {
    for (const OnDamage on_damage : {OnDamage::kKeep, OnDamage::kTruncate, OnDamage::kQuarantine}) {
      Partition partition;
      partition.options.on_damage = on_damage;
      const std::string first = BatchesBytes(0, 10);
      partition.AddSegment(0, first);
      partition.AddSegment(10, GetParam().log + (also == Also::kTornTail ? "torn" : ""));
      if (also == Also::kLeftovers) {
        WriteFile(partition.fs.get(), absl::StrCat(kDirectory, "/00000000000000000007.log.deleted"), "old");
        WriteFile(partition.fs.get(), absl::StrCat(kDirectory, "/00000000000000000000.log.swap"), first);
        WriteFile(partition.fs.get(), absl::StrCat(kDirectory, "/00000000000000000007.index"), "orphan");
      }
      if (also != Also::kNothing) {
        partition.SetDurablePoint(0, SizeOf(first), 10, /*survived=*/true, also == Also::kCleanMark);
      }
      if (also == Also::kPending) {
        VARVE_ASSERT_OK_AND_ASSIGN(const auto state, PartitionState::Open(partition.fs.get(), kDirectory));
        PartitionStateValues values = state->values();
        values.pending = PendingOperation::kDeleteBefore;
        values.pending_offset = 10;
        state->Store(values);
      }
      const FileMap before = ReadFiles(partition.fs.get(), kDirectory);
      const auto loaded = partition.Load();
      EXPECT_THAT(loaded,
                  StatusIs(absl::StatusCode::kUnimplemented,
                           ::testing::AllOf(::testing::HasSubstr("00000000000000000010.log"),
                                            ::testing::HasSubstr(GetParam().magic),
                                            ::testing::HasSubstr(absl::StrCat("position ", GetParam().position)))));
      EXPECT_EQ(ReadFiles(partition.fs.get(), kDirectory), before);
    }
  }
}

// Byte 16 alone says nothing: a damaged one is damage.
TEST(LoadRulesTest, AMagicWithoutItsChecksumIsDamageOrATornTail) {
  for (const int8_t magic : {int8_t{0}, int8_t{1}, int8_t{3}}) {
    Partition partition;
    std::string log = BatchesBytes(0, 10);
    const size_t batch_bytes = log.size() / 10;
    log[4 * batch_bytes + 16] = static_cast<char>(magic);
    partition.AddSegment(0, log);
    partition.SetDurablePoint(0, SizeOf(BatchesBytes(0, 10)), 10, /*survived=*/false);
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
    EXPECT_EQ(loaded.log_end_offset, 10);
    EXPECT_EQ(partition.Log(0), BatchesBytes(0, 10)) << "mended: the rest of the batch vouches for it";
    EXPECT_EQ(loaded.report.damage.size(), 0u);
  }
}

}  // namespace
}  // namespace varve::internal
