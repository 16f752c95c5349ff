// AdoptPartition: what a broker then has, what is refused, and what a crash or a failure at any point leaves.
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "store/hand_over_fixture.h"
#include "support/hooked_file_system.h"
#include "support/status_matchers.h"
#include "varve/checkpoint.h"
#include "varve/overlay_file_system.h"
#include "varve/segment.h"

namespace varve {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::AppendMany;
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
using testing_support::kTopicId;
using testing_support::OpenLog;
using testing_support::ReadFile;
using testing_support::StatusIs;
using testing_support::WriteFile;

using FilesByPath = std::map<std::string, std::string>;

class AdoptTest : public HandOverTest {
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

  // The leader epochs that the batches of a partition bear, in order.
  std::vector<int32_t> EpochsOfBatches(const std::string& directory) {
    std::vector<int32_t> epochs;
    const absl::StatusOr<std::vector<int64_t>> bases = Segment::List(&fs_, directory);
    EXPECT_TRUE(bases.ok());
    for (const int64_t base : *bases) {
      const absl::StatusOr<Segment> segment = Segment::Open(&fs_, directory, base);
      EXPECT_TRUE(segment.ok()) << segment.status();
      for (int64_t position = 0; position < segment->valid_bytes();) {
        const auto batch = segment->BatchAt(position);
        EXPECT_TRUE(batch.ok() && batch->has_value());
        if (epochs.empty() || epochs.back() != (*batch)->leader_epoch()) epochs.push_back((*batch)->leader_epoch());
        position += static_cast<int64_t>((*batch)->size_bytes());
      }
    }
    return epochs;
  }
};

TEST_F(AdoptTest, TheCopyIsTheBrokersPartitionFromThenOn) {
  MakeSource();
  MakeEmpty();
  const FilesByPath source = FilesBelow(&fs_, "data");
  VARVE_ASSERT_OK_AND_ASSIGN(const AdoptResult result, AdoptPartition(&fs_, kSource, kBroker));
  EXPECT_EQ(result.partition, (TopicPartition{.topic = "orders", .partition = 0}));
  EXPECT_EQ(result.directory, kAdopted);
  EXPECT_EQ(result.topic_id, kTopicId);
  EXPECT_EQ(result.cluster_id, "a:b");
  EXPECT_EQ(result.node_id, "7");
  EXPECT_EQ(result.log_start_offset, 0);
  EXPECT_EQ(result.log_end_offset, kRecords);
  EXPECT_EQ(result.last_stable_offset, kRecords);
  EXPECT_GT(result.segments, 1);
  EXPECT_TRUE(result.replaced_empty);
  EXPECT_TRUE(result.stopped_cleanly);
  EXPECT_FALSE(result.source_removed);
  EXPECT_THAT(result.left_behind, ElementsAre("varve.live", "varve.lock", "varve.state"));

  EXPECT_NO_FATAL_FAILURE(ExpectWhole(&fs_, &clock_, kAdopted));
  EXPECT_EQ(FilesBelow(&fs_, "data"), source);
  EXPECT_EQ(ReadFile(&fs_, "kafka/orders-0/partition.metadata"), kMetadata);
  EXPECT_EQ(ReadFile(&fs_, "kafka/recovery-point-offset-checkpoint"), kAllLines);
  EXPECT_EQ(ReadFile(&fs_, "kafka/replication-offset-checkpoint"), kAllLines);
  EXPECT_FALSE(IsThere(&fs_, "kafka/log-start-offset-checkpoint"));
  EXPECT_FALSE(IsThere(&fs_, "kafka/cleaner-offset-checkpoint"));
  EXPECT_TRUE(IsThere(&fs_, "kafka/.kafka_cleanshutdown"));
  EXPECT_THAT(fs_.List(kBroker),
              IsOkAndHolds(ElementsAre(".kafka_cleanshutdown", ".lock", "meta.properties", "orders-0",
                                       "recovery-point-offset-checkpoint", "replication-offset-checkpoint")));
  // Every file of the source that is Kafka's, and none that is varve's.
  for (const auto& [path, content] : source) {
    const std::string name = path.substr(path.rfind('/') + 1);
    EXPECT_EQ(IsThere(&fs_, std::string(kAdopted) + "/" + name), !name.starts_with("varve.")) << name;
  }
}

TEST_F(AdoptTest, LaterLeaderEpochsBecomeTheLatestThatTheBrokerKnows) {
  MakeSource();
  MakeEmpty("0\n2\n0 0\n2 0\n");
  VARVE_ASSERT_OK_AND_ASSIGN(const AdoptResult result, AdoptPartition(&fs_, kSource, kBroker));
  EXPECT_EQ(result.max_leader_epoch, 2);
  EXPECT_EQ(result.batches_restamped, kRecords / 2);
  EXPECT_THAT(EpochsOfBatches(kAdopted), ElementsAre(1, 2));
  EXPECT_EQ(ReadFile(&fs_, "kafka/orders-0/leader-epoch-checkpoint"), "0\n2\n1 0\n2 4\n");
  EXPECT_THAT(EpochsOfBatches(kSource), ElementsAre(1, 5));
}

TEST_F(AdoptTest, EpochsThatTheBrokerHasPassedStayAsTheyAre) {
  MakeSource();
  MakeEmpty("0\n1\n5 0\n");
  VARVE_ASSERT_OK_AND_ASSIGN(const AdoptResult result, AdoptPartition(&fs_, kSource, kBroker));
  EXPECT_EQ(result.batches_restamped, 0);
  EXPECT_THAT(EpochsOfBatches(kAdopted), ElementsAre(1, 5));
  EXPECT_EQ(ReadFile(&fs_, "kafka/orders-0/leader-epoch-checkpoint"), "0\n2\n1 0\n5 4\n");
  EXPECT_EQ(ReadFile(&fs_, "kafka/orders-0/00000000000000000000.log"),
            ReadFile(&fs_, "data/orders-0/00000000000000000000.log"));
}

TEST_F(AdoptTest, AllEpochsMayBecomeOne) {
  MakeSource();
  MakeEmpty("0\n1\n0 0\n");
  VARVE_ASSERT_OK_AND_ASSIGN(const AdoptResult result, AdoptPartition(&fs_, kSource, kBroker));
  EXPECT_EQ(result.batches_restamped, kRecords);
  EXPECT_THAT(EpochsOfBatches(kAdopted), ElementsAre(0));
  EXPECT_EQ(ReadFile(&fs_, "kafka/orders-0/leader-epoch-checkpoint"), "0\n1\n0 0\n");
  EXPECT_NO_FATAL_FAILURE(ExpectWhole(&fs_, &clock_, kAdopted));
}

TEST_F(AdoptTest, LogStartAndCompactionAreInTheCheckpoints) {
  {
    LogOptions options = Options(&fs_);
    options.cleanup_policy = CleanupPolicy::kCompactAndDelete;
    const std::unique_ptr<Log> log = OpenLog(kSource, options);
    ASSERT_NE(log, nullptr);
    AppendMany(log.get(), kRecords);
    VARVE_ASSERT_OK(log->Compact({.force = true}));
    log->SetHighWatermark(kRecords);
    VARVE_ASSERT_OK(log->DeleteBefore(2));
    VARVE_ASSERT_OK(log->Close());
  }
  MakeEmpty();
  WriteFile(&fs_, "kafka/cleaner-offset-checkpoint", "0\n2\norders 0 0\nothers 0 9\n");
  VARVE_ASSERT_OK_AND_ASSIGN(const AdoptResult result, AdoptPartition(&fs_, kSource, kBroker));
  EXPECT_EQ(result.log_start_offset, 2);
  EXPECT_EQ(ReadFile(&fs_, "kafka/log-start-offset-checkpoint"), "0\n1\norders 0 2\n");
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<PartitionOffset> dirty,
                             LoadOffsetCheckpoint(&fs_, "kafka/cleaner-offset-checkpoint"));
  ASSERT_EQ(dirty.size(), 2u);
  EXPECT_GT(dirty[0].offset, 2);
  EXPECT_LE(dirty[0].offset, kRecords);
  EXPECT_EQ(dirty[1].offset, 9);
}

