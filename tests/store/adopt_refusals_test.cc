// AdoptPartition: what is refused, and that nothing has changed then.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/process_user.h"
#include "store/hand_over_fixture.h"
#include "support/hooked_file_system.h"
#include "support/owned_file_system.h"
#include "support/status_matchers.h"
#include "varve/overlay_file_system.h"
#include "varve/segment.h"

namespace varve {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::FilesBelow;
using testing_support::HandOverTest;
using testing_support::HookedFileSystem;
using testing_support::IsThere;
using testing_support::kBroker;
using testing_support::kOtherLines;
using testing_support::kSource;
using testing_support::kTopicId;
using testing_support::OpenLog;
using testing_support::OwnedFileSystem;
using testing_support::ReadFile;
using testing_support::StatusIs;
using testing_support::WriteFile;

using FilesByPath = std::map<std::string, std::string>;

class AdoptRefusalsTest : public HandOverTest {
 protected:
  // Refused with this code and such a message, and nothing at all was changed.
  template <typename Message>
  void ExpectRefused(absl::StatusCode code, Message message, const AdoptOptions& options = {},
                     const std::string& directory = kSource) {
    // The refusals of interest come before the first change, but for the lock files.
    FilesByPath before = FilesBelow(&fs_, "/");
    EXPECT_THAT(AdoptPartition(&fs_, directory, kBroker, options), StatusIs(code, message));
    FilesByPath after = FilesBelow(&fs_, "/");
    for (FilesByPath* const files : {&before, &after}) {
      files->erase("//kafka/.lock");
      files->erase("/" + ("/" + directory) + "/varve.lock");
    }
    EXPECT_EQ(after, before);
  }
};

// On an overlay too, whose files are its own: it tells whose those of its base are.
TEST_F(AdoptRefusalsTest, AnotherUsersDirectory) {
  MakeSource();
  MakeEmpty();
  OwnedFileSystem theirs(&fs_, internal::ProcessUser() + 1);
  OverlayFileSystem trial(&theirs);
  for (const bool has_lock_file : {true, false}) {
    if (!has_lock_file) {
      VARVE_ASSERT_OK(fs_.Remove("kafka/.lock"));
    }
    const FilesByPath before = FilesBelow(&fs_, "/");
    for (FileSystem* const file_system : {static_cast<FileSystem*>(&theirs), static_cast<FileSystem*>(&trial)}) {
      EXPECT_THAT(
          AdoptPartition(file_system, kSource, kBroker),
          StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("kafka/recovery-point-offset-checkpoint: expected")));
    }
    EXPECT_EQ(FilesBelow(&fs_, "/"), before);
  }
  OwnedFileSystem ours(&fs_, internal::ProcessUser());
  VARVE_EXPECT_OK(AdoptPartition(&ours, kSource, kBroker));
}

TEST_F(AdoptRefusalsTest, ADirectoryThatIsNoBrokers) {
  MakeSource();
  MakeEmpty();
  VARVE_ASSERT_OK(fs_.Remove("kafka/meta.properties"));
  ExpectRefused(absl::StatusCode::kInvalidArgument, HasSubstr("meta.properties"));
}

TEST_F(AdoptRefusalsTest, ARunningBroker) {
  MakeSource();
  MakeEmpty();
  VARVE_ASSERT_OK_AND_ASSIGN(const auto broker, fs_.Lock("kafka/.lock", LockKind::kExclusive));
  ExpectRefused(absl::StatusCode::kUnavailable, HasSubstr("stop the broker"));
}

// A broker that stops lets go of its lock, and removes the file: a lock that was got in between keeps nobody out.
TEST_F(AdoptRefusalsTest, WhatABrokerMayHaveTakenMeanwhile) {
  MakeSource();
  MakeEmpty();
  for (const bool starts_again : {false, true}) {
    const std::unique_ptr<MemoryFileSystem> machine = fs_.CloneAfterProcessDeath();
    HookedFileSystem hooked(machine.get());
    std::unique_ptr<FileLock> broker;
    hooked.before_open = [&](const std::string& path) {
      if (!path.ends_with("-delete/orders-0/partition.metadata.tmp")) return;
      VARVE_ASSERT_OK(machine->Remove("kafka/.lock"));
      if (!starts_again) return;
      WriteFile(machine.get(), "kafka/.lock", "");
      VARVE_ASSERT_OK_AND_ASSIGN(broker, machine->Lock("kafka/.lock", LockKind::kExclusive));
    };
    EXPECT_THAT(AdoptPartition(&hooked, kSource, kBroker),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("try again")));
    EXPECT_EQ(broker != nullptr, starts_again);
    EXPECT_EQ(ReadFile(machine.get(), "kafka/orders-0/00000000000000000000.log"), "");
    EXPECT_EQ(ReadFile(machine.get(), "kafka/recovery-point-offset-checkpoint"), kOtherLines);
  }
}

