#include "log/partition_lock.h"

#include <utility>

#include "base/path.h"
#include "base/status.h"

namespace varve::internal {
namespace {

absl::StatusOr<std::unique_ptr<FileLock>> Ask(FileSystem* file_system, const std::string& path, LockKind kind) {
  // The file system names the holder.
  absl::StatusOr<std::unique_ptr<FileLock>> lock = file_system->Lock(path, kind);
  if (!absl::IsUnavailable(lock.status())) return lock;
  return Annotate(lock.status(), "the partition is open for writing elsewhere; close it there, or open it read-only");
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileLock>> LockPartition(FileSystem* file_system, const std::string& directory) {
  const std::string path = JoinPath(directory, kLockFileName);
  absl::StatusOr<std::unique_ptr<File>> file = file_system->Open(path, OpenMode::kReadWrite);
  if (absl::IsNotFound(file.status())) file = file_system->Open(path, OpenMode::kCreate);
  if (absl::IsAlreadyExists(file.status())) file = file_system->Open(path, OpenMode::kReadWrite);
  VARVE_RETURN_IF_ERROR(file.status());
  return Ask(file_system, path, LockKind::kExclusive);
}

absl::StatusOr<std::unique_ptr<FileLock>> LockPartitionForReading(FileSystem* file_system,
                                                                  const std::string& directory) {
  absl::StatusOr<std::unique_ptr<FileLock>> lock =
      Ask(file_system, JoinPath(directory, kLockFileName), LockKind::kShared);
  return absl::IsNotFound(lock.status()) ? LockPartition(file_system, directory) : std::move(lock);
}

absl::Status CheckUnlocked(FileSystem* file_system, const std::string& directory) {
  VARVE_ASSIGN_OR_RETURN(const bool locked, PartitionIsLocked(file_system, directory));
  if (!locked) return absl::OkStatus();
  // Asked for only to hear who holds it: where nobody does, asking would be in the way of whoever takes it just now.
  return Ask(file_system, JoinPath(directory, kLockFileName), LockKind::kShared).status();
}

absl::StatusOr<bool> PartitionIsLocked(FileSystem* file_system, const std::string& directory) {
  absl::StatusOr<bool> locked = file_system->IsLocked(JoinPath(directory, kLockFileName));
  if (absl::IsNotFound(locked.status())) return false;
  return locked;
}

}  // namespace varve::internal
