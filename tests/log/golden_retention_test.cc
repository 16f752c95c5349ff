// Retention of a log that Kafka wrote, opened in the moment of its last record: what Kafka left stays as it is but for
// what goes.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "log/partition_fixture.h"
#include "support/status_matchers.h"
#include "varve/log.h"

namespace varve {
namespace {

using ::testing::ElementsAre;
using testing_support::GoldenCase;
using testing_support::IsOk;
using testing_support::kDirectory;
using testing_support::Partition;
using testing_support::StatusIs;

// Segments 301, 402, 503, 603 and 698, the log start 333, the log end 703; the largest timestamp of the one that begins
// at 503 is 1'700'000'006'030.
class GoldenRetentionTest : public ::testing::Test {
 protected:
  GoldenRetentionTest() {
    testing_support::SetUpGolden(golden_, &partition_);
    partition_.options.clock = &clock_;
  }

  std::unique_ptr<Log> Open() {
    absl::StatusOr<std::unique_ptr<Log>> log = Log::Open(kDirectory, partition_.options);
    EXPECT_THAT(log, IsOk());
    return log.ok() ? *std::move(log) : nullptr;
  }

  // As Kafka's manifest lists the records, from `from_offset` on, then one for each of `appended`.
  void ExpectRecords(const Log& log, int64_t from_offset, const std::vector<std::string>& appended) {
    LogScan scan = log.Scan(from_offset);
    for (const nlohmann::json& record : golden_.manifest["records"]) {
      if (record[0].get<int64_t>() < from_offset) continue;
      ASSERT_TRUE(scan.Next()) << scan.status();
      ASSERT_EQ(scan.record().offset(), record[0].get<int64_t>());
      ASSERT_EQ(scan.record().timestamp_ms(), record[1].get<int64_t>());
    }
    for (const std::string& value : appended) {
      ASSERT_TRUE(scan.Next()) << scan.status();
      ASSERT_EQ(scan.record().value(), value);
    }
    ASSERT_FALSE(scan.Next());
    VARVE_ASSERT_OK(scan.status());
  }

  const GoldenCase golden_ = testing_support::LoadGoldenCase("log-start-advanced");
  Partition partition_;
  ManualClock clock_{1'700'000'007'030};
};

TEST_F(GoldenRetentionTest, OfALogWhoseStartKafkaHadMoved) {
  {
    const auto log = Open();
    EXPECT_TRUE(log->recovery_report().clean);
    EXPECT_THAT(log->Read(332), StatusIs(absl::StatusCode::kOutOfRange));
    ExpectRecords(*log, 333, {});
    VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult result, log->ApplyRetention());
    EXPECT_THAT(result.deleted, ::testing::IsEmpty());  // the log start lies inside the first segment
    VARVE_ASSERT_OK(log->Append({{.value = "of varve"}}));
    VARVE_ASSERT_OK(log->Close());
  }
  partition_.options.marks = {};
  {
    const auto log = Open();
    EXPECT_TRUE(log->recovery_report().clean);
    EXPECT_EQ(log->log_start_offset(), 333);
    ExpectRecords(*log, 333, {"of varve"});
    EXPECT_THAT(log->leader_epochs(), ElementsAre(LeaderEpoch{.epoch = 0, .start_offset = 333}));
    VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult result, log->ApplyRetention({.retention_ms = 1000}));
    EXPECT_THAT(result.deleted, ElementsAre(RetiredSegment{301, 402, 7965, RetentionRule::kTime},
                                            RetiredSegment{402, 503, 8160, RetentionRule::kTime}));
    ExpectRecords(*log, 503, {"of varve"});
    VARVE_ASSERT_OK(log->Close());
  }
  const auto log = Open();
  EXPECT_TRUE(log->recovery_report().clean);
  EXPECT_EQ(log->log_start_offset(), 503);
  EXPECT_EQ(log->log_end_offset(), 704);
  EXPECT_EQ(log->segments().size(), 3u);
  EXPECT_THAT(log->leader_epochs(), ElementsAre(LeaderEpoch{.epoch = 0, .start_offset = 503}));
  ExpectRecords(*log, 503, {"of varve"});
  VARVE_ASSERT_OK_AND_ASSIGN(const auto first, log->OffsetForTimestamp(1'700'000'003'330));
  EXPECT_EQ(first->offset, 503);
}

}  // namespace
}  // namespace varve
