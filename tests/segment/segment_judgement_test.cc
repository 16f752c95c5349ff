// A segment that was believed unread and is not as its index says: what a reader meets then.
#include "segment/segment_judgement.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "log/bad_sectors.h"
#include "record/batch_format.h"
#include "segment/reference_segment.h"
#include "segment/segment_lookup.h"
#include "support/status_matchers.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::IsOkAndHolds;
using testing_support::ReferenceSegment;
using testing_support::StatusIs;

constexpr char kDirectory[] = "orders-0";
constexpr int64_t kBaseOffset = 100;
constexpr size_t kBatches = 12;
constexpr int64_t kAll = int64_t{1} << 30;

// How often the index has an entry, and for how many batches at once: never, for each batch, for some, and as older
// Kafka wrote them.
struct Entries {
  int64_t interval_bytes;
  size_t batches_per_append;
};
constexpr Entries kEntries[] = {{kAll, 1}, {0, 1}, {150, 1}, {0, 3}};

class SegmentJudgementTest : public ::testing::Test {
 protected:
  SegmentJudgementTest() : segment_(kBaseOffset), faulty_(std::make_shared<FaultyFileSystem>(&memory_)) {
    VARVE_EXPECT_OK(memory_.CreateDirectory(kDirectory));
    for (size_t index = 0; index < kBatches; ++index) {
      const int64_t offset = segment_.next_offset();
      segment_.Add({.base_offset = offset, .timestamps_ms = {10 * offset, 10 * offset + 5}});
    }
  }

  [[nodiscard]] std::byte& ByteOf(size_t batch, size_t position) {
    return segment_.mutable_log()[static_cast<size_t>(segment_.batches()[batch].position) + position];
  }

  std::shared_ptr<const OpenSegment> Open(Entries entries, std::vector<DamagedRange> damage = {}) {
    testing_support::WriteSegmentFiles(&memory_, kDirectory, segment_,
                                       segment_.MakeIndexes(entries.interval_bytes, entries.batches_per_append));
    auto open = OpenSegment::OpenSealed(faulty_, kDirectory, kBaseOffset, segment_.end(), std::move(damage));
    EXPECT_TRUE(open.ok()) << open.status();
    return open.value_or(nullptr);
  }

  void ExpectFound(const OpenSegment& open, int64_t offset) const {
    const auto found = FindBatch(open, offset, open.published());
    ASSERT_TRUE(found.ok() && found->has_value()) << found.status();
    const ReferenceSegment::Batch* const expected = segment_.FindBatch(offset);
    ASSERT_EQ((*found)->position, expected->position);
    ASSERT_EQ((*found)->size_bytes, expected->size_bytes);
    ASSERT_EQ((*found)->base_offset, expected->base_offset);
    ASSERT_EQ((*found)->last_offset, expected->last_offset);
  }

  // Looks for all offsets from `first` on, and then for those before.
  void ExpectOneLost(const OpenSegment& open, size_t bad, int64_t first) const {
    const ReferenceSegment::Batch& lost = segment_.batches()[bad];
    const int64_t count = segment_.next_offset() - kBaseOffset;
    for (int64_t step = 0; step < count; ++step) {
      const int64_t offset = kBaseOffset + (first - kBaseOffset + step) % count;
      SCOPED_TRACE(testing::Message() << "offset " << offset);
      if (lost.base_offset <= offset && offset <= lost.last_offset) {
        EXPECT_THAT(
            FindBatch(open, offset, open.published()),
            StatusIs(absl::StatusCode::kDataLoss, AllOf(HasSubstr("00000000000000000100.log"),
                                                        HasSubstr("position " + std::to_string(lost.position)))));
      } else {
        ASSERT_NO_FATAL_FAILURE(ExpectFound(open, offset));
      }
    }
    ASSERT_EQ(open.damage().size(), 1u);
    EXPECT_EQ(open.damage()[0].position, lost.position);
    EXPECT_EQ(open.damage()[0].bytes, lost.size_bytes);
    EXPECT_EQ(open.damage()[0].first_offset, lost.base_offset);
    EXPECT_EQ(open.damage()[0].last_offset, lost.last_offset);
  }

  // A byte in the body of a batch.
  [[nodiscard]] uint64_t PositionIn(size_t batch) const {
    return static_cast<uint64_t>(segment_.batches()[batch].position) + kBatchHeaderBytes + 2;
  }

