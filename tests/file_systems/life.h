// Live: one life of a log, told by a seed: threads that append, wait, roll, truncate, delete and retain, or compact and
// read, at the same time, and write into a journal what they asked for and what they were told.
#ifndef VARVE_TESTS_FILE_SYSTEMS_LIFE_H_
#define VARVE_TESTS_FILE_SYSTEMS_LIFE_H_

#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "file_systems/journal.h"
#include "varve/log_options.h"

namespace varve::testing_support {

struct LifePlan {
  uint64_t seed = 0;
  int64_t appends = std::numeric_limits<int64_t>::max();  // of all threads together
  // Compaction runs beside the appends; else the log is truncated now and then.
  bool compacts = false;
  // A thread reads behind the appends, and one follows them as another process would.
  bool reads = false;
  int64_t durable_one_in = 3;  // appends; the others are acknowledged as written
  // The journal says of written records that they are durable: what a log would do that forgets its syncs.
  // Nothing but appends happens then.
  bool lies = false;
};

// Small segments, so that there are many.
[[nodiscard]] LogOptions LifeOptions(const LifePlan& plan);

// Until all appends are done, or an operation fails or a reader meets what nobody wrote: the first such error. Does not
// close the log.
[[nodiscard]] absl::Status Live(const std::string& directory, const LifePlan& plan, Journal* journal);

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_FILE_SYSTEMS_LIFE_H_
