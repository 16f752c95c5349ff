#include "segment/segment_lookup.h"

#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "record/batch_format.h"
#include "segment/reference_segment.h"
#include "support/status_matchers.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::BatchSpec;
using testing_support::MakeBatch;
using testing_support::ReferenceSegment;
using testing_support::StatusIs;

constexpr char kDirectory[] = "orders-0";

// Segments whose batches and records leave holes, with timestamps that jump, repeat or are missing; of odd seeds, with
// a tendency to rise.
ReferenceSegment RandomSegment(uint32_t seed, int batch_count) {
  std::mt19937 random(seed);
  const auto below = [&](uint32_t bound) { return static_cast<int64_t>(random() % bound); };
  ReferenceSegment segment(below(3) == 0 ? 0 : below(1000));
  int64_t offset = segment.base_offset() + below(3);
  for (int index = 0; index < batch_count; ++index) {
    BatchSpec spec{.base_offset = offset,
                   .timestamps_ms = {},
                   .value = std::string(static_cast<size_t>(below(300)), 'v'),
                   .offset_step = 1 + below(2),
                   .codec = below(4) == 0 && CodecAvailable(Codec::kLz4) ? Codec::kLz4 : Codec::kNone};
    const int64_t record_count = 1 + below(4);
    for (int64_t record = 0; record < record_count; ++record) {
      const int64_t timestamp_ms = seed % 2 == 0 ? 1000 + 10 * below(100) : 1000 + 20 * index + 10 * below(10);
      spec.timestamps_ms.push_back(below(8) == 0 ? kNoTimestamp : timestamp_ms);
    }
    const int64_t last_record_offset = offset + (record_count - 1) * spec.offset_step;
    spec.last_offset = last_record_offset + below(3);
    segment.Add(spec);
    offset = segment.next_offset() + (below(4) == 0 ? below(20) : 0);
  }
  return segment;
}

class SegmentLookupTest : public ::testing::Test {
 protected:
  SegmentLookupTest() : memory_(std::make_shared<MemoryFileSystem>()) {
    VARVE_EXPECT_OK(memory_->CreateDirectory(kDirectory));
  }

  std::shared_ptr<const OpenSegment> Open(const ReferenceSegment& segment, const ReferenceSegment::Indexes& indexes,
                                          std::vector<DamagedRange> damage = {}) {
    testing_support::WriteSegmentFiles(memory_.get(), kDirectory, segment, indexes);
    auto open = OpenSegment::OpenSealed(memory_, kDirectory, segment.base_offset(), segment.end(), std::move(damage));
    EXPECT_TRUE(open.ok()) << open.status();
    return open.value_or(nullptr);
  }

  const std::shared_ptr<MemoryFileSystem> memory_;
};

void ExpectSameBatch(const absl::StatusOr<std::optional<FoundBatch>>& found, const ReferenceSegment::Batch* expected) {
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->has_value(), expected != nullptr);
  if (expected == nullptr) return;
  EXPECT_EQ((*found)->position, expected->position);
  EXPECT_EQ((*found)->size_bytes, expected->size_bytes);
  EXPECT_EQ((*found)->base_offset, expected->base_offset);
  EXPECT_EQ((*found)->last_offset, expected->last_offset);
}

// Every offset of the segment, and some on either side.
void ExpectAllOffsetsFound(const OpenSegment& open, const ReferenceSegment& segment) {
  for (int64_t offset = segment.base_offset() - 2; offset <= segment.next_offset() + 2; ++offset) {
    SCOPED_TRACE("offset " + std::to_string(offset));
    ExpectSameBatch(FindBatch(open, offset, open.published()), segment.FindBatch(offset));
    if (::testing::Test::HasFailure()) return;
  }
}

