// How far varve.state says that the log was compacted, when the log is opened and truncated: never further than it was.
#include <cstdint>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "log/log_places.h"
#include "log/partition_fixture.h"
#include "log/partition_state.h"
#include "support/status_matchers.h"
#include "varve/log.h"

namespace varve::internal {
namespace {

using testing_support::BatchesBytes;
using testing_support::kDirectory;
using testing_support::OpenLog;
using testing_support::Partition;

class FirstDirtyOffsetTest : public ::testing::Test {
 protected:
  // Segments 0 to 9 and 10 to 19, durable up to 20.
  void SetUpLog(int64_t first_dirty_offset, bool clean = true) {
    partition_.AddSegment(0, BatchesBytes(0, 10));
    partition_.AddSegment(10, BatchesBytes(10, 20));
    partition_.SetDurablePoint(10, static_cast<int64_t>(BatchesBytes(10, 20).size()), 20, /*survived=*/true, clean);
    Change([&](PartitionStateValues* values) { values->first_dirty_offset = first_dirty_offset; });
  }

  template <typename How>
  void Change(How&& how) {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto state, PartitionState::Open(partition_.fs.get(), kDirectory));
    PartitionStateValues values = state->values();
    how(&values);
    state->Store(values);
  }

  int64_t Stored() {
    const auto values = PartitionState::Peek(partition_.fs.get(), kDirectory);
    return values.ok() && values->has_value() ? (*values)->first_dirty_offset : -1;
  }

  Partition partition_;
};

TEST_F(FirstDirtyOffsetTest, StaysWhereTheStateCounts) {
  SetUpLog(10);
  VARVE_ASSERT_OK(partition_.Load());
  EXPECT_EQ(Stored(), 10) << "after a clean stop";
  VARVE_ASSERT_OK(partition_.Load());
  EXPECT_EQ(Stored(), 10) << "after an unclean one";
}

// Whoever changed the files may have put records below the mark that were never compacted.
TEST_F(FirstDirtyOffsetTest, IsVoidWithTheDurablePoint) {
  SetUpLog(10);
  Change([](PartitionStateValues* values) { values->durable.batch_crc ^= 1; });
  VARVE_ASSERT_OK(partition_.Load());
  EXPECT_EQ(Stored(), 0);
}

TEST_F(FirstDirtyOffsetTest, IsAtMostTheEndOfALogThatWasCut) {
  SetUpLog(20, /*clean=*/false);
  partition_.FlipBit("00000000000000000010.log", 100);
  partition_.options.on_damage = OnDamage::kTruncate;
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition_.Load());
  ASSERT_EQ(loaded.log_end_offset, 10);
  EXPECT_EQ(Stored(), 10);
}

TEST_F(FirstDirtyOffsetTest, IsLoweredByATruncation) {
  SetUpLog(15);
  const auto log = OpenLog(kDirectory, partition_.options);
  ASSERT_NE(log, nullptr);
  VARVE_ASSERT_OK(log->TruncateTo(18));
  EXPECT_EQ(Stored(), 15);
  VARVE_ASSERT_OK(log->TruncateTo(12));
  EXPECT_EQ(Stored(), 12);
  VARVE_ASSERT_OK(log->DeleteBefore(11));
  EXPECT_EQ(Stored(), 12);
  VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(5));
  EXPECT_EQ(Stored(), 5);
}

}  // namespace
}  // namespace varve::internal
