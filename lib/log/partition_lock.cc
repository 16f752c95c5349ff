#include "log/partition_lock.h"

#include "base/path.h"
#include "base/status.h"

namespace varve::internal {

absl::StatusOr<std::unique_ptr<FileLock>> LockPartition(FileSystem* file_system, const std::string& directory) {
  const std::string path = JoinPath(directory, kLockFileName);
  absl::StatusOr<std::unique_ptr<File>> file = file_system->Open(path, OpenMode::kReadWrite);
  if (absl::IsNotFound(file.status())) file = file_system->Open(path, OpenMode::kCreate);
  if (absl::IsAlreadyExists(file.status())) file = file_system->Open(path, OpenMode::kReadWrite);
  VARVE_RETURN_IF_ERROR(file.status());
  // The file system names the holder.
  absl::StatusOr<std::unique_ptr<FileLock>> lock = file_system->Lock(path, LockKind::kExclusive);
  if (!absl::IsUnavailable(lock.status())) return lock;
  return Annotate(lock.status(), "the partition is open for writing elsewhere; close it there, or open it read-only");
}

absl::StatusOr<bool> PartitionIsLocked(FileSystem* file_system, const std::string& directory) {
  absl::StatusOr<bool> locked = file_system->IsLocked(JoinPath(directory, kLockFileName));
  if (absl::IsNotFound(locked.status())) return false;
  return locked;
}

}  // namespace varve::internal