void ExpectAllTimesFound(const OpenSegment& open, const ReferenceSegment& segment,
                         const std::vector<int64_t>& min_offsets) {
  DecodeBuffer scratch;
  for (const int64_t min_offset : min_offsets) {
    for (int64_t timestamp_ms = 0; timestamp_ms <= 2010; timestamp_ms += timestamp_ms < 995 ? 199 : 15) {
      SCOPED_TRACE("timestamp " + std::to_string(timestamp_ms) + " from offset " + std::to_string(min_offset));
      const auto found = FindTimestamp(open, timestamp_ms, min_offset, open.published(), &scratch);
      ASSERT_TRUE(found.ok()) << found.status();
      ASSERT_EQ(*found, segment.FindTimestamp(timestamp_ms, min_offset));
    }
  }
}

std::vector<int64_t> SomeOffsets(const ReferenceSegment& segment) {
  const int64_t middle = (segment.base_offset() + segment.next_offset()) / 2;
  return {0, segment.base_offset() + 1, middle, middle + 1, segment.next_offset() - 1, segment.next_offset()};
}

TEST_F(SegmentLookupTest, AnswersAreThoseOfASearchThroughEverything) {
  for (uint32_t seed = 1; seed <= 24; ++seed) {
    const ReferenceSegment segment = RandomSegment(seed, 1 + 2 * static_cast<int>(seed));
    for (const int64_t interval_bytes : {0, 200, 1000, 1'000'000}) {
      for (const size_t batches_per_append : {1U, 2U, 5U}) {
        SCOPED_TRACE(::testing::Message() << "seed " << seed << ", an entry after " << interval_bytes << " bytes, "
                                          << batches_per_append << " batches an append");
        const auto open = Open(segment, segment.MakeIndexes(interval_bytes, batches_per_append));
        ASSERT_NE(open, nullptr);
        ExpectAllOffsetsFound(*open, segment);
        ExpectAllTimesFound(*open, segment, SomeOffsets(segment));
        EXPECT_FALSE(open->judged());
        if (HasFailure()) return;
      }
    }
  }
}

TEST_F(SegmentLookupTest, AScanBeginsAtTheFloorEntryAndCountsItsHeaders) {
  ReferenceSegment segment(10);
  for (int index = 0; index < 6; ++index) segment.Add({.base_offset = 10 + index});
  // An entry for every second batch: offsets 12 and 14.
  const auto open = Open(segment, segment.MakeIndexes(segment.batches()[0].size_bytes, 1));
  ASSERT_EQ(open->offset_entry_count(), 2u);
  struct Case {
    int64_t target;
    OffsetPosition floor;
    int64_t batches_scanned;
  };
  // A waypoint at half of each spares the first header of the two.
  for (const Case& expected :
       {Case{10, {10, 0}, 1}, Case{11, {10, 0}, 1}, Case{12, {12, segment.batches()[2].position}, 1},
        Case{13, {12, segment.batches()[2].position}, 1}, Case{15, {14, segment.batches()[4].position}, 1}}) {
    SCOPED_TRACE(expected.target);
    const auto found = FindBatch(*open, expected.target, open->published());
    ASSERT_TRUE(found.ok() && found->has_value());
    EXPECT_EQ((*found)->floor, expected.floor);
    EXPECT_EQ((*found)->batches_scanned, expected.batches_scanned);
  }
}

