#include "log/key_offset_map.h"

#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <string>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/status_matchers.h"

namespace varve::internal {
namespace {

using ::testing::Eq;
using ::testing::Optional;
using testing_support::StatusIs;

constexpr uint64_t kAnyCount = std::numeric_limits<uint64_t>::max();

KeyOffsetMap MapOfSlots(size_t slot_count) {
  absl::StatusOr<KeyOffsetMap> map = KeyOffsetMap::Create(slot_count * KeyOffsetMap::kEntryBytes, kAnyCount);
  EXPECT_THAT(map, testing_support::IsOk());
  return *std::move(map);
}

TEST(KeyOffsetMap, TellsTheOffsetPutLast) {
  KeyOffsetMap map = MapOfSlots(100);
  EXPECT_EQ(map.Find("a"), std::nullopt);
  EXPECT_TRUE(map.Put("a", 0));
  EXPECT_TRUE(map.Put("b", 7));
  EXPECT_TRUE(map.Put("a", std::numeric_limits<int64_t>::max()));
  EXPECT_THAT(map.Find("a"), Optional(Eq(std::numeric_limits<int64_t>::max())));
  EXPECT_THAT(map.Find("b"), Optional(Eq(7)));
  EXPECT_EQ(map.key_count(), 2u);
}

TEST(KeyOffsetMap, TakesPreparedKeys) {
  KeyOffsetMap map = MapOfSlots(100);
  const KeyOffsetMap::Hash a = map.Prepare("a");
  const KeyOffsetMap::Hash b = map.Prepare("b");
  EXPECT_TRUE(map.Put(a, 5));
  EXPECT_THAT(map.Find("a"), Optional(Eq(5)));
  EXPECT_THAT(map.Find(a), Optional(Eq(5)));
  EXPECT_EQ(map.Find(b), std::nullopt);
}

TEST(KeyOffsetMap, TellsKeysApartByEveryByte) {
  KeyOffsetMap map = MapOfSlots(100);
  const std::string_view keys[] = {"", std::string_view("\0", 1), std::string_view("\0\0", 2), "a", "a ", "A"};
  int64_t offset = 0;
  for (const std::string_view key : keys) EXPECT_TRUE(map.Put(key, offset++));
  EXPECT_EQ(map.key_count(), std::size(keys));
  offset = 0;
  for (const std::string_view key : keys) EXPECT_THAT(map.Find(key), Optional(Eq(offset++)));
}

TEST(KeyOffsetMap, IsFullAtNineTenths) {
  struct Case {
    size_t budget_bytes;
    uint64_t max_key_count;
    size_t capacity;
  };
  const Case cases[] = {
      {0, kAnyCount, 1},                     // one key at least
      {2 * 24, kAnyCount, 1},                //
      {10 * 24 + 23, kAnyCount, 9},          // a part of an entry is none
      {100 * 24, kAnyCount, 90},             //
      {1000 * 24, 90, 90},                   // no more than the keys need
      {1000 * 24, 9, 9},                     //
      {1000 * 24, 1, 1},                     //
      {1000 * 24, 0, 1},                     //
      {size_t{128} << 20, 10, 10},           //
      {size_t{128} << 20, 100'000, 100'000}  //
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(fmt::format("{} bytes, {} keys", c.budget_bytes, c.max_key_count));
    VARVE_ASSERT_OK_AND_ASSIGN(KeyOffsetMap map, KeyOffsetMap::Create(c.budget_bytes, c.max_key_count));
    EXPECT_EQ(map.capacity(), c.capacity);
    for (size_t i = 0; i < map.capacity(); ++i) ASSERT_TRUE(map.Put(fmt::format("key {}", i), 5));
    EXPECT_FALSE(map.Put("one more", 6));
    EXPECT_EQ(map.Find("one more"), std::nullopt);
    EXPECT_EQ(map.key_count(), map.capacity());
    // What is there may still move.
    EXPECT_TRUE(map.Put("key 0", 6));
    EXPECT_THAT(map.Find("key 0"), Optional(Eq(6)));
  }
}

TEST(KeyOffsetMap, AgreesWithAMapThatKeepsTheKeys) {
  std::mt19937_64 random(7);
  KeyOffsetMap map = MapOfSlots(5000);
  std::map<std::string, int64_t> exact;
  for (int64_t offset = 0; exact.size() < map.capacity(); ++offset) {
    const std::string key = fmt::format("{:x}", random() % 20'000);
    ASSERT_TRUE(map.Put(key, offset));
    exact[key] = offset;
  }
  for (const auto& [key, offset] : exact) ASSERT_THAT(map.Find(key), Optional(Eq(offset)));
  for (int i = 20'000; i < 30'000; ++i) ASSERT_EQ(map.Find(fmt::format("{:x}", i)), std::nullopt);
}

TEST(KeyOffsetMap, SaysWhereThereIsNoMemory) {
  EXPECT_THAT(KeyOffsetMap::Create(std::numeric_limits<size_t>::max(), kAnyCount).status(),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace varve::internal
