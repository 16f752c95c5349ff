// Every fuzz target on its seeds, on damaged copies of them, and on everything that was ever found.
#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "fuzz/fuzz_target.h"
#include "fuzz/seeds.h"
#include "gtest/gtest.h"

namespace varve::fuzz {
namespace {

class ReplayTest : public ::testing::TestWithParam<FuzzTarget> {};

INSTANTIATE_TEST_SUITE_P(, ReplayTest, ::testing::ValuesIn(FuzzTargets()),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(ReplayTest, WhatKafkaWrote) {
  const Seeds seeds = GoldenSeeds(GetParam());
  EXPECT_FALSE(seeds.empty());
  for (const auto& [name, input] : seeds) {
    SCOPED_TRACE(name);
    GetParam().run(input);
  }
}

// The fuzzer's simplest mutations, so that compilers that have no fuzzer try them too.
TEST_P(ReplayTest, DamagedCopies) {
  constexpr int kCopies = 300;
  const Seeds seeds = GoldenSeeds(GetParam());
  std::vector<std::vector<std::byte>> inputs;
  for (const auto& [name, input] : seeds) inputs.push_back(input);
  std::mt19937_64 random(1);
  for (int copy = 0; copy < kCopies; ++copy) {
    std::vector<std::byte> input = inputs[random() % inputs.size()];
    for (uint64_t change = random() % 4; change < 4 && !input.empty(); ++change) {
      const size_t at = random() % input.size();
      switch (random() % 4) {
        case 0:
          input[at] ^= static_cast<std::byte>(1 << random() % 8);
          break;
        case 1:
          input[at] = static_cast<std::byte>(random());
          break;
        case 2:
          input.resize(at);
          break;
        default:
          input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), input[at]);
      }
    }
    GetParam().run(input);
  }
}

TEST_P(ReplayTest, WhatWasFound) {
  for (const auto& [name, input] : FoundInputs(GetParam())) {
    SCOPED_TRACE(name);
    GetParam().run(input);
  }
}

}  // namespace
}  // namespace varve::fuzz
