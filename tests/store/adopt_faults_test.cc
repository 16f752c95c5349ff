// AdoptPartition: what a crash or a failure at any point leaves, and what the next try makes of it.
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "store/hand_over_fixture.h"
#include "support/hooked_file_system.h"
#include "support/status_matchers.h"

namespace varve {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::Not;
using testing_support::FilesBelow;
using testing_support::HandOverTest;
using testing_support::HookedFileSystem;
using testing_support::IsOkAndHolds;
using testing_support::IsThere;
using testing_support::kAdopted;
using testing_support::kAllLines;
using testing_support::kBroker;
using testing_support::kMetadata;
using testing_support::kOtherLines;
using testing_support::kRecords;
using testing_support::kSource;
using testing_support::OpenLog;
using testing_support::ReadFile;
using testing_support::StatusIs;
using testing_support::WriteFile;

using FilesByPath = std::map<std::string, std::string>;

// Moving takes every step that copying takes, and more.
class AdoptFaultsTest : public HandOverTest {
 protected:
  // The n-th operation that the rule is about fails, for every n up to `min_operations` or more: all that was done by
  // then is undone, or the copy is in place and only clearing away failed.
  void ExpectUndone(FaultRule rule, uint64_t min_operations) {
    const FilesByPath before = FilesBelow(&fs_, kBroker);
    for (rule.nth = 1;; ++rule.nth) {
      const std::unique_ptr<MemoryFileSystem> machine = fs_.CloneAfterProcessDeath();
      FaultyFileSystem faulty(machine.get());
      faulty.AddRule(rule);
      const absl::Status status = AdoptPartition(&faulty, kSource, kBroker, options_).status();
      SCOPED_TRACE(fmt::format("operation {}: {}", rule.nth, status.ToString()));
      ASSERT_NO_FATAL_FAILURE(ExpectSafe(machine.get(), &clock_));
      ASSERT_FALSE(HasFailure());
      if (faulty.faults_fired() == 0) {
        VARVE_ASSERT_OK(status);
        ASSERT_GT(rule.nth, min_operations);
        return;
      }
      if (!ReadFile(machine.get(), "kafka/orders-0/00000000000000000000.log").empty()) {
        EXPECT_TRUE(status.ok() || status.ToString().find("removing the source failed") != std::string::npos);
        continue;
      }
      ASSERT_FALSE(status.ok());
      FilesByPath after = FilesBelow(machine.get(), kBroker);
      std::erase_if(after, [](const auto& file) { return file.first.ends_with(".tmp"); });
      ASSERT_EQ(after, before);
    }
  }

