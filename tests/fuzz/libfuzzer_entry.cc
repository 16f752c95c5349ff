// The program libFuzzer drives; VARVE_FUZZ_TARGET in the environment names the target.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const varve::fuzz::FuzzTarget* const target = [] {
    const char* const name = std::getenv("VARVE_FUZZ_TARGET");
    const auto* const found = varve::fuzz::FindFuzzTarget(name != nullptr ? name : "");
    varve::fuzz::Require(found != nullptr, "VARVE_FUZZ_TARGET to name a target of tests/fuzz/fuzz_target.cc");
    return found;
  }();
  target->run({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
