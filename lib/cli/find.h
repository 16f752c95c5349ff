// `varve find`: where offsets, times and epochs lie, and how they were found.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_FIND_H_
#define VARVE_LIB_CLI_FIND_H_

#include <cstdint>
#include <string>
#include <vector>

#include "cli/exit_status.h"

namespace varve::cli {

enum class QueryKind { kOffset, kTime, kEpoch };

struct Query {
  QueryKind kind = QueryKind::kOffset;
  int64_t value = 0;  // an offset, a time in milliseconds or an alias of log_reader.h, an epoch
};

struct FindSettings {
  std::string directory;
  std::vector<Query> queries;
  bool json = false;
};

// Prints an answer to each query, in their order.
[[nodiscard]] ExitStatus RunFind(const FindSettings& settings);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_FIND_H_