TEST_F(AdoptTest, LinesThatDoNotHoldForTheCopyGo) {
  MakeSource();
  MakeEmpty();
  WriteFile(&fs_, "kafka/log-start-offset-checkpoint", "0\n1\norders 0 4\n");
  WriteFile(&fs_, "kafka/cleaner-offset-checkpoint", "0\n1\norders 0 4\n");
  VARVE_ASSERT_OK(AdoptPartition(&fs_, kSource, kBroker));
  EXPECT_EQ(ReadFile(&fs_, "kafka/log-start-offset-checkpoint"), "0\n0\n");
  EXPECT_EQ(ReadFile(&fs_, "kafka/cleaner-offset-checkpoint"), "0\n0\n");
}

TEST_F(AdoptTest, UnderAnotherName) {
  MakeSource();
  MakeEmpty("0\n1\n0 0\n", "kafka/late.orders-3");
  const AdoptOptions options{.as = TopicPartition{.topic = "late.orders", .partition = 3}};
  VARVE_ASSERT_OK_AND_ASSIGN(const AdoptResult result, AdoptPartition(&fs_, kSource, kBroker, options));
  EXPECT_EQ(result.directory, "kafka/late.orders-3");
  EXPECT_NO_FATAL_FAILURE(ExpectWhole(&fs_, &clock_, "kafka/late.orders-3"));
  EXPECT_EQ(ReadFile(&fs_, "kafka/replication-offset-checkpoint"), "0\n2\nlate.orders 3 8\nothers 0 99\n");
}

