// What recovery makes of a segment whose headers, index or neighbours say what cannot be, two faults at once among them: no
// batch is served at offsets that are not its own, and where nothing proves more, damage is as small as its batches.
#include "segment/segment_recovery.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/bad_sectors.h"
#include "record/batch_format.h"
#include "segment/reference_segment.h"
#include "support/status_matchers.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::BatchSpec;
using testing_support::ReferenceSegment;

constexpr char kLog[] = "log";
constexpr int64_t kBaseOffset = 100;
constexpr int64_t kReach = int64_t{1} << 31;  // of a segment, from its base on

// Six batches of two offsets each, from 100 on.
class SegmentRecoveryTest : public ::testing::Test {
 protected:
  SegmentRecoveryTest() {
    ReferenceSegment segment(kBaseOffset);
    for (int64_t number = 0; number < 6; ++number) {
      segment.Add(BatchSpec{.base_offset = kBaseOffset + 2 * number, .timestamps_ms = {1000, 2000}});
    }
    Take(segment);
  }

  void Take(const ReferenceSegment& segment) {
    good_ = bytes_ = segment.log();
    positions_.clear();
    for (const ReferenceSegment::Batch& batch : segment.batches()) positions_.push_back(batch.position);
    positions_.push_back(static_cast<int64_t>(bytes_.size()));
    next_offset_ = segment.next_offset();
    input_.base_offset = segment.base_offset();
  }

  template <typename T>
  void Set(size_t batch, size_t field, T value) {
    StoreBigEndian(bytes_.data() + positions_[batch] + field, value);
  }
  void SetBaseOffset(size_t batch, int64_t offset) { Set(batch, kBaseOffsetPosition, offset); }
  void SetMagic(size_t batch, int8_t magic) { Set(batch, kMagicPosition, magic); }
  void LoseHeader(size_t batch) { std::fill_n(bytes_.begin() + positions_[batch], kBatchHeaderBytes, std::byte{0}); }
  void FlipInBody(size_t batch) { bytes_[static_cast<size_t>(positions_[batch + 1]) - 1] ^= std::byte{1}; }

  // All of it is durable, and a segment follows.
  void IsWhole() {
    input_.durable_position = positions_.back();
    input_.next_segment_base_offset = next_offset_;
  }

  SegmentRecovery Recover() {
    MemoryFileSystem memory;
    testing_support::WriteWholeFile(&memory, kLog, bytes_);
    return Recover(&memory);
  }
  SegmentRecovery Recover(FileSystem* file_system) {
    input_.size_bytes = static_cast<int64_t>(bytes_.size());
    const absl::StatusOr<std::unique_ptr<File>> log = file_system->Open(kLog, OpenMode::kRead);
    VARVE_EXPECT_OK(log.status());
    NoVisitor visitor;
    absl::StatusOr<SegmentRecovery> recovered = RecoverSegment(**log, input_, visitor);
    VARVE_EXPECT_OK(recovered.status());
    return recovered.ok() ? *std::move(recovered) : SegmentRecovery();
  }

  // Batches [first, end) are damaged, and the offsets from `first_offset` to `last_offset`; nothing else.
  void ExpectDamaged(const SegmentRecovery& recovered, size_t first, size_t end, int64_t first_offset,
                     int64_t last_offset) {
    EXPECT_EQ(recovered.log_end, LogEnd::kNowhere);
    ASSERT_EQ(recovered.damage.size(), 1u);
    const DamagedRange& range = recovered.damage[0];
    EXPECT_EQ(std::tuple(range.position, range.position + range.bytes), std::tuple(positions_[first], positions_[end]));
    EXPECT_EQ(std::tuple(range.first_offset, range.last_offset), std::tuple(first_offset, last_offset));
    EXPECT_EQ(recovered.batches, static_cast<int64_t>(positions_.size() - 1 - (end - first)));
  }

  std::vector<std::byte> good_;
  std::vector<std::byte> bytes_;
  std::vector<int64_t> positions_;  // of the batches, and where they end
  int64_t next_offset_ = 0;
  SegmentRecoveryInput input_;
};

// --- What tells where the log goes on ---

TEST_F(SegmentRecoveryTest, AnIndexEntryOfAnOffsetBelowTheDamageTellsNothing) {
  IsWhole();
  LoseHeader(2);
  input_.index_entries = {{101, positions_[1]}, {102, positions_[4]}};
  ExpectDamaged(Recover(), 2, 3, 104, 105);
}

TEST_F(SegmentRecoveryTest, AnIndexEntryOfABatchWithOffsetsBelowTheDamageTellsNothing) {
  IsWhole();
  LoseHeader(2);
  SetBaseOffset(4, 100);
  input_.index_entries = {{109, positions_[4]}, {111, positions_[5]}};
  ExpectDamaged(Recover(), 2, 5, 104, 109);
}

