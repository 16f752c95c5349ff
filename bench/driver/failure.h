// Fail, Must, Check: a benchmark that cannot go on, or that measured a wrong answer, ends with a message and status 3.
#ifndef VARVE_BENCH_DRIVER_FAILURE_H_
#define VARVE_BENCH_DRIVER_FAILURE_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace varve::bench {

// Ends this process at once: exit handlers are the parent's where it has forked.
[[noreturn]] void Fail(const std::string& what);
[[noreturn]] void FailWith(const absl::Status& status);
[[noreturn]] void FailWronglyAnswered(const char* what);

inline void Must(const absl::Status& status) {
  if (!status.ok()) [[unlikely]] {
    FailWith(status);
  }
}

template <typename T>
T Must(absl::StatusOr<T> result) {
  if (!result.ok()) [[unlikely]] {
    FailWith(result.status());
  }
  return *std::move(result);
}

// What was measured must have been done right.
inline void Check(bool right, const char* what) {
  if (!right) [[unlikely]] {
    FailWronglyAnswered(what);
  }
}

}  // namespace varve::bench

#endif  // VARVE_BENCH_DRIVER_FAILURE_H_