TEST_F(AdoptRefusalsTest, APartitionThatIsOpen) {
  const std::unique_ptr<Log> log = OpenSource();
  MakeEmpty();
  ExpectRefused(absl::StatusCode::kUnavailable, HasSubstr("open for writing"));
}

// Copied or moved: nobody writes to it meanwhile.
TEST_F(AdoptRefusalsTest, AWriterIsTurnedAwayMeanwhile) {
  MakeSource();
  MakeEmpty();
  for (const bool move : {false, true}) {
    const std::unique_ptr<MemoryFileSystem> machine = fs_.CloneAfterProcessDeath();
    HookedFileSystem hooked(machine.get());
    absl::Status opened;
    hooked.before_open = [&](const std::string& path) {
      if (!path.ends_with("-delete/orders-0/partition.metadata.tmp")) return;
      opened = Log::Open(kSource, Options(machine.get())).status();
    };
    VARVE_EXPECT_OK(AdoptPartition(&hooked, kSource, kBroker, {.move = move}));
    EXPECT_THAT(opened, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("varve.lock")));
  }
}

TEST_F(AdoptRefusalsTest, APartitionThatWasNotClosed) {
  const std::unique_ptr<Log> log = OpenSource();
  MakeEmpty();
  const std::unique_ptr<MemoryFileSystem> after = fs_.CloneAfterProcessDeath();
  EXPECT_THAT(AdoptPartition(after.get(), kSource, kBroker),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("clean stop")));
  EXPECT_EQ(ReadFile(after.get(), "kafka/orders-0/00000000000000000000.log"), "");
}

TEST_F(AdoptRefusalsTest, WhatAnOpeningWouldCutOrRebuild) {
  MakeSource();
  MakeEmpty();
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<int64_t> bases, Segment::List(&fs_, kSource));
  const std::string last = fmt::format("data/orders-0/{:020}", bases.back());
  const std::string log = ReadFile(&fs_, last + ".log");
  WriteFile(&fs_, last + ".log", log + "the beginning of a batch");
  ExpectRefused(absl::StatusCode::kFailedPrecondition, HasSubstr("recover"));
  WriteFile(&fs_, last + ".log", log);
  VARVE_ASSERT_OK(fs_.Remove("data/orders-0/00000000000000000000.index"));
  ExpectRefused(absl::StatusCode::kFailedPrecondition, HasSubstr("recover"));
}

// An opening makes a segment of the files with that suffix, and so may the mark of a clean stop count: but the copy is
// made of what is there.
TEST_F(AdoptRefusalsTest, ASegmentOnItsWayIn) {
  MakeSource();
  MakeEmpty();
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<int64_t> bases, Segment::List(&fs_, kSource));
  ASSERT_GT(bases.size(), 1u);
  for (const char* const suffix : {"swap", "cleaned"}) {
    const auto rename = [&](bool back) {
      for (const char* const kind : {"log", "index", "timeindex"}) {
        std::string from = fmt::format("data/orders-0/{:020}.{}", bases[0], kind);
        std::string to = fmt::format("{}.{}", from, suffix);
        if (back) std::swap(from, to);
        VARVE_ASSERT_OK(fs_.Rename(from, to));
      }
    };
    rename(false);
    ExpectRefused(absl::StatusCode::kFailedPrecondition, AllOf(HasSubstr(suffix), HasSubstr("recover")),
                  {.move = true});
    rename(true);
  }
  // What is on its way out holds up nobody.
  WriteFile(&fs_, "data/orders-0/00000000000000000000.txnindex.deleted", "");
  VARVE_EXPECT_OK(AdoptPartition(&fs_, kSource, kBroker));
}

TEST_F(AdoptRefusalsTest, WhatAnOpeningWouldRemove) {
  MakeSource();
  MakeEmpty();
  WriteFile(&fs_, "data/orders-0/00000000000000000003.timeindex", "");
  ExpectRefused(absl::StatusCode::kFailedPrecondition, HasSubstr("00000000000000000003.timeindex"));
}

