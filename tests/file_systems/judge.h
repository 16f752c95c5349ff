// Judge: whether a log that was opened anew is one that an ending may have left of what a journal tells.
#ifndef VARVE_TESTS_FILE_SYSTEMS_JUDGE_H_
#define VARVE_TESTS_FILE_SYSTEMS_JUDGE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "file_systems/journal.h"
#include "varve/log.h"

namespace varve::testing_support {

// When a process, a file system or a machine came to its end, in the journal's time: nothing was begun later. What was
// acknowledged before the two other times, as durable or only as written, must be there.
struct Ending {
  uint64_t at = kNever;
  uint64_t durable_before = kNever;
  uint64_t written_before = 0;
};

// OK if all that was acknowledged is there with its bytes and offsets, whole batches only; nothing is there that nobody
// had asked for by then, nothing has moved, nothing that was truncated or lost before is back; nothing counts as damage.
[[nodiscard]] absl::Status Judge(const Log& log, const Journal& journal, const Ending& ending);

// Lets the journal go on with what was found in a log that Judge accepted.
[[nodiscard]] absl::Status GoOn(const Log& log, Journal* journal);

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_FILE_SYSTEMS_JUDGE_H_
