// The rules of opening, one named test each, on a file system in memory.
#include <cstdint>
#include <string>

#include "gtest/gtest.h"
#include "log/partition_fixture.h"
#include "support/status_matchers.h"

namespace varve::internal {
namespace {

using testing_support::BatchesBytes;
using testing_support::IsOk;
using testing_support::Partition;

int64_t SizeOf(const std::string& bytes) { return static_cast<int64_t>(bytes.size()); }

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

}  // namespace
}  // namespace varve::internal
