// Counts the system calls of a piece of work, or names them, by running it in a child process under ptrace.
#ifndef VARVE_TESTS_SUPPORT_SYSTEM_CALL_COUNTER_H_
#define VARVE_TESTS_SUPPORT_SYSTEM_CALL_COUNTER_H_

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <vector>

#include "gtest/gtest.h"

namespace varve::testing_support {

// A call that does nothing and that nobody else makes: it marks where counting begins and ends.
inline constexpr long kMarkerArgument = 0x76617276;
inline void MarkSystemCalls() { ::syscall(SYS_getpgid, kMarkerArgument); }

// Runs `work` in a child; it must call MarkSystemCalls twice. The numbers of the system calls in between, in order;
// absent, with a test failure, if the child did not end with exit code 0 or did not mark twice.
inline std::optional<std::vector<long>> TraceSystemCalls(const std::function<bool()>& work) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    ::_exit(work() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  int markers = 0;
  std::vector<long> calls;
  bool entering = true;
  for (;;) {
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    if (::waitpid(child, &status, 0) != child || WIFEXITED(status) || WIFSIGNALED(status)) break;
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    if (entering) {
      user_regs_struct registers{};
      ::ptrace(PTRACE_GETREGS, child, nullptr, &registers);
      const bool marker = registers.orig_rax == SYS_getpgid && registers.rdi == static_cast<uint64_t>(kMarkerArgument);
      if (marker) {
        ++markers;
      } else if (markers == 1) {
        calls.push_back(static_cast<long>(registers.orig_rax));
      }
    }
    entering = !entering;
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || markers != 2) {
    ADD_FAILURE() << "the traced child ended with wait status " << status << " after " << markers << " of 2 markers";
    return std::nullopt;
  }
  return calls;
}

// How many there are.
inline std::optional<int64_t> CountSystemCalls(const std::function<bool()>& work) {
  const std::optional<std::vector<long>> calls = TraceSystemCalls(work);
  return calls.has_value() ? std::optional(static_cast<int64_t>(calls->size())) : std::nullopt;
}

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_SUPPORT_SYSTEM_CALL_COUNTER_H_
