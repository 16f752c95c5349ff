#include "cli/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace varve::cli {
namespace {

// A signal handler may touch nothing but such objects, which is why they are global. A byte in the pipe wakes a wait
// that began before the signal came.
volatile std::sig_atomic_t interrupted = 0;
std::array<int, 2> wake_pipe = {-1, -1};

void NoteInterrupt(int /*signal*/) {
  const int saved_errno = errno;
  interrupted = 1;
  if (write(wake_pipe[1], "", 1) < 0) errno = saved_errno;  // a full pipe wakes as well
}

}  // namespace

void FillClosedStreams() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number is this one. The wrong direction: using the stream is answered with EBADF.
    if (open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY) != descriptor) return;
  }
}

bool StandardOutputIsTerminal() { return isatty(STDOUT_FILENO) == 1; }

bool StandardErrorIsTerminal() { return isatty(STDERR_FILENO) == 1; }

bool NobodyReadsStandardOutput() {
  pollfd output{.fd = STDOUT_FILENO, .events = 0, .revents = 0};
  return poll(&output, 1, 0) == 1 && (output.revents & (POLLERR | POLLHUP)) != 0;
}

void CatchInterrupts() {
  const bool has_pipe = wake_pipe[0] >= 0 || pipe2(wake_pipe.data(), O_CLOEXEC | O_NONBLOCK) == 0;
  if (!has_pipe) return;  // then an interrupt ends the process, as ever
  struct sigaction action = {};
  action.sa_handler = NoteInterrupt;
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
  for (const int signal : {SIGINT, SIGTERM}) {
    struct sigaction before = {};
    // A shell has its background jobs ignore interrupts: that stays.
    if (sigaction(signal, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(signal, &action, nullptr);
  }
}

bool Interrupted() { return interrupted != 0; }

InputState WaitForInput(int descriptor, int timeout_ms) {
  std::array<pollfd, 2> waits{pollfd{.fd = descriptor, .events = POLLIN, .revents = 0},
                              pollfd{.fd = wake_pipe[0], .events = POLLIN, .revents = 0}};
  for (;;) {
    const int count = poll(waits.data(), waits.size(), timeout_ms);
    if (Interrupted()) return InputState::kInterrupted;
    if (count == 0) return InputState::kNothing;
    if (count > 0 || errno != EINTR) return InputState::kReady;  // what is wrong with the descriptor, reading it tells
  }
}

}  // namespace varve::cli
