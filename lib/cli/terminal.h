// What the command wants to know of the terminal and its user: whether anybody watches, and whether Ctrl-C was pressed.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_TERMINAL_H_
#define VARVE_LIB_CLI_TERMINAL_H_

namespace varve::cli {

[[nodiscard]] bool StandardErrorIsTerminal();

// From now on an interrupt (Ctrl-C) or a request to terminate only makes Interrupted() true.
void CatchInterrupts();
[[nodiscard]] bool Interrupted();

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_TERMINAL_H_
