// `varve repair`: recovers a partition as opening would after an unclean stop, rebuilds its indexes, or says what
// it would do.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_REPAIR_H_
#define VARVE_LIB_CLI_REPAIR_H_

#include <cstdint>
#include <optional>
#include <string>

#include "cli/exit_status.h"
#include "varve/verify.h"

namespace varve::cli {

struct RepairSettings {
  std::string directory;
  RepairOptions options;
  std::optional<int64_t> now_ms;  // absent: the system's clock
  bool dry_run = false;
  bool json = false;
};

// Repairs, and prints what was done.
[[nodiscard]] ExitStatus RunRepair(const RepairSettings& settings);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_REPAIR_H_
