// AdoptPartition: what a broker then has.
#include <algorithm>
#include <cstdint>
#include <memory>
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
  EXPECT_FALSE(result.compacted);
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
  // Every file of the source that is Kafka's, and none that is varve's; of snapshots only the one at the end.
  const std::string snapshot = fmt::format("{:020}.snapshot", kRecords);
  for (const auto& [path, content] : source) {
    const std::string name = path.substr(path.rfind('/') + 1);
    const bool goes_along = !name.starts_with("varve.") && (!name.ends_with(".snapshot") || name == snapshot);
    EXPECT_EQ(IsThere(&fs_, std::string(kAdopted) + "/" + name), goes_along) << name;
  }
  // What the broker appends comes into a segment of its own.
  EXPECT_EQ(ReadFile(&fs_, fmt::format("{}/{:020}.log", kAdopted, kRecords)), "");
  EXPECT_TRUE(IsThere(&fs_, std::string(kAdopted) + "/" + snapshot));
}

TEST_F(AdoptTest, AnEmptySegmentAtTheEndIsKept) {
  {
    const std::unique_ptr<Log> log = OpenSource();
    ASSERT_NE(log, nullptr);
    VARVE_ASSERT_OK(log->Roll());
    VARVE_ASSERT_OK(log->Close());
  }
  MakeEmpty();
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<int64_t> bases, Segment::List(&fs_, kSource));
  VARVE_ASSERT_OK_AND_ASSIGN(const AdoptResult result, AdoptPartition(&fs_, kSource, kBroker));
  EXPECT_EQ(result.segments, static_cast<int64_t>(bases.size()));
  EXPECT_THAT(Segment::List(&fs_, kAdopted), IsOkAndHolds(bases));
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
  EXPECT_TRUE(result.compacted);
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

// Of 249 characters is the longest name of a topic; what is made on the way has longer ones.
TEST_F(AdoptTest, TheLongestName) {
  const std::string name = std::string(249, 't') + "-0";
  MakeSource();
  VARVE_ASSERT_OK(fs_.Rename(kSource, "data/" + name));
  MakeEmpty("0\n1\n0 0\n", "kafka/" + name);
  HookedFileSystem hooked(&fs_);
  size_t longest = 0;
  hooked.before_open = [&](const std::string& path) {
    for (size_t begin = 0; begin < path.size();) {
      const size_t end = std::min(path.find('/', begin), path.size());
      longest = std::max(longest, end - begin);
      begin = end + 1;
    }
  };
  VARVE_ASSERT_OK(AdoptPartition(&hooked, "data/" + name, kBroker));
  VARVE_ASSERT_OK(ExportPartition(&hooked, "kafka/" + name, "/data/exported" + name.substr(10)));
  EXPECT_EQ(longest, 255u);
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

// A cluster gives out ids from 0 on, as a host does: a producer of its own that gets one that is known is told that its
// first records are there already.
TEST_F(AdoptTest, ProducersAreForgottenButForOpenTransactions) {
  for (const bool transactional : {false, true}) {
    const std::string source = transactional ? "data/sent-0" : "data/plain-0";
    const std::string adopted = transactional ? "kafka/sent-0" : "kafka/plain-0";
    {
      const std::unique_ptr<Log> log = OpenLog(source, Options(&fs_));
      ASSERT_NE(log, nullptr);
      for (const int64_t producer_id : {0, 4}) {
        AppendMany(log.get(), 2);
        AppendOptions options;
        options.producer = ProducerStamp{.producer_id = producer_id,
                                         .producer_epoch = 0,
                                         .base_sequence = 0,
                                         .transactional = transactional && producer_id == 4};
        VARVE_ASSERT_OK(log->Append({{.key = "k", .value = "v"}}, options));
      }
      VARVE_ASSERT_OK(log->Close());
    }
    MakeEmpty("0\n1\n2 0\n", adopted);
    VARVE_ASSERT_OK_AND_ASSIGN(const AdoptResult result, AdoptPartition(&fs_, source, kBroker));
    EXPECT_EQ(result.last_stable_offset, transactional ? 5 : 6);
    EXPECT_EQ(result.log_end_offset, 6);
    EXPECT_EQ(result.producers, transactional ? 1 : 0);
    // A broker that is killed recovers from its recovery point, and knows the producers of what it reads.
    for (const bool clean : {true, false}) {
      LogOptions options = Options(&fs_);
      options.read_only = true;
      options.marks = OpenMarks{.clean = clean, .recovery_point = 6};
      const std::unique_ptr<Log> log = OpenLog(adopted, options);
      ASSERT_NE(log, nullptr);
      std::vector<int64_t> known;
      for (const ProducerStateEntry& producer : log->producers()) known.push_back(producer.producer_id);
      EXPECT_EQ(known, transactional ? std::vector<int64_t>{4} : std::vector<int64_t>{});
      EXPECT_EQ(log->offsets().last_stable_offset, result.last_stable_offset);
    }
  }
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

}  // namespace
}  // namespace varve
