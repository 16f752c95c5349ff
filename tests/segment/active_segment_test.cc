#include "segment/active_segment.h"

#include <atomic>
#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "segment/active_segment_fixture.h"
#include "segment/reference_segment.h"
#include "segment/segment_lookup.h"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/manual_clock.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {
namespace {

using ::testing::HasSubstr;
using testing_support::ActiveSegmentTest;
using testing_support::Append;
using testing_support::BatchSpec;
using testing_support::IsOkAndHolds;
using testing_support::LargeBatch;
using testing_support::MakeBatch;
using testing_support::Put;
using testing_support::ReferenceSegment;
using testing_support::SegmentPath;
using testing_support::StatusIs;

// Where a segment is written: on which file system, and how.
struct Place {
  const char* name;
  bool on_disk;
  bool mapped;
};

constexpr Place kPlaces[] = {{"MemoryMapped", false, true},
                             {"MemoryWrite", false, false},
                             {"DiskMapped", true, true},
                             {"DiskWrite", true, false}};

class ActiveSegmentPlaceTest : public ActiveSegmentTest, public ::testing::WithParamInterface<Place> {
 protected:
  ActiveSegmentPlaceTest() {
    options_.mapped = GetParam().mapped;
    if (!GetParam().on_disk) return;
    options_.file_system = {std::shared_ptr<FileSystem>(), FileSystem::Default()};
    options_.directory = directory_.path();
  }

