#include "cli/output.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace varve::cli {

void Output::Flush() {
  if (ok() && (std::fwrite(buffer_.data(), 1, buffer_.size(), stdout) != buffer_.size() || std::fflush(stdout) != 0)) {
    error_ = errno;
  }
  buffer_.clear();
}

ExitStatus Output::Finish(std::string_view command, ExitStatus status) {
  Flush();
  if (ok()) return status;
  if (error_ == EPIPE) return status;
  return Complain(command, ExitStatus::kSystem, fmt::format("standard output: {}", std::strerror(error_)));
}

void IgnoreBrokenPipes() { std::signal(SIGPIPE, SIG_IGN); }

}  // namespace varve::cli
