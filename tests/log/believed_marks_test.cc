#include "log/believed_marks.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/partition_fixture.h"
#include "support/status_matchers.h"
#include "varve/testing/faulty_file_system.h"

namespace varve::internal {
namespace {

using ::testing::HasSubstr;
using testing_support::BatchBytes;
using testing_support::BatchesBytes;
using testing_support::IsOk;
using testing_support::kDirectory;
using testing_support::Partition;
using testing_support::StatusIs;
using testing_support::WriteFile;

std::string OffsetIndexEntry(uint32_t relative_offset, int64_t position) {
  std::string entry(8, '\0');
  std::byte* const bytes = std::as_writable_bytes(std::span(entry)).data();
  StoreBigEndian(bytes, relative_offset);
  StoreBigEndian(bytes + 4, static_cast<uint32_t>(position));
  return entry;
}

// A log of ten batches, its durable point behind the eighth.
class BelievedMarksTest : public ::testing::Test {
 protected:
  BelievedMarksTest() {
    partition_.AddSegment(0, log_);
    partition_.SetDurablePoint(0, kDurableBytes, 8, /*survived=*/true);
    auto state = PartitionState::Peek(partition_.fs.get(), kDirectory);
    EXPECT_THAT(state, IsOk());
    state_ = state->value();
    state_.log_start_offset = 3;
  }

  std::vector<FoundSegment> Segments() {
    const auto listing = ListPartition(partition_.fs.get(), kDirectory);
    EXPECT_THAT(listing, IsOk());
    const auto segments = FindSegments(partition_.fs.get(), kDirectory, *listing);
    EXPECT_THAT(segments, IsOk());
    return *segments;
  }

  BelievedMarks Believe(const OpenMarks& marks = {}, bool with_state = true) {
    const auto believed = BelieveMarks(partition_.fs.get(), kDirectory, Segments(),
                                       with_state ? std::optional(state_) : std::nullopt, marks);
    EXPECT_THAT(believed, IsOk());
    return believed.ok() ? *believed : BelievedMarks();
  }

  void ExpectVoid(const std::string& why) {
    const BelievedMarks believed = Believe();
    EXPECT_FALSE(believed.durable_point.has_value());
    EXPECT_EQ(believed.durable_offset, 0);
    EXPECT_FALSE(believed.cache_survived);
    EXPECT_FALSE(believed.clean);
    EXPECT_EQ(believed.deleted_before_offset, 0);
    ASSERT_EQ(believed.findings.size(), 1u);
    EXPECT_EQ(believed.findings[0].action, RecoveryAction::kIgnored);
    EXPECT_THAT(believed.findings[0].evidence, HasSubstr(why));
  }