  // Looks for every batch: those of these numbers cannot be had.
  void ExpectLost(const OpenSegment& open, const std::vector<size_t>& lost) const {
    for (size_t number = 0; number < kBatches; ++number) {
      const int64_t offset = segment_.batches()[number].base_offset;
      SCOPED_TRACE(testing::Message() << "offset " << offset);
      if (std::ranges::find(lost, number) == lost.end()) {
        ASSERT_NO_FATAL_FAILURE(ExpectFound(open, offset));
      } else {
        EXPECT_THAT(FindBatch(open, offset, open.published()), StatusIs(absl::StatusCode::kDataLoss));
      }
    }
  }

  MemoryFileSystem memory_;
  ReferenceSegment segment_;
  const std::shared_ptr<FaultyFileSystem> faulty_;
};

struct Change {
  const char* what;
  size_t position;
  uint8_t bits;

  friend std::ostream& operator<<(std::ostream& out, const Change& change) { return out << change.what; }
};

class ChangedHeaderTest : public SegmentJudgementTest, public ::testing::WithParamInterface<Change> {};
INSTANTIATE_TEST_SUITE_P(, ChangedHeaderTest,
                         ::testing::Values(Change{"LengthBeyondTheEnd", kLengthPosition, 0x40},
                                           Change{"LengthBeyondTheBatch", kLengthPosition + 3, 0x40},
                                           Change{"Magic", kMagicPosition, 0x04},
                                           Change{"NegativeLastOffsetDelta", kLastOffsetDeltaPosition, 0x80},
                                           Change{"LastOffsetOfTheBatchBehind", kLastOffsetDeltaPosition + 3, 0x02},
                                           Change{"NegativeBaseOffset", kBaseOffsetPosition, 0x80},
                                           Change{"BaseOffsetFarAhead", kBaseOffsetPosition + 2, 0x01},
                                           Change{"BaseOffsetOfTheBatchBefore", kBaseOffsetPosition + 7, 0x04},
                                           Change{"OneOffsetFurtherUp", kBaseOffsetPosition + 7, 0x01},
                                           Change{"BaseOffsetOfTheBatchBehind", kBaseOffsetPosition + 7, 0x02},
                                           Change{"Payload", kBatchHeaderBytes + 3, 0x10}),
                         [](const auto& param) { return std::string(param.param.what); });

// A header that has changed since the segment was written, which nobody has read again, leads a search astray: into the
// batch behind, or past it. The offsets of an entry's batch are looked for from the entry before.
TEST_P(ChangedHeaderTest, CostsItsBatchAloneWhateverIsLookedForFirst) {
  constexpr size_t kBad = 6;  // of offsets 112 and 113
  ByteOf(kBad, GetParam().position) ^= std::byte{GetParam().bits};
  for (const Entries& entries : kEntries) {
    for (int64_t first = kBaseOffset; first < segment_.next_offset(); ++first) {
      SCOPED_TRACE(testing::Message() << "an entry after " << entries.interval_bytes << " bytes of "
                                      << entries.batches_per_append << " batches, from " << first << " on");
      const auto open = Open(entries);
      ASSERT_NO_FATAL_FAILURE(ExpectOneLost(*open, kBad, first));
    }
  }
}

// Who reads a run goes by its headers, which checksums do not cover: none is handed out untested.
TEST_P(ChangedHeaderTest, EndsARunBeforeItsBatch) {
  constexpr size_t kBad = 6;
  ByteOf(kBad, GetParam().position) ^= std::byte{GetParam().bits};
  for (const Entries& entries : kEntries) {
    for (const size_t first : {0U, 1U, 5U, 7U}) {
      const auto open = Open(entries);
      const auto found = FindBatch(*open, segment_.batches()[first].base_offset, open->published());
      ASSERT_TRUE(found.ok() && found->has_value()) << found.status();
      VARVE_ASSERT_OK_AND_ASSIGN(const PublishedEnd run, EndOfRun(*open, **found, kAll, open->published()));
      const ReferenceSegment::Batch& bad = segment_.batches()[kBad];
      EXPECT_EQ(run, first < kBad ? (PublishedEnd{bad.position, bad.base_offset}) : segment_.end());
    }
  }
}

// One bit of a length leads over the next batch to the one behind, and the headers alone show a row that rises.
TEST_F(SegmentJudgementTest, ABatchThatALengthLeadsOverIsNotLost) {
  for (size_t bad = 0; bad < kBatches - 1; ++bad) {
    const int64_t size_bytes = segment_.batches()[bad].size_bytes;
    const auto length = static_cast<uint8_t>(size_bytes - static_cast<int64_t>(kLogOverheadBytes));
    const auto of_two = static_cast<uint8_t>(length + segment_.batches()[bad + 1].size_bytes);
    ByteOf(bad, kLengthPosition + 3) = std::byte{of_two};
    for (const Entries& entries : kEntries) {
      SCOPED_TRACE(testing::Message() << "batch " << bad << ", an entry after " << entries.interval_bytes << " bytes");
      const auto open = Open(entries);
      ASSERT_NO_FATAL_FAILURE(ExpectOneLost(*open, bad, segment_.batches()[bad].base_offset));
    }
    ByteOf(bad, kLengthPosition + 3) = std::byte{length};
  }
}