// The indexes are hints: whatever bit of them is wrong, every answer stays right.
TEST_F(SegmentLookupTest, AFlippedIndexBitChangesNoAnswer) {
  for (const size_t batches_per_append : {1U, 3U}) {
    const ReferenceSegment segment = RandomSegment(7, 24);
    const ReferenceSegment::Indexes whole = segment.MakeIndexes(400, batches_per_append);
    ASSERT_GE(whole.offsets.size(), 4 * SparseOffsetIndex::kEntryBytes);
    ASSERT_GE(whole.times.size(), 3 * TimeIndex::kEntryBytes);
    for (const bool times : {false, true}) {
      const size_t bit_count = 8 * (times ? whole.times.size() : whole.offsets.size());
      for (size_t bit = 0; bit < bit_count; ++bit) {
        SCOPED_TRACE(::testing::Message() << (times ? ".timeindex" : ".index") << " bit " << bit << ", "
                                          << batches_per_append << " batches an append");
        ReferenceSegment::Indexes flipped = whole;
        (times ? flipped.times : flipped.offsets)[bit / 8] ^= std::byte{1} << (bit % 8);
        const auto open = Open(segment, flipped);
        ASSERT_NE(open, nullptr);
        ExpectAllOffsetsFound(*open, segment);
        ExpectAllTimesFound(*open, segment, {0, segment.base_offset() + 20});
        if (HasFailure()) return;
      }
    }
  }
}

// One timestamp, which is searched for, in many batches, and others that fall back below it between them: by its timestamp
// alone a batch that an entry names is not known to be the first.
ReferenceSegment SegmentOfEqualTimestamps() {
  ReferenceSegment segment(100);
  for (int64_t index = 0; index < 150; ++index) {
    const int64_t fall = index % 3 == 1 ? 1 : 0;
    segment.Add({.base_offset = 100 + index, .timestamps_ms = {995 + 15 * (index / 25) - fall}, .value = "v"});
  }
  return segment;
}

TEST_F(SegmentLookupTest, AFlippedTimeIndexBitChangesNoAnswerAmongEqualTimestamps) {
  const ReferenceSegment segment = SegmentOfEqualTimestamps();
  const ReferenceSegment::Indexes whole = segment.MakeIndexes(700, 1);
  ASSERT_GE(whole.times.size(), 6 * TimeIndex::kEntryBytes);
  for (size_t bit = 0; bit < 8 * whole.times.size(); ++bit) {
    SCOPED_TRACE(bit);
    ReferenceSegment::Indexes flipped = whole;
    flipped.times[bit / 8] ^= std::byte{1} << (bit % 8);
    const auto open = Open(segment, flipped);
    ASSERT_NE(open, nullptr);
    ExpectAllTimesFound(*open, segment, {0, 120});
    ExpectAllTimesFound(*open, segment, {0, 120});  // by entries that were tested
    if (HasFailure()) return;
  }
}

TEST_F(SegmentLookupTest, AnIndexOfZerosOfAnotherSegmentOrCutShortChangesNoAnswer) {
  const ReferenceSegment segment = RandomSegment(11, 30);
  const ReferenceSegment::Indexes whole = segment.MakeIndexes(300, 1);
  const ReferenceSegment::Indexes other = RandomSegment(12, 60).MakeIndexes(100, 1);
  std::vector<ReferenceSegment::Indexes> wrong = {
      {},
      {std::vector<std::byte>(800), std::vector<std::byte>(1200)},
      other,
      {whole.offsets, other.times},
      {other.offsets, whole.times},
      {std::vector<std::byte>(whole.offsets.begin(), whole.offsets.end() - 3),
       std::vector<std::byte>(whole.times.begin(), whole.times.end() - 5)},
  };
  for (size_t number = 0; number < wrong.size(); ++number) {
    SCOPED_TRACE(number);
    const auto open = Open(segment, wrong[number]);
    ASSERT_NE(open, nullptr);
    ExpectAllOffsetsFound(*open, segment);
    ExpectAllTimesFound(*open, segment, SomeOffsets(segment));
  }
}

TEST_F(SegmentLookupTest, MissingIndexFilesChangeNoAnswer) {
  const ReferenceSegment segment = RandomSegment(13, 30);
  testing_support::WriteSegmentFiles(memory_.get(), kDirectory, segment, {});
  for (const SegmentFileKind kind : {SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex}) {
    VARVE_ASSERT_OK(memory_->Remove(testing_support::SegmentPath(kDirectory, segment.base_offset(), kind)));
  }
  VARVE_ASSERT_OK_AND_ASSIGN(const auto open,
                             OpenSegment::OpenSealed(memory_, kDirectory, segment.base_offset(), segment.end(), {}));
  ExpectAllOffsetsFound(*open, segment);
  ExpectAllTimesFound(*open, segment, SomeOffsets(segment));
}

