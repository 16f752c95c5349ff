// What the command answers to the shell, and how it says that something went wrong.
//
//   0 done   1 the data are not right   2 wrong use of the command   3 the system refused
//
// Thread rules: one thread; these write to standard error. Where that is broken, nothing can be said, which is no
// failure.
#ifndef VARVE_LIB_CLI_EXIT_STATUS_H_
#define VARVE_LIB_CLI_EXIT_STATUS_H_

#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "fmt/format.h"

namespace varve::cli {

enum class ExitStatus { kDone = 0, kDataWrong = 1, kUsage = 2, kSystem = 3 };

// The message of a status, as the standard library has it. Lifetime: the status's.
[[nodiscard]] inline std::string_view MessageOf(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

// The exit status that a failure of the library stands for (errors.h tells what each code means).
[[nodiscard]] ExitStatus ExitStatusOf(const absl::Status& status);

// Prints "varve COMMAND: message" and, where there is something to do about it, a line that says what. Returns
// ExitStatusOf(status). `status` is not OK.
ExitStatus Complain(std::string_view command, const absl::Status& status);

// Prints "varve COMMAND: message" and returns `status`.
ExitStatus Complain(std::string_view command, ExitStatus status, std::string_view message);

// Prints "varve COMMAND: message": something worth knowing that is no failure.
void Note(std::string_view command, std::string_view message);

// Writes the text as it is, now.
void WriteToStandardError(std::string_view text);

// A status whose message is formatted by fmt.
template <typename... Args>
[[nodiscard]] absl::Status Failure(absl::StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  return absl::Status(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_EXIT_STATUS_H_