// Whatever it may be by: a copy that is not what was judged is not handed over, and the source stays.
TEST_F(AdoptRefusalsTest, ACopyThatIsAnotherLog) {
  MakeSource();
  MakeEmpty();
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<int64_t> bases, Segment::List(&fs_, kSource));
  ASSERT_GT(bases.size(), 1u);
  HookedFileSystem hooked(&fs_);
  hooked.before_open = [&](const std::string& path) {
    const size_t name = path.find("/partition.metadata.tmp");
    if (name == std::string::npos) return;
    for (const char* const kind : {"log", "index", "timeindex"}) {
      VARVE_ASSERT_OK(fs_.Remove(fmt::format("{}/{:020}.{}", path.substr(0, name), bases[1], kind)));
    }
  };
  EXPECT_THAT(AdoptPartition(&hooked, kSource, kBroker, {.move = true}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("nothing was handed over")));
  EXPECT_NO_FATAL_FAILURE(ExpectWhole(&fs_, &clock_, kSource));
  EXPECT_EQ(ReadFile(&fs_, "kafka/orders-0/00000000000000000000.log"), "");
}

// What the marks vouch for is not read by an opening: the check of the copy finds it.
TEST_F(AdoptRefusalsTest, DamageThatNobodyHasFoundYet) {
  MakeSource();
  MakeEmpty();
  std::string log = ReadFile(&fs_, "data/orders-0/00000000000000000000.log");
  log[100] = static_cast<char>(log[100] ^ 1);
  WriteFile(&fs_, "data/orders-0/00000000000000000000.log", log);
  ExpectRefused(absl::StatusCode::kDataLoss, AllOf(HasSubstr(kSource), HasSubstr("1 damaged ranges")));
}

TEST_F(AdoptRefusalsTest, DamageThatIsKnown) {
  MakeSource();
  MakeEmpty();
  std::string bytes = ReadFile(&fs_, "data/orders-0/00000000000000000000.log");
  bytes[100] = static_cast<char>(bytes[100] ^ 1);
  WriteFile(&fs_, "data/orders-0/00000000000000000000.log", bytes);
  {
    LogOptions options = Options(&fs_);
    options.recover_all = true;
    const std::unique_ptr<Log> log = OpenLog(kSource, options);
    ASSERT_NE(log, nullptr);
    ASSERT_EQ(log->damage().size(), 1u);
    VARVE_ASSERT_OK(log->Close());
  }
  ExpectRefused(absl::StatusCode::kFailedPrecondition, HasSubstr("1 damaged ranges"));
}

TEST_F(AdoptRefusalsTest, ToReplaceRecords) {
  MakeSource();
  MakeEmpty();
  WriteFile(&fs_, "kafka/orders-0/00000000000000000000.log", "x");
  ExpectRefused(absl::StatusCode::kAlreadyExists, HasSubstr("1 bytes in 00000000000000000000.log"));
}

TEST_F(AdoptRefusalsTest, AnIdThatIsNotTheBrokers) {
  MakeSource();
  MakeEmpty();
  ExpectRefused(absl::StatusCode::kInvalidArgument, AllOf(HasSubstr(kTopicId), HasSubstr("AAAAAAAAAAAAAAAAAAAAAQ")),
                {.topic_id = "AAAAAAAAAAAAAAAAAAAAAQ"});
  ExpectRefused(absl::StatusCode::kInvalidArgument, HasSubstr("22 characters"), {.topic_id = "orders"});
}

// Where the broker has not made the partition, what lies beside it may still tell.
TEST_F(AdoptRefusalsTest, AnIdOrANameThatTheNeighboursContradict) {
  MakeSource();
  MakeEmpty("0\n1\n0 0\n", "kafka/orders-1");
  ExpectRefused(absl::StatusCode::kInvalidArgument, AllOf(HasSubstr("AAAAAAAAAAAAAAAAAAAAAQ"), HasSubstr("orders-1")),
                {.topic_id = "AAAAAAAAAAAAAAAAAAAAAQ"});
  ExpectRefused(absl::StatusCode::kInvalidArgument, HasSubstr("orders-1"),
                {.as = TopicPartition{.topic = "others", .partition = 0}, .topic_id = kTopicId});
  MakeEmpty("0\n1\n0 0\n", "kafka/or.ders-1");
  ExpectRefused(absl::StatusCode::kInvalidArgument, HasSubstr("or.ders-1"),
                {.as = TopicPartition{.topic = "or_ders", .partition = 0}, .topic_id = "AAAAAAAAAAAAAAAAAAAAAQ"});
}

// Or where it has made it, but died before it wrote down whose it is.
TEST_F(AdoptRefusalsTest, AnIdThatTheNeighboursContradictThoughTheDirectoryIsThere) {
  MakeSource();
  MakeEmpty();
  VARVE_ASSERT_OK(fs_.Remove("kafka/orders-0/partition.metadata"));
  MakeEmpty("0\n1\n0 0\n", "kafka/orders-1");
  ExpectRefused(absl::StatusCode::kInvalidArgument, AllOf(HasSubstr("AAAAAAAAAAAAAAAAAAAAAQ"), HasSubstr("orders-1")),
                {.topic_id = "AAAAAAAAAAAAAAAAAAAAAQ"});
  VARVE_EXPECT_OK(AdoptPartition(&fs_, kSource, kBroker, {.topic_id = kTopicId}));
}

