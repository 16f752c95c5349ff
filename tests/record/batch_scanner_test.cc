#include "record/batch_scanner.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "record/byte_file.h"
#include "record/hex.h"
#include "record/vectors.h"

namespace varve::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::ByteFile;
using testing_support::FromHex;

constexpr size_t kTinyReadBytes = 64;

void Append(std::vector<std::byte>* bytes, std::span<const std::byte> more) {
  bytes->insert(bytes->end(), more.begin(), more.end());
}

// One record whose value is `value_bytes` long, at `offset`.
std::vector<std::byte> BatchOf(int64_t offset, size_t value_bytes) {
  RecordBatchBuilder builder({.base_offset = offset});
  const std::string value(value_bytes, 'v');
  EXPECT_TRUE(builder.Add({.value = value, .timestamp_ms = 1000}).ok());
  const absl::StatusOr<std::span<const std::byte>> batch = builder.Build();
  EXPECT_TRUE(batch.ok()) << batch.status();
  return {batch->begin(), batch->end()};
}

template <typename Walk>
std::vector<int64_t> OffsetsOf(Walk* walk) {
  std::vector<int64_t> offsets;
  while (true) {
    const absl::StatusOr<bool> found = walk->Next();
    EXPECT_TRUE(found.ok()) << found.status();
    if (!found.ok() || !*found) return offsets;
    offsets.push_back(walk->header().base_offset);
  }
}

template <typename Walk>
class BatchWalkTest : public ::testing::Test {};
using Walks = ::testing::Types<BatchScanner, BatchReader>;
TYPED_TEST_SUITE(BatchWalkTest, Walks);

TYPED_TEST(BatchWalkTest, VisitsEveryBatchWhateverItsReadSize) {
  std::vector<std::byte> bytes;
  std::vector<uint64_t> positions;
  for (int64_t offset = 0; offset < 40; ++offset) {
    positions.push_back(bytes.size());
    Append(&bytes, BatchOf(offset, static_cast<size_t>(offset * offset)));
  }
  for (const size_t read_bytes : {size_t{1}, size_t{61}, size_t{100}, size_t{1000}, size_t{1} << 20}) {
    ByteFile file(bytes);
    TypeParam walk(&file, 0, file.size(), read_bytes);
    for (int64_t offset = 0; offset < 40; ++offset) {
      const absl::StatusOr<bool> found = walk.Next();
      ASSERT_TRUE(found.ok() && *found) << found.status();
      EXPECT_EQ(walk.header().base_offset, offset);
      EXPECT_EQ(walk.position(), positions[static_cast<size_t>(offset)]);
    }
    const absl::StatusOr<bool> found = walk.Next();
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_FALSE(*found);
    EXPECT_EQ(walk.end(), ScanEnd::kLimit);
    EXPECT_EQ(walk.position(), file.size());
    EXPECT_THAT(walk.reason(), IsEmpty());
  }
}

TYPED_TEST(BatchWalkTest, StartsWhereItIsTold) {
  std::vector<std::byte> bytes = BatchOf(7, 10);
  const size_t second = bytes.size();
  Append(&bytes, BatchOf(8, 10));
  ByteFile file(bytes);
  TypeParam walk(&file, second, file.size());
  EXPECT_THAT(OffsetsOf(&walk), ElementsAre(8));
}

TYPED_TEST(BatchWalkTest, OfNothingEndsAtTheLimit) {
  ByteFile file({});
  TypeParam walk(&file, 0, 0);
  EXPECT_THAT(OffsetsOf(&walk), IsEmpty());
  EXPECT_EQ(walk.end(), ScanEnd::kLimit);
  EXPECT_EQ(file.reads(), 0);
}

TYPED_TEST(BatchWalkTest, EveryTruncationOfTheLastBatchIsATornTail) {
  const std::vector<std::byte> first = BatchOf(0, 10);
  const std::vector<std::byte> second = BatchOf(1, 200);
  for (size_t kept = 1; kept < second.size(); ++kept) {
    std::vector<std::byte> bytes = first;
    Append(&bytes, std::span(second).first(kept));
    ByteFile file(bytes);
    TypeParam walk(&file, 0, file.size(), kTinyReadBytes);
    EXPECT_THAT(OffsetsOf(&walk), ElementsAre(0)) << kept;
    EXPECT_EQ(walk.end(), ScanEnd::kTorn) << kept;
    EXPECT_EQ(walk.position(), first.size()) << kept;
    EXPECT_THAT(walk.reason(), HasSubstr(std::to_string(kept) + " bytes left"));
  }
}

TYPED_TEST(BatchWalkTest, TheLimitCutsABatchOffLikeTheEndOfTheFile) {
  std::vector<std::byte> bytes = BatchOf(0, 10);
  const size_t second = bytes.size();
  Append(&bytes, BatchOf(1, 10));
  ByteFile file(bytes);
  TypeParam walk(&file, 0, file.size() - 1);
  EXPECT_THAT(OffsetsOf(&walk), ElementsAre(0));
  EXPECT_EQ(walk.end(), ScanEnd::kTorn);
  EXPECT_EQ(walk.position(), second);
}

