// `varve retain`: deletes the oldest segments by age and size, or those before an offset.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_RETAIN_H_
#define VARVE_LIB_CLI_RETAIN_H_

#include <string>

#include "cli/exit_status.h"
#include "varve/retention.h"

namespace varve::cli {

struct RetainSettings {
  std::string directory;
  RetentionOptions limits;  // one at least; those that are absent hold nothing back
  bool dry_run = false;
  bool json = false;
};

// Applies retention, and prints a summary. A partition from which nothing is to go is left as it is.
[[nodiscard]] ExitStatus RunRetain(const RetainSettings& settings);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_RETAIN_H_
