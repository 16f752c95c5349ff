#include "log/segment_list.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "segment/active_segment.h"
#include "segment/reference_segment.h"
#include "segment/segment_lookup.h"
#include "support/status_matchers.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/manual_clock.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {
namespace {

using ::testing::ElementsAre;
using testing_support::ReferenceSegment;
using testing_support::StatusIs;

constexpr char kDirectory[] = "orders-0";

// Sealed segments of ten one-record batches each: 0, 10, 20, ...
class SegmentListTest : public ::testing::Test {
 protected:
  SegmentListTest() : faulty_(std::make_shared<FaultyFileSystem>(&memory_)) {
    VARVE_EXPECT_OK(memory_.CreateDirectory(kDirectory));
  }

  std::shared_ptr<SegmentHandle> Sealed(int64_t base_offset, std::shared_ptr<OpenSegmentCache> cache,
                                        std::vector<DamagedRange> damage = {}) {
    ReferenceSegment segment(base_offset);
    for (int64_t offset = base_offset; offset < base_offset + 10; ++offset) segment.Add({.base_offset = offset});
    testing_support::WriteSegmentFiles(&memory_, kDirectory, segment, segment.MakeIndexes(100, 1));
    return std::make_shared<SegmentHandle>(faulty_, kDirectory, base_offset, segment.end(), std::move(damage),
                                           std::move(cache));
  }

  std::vector<std::shared_ptr<SegmentHandle>> SealedRow(int count, const std::shared_ptr<OpenSegmentCache>& cache) {
    std::vector<std::shared_ptr<SegmentHandle>> handles;
    for (int number = 0; number < count; ++number) handles.push_back(Sealed(10 * number, cache));
    return handles;
  }

  // The segments among `handles` that are there without a file being opened: those the cache keeps.
  std::vector<int64_t> KeptOpen(const std::vector<std::shared_ptr<SegmentHandle>>& handles) {
    std::vector<int64_t> kept;
    faulty_->AddRule(
        {.operation = FileOperation::kOpen, .for_ever = true, .status = absl::InternalError("asked to open")});
    for (const auto& handle : handles) {
      if (handle->Acquire().ok()) kept.push_back(handle->base_offset());
    }
    faulty_->ClearRules();
    return kept;
  }

  static void ExpectServes(const OpenSegment& segment) {
    for (int64_t offset = segment.base_offset(); offset < segment.base_offset() + 10; ++offset) {
      const auto found = FindBatch(segment, offset, segment.published());
      ASSERT_TRUE(found.ok() && found->has_value()) << found.status();
      ASSERT_EQ((*found)->base_offset, offset);
    }
  }

  MemoryFileSystem memory_;
  std::shared_ptr<FaultyFileSystem> faulty_;
};

TEST_F(SegmentListTest, AHandleOpensItsSegmentOnFirstUse) {
  const auto handle = Sealed(10, std::make_shared<OpenSegmentCache>(8));
  EXPECT_EQ(handle->base_offset(), 10);
  EXPECT_EQ(handle->end().next_offset, 20);
  EXPECT_TRUE(handle->damage().empty());
  EXPECT_EQ(faulty_->operation_count(), 0u);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto first, handle->Acquire());
  const uint64_t operations = faulty_->operation_count();
  EXPECT_GT(operations, 0u);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto second, handle->Acquire());
  EXPECT_EQ(first, second);
  EXPECT_EQ(faulty_->operation_count(), operations);
  EXPECT_EQ(handle->end(), first->published());
  ExpectServes(*first);
}

TEST_F(SegmentListTest, AFailedOpenIsTriedAgainAtTheNextUse) {
  const auto handle = Sealed(0, std::make_shared<OpenSegmentCache>(8));
  faulty_->AddRule(
      {.operation = FileOperation::kOpen, .path_part = ".log", .status = absl::ResourceExhaustedError("EMFILE")});
  EXPECT_THAT(handle->Acquire(), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(handle->end().next_offset, 10);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto open, handle->Acquire());
  ExpectServes(*open);
}

TEST_F(SegmentListTest, TheCacheLetsTheOldestGo) {
  const auto cache = std::make_shared<OpenSegmentCache>(3);
  const auto handles = SealedRow(6, cache);
  for (const auto& handle : handles) VARVE_ASSERT_OK(handle->Acquire());
  EXPECT_THAT(KeptOpen(handles), ElementsAre(30, 40, 50));
  // What was let go is opened again, and pushes the next oldest out.
  VARVE_ASSERT_OK_AND_ASSIGN(const auto again, handles[0]->Acquire());
  ExpectServes(*again);
  EXPECT_THAT(KeptOpen(handles), ElementsAre(0, 40, 50));
}

