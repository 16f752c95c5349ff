// The three standard streams and who is at their other ends: whether anybody watches or listens, whether there is
// something to read, and whether Ctrl-C was pressed.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_TERMINAL_H_
#define VARVE_LIB_CLI_TERMINAL_H_

namespace varve::cli {

// Puts /dev/null in the place of every standard stream that is closed, so that no file opened later becomes one: what
// the command prints would end up in it. Reading or writing such a stream fails as it does on a closed one. First of
// all.
void FillClosedStreams();

[[nodiscard]] bool StandardOutputIsTerminal();
[[nodiscard]] bool StandardErrorIsTerminal();

// True once the reader of the pipe or socket that is standard output has gone away.
[[nodiscard]] bool NobodyReadsStandardOutput();

// From now on an interrupt (Ctrl-C) or a request to terminate only makes Interrupted() true; a second one ends the
// process as ever.
void CatchInterrupts();
[[nodiscard]] bool Interrupted();

enum class InputState {
  kReady,        // there is something to read, or the end of the input
  kNothing,      // nothing came in the given time
  kInterrupted,  // Interrupted() is true
};

// Waits until a descriptor can be read, or an interrupt comes, where they are caught: for `timeout_ms` at most, or as
// long as it takes (-1).
[[nodiscard]] InputState WaitForInput(int descriptor, int timeout_ms);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_TERMINAL_H_