  const AdoptOptions options_{.move = true};
};

TEST_F(AdoptFaultsTest, PowerLossAtAnyPointLosesNothing) {
  constexpr uint64_t kSeedsOfExchange = 12;
  MakeSource();
  MakeEmpty();
  std::set<bool> adopted;
  for (uint64_t n = 1;; ++n) {
    const std::unique_ptr<MemoryFileSystem> machine = fs_.CloneAfterProcessDeath();
    FaultyFileSystem dying(machine.get());
    dying.AddRule({.nth = n, .for_ever = true});
    const absl::Status status = AdoptPartition(&dying, kSource, kBroker, options_).status();
    // Names are exchanged in few steps, of which a crash may take any.
    const bool exchanges = !IsThere(machine.get(), kAdopted) || !IsThere(machine.get(), kSource);
    const uint64_t seeds = exchanges ? kSeedsOfExchange : 1;
    for (uint64_t seed = 0; seed <= seeds; ++seed) {
      const CrashMode mode = seed == 0 ? CrashMode::kLoseAllUnsynced : CrashMode::kRandom;
      const std::unique_ptr<MemoryFileSystem> after = machine->CloneAfterCrash({.seed = n * 100 + seed, .mode = mode});
      ASSERT_NO_FATAL_FAILURE(ExpectSafe(after.get(), &clock_)) << "operation " << n;
      adopted.insert(IsThere(after.get(), "kafka/orders-0/leader-epoch-checkpoint") &&
                     !ReadFile(after.get(), "kafka/orders-0/00000000000000000000.log").empty());
      ASSERT_FALSE(HasFailure()) << "operation " << n << ", seed " << seed << ": " << status;
    }
    if (dying.faults_fired() > 0) continue;
    VARVE_ASSERT_OK(status);
    ASSERT_GT(n, 100u);
    break;
  }
  EXPECT_EQ(adopted.size(), 2u);
}

TEST_F(AdoptFaultsTest, AFailureIsToldAndUndone) {
  MakeSource();
  MakeEmpty();
  ExpectUndone({}, 100);
}

TEST_F(AdoptFaultsTest, AChangeWhoseAnswerIsLostIsUndoneToo) {
  MakeSource();
  MakeEmpty();
  ExpectUndone({.operation = FileOperation::kRename, .after_effect = true}, 5);
  ExpectUndone({.operation = FileOperation::kSyncDirectory, .after_effect = true}, 5);
  ExpectUndone({.operation = FileOperation::kCreateDirectory, .after_effect = true}, 2);
  ExpectUndone({.operation = FileOperation::kRemove, .after_effect = true}, 5);
}

// What it has left is cleared away by the next try: a copy, and the broker's directory put aside.
TEST_F(AdoptFaultsTest, TheNextTryEndsOneThatWasKilled) {
  MakeSource();
  MakeEmpty();
  constexpr uint64_t kStep = 3;  // below the number of operations between the two renames
  bool put_aside = false;
  for (uint64_t n = 1;; n += kStep) {
    const std::unique_ptr<MemoryFileSystem> machine = fs_.CloneAfterProcessDeath();
    FaultyFileSystem dying(machine.get());
    dying.AddRule({.nth = n, .for_ever = true});
    if (AdoptPartition(&dying, kSource, kBroker).ok()) break;
    const bool was_there = IsThere(machine.get(), kAdopted);
    put_aside |= !was_there;
    const bool adopted = was_there && !ReadFile(machine.get(), "kafka/orders-0/00000000000000000000.log").empty();
    SCOPED_TRACE(fmt::format("operation {}", n));
    if (adopted) {
      EXPECT_THAT(AdoptPartition(machine.get(), kSource, kBroker), StatusIs(absl::StatusCode::kAlreadyExists));
    } else {
      VARVE_EXPECT_OK(AdoptPartition(machine.get(), kSource, kBroker));
    }
    EXPECT_NO_FATAL_FAILURE(ExpectWhole(machine.get(), &clock_, kAdopted));
    EXPECT_THAT(machine->List(kBroker), IsOkAndHolds(Not(Contains(EndsWith("-delete")))));
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_TRUE(put_aside);
}

TEST_F(AdoptFaultsTest, ACheckpointThatCannotBeParsedIsRefusedWhereATryWasKilledToo) {
  MakeSource();
  MakeEmpty();
  const std::string stage = "kafka/orders-0." + std::string(32, 'a') + "-delete";
  VARVE_ASSERT_OK(fs_.CreateDirectory(stage));
  VARVE_ASSERT_OK(fs_.CreateDirectory(stage + "/orders-0"));
  VARVE_ASSERT_OK(fs_.Rename(kAdopted, stage + "/replaced"));
  WriteFile(&fs_, "kafka/recovery-point-offset-checkpoint", "nonsense");
  EXPECT_THAT(AdoptPartition(&fs_, kSource, kBroker),
              StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::HasSubstr("the broker's own file")));
  WriteFile(&fs_, "kafka/recovery-point-offset-checkpoint", kOtherLines);
  VARVE_EXPECT_OK(AdoptPartition(&fs_, kSource, kBroker));
}

// The copy could not be put in place, and the process dies while it puts back what it had put aside.
TEST_F(AdoptFaultsTest, TheNextTryEndsOneThatWasKilledWhileItWasUndone) {
  MakeSource();
  MakeEmpty();
  uint64_t put_in_place = 0;  // the number of that operation
  const auto adopt_dying_at = [&](MemoryFileSystem* machine, uint64_t nth) {
    FaultyFileSystem dying(machine);
    if (put_in_place > 0) dying.AddRule({.nth = put_in_place});
    if (nth > 0) dying.AddRule({.nth = nth, .for_ever = true});
    dying.SetObserver([&](const FileCall& call) {
      const bool is_it = call.operation == FileOperation::kRename && call.other_path == kAdopted;
      if (is_it && put_in_place == 0) put_in_place = dying.operation_count() + 1;
    });
    (void)AdoptPartition(&dying, kSource, kBroker);
    return dying.operation_count();
  };
  adopt_dying_at(fs_.CloneAfterProcessDeath().get(), 0);
  ASSERT_GT(put_in_place, 0u);
  const uint64_t end = adopt_dying_at(fs_.CloneAfterProcessDeath().get(), 0);
  ASSERT_GT(end, put_in_place + 10);
  for (uint64_t n = put_in_place + 1; n <= end; ++n) {
    const std::unique_ptr<MemoryFileSystem> machine = fs_.CloneAfterProcessDeath();
    adopt_dying_at(machine.get(), n);
    const std::unique_ptr<MemoryFileSystem> after = machine->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
    for (MemoryFileSystem* const found : {machine.get(), after.get()}) {
      SCOPED_TRACE(fmt::format("operation {} of {}, {}", n, end, found == machine.get() ? "killed" : "power cut"));
      VARVE_ASSERT_OK(AdoptPartition(found, kSource, kBroker));
      ASSERT_NO_FATAL_FAILURE(ExpectWhole(found, &clock_, kAdopted));
      ASSERT_THAT(found->List(kBroker), IsOkAndHolds(Not(Contains(EndsWith("-delete")))));
    }
  }
}

// The name of what was put aside is back, and nobody knows whether for certain: the stage it came from must be there for
// whoever finds that it is not, until it is.
TEST_F(AdoptFaultsTest, PutBackWithoutASyncIsNotLostWithTheStage) {
  MakeSource();
  MakeEmpty();
  FaultyFileSystem faulty(&fs_);
  faulty.AddRule({.operation = FileOperation::kRename, .path_part = "recovery-point-offset-checkpoint"});
  faulty.AddRule(
      {.operation = FileOperation::kRename, .path_part = "-delete/replaced", .nth = 2, .after_effect = true});
  EXPECT_THAT(AdoptPartition(&faulty, kSource, kBroker),
              StatusIs(absl::StatusCode::kInternal, ::testing::HasSubstr("undoing failed")));
  ASSERT_EQ(faulty.faults_fired(), 2u);
  ASSERT_TRUE(IsThere(&fs_, kAdopted));
  for (uint64_t n = 1;; ++n) {
    SCOPED_TRACE(n);
    const std::unique_ptr<MemoryFileSystem> machine = fs_.CloneAfterProcessDeath();
    FaultyFileSystem dying(machine.get());
    dying.AddRule({.nth = n, .for_ever = true});
    const bool done = AdoptPartition(&dying, kSource, kBroker).ok();
    if (done) break;
    for (uint64_t seed = 0; seed < 4; ++seed) {
      const std::unique_ptr<MemoryFileSystem> after = machine->CloneAfterCrash({.seed = seed});
      const absl::Status status = AdoptPartition(after.get(), kSource, kBroker).status();
      ASSERT_TRUE(status.ok() || absl::IsAlreadyExists(status)) << "seed " << seed << ": " << status;
      ASSERT_NO_FATAL_FAILURE(ExpectWhole(after.get(), &clock_, kAdopted));
    }
  }
}

// The partition of the broker is as it made it, though the lines of the checkpoints were the copy's already.
TEST_F(AdoptFaultsTest, WhatWasPutAsideIsPutBackThoughNothingIsAdopted) {
  MakeSource();
  MakeEmpty();
  const std::string stage = "kafka/orders-0." + std::string(32, 'a') + "-delete";
  VARVE_ASSERT_OK(fs_.CreateDirectory(stage));
  VARVE_ASSERT_OK(fs_.CreateDirectory(stage + "/orders-0"));
  VARVE_ASSERT_OK(fs_.Rename(kAdopted, stage + "/replaced"));
  WriteFile(&fs_, "kafka/recovery-point-offset-checkpoint", kAllLines);
  WriteFile(&fs_, "kafka/log-start-offset-checkpoint", "0\n1\norders 0 2\n");
  EXPECT_THAT(AdoptPartition(&fs_, kSource, kBroker, {.topic_id = "AAAAAAAAAAAAAAAAAAAAAQ"}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_FALSE(IsThere(&fs_, stage));
  EXPECT_EQ(ReadFile(&fs_, "kafka/orders-0/partition.metadata"), kMetadata);
  EXPECT_EQ(ReadFile(&fs_, "kafka/recovery-point-offset-checkpoint"), "0\n2\norders 0 0\nothers 0 99\n");
  EXPECT_EQ(ReadFile(&fs_, "kafka/log-start-offset-checkpoint"), "0\n0\n");
}

// The copy is in place, and the process dies while it removes the source: the room of what is left comes back.
TEST_F(AdoptFaultsTest, WhatIsLeftOfASourceIsRemovedWhenTheNextOneMoves) {
  MakeSource();
  MakeEmpty();
  FaultyFileSystem dying(&fs_);
  dying.AddRule({.operation = FileOperation::kRemove, .path_part = "-moved/", .nth = 3, .for_ever = true});
  EXPECT_THAT(AdoptPartition(&dying, kSource, kBroker, options_),
              StatusIs(absl::StatusCode::kInternal, ::testing::HasSubstr("removing the source failed")));
  EXPECT_NO_FATAL_FAILURE(ExpectWhole(&fs_, &clock_, kAdopted));
  EXPECT_THAT(fs_.List("data"), IsOkAndHolds(Contains(EndsWith("-moved"))));
  const std::string of_another = "data/.orders-1." + std::string(32, 'a') + "-moved";
  VARVE_ASSERT_OK(fs_.CreateDirectory(of_another));
  VARVE_ASSERT_OK(fs_.Rename(kAdopted, "data/before"));
  MakeSource();
  MakeEmpty();
  VARVE_ASSERT_OK(AdoptPartition(&fs_, kSource, kBroker, options_));
  EXPECT_THAT(fs_.List("data"), IsOkAndHolds(ElementsAre(EndsWith("-moved"), "before")));
  EXPECT_TRUE(IsThere(&fs_, of_another));
}

TEST_F(AdoptFaultsTest, WhatOthersAreDeletingStays) {
  MakeSource();
  MakeEmpty();
  const std::string suffix = "." + std::string(32, 'a') + "-delete";
  WriteFile(&fs_, "kafka/orders-0.aaa-delete", "a file");
  for (const std::string& name : {"orders-0" + suffix, "orders-1" + suffix}) {
    const std::string directory = std::string(kBroker) + "/" + name;
    VARVE_ASSERT_OK(fs_.CreateDirectory(directory));
    WriteFile(&fs_, directory + "/00000000000000000000.log", "Kafka's");
  }
  VARVE_ASSERT_OK(fs_.CreateDirectory("kafka/orders-2" + suffix));
  VARVE_ASSERT_OK(fs_.CreateDirectory("kafka/orders-2" + suffix + "/orders-2"));
  VARVE_ASSERT_OK(AdoptPartition(&fs_, kSource, kBroker));
  for (const std::string name : {"orders-0", "orders-1", "orders-2"}) {
    EXPECT_TRUE(IsThere(&fs_, "kafka/" + name + suffix)) << name;
  }
}

// A broker that was stopping has removed the locked file, and another one has started and gone on.
TEST_F(AdoptFaultsTest, WhatABrokerHasWrittenMeanwhileStays) {
  MakeSource();
  MakeEmpty();
  HookedFileSystem hooked(&fs_);
  bool started = false;
  hooked.before_open = [&](const std::string& path) {
    if (started || path.find("-delete/orders-0/partition.metadata") == std::string::npos) return;
    started = true;
    VARVE_ASSERT_OK(fs_.Remove("kafka/.lock"));
    WriteFile(&fs_, "kafka/.lock", "");
    WriteFile(&fs_, "kafka/recovery-point-offset-checkpoint", "0\n2\norders 0 5\nothers 0 99\n");
  };
  EXPECT_THAT(AdoptPartition(&hooked, kSource, kBroker), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(started);
  EXPECT_EQ(ReadFile(&fs_, "kafka/recovery-point-offset-checkpoint"), "0\n2\norders 0 5\nothers 0 99\n");
  EXPECT_EQ(ReadFile(&fs_, "kafka/orders-0/partition.metadata"), kMetadata);
  EXPECT_THAT(fs_.List(kBroker), IsOkAndHolds(Not(Contains(EndsWith("-delete")))));
}

// The copy takes the last free block: first it goes, and then the checkpoints are as they were.
TEST_F(AdoptFaultsTest, AFullDiskIsUndone) {
  {
    const std::unique_ptr<Log> log = OpenSource();
    ASSERT_NE(log, nullptr);
    log->SetHighWatermark(kRecords);
    VARVE_ASSERT_OK(log->DeleteBefore(2));
    VARVE_ASSERT_OK(log->Close());
  }
  MakeEmpty();
  const FilesByPath before = FilesBelow(&fs_, kBroker);
  HookedFileSystem hooked(&fs_);
  bool full = false;
  hooked.before_open = [&](const std::string& path) {
    if (full || path.find("log-start-offset-checkpoint.tmp") == std::string::npos) return;
    full = true;
    constexpr uint64_t kBlockBytes = 4096;
    uint64_t blocks = 0;
    for (const auto& [file, content] : FilesBelow(&fs_, "/"))
      blocks += (content.size() + kBlockBytes - 1) / kBlockBytes;
    fs_.set_capacity_bytes(blocks * kBlockBytes);
  };
  EXPECT_THAT(AdoptPartition(&hooked, kSource, kBroker),
              StatusIs(absl::StatusCode::kResourceExhausted, Not(::testing::HasSubstr("undoing failed"))));
  EXPECT_TRUE(full);
  FilesByPath after = FilesBelow(&fs_, kBroker);
  std::erase_if(after, [](const auto& file) { return file.first.ends_with(".tmp"); });
  EXPECT_EQ(after, before);
}

}  // namespace
}  // namespace varve
