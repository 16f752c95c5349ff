// `varve dump`: everything in a partition, or in one of its files, as the files are.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_DUMP_H_
#define VARVE_LIB_CLI_DUMP_H_

#include <cstdint>
#include <optional>
#include <string>

#include "cli/dump_forms.h"
#include "cli/exit_status.h"

namespace varve::cli {

struct DumpSettings {
  std::string path;        // of a partition directory or of a file
  bool as_opened = false;  // what opening would leave, in place of what is there
  bool json = false;
  std::optional<int64_t> index_interval_bytes;  // of indexes that opening would rebuild (LogOptions)
  DumpForm form;
};

// Prints all of it as it is at one moment, whatever a writer takes away meanwhile; changes nothing. What is odd is told
// on standard error, after the dump.
[[nodiscard]] ExitStatus RunDump(const DumpSettings& settings);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_DUMP_H_
