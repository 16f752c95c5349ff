// What is committed to the active segment but not published shows nowhere: not in lookups, not in the index entries
// that lead them, not in the largest timestamp. And what a reader that holds an older end finds is not spoiled by what
// was published since.
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "segment/active_segment.h"
#include "segment/reference_segment.h"
#include "segment/segment_lookup.h"
#include "support/status_matchers.h"
#include "varve/testing/manual_clock.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {
namespace {

using testing_support::MakeBatch;
using testing_support::SummaryOf;

constexpr int64_t kFirstMs = 1'000;

// An index entry for every batch but the first; the record at offset n has the timestamp kFirstMs + n.
class UnpublishedTest : public ::testing::Test {
 protected:
  UnpublishedTest() {
    VARVE_EXPECT_OK(memory_->CreateDirectory("orders-0"));
    auto active = ActiveSegment::Create({.file_system = memory_,
                                         .clock = &clock_,
                                         .directory = "orders-0",
                                         .segment_bytes = 4 << 20,
                                         .segment_index_bytes = 1 << 20,
                                         .index_interval_bytes = 0},
                                        0);
    EXPECT_TRUE(active.ok()) << active.status();
    active_ = *std::move(active);
  }

  void CommitBatches(int64_t count) {
    for (int64_t number = 0; number < count; ++number) {
      const int64_t offset = active_->end().next_offset;
      const std::vector<std::byte> bytes = MakeBatch({.base_offset = offset, .timestamps_ms = {kFirstMs + offset}});
      VARVE_ASSERT_OK(active_->Append(bytes, SummaryOf(bytes), /*durable_acks=*/false));
    }
  }
  void PublishBatches(int64_t count) {
    CommitBatches(count);
    active_->Publish();
  }

  // Every lookup below `end`, and at it, is answered, and by the index: no scan passes more than two headers.
  void ExpectLookups(PublishedEnd end) {
    const OpenSegment& open = *active_->open();
    DecodeBuffer scratch;
    for (int64_t offset = 0; offset < end.next_offset + 10; ++offset) {
      SCOPED_TRACE(offset);
      const auto found = FindBatch(open, offset, end);
      const auto by_time = FindTimestamp(open, kFirstMs + offset, 0, end, &scratch);
      ASSERT_TRUE(found.ok() && by_time.ok()) << found.status() << by_time.status();
      ASSERT_EQ(found->has_value(), offset < end.next_offset);
      ASSERT_EQ(by_time->has_value(), offset < end.next_offset);
      if (!found->has_value()) continue;
      ASSERT_EQ((*found)->base_offset, offset);
      ASSERT_LE((*found)->batches_scanned, 2);
      ASSERT_EQ(*by_time, (TimestampOffset{kFirstMs + offset, offset}));
      VARVE_ASSERT_OK_AND_ASSIGN(const PublishedEnd run, EndOfRun(open, **found, 4 << 20, end));
      ASSERT_EQ(run, end);
    }
    ASSERT_FALSE(open.judged());
  }

  ManualClock clock_{1'700'000'000'000, 1'000'000'000'000};
  const std::shared_ptr<MemoryFileSystem> memory_ = std::make_shared<MemoryFileSystem>();
  std::unique_ptr<ActiveSegment> active_;
};

TEST_F(UnpublishedTest, BatchesAreFoundOnceTheyArePublished) {
  PublishBatches(20);
  const PublishedEnd first = active_->open()->published();
  CommitBatches(5);
  EXPECT_EQ(active_->open()->published(), first);
  EXPECT_EQ(active_->open()->largest_timestamp(), (TimestampOffset{kFirstMs + 19, 19}));
  EXPECT_EQ(active_->open()->offset_entry_count(), 19u);
  ExpectLookups(first);
  active_->Publish();
  EXPECT_EQ(active_->open()->largest_timestamp(), (TimestampOffset{kFirstMs + 24, 24}));
  EXPECT_EQ(active_->open()->offset_entry_count(), 24u);
  ExpectLookups(active_->open()->published());
}

TEST_F(UnpublishedTest, AnOlderEndIsServedByTheIndexStill) {
  PublishBatches(20);
  const PublishedEnd older = active_->open()->published();
  PublishBatches(30);
  ExpectLookups(older);
  ExpectLookups(active_->open()->published());
}

TEST_F(UnpublishedTest, WhatIsDiscardedWasNeverThere) {
  PublishBatches(20);
  CommitBatches(5);
  VARVE_ASSERT_OK(active_->Discard());
  EXPECT_EQ(active_->open()->largest_timestamp(), (TimestampOffset{kFirstMs + 19, 19}));
  ExpectLookups(active_->open()->published());
  PublishBatches(5);
  ExpectLookups(active_->open()->published());
  VARVE_ASSERT_OK(active_->Seal());
  EXPECT_EQ(active_->open()->offset_entry_count(), 24u);
}

// Readers ask for what is newest, again and again, while appends of several batches each are published.
TEST_F(UnpublishedTest, LookupsOfTheNewestBesideAppendsFindOnlyWhatIsPublished) {
  const OpenSegment& open = *active_->open();
  PublishBatches(1);
  std::atomic<bool> done{false};
  std::vector<std::thread> readers;
  for (int number = 0; number < 2; ++number) {
    readers.emplace_back([&] {
      DecodeBuffer scratch;
      while (!done.load()) {
        const TimestampOffset largest = open.largest_timestamp();
        const PublishedEnd end = open.published();
        ASSERT_LT(largest.timestamp_ms, kFirstMs + end.next_offset);
        const auto newest = FindTimestamp(open, kFirstMs + end.next_offset - 1, 0, end, &scratch);
        ASSERT_TRUE(newest.ok()) << newest.status();
        ASSERT_EQ(*newest, (TimestampOffset{kFirstMs + end.next_offset - 1, end.next_offset - 1}));
        const auto later = FindTimestamp(open, kFirstMs + end.next_offset, 0, end, &scratch);
        ASSERT_TRUE(later.ok() && !later->has_value()) << later.status();
      }
    });
  }
  for (int append = 0; append < 500; ++append) PublishBatches(10);
  done.store(true);
  for (std::thread& reader : readers) reader.join();
  ExpectLookups(open.published());
}

}  // namespace
}  // namespace varve::internal
