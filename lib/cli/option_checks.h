// Checks and conversions of option values, in the form that CLI11 takes: what they refuse is wrong use of the command.
//
// Thread rules: free functions.
#ifndef VARVE_LIB_CLI_OPTION_CHECKS_H_
#define VARVE_LIB_CLI_OPTION_CHECKS_H_

#include <string>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"  // App.hpp of this library does not include what it needs
#include "CLI/Formatter.hpp"

namespace varve::cli {

// "65536", "64KiB", "1GiB" (1024) or "64KB" (1000) becomes a number of bytes.
[[nodiscard]] CLI::Validator SizeInBytes();

// A time as ParseTime and ParseLookupTime take it becomes milliseconds.
[[nodiscard]] CLI::Validator TimeInMs();
[[nodiscard]] CLI::Validator LookupTimeInMs();

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_OPTION_CHECKS_H_