TEST_F(SegmentLookupTest, TheLargestTimestampIsRightWhateverTheTimeIndexSays) {
  const ReferenceSegment segment = RandomSegment(13, 30);
  TimestampOffset expected;
  for (const ReferenceSegment::Batch& batch : segment.batches()) {
    if (batch.max_timestamp_ms > expected.timestamp_ms) expected = {batch.max_timestamp_ms, batch.last_offset};
  }
  testing_support::WriteSegmentFiles(memory_.get(), kDirectory, segment, {});
  const std::string path = testing_support::SegmentPath(kDirectory, segment.base_offset(), SegmentFileKind::kTimeIndex);
  const auto entry = [&](int64_t timestamp_ms, int64_t offset) {
    std::vector<std::byte> bytes(TimeIndex::kEntryBytes);
    StoreBigEndian<int64_t>(bytes.data(), timestamp_ms);
    StoreBigEndian<int32_t>(bytes.data() + 8, static_cast<int32_t>(offset - segment.base_offset()));
    return bytes;
  };
  const ReferenceSegment::Batch& first = segment.batches().front();
  for (const std::vector<std::byte>& bytes : {
           std::vector<std::byte>{},                                    // lost
           std::vector<std::byte>(120),                                 // zeros, as a crash leaves them
           std::vector<std::byte>(7, std::byte{0x55}),                  // no whole entry
           entry(first.max_timestamp_ms, first.last_offset),            // its end lost
           entry(expected.timestamp_ms + 5, expected.offset),           // too late
           entry(expected.timestamp_ms - 5, segment.next_offset() - 1)  // too early, behind the batch that counts
       }) {
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> file, memory_->Open(path, OpenMode::kTruncate));
    VARVE_ASSERT_OK(file->WriteAt(0, bytes));
    VARVE_ASSERT_OK_AND_ASSIGN(const auto open,
                               OpenSegment::OpenSealed(memory_, kDirectory, segment.base_offset(), segment.end(), {}));
    EXPECT_EQ(open->largest_timestamp(), expected) << bytes.size() << " bytes";
  }
}

TEST_F(SegmentLookupTest, BatchAtWalksTheSegment) {
  const ReferenceSegment segment = RandomSegment(3, 20);
  const auto open = Open(segment, segment.MakeIndexes(300, 1));
  int64_t position = 0;
  for (const ReferenceSegment::Batch& batch : segment.batches()) {
    const auto found = BatchAt(*open, position, open->published());
    ExpectSameBatch(found, &batch);
    position += (*found)->size_bytes;
  }
  ExpectSameBatch(BatchAt(*open, position, open->published()), nullptr);
}

TEST_F(SegmentLookupTest, BatchAtRefusesBytesThatAreNoBatch) {
  const ReferenceSegment segment = RandomSegment(3, 3);
  const auto open = Open(segment, {});
  EXPECT_THAT(BatchAt(*open, 5, open->published()), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("position 5")));
  EXPECT_THAT(BatchAt(*open, segment.end().end_position - 3, open->published()), StatusIs(absl::StatusCode::kDataLoss));
}

// Where a run of whole batches ends, by adding up.
PublishedEnd NaiveRun(const ReferenceSegment& segment, size_t first, int64_t max_bytes, PublishedEnd end) {
  const ReferenceSegment::Batch& begin = segment.batches()[first];
  PublishedEnd run{begin.position + begin.size_bytes, begin.last_offset + 1};
  for (size_t index = first + 1; index < segment.batches().size(); ++index) {
    const ReferenceSegment::Batch& batch = segment.batches()[index];
    const int64_t batch_end = batch.position + batch.size_bytes;
    if (batch_end - begin.position > max_bytes || batch_end > end.end_position) break;
    run = {batch_end, batch.last_offset + 1};
  }
  return run;
}

