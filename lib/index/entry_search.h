// Floor search over sorted keys, for mapped entries and for heap chunks alike.
#ifndef VARVE_LIB_INDEX_ENTRY_SEARCH_H_
#define VARVE_LIB_INDEX_ENTRY_SEARCH_H_

#include <cstddef>

namespace varve::internal {

// How many of the `count` leading keys are not above `target`: the floor entry's number plus one, 0 if there is none.
// key_at(i) gives key i; keys do not fall. Halving without a branch on the comparison: a lookup's target is random, so
// a predictor would miss every other step. Kafka tries the last 8 KiB of entries first, to touch fewer cold pages; a
// halving search touches its first, always equal, entries so often that they stay warm, and the answer is the same.
template <typename Key, typename KeyAt>
[[nodiscard]] inline size_t CountNotAbove(size_t count, Key target, KeyAt key_at) {
  if (count == 0) return 0;
  // The floor is in [first, first + count), or there is none and first is 0.
  size_t first = 0;
  while (count > 1) {
    const size_t half = count / 2;
    first += static_cast<size_t>(key_at(first + half) <= target) * half;
    count -= half;
  }
  return first + static_cast<size_t>(key_at(first) <= target);
}

}  // namespace varve::internal

#endif  // VARVE_LIB_INDEX_ENTRY_SEARCH_H_
