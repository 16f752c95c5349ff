#include "varve/sparse_offset_index.h"

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

std::vector<std::byte> Encode(int64_t base_offset, const std::vector<OffsetPosition>& entries) {
  std::vector<std::byte> bytes(entries.size() * SparseOffsetIndex::kEntryBytes);
  for (size_t i = 0; i < entries.size(); ++i) {
    std::byte* entry = bytes.data() + i * SparseOffsetIndex::kEntryBytes;
    internal::StoreBigEndian<int32_t>(entry, static_cast<int32_t>(entries[i].offset - base_offset));
    internal::StoreBigEndian<int32_t>(entry + 4, static_cast<int32_t>(entries[i].position));
  }
  return bytes;
}

// What Floor and FloorAndNext must answer, by looking at every entry.
OffsetBracket ReferenceBracket(int64_t base_offset, const std::vector<OffsetPosition>& entries, int64_t target) {
  OffsetBracket bracket{.floor = {base_offset, 0}, .next = std::nullopt};
  for (const OffsetPosition& entry : entries) {
    if (entry.offset <= target) {
      bracket.floor = entry;
    } else {
      bracket.next = entry;
      break;
    }
  }
  return bracket;
}

std::optional<OffsetPosition> ReferenceAtOrAfter(const std::vector<OffsetPosition>& entries, int64_t position) {
  for (const OffsetPosition& entry : entries) {
    if (entry.position >= position) return entry;
  }
  return std::nullopt;
}

std::vector<OffsetPosition> RandomEntries(int64_t base_offset, size_t count, std::mt19937_64& random) {
  std::vector<OffsetPosition> entries;
  OffsetPosition last{base_offset, 0};
  for (size_t i = 0; i < count; ++i) {
    last.offset += 1 + static_cast<int64_t>(random() % 7);
    last.position += 1 + static_cast<int64_t>(random() % 9);
    entries.push_back(last);
  }
  return entries;
}

template <typename Index>
void ExpectLookupsMatchReference(const Index& index, int64_t base_offset, const std::vector<OffsetPosition>& entries) {
  const OffsetPosition last = entries.empty() ? OffsetPosition{base_offset, 0} : entries.back();
  ASSERT_EQ(index.entry_count(), entries.size());
  EXPECT_EQ(index.last_entry(), last);
  for (int64_t target = base_offset - 2; target <= last.offset + 2; ++target) {
    const OffsetBracket expected = ReferenceBracket(base_offset, entries, target);
    ASSERT_EQ(index.Floor(target), expected.floor) << "target " << target << " of " << entries.size() << " entries";
    ASSERT_EQ(index.FloorAndNext(target), expected) << "target " << target << " of " << entries.size() << " entries";
  }
  for (int64_t position = 0; position <= last.position + 1; ++position) {
    ASSERT_EQ(index.FirstAtOrAfterPosition(position), ReferenceAtOrAfter(entries, position)) << "position " << position;
  }
}

// Kafka's own bytes for the first entries of case "plain" (observations, "When an index entry is written").
TEST(SparseOffsetIndexTest, ReadsKafkasExample) {
  const std::string bytes("\x00\x00\x00\x0d\x00\x00\x02\xd7\x00\x00\x00\x14\x00\x00\x05\x13", 16);
  const SparseOffsetIndex index(0, internal::AsBytes(bytes));
  ASSERT_EQ(index.entry_count(), 2u);
  EXPECT_EQ(index.entry(0), (OffsetPosition{13, 727}));
  EXPECT_EQ(index.entry(1), (OffsetPosition{20, 1299}));
  EXPECT_TRUE(index.Check(1300).ok());
}

TEST(SparseOffsetIndexTest, WritesKafkasExample) {
  SparseOffsetIndexBuilder builder(0, 1024);
  ASSERT_TRUE(builder.Append(13, 727).ok());
  ASSERT_TRUE(builder.Append(20, 1299).ok());
  std::vector<std::byte> bytes(16);
  builder.CopyTo(0, 2, bytes.data());
  EXPECT_EQ(internal::AsText(bytes),
            std::string("\x00\x00\x00\x0d\x00\x00\x02\xd7\x00\x00\x00\x14\x00\x00\x05\x13", 16));
}

