// `varve stat`: offsets, segments, sizes, times, codecs and index density of a partition, and a picture of its
// segments.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_STAT_H_
#define VARVE_LIB_CLI_STAT_H_

#include <string>

#include "cli/exit_status.h"

namespace varve::cli {

struct StatSettings {
  std::string directory;
  bool json = false;
};

// Prints what opening the partition would show; changes nothing.
[[nodiscard]] ExitStatus RunStat(const StatSettings& settings);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_STAT_H_
