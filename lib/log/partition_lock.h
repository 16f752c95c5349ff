// The partition's lock: `varve.lock`, held by the one process and Log that writes. It stays empty: the
// file system knows who holds it.
#ifndef VARVE_LIB_LOG_PARTITION_LOCK_H_
#define VARVE_LIB_LOG_PARTITION_LOCK_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "varve/file_system.h"

namespace varve::internal {

inline constexpr char kLockFileName[] = "varve.lock";

// Takes the lock, making its file where there is none, or answers kUnavailable naming who holds it. Held until the
// result is destroyed.
[[nodiscard]] absl::StatusOr<std::unique_ptr<FileLock>> LockPartition(FileSystem* file_system,
                                                                      const std::string& directory);

// Keeps writers out likewise, beside others who do so. The file is only read, and made only where there is none.
[[nodiscard]] absl::StatusOr<std::unique_ptr<FileLock>> LockPartitionForReading(FileSystem* file_system,
                                                                                const std::string& directory);

// OK if nobody holds the lock, else the answer that LockPartition would give.
[[nodiscard]] absl::Status CheckUnlocked(FileSystem* file_system, const std::string& directory);

// True if some process or Log holds the lock.
[[nodiscard]] absl::StatusOr<bool> PartitionIsLocked(FileSystem* file_system, const std::string& directory);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_PARTITION_LOCK_H_
