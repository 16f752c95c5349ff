// Floor search over sorted keys, for mapped entries and for heap chunks alike.
#ifndef VARVE_LIB_INDEX_ENTRY_SEARCH_H_
#define VARVE_LIB_INDEX_ENTRY_SEARCH_H_

#include <algorithm>
#include <cstddef>

namespace varve::internal {

// How many of the `count` leading keys are not above `target`: the floor entry's number plus one, 0 if there is none.
// key_at(i) gives key i; keys do not fall (of others the answer is some number up to `count`). Keys that rise evenly, as
// they nearly do, tell where to look: a few guesses leave so few entries that they share cache lines, and the last entry
// is looked at first, as most targets are new. What is left is halved without a branch on the comparison: a lookup's
// target is random, so a predictor would miss every other step.
template <typename Key, typename KeyAt>
[[nodiscard]] inline size_t CountNotAbove(size_t count, Key target, KeyAt key_at) {
  constexpr size_t kNear = 8;  // entries of 8 bytes in a cache line
  constexpr int kMaxGuesses = 3;
  if (count == 0) return 0;
  // The floor is in [first, first + count), or there is none and first is 0.
  size_t first = 0;
  if (count > 2 * kNear) {
    Key low_key = key_at(0);
    Key high_key = key_at(count - 1);
    if (high_key <= target) return count;
    if (low_key > target) return 0;
    size_t high = count - 1;  // key_at(first) <= target < key_at(high)
    const auto note = [&](size_t entry) {
      const Key key = key_at(entry);
      if (key <= target) {
        first = entry;
        low_key = key;
      } else {
        high = entry;
        high_key = key;
      }
      return key <= target;
    };
    for (int guess = 0; guess < kMaxGuesses && high - first > 2 * kNear; ++guess) {
      const double span = static_cast<double>(high_key) - static_cast<double>(low_key);
      if (span <= 0) break;  // keys too large for a double to tell them apart
      const double share = (static_cast<double>(target) - static_cast<double>(low_key)) / span;
      const size_t guessed = first + static_cast<size_t>(share * static_cast<double>(high - first));
      const size_t middle = std::clamp(guessed, first + kNear, high - kNear);
      if (note(middle)) {
        note(std::min(middle + kNear, high - 1));
      } else {
        note(middle - kNear);
      }
    }
    count = high - first;
  }
  while (count > 1) {
    const size_t half = count / 2;
    first += static_cast<size_t>(key_at(first + half) <= target) * half;
    count -= half;
  }
  return first + static_cast<size_t>(key_at(first) <= target);
}

}  // namespace varve::internal

#endif  // VARVE_LIB_INDEX_ENTRY_SEARCH_H_