TEST_F(SegmentLookupTest, ARunHoldsWholeBatchesUpToItsLimit) {
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    const ReferenceSegment segment = RandomSegment(100 + seed, 25);
    for (const int64_t interval_bytes : {0, 500, 1'000'000}) {
      const auto open = Open(segment, segment.MakeIndexes(interval_bytes, 1 + seed % 3));
      for (size_t first = 0; first < segment.batches().size(); ++first) {
        const auto found = FindBatch(*open, segment.batches()[first].base_offset, open->published());
        ASSERT_TRUE(found.ok() && found->has_value());
        for (int64_t max_bytes = 0; max_bytes < segment.end().end_position + 200; max_bytes += 61) {
          SCOPED_TRACE(::testing::Message() << "seed " << seed << " interval " << interval_bytes << " first " << first
                                            << " max_bytes " << max_bytes);
          const auto run = EndOfRun(*open, **found, max_bytes, open->published());
          ASSERT_TRUE(run.ok()) << run.status();
          const PublishedEnd expected = NaiveRun(segment, first, max_bytes, open->published());
          ASSERT_EQ(run->end_position, expected.end_position);
          // The next offset may lie in the gap behind the run, never beyond the next batch.
          ASSERT_GE(run->next_offset, expected.next_offset);
          const ReferenceSegment::Batch* next = segment.FindBatch(expected.next_offset);
          ASSERT_LE(run->next_offset, next == nullptr ? segment.next_offset() : next->base_offset);
        }
      }
    }
  }
}

TEST_F(SegmentLookupTest, ARunEndsWhereVisibilityDoes) {
  const ReferenceSegment segment = RandomSegment(5, 10);
  const auto open = Open(segment, segment.MakeIndexes(200, 1));
  for (size_t hidden = 1; hidden < segment.batches().size(); ++hidden) {
    const ReferenceSegment::Batch& first_hidden = segment.batches()[hidden];
    const PublishedEnd end{first_hidden.position, first_hidden.base_offset};
    const auto found = FindBatch(*open, segment.batches()[0].base_offset, end);
    ASSERT_TRUE(found.ok() && found->has_value());
    const auto run = EndOfRun(*open, **found, int64_t{1} << 30, end);
    ASSERT_TRUE(run.ok());
    EXPECT_EQ(run->end_position, first_hidden.position);
    EXPECT_EQ(run->next_offset, first_hidden.base_offset);
  }
}

// Batches 3 and 4 of ten are damaged; batch 9, the last, too.
class DamagedSegmentTest : public SegmentLookupTest {
 protected:
  DamagedSegmentTest() : segment_(100) {
    for (int64_t index = 0; index < 10; ++index) {
      segment_.Add({.base_offset = 100 + 2 * index, .timestamps_ms = {1000 + 10 * index, 1005 + 10 * index}});
    }
    const auto& batches = segment_.batches();
    damage_ = {{.segment = 100,
                .position = batches[3].position,
                .bytes = batches[5].position - batches[3].position,
                .first_offset = 106,
                .last_offset = 109,
                .reason = "checksum of the batch at 106"},
               {.segment = 100,
                .position = batches[9].position,
                .bytes = batches[9].size_bytes,
                .first_offset = 118,
                .last_offset = 119,
                .reason = "zeros"}};
    for (const DamagedRange& range : damage_) {
      std::fill_n(segment_.mutable_log().begin() + range.position, range.bytes, std::byte{0xee});
    }
  }

  ReferenceSegment segment_;
  std::vector<DamagedRange> damage_;
};

