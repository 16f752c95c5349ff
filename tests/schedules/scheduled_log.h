// A log that several threads use at once, in an order that a seed tells (SeededScheduler), and that crashes at points
// which the seed tells too: two threads append with Ack::kDurable and flush, one waits for records and reads them, one
// truncates, deletes and rolls.
#ifndef VARVE_TESTS_SCHEDULES_SCHEDULED_LOG_H_
#define VARVE_TESTS_SCHEDULES_SCHEDULED_LOG_H_

#include <cstdint>
#include <string>
#include <vector>

namespace varve::testing_support {

struct ScheduledLife {
  std::vector<std::string> trace;     // see SeededScheduler
  std::vector<std::string> problems;  // what must not be; empty where all is well
  uint64_t appends = 0;               // acknowledged
  uint64_t crashes = 0;               // each checked after a power loss and after the death of the process
};

[[nodiscard]] ScheduledLife LiveBySchedule(uint64_t seed);

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_SCHEDULES_SCHEDULED_LOG_H_