TEST(SparseOffsetIndexTest, DefaultIsEmpty) {
  const SparseOffsetIndex index;
  EXPECT_EQ(index.entry_count(), 0u);
  EXPECT_EQ(index.Floor(5), (OffsetPosition{0, 0}));
  EXPECT_EQ(index.FloorIndex(5), std::nullopt);
  EXPECT_TRUE(index.Check(0).ok());
}

TEST(SparseOffsetIndexTest, LookupsEqualALinearSearch) {
  std::mt19937_64 random(20240229);
  // Around the sizes of heap chunks (64, 192, 448) and of binary search steps.
  for (const size_t count : {0U,  1U,   2U,   3U,   4U,   5U,   7U,   8U,   9U,   63U,  64U,
                             65U, 127U, 128U, 129U, 191U, 192U, 193U, 447U, 448U, 449U, 1000U}) {
    for (const int64_t base_offset : {int64_t{0}, int64_t{1} << 40}) {
      const std::vector<OffsetPosition> entries = RandomEntries(base_offset, count, random);
      const std::vector<std::byte> bytes = Encode(base_offset, entries);
      const SparseOffsetIndex index(base_offset, bytes);
      ExpectLookupsMatchReference(index, base_offset, entries);

      SparseOffsetIndexBuilder builder(base_offset, 1 << 20);
      for (const OffsetPosition& entry : entries) ASSERT_TRUE(builder.Append(entry.offset, entry.position).ok());
      ExpectLookupsMatchReference(builder, base_offset, entries);

      std::vector<std::byte> copied(bytes.size());
      builder.CopyTo(0, count, copied.data());
      EXPECT_EQ(copied, bytes);
    }
  }
}

TEST(SparseOffsetIndexTest, TargetsBeyond31BitsFindTheLastEntry) {
  const int64_t base_offset = 1099511627781;
  const std::vector<std::byte> bytes = Encode(base_offset, {{base_offset + 9, 100}, {base_offset + kInt32Max, 200}});
  const SparseOffsetIndex index(base_offset, bytes);
  const OffsetPosition last{base_offset + kInt32Max, 200};
  EXPECT_EQ(index.Floor(base_offset + kInt32Max - 1), (OffsetPosition{base_offset + 9, 100}));
  EXPECT_EQ(index.Floor(base_offset + kInt32Max), last);
  EXPECT_EQ(index.Floor(base_offset + kInt32Max + 1), last);
  EXPECT_EQ(index.Floor(std::numeric_limits<int64_t>::max()), last);
  EXPECT_EQ(index.Floor(-1), (OffsetPosition{base_offset, 0}));
}

TEST(SparseOffsetIndexTest, FloorIndexNumbersTheEntries) {
  const std::vector<std::byte> bytes = Encode(10, {{15, 100}, {20, 200}});
  const SparseOffsetIndex index(10, bytes);
  EXPECT_EQ(index.FloorIndex(14), std::nullopt);
  EXPECT_EQ(index.FloorIndex(15), 0u);
  EXPECT_EQ(index.FloorIndex(19), 0u);
  EXPECT_EQ(index.FloorIndex(20), 1u);
}

TEST(SparseOffsetIndexTest, CopiesShareTheBytes) {
  const std::vector<std::byte> bytes = Encode(0, {{5, 100}});
  const SparseOffsetIndex index(0, bytes);
  const SparseOffsetIndex copy = index;
  EXPECT_EQ(copy.bytes().data(), bytes.data());
  EXPECT_EQ(copy.Floor(6), index.Floor(6));
}

struct BadIndex {
  const char* name;
  std::vector<OffsetPosition> entries;
  size_t cut_bytes;
  const char* message;
};

