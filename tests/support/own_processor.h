// RunOnProcessor: two threads of a test that run at the same time.
//
// Threads that wake each other are put on one processor by the system, where the one never runs while the other does.
#ifndef VARVE_TESTS_SUPPORT_OWN_PROCESSOR_H_
#define VARVE_TESTS_SUPPORT_OWN_PROCESSOR_H_

#include <sched.h>

#include "gtest/gtest.h"

namespace varve::testing_support {

// Binds the calling thread to one processor: threads of different numbers to different ones, as far as there are so
// many.
inline void RunOnProcessor(int number) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  int processor = -1;
  for (int left = number % CPU_COUNT(&allowed); left >= 0; --left) {
    do ++processor;
    while (!CPU_ISSET(processor, &allowed));
  }
  cpu_set_t chosen;
  CPU_ZERO(&chosen);
  CPU_SET(processor, &chosen);
  ASSERT_EQ(sched_setaffinity(0, sizeof chosen, &chosen), 0);
}

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_SUPPORT_OWN_PROCESSOR_H_