TEST_F(DamagedSegmentTest, OffsetsInsideAreDataLossWithTheRangeAllOthersAreServed) {
  for (const int64_t interval_bytes : {0, 150, 1'000'000}) {
    const auto open = Open(segment_, segment_.MakeIndexes(interval_bytes, 1), damage_);
    for (int64_t offset = 100; offset < 120; ++offset) {
      SCOPED_TRACE(::testing::Message() << "interval " << interval_bytes << " offset " << offset);
      const auto found = FindBatch(*open, offset, open->published());
      if (offset >= 106 && offset <= 109) {
        EXPECT_THAT(found, StatusIs(absl::StatusCode::kDataLoss,
                                    AllOf(HasSubstr("offsets 106 to 109"), HasSubstr("checksum of the batch at 106"),
                                          HasSubstr("position " + std::to_string(damage_[0].position)))));
      } else if (offset >= 118) {
        EXPECT_THAT(found, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("offsets 118 to 119")));
      } else {
        ExpectSameBatch(found, segment_.FindBatch(offset));
      }
    }
    ExpectSameBatch(FindBatch(*open, 120, open->published()), nullptr);
  }
}

// What an opening has found is damage still, whatever else a reader meets.
TEST_F(DamagedSegmentTest, DamageThatIsMetIsAddedToWhatIsKnown) {
  segment_.mutable_log()[static_cast<size_t>(segment_.batches()[7].position) + kMagicPosition] ^= std::byte{0x04};
  for (const int64_t interval_bytes : {0, 150}) {
    const auto open = Open(segment_, segment_.MakeIndexes(interval_bytes, 1), damage_);
    EXPECT_THAT(FindBatch(*open, 114, open->published()), StatusIs(absl::StatusCode::kDataLoss));
    ASSERT_EQ(open->damage().size(), 3u);
    EXPECT_EQ(open->damage()[0], damage_[0]);
    EXPECT_EQ(open->damage()[1].first_offset, 114);
    EXPECT_EQ(open->damage()[1].last_offset, 115);
    EXPECT_EQ(open->damage()[2], damage_[1]);
    for (const int64_t offset : {100, 105, 110, 113, 116, 117}) {
      ExpectSameBatch(FindBatch(*open, offset, open->published()), segment_.FindBatch(offset));
    }
  }
}

TEST_F(DamagedSegmentTest, BatchAtStepsOverDamage) {
  const auto open = Open(segment_, {}, damage_);
  ExpectSameBatch(BatchAt(*open, segment_.batches()[3].position, open->published()), &segment_.batches()[5]);
  ExpectSameBatch(BatchAt(*open, segment_.batches()[4].position, open->published()), &segment_.batches()[5]);
  ExpectSameBatch(BatchAt(*open, segment_.batches()[9].position, open->published()), nullptr);
}

TEST_F(DamagedSegmentTest, ARunEndsBeforeDamage) {
  const auto open = Open(segment_, segment_.MakeIndexes(0, 1), damage_);
  struct Case {
    size_t first;
    size_t end;  // the first batch that is not in the run
  };
  for (const Case& expected : {Case{0, 3}, Case{2, 3}, Case{5, 9}, Case{8, 9}}) {
    const ReferenceSegment::Batch& first = segment_.batches()[expected.first];
    const auto found = FindBatch(*open, first.base_offset, open->published());
    ASSERT_TRUE(found.ok() && found->has_value());
    const auto run = EndOfRun(*open, **found, int64_t{1} << 30, open->published());
    ASSERT_TRUE(run.ok());
    EXPECT_EQ(run->end_position, segment_.batches()[expected.end].position);
    EXPECT_EQ(run->next_offset, segment_.batches()[expected.end].base_offset);
  }
}

