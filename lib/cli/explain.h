// `varve explain`: what the last opening found, cut, kept or saved aside, by which rule and on what evidence.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_EXPLAIN_H_
#define VARVE_LIB_CLI_EXPLAIN_H_

#include <string>

#include "cli/exit_status.h"

namespace varve::cli {

struct ExplainSettings {
  std::string directory;
  bool json = false;
};

// Prints the report that the partition keeps.
[[nodiscard]] ExitStatus RunExplain(const ExplainSettings& settings);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_EXPLAIN_H_