TEST_F(SegmentJudgementTest, ManyReadersMeetItAtOnce) {
  constexpr size_t kBad = 6;
  ByteOf(kBad, kMagicPosition) ^= std::byte{0x04};
  for (const Entries& entries : kEntries) {
    const auto open = Open(entries);
    std::vector<std::thread> readers;
    for (int64_t reader = 0; reader < 4; ++reader) {
      readers.emplace_back([&, reader] { ExpectOneLost(*open, kBad, kBaseOffset + 5 * reader); });
    }
    for (std::thread& reader : readers) reader.join();
  }
}

// The damage right behind that which an opening has found is one with it.
TEST_F(SegmentJudgementTest, KnownDamageGrowsByWhatIsMetBesideIt) {
  const ReferenceSegment::Batch& known = segment_.batches()[5];
  const std::vector<DamagedRange> damage = {{.segment = kBaseOffset,
                                             .position = known.position,
                                             .bytes = known.size_bytes,
                                             .first_offset = known.base_offset,
                                             .last_offset = known.last_offset,
                                             .reason = "known"}};
  std::fill_n(segment_.mutable_log().begin() + known.position, known.size_bytes, std::byte{0xee});
  ByteOf(6, kBatchHeaderBytes + 3) ^= std::byte{0x10};
  for (const Entries& entries : kEntries) {
    const auto open = Open(entries, damage);
    EXPECT_THAT(FindBatch(*open, 112, open->published()), StatusIs(absl::StatusCode::kDataLoss));
    for (const int64_t offset : {100, 109, 114, 123}) ASSERT_NO_FATAL_FAILURE(ExpectFound(*open, offset));
    for (int64_t offset = 110; offset < 114; ++offset) {
      EXPECT_THAT(FindBatch(*open, offset, open->published()), StatusIs(absl::StatusCode::kDataLoss));
    }
    EXPECT_EQ(open->damage()[0].position, known.position);
    EXPECT_EQ(open->damage()[0].reason, "known");
  }
}

// A bad sector is an error of populate, where touching it would be a signal. Here the sector can be read after all.
TEST_F(SegmentJudgementTest, WhatCannotBeMadePresentIsReadByCalls) {
  for (const Entries& entries : kEntries) {
    faulty_->AddRule({.operation = FileOperation::kPopulate, .for_ever = true});
    const auto open = Open(entries);
    for (int64_t offset = kBaseOffset; offset < segment_.next_offset(); ++offset) {
      ASSERT_NO_FATAL_FAILURE(ExpectFound(*open, offset));
    }
    EXPECT_GT(faulty_->faults_fired(), 0u);
    EXPECT_TRUE(open->damage().empty());
    faulty_->ClearRules();
  }
}

