// The commands of `varve`: each adds its own options to the program and, when it is chosen, runs and leaves its exit
// status.
//
// Thread rules: one thread. Lifetime: `status` must outlive `app`.
#ifndef VARVE_LIB_CLI_COMMANDS_H_
#define VARVE_LIB_CLI_COMMANDS_H_

#include "cli/exit_status.h"

namespace CLI {
class App;
}  // namespace CLI

namespace varve::cli {

void AddAppendCommand(CLI::App* app, ExitStatus* status);
void AddReadCommand(CLI::App* app, ExitStatus* status);
void AddFindCommand(CLI::App* app, ExitStatus* status);
void AddStatCommand(CLI::App* app, ExitStatus* status);
void AddDumpCommand(CLI::App* app, ExitStatus* status);
void AddVerifyCommand(CLI::App* app, ExitStatus* status);
void AddRepairCommand(CLI::App* app, ExitStatus* status);
void AddExplainCommand(CLI::App* app, ExitStatus* status);
void AddTruncateCommand(CLI::App* app, ExitStatus* status);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_COMMANDS_H_