TEST_F(SegmentRecoveryTest, ADurablePointBeforeTheNextIndexEntryTells) {
  LoseHeader(2);
  LoseHeader(3);
  input_.durable_position = positions_[4];
  input_.durable_offset = 108;
  input_.durable_point_is_boundary = true;
  input_.index_entries = {{111, positions_[5]}};
  input_.cache_survived = true;
  ExpectDamaged(Recover(), 2, 4, 104, 107);
}

TEST_F(SegmentRecoveryTest, ABatchOfOffsetsThatTheNextSegmentHoldsIsNotWhereItGoesOn) {
  IsWhole();
  for (const bool header : {false, true}) {
    bytes_ = good_;
    FlipInBody(2);
    if (header) LoseHeader(2);
    SetBaseOffset(3, 500);
    ExpectDamaged(Recover(), 2, 4, 104, 107);
  }
}

// A few bytes too many, fewer than a batch can have.
TEST_F(SegmentRecoveryTest, StrayBytesBetweenBatchesCostNoBatch) {
  for (const bool indexed : {false, true}) {
    bytes_ = good_;
    bytes_.insert(bytes_.begin() + positions_[2], 30, std::byte{0x55});
    IsWhole();
    input_.durable_position += 30;
    input_.index_entries.clear();
    if (indexed) input_.index_entries = {{105, positions_[2] + 30}};
    const SegmentRecovery recovered = Recover();
    EXPECT_EQ(recovered.batches, 6);
    EXPECT_EQ(recovered.next_offset, next_offset_);
    ASSERT_EQ(recovered.damage.size(), 1u);
    EXPECT_EQ(recovered.damage[0].position, positions_[2]);
    EXPECT_EQ(recovered.damage[0].bytes, 30);
    EXPECT_EQ(recovered.damage[0].last_offset, recovered.damage[0].first_offset - 1) << "no offset is lost";
  }
}

TEST_F(SegmentRecoveryTest, ADamagedHeaderThatLeadsNowhereCostsItsBatchOnly) {
  struct Fields {
    int64_t base_offset;
    int32_t last_offset_delta;
    int32_t record_count;
  };
  for (const Fields& found : {Fields{100, 1, 2},        // below what comes before it
                              Fields{104, 1000, 1000},  // beyond the batch behind
                              Fields{104, -1, -1}}) {
    SCOPED_TRACE(::testing::Message() << found.base_offset << ", " << found.last_offset_delta);
    bytes_ = good_;
    SetBaseOffset(2, found.base_offset);
    Set(2, kLastOffsetDeltaPosition, found.last_offset_delta);
    Set(2, kRecordCountPosition, found.record_count);
    FlipInBody(2);
    IsWhole();
    ExpectDamaged(Recover(), 2, 3, 104, 105);
  }
}

TEST_F(SegmentRecoveryTest, ADamagedLastBatchThatLeadsBeyondTheNextSegmentCostsItselfOnly) {
  SetBaseOffset(5, 115);
  FlipInBody(5);
  IsWhole();
  ExpectDamaged(Recover(), 5, 6, 110, 111);
}

// --- Offsets ---

// Between 104 and 120 several places differ from it by one bit: none of them is taken for its own.
TEST_F(SegmentRecoveryTest, OffsetsThatTheBatchBehindContradictsAreDamageWhereNothingTellsTheRightOnes) {
  ReferenceSegment segment(kBaseOffset);
  for (const int64_t offset : {100, 102, 110, 120, 122}) {
    segment.Add(BatchSpec{.base_offset = offset, .timestamps_ms = {1000, 2000}});
  }
  Take(segment);
  SetBaseOffset(2, 119);
  IsWhole();
  const SegmentRecovery recovered = Recover();
  ExpectDamaged(recovered, 2, 3, 104, 119);
  EXPECT_EQ(recovered.damage.at(0).reason, "offsets that the batch behind contradicts");
  EXPECT_THAT(recovered.mended, IsEmpty());
}

// The place that the next segment leaves it is beyond what the index of this one can name.
TEST_F(SegmentRecoveryTest, ABatchIsNotMendedToAnOffsetBeyondItsSegment) {
  ReferenceSegment segment(0);
  segment.Add(BatchSpec{.base_offset = 0, .last_offset = kReach - 1});
  segment.Add(BatchSpec{.base_offset = kReach});
  Take(segment);
  SetBaseOffset(1, 5);
  IsWhole();
  const SegmentRecovery recovered = Recover();
  ExpectDamaged(recovered, 1, 2, kReach, kReach);
  EXPECT_THAT(recovered.damage.at(0).reason, HasSubstr("base offset of at least 2147483648 expected, found 5"));
}

