// ShareOfThisRun: how many of all faults a run of tests/faults tries.
#ifndef VARVE_TESTS_FAULTS_FAULT_SHARE_H_
#define VARVE_TESTS_FAULTS_FAULT_SHARE_H_

#include <cstdint>
#include <cstdlib>

#include "support/fault_runs.h"

namespace varve::testing_support {

// One in VARVE_FAULTS_ONE_IN of the environment, from VARVE_FAULTS_SEED on.
inline FaultShare ShareOfThisRun() {
  const auto number_of = [](const char* variable, uint64_t otherwise) {
    const char* const text = std::getenv(variable);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
  };
  return {.one_in = number_of("VARVE_FAULTS_ONE_IN", VARVE_FAULTS_ONE_IN), .seed = number_of("VARVE_FAULTS_SEED", 1)};
}

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_FAULTS_FAULT_SHARE_H_
