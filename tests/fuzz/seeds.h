// What a fuzz target starts from: what Kafka wrote (tests/golden), and what was found to fail once (tests/fuzz/found).
#ifndef VARVE_TESTS_FUZZ_SEEDS_H_
#define VARVE_TESTS_FUZZ_SEEDS_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "fuzz/fuzz_target.h"

namespace varve::fuzz {

// Inputs by a name that says where they are from.
using Seeds = std::map<std::string, std::vector<std::byte>>;

[[nodiscard]] Seeds GoldenSeeds(const FuzzTarget& target);
[[nodiscard]] Seeds FoundInputs(const FuzzTarget& target);

}  // namespace varve::fuzz

#endif  // VARVE_TESTS_FUZZ_SEEDS_H_