TEST_F(SegmentListTest, AReaderKeepsWhatTheCacheLetsGo) {
  const std::vector<DamagedRange> damage = {{.segment = 0, .position = 70, .bytes = 10, .reason = "test"}};
  const auto cache = std::make_shared<OpenSegmentCache>(1);
  const auto first = Sealed(0, cache);
  const auto damaged = Sealed(10, cache, damage);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto held, first->Acquire());
  const PublishedEnd end = first->end();
  VARVE_ASSERT_OK(damaged->Acquire());
  VARVE_ASSERT_OK_AND_ASSIGN(const auto anew, first->Acquire());
  EXPECT_NE(anew, held);
  ExpectServes(*held);
  ExpectServes(*anew);
  EXPECT_EQ(first->end(), end);
  EXPECT_EQ(damaged->damage(), damage);
  EXPECT_EQ(damaged->end().next_offset, 20);
}

// What a reader could not read is tried again by the next that opens the segment.
TEST_F(SegmentListTest, TheCacheForgetsWhatTheDeviceFailedOn) {
  const auto cache = std::make_shared<OpenSegmentCache>(1);
  const auto first = Sealed(0, cache);
  const auto second = Sealed(10, cache);
  faulty_->AddRule({.operation = FileOperation::kPopulate, .for_ever = true});
  faulty_->AddRule({.operation = FileOperation::kRead, .path_part = ".log", .for_ever = true});
  VARVE_ASSERT_OK_AND_ASSIGN(const auto open, first->Acquire());
  EXPECT_THAT(FindBatch(*open, 5, open->published()), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_FALSE(first->damage().empty());
  EXPECT_TRUE(first->lasting_damage().empty());
  faulty_->ClearRules();
  VARVE_ASSERT_OK(second->Acquire());
  EXPECT_TRUE(first->damage().empty());
  EXPECT_TRUE(first->lasting_damage().empty());
  VARVE_ASSERT_OK_AND_ASSIGN(const auto anew, first->Acquire());
  EXPECT_NE(anew, open);
  ExpectServes(*anew);
}

// What cannot be read may have a larger timestamp; nor is what was read meanwhile remembered.
TEST_F(SegmentListTest, WhileTheDeviceFailsTheLargestTimestampIsNotKnown) {
  const auto cache = std::make_shared<OpenSegmentCache>(8);
  const auto asked = Sealed(0, cache);
  const auto opened = Sealed(10, cache);
  faulty_->AddRule({.operation = FileOperation::kPopulate, .for_ever = true});
  faulty_->AddRule({.operation = FileOperation::kRead, .path_part = ".log", .for_ever = true});
  VARVE_ASSERT_OK_AND_ASSIGN(const auto held, opened->Acquire());
  EXPECT_FALSE(held->knows_largest_timestamp());
  for (const auto& handle : {asked, opened}) {
    EXPECT_THAT(handle->LargestTimestamp(),
                StatusIs(absl::StatusCode::kInternal, ::testing::HasSubstr("its largest timestamp is not known")));
  }
  faulty_->ClearRules();
  for (const auto& handle : {asked, opened}) {
    VARVE_ASSERT_OK_AND_ASSIGN(const TimestampOffset largest, handle->LargestTimestamp());
    EXPECT_EQ(largest.timestamp_ms, 1000);
  }
}

TEST_F(SegmentListTest, AHandleThatIsGoneIsNoneOfTheCachesBusiness) {
  const auto cache = std::make_shared<OpenSegmentCache>(1);
  auto gone = Sealed(0, cache);
  VARVE_ASSERT_OK(gone->Acquire());
  gone.reset();
  const auto next = Sealed(10, cache);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto open, next->Acquire());
  ExpectServes(*open);
}

TEST_F(SegmentListTest, TheActiveSegmentIsOpenUntilItIsSealed) {
  ManualClock clock;
  const ActiveSegmentOptions options{.file_system = faulty_,
                                     .clock = &clock,
                                     .directory = kDirectory,
                                     .segment_bytes = 1 << 20,
                                     .segment_index_bytes = 4096,
                                     .index_interval_bytes = 100};
  VARVE_ASSERT_OK_AND_ASSIGN(const auto active, ActiveSegment::Create(options, 40));
  const auto cache = std::make_shared<OpenSegmentCache>(1);
  const auto handle = std::make_shared<SegmentHandle>(faulty_, kDirectory, active->open(), cache);
  EXPECT_EQ(handle->base_offset(), 40);
  for (int64_t offset = 40; offset < 50; ++offset) {
    const std::vector<std::byte> bytes = testing_support::MakeBatch({.base_offset = offset});
    VARVE_ASSERT_OK(active->Append(bytes, testing_support::SummaryOf(bytes), false));
    active->Publish();
    EXPECT_EQ(handle->end(), active->end());
  }
  const auto others = SealedRow(2, cache);
  for (const auto& other : others) VARVE_ASSERT_OK(other->Acquire());
  VARVE_ASSERT_OK_AND_ASSIGN(const auto open, handle->Acquire());
  EXPECT_EQ(open, active->open());

  VARVE_ASSERT_OK(active->Seal());
  handle->Sealed();
  for (const auto& other : others) VARVE_ASSERT_OK(other->Acquire());  // pushes it out
  EXPECT_EQ(handle->end(), active->end());
  VARVE_ASSERT_OK_AND_ASSIGN(const auto sealed, handle->Acquire());
  EXPECT_NE(sealed, active->open());
  ExpectServes(*sealed);
}