TEST(SparseOffsetIndexTest, CheckNamesTheFirstBadEntry) {
  const std::vector<BadIndex> cases = {
      {"offset repeated", {{105, 10}, {105, 20}}, 0, "entry 1 at byte 8: expected an offset above 105"},
      {"offset falls", {{105, 10}, {104, 20}}, 0, "found offset 104 at position 20"},
      {"position repeated",
       {{105, 10}, {106, 10}},
       0,
       "above 105 and a position above 10, found offset 106 at position 10"},
      {"position falls", {{105, 10}, {106, 9}}, 0, "entry 1"},
      {"below the base", {{99, 10}}, 0, "entry 0 at byte 0: expected an offset above 100"},
      {"negative position", {{105, -4}}, 0, "found offset 105 at position -4"},
      {"first batch indexed", {{105, 0}}, 0, "a position above 0"},
      {"zeros from the start",
       {{100, 0}, {100, 0}},
       0,
       "entry 0 at byte 0: expected an offset above 100 and a position above 0, "
       "found offset 100 at position 0 (zeros: space that was never written)"},
      {"zeros behind entries",
       {{105, 10}, {100, 0}},
       0,
       "entry 1 at byte 8: expected an offset above 105 and a position above 10, "
       "found offset 100 at position 0 (zeros"},
      {"at the end of the log",
       {{105, 10}, {110, 1000}},
       0,
       "entry 1 at byte 8: expected a position below the 1000 bytes of the "
       "log, found 1000"},
      {"ragged tail", {{105, 10}, {110, 20}}, 3, "expected whole entries of 8 bytes, found 5 bytes behind 1 entries"},
  };
  for (const BadIndex& bad : cases) {
    SCOPED_TRACE(bad.name);
    std::vector<std::byte> bytes = Encode(100, bad.entries);
    bytes.resize(bytes.size() - bad.cut_bytes);
    const absl::Status status = SparseOffsetIndex(100, bytes).Check(1000);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr(bad.message));
  }
}

TEST(SparseOffsetIndexTest, CheckAcceptsAnEntryOnTheLastByteOfTheLog) {
  const std::vector<std::byte> bytes = Encode(100, {{101, 1}, {100 + kInt32Max, 999}});
  EXPECT_TRUE(SparseOffsetIndex(100, bytes).Check(1000).ok());
}

TEST(SparseOffsetIndexTest, RaggedTailIsNotRead) {
  std::vector<std::byte> bytes = Encode(0, {{5, 10}, {9, 20}});
  bytes.resize(bytes.size() - 1);
  const SparseOffsetIndex index(0, bytes);
  EXPECT_EQ(index.entry_count(), 1u);
  EXPECT_EQ(index.bytes().size(), 8u);
  EXPECT_EQ(index.Floor(100), (OffsetPosition{5, 10}));
}

TEST(SparseOffsetIndexTest, LookupsInGarbageStayWithinIt) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::byte> bytes(random() % 400);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
    const SparseOffsetIndex index(0, bytes);
    for (int i = 0; i < 50; ++i) {
      const int64_t target = static_cast<int64_t>(random() >> (random() % 64));
      const std::optional<size_t> floor = index.FloorIndex(target);
      if (floor.has_value()) {
        ASSERT_LT(*floor, index.entry_count());
      }
      static_cast<void>(index.FloorAndNext(target));
      static_cast<void>(index.FirstAtOrAfterPosition(target));
    }
  }
}

TEST(SparseOffsetIndexBuilderTest, MaximumIsRoundedDownToWholeEntries) {
  EXPECT_EQ(SparseOffsetIndexBuilder(0, 10485760).max_entry_count(), 1310720u);
  EXPECT_EQ(SparseOffsetIndexBuilder(0, 15).max_entry_count(), 1u);
  EXPECT_EQ(SparseOffsetIndexBuilder(0, 7).max_entry_count(), 0u);
  EXPECT_TRUE(SparseOffsetIndexBuilder(0, 7).full());
  EXPECT_TRUE(SparseOffsetIndexBuilder(0, -1).full());
}

TEST(SparseOffsetIndexBuilderTest, FullOnceNoSlotIsFree) {
  SparseOffsetIndexBuilder builder(0, 80);
  for (int64_t i = 1; i <= 10; ++i) {
    EXPECT_FALSE(builder.full()) << i;
    ASSERT_TRUE(builder.Append(i, i * 100).ok());
  }
  EXPECT_TRUE(builder.full());
}

