// `varve export`: copies a partition out of the log directory of a stopped Kafka broker.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_EXPORT_H_
#define VARVE_LIB_CLI_EXPORT_H_

#include <string>

#include "cli/exit_status.h"

namespace varve::cli {

struct ExportSettings {
  std::string directory;  // in a broker's log directory
  std::string target;
  bool dry_run = false;
  bool json = false;
};

// Exports the partition and prints a summary.
[[nodiscard]] ExitStatus RunExport(const ExportSettings& settings);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_EXPORT_H_