TEST_F(DamagedSegmentTest, TimeSearchStepsOverDamage) {
  DecodeBuffer scratch;
  for (const int64_t interval_bytes : {0, 1'000'000}) {
    const auto open = Open(segment_, segment_.MakeIndexes(interval_bytes, 1), damage_);
    const auto find = [&](int64_t timestamp_ms, int64_t min_offset) {
      return FindTimestamp(*open, timestamp_ms, min_offset, open->published(), &scratch);
    };
    EXPECT_THAT(find(1025, 0), testing_support::IsOkAndHolds(TimestampOffset{1025, 105}));
    EXPECT_THAT(find(1030, 0), testing_support::IsOkAndHolds(TimestampOffset{1050, 110}));
    EXPECT_THAT(find(0, 107), testing_support::IsOkAndHolds(TimestampOffset{1050, 110}));
    EXPECT_THAT(find(1086, 0), testing_support::IsOkAndHolds(std::nullopt));
    EXPECT_THAT(FindLargestTimestamp(*open, 0, 0, open->published(), &scratch),
                testing_support::IsOkAndHolds(TimestampOffset{1085, 117}));
  }
}

// The header is sound and what follows it is not: no search by time may make up an answer.
TEST_F(SegmentLookupTest, AMalformedRecordEndsATimeSearchWithDataLoss) {
  ReferenceSegment segment(0);
  segment.Add({.base_offset = 0, .timestamps_ms = {10}});
  segment.Add({.base_offset = 1, .timestamps_ms = {20}});
  const std::span<std::byte> second =
      std::span(segment.mutable_log()).subspan(static_cast<size_t>(segment.batches()[1].position));
  second[kBatchHeaderBytes] ^= std::byte{0x01};
  StoreBigEndian(second.data() + kCrcPosition, Crc32c(second.subspan(kAttributesPosition)));
  const auto open = Open(segment, {});
  DecodeBuffer scratch;
  EXPECT_THAT(FindTimestamp(*open, 5, 0, open->published(), &scratch),
              testing_support::IsOkAndHolds(TimestampOffset{10, 0}));
  EXPECT_THAT(FindTimestamp(*open, 15, 0, open->published(), &scratch),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("00000000000000000000.log")));
  EXPECT_THAT(FindLargestTimestamp(*open, 20, 0, open->published(), &scratch),
              testing_support::IsOkAndHolds(std::nullopt));
  EXPECT_THAT(FindLargestTimestamp(*open, 5, 0, open->published(), &scratch),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("00000000000000000000.log")));
}

TEST_F(SegmentLookupTest, TheLargestTimestampAboveABoundIsThatOfTheFirstRecordThatHasIt) {
  ReferenceSegment segment(0);
  segment.Add({.base_offset = 0, .timestamps_ms = {90, 40}});
  segment.Add({.base_offset = 2, .timestamps_ms = {10, 60, 60, 30}});
  segment.Add({.base_offset = 6, .timestamps_ms = {60}});
  const auto open = Open(segment, {});
  DecodeBuffer scratch;
  const auto find = [&](int64_t above_ms, int64_t min_offset) {
    return FindLargestTimestamp(*open, above_ms, min_offset, open->published(), &scratch);
  };
  EXPECT_THAT(find(-1, 0), testing_support::IsOkAndHolds(TimestampOffset{90, 0}));
  EXPECT_THAT(find(-1, 1), testing_support::IsOkAndHolds(TimestampOffset{60, 3}));
  EXPECT_THAT(find(-1, 4), testing_support::IsOkAndHolds(TimestampOffset{60, 4}));
  EXPECT_THAT(find(59, 5), testing_support::IsOkAndHolds(TimestampOffset{60, 6}));
  EXPECT_THAT(find(60, 1), testing_support::IsOkAndHolds(std::nullopt));
  EXPECT_THAT(find(-1, 7), testing_support::IsOkAndHolds(std::nullopt));
}

