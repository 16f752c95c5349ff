// PosixFileSystem: the system's file system, FileSystem::Default().
#ifndef VARVE_LIB_IO_POSIX_FILE_SYSTEM_H_
#define VARVE_LIB_IO_POSIX_FILE_SYSTEM_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/file_system.h"

namespace varve::internal {

class PosixFileSystem : public FileSystem {
 public:
  // Regular files only: anything else of that name is kInvalidArgument.
  [[nodiscard]] absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  [[nodiscard]] absl::Status Rename(const std::string& from, const std::string& to) override;
  [[nodiscard]] absl::Status Remove(const std::string& path) override;
  [[nodiscard]] absl::Status CreateDirectory(const std::string& path) override;
  [[nodiscard]] absl::Status RemoveDirectory(const std::string& path) override;
  [[nodiscard]] absl::StatusOr<std::vector<std::string>> List(const std::string& path) override;
  [[nodiscard]] absl::Status SyncDirectory(const std::string& path) override;
  [[nodiscard]] absl::StatusOr<FileInfo> Info(const std::string& path) override;
  // Opens the file for itself: an exclusive lock needs permission to write it, a shared one to read it.
  [[nodiscard]] absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path, LockKind kind) override;
  [[nodiscard]] absl::StatusOr<bool> IsLocked(const std::string& path) override;
  [[nodiscard]] std::string BootId() override;
  [[nodiscard]] absl::StatusOr<bool> AllocationIsPromise(const std::string& directory) override;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_IO_POSIX_FILE_SYSTEM_H_
