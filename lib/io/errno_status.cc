#include "io/errno_status.h"

#include <cerrno>
#include <system_error>

#include "base/status.h"

namespace varve::internal {

absl::StatusCode CodeOfErrno(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::StatusCode::kNotFound;
    case EEXIST:
    case ENOTEMPTY:
      return absl::StatusCode::kAlreadyExists;
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::StatusCode::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::StatusCode::kResourceExhausted;
    case EOPNOTSUPP:
    case ENOSYS:
      return absl::StatusCode::kUnimplemented;
    case EINVAL:
    case EISDIR:
    case ENAMETOOLONG:
    case EBADF:
    case EFBIG:
      return absl::StatusCode::kInvalidArgument;
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::Status ErrnoStatus(int error, std::string_view path, std::string_view operation) {
  return Error(CodeOfErrno(error), "{}: {}: {}", path, operation, std::generic_category().message(error));
}

}  // namespace varve::internal
