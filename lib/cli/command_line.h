// The command line: every command, its options and their checks are declared in command_line.cc, and nowhere else is
// the parser known.
//
// Thread rules: free function.
#ifndef VARVE_LIB_CLI_COMMAND_LINE_H_
#define VARVE_LIB_CLI_COMMAND_LINE_H_

#include <functional>

#include "cli/exit_status.h"

namespace varve::cli {

// What the user asked for, ready to run.
using Command = std::function<ExitStatus()>;

// The command that the arguments name, with its settings. Wrong use is complained about at once, help and version are
// printed at once: the command that is returned then only answers the exit status.
[[nodiscard]] Command ParseCommandLine(int argc, char** argv);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_COMMAND_LINE_H_