TYPED_TEST(BatchWalkTest, WhatCannotBeABatchIsInvalidWithAReason) {
  struct Case {
    size_t position;
    std::string hex;
    std::string reason;
  };
  const Case cases[] = {
      {8, "00000000", "a batch length of at least 14 expected, found 0"},
      {8, "0000000d", "a batch length of at least 14 expected, found 13"},
      {8, "80000000", "a batch length of at least 14 expected, found -2147483648"},
      {8, "00000030", "a batch length of at least 49 expected, found 48"},
      {16, "03", "magic 2 expected, found 3"},
      {16, "80", "magic 2 expected, found -128"},
  };
  const std::vector<std::byte> first = BatchOf(0, 10);
  for (const Case& c : cases) {
    SCOPED_TRACE(c.reason);
    std::vector<std::byte> bytes = first;
    Append(&bytes, BatchOf(1, 10));
    std::ranges::copy(FromHex(c.hex), bytes.begin() + static_cast<std::ptrdiff_t>(first.size() + c.position));
    ByteFile file(bytes);
    TypeParam walk(&file, 0, file.size(), kTinyReadBytes);
    EXPECT_THAT(OffsetsOf(&walk), ElementsAre(0));
    EXPECT_EQ(walk.end(), ScanEnd::kInvalid);
    EXPECT_EQ(walk.position(), first.size());
    EXPECT_EQ(walk.reason(), c.reason);
  }
}

TYPED_TEST(BatchWalkTest, PreallocatedZerosAreInvalidAndAFewOfThemTorn) {
  for (const size_t zeros : {17U, 18U, 5000U}) {
    std::vector<std::byte> bytes = BatchOf(0, 10);
    bytes.resize(bytes.size() + zeros);
    ByteFile file(bytes);
    TypeParam walk(&file, 0, file.size());
    EXPECT_THAT(OffsetsOf(&walk), ElementsAre(0));
    EXPECT_EQ(walk.end(), zeros <= 17 ? ScanEnd::kTorn : ScanEnd::kInvalid);
  }
}

TYPED_TEST(BatchWalkTest, RefusesOldMagicNamingFilePositionAndMagic) {
  const std::vector<std::byte> first = BatchOf(0, 10);
  for (const std::string_view old : {testing_support::kMagic0, testing_support::kMagic1}) {
    std::vector<std::byte> bytes = first;
    Append(&bytes, FromHex(old));
    ByteFile file(bytes);
    TypeParam walk(&file, 0, file.size());
    ASSERT_TRUE(*walk.Next());
    const absl::StatusOr<bool> found = walk.Next();
    EXPECT_EQ(found.status().code(), absl::StatusCode::kUnimplemented);
    EXPECT_EQ(std::string(found.status().message()), "byte.log, position " + std::to_string(first.size()) +
                                                         ": magic 2 expected, found " +
                                                         (old == testing_support::kMagic0 ? "0" : "1"));
  }
}

TYPED_TEST(BatchWalkTest, PassesOnEveryReadError) {
  std::vector<std::byte> bytes = BatchOf(0, 500);
  Append(&bytes, BatchOf(1, 500));
  bool read_without_error = false;
  int failures = 0;
  for (int n = 1; !read_without_error; ++n) {
    ByteFile file(bytes);
    file.FailRead(n);
    TypeParam walk(&file, 0, file.size(), kTinyReadBytes);
    absl::StatusOr<bool> found = true;
    while (found.ok() && *found) found = walk.Next();
    read_without_error = found.ok();
    if (!found.ok()) {
      ++failures;
      EXPECT_EQ(found.status().code(), absl::StatusCode::kInternal);
      EXPECT_THAT(std::string(found.status().message()), HasSubstr("byte.log"));
    }
  }
  EXPECT_GE(failures, 2);
}

TYPED_TEST(BatchWalkTest, AFileThatShrankEndsTorn) {
  std::vector<std::byte> bytes = BatchOf(0, 10);
  const size_t second = bytes.size();
  Append(&bytes, BatchOf(1, 10));
  for (const size_t size : {second, second + 30}) {
    ByteFile file(bytes);
    const uint64_t limit = file.size();
    file.ShrinkTo(size);
    TypeParam walk(&file, 0, limit);
    EXPECT_THAT(OffsetsOf(&walk), ElementsAre(0));
    EXPECT_EQ(walk.end(), ScanEnd::kTorn);
    EXPECT_EQ(walk.position(), second);
  }
}

