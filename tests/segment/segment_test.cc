#include "varve/segment.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "segment/reference_segment.h"
#include "support/status_matchers.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/memory_file_system.h"

namespace varve {
namespace {

using internal::SegmentFileKind;
using internal::SegmentFileName;
using internal::SegmentFileSuffix;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::IsOkAndHolds;
using testing_support::ReferenceSegment;
using testing_support::SegmentPath;
using testing_support::StatusIs;
using testing_support::WriteWholeFile;

constexpr char kDirectory[] = "orders-0";

class SegmentTest : public ::testing::Test {
 protected:
  SegmentTest() : reference_(40) {
    VARVE_EXPECT_OK(memory_.CreateDirectory(kDirectory));
    for (int64_t index = 0; index < 12; ++index) {
      reference_.Add({.base_offset = 40 + 3 * index,
                      .timestamps_ms = {500 + 10 * index, 505 + 10 * index},
                      .value = std::string(90, 'v')});
    }
  }

  void Write() { WriteSegmentFiles(&memory_, kDirectory, reference_, reference_.MakeIndexes(600, 1)); }
  void WriteLog(std::span<const std::byte> bytes) {
    WriteWholeFile(&memory_, SegmentPath(kDirectory, 40, SegmentFileKind::kLog), bytes);
  }
  absl::StatusOr<Segment> Open() { return Segment::Open(&memory_, kDirectory, 40); }

