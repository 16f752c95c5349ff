// Whose a file is, where that is another user than whom this process runs as.
#ifndef VARVE_LIB_IO_FILE_OWNER_H_
#define VARVE_LIB_IO_FILE_OWNER_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "varve/file_system.h"

namespace varve::internal {

// Names of users, or their numbers where the system knows no name.
struct ForeignOwner {
  std::string owner;   // of the file
  std::string caller;  // the effective user of this process
};

// Absent where the file is the caller's own, and where it is none of the system's (File::Descriptor): in memory, or on an
// overlay. Errors: as File::Info. Thread rules: callable from any thread.
[[nodiscard]] absl::StatusOr<std::optional<ForeignOwner>> ForeignOwnerOf(const File& file);

}  // namespace varve::internal

#endif  // VARVE_LIB_IO_FILE_OWNER_H_
