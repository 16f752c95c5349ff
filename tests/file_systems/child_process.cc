#include "file_systems/child_process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "base/status.h"

namespace varve::testing_support {

ChildProcess::ChildProcess(const std::function<absl::Status()>& body) {
  const pid_t parent = ::getpid();
  id_ = ::fork();
  if (id_ != 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  const absl::Status status = body();
  const std::string message = status.ToString().substr(0, kMessageBytes - 1);
  std::copy(message.begin(), message.end(), message_->begin());
  ::_exit(status.ok() ? 0 : 1);
}

void ChildProcess::Reap(int options) {
  if (running_ && ::waitpid(id_, &wait_status_, options) == id_) running_ = false;
}

bool ChildProcess::IsRunning() {
  Reap(WNOHANG);
  return running_;
}

void ChildProcess::Kill() {
  if (running_) ::kill(id_, SIGKILL);
  Reap(0);
}

int ChildProcess::signal() const { return !running_ && WIFSIGNALED(wait_status_) ? WTERMSIG(wait_status_) : 0; }

absl::Status ChildProcess::Wait() {
  Reap(0);
  if (signal() != 0) {
    return internal::Error(absl::StatusCode::kInternal, "the child was ended by signal {}", signal());
  }
  if (WEXITSTATUS(wait_status_) == 0) return absl::OkStatus();
  return absl::AbortedError(message_->data());
}

}  // namespace varve::testing_support
