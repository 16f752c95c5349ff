#include "cli/terminal.h"

#include <unistd.h>

#include <csignal>

namespace varve::cli {
namespace {

// A signal handler may touch nothing but such a flag, which is why it is global.
volatile std::sig_atomic_t interrupted = 0;

}  // namespace

bool StandardErrorIsTerminal() { return isatty(STDERR_FILENO) == 1; }

void CatchInterrupts() {
  const auto note = [](int) { interrupted = 1; };
  std::signal(SIGINT, note);
  std::signal(SIGTERM, note);
}

bool Interrupted() { return interrupted != 0; }

}  // namespace varve::cli