  const std::string log_ = BatchesBytes(0, 10);
  const int64_t kBatchBytes = static_cast<int64_t>(BatchesBytes(0, 1).size());
  const int64_t kDurableBytes = 8 * kBatchBytes;
  Partition partition_;
  PartitionStateValues state_;
};

TEST_F(BelievedMarksTest, AStateThatMatchesTheFilesIsBelieved) {
  const BelievedMarks believed = Believe();
  EXPECT_EQ(believed.durable_point, state_.durable);
  EXPECT_EQ(believed.durable_offset, 8);
  EXPECT_TRUE(believed.cache_survived);
  EXPECT_EQ(believed.unbroken_from_offset, 8);
  EXPECT_FALSE(believed.clean);
  EXPECT_EQ(believed.log_start_offset, 3);
  EXPECT_EQ(believed.deleted_before_offset, 3);
  EXPECT_TRUE(believed.findings.empty());
}

TEST_F(BelievedMarksTest, APointIsVoidWhereSomebodyElseHasChangedTheFiles) {
  const DurablePoint point = state_.durable;
  state_.durable.segment = 5;
  ExpectVoid("segment 5 absent");
  state_.durable = point;
  state_.durable.batch_crc ^= 1;
  ExpectVoid("another one at position " + std::to_string(7 * kBatchBytes));
  state_.durable = point;
  state_.durable.batch_position = kDurableBytes - 10;
  ExpectVoid("another one at position " + std::to_string(7 * kBatchBytes));
  state_.durable = point;
  state_.durable.position = kDurableBytes + 10;
  state_.durable.batch_position = kDurableBytes - kBatchBytes + 10;
  ExpectVoid("another one at position " + std::to_string(7 * kBatchBytes));
  state_.durable = point;
  const FileIdentity active = state_.active;
  state_.durable.position = 1 << 20;
  ++state_.active.inode;
  ExpectVoid("of at least 1048576 bytes expected, found " + std::to_string(log_.size()) + " in another file");
  state_.active = active;
  ++state_.active.birth_ns;  // the inode was given out again
  ExpectVoid("of at least 1048576 bytes expected, found " + std::to_string(log_.size()) + " in another file");
}

// Found by the index where the batches before it do not lead there.
TEST_F(BelievedMarksTest, AnotherBatchIsFoundBehindDamage) {
  WriteFile(partition_.fs.get(), "orders-0/00000000000000000000.index",
            OffsetIndexEntry(5, 5 * kBatchBytes) + OffsetIndexEntry(9, 9 * kBatchBytes));
  partition_.FlipBit("00000000000000000000.log", 2 * kBatchBytes + 16, 5);
  state_.durable.batch_crc ^= 1;
  ExpectVoid("another one at position " + std::to_string(7 * kBatchBytes));
}

TEST_F(BelievedMarksTest, AnIndexEntryThatLeadsIntoABatchLeadsToNone) {
  WriteFile(partition_.fs.get(), "orders-0/00000000000000000000.index",
            OffsetIndexEntry(5, 5 * kBatchBytes) + OffsetIndexEntry(6, 6 * kBatchBytes + 10));
  partition_.FlipBit("00000000000000000000.log", 2 * kBatchBytes + 16, 5);
  state_.durable.batch_crc ^= 1;
  ExpectVoid("another one at position " + std::to_string(7 * kBatchBytes));
}

// Neither the checksum nor the body is what it was, so nobody shows that it is another batch.
TEST_F(BelievedMarksTest, APointAtABatchWithoutAGoodChecksumCounts) {
  partition_.FlipBit("00000000000000000000.log", 7 * kBatchBytes + 18);
  partition_.FlipBit("00000000000000000000.log", 7 * kBatchBytes + 90);
  EXPECT_EQ(Believe().durable_point, state_.durable);
}

TEST_F(BelievedMarksTest, APointBehindDamageCounts) {
  const auto expect_counts = [&] {
    const BelievedMarks believed = Believe();
    EXPECT_EQ(believed.durable_point, state_.durable);
    EXPECT_TRUE(believed.findings.empty());
  };
  const auto whole = partition_.fs->CloneAfterProcessDeath();
  const std::string zeros(static_cast<size_t>(kBatchBytes), '\0');
  // The batch itself; another place that bars the way to it, where something else seems to be.
  WriteFile(partition_.fs.get(), partition_.LogPath(0),
            std::string(log_).replace(7 * zeros.size(), zeros.size(), zeros));
  expect_counts();
  std::string barred = std::string(log_).replace(7 * zeros.size(), zeros.size(), zeros);
  barred[static_cast<size_t>(3 * kBatchBytes) + 16] = 1;
  WriteFile(partition_.fs.get(), partition_.LogPath(0), barred);
  expect_counts();
  barred[static_cast<size_t>(3 * kBatchBytes) + 16] = 5;
  WriteFile(partition_.fs.get(), partition_.LogPath(0), barred);
  expect_counts();
}

TEST_F(BelievedMarksTest, APointOnABadSectorCounts) {
  FaultyFileSystem faulty(partition_.fs.get());
  faulty.AddRule({.operation = FileOperation::kRead,
                  .path_part = ".log",
                  .for_ever = true,
                  .status = absl::InternalError("bad sector")});
  VARVE_ASSERT_OK_AND_ASSIGN(const BelievedMarks believed, BelieveMarks(&faulty, kDirectory, Segments(), state_, {}));
  EXPECT_EQ(believed.durable_point, state_.durable);
  EXPECT_GT(faulty.faults_fired(), 0u);
}

// What can be read a moment later is no other batch.
TEST_F(BelievedMarksTest, APointWhoseBatchCouldNotBeReadForAMomentCounts) {
  for (uint64_t bad_reads = 1; bad_reads <= 4; ++bad_reads) {
    SCOPED_TRACE(bad_reads);
    FaultyFileSystem faulty(partition_.fs.get());
    for (uint64_t nth = 1; nth <= bad_reads; ++nth) {
      faulty.AddRule({.operation = FileOperation::kRead,
                      .path_part = ".log",
                      .nth = nth,
                      .status = absl::InternalError("bad sector")});
    }
    VARVE_ASSERT_OK_AND_ASSIGN(const BelievedMarks believed, BelieveMarks(&faulty, kDirectory, Segments(), state_, {}));
    EXPECT_EQ(believed.durable_point, state_.durable);
    EXPECT_TRUE(believed.findings.empty());
  }
}

// Short of memory nobody knows whether the batch is there, so the point is neither believed nor void.
TEST(BelievedMarksReadTest, AReadThatCannotBeDoneIsToldOf) {
  const std::string log = BatchesBytes(0, 3) + BatchBytes({.base_offset = 3, .value = std::string(100'000, 'v')}) +
                          BatchBytes({.base_offset = 4, .value = std::string(200'000, 'w')}) + BatchesBytes(5, 7);
  const int64_t small_bytes = static_cast<int64_t>(BatchesBytes(0, 1).size());
  Partition partition;
  partition.AddSegment(0, log);
  WriteFile(partition.fs.get(), "orders-0/00000000000000000000.index",
            OffsetIndexEntry(1, small_bytes) + OffsetIndexEntry(3, 3 * small_bytes));
  partition.SetDurablePoint(0, static_cast<int64_t>(log.size()) - 2 * small_bytes, 5, /*survived=*/true);
  VARVE_ASSERT_OK_AND_ASSIGN(std::optional<PartitionStateValues> state,
                             PartitionState::Peek(partition.fs.get(), kDirectory));
  state->durable.batch_crc ^= 1;
  VARVE_ASSERT_OK_AND_ASSIGN(const auto listing, ListPartition(partition.fs.get(), kDirectory));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto segments, FindSegments(partition.fs.get(), kDirectory, listing));
  for (uint64_t nth = 1;; ++nth) {
    FaultyFileSystem faulty(partition.fs.get());
    faulty.AddRule({.operation = FileOperation::kRead,
                    .path_part = ".log",
                    .nth = nth,
                    .status = absl::ResourceExhaustedError("no memory")});
    const absl::StatusOr<BelievedMarks> believed = BelieveMarks(&faulty, kDirectory, segments, state, {});
    if (faulty.faults_fired() > 0) {
      ASSERT_THAT(believed, StatusIs(absl::StatusCode::kResourceExhausted)) << "read " << nth;
      continue;
    }
    VARVE_ASSERT_OK(believed);
    EXPECT_FALSE(believed->durable_point.has_value());
    EXPECT_GT(nth, 5u);
    break;
  }
}

TEST_F(BelievedMarksTest, APointBehindTheEndOfTheFileThatVarveWroteCounts) {
  state_.durable.position = 1 << 20;
  EXPECT_EQ(Believe().durable_point, state_.durable);
  ++state_.active.mount;  // a restart
  ++state_.active.device;
  EXPECT_EQ(Believe().durable_point, state_.durable);
  state_.active = {};  // the file system tells files by nothing that stays
  EXPECT_EQ(Believe().durable_point, state_.durable);
  EXPECT_FALSE(Believe().cache_survived);
}

TEST_F(BelievedMarksTest, TheLogStartOfAVoidPointIsDoubtfulAndDeletesNothing) {
  state_.durable.batch_crc ^= 1;
  const BelievedMarks believed = Believe();
  EXPECT_EQ(believed.doubtful_log_start_offset, 3);
  EXPECT_EQ(believed.log_start_offset, 0);
  EXPECT_EQ(believed.deleted_before_offset, 0);
  EXPECT_FALSE(Believe({}, /*with_state=*/false).doubtful_log_start_offset.has_value());
}

TEST_F(BelievedMarksTest, ADamagedChecksumFieldOfThatBatchDoesNotMakeThePointVoid) {
  partition_.FlipBit("00000000000000000000.log", 7 * kBatchBytes + 18);
  EXPECT_EQ(Believe().durable_point, state_.durable);
}

TEST_F(BelievedMarksTest, TheCacheSurvivedOnTheSameBootMountAndFileOnly) {
  const PartitionStateValues whole = state_;
  const auto expect_not = [&](const std::string& why) {
    const BelievedMarks believed = Believe();
    EXPECT_FALSE(believed.cache_survived);
    EXPECT_THAT(believed.evidence, HasSubstr(why));
    EXPECT_EQ(believed.durable_offset, 8) << "the point itself still counts";
    state_ = whole;
  };
  state_.boot_id = "another";
  expect_not("boot id changed");
  state_.active.mount = 0;
  expect_not("mount or inode unknown");
  state_.active.inode = 0;
  expect_not("mount or inode unknown");
  ++state_.active.mount;
  expect_not("mount id or file changed");
  ++state_.active.inode;
  expect_not("mount id or file changed");
  ++state_.active.device;
  expect_not("mount id or file changed");
  ++state_.active.birth_ns;
  expect_not("mount id or file changed");
}

TEST_F(BelievedMarksTest, OfTwoRecoveryPointsTheLowerCounts) {
  EXPECT_EQ(Believe({.recovery_point = 5}).durable_offset, 5);
  EXPECT_FALSE(Believe({.recovery_point = 5}).durable_point.has_value());
  EXPECT_EQ(Believe({.recovery_point = 9}).durable_offset, 8);
  EXPECT_TRUE(Believe({.recovery_point = 9}).durable_point.has_value());
  EXPECT_EQ(Believe({.recovery_point = -1}).durable_offset, 0);
  EXPECT_EQ(Believe({.recovery_point = 9}, /*with_state=*/false).durable_offset, 9);
  EXPECT_EQ(Believe({}, /*with_state=*/false).durable_offset, 0);
}

TEST_F(BelievedMarksTest, OfTwoLogStartsTheHigherCounts) {
  EXPECT_EQ(Believe({.log_start_offset = 6}).log_start_offset, 6);
  EXPECT_EQ(Believe({.log_start_offset = 6}).deleted_before_offset, 3) << "a checkpoint deletes nothing";
  EXPECT_EQ(Believe({.log_start_offset = 1}).log_start_offset, 3);
  EXPECT_EQ(Believe({.log_start_offset = 6}, /*with_state=*/false).log_start_offset, 6);
}

// Others leave gaps between segments, too, where varve does not.
TEST_F(BelievedMarksTest, BesideKafkasMarksAndAfterACloseNobodyKnowsWhoWroteLast) {
  EXPECT_EQ(Believe({.recovery_point = 9}).unbroken_from_offset, 8);
  EXPECT_EQ(Believe({.recovery_point = 2}).unbroken_from_offset, 8) << "a checkpoint moves no gap of compaction";
  EXPECT_EQ(Believe({.clean = false}).unbroken_from_offset, std::nullopt);
  EXPECT_EQ(Believe({.clean = true}).unbroken_from_offset, std::nullopt);
  EXPECT_EQ(Believe({}, /*with_state=*/false).unbroken_from_offset, std::nullopt);
  state_.clean = true;
  EXPECT_EQ(Believe().unbroken_from_offset, std::nullopt);
}

TEST_F(BelievedMarksTest, CleanIsWhatAllThatSpeakOfItSay) {
  for (const bool state_clean : {false, true}) {
    state_.clean = state_clean;
    EXPECT_EQ(Believe().clean, state_clean);
    EXPECT_EQ(Believe({.clean = true}).clean, state_clean);
    EXPECT_FALSE(Believe({.clean = false}).clean);
  }
  EXPECT_TRUE(Believe({.clean = true}, /*with_state=*/false).clean);
  EXPECT_FALSE(Believe({.clean = false}, /*with_state=*/false).clean);
  EXPECT_FALSE(Believe({}, /*with_state=*/false).clean);
}

// Where the system does not tell which boot this is, nothing shows that the cache is the one written to.
TEST_F(BelievedMarksTest, WithoutABootIdNoCacheHasSurvived) {
  class WithoutBootId : public FaultyFileSystem {
   public:
    using FaultyFileSystem::FaultyFileSystem;
    std::string BootId() override { return {}; }
  };
  WithoutBootId file_system(partition_.fs.get());
  state_.boot_id.clear();
  VARVE_ASSERT_OK_AND_ASSIGN(const BelievedMarks believed,
                             BelieveMarks(&file_system, kDirectory, Segments(), state_, {}));
  EXPECT_FALSE(believed.cache_survived);
  EXPECT_EQ(believed.evidence, "boot id unknown");
}

}  // namespace
}  // namespace varve::internal
