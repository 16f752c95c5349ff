#include "varve/time_index.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varve {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();

std::vector<std::byte> Encode(int64_t base_offset, const std::vector<TimestampOffset>& entries) {
  std::vector<std::byte> bytes(entries.size() * TimeIndex::kEntryBytes);
  for (size_t i = 0; i < entries.size(); ++i) {
    std::byte* entry = bytes.data() + i * TimeIndex::kEntryBytes;
    internal::StoreBigEndian<int64_t>(entry, entries[i].timestamp_ms);
    internal::StoreBigEndian<int32_t>(entry + 8, static_cast<int32_t>(entries[i].offset - base_offset));
  }
  return bytes;
}

TimestampOffset ReferenceFloor(int64_t base_offset, const std::vector<TimestampOffset>& entries, int64_t timestamp_ms) {
  TimestampOffset floor{-1, base_offset};
  for (const TimestampOffset& entry : entries) {
    if (entry.timestamp_ms <= timestamp_ms) floor = entry;
  }
  return floor;
}

TEST(TimeIndexTest, LookupsEqualALinearSearch) {
  std::mt19937_64 random(20240229);
  for (const size_t count : {0U, 1U, 2U, 3U, 5U, 8U, 63U, 64U, 65U, 191U, 192U, 193U, 447U, 448U, 449U, 900U}) {
    const int64_t base_offset = 3000000000;
    std::vector<TimestampOffset> entries;
    TimestampOffset last{1700000000000, base_offset};
    TimeIndexBuilder builder(base_offset, 1 << 20);
    for (size_t i = 0; i < count; ++i) {
      last.timestamp_ms += 1 + static_cast<int64_t>(random() % 5);
      last.offset += static_cast<int64_t>(random() % 3);
      entries.push_back(last);
      ASSERT_TRUE(builder.MaybeAppend(last.timestamp_ms, last.offset).ok());
    }
    const std::vector<std::byte> bytes = Encode(base_offset, entries);
    const TimeIndex index(base_offset, bytes);
    EXPECT_TRUE(index.Check(last.offset + 1).ok());
    ASSERT_EQ(index.entry_count(), count);
    ASSERT_EQ(builder.entry_count(), count);
    EXPECT_EQ(index.last_entry(), entries.empty() ? (TimestampOffset{-1, base_offset}) : entries.back());
    EXPECT_EQ(builder.last_entry(), index.last_entry());
    for (int64_t timestamp_ms = 1700000000000 - 2; timestamp_ms <= last.timestamp_ms + 2; ++timestamp_ms) {
      const TimestampOffset expected = ReferenceFloor(base_offset, entries, timestamp_ms);
      ASSERT_EQ(index.Floor(timestamp_ms), expected) << timestamp_ms;
      ASSERT_EQ(builder.Floor(timestamp_ms), expected) << timestamp_ms;
    }
    EXPECT_EQ(index.Floor(std::numeric_limits<int64_t>::max()), index.last_entry());
    EXPECT_EQ(index.Floor(std::numeric_limits<int64_t>::min()), (TimestampOffset{-1, base_offset}));
    std::vector<std::byte> copied(bytes.size());
    builder.CopyTo(0, count, copied.data());
    EXPECT_EQ(copied, bytes);
  }
}

TEST(TimeIndexTest, DefaultIsEmpty) {
  const TimeIndex index;
  EXPECT_EQ(index.Floor(5), (TimestampOffset{-1, 0}));
  EXPECT_EQ(index.FloorIndex(5), std::nullopt);
  EXPECT_TRUE(index.Check(0).ok());
}

// The time entry of case "big-offsets" whose offset is the last one that fits.
TEST(TimeIndexTest, LastRelativeOffsetIsReadAndWritten) {
  TimeIndexBuilder builder(3000000000, 1024);
  ASSERT_TRUE(builder.MaybeAppend(0x18bcfe568f0, 3000000000 + kInt32Max).ok());
  std::vector<std::byte> bytes(12);
  builder.CopyTo(0, 1, bytes.data());
  EXPECT_EQ(internal::AsText(bytes), std::string("\x00\x00\x01\x8b\xcf\xe5\x68\xf0\x7f\xff\xff\xff", 12));
  EXPECT_EQ(TimeIndex(3000000000, bytes).entry(0), (TimestampOffset{0x18bcfe568f0, 3000000000 + kInt32Max}));
}

struct BadIndex {
  const char* name;
  std::vector<TimestampOffset> entries;
  size_t cut_bytes;
  const char* message;
};

TEST(TimeIndexTest, CheckNamesTheFirstBadEntry) {
  const std::vector<BadIndex> cases = {
      {"timestamp repeated",
       {{50, 101}, {50, 102}},
       0,
       "entry 1 at byte 12: expected a timestamp above 50 and an offset of 101 "
       "or more, found timestamp 50 with offset 102"},
      {"timestamp falls", {{50, 101}, {49, 102}}, 0, "found timestamp 49 with offset 102"},
      {"offset falls", {{50, 105}, {51, 104}}, 0, "an offset of 105 or more, found timestamp 51 with offset 104"},
      {"below the base", {{50, 99}}, 0, "entry 0 at byte 0: expected a timestamp above -1 and an offset of 100"},
      {"no timestamp", {{-1, 100}}, 0, "found timestamp -1"},
      {"zeros from the start",
       {{0, 100}, {0, 100}},
       0,
       "entry 1 at byte 12: expected a timestamp above 0 and an offset of 100 or "
       "more, found timestamp 0 with offset 100 (zeros: space that was never written)"},
      {"zeros behind entries", {{50, 105}, {0, 100}}, 0, "found timestamp 0 with offset 100 (zeros"},
      {"beyond the end",
       {{50, 199}, {51, 200}},
       0,
       "entry 1 at byte 12: expected an offset below the segment's end 200, found "
       "200"},
      {"ragged tail", {{50, 101}, {51, 102}}, 1, "expected whole entries of 12 bytes, found 11 bytes behind 1 entries"},
  };
  for (const BadIndex& bad : cases) {
    SCOPED_TRACE(bad.name);
    std::vector<std::byte> bytes = Encode(100, bad.entries);
    bytes.resize(bytes.size() - bad.cut_bytes);
    const absl::Status status = TimeIndex(100, bytes).Check(200);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr(bad.message));
  }
}