// The device fails for a while: what cannot be read is damage for as long, beside what is damaged and what was known to be.
TEST_F(SegmentJudgementTest, WhatTheDeviceFailedOnIsServedOnceItCanBeRead) {
  constexpr size_t kBad = 6;
  ByteOf(kBad, kMagicPosition) ^= std::byte{0x04};
  const ReferenceSegment::Batch& bad = segment_.batches()[kBad];
  const std::string path = testing_support::SegmentPath(kDirectory, kBaseOffset, SegmentFileKind::kLog);
  for (const Entries& entries : kEntries) {
    faulty_->AddRule({.operation = FileOperation::kPopulate, .for_ever = true});
    faulty_->AddRule({.operation = FileOperation::kRead, .path_part = ".log", .for_ever = true});
    const auto open = Open(entries);
    for (int64_t offset = segment_.next_offset() - 1; offset >= kBaseOffset; --offset) {
      EXPECT_THAT(FindBatch(*open, offset, open->published()), StatusIs(absl::StatusCode::kDataLoss));
    }
    EXPECT_TRUE(open->awaits_device());
    EXPECT_FALSE(open->damage().empty());
    EXPECT_TRUE(open->lasting_damage().empty());
    const uint64_t reads_before = faulty_->operation_count(FileOperation::kRead);
    EXPECT_THAT(FindBatch(*open, kBaseOffset, open->published()), StatusIs(absl::StatusCode::kDataLoss));
    EXPECT_EQ(faulty_->operation_count(FileOperation::kRead), reads_before + 1) << "it tries once";
    faulty_->ClearRules();
    const std::vector<DamagedRange>* const before = &open->damage();
    faulty_->AddRule({.operation = FileOperation::kRead, .nth = 2, .for_ever = true});
    const DamagedRange met = before->front();
    EXPECT_THAT(open->JudgeAgain(met), IsOkAndHolds(false)) << "it fails again";
    EXPECT_EQ(&open->damage(), before);
    faulty_->ClearRules();
    VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo info, memory_.Info(path));
    VARVE_ASSERT_OK(memory_.Rename(path, "orders-0/away"));
    open->ReleaseFile(info.identity);
    EXPECT_THAT(open->JudgeAgain(met), IsOkAndHolds(false)) << "there is nothing to read";
    VARVE_ASSERT_OK(memory_.Rename("orders-0/away", path));
    faulty_->AddRule({.operation = FileOperation::kRead, .nth = 2, .status = absl::ResourceExhaustedError("memory")});
    EXPECT_THAT(FindBatch(*open, kBaseOffset, open->published()), StatusIs(absl::StatusCode::kResourceExhausted));
    faulty_->ClearRules();
    ASSERT_NO_FATAL_FAILURE(ExpectOneLost(*open, kBad, kBaseOffset));
    EXPECT_FALSE(open->awaits_device());
    EXPECT_THAT(open->JudgeAgain(met), IsOkAndHolds(true)) << "it was, meanwhile";
    EXPECT_EQ(open->lasting_damage(), open->damage());
    const uint64_t reads = faulty_->operation_count(FileOperation::kRead);
    EXPECT_THAT(FindBatch(*open, bad.base_offset, open->published()), StatusIs(absl::StatusCode::kDataLoss));
    EXPECT_EQ(faulty_->operation_count(FileOperation::kRead), reads) << "it is damaged, and not read again";
  }
}

// Who goes through the batches finds out as well. Each read of the judgement fails, alone or with all that follow.
TEST_F(SegmentJudgementTest, ReadsThatFailLeaveNoDamageBehind) {
  constexpr size_t kBad = 2;
  ByteOf(kBad, kMagicPosition) ^= std::byte{0x04};
  uint64_t most = 0;
  for (const bool for_ever : {false, true}) {
    for (uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(nth);
      faulty_->AddRule({.operation = FileOperation::kPopulate, .for_ever = for_ever});
      const size_t rule =
          faulty_->AddRule({.operation = FileOperation::kRead, .path_part = ".log", .nth = nth, .for_ever = for_ever});
      const auto open = Open({0, 1});
      (void)FindBatch(*open, kBaseOffset, open->published());
      const bool fired = faulty_->faults_fired(rule) > 0;
      faulty_->ClearRules();
      int64_t position = 0;
      for (size_t index = 0; index < kBatches; ++index) {
        if (index == kBad) continue;
        VARVE_ASSERT_OK_AND_ASSIGN(const auto found, BatchAt(*open, position, open->published()));
        ASSERT_TRUE(found.has_value());
        EXPECT_EQ(found->base_offset, segment_.batches()[index].base_offset);
        position = found->position + found->size_bytes;
      }
      EXPECT_EQ(open->damage().size(), 1u);
      most = std::max(most, nth);
      if (!fired) break;
    }
  }
  EXPECT_GT(most, 3u);
}

// Of several bad sectors one may be read again before the others.
TEST_F(SegmentJudgementTest, EachOfSeveralBadSectorsIsServedOnceItCanBeRead) {
  const std::string path = testing_support::SegmentPath(kDirectory, kBaseOffset, SegmentFileKind::kLog);
  segment_ = ReferenceSegment(kBaseOffset);
  const std::string value(9000, 'v');  // a bad sector takes its page with it
  for (size_t number = 0; number < kBatches; ++number) {
    segment_.Add({.base_offset = segment_.next_offset(), .value = value});
  }
  for (const Entries& entries : kEntries) {
    (void)Open(entries);  // writes the files
    const auto bad =
        std::make_shared<testing_support::FileSystemWithBadSectors>(&memory_, path, PositionIn(2), uint64_t{1});
    bad->Add(PositionIn(9), 1);
    bad->LetMap();
    VARVE_ASSERT_OK_AND_ASSIGN(const auto open,
                               OpenSegment::OpenSealed(bad, kDirectory, kBaseOffset, segment_.end(), {}));
    ExpectLost(*open, {2, 9});
    EXPECT_TRUE(open->awaits_device());
    bad->Mend(PositionIn(9));
    ExpectLost(*open, {2});
    EXPECT_TRUE(open->awaits_device());
    bad->Add(PositionIn(9), 1);  // known to be good by now
    ExpectLost(*open, {2});
    bad->Mend(PositionIn(2));
    bad->Mend(PositionIn(9));
    ExpectLost(*open, {});
    EXPECT_FALSE(open->awaits_device());
  }
}

