// `varve verify`: checks every checksum, continuity, and the indexes against the log.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_VERIFY_H_
#define VARVE_LIB_CLI_VERIFY_H_

#include <string>
#include <vector>

#include "cli/exit_status.h"

namespace varve::cli {

struct VerifySettings {
  std::vector<std::string> directories;  // partitions, or data directories with all they hold
  bool json = false;
};

// Prints what was found of each partition; changes nothing.
[[nodiscard]] ExitStatus RunVerify(const VerifySettings& settings);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_VERIFY_H_