TEST_F(SegmentListTest, FloorIsTheSegmentThatMayHoldAnOffset) {
  const auto cache = std::make_shared<OpenSegmentCache>(8);
  SegmentList::Handles handles;
  for (const int64_t base_offset : {10, 20, 50}) handles.push_back(Sealed(base_offset, cache));
  const SegmentList list(handles);
  EXPECT_EQ(list.size(), 3u);
  EXPECT_EQ(list.Floor(-1), std::nullopt);
  EXPECT_EQ(list.Floor(9), std::nullopt);
  for (int64_t offset = 10; offset < 70; ++offset) {
    EXPECT_EQ(list.Floor(offset), offset < 20 ? 0u : offset < 50 ? 1u : 2u) << offset;
  }
  for (size_t index = 0; index < handles.size(); ++index) {
    EXPECT_EQ(list.at(index), handles[index]);
    EXPECT_EQ(list.base_offset(index), handles[index]->base_offset());
  }
  EXPECT_EQ(SegmentList({}).Floor(5), std::nullopt);
}

class SegmentTableTest : public SegmentListTest {
 protected:
  std::vector<int64_t> Bases() {
    std::vector<int64_t> bases;
    for (const auto& handle : table_.Load().list->handles()) bases.push_back(handle->base_offset());
    return bases;
  }

  SegmentTable table_;
};

TEST_F(SegmentTableTest, EveryChangeIsANewListWithANewNumber) {
  const auto handles = SealedRow(6, std::make_shared<OpenSegmentCache>(8));
  EXPECT_THAT(Bases(), ElementsAre());
  std::vector<SegmentTable::Snapshot> before;
  const auto changed = [&](std::vector<int64_t> expected) {
    EXPECT_EQ(Bases(), expected);
    const SegmentTable::Snapshot now = table_.Load();
    EXPECT_EQ(now.generation, table_.generation());
    if (!before.empty()) {
      EXPECT_GT(now.generation, before.back().generation);
    }
    before.push_back(now);
  };
  changed({});
  table_.ReplaceRange(0, 0, {handles[0], handles[1], handles[2]});
  changed({0, 10, 20});
  table_.ReplaceActive(handles[3]);
  changed({0, 10, 20, 30});
  table_.DropPrefix(1);
  changed({10, 20, 30});
  table_.DropSuffix(1, handles[4]);
  changed({10, 40});
  table_.ReplaceRange(0, 2, {handles[5]});
  changed({50});
  // Whoever holds a list keeps it.
  EXPECT_EQ(before[2].list->size(), 4u);
  EXPECT_EQ(before[2].list->base_offset(3), 30);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto open, before[2].list->at(0)->Acquire());
  ExpectServes(*open);
}

TEST_F(SegmentTableTest, ReadersSeeWholeListsWhileTheyChange) {
  const auto cache = std::make_shared<OpenSegmentCache>(2);
  const auto handles = SealedRow(8, cache);
  table_.ReplaceRange(0, 0, {handles[0]});
  std::atomic<bool> done{false};
  const auto read = [&] {
    uint64_t last = 0;
    while (!done.load()) {
      const SegmentTable::Snapshot snapshot = table_.Load();
      ASSERT_GE(snapshot.generation, last);
      last = snapshot.generation;
      for (size_t index = 0; index < snapshot.list->size(); ++index) {
        ASSERT_EQ(snapshot.list->base_offset(index), snapshot.list->base_offset(0) + 10 * static_cast<int64_t>(index));
        const auto open = snapshot.list->at(index)->Acquire();
        ASSERT_TRUE(open.ok()) << open.status();
        ExpectServes(**open);
      }
    }
  };
  std::thread first(read);
  std::thread second(read);
  for (int round = 0; round < 300; ++round) {
    for (size_t next = 1; next < handles.size(); ++next) {
      table_.ReplaceActive(handles[next]);
      if (next % 3 == 0) table_.DropPrefix(2);
    }
    table_.DropSuffix(0, handles[0]);
  }
  done.store(true);
  first.join();
  second.join();
}

}  // namespace
}  // namespace varve::internal
