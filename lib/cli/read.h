// `varve read`: prints records, and follows the log if asked to.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_READ_H_
#define VARVE_LIB_CLI_READ_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "cli/exit_status.h"

namespace varve::cli {

enum class ReadFormat { kValue, kKeyValue, kJsonLines };

struct ReadSettings {
  std::string directory;
  std::optional<int64_t> from_offset;  // absent: from_time_ms, else the log start
  std::optional<int64_t> from_time_ms;
  int64_t max_records = std::numeric_limits<int64_t>::max();
  int64_t to_offset = std::numeric_limits<int64_t>::max();  // exclusive
  bool follow = false;
  ReadFormat format = ReadFormat::kValue;
  std::string key_separator = "\t";
  bool committed = false;
};

// Prints the records to standard output; damage is read around, and told on standard error.
[[nodiscard]] ExitStatus RunRead(const ReadSettings& settings);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_READ_H_
