// One writer and several readers on the builders: to be run under a thread sanitizer as well.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "support/own_processor.h"
#include "varve/sparse_offset_index.h"
#include "varve/time_index.h"

namespace varve {
namespace {

using testing_support::RunOnProcessor;

constexpr int64_t kEntryCount = 20000;  // nine chunks
constexpr int kReaderCount = 3;

// Runs `read` in several threads while `write` runs here; readers begin before the first entry and see the last.
template <typename Write, typename Read>
void RunTogether(Write write, Read read) {
  std::atomic<bool> done = false;
  std::atomic<int> running = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < kReaderCount; ++i) {
    readers.emplace_back([&] {
      running.fetch_add(1);
      while (!done.load(std::memory_order_relaxed)) read();
      read();
    });
  }
  while (running.load() < kReaderCount) std::this_thread::yield();
  write();
  done.store(true, std::memory_order_relaxed);
  for (std::thread& reader : readers) reader.join();
}

// Entry i is (2 * (i + 1), 10 * (i + 1)), so that any answer can be checked by itself.
TEST(IndexConcurrencyTest, OffsetReadersSeeWholePublishedEntries) {
  SparseOffsetIndexBuilder builder(0, kEntryCount * 8);
  std::atomic<int64_t> mistakes = 0;
  RunTogether(
      [&] {
        for (int64_t i = 1; i <= kEntryCount; ++i) {
          if (!builder.Append(2 * i, 10 * i).ok()) mistakes.fetch_add(1);
        }
      },
      [&] {
        const auto published = static_cast<int64_t>(builder.entry_count());
        for (int64_t i = 1; i <= published; i = i * 3 + 1) {
          const OffsetPosition expected{2 * i, 10 * i};
          if (builder.entry(static_cast<size_t>(i - 1)) != expected) mistakes.fetch_add(1);
          if (builder.Floor(2 * i + 1) != expected) mistakes.fetch_add(1);
          const OffsetBracket bracket = builder.FloorAndNext(2 * i);
          if (bracket.floor != expected) mistakes.fetch_add(1);
          if (bracket.next.has_value() && *bracket.next != (OffsetPosition{2 * i + 2, 10 * i + 10}))
            mistakes.fetch_add(1);
        }
        const OffsetPosition last = builder.last_entry();
        if (last.position != last.offset * 5 || last.offset < 2 * published) mistakes.fetch_add(1);
      });
  EXPECT_EQ(mistakes.load(), 0);
  EXPECT_EQ(builder.entry_count(), static_cast<size_t>(kEntryCount));
}

TEST(IndexConcurrencyTest, TimeReadersSeeWholePublishedEntries) {
  TimeIndexBuilder builder(0, (kEntryCount + 1) * 12);
  std::atomic<int64_t> mistakes = 0;
  RunTogether(
      [&] {
        for (int64_t i = 1; i <= kEntryCount; ++i) {
          if (!builder.MaybeAppend(2 * i, 3 * i).ok()) mistakes.fetch_add(1);
        }
      },
      [&] {
        const auto published = static_cast<int64_t>(builder.entry_count());
        for (int64_t i = 1; i <= published; i = i * 3 + 1) {
          const TimestampOffset expected{2 * i, 3 * i};
          if (builder.entry(static_cast<size_t>(i - 1)) != expected) mistakes.fetch_add(1);
          if (builder.Floor(2 * i + 1) != expected) mistakes.fetch_add(1);
        }
        const TimestampOffset last = builder.last_entry();
        const bool empty = last == TimestampOffset{-1, 0};
        if (!empty && last.timestamp_ms * 3 != last.offset * 2) mistakes.fetch_add(1);
      });
  EXPECT_EQ(mistakes.load(), 0);
  EXPECT_EQ(builder.entry_count(), static_cast<size_t>(kEntryCount));
}

// Entry i is (i + 1, 2 * (i + 1)). The reader looks at nothing but the newest entry, so that it comes upon one that is
// counted before it is whole.
TEST(IndexConcurrencyTest, TheNewestEntryIsWholeOnceItIsCounted) {
  constexpr int64_t kNewestCount = 1'000'000;
  SparseOffsetIndexBuilder builder(0, kNewestCount * 8);
  std::atomic<int64_t> mistakes = 0;
  std::atomic<bool> reading = false;
  std::thread reader([&] {
    RunOnProcessor(0);
    for (int64_t seen = 0; seen < kNewestCount && mistakes.load() == 0; reading.store(true)) {
      const OffsetPosition last = builder.last_entry();
      if (last.offset < seen || last.position != 2 * last.offset) mistakes.fetch_add(1);
      seen = last.offset;
    }
  });
  std::thread writer([&] {
    RunOnProcessor(1);
    while (!reading.load()) std::this_thread::yield();
    for (int64_t offset = 1; offset <= kNewestCount; ++offset) {
      if (!builder.Append(offset, 2 * offset).ok()) mistakes.fetch_add(1);
    }
  });
  reader.join();
  writer.join();
  EXPECT_EQ(mistakes.load(), 0);
}

}  // namespace
}  // namespace varve