  MemoryFileSystem memory_;
  ReferenceSegment reference_;
};

TEST_F(SegmentTest, TellsWhatItHolds) {
  Write();
  VARVE_ASSERT_OK_AND_ASSIGN(const Segment segment, Open());
  EXPECT_EQ(segment.base_offset(), 40);
  EXPECT_EQ(segment.file_bytes(), reference_.end().end_position);
  EXPECT_EQ(segment.valid_bytes(), reference_.end().end_position);
  EXPECT_EQ(segment.next_offset(), reference_.next_offset());
  EXPECT_EQ(segment.largest_timestamp(), (TimestampOffset{615, 74}));
}

TEST_F(SegmentTest, FindsOffsetsTimestampsAndBatches) {
  Write();
  VARVE_ASSERT_OK_AND_ASSIGN(const Segment segment, Open());
  for (int64_t offset = 38; offset < reference_.next_offset(); ++offset) {
    const auto found = segment.FindOffset(offset);
    ASSERT_TRUE(found.ok() && found->has_value());
    const ReferenceSegment::Batch* expected = reference_.FindBatch(offset);
    EXPECT_EQ((*found)->segment, 40);
    EXPECT_EQ((*found)->position, expected->position);
    EXPECT_EQ((*found)->size_bytes, expected->size_bytes);
    EXPECT_EQ((*found)->base_offset, expected->base_offset);
    EXPECT_EQ((*found)->last_offset, expected->last_offset);
    const auto batch = segment.BatchAt((*found)->position);
    ASSERT_TRUE(batch.ok() && batch->has_value());
    EXPECT_EQ((*batch)->base_offset(), expected->base_offset);
    EXPECT_TRUE((*batch)->CrcMatches());
  }
  const auto behind = segment.FindOffset(reference_.next_offset());
  ASSERT_TRUE(behind.ok());
  EXPECT_FALSE(behind->has_value());
  const auto at_end = segment.BatchAt(segment.valid_bytes());
  ASSERT_TRUE(at_end.ok());
  EXPECT_FALSE(at_end->has_value());
  EXPECT_THAT(segment.FindTimestamp(505), IsOkAndHolds(TimestampOffset{505, 41}));
  EXPECT_THAT(segment.FindTimestamp(505, 42), IsOkAndHolds(TimestampOffset{510, 43}));
  EXPECT_THAT(segment.FindTimestamp(616), IsOkAndHolds(std::nullopt));
}

// A file that ends anywhere in its last batch holds the batches before, with indexes that know more or nothing.
TEST_F(SegmentTest, ATornBatchIsNotPartOfIt) {
  const ReferenceSegment::Batch& last = reference_.batches().back();
  for (const int64_t interval_bytes : {0, 600, 1'000'000}) {
    for (int64_t kept = 0; kept < last.size_bytes; ++kept) {
      SCOPED_TRACE(::testing::Message() << kept << " bytes of the last batch, interval " << interval_bytes);
      WriteSegmentFiles(&memory_, kDirectory, reference_, reference_.MakeIndexes(interval_bytes, 1));
      const int64_t file_bytes = last.position + kept;
      WriteLog(std::span(reference_.log()).first(static_cast<size_t>(file_bytes)));
      VARVE_ASSERT_OK_AND_ASSIGN(const Segment segment, Open());
      ASSERT_EQ(segment.file_bytes(), file_bytes);
      ASSERT_EQ(segment.valid_bytes(), last.position);
      ASSERT_EQ(segment.next_offset(), last.base_offset - 1);
      for (int64_t offset = 40; offset < 80; ++offset) {
        const auto found = segment.FindOffset(offset);
        ASSERT_TRUE(found.ok()) << found.status();
        const ReferenceSegment::Batch* expected = reference_.FindBatch(offset);
        ASSERT_EQ(found->has_value(), expected != nullptr && expected != &last);
        if (found->has_value()) {
          ASSERT_EQ((*found)->position, expected->position);
        }
      }
    }
  }
}

TEST_F(SegmentTest, ZerosAreItsEnd) {
  Write();
  std::vector<std::byte> bytes = reference_.log();
  bytes.resize(bytes.size() + 10'000);
  WriteLog(bytes);
  VARVE_ASSERT_OK_AND_ASSIGN(const Segment segment, Open());
  EXPECT_EQ(segment.file_bytes(), reference_.end().end_position + 10'000);
  EXPECT_EQ(segment.valid_bytes(), reference_.end().end_position);
  EXPECT_EQ(segment.next_offset(), reference_.next_offset());
}

TEST_F(SegmentTest, AnEmptyOrZeroedFileIsAnEmptySegment) {
  for (const size_t size : {0U, 17U, 5000U}) {
    WriteLog(std::vector<std::byte>(size));
    VARVE_ASSERT_OK_AND_ASSIGN(const Segment segment, Open());
    EXPECT_EQ(segment.valid_bytes(), 0);
    EXPECT_EQ(segment.next_offset(), 40);
    EXPECT_EQ(segment.largest_timestamp(), (TimestampOffset{-1, 40}));
    const auto found = segment.FindOffset(40);
    ASSERT_TRUE(found.ok());
    EXPECT_FALSE(found->has_value());
  }
}

TEST_F(SegmentTest, WrongIndexesAreNotUsed) {
  for (const char* what : {"missing", "zeros", "cut"}) {
    SCOPED_TRACE(what);
    Write();
    for (const SegmentFileKind kind : {SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex}) {
      const std::string path = SegmentPath(kDirectory, 40, kind);
      if (what == std::string("missing")) {
        VARVE_ASSERT_OK(memory_.Remove(path));
      } else if (what == std::string("zeros")) {
        WriteWholeFile(&memory_, path, std::vector<std::byte>(4096));
      } else {
        std::vector<std::byte> bytes = testing_support::ReadWholeFile(&memory_, path);
        bytes.pop_back();
        WriteWholeFile(&memory_, path, bytes);
      }
    }
    VARVE_ASSERT_OK_AND_ASSIGN(const Segment segment, Open());
    EXPECT_EQ(segment.valid_bytes(), reference_.end().end_position);
    EXPECT_EQ(segment.next_offset(), reference_.next_offset());
    const auto found = segment.FindOffset(70);
    ASSERT_TRUE(found.ok() && found->has_value());
    EXPECT_EQ((*found)->position, reference_.FindBatch(70)->position);
    EXPECT_EQ((*found)->index_position, 0);
    EXPECT_THAT(segment.FindTimestamp(600), IsOkAndHolds(TimestampOffset{600, 70}));
  }
}

// An index whose last entry leads astray must not hide the batches behind, nor invent an end.
TEST_F(SegmentTest, ALastIndexEntryThatIsWrongDoesNotMoveTheEnd) {
  const std::vector<std::byte> whole = reference_.MakeIndexes(600, 1).offsets;
  for (size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    SCOPED_TRACE(bit);
    ReferenceSegment::Indexes indexes{whole, {}};
    indexes.offsets[bit / 8] ^= std::byte{1} << (bit % 8);
    WriteSegmentFiles(&memory_, kDirectory, reference_, indexes);
    VARVE_ASSERT_OK_AND_ASSIGN(const Segment segment, Open());
    ASSERT_EQ(segment.valid_bytes(), reference_.end().end_position);
    ASSERT_EQ(segment.next_offset(), reference_.next_offset());
  }
}

TEST_F(SegmentTest, BatchesOfMagic0And1AreRefusedByName) {
  for (const std::byte magic : {std::byte{0}, std::byte{1}}) {
    std::vector<std::byte> bytes = reference_.log();
    bytes[16] = magic;
    WriteLog(bytes);
    EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("00000000000000000040.log")));
  }
}

TEST_F(SegmentTest, NoLogNoSegment) {
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kNotFound, HasSubstr("00000000000000000040.log")));
  EXPECT_THAT(Segment::List(&memory_, "absent-0"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(SegmentTest, ListsOnlyLogsInUse) {
  for (const std::string& name :
       {SegmentFileName(300, SegmentFileKind::kLog), SegmentFileName(5, SegmentFileKind::kLog),
        SegmentFileName(5, SegmentFileKind::kOffsetIndex), SegmentFileName(7, SegmentFileKind::kTimeIndex),
        SegmentFileName(9, SegmentFileKind::kLog, SegmentFileSuffix::kDeleted),
        SegmentFileName(11, SegmentFileKind::kLog, SegmentFileSuffix::kSwap),
        SegmentFileName(12, SegmentFileKind::kLog, SegmentFileSuffix::kCleaned), std::string("12.log"),
        std::string("varve.state")}) {
    WriteWholeFile(&memory_, std::string(kDirectory) + "/" + name, {});
  }
  EXPECT_THAT(Segment::List(&memory_, kDirectory), IsOkAndHolds(ElementsAre(5, 300)));
}

TEST_F(SegmentTest, ItStaysAsItWasWhenItsFilesGo) {
  Write();
  VARVE_ASSERT_OK_AND_ASSIGN(const Segment segment, Open());
  const Segment copy = segment;
  for (const SegmentFileKind kind :
       {SegmentFileKind::kLog, SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex}) {
    VARVE_ASSERT_OK(memory_.Remove(SegmentPath(kDirectory, 40, kind)));
  }
  for (int64_t offset = 40; offset < reference_.next_offset(); ++offset) {
    const auto found = copy.FindOffset(offset);
    ASSERT_TRUE(found.ok() && found->has_value());
    const auto batch = copy.BatchAt((*found)->position);
    ASSERT_TRUE(batch.ok() && batch->has_value());
    EXPECT_TRUE((*batch)->CrcMatches());
  }
}

// Opening fails as the system does; indexes alone may fail unseen.
TEST_F(SegmentTest, EveryFailingOperationIsAnErrorOrCostsAnIndex) {
  Write();
  int failed = 0;
  int survived = 0;
  for (uint64_t nth = 1;; ++nth) {
    FaultyFileSystem faulty(&memory_);
    faulty.AddRule({.nth = nth, .status = absl::InternalError("injected")});
    const auto segment = Segment::Open(&faulty, kDirectory, 40);
    if (faulty.faults_fired() == 0) break;
    if (!segment.ok()) {
      EXPECT_THAT(segment, StatusIs(absl::StatusCode::kInternal, HasSubstr("injected")));
      ++failed;
      continue;
    }
    ++survived;
    EXPECT_EQ(segment->next_offset(), reference_.next_offset());
    const auto found = segment->FindOffset(70);
    ASSERT_TRUE(found.ok() && found->has_value());
    EXPECT_EQ((*found)->position, reference_.FindBatch(70)->position);
  }
  EXPECT_GT(failed, 3);
  EXPECT_GT(survived, 3);
}

}  // namespace
}  // namespace varve