// At the end of the log nothing shows what its offsets were. Where it is not known to be durable it is cut off.
TEST_F(SegmentRecoveryTest, AnOffsetBeyondTheSegmentAtTheEndOfTheLogIsMendedByTheDurablePointAlone) {
  SetBaseOffset(5, 110 + (int64_t{1} << 40));
  input_.cache_survived = true;
  const SegmentRecovery torn = Recover();
  EXPECT_EQ(torn.log_end, LogEnd::kTornTail);
  EXPECT_EQ(torn.end_position, positions_[5]);
  EXPECT_EQ(torn.next_offset, 110);
  EXPECT_THAT(torn.end_reason, HasSubstr("last offset within 2^31 of 100 expected, found 1099511627887"));
  input_.durable_position = positions_.back();
  input_.durable_offset = 112;
  input_.durable_point_is_boundary = true;
  const SegmentRecovery mended = Recover();
  EXPECT_EQ(mended.log_end, LogEnd::kNowhere);
  ASSERT_EQ(mended.mended.size(), 1u);
  EXPECT_EQ(mended.mended[0].base_offset, 110);
}

// --- The end of the log ---

TEST_F(SegmentRecoveryTest, ABatchCutShortIsATornTailWhateverItsOffsets) {
  for (const int64_t base_offset : {int64_t{110}, int64_t{50}, 110 + kReach}) {
    bytes_ = good_;
    bytes_.resize(static_cast<size_t>(positions_[5] + 65));
    SetBaseOffset(5, base_offset);
    input_.cache_survived = true;
    const SegmentRecovery recovered = Recover();
    EXPECT_EQ(recovered.log_end, LogEnd::kTornTail) << base_offset;
    EXPECT_EQ(recovered.end_position, positions_[5]);
    EXPECT_EQ(recovered.next_offset, 110);
  }
}

TEST_F(SegmentRecoveryTest, NothingGoodIsBehindATornTailOfSeveralBatches) {
  FlipInBody(4);
  FlipInBody(5);
  input_.cache_survived = true;
  const SegmentRecovery recovered = Recover();
  EXPECT_EQ(recovered.log_end, LogEnd::kTornTail);
  EXPECT_EQ(recovered.end_position, positions_[4]);
  EXPECT_THAT(recovered.end_reason, HasSubstr("checksum"));
  EXPECT_THAT(recovered.damage, IsEmpty());
}

// One more offset is lost at least; how many more, offsets that this segment cannot hold do not tell.
TEST_F(SegmentRecoveryTest, ALostTailIsNotMeasuredByOffsetsBeyondTheSegment) {
  for (const int64_t base_offset : {int64_t{130}, kBaseOffset + kReach}) {
    SCOPED_TRACE(base_offset);
    bytes_ = good_;
    LoseHeader(4);
    SetBaseOffset(5, base_offset);
    input_.durable_point_is_lost = true;
    const SegmentRecovery recovered = Recover();
    const int64_t next_offset = base_offset == 130 ? 132 : 109;
    ExpectDamaged(recovered, 4, 6, 108, next_offset - 1);
    EXPECT_EQ(recovered.next_offset, next_offset);
  }
}

// After a restart the log ends at the first byte that is not good; one that the device fails may be good tomorrow.
TEST_F(SegmentRecoveryTest, ABadSectorAboveTheDurablePointDoesNotEndTheLog) {
  ReferenceSegment segment(kBaseOffset);
  for (int64_t number = 0; number < 6; ++number) {
    segment.Add(BatchSpec{.base_offset = kBaseOffset + number, .value = std::string(10'000, 'v')});
  }
  Take(segment);
  input_.durable_position = positions_[1];
  input_.durable_offset = kBaseOffset + 1;
  input_.durable_point_is_boundary = true;
  MemoryFileSystem memory;
  testing_support::WriteWholeFile(&memory, kLog, bytes_);
  testing_support::FileSystemWithBadSectors bad(&memory, kLog, static_cast<uint64_t>(positions_[2]) + 5000, 512);
  const SegmentRecovery recovered = Recover(&bad);
  EXPECT_EQ(recovered.log_end, LogEnd::kNowhere);
  ASSERT_FALSE(recovered.damage.empty());
  EXPECT_EQ(recovered.damage[0].position, positions_[2]);
  EXPECT_EQ(recovered.damage[0].first_offset, 102);
  EXPECT_GE(recovered.next_offset, next_offset_);
}

// --- A magic that is not known ---

TEST_F(SegmentRecoveryTest, MagicsThatDoNotAgreeAreNoFormatOfTheFuture) {
  IsWhole();
  SetMagic(2, 3);
  SetMagic(3, 4);
  const SegmentRecovery recovered = Recover();
  EXPECT_THAT(recovered.damage, IsEmpty());
  EXPECT_EQ(recovered.mended.size(), 2u);
  EXPECT_EQ(recovered.batches, 6);
}

TEST_F(SegmentRecoveryTest, AMagicAboveALengthThatNoBatchHasIsNoFormatOfTheFuture) {
  IsWhole();
  SetMagic(2, 3);
  Set(2, kLengthPosition, int32_t{20});
  const SegmentRecovery recovered = Recover();
  EXPECT_THAT(recovered.damage, IsEmpty());
  ASSERT_EQ(recovered.mended.size(), 1u);
  EXPECT_EQ(recovered.mended[0].position, positions_[2]);
  EXPECT_THAT(recovered.mended[0].evidence, HasSubstr("found 104, 32, 0, 3"));
}

}  // namespace
}  // namespace varve::internal
