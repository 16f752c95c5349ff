// RandomChoice: what a seed decides, for tests that run random operations.
#ifndef VARVE_TESTS_SUPPORT_RANDOM_CHOICE_H_
#define VARVE_TESTS_SUPPORT_RANDOM_CHOICE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>

namespace varve::testing_support {

class RandomChoice {
 public:
  explicit RandomChoice(uint64_t seed) : engine_(seed) {}

  [[nodiscard]] std::mt19937_64* engine() { return &engine_; }
  // 0 … count - 1; 0 where there is none.
  [[nodiscard]] int64_t Below(int64_t count) {
    return static_cast<int64_t>(engine_() % static_cast<uint64_t>(std::max(count, int64_t{1})));
  }
  [[nodiscard]] bool OneIn(int64_t count) { return Below(count) == 0; }
  // One of a list that is not empty.
  template <typename List>
  [[nodiscard]] const auto& Of(const List& list) {
    return list[static_cast<size_t>(Below(std::ssize(list)))];
  }
  // One of a list of choices, as likely as its member `weight` says beside those of the others.
  template <typename List>
  [[nodiscard]] const auto& Weighted(const List& choices) {
    int64_t total = 0;
    for (const auto& choice : choices) total += choice.weight;
    int64_t chosen = Below(total);
    size_t index = 0;
    for (; chosen >= choices[index].weight; ++index) chosen -= choices[index].weight;
    return choices[index];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_SUPPORT_RANDOM_CHOICE_H_
