// MemoryState: all that a MemoryFileSystem and its open files share.
#ifndef VARVE_LIB_TESTING_MEMORY_STATE_H_
#define VARVE_LIB_TESTING_MEMORY_STATE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "testing/memory_names.h"
#include "testing/space_account.h"
#include "varve/file_system.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {

// One lock guards names, nodes and images alike; whoever calls a function that says so holds it. Stores into mapped
// memory need no lock.
class MemoryState {
 public:
  explicit MemoryState(const MemoryFileSystem::Options& options);

  [[nodiscard]] absl::Mutex& mutex() const ABSL_LOCK_RETURNED(mutex_) { return mutex_; }
  [[nodiscard]] const MemoryFileSystem::Options& options() const { return options_; }
  [[nodiscard]] std::string BootId() const;

  [[nodiscard]] SpaceAccount& space() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return space_; }
  [[nodiscard]] MemoryNames& names() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return names_; }

  // The node of the path, which must be a file: kNotFound, kInvalidArgument.
  [[nodiscard]] absl::StatusOr<MemoryNodePtr> FindFile(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::StatusOr<MemoryNodePtr> Open(const std::string& path, OpenMode mode)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status CreateDirectory(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status RemoveDirectory(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status Rename(const std::string& from, const std::string& to)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status Remove(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] FileInfo Info(const MemoryNode& node) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MarkModified(MemoryNode* node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { node->modified_ms = NowMs(); }

  // A node in use keeps its space without a name.
  void BeginUse(MemoryNode* node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { ++node->use_count; }
  void EndUse(MemoryNode* node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void PlanSyncFailure(std::string path_part, absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The first planned failure for this path, which is then spent; OK if there is none.
  [[nodiscard]] absl::Status TakeSyncFailure(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  [[nodiscard]] std::shared_ptr<MemoryState> AfterCrash(const CrashOptions& options)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] std::shared_ptr<MemoryState> AfterProcessDeath() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

 private:
  [[nodiscard]] int64_t NowMs() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] MemoryNodePtr CreateNode(MemoryName name, bool is_directory) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LoseName(MemoryNode* node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FreeIfUnused(MemoryNode* node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A state like this one with no files.
  [[nodiscard]] std::shared_ptr<MemoryState> EmptyClone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  const MemoryFileSystem::Options options_;
  // Of the kernel's run and of the mount: a number no other state of the process has, but for one after a process
  // death.
  uint64_t run_number_;
  // Before names_, whose images give their space back to it.
  SpaceAccount space_ ABSL_GUARDED_BY(mutex_);
  MemoryNames names_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_node_number_ ABSL_GUARDED_BY(mutex_);
  int64_t change_count_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::pair<std::string, absl::Status>> sync_failures_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace varve::internal

#endif  // VARVE_LIB_TESTING_MEMORY_STATE_H_