TEST_F(AdoptTest, ATopicIdStandsInForTheBrokersDirectory) {
  MakeSource();
  WriteFile(&fs_, "data/orders-0/partition.metadata", "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ");
  VARVE_ASSERT_OK(fs_.Remove("kafka/.kafka_cleanshutdown"));
  VARVE_ASSERT_OK(fs_.Remove("kafka/.lock"));
  VARVE_ASSERT_OK_AND_ASSIGN(const AdoptResult result, AdoptPartition(&fs_, kSource, kBroker, {.topic_id = kTopicId}));
  EXPECT_FALSE(result.replaced_empty);
  EXPECT_FALSE(result.stopped_cleanly);
  EXPECT_EQ(result.max_leader_epoch, 0);
  EXPECT_EQ(ReadFile(&fs_, "kafka/orders-0/partition.metadata"), kMetadata);
  // Nothing vouches for a clean stop, and nothing shall.
  EXPECT_FALSE(IsThere(&fs_, "kafka/.kafka_cleanshutdown"));
}

TEST_F(AdoptTest, TheSourceGoesIfItIsToBeMoved) {
  MakeSource();
  MakeEmpty();
  VARVE_ASSERT_OK_AND_ASSIGN(const AdoptResult result, AdoptPartition(&fs_, kSource, kBroker, {.move = true}));
  EXPECT_TRUE(result.source_removed);
  EXPECT_THAT(fs_.List("data"), IsOkAndHolds(IsEmpty()));
  EXPECT_NO_FATAL_FAILURE(ExpectWhole(&fs_, &clock_, kAdopted));
}

TEST_F(AdoptTest, AnOverlayTriesItOut) {
  MakeSource();
  MakeEmpty();
  const FilesByPath before = FilesBelow(&fs_, "/");
  OverlayFileSystem trial(&fs_);
  VARVE_ASSERT_OK_AND_ASSIGN(const AdoptResult result, AdoptPartition(&trial, kSource, kBroker, {.move = true}));
  EXPECT_EQ(result.log_end_offset, kRecords);
  EXPECT_NO_FATAL_FAILURE(ExpectWhole(&trial, &clock_, kAdopted));
  EXPECT_EQ(FilesBelow(&fs_, "/"), before);
}

TEST_F(AdoptTest, AnOverlayKnowsTheLocksOfItsBase) {
  MakeSource();
  MakeEmpty();
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto broker, fs_.Lock("kafka/.lock", LockKind::kExclusive));
    OverlayFileSystem trial(&fs_);
    EXPECT_THAT(AdoptPartition(&trial, kSource, kBroker),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("stop the broker")));
  }
  VARVE_ASSERT_OK_AND_ASSIGN(const auto writer, fs_.Lock("data/orders-0/varve.lock", LockKind::kExclusive));
  OverlayFileSystem trial(&fs_);
  EXPECT_THAT(AdoptPartition(&trial, kSource, kBroker), StatusIs(absl::StatusCode::kUnavailable, HasSubstr(kSource)));
}

