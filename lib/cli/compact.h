// `varve compact`: keeps the latest record of each key.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_COMPACT_H_
#define VARVE_LIB_CLI_COMPACT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "cli/exit_status.h"
#include "varve/compaction.h"
#include "varve/log_options.h"

namespace varve::cli {

struct CompactSettings {
  std::string directory;
  int64_t delete_retention_ms = LogOptions().delete_retention_ms;
  int64_t min_lag_ms = LogOptions().min_compaction_lag_ms;
  int64_t map_bytes = CompactionOptions().key_map_bytes;
  int64_t segment_bytes = LogOptions().segment_bytes;  // up to which segments grow together
  std::optional<int64_t> now_ms;
  bool drop_unkeyed = false;  // else a partition that holds records without a key is refused
  bool json = false;
};

// Compacts everything that may be touched, the active segment too, in as many passes as the key map needs, and prints a
// summary. A partition of which nothing is dirty and no tombstone's time has come is left as it is.
[[nodiscard]] ExitStatus RunCompact(const CompactSettings& settings);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_COMPACT_H_