TEST_F(AdoptRefusalsTest, TheTopicOfTheClusterItself) {
  MakeSource();
  ExpectRefused(absl::StatusCode::kInvalidArgument, HasSubstr("the cluster's own"),
                {.as = TopicPartition{.topic = "__cluster_metadata", .partition = 0}, .topic_id = kTopicId});
}

TEST_F(AdoptRefusalsTest, ABrokerThatDoesNotSayWhoItIs) {
  MakeSource();
  MakeEmpty();
  for (const char* const text : {"node.id=7\n", "cluster.id=abc\n", ""}) {
    WriteFile(&fs_, "kafka/meta.properties", text);
    ExpectRefused(absl::StatusCode::kInvalidArgument, HasSubstr("cluster.id and node.id"));
  }
}

TEST_F(AdoptRefusalsTest, APartitionThatNobodyKnowsTheIdOf) {
  MakeSource();
  ExpectRefused(absl::StatusCode::kFailedPrecondition, HasSubstr("create the topic"));
}

TEST_F(AdoptRefusalsTest, NamesThatAreNone) {
  MakeSource();
  MakeEmpty();
  VARVE_ASSERT_OK(fs_.Rename(kSource, "data/some"));
  ExpectRefused(absl::StatusCode::kInvalidArgument, HasSubstr("some"), {}, "data/some");
  VARVE_ASSERT_OK(fs_.Rename("data/some", "data/orders-0.00-delete"));
  ExpectRefused(absl::StatusCode::kInvalidArgument, HasSubstr("TOPIC-N"), {}, "data/orders-0.00-delete");
  ExpectRefused(absl::StatusCode::kInvalidArgument, HasSubstr("orders--1"),
                {.as = TopicPartition{.topic = "orders", .partition = -1}}, "data/orders-0.00-delete");
  ExpectRefused(absl::StatusCode::kInvalidArgument, HasSubstr("or ders"),
                {.as = TopicPartition{.topic = "or ders", .partition = 0}}, "data/orders-0.00-delete");
}

TEST_F(AdoptRefusalsTest, APartitionOfALogDirectory) {
  MakeSource();
  MakeEmpty();
  VARVE_ASSERT_OK(fs_.Rename(kSource, "kafka/orders-1"));
  ExpectRefused(absl::StatusCode::kInvalidArgument, HasSubstr("export it first"), {}, "kafka/orders-1");
}

TEST_F(AdoptRefusalsTest, ToMoveWhatDoesNotGoAlong) {
  MakeSource();
  MakeEmpty();
  for (const std::string name : {"varve.cut-3", "notes.txt"}) {
    WriteFile(&fs_, std::string(kSource) + "/" + name, "precious");
    ExpectRefused(absl::StatusCode::kFailedPrecondition, HasSubstr(name), {.move = true});
    VARVE_ASSERT_OK(fs_.Remove(std::string(kSource) + "/" + name));
  }
  WriteFile(&fs_, "data/orders-0/notes.txt", "precious");
  VARVE_EXPECT_OK(AdoptPartition(&fs_, kSource, kBroker));
  EXPECT_TRUE(IsThere(&fs_, "data/orders-0/notes.txt"));
  EXPECT_FALSE(IsThere(&fs_, "kafka/orders-0/notes.txt"));
}

// Not before the work of a copy is it known that the source cannot go, were it not tried out.
TEST_F(AdoptRefusalsTest, ToMoveWhatCannotBeRemoved) {
  MakeSource();
  MakeEmpty();
  FaultyFileSystem faulty(&fs_);
  faulty.AddRule({.operation = FileOperation::kCreateDirectory,
                  .path_part = "-moved",
                  .for_ever = true,
                  .status = absl::PermissionDeniedError("not yours")});
  EXPECT_THAT(AdoptPartition(&faulty, kSource, kBroker, {.move = true}),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("the source could not be removed")));
  EXPECT_EQ(faulty.operation_count(FileOperation::kCopy), 0u);
  VARVE_EXPECT_OK(AdoptPartition(&faulty, kSource, kBroker));
}

TEST_F(AdoptRefusalsTest, CheckpointsThatCannotBeParsed) {
  MakeSource();
  MakeEmpty();
  WriteFile(&fs_, "kafka/replication-offset-checkpoint", "nonsense");
  ExpectRefused(absl::StatusCode::kFailedPrecondition, HasSubstr("replication-offset-checkpoint"));
}

}  // namespace
}  // namespace varve