// What an opening has found stays damage until the next one, however it was found.
TEST_F(SegmentJudgementTest, DamageThatWasKnownAwaitsNoDevice) {
  const ReferenceSegment::Batch& known = segment_.batches().back();
  const std::vector<DamagedRange> damage = {{.segment = kBaseOffset,
                                             .position = known.position,
                                             .bytes = known.size_bytes,
                                             .first_offset = known.base_offset,
                                             .last_offset = known.last_offset,
                                             .reason = "known"}};
  const std::string path = testing_support::SegmentPath(kDirectory, kBaseOffset, SegmentFileKind::kLog);
  ByteOf(3, kMagicPosition) ^= std::byte{0x04};
  (void)Open({0, 1});  // writes the files
  testing_support::FileSystemWithBadSectors bad(&memory_, path, static_cast<uint64_t>(known.position) + 10, 1);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto file, bad.Open(path, OpenMode::kRead));
  VARVE_ASSERT_OK_AND_ASSIGN(
      const SegmentJudgement judgement,
      JudgeSegment(*file, kBaseOffset, segment_.end().end_position, segment_.end().next_offset, damage, {}));
  EXPECT_EQ(judgement.damage.size(), 2u);
  EXPECT_TRUE(judgement.unreadable.empty());
  VARVE_ASSERT_OK_AND_ASSIGN(
      const SegmentJudgement unknown,
      JudgeSegment(*file, kBaseOffset, segment_.end().end_position, segment_.end().next_offset, {}, {}));
  EXPECT_EQ(unknown.damage.size(), 2u);
  ASSERT_EQ(unknown.unreadable.size(), 1u);
  EXPECT_EQ(unknown.unreadable[0], unknown.damage[1]);
}

TEST_F(SegmentJudgementTest, AKernelThatCannotPopulateCostsNothing) {
  faulty_->AddRule(
      {.operation = FileOperation::kPopulate, .for_ever = true, .status = absl::UnimplementedError("old kernel")});
  const auto open = Open({0, 1});
  for (int64_t offset = kBaseOffset; offset < segment_.next_offset(); ++offset) {
    ASSERT_NO_FATAL_FAILURE(ExpectFound(*open, offset));
  }
  EXPECT_FALSE(open->judged());
}

// A segment that cannot be read anew is an error where it is not as its index says, not an answer, and only for now.
TEST_F(SegmentJudgementTest, AFileThatCannotBeOpenedCostsItsStretchUntilItCan) {
  constexpr size_t kBad = 6;
  ByteOf(kBad, kMagicPosition) ^= std::byte{0x04};
  const auto open = Open({0, 1});
  const std::string path = testing_support::SegmentPath(kDirectory, kBaseOffset, SegmentFileKind::kLog);
  VARVE_ASSERT_OK(memory_.Rename(path, "orders-0/away"));
  EXPECT_THAT(FindBatch(*open, 112, open->published()),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("the file is gone")));
  EXPECT_THAT(FindTimestamp(*open, 1120, kBaseOffset, open->published(), nullptr),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("the file is gone")));
  EXPECT_FALSE(open->judged());
  for (const int64_t offset : {100, 107, 116, 123}) ASSERT_NO_FATAL_FAILURE(ExpectFound(*open, offset));
  VARVE_ASSERT_OK(memory_.Rename("orders-0/away", path));
  ASSERT_NO_FATAL_FAILURE(ExpectOneLost(*open, kBad, 112));
}

// Two batches in a row of a newer format have good checksums.
TEST_F(SegmentJudgementTest, ASegmentOfAFormatOfTheFutureIsRefusedWhereItIs) {
  ByteOf(5, kMagicPosition) = std::byte{3};
  ByteOf(6, kMagicPosition) = std::byte{3};
  const auto open = Open({0, 1});
  for (int repeated = 0; repeated < 2; ++repeated) {
    const uint64_t reads = faulty_->operation_count(FileOperation::kRead);
    EXPECT_THAT(FindBatch(*open, 112, open->published()),
                StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("magic 2 expected, found 3")));
    EXPECT_EQ(faulty_->operation_count(FileOperation::kRead) > reads, repeated == 0) << "it is read once";
  }
  for (const int64_t offset : {100, 107, 116, 123}) ASSERT_NO_FATAL_FAILURE(ExpectFound(*open, offset));
}

}  // namespace
}  // namespace varve::internal