TEST(TimeIndexTest, CheckAcceptsOneRecordOf1970) {
  const std::vector<std::byte> bytes = Encode(100, {{0, 100}});
  EXPECT_TRUE(TimeIndex(100, bytes).Check(101).ok());
}

TEST(TimeIndexBuilderTest, FullWithOneSlotLeft) {
  EXPECT_EQ(TimeIndexBuilder(0, 10485760).max_entry_count(), 873813u);
  TimeIndexBuilder builder(0, 80);  // 6 slots
  EXPECT_EQ(builder.max_entry_count(), 6u);
  for (int64_t i = 0; i < 5; ++i) {
    EXPECT_FALSE(builder.full()) << i;
    ASSERT_TRUE(builder.MaybeAppend(100 + i, i).ok());
  }
  EXPECT_TRUE(builder.full());
  ASSERT_TRUE(builder.MaybeAppend(200, 10).ok());
  EXPECT_EQ(builder.entry_count(), 5u);
  ASSERT_TRUE(builder.MaybeAppend(200, 10, /*even_if_full=*/true).ok());
  EXPECT_EQ(builder.entry_count(), 6u);
  EXPECT_EQ(builder.last_entry(), (TimestampOffset{200, 10}));
  // A segment that was closed full, opened and closed again still gets its closing entry.
  ASSERT_TRUE(builder.MaybeAppend(201, 11, /*even_if_full=*/true).ok());
  EXPECT_EQ(builder.last_entry(), (TimestampOffset{201, 11}));
}

TEST(TimeIndexBuilderTest, TinyMaximumsAreAlwaysFull) {
  EXPECT_TRUE(TimeIndexBuilder(0, -1).full());
  EXPECT_TRUE(TimeIndexBuilder(0, 11).full());
  EXPECT_TRUE(TimeIndexBuilder(0, 23).full());
  EXPECT_FALSE(TimeIndexBuilder(0, 24).full());
}

TEST(TimeIndexBuilderTest, EqualTimestampsChangeNothing) {
  TimeIndexBuilder builder(100, 1024);
  ASSERT_TRUE(builder.MaybeAppend(50, 105).ok());
  ASSERT_TRUE(builder.MaybeAppend(50, 110).ok());
  EXPECT_EQ(builder.entry_count(), 1u);
  EXPECT_EQ(builder.last_entry(), (TimestampOffset{50, 105}));
}

TEST(TimeIndexBuilderTest, NoTimestampMakesNoEntry) {
  TimeIndexBuilder builder(100, 1024);
  ASSERT_TRUE(builder.MaybeAppend(-1, 100, /*even_if_full=*/true).ok());
  EXPECT_EQ(builder.entry_count(), 0u);
  ASSERT_TRUE(builder.MaybeAppend(0, 100).ok());
  EXPECT_EQ(builder.entry_count(), 1u);
}

TEST(TimeIndexBuilderTest, RefusesWhatGoesBack) {
  TimeIndexBuilder builder(100, 1024);
  EXPECT_EQ(builder.MaybeAppend(50, 99).code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(builder.MaybeAppend(50, 105).ok());
  const absl::Status time_back = builder.MaybeAppend(49, 106);
  EXPECT_EQ(time_back.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(
      std::string(time_back.message()),
      HasSubstr("time index of segment 100: entry 1 must not be below timestamp 50 and offset 105, got timestamp 49 "
                "with offset 106"));
  EXPECT_EQ(builder.MaybeAppend(51, 104).code(), absl::StatusCode::kInvalidArgument);
  const absl::Status far = builder.MaybeAppend(51, 100 + kInt32Max + 1);
  EXPECT_EQ(far.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(far.message()), HasSubstr("does not fit in 31 bits"));
  EXPECT_EQ(builder.entry_count(), 1u);
}

TEST(TimeIndexBuilderTest, LoadReplacesTheEntries) {
  const std::vector<std::byte> bytes = Encode(40, {{10, 41}, {20, 45}, {30, 49}});
  TimeIndexBuilder builder(40, 24);
  ASSERT_TRUE(builder.MaybeAppend(5, 40).ok());
  ASSERT_TRUE(builder.Load(TimeIndex(40, bytes)).ok());
  EXPECT_EQ(builder.entry_count(), 3u);
  EXPECT_EQ(builder.entry(1), (TimestampOffset{20, 45}));
  ASSERT_TRUE(builder.Load(TimeIndex(40, {})).ok());
  EXPECT_EQ(builder.entry_count(), 0u);
}

TEST(TimeIndexBuilderTest, LoadRefusesAnotherSegmentsIndex) {
  TimeIndexBuilder builder(40, 80);
  ASSERT_TRUE(builder.MaybeAppend(5, 40).ok());
  const absl::Status status = builder.Load(TimeIndex(41, {}));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("segment 40: cannot take the entries of segment 41"));
  EXPECT_EQ(builder.entry_count(), 1u);
}

}  // namespace
}  // namespace varve