TEST_F(AdoptTest, AnOpenTransactionAndProducersAreTold) {
  {
    const std::unique_ptr<Log> log = OpenLog(kSource, Options(&fs_));
    ASSERT_NE(log, nullptr);
    AppendMany(log.get(), 3);
    AppendOptions options;
    options.producer = ProducerStamp{.producer_id = 4, .producer_epoch = 0, .base_sequence = 0, .transactional = true};
    VARVE_ASSERT_OK(log->Append({{.key = "k", .value = "v"}}, options));
    VARVE_ASSERT_OK(log->Close());
  }
  MakeEmpty();
  VARVE_ASSERT_OK_AND_ASSIGN(const AdoptResult result, AdoptPartition(&fs_, kSource, kBroker));
  EXPECT_EQ(result.last_stable_offset, 3);
  EXPECT_EQ(result.log_end_offset, 4);
  EXPECT_EQ(result.producers, 1);
}

TEST_F(AdoptTest, ProgressReachesTheEnd) {
  MakeSource();
  MakeEmpty();
  std::pair<int64_t, int64_t> copied;
  std::pair<int64_t, int64_t> verified;
  AdoptOptions options;
  options.copy_progress = [&](int64_t done, int64_t total) { copied = {done, total}; };
  options.verify_progress = [&](int64_t done, int64_t total) { verified = {done, total}; };
  VARVE_ASSERT_OK_AND_ASSIGN(const AdoptResult result, AdoptPartition(&fs_, kSource, kBroker, options));
  EXPECT_EQ(copied, std::pair(result.bytes, result.bytes));
  EXPECT_GT(verified.first, 0);
  EXPECT_EQ(verified.first, verified.second);
}

// --- What is refused ---

TEST_F(AdoptTest, RefusesADirectoryThatIsNoBrokers) {
  MakeSource();
  MakeEmpty();
  VARVE_ASSERT_OK(fs_.Remove("kafka/meta.properties"));
  ExpectRefused(absl::StatusCode::kInvalidArgument, HasSubstr("meta.properties"));
}

TEST_F(AdoptTest, RefusesARunningBroker) {
  MakeSource();
  MakeEmpty();
  VARVE_ASSERT_OK_AND_ASSIGN(const auto broker, fs_.Lock("kafka/.lock", LockKind::kExclusive));
  ExpectRefused(absl::StatusCode::kUnavailable, HasSubstr("stop the broker"));
}

// A broker that stops lets go of its lock, and removes the file: a lock that was got in between keeps nobody out.
TEST_F(AdoptTest, RefusesWhatABrokerMayHaveTakenMeanwhile) {
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

TEST_F(AdoptTest, RefusesAPartitionThatIsOpen) {
  const std::unique_ptr<Log> log = OpenSource();
  MakeEmpty();
  ExpectRefused(absl::StatusCode::kUnavailable, HasSubstr("open for writing"));
}

TEST_F(AdoptTest, RefusesAPartitionThatWasNotClosed) {
  const std::unique_ptr<Log> log = OpenSource();
  MakeEmpty();
  const std::unique_ptr<MemoryFileSystem> after = fs_.CloneAfterProcessDeath();
  EXPECT_THAT(AdoptPartition(after.get(), kSource, kBroker),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("clean stop")));
  EXPECT_EQ(ReadFile(after.get(), "kafka/orders-0/00000000000000000000.log"), "");
}