  testing_support::TemporaryDirectory directory_;
};

INSTANTIATE_TEST_SUITE_P(, ActiveSegmentPlaceTest, ::testing::ValuesIn(kPlaces),
                         [](const auto& param) { return param.param.name; });

TEST_P(ActiveSegmentPlaceTest, SmallAndLargeBatchesInterleave) {
  constexpr auto kLimit = static_cast<int64_t>(ActiveSegment::kWriteThroughBytes);
  std::mt19937 random(17);
  const auto active = Create(100);
  ReferenceSegment expected(100);
  while (expected.end().end_position < 3'000'000) {
    const int64_t offset = expected.next_offset();
    const int64_t timestamp_ms = 1000 + static_cast<int64_t>(random() % 1000);
    std::vector<std::byte> bytes;
    switch (random() % 6) {
      case 0:
        bytes = LargeBatch(offset, kLimit - 1, timestamp_ms);
        break;
      case 1:
        bytes = LargeBatch(offset, kLimit, timestamp_ms);
        break;
      case 2:
        bytes = LargeBatch(offset, kLimit + 1 + static_cast<int64_t>(random() % 100'000), timestamp_ms);
        break;
      default:
        bytes = MakeBatch(
            {.base_offset = offset, .timestamps_ms = {timestamp_ms}, .value = std::string(random() % 2000, 's')});
    }
    VARVE_ASSERT_OK(random() % 2 == 0 ? Put(active.get(), bytes) : Append(active.get(), bytes));
    active->Publish();
    expected.Add(bytes);
    ASSERT_EQ(active->end(), expected.end());
    clock_.AdvanceNs(random() % 3 == 0 ? 200'000'000 : 1000);
  }
  EXPECT_EQ(active->mapped(), GetParam().mapped);
  ExpectReads(*active, expected);
  VARVE_ASSERT_OK(active->Seal());
  ExpectSealedFiles(expected);
  ExpectReads(*active, expected);
}

TEST_P(ActiveSegmentPlaceTest, NothingIsVisibleBeforePublish) {
  const auto active = Create();
  ReferenceSegment expected(0);
  for (int64_t offset = 0; offset < 50; ++offset) {
    const std::vector<std::byte> bytes = MakeBatch({.base_offset = offset, .value = std::string(100, 'v')});
    VARVE_ASSERT_OK(Put(active.get(), bytes));
    EXPECT_EQ(active->open()->published(), expected.end());
    ExpectReads(*active, expected);
    if (offset % 7 == 6) {
      active->Publish();
      expected = ReferenceSegment(0);
      for (int64_t published = 0; published <= offset; ++published) {
        expected.Add({.base_offset = published, .value = std::string(100, 'v')});
      }
      ExpectReads(*active, expected);
    }
  }
}

TEST_P(ActiveSegmentPlaceTest, DiscardLeavesNoTrace) {
  const auto active = Create();
  ReferenceSegment expected(0);
  // Into the empty segment, and again after each published batch.
  for (int64_t offset = 0; offset < 60; ++offset) {
    for (int64_t dropped = 0; dropped < 3; ++dropped) {
      const BatchSpec spec{
          .base_offset = offset + dropped, .timestamps_ms = {9'000'000}, .value = std::string(400, 'd')};
      VARVE_ASSERT_OK(dropped == 2 && offset % 20 == 0 ? Append(active.get(), LargeBatch(offset + dropped, 600'000))
                                                       : Put(active.get(), MakeBatch(spec)));
    }
    ASSERT_THAT(active->Discard(), IsOkAndHolds(true));
    ASSERT_EQ(FileBytes(SegmentFileKind::kLog), expected.log());
    ASSERT_EQ(active->end(), expected.end());
    ASSERT_EQ(active->first_batch_timestamp_ms(), offset == 0 ? std::nullopt : std::optional<int64_t>(1000));
    ASSERT_EQ(active->open()->largest_timestamp().timestamp_ms, offset == 0 ? -1 : 1000 + offset - 1);
    ASSERT_THAT(active->Discard(), IsOkAndHolds(false));  // nothing left to drop

    const std::vector<std::byte> bytes =
        MakeBatch({.base_offset = offset, .timestamps_ms = {1000 + offset}, .value = std::string(200, 'k')});
    VARVE_ASSERT_OK(Put(active.get(), bytes));
    active->Publish();
    expected.Add(bytes);
  }
  ExpectReads(*active, expected);
  VARVE_ASSERT_OK(active->Seal());
  ExpectSealedFiles(expected);
}

TEST_P(ActiveSegmentPlaceTest, ASealedSegmentTakesAppendsAndIsSealedAgain) {
  const auto active = Create();
  ReferenceSegment expected(0);
  for (int round = 0; round < 3; ++round) {
    for (int count = 0; count < 20; ++count) {
      const int64_t offset = expected.next_offset();
      const std::vector<std::byte> bytes =
          MakeBatch({.base_offset = offset, .timestamps_ms = {1000 + offset}, .value = std::string(150, 'v')});
      VARVE_ASSERT_OK(Put(active.get(), bytes));
      active->Publish();
      expected.Add(bytes);
    }
    VARVE_ASSERT_OK(active->Seal());
    VARVE_ASSERT_OK(active->Seal());
    EXPECT_TRUE(FileBytes(SegmentFileKind::kLog) == expected.log());
    ExpectReads(*active, expected);
    // A sealed segment opened by its files serves the same; its time index ends with the largest timestamp.
    VARVE_ASSERT_OK_AND_ASSIGN(
        const auto sealed, OpenSegment::OpenSealed(options_.file_system, options_.directory, 0, expected.end(), {}));
    EXPECT_EQ(sealed->largest_timestamp(),
              (TimestampOffset{1000 + expected.next_offset() - 1, expected.next_offset() - 1}));
    EXPECT_EQ(sealed->offset_entry_count(), active->open()->offset_entry_count());
    for (int64_t offset = 0; offset < expected.next_offset(); ++offset) {
      const auto found = FindBatch(*sealed, offset, sealed->published());
      ASSERT_TRUE(found.ok() && found->has_value());
      ASSERT_EQ((*found)->position, expected.FindBatch(offset)->position);
    }
    EXPECT_FALSE(sealed->judged());
  }
}

// The count since the last entry starts anew, so entries shift; all else goes on (Kafka does the same).
TEST_P(ActiveSegmentPlaceTest, AReopenedSegmentGoesOn) {
  ReferenceSegment expected(50);
  ReferenceSegment::Indexes indexes;
  const auto append_some = [&](ActiveSegment* active) {
    for (int count = 0; count < 9; ++count) {
      const int64_t offset = expected.next_offset();
      const std::vector<std::byte> bytes =
          MakeBatch({.base_offset = offset, .timestamps_ms = {5000 - offset}, .value = std::string(190, 'v')});
      VARVE_ASSERT_OK(Put(active, bytes));
      active->Publish();
      expected.Add(bytes);
    }
    VARVE_ASSERT_OK(active->Seal());
  };
  append_some(Create(50).get());
  indexes = expected.MakeIndexes(options_.index_interval_bytes, 1);
  EXPECT_EQ(FileBytes(SegmentFileKind::kOffsetIndex, 50), indexes.offsets);
  const size_t entry_bytes = indexes.offsets.size();
  clock_.AdvanceMs(5);
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto active, ActiveSegment::Reopen(options_, 50, expected.end(), {}));
    EXPECT_EQ(active->end(), expected.end());
    EXPECT_EQ(active->first_batch_timestamp_ms(), 4950);
    EXPECT_EQ(active->opened_wall_ms(), 1'700'000'000'005);
    EXPECT_EQ(active->open()->largest_timestamp(), (TimestampOffset{4950, 50}));
    ExpectReads(*active, expected);
    append_some(active.get());
    ExpectReads(*active, expected);
  }
  // Nine batches gave the same number of entries again, the first of them at the same distance from the reopening.
  const std::vector<std::byte> offsets = FileBytes(SegmentFileKind::kOffsetIndex, 50);
  ASSERT_EQ(offsets.size(), 2 * entry_bytes);
  const SparseOffsetIndex index(50, offsets);
  VARVE_EXPECT_OK(index.Check(expected.end().end_position));
  const size_t half = index.entry_count() / 2;
  EXPECT_EQ(index.entry(half).offset, index.entry(0).offset + 9);
  EXPECT_EQ(index.entry(half).position, index.entry(0).position + expected.batches()[9].position);
  EXPECT_TRUE(FileBytes(SegmentFileKind::kLog, 50) == expected.log());
}

TEST_F(ActiveSegmentTest, ReopeningWantsExactIndexes) {
  ReferenceSegment segment(0);
  for (int64_t offset = 0; offset < 20; ++offset) segment.Add({.base_offset = offset, .value = std::string(100, 'v')});
  const ReferenceSegment::Indexes indexes = segment.MakeIndexes(512, 1);
  const auto reopen = [&](const ReferenceSegment::Indexes& with) {
    testing_support::WriteSegmentFiles(memory_.get(), "orders-0", segment, with);
    return ActiveSegment::Reopen(options_, 0, segment.end(), {}).status();
  };
  VARVE_EXPECT_OK(reopen(indexes));
  ReferenceSegment::Indexes zeros = indexes;
  zeros.offsets.resize(zeros.offsets.size() + 8);
  EXPECT_THAT(reopen(zeros), StatusIs(absl::StatusCode::kDataLoss));
  zeros = indexes;
  zeros.times.resize(zeros.times.size() + 12);
  EXPECT_THAT(reopen(zeros), StatusIs(absl::StatusCode::kDataLoss));
  for (const SegmentFileKind kind :
       {SegmentFileKind::kLog, SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex}) {
    testing_support::WriteSegmentFiles(memory_.get(), "orders-0", segment, indexes);
    VARVE_ASSERT_OK(memory_->Remove(SegmentPath("orders-0", 0, kind)));
    EXPECT_THAT(ActiveSegment::Reopen(options_, 0, segment.end(), {}),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr(SegmentFileName(0, kind))));
  }
}

TEST_F(ActiveSegmentTest, CreateReplacesWhatHadTheName) {
  for (const SegmentFileKind kind :
       {SegmentFileKind::kLog, SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex}) {
    testing_support::WriteWholeFile(memory_.get(), SegmentPath("orders-0", 7, kind), std::vector<std::byte>(999));
  }
  const auto active = Create(7);
  ReferenceSegment expected(7);
  expected.Add({.base_offset = 7});
  VARVE_ASSERT_OK(Put(active.get(), expected.log()));
  active->Publish();
  VARVE_ASSERT_OK(active->Seal());
  ExpectSealedFiles(expected);
}

// Whatever fails: an error, and no name that a later opening would take for a segment.
TEST_F(ActiveSegmentTest, AFailedCreateLeavesNoNames) {
  for (const bool mapped : {true, false}) {
    for (uint64_t nth = 1;; ++nth) {
      auto faulty = std::make_shared<FaultyFileSystem>(memory_.get());
      faulty->AddRule({.nth = nth, .status = absl::InternalError("injected")});
      options_.file_system = faulty;
      options_.mapped = mapped;
      const absl::Status status = ActiveSegment::Create(options_, 42).status();
      if (faulty->faults_fired() == 0) {
        VARVE_EXPECT_OK(status);
        EXPECT_GT(nth, 4u);  // three opens and a mapping at least
        for (const SegmentFileKind kind :
             {SegmentFileKind::kLog, SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex}) {
          VARVE_ASSERT_OK(memory_->Remove(SegmentPath("orders-0", 42, kind)));
        }
        break;
      }
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kInternal));
      EXPECT_THAT(memory_->List("orders-0"), testing_support::IsOkAndHolds(::testing::IsEmpty()));
    }
  }
}

