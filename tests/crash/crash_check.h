// CheckCrash: the judge of what a crash has left of a log.
#ifndef VARVE_TESTS_CRASH_CRASH_CHECK_H_
#define VARVE_TESTS_CRASH_CRASH_CHECK_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "model/possible_log.h"
#include "varve/log.h"
#include "varve/log_options.h"
#include "varve/testing/crash_simulator.h"

namespace varve::testing_support {

// OK if the opening told of no damage, took no page cache for alive that a power loss ended, and left nothing that is not
// durable: what a crash leaves is a torn tail at most.
[[nodiscard]] absl::Status CheckReport(const Log& log, bool rebooted);

// OK if the log in `directory` opens without any talk of damage and is one of those that are possible: all that was
// acknowledged is there, nothing is invented, moved or back again, whole batches only, and it is found by offset and by
// time. Of half of the states, told by their ids, the log is then closed, or its process dies, or power is lost once
// more, and it must be the same when it is opened again, and take appends.
[[nodiscard]] absl::Status CheckCrash(const CrashState& state, const std::string& directory, LogOptions options,
                                      const std::vector<PossibleLog>& possible);

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_CRASH_CRASH_CHECK_H_
