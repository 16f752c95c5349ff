// Counts heap allocations. A program that links allocation_counter.cc has its operator new replaced.
#ifndef VARVE_TESTS_SUPPORT_ALLOCATION_COUNTER_H_
#define VARVE_TESTS_SUPPORT_ALLOCATION_COUNTER_H_

#include <cstdint>

namespace varve::testing_support {

// Calls of operator new since the program began, by all threads.
[[nodiscard]] int64_t AllocationCount();

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_SUPPORT_ALLOCATION_COUNTER_H_
