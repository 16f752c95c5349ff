// How far positions in a file go, in every file system: to the largest that the system's signed type holds.
#ifndef VARVE_LIB_IO_POSITION_LIMIT_H_
#define VARVE_LIB_IO_POSITION_LIMIT_H_

#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "base/status.h"

namespace varve::internal {

inline constexpr uint64_t kPositionLimit = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());

// kInvalidArgument if `length` bytes at `position`, or a size of that sum, reach beyond the limit.
[[nodiscard]] inline absl::Status CheckPositions(const std::string& path, uint64_t position, uint64_t length) {
  if (position <= kPositionLimit && length <= kPositionLimit - position) return absl::OkStatus();
  return Error(absl::StatusCode::kInvalidArgument, "{}: {} bytes at {}: positions end at {}", path, length, position,
               kPositionLimit);
}

}  // namespace varve::internal

#endif  // VARVE_LIB_IO_POSITION_LIMIT_H_