TEST(BatchScanner, DoesNotReadTheBodiesOfLargeBatches) {
  std::vector<std::byte> bytes;
  for (int64_t offset = 0; offset < 10; ++offset) Append(&bytes, BatchOf(offset, 1'000'000));
  ByteFile file(bytes);
  BatchScanner scanner(&file, 0, file.size());
  EXPECT_EQ(OffsetsOf(&scanner).size(), 10U);
  EXPECT_EQ(file.reads(), 10);
  EXPECT_LE(file.bytes_read(), BatchScanner::kReadAheadBytes + 9 * 4096);
}

TEST(BatchScanner, ReadsSmallBatchesManyAtATime) {
  std::vector<std::byte> bytes;
  for (int64_t offset = 0; offset < 1000; ++offset) Append(&bytes, BatchOf(offset, 100));
  ByteFile file(bytes);
  BatchScanner scanner(&file, 0, file.size());
  EXPECT_EQ(OffsetsOf(&scanner).size(), 1000U);
  EXPECT_LE(file.reads(), 3);
  EXPECT_LE(file.bytes_read(), file.size());
}

TEST(BatchReader, ReadsEveryByteOnce) {
  std::vector<std::byte> bytes;
  for (int64_t offset = 0; offset < 1000; ++offset) Append(&bytes, BatchOf(offset, 100));
  ByteFile file(bytes);
  BatchReader reader(&file, 0, file.size(), 10'000);
  EXPECT_EQ(OffsetsOf(&reader).size(), 1000U);
  EXPECT_EQ(file.bytes_read(), file.size());
}

TEST(BatchReader, HandsOutWholeBatchesAndTellsWrongChecksums) {
  const std::vector<std::byte> first = BatchOf(0, 300);
  std::vector<std::byte> second = BatchOf(1, 300);
  second.back() ^= std::byte{1};
  const std::vector<std::byte> third = BatchOf(2, 300);
  std::vector<std::byte> bytes = first;
  Append(&bytes, second);
  Append(&bytes, third);
  ByteFile file(bytes);
  BatchReader reader(&file, 0, file.size(), kTinyReadBytes);
  ASSERT_TRUE(*reader.Next());
  EXPECT_TRUE(reader.crc_matches());
  EXPECT_TRUE(std::ranges::equal(reader.bytes(), first));
  ASSERT_TRUE(*reader.Next());
  EXPECT_FALSE(reader.crc_matches());
  EXPECT_NE(reader.computed_crc(), reader.header().crc);
  EXPECT_TRUE(std::ranges::equal(reader.bytes(), second));
  ASSERT_TRUE(*reader.Next());
  EXPECT_TRUE(reader.crc_matches());
  EXPECT_TRUE(std::ranges::equal(reader.batch().bytes(), third));
  EXPECT_FALSE(*reader.Next());
}

// Whatever stands between two reads: every other batch has a wrong checksum, and the last one is cut short.
TEST(BatchReader, HoldsTheBatchesThatNextFinds) {
  std::vector<std::byte> bytes;
  for (int64_t offset = 0; offset < 60; ++offset) {
    std::vector<std::byte> batch = BatchOf(offset, static_cast<size_t>(offset * 37 % 400));
    if (offset % 2 == 1) batch.back() ^= std::byte{1};
    Append(&bytes, batch);
  }
  bytes.pop_back();
  for (const size_t read_bytes : {size_t{1}, size_t{100}, size_t{700}, size_t{2500}, size_t{1} << 20}) {
    SCOPED_TRACE(read_bytes);
    ByteFile file(bytes);
    BatchReader reader(&file, 0, file.size(), read_bytes);
    int64_t offset = 0;
    int64_t held = 0;
    while (true) {
      const bool is_held = reader.NextHeld();
      if (!is_held && !*reader.Next()) break;
      held += is_held ? 1 : 0;
      ASSERT_EQ(reader.header().base_offset, offset);
      ASSERT_EQ(reader.bytes().size(), reader.header().size_bytes);
      ASSERT_EQ(reader.computed_crc(), BatchCrc(reader.bytes()));
      ASSERT_EQ(reader.crc_matches(), offset % 2 == 0);
      ++offset;
    }
    EXPECT_EQ(offset, 59);
    EXPECT_EQ(reader.end(), ScanEnd::kTorn);
    EXPECT_GE(held, read_bytes > 2000 ? 40 : 0);
  }
}

TEST(BatchReader, EndsTornWhereTheFileShrankWithinABody) {
  std::vector<std::byte> bytes = BatchOf(0, 10);
  const size_t second = bytes.size();
  Append(&bytes, BatchOf(1, 5000));
  ByteFile file(bytes);
  const uint64_t limit = file.size();
  file.ShrinkTo(second + 100);
  BatchReader reader(&file, 0, limit, kTinyReadBytes);
  EXPECT_THAT(OffsetsOf(&reader), ElementsAre(0));
  EXPECT_EQ(reader.end(), ScanEnd::kTorn);
  EXPECT_EQ(reader.position(), second);
  EXPECT_THAT(reader.reason(), HasSubstr("100 bytes left"));
}

}  // namespace
}  // namespace varve::internal
