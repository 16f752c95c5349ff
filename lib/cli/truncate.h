// `varve truncate`: drops the offsets at and above one.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_TRUNCATE_H_
#define VARVE_LIB_CLI_TRUNCATE_H_

#include <cstdint>
#include <string>

#include "cli/exit_status.h"

namespace varve::cli {

struct TruncateSettings {
  std::string directory;
  int64_t to_offset = 0;     // the log shall end here
  bool whole_batch = false;  // inside a batch: drop all of it
  bool json = false;
};

// Truncates, and prints a summary.
[[nodiscard]] ExitStatus RunTruncate(const TruncateSettings& settings);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_TRUNCATE_H_