TEST_F(ActiveSegmentTest, RollRulesAreTold) {
  options_.segment_index_bytes = 24;  // three offset slots, two time slots: one of them for the closing entry
  options_.index_interval_bytes = 0;
  const auto active = Create();
  EXPECT_EQ(active->first_batch_timestamp_ms(), std::nullopt);
  EXPECT_EQ(active->opened_wall_ms(), 1'700'000'000'000);
  VARVE_ASSERT_OK(Put(active.get(), MakeBatch({.base_offset = 0, .timestamps_ms = {30, 70, 10}})));
  EXPECT_EQ(active->first_batch_timestamp_ms(), 70);
  EXPECT_FALSE(active->indexes_full());
  VARVE_ASSERT_OK(Put(active.get(), MakeBatch({.base_offset = 3, .timestamps_ms = {90}})));
  EXPECT_EQ(active->first_batch_timestamp_ms(), 70);
  active->Publish();
  EXPECT_TRUE(active->indexes_full());  // by the one time entry
}

// The first batch may be damaged, or lie on a bad sector: opening goes on without its timestamp, touching no memory.
TEST_F(ActiveSegmentTest, AFirstBatchThatCannotBeReadHasNoTimestamp) {
  auto faulty = std::make_shared<FaultyFileSystem>(memory_.get());
  options_.file_system = faulty;
  PublishedEnd end;
  {
    const auto active = Create();
    VARVE_ASSERT_OK(Put(active.get(), MakeBatch({.base_offset = 0, .timestamps_ms = {70}})));
    active->Publish();
    VARVE_ASSERT_OK(active->Seal());
    end = active->end();
  }
  const auto timestamp = [&](std::vector<DamagedRange> damage) -> std::optional<int64_t> {
    const auto active = ActiveSegment::Reopen(options_, 0, end, std::move(damage));
    EXPECT_TRUE(active.ok()) << active.status();
    return active.ok() ? (*active)->first_batch_timestamp_ms() : -1;
  };
  EXPECT_EQ(timestamp({}), 70);
  EXPECT_EQ(timestamp({{.position = 0, .bytes = end.end_position, .last_offset = 0, .reason = "zeros"}}), std::nullopt);
  for (const std::optional<size_t> partial_bytes : {std::optional<size_t>(), std::optional<size_t>(7)}) {
    faulty->ClearRules();
    const size_t rule = faulty->AddRule({.operation = FileOperation::kRead,
                                         .path_part = ".log",
                                         .status = partial_bytes ? absl::OkStatus() : absl::InternalError("EIO"),
                                         .partial_bytes = partial_bytes});
    EXPECT_EQ(timestamp({}), std::nullopt);
    EXPECT_EQ(faulty->faults_fired(rule), 1u);
  }
}

