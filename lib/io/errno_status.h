// The one place where the system's error numbers become statuses (the meanings are those of varve/errors.h).
#ifndef VARVE_LIB_IO_ERRNO_STATUS_H_
#define VARVE_LIB_IO_ERRNO_STATUS_H_

#include <string_view>

#include "absl/status/status.h"

namespace varve::internal {

// The code of a system error number:
//   ENOENT ENOTDIR                              kNotFound
//   EEXIST ENOTEMPTY                            kAlreadyExists
//   EACCES EPERM EROFS                          kPermissionDenied
//   ENOSPC EDQUOT EMFILE ENFILE ENOMEM          kResourceExhausted
//   EOPNOTSUPP ENOSYS                           kUnimplemented
//   EINVAL EISDIR ENAMETOOLONG EBADF EFBIG      kInvalidArgument
//   all others, EIO first                       kInternal
[[nodiscard]] absl::StatusCode CodeOfErrno(int error);

// "path: operation: text of the error". The operation says what was asked, with position and length where it has them.
[[nodiscard]] absl::Status ErrnoStatus(int error, std::string_view path, std::string_view operation);

}  // namespace varve::internal

#endif  // VARVE_LIB_IO_ERRNO_STATUS_H_
