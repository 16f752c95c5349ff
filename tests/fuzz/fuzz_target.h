// Fuzz targets: functions that take any bytes, and end the process where a decoder does what it must not. libFuzzer
// looks for such bytes (libfuzzer_entry.cc); replay_test.cc gives them the seeds and everything that was ever found.
//
// Thread rules: one thread.
#ifndef VARVE_TESTS_FUZZ_FUZZ_TARGET_H_
#define VARVE_TESTS_FUZZ_FUZZ_TARGET_H_

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace varve::fuzz {

using Input = std::span<const std::byte>;

struct FuzzTarget {
  // Names the target's directory below tests/fuzz/found, and chooses it in VARVE_FUZZ_TARGET.
  std::string_view name;
  void (*run)(Input);
  // Which files of tests/golden are seeds: those whose names have one of these endings. None: Seeds makes them.
  std::vector<std::string_view> seed_endings;
};

[[nodiscard]] const std::vector<FuzzTarget>& FuzzTargets();

// Null if no target has this name.
[[nodiscard]] const FuzzTarget* FindFuzzTarget(std::string_view name);

// Ends the process with the text if the condition does not hold.
void Require(bool holds, std::string_view what);

}  // namespace varve::fuzz

#endif  // VARVE_TESTS_FUZZ_FUZZ_TARGET_H_