TEST_F(SegmentLookupTest, AnEmptySegmentHasNothing) {
  const ReferenceSegment segment(5);
  const auto open = Open(segment, {});
  DecodeBuffer scratch;
  EXPECT_THAT(BatchAt(*open, 0, open->published()), testing_support::IsOkAndHolds(::testing::Eq(std::nullopt)));
  EXPECT_THAT(FindTimestamp(*open, 0, 0, open->published(), &scratch), testing_support::IsOkAndHolds(std::nullopt));
  ExpectAllOffsetsFound(*open, segment);
  EXPECT_EQ(open->largest_timestamp(), (TimestampOffset{-1, 5}));
}

TEST_F(SegmentLookupTest, ASegmentShorterThanItsEndIsDataLoss) {
  const ReferenceSegment segment = RandomSegment(2, 3);
  testing_support::WriteSegmentFiles(memory_.get(), kDirectory, segment, {});
  PublishedEnd end = segment.end();
  ++end.end_position;
  EXPECT_THAT(
      OpenSegment::OpenSealed(memory_, kDirectory, segment.base_offset(), end, {}),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("expected at least " + std::to_string(end.end_position) +
                                                      " bytes, found " + std::to_string(end.end_position - 1))));
}

TEST_F(SegmentLookupTest, AnEndBeyondTheReachOfTheOffsetsIsPublishedWithinIt) {
  const ReferenceSegment segment = RandomSegment(2, 30);
  testing_support::WriteSegmentFiles(memory_.get(), kDirectory, segment, {});
  for (const int64_t gap : {(int64_t{1} << 31) + 1, int64_t{1} << 32, int64_t{1} << 40}) {
    PublishedEnd end = segment.end();
    end.next_offset = segment.base_offset() + gap;  // where the next segment begins
    VARVE_ASSERT_OK_AND_ASSIGN(const auto open,
                               OpenSegment::OpenSealed(memory_, kDirectory, segment.base_offset(), end, {}));
    EXPECT_EQ(open->published().end_position, end.end_position);
    EXPECT_EQ(open->published().next_offset, segment.base_offset() + (int64_t{1} << 31));
    ExpectAllOffsetsFound(*open, segment);
  }
}

// A store-and-forward host keeps batches as values. An entry that points at one of those names bytes that look right:
// checksum and all.
TEST_F(SegmentLookupTest, AnEntryThatPointsIntoAValueIsNotBelieved) {
  for (const int embedded_count : {1, 2}) {
    for (const int64_t embedded_offset : {2, 3, 4}) {
      ReferenceSegment segment(0);
      std::string value;
      for (int index = 0; index < embedded_count; ++index) {
        const std::vector<std::byte> inner = MakeBatch({.base_offset = embedded_offset + index});
        value.append(AsText(inner));
      }
      for (int64_t offset = 0; offset < 8; ++offset) segment.Add({.base_offset = offset, .value = value});
      const ReferenceSegment::Batch& outer = segment.batches()[4];
      const std::string_view text = AsText(segment.BytesOf(outer));
      const int64_t inside = outer.position + static_cast<int64_t>(text.find(value));
      for (const int64_t entry_offset : {embedded_offset, int64_t{4}, int64_t{5}}) {
        SCOPED_TRACE(::testing::Message() << embedded_count << " batches from offset " << embedded_offset
                                          << " in the value, entry for " << entry_offset);
        std::vector<std::byte> entry(SparseOffsetIndex::kEntryBytes);
        StoreBigEndian(entry.data(), static_cast<int32_t>(entry_offset));
        StoreBigEndian(entry.data() + 4, static_cast<int32_t>(inside));
        const auto open = Open(segment, {entry, {}});
        ExpectAllOffsetsFound(*open, segment);
        const auto first = FindBatch(*open, 0, open->published());
        ASSERT_TRUE(first.ok() && first->has_value());
        const auto all = EndOfRun(*open, **first, outer.position + outer.size_bytes, open->published());
        ASSERT_TRUE(all.ok());
        EXPECT_EQ(all->end_position, outer.position + outer.size_bytes);
      }
    }
  }
}

}  // namespace
}  // namespace varve::internal
