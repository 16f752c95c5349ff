// `varve adopt`: hands a partition over to a stopped Kafka broker.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_ADOPT_H_
#define VARVE_LIB_CLI_ADOPT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "cli/exit_status.h"
#include "varve/hand_over.h"

namespace varve::cli {

struct AdoptSettings {
  std::string directory;
  std::string log_directory;  // the broker's
  AdoptOptions options;       // but for the progress
  // The topic's. Only one replica may be adopted, and removing the source wants it said.
  std::optional<int64_t> replication_factor;
  // The topic's, -1 for none. What is older, the broker deletes soon after its start: then the source must not go.
  int64_t retention_ms = int64_t{7} * 24 * 60 * 60 * 1000;
  bool dry_run = false;
  bool json = false;
};

// Adopts the partition, prints what was done, and what is to be done next.
[[nodiscard]] ExitStatus RunAdopt(const AdoptSettings& settings);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_ADOPT_H_
