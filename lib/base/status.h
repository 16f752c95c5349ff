// Statuses with formatted messages, and the two macros that pass them on.
#ifndef VARVE_LIB_BASE_STATUS_H_
#define VARVE_LIB_BASE_STATUS_H_

#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "fmt/format.h"

namespace varve::internal {

// A status whose message is formatted by fmt.
template <typename... Args>
[[nodiscard]] absl::Status Error(absl::StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  return absl::Status(code, fmt::format(format, std::forward<Args>(args)...));
}

// "context: message", code and payloads kept. An OK status stays OK.
[[nodiscard]] absl::Status Annotate(const absl::Status& status, std::string_view context);

// True where a file is at fault, and not the machine around it: its content is wrong, or the device cannot read it.
[[nodiscard]] inline bool IsFaultOfFile(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsInternal(status);
}

// Marks a status for IsPoisoned.
[[nodiscard]] absl::Status MarkPoisoned(absl::Status status);

}  // namespace varve::internal

#define VARVE_STATUS_CONCAT_(a, b) a##b
#define VARVE_STATUS_NAME_(a, b) VARVE_STATUS_CONCAT_(a, b)

// Returns the status from the enclosing function unless it is OK.
#define VARVE_RETURN_IF_ERROR(expression)                                                     \
  do {                                                                                        \
    if (absl::Status varve_status_ = (expression); !varve_status_.ok()) return varve_status_; \
  } while (false)

// Declares or assigns `target` from a StatusOr, or returns its status from the enclosing function.
#define VARVE_ASSIGN_OR_RETURN(target, expression) \
  VARVE_ASSIGN_OR_RETURN_(VARVE_STATUS_NAME_(varve_statusor_, __LINE__), target, expression)
#define VARVE_ASSIGN_OR_RETURN_(temporary, target, expression) \
  auto temporary = (expression);                               \
  if (!temporary.ok()) return std::move(temporary).status();   \
  target = *std::move(temporary)

#endif  // VARVE_LIB_BASE_STATUS_H_
