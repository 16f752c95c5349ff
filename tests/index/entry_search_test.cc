#include "index/entry_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace varve::internal {
namespace {

template <typename Key>
size_t Count(const std::vector<Key>& keys, Key target) {
  return CountNotAbove(keys.size(), target, [&keys](size_t number) { return keys.at(number); });
}

template <typename Key>
void ExpectCounts(const std::vector<Key>& keys, const std::vector<Key>& targets) {
  for (const Key target : targets) {
    const auto expected = static_cast<size_t>(std::upper_bound(keys.begin(), keys.end(), target) - keys.begin());
    ASSERT_EQ(Count(keys, target), expected) << "target " << target << " among " << keys.size() << " keys";
  }
}

// Keys that rise by the `step_of` each number, and everything at and beside them.
template <typename Key, typename StepOf>
void ExpectCountsOfRow(size_t count, Key first, StepOf step_of) {
  std::vector<Key> keys;
  std::vector<Key> targets;
  Key key = first;
  for (size_t number = 0; number < count; ++number) {
    keys.push_back(key);
    for (const int beside : {-1, 0, 1}) targets.push_back(static_cast<Key>(key + beside));
    key = static_cast<Key>(key + step_of(number));
  }
  ExpectCounts(keys, targets);
}

TEST(EntrySearchTest, CountsAreThoseOfASearchByHalvesHoweverKeysRise) {
  for (const size_t count : {0U, 1U, 2U, 15U, 16U, 17U, 18U, 33U, 100U, 1000U}) {
    SCOPED_TRACE(count);
    std::mt19937 random(static_cast<uint32_t>(count));
    ExpectCountsOfRow<int32_t>(count, 0, [](size_t) { return 16; });
    ExpectCountsOfRow<int32_t>(count, 7, [&random](size_t) { return static_cast<int32_t>(random() % 40); });
    ExpectCountsOfRow<int32_t>(count, -1, [](size_t number) { return number < 9 ? 1 : 100'000; });
    ExpectCountsOfRow<int32_t>(count, 5, [count](size_t number) { return number + 9 < count ? 1 : 10'000'000; });
    ExpectCountsOfRow<int64_t>(count, 1'700'000'000'000, [](size_t number) { return static_cast<int64_t>(number); });
  }
}

TEST(EntrySearchTest, KeysThatADoubleCannotTellApartAreFound) {
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
  ExpectCountsOfRow<int64_t>(100, kLargest - 200, [](size_t) { return 1; });
  std::vector<int64_t> keys(50, -1);
  keys.insert(keys.end(), 50, kLargest);
  ExpectCounts(keys, {std::numeric_limits<int64_t>::min(), -2, -1, 0, kLargest - 1, kLargest});
}

TEST(EntrySearchTest, KeysOutOfOrderAreNoReasonToLookElsewhere) {
  std::mt19937 random(1);
  for (int round = 0; round < 2'000; ++round) {
    std::vector<int32_t> keys(1 + random() % 100);
    for (int32_t& key : keys) key = static_cast<int32_t>(random());
    EXPECT_LE(Count(keys, static_cast<int32_t>(random())), keys.size());  // and no key beyond them: at() would throw
  }
}

TEST(EntrySearchTest, EvenKeysAreFoundByFewLooks) {
  constexpr size_t kCount = 1 << 20;
  size_t looks = 0;
  for (int64_t target = 3; target < static_cast<int64_t>(16 * kCount); target += 104'729) {
    const size_t found = CountNotAbove(kCount, target, [&looks](size_t number) {
      ++looks;
      return static_cast<int64_t>(16 * number);
    });
    ASSERT_EQ(found, static_cast<size_t>(target / 16 + 1));
  }
  EXPECT_LE(looks, 9U * (16 * kCount / 104'729 + 1));
}

}  // namespace
}  // namespace varve::internal