// Full indexes take no more entries, and the closing time entry finds its place all the same.
TEST_F(ActiveSegmentTest, FullIndexesLeaveEntriesOut) {
  options_.segment_index_bytes = 24;
  options_.index_interval_bytes = 0;
  const auto active = Create();
  ReferenceSegment expected(0);
  for (int64_t offset = 0; offset < 8; ++offset) {
    const std::vector<std::byte> bytes = MakeBatch({.base_offset = offset, .timestamps_ms = {1000 + offset}});
    VARVE_ASSERT_OK(Put(active.get(), bytes));
    expected.Add(bytes);
  }
  active->Publish();
  VARVE_ASSERT_OK(active->Seal());
  EXPECT_EQ(FileBytes(SegmentFileKind::kOffsetIndex).size(), 24u);
  const std::vector<std::byte> times = FileBytes(SegmentFileKind::kTimeIndex);
  EXPECT_EQ(TimeIndex(0, times).last_entry(), (TimestampOffset{1007, 7}));
  EXPECT_EQ(times.size(), 24u);
  ExpectReads(*active, expected);
}

TEST_F(ActiveSegmentTest, IndexEntriesAreWrittenByThePageBeforeTheSeal) {
  options_.index_interval_bytes = 0;
  const auto active = Create();
  for (int64_t offset = 0; offset <= 600; ++offset) {
    VARVE_ASSERT_OK(Put(active.get(), MakeBatch({.base_offset = offset, .timestamps_ms = {1000 + offset}})));
    active->Publish();
    // The first batch has no entry, so the 512th entry is that of batch 512.
    EXPECT_EQ(FileBytes(SegmentFileKind::kOffsetIndex).size(), offset < 512 ? 0u : 512u * 8);
    EXPECT_EQ(FileBytes(SegmentFileKind::kTimeIndex).size(), offset < 512 ? 0u : 512u * 12);
  }
}