TEST(SparseOffsetIndexBuilderTest, EntriesBeyondTheMaximumAreLeftOut) {
  SparseOffsetIndexBuilder builder(0, 16);
  for (int64_t i = 1; i <= 5; ++i) ASSERT_TRUE(builder.Append(i, i * 100).ok());
  EXPECT_EQ(builder.entry_count(), 2u);
  EXPECT_EQ(builder.Floor(5), (OffsetPosition{2, 200}));
  // Order is still kept: what is not above the last entry is refused, full or not.
  EXPECT_EQ(builder.Append(2, 600).code(), absl::StatusCode::kInvalidArgument);
}

TEST(SparseOffsetIndexBuilderTest, RefusesWhatDoesNotRise) {
  SparseOffsetIndexBuilder builder(100, 1024);
  EXPECT_EQ(builder.Append(100, 10).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(builder.Append(105, 0).code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(builder.Append(105, 50).ok());
  for (const OffsetPosition bad : {OffsetPosition{105, 60}, {104, 60}, {99, 60}, {106, 50}, {106, 49}, {106, -1}}) {
    const absl::Status status = builder.Append(bad.offset, bad.position);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.offset << "@" << bad.position;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("offset index of segment 100: entry 1 must be above offset 105"));
  }
  EXPECT_EQ(builder.entry_count(), 1u);
}

TEST(SparseOffsetIndexBuilderTest, RefusesWhatDoesNotFitIn31Bits) {
  SparseOffsetIndexBuilder builder(100, 1024);
  EXPECT_EQ(builder.Append(100 + kInt32Max + 1, 10).code(), absl::StatusCode::kInvalidArgument);
  const absl::Status far = builder.Append(105, kInt32Max + 1);
  EXPECT_EQ(far.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(far.message()), HasSubstr("does not fit in 31 bits"));
  EXPECT_TRUE(builder.Append(100 + kInt32Max, kInt32Max).ok());
  EXPECT_EQ(builder.last_entry(), (OffsetPosition{100 + kInt32Max, kInt32Max}));
}

TEST(SparseOffsetIndexBuilderTest, LoadTakesAnIndexEvenAboveTheMaximum) {
  std::mt19937_64 random(3);
  const std::vector<OffsetPosition> entries = RandomEntries(40, 500, random);
  const std::vector<std::byte> bytes = Encode(40, entries);
  SparseOffsetIndexBuilder builder(40, 80);
  ASSERT_TRUE(builder.Append(41, 1).ok());
  ASSERT_TRUE(builder.Load(SparseOffsetIndex(40, bytes)).ok());
  ExpectLookupsMatchReference(builder, 40, entries);
  EXPECT_TRUE(builder.full());
  ASSERT_TRUE(builder.Load(SparseOffsetIndex(40, {})).ok());
  EXPECT_EQ(builder.entry_count(), 0u);
}

TEST(SparseOffsetIndexBuilderTest, LoadRefusesAnotherSegmentsIndex) {
  SparseOffsetIndexBuilder builder(40, 80);
  ASSERT_TRUE(builder.Append(41, 1).ok());
  const absl::Status status = builder.Load(SparseOffsetIndex(41, {}));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("segment 40: cannot take the entries of segment 41"));
  EXPECT_EQ(builder.entry_count(), 1u);
}

TEST(SparseOffsetIndexBuilderTest, CopyToGivesAnyRange) {
  std::mt19937_64 random(11);
  const std::vector<OffsetPosition> entries = RandomEntries(0, 300, random);
  const std::vector<std::byte> bytes = Encode(0, entries);
  SparseOffsetIndexBuilder builder(0, 1 << 20);
  builder.CopyTo(0, 0, nullptr);
  for (const OffsetPosition& entry : entries) ASSERT_TRUE(builder.Append(entry.offset, entry.position).ok());
  for (size_t first = 0; first <= entries.size(); first += 13) {
    for (size_t count = 0; first + count <= entries.size(); count += 17) {
      std::vector<std::byte> copied(count * 8);
      builder.CopyTo(first, count, copied.data());
      ASSERT_TRUE(std::equal(copied.begin(), copied.end(), bytes.begin() + static_cast<ptrdiff_t>(first * 8)));
    }
  }
}

}  // namespace
}  // namespace varve
