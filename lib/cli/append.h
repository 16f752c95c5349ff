// `varve append`: records from files or standard input into a partition.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_APPEND_H_
#define VARVE_LIB_CLI_APPEND_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/batch_appender.h"
#include "cli/exit_status.h"
#include "cli/record_input.h"
#include "varve/log_options.h"

namespace varve::cli {

// What is taken into memory of one record, whatever the options say.
inline constexpr int64_t kLargestRecordBytes = int64_t{1} << 30;

struct AppendSettings {
  std::string directory;
  std::vector<std::string> files;  // "-" is standard input, as is none at all
  RecordInputOptions input;
  BatchLimits limits;
  LogOptions log;
  AppendOptions append;
  std::optional<int64_t> now_ms;  // absent: the system's clock
  bool json = false;
};

// Appends, and prints a summary to standard output; what is wrong goes to standard error.
[[nodiscard]] ExitStatus RunAppend(const AppendSettings& settings);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_APPEND_H_