// The files of the indexes are hints until the seal: an append does not fail over them.
TEST_F(ActiveSegmentTest, AnIndexWriteThatFailsCostsNothing) {
  auto faulty = std::make_shared<FaultyFileSystem>(memory_.get());
  const size_t offsets = faulty->AddRule({.operation = FileOperation::kWrite, .path_part = ".index"});
  options_.file_system = faulty;
  options_.index_interval_bytes = 0;
  const auto active = Create();
  ReferenceSegment expected(0);
  for (int64_t offset = 0; offset < 1200; ++offset) {
    const std::vector<std::byte> bytes = MakeBatch({.base_offset = offset, .timestamps_ms = {1000 + offset}});
    VARVE_ASSERT_OK(Put(active.get(), bytes));
    active->Publish();
    expected.Add(bytes);
  }
  EXPECT_EQ(faulty->faults_fired(offsets), 1u);
  VARVE_ASSERT_OK(active->Seal());
  ExpectSealedFiles(expected);
}

// The n-th operation of a seal fails; the segment serves on, and the next seal finishes.
TEST_F(ActiveSegmentTest, ASealThatFailsCanBeRepeated) {
  for (const bool mapped : {true, false}) {
    options_.mapped = mapped;
    for (uint64_t nth = 1;; ++nth) {
      auto faulty = std::make_shared<FaultyFileSystem>(memory_.get());
      options_.file_system = faulty;
      const auto active = Create();
      ReferenceSegment expected(0);
      for (int64_t offset = 0; offset < 20; ++offset) {
        const std::vector<std::byte> bytes = MakeBatch({.base_offset = offset, .value = std::string(100, 'v')});
        VARVE_ASSERT_OK(Put(active.get(), bytes));
        expected.Add(bytes);
      }
      active->Publish();
      faulty->AddRule({.nth = nth, .status = absl::ResourceExhaustedError("disk full"), .partial_bytes = 5});
      const absl::Status status = active->Seal();
      if (faulty->faults_fired() == 0) {
        VARVE_EXPECT_OK(status);
        EXPECT_GT(nth, 5u);  // two writes and three truncations
        break;
      }
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted));
      ExpectReads(*active, expected);
      if (nth % 2 == 0) {
        const std::vector<std::byte> bytes = MakeBatch({.base_offset = 20, .value = std::string(100, 'v')});
        VARVE_ASSERT_OK(Put(active.get(), bytes));
        active->Publish();
        expected.Add(bytes);
      }
      VARVE_ASSERT_OK(active->Seal());
      EXPECT_TRUE(FileBytes(SegmentFileKind::kLog) == expected.log());
      const std::vector<std::byte> offsets = FileBytes(SegmentFileKind::kOffsetIndex);
      EXPECT_EQ(offsets, expected.MakeIndexes(512, 1).offsets);
      ExpectReads(*active, expected);
    }
  }
}

TEST_P(ActiveSegmentPlaceTest, ReadersSeeWholeBatchesWhileOneWrites) {
  options_.index_interval_bytes = 100;
  const auto active = Create();
  const std::shared_ptr<const OpenSegment> open = active->open();
  std::atomic<bool> done{false};
  std::atomic<int64_t> lookups{0};
  const auto read = [&](uint32_t seed) {
    std::mt19937 random(seed);
    DecodeBuffer scratch;
    while (!done.load(std::memory_order_relaxed) || lookups.load(std::memory_order_relaxed) < 1000) {
      const PublishedEnd end = open->published();
      if (end.next_offset == 0) continue;
      const int64_t offset = static_cast<int64_t>(random()) % end.next_offset;
      const auto found = FindBatch(*open, offset, end);
      ASSERT_TRUE(found.ok() && found->has_value()) << found.status();
      ASSERT_EQ((*found)->base_offset, offset);
      const RecordBatchView batch(
          std::span(open->log() + (*found)->position, static_cast<size_t>((*found)->size_bytes)));
      ASSERT_TRUE(batch.CrcMatches());
      const auto by_time = FindTimestamp(*open, 1000 + offset, 0, end, &scratch);
      ASSERT_TRUE(by_time.ok()) << by_time.status();
      ASSERT_EQ(*by_time, (TimestampOffset{1000 + offset, offset}));
      lookups.fetch_add(1, std::memory_order_relaxed);
    }
  };
  std::thread first(read, 1);
  std::thread second(read, 2);
  for (int64_t offset = 0; offset < 3000; ++offset) {
    VARVE_EXPECT_OK(Put(active.get(), MakeBatch({.base_offset = offset, .timestamps_ms = {1000 + offset}})));
    active->Publish();
  }
  VARVE_EXPECT_OK(active->Seal());
  done.store(true);
  first.join();
  second.join();
}

}  // namespace
}  // namespace varve::internal