TEST_F(AdoptTest, RefusesWhatAnOpeningWouldCutOrRebuild) {
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

// What the marks vouch for is not read by an opening: the check of the copy finds it.
TEST_F(AdoptTest, RefusesDamageThatNobodyHasFoundYet) {
  MakeSource();
  MakeEmpty();
  std::string log = ReadFile(&fs_, "data/orders-0/00000000000000000000.log");
  log[100] = static_cast<char>(log[100] ^ 1);
  WriteFile(&fs_, "data/orders-0/00000000000000000000.log", log);
  ExpectRefused(absl::StatusCode::kDataLoss, AllOf(HasSubstr(kSource), HasSubstr("1 damaged ranges")));
}

TEST_F(AdoptTest, RefusesDamageThatIsKnown) {
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

TEST_F(AdoptTest, RefusesToReplaceRecords) {
  MakeSource();
  MakeEmpty();
  WriteFile(&fs_, "kafka/orders-0/00000000000000000000.log", "x");
  ExpectRefused(absl::StatusCode::kAlreadyExists, HasSubstr("1 bytes in 00000000000000000000.log"));
}

TEST_F(AdoptTest, RefusesAnIdThatIsNotTheBrokers) {
  MakeSource();
  MakeEmpty();
  ExpectRefused(absl::StatusCode::kInvalidArgument, AllOf(HasSubstr(kTopicId), HasSubstr("AAAAAAAAAAAAAAAAAAAAAQ")),
                {.topic_id = "AAAAAAAAAAAAAAAAAAAAAQ"});
  ExpectRefused(absl::StatusCode::kInvalidArgument, HasSubstr("22 characters"), {.topic_id = "orders"});
}

TEST_F(AdoptTest, RefusesAPartitionThatNobodyKnowsTheIdOf) {
  MakeSource();
  ExpectRefused(absl::StatusCode::kFailedPrecondition, HasSubstr("create the topic"));
}

TEST_F(AdoptTest, RefusesNamesThatAreNone) {
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

TEST_F(AdoptTest, RefusesAPartitionOfALogDirectory) {
  MakeSource();
  MakeEmpty();
  VARVE_ASSERT_OK(fs_.Rename(kSource, "kafka/orders-1"));
  ExpectRefused(absl::StatusCode::kInvalidArgument, HasSubstr("export it first"), {}, "kafka/orders-1");
}

TEST_F(AdoptTest, RefusesToMoveWhatDoesNotGoAlong) {
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

TEST_F(AdoptTest, RefusesCheckpointsThatCannotBeParsed) {
  MakeSource();
  MakeEmpty();
  WriteFile(&fs_, "kafka/replication-offset-checkpoint", "nonsense");
  ExpectRefused(absl::StatusCode::kDataLoss, HasSubstr("replication-offset-checkpoint"));
}

// --- What a failure leaves, and what a crash ---

// Of the two that may hold the records, at least one is whole; and whatever a broker finds, it can start on.
void ExpectSafe(MemoryFileSystem* fs, Clock* clock, void (*expect_whole)(FileSystem*, Clock*, const std::string&)) {
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, fs->List(kBroker));
  for (const std::string& name : names) {
    VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo info, fs->Info(std::string(kBroker) + "/" + name));
    if (!info.is_directory) continue;
    EXPECT_TRUE(ParseTopicPartition(name).ok()) << name;
    if (name == "orders-0") continue;
    // A broker would open it before it removes it, so there must be nothing in it to open.
    for (const auto& [path, content] : FilesBelow(fs, std::string(kBroker) + "/" + name)) {
      EXPECT_NE(path.find('/', path.find("-delete/") + 8), std::string::npos) << path;
    }
  }
  const bool source_is_there = IsThere(fs, kSource);
  if (source_is_there) {
    EXPECT_NO_FATAL_FAILURE(expect_whole(fs, clock, kSource));
  }
  if (!IsThere(fs, kAdopted)) {
    EXPECT_TRUE(source_is_there);
    return;
  }
  const std::string metadata = ReadFile(fs, "kafka/orders-0/partition.metadata");
  EXPECT_EQ(metadata, kMetadata);
  const std::string points = ReadFile(fs, "kafka/recovery-point-offset-checkpoint");
  if (ReadFile(fs, "kafka/orders-0/00000000000000000000.log").empty()) {
    EXPECT_EQ(points, kOtherLines);
    EXPECT_TRUE(source_is_there);
  } else {
    EXPECT_EQ(points, kAllLines);
    EXPECT_NO_FATAL_FAILURE(expect_whole(fs, clock, kAdopted));
  }
}

// Moving takes every step that copying takes, and more.
class AdoptFaultsTest : public AdoptTest {
 protected:
  static void ExpectWholeFromStart(FileSystem* fs, Clock* clock, const std::string& directory) {
    ExpectWhole(fs, clock, directory);
  }

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
      ASSERT_NO_FATAL_FAILURE(ExpectSafe(machine.get(), &clock_, ExpectWholeFromStart));
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
      ASSERT_NO_FATAL_FAILURE(ExpectSafe(after.get(), &clock_, ExpectWholeFromStart)) << "operation " << n;
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

}  // namespace
}  // namespace varve
