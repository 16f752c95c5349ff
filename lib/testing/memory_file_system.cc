#include "varve/testing/memory_file_system.h"

#include <utility>

#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "testing/memory_file.h"
#include "testing/memory_state.h"

namespace varve {

using internal::Error;
using internal::MemoryNodePtr;
using internal::MemoryNodeUse;

MemoryFileSystem::MemoryFileSystem() : MemoryFileSystem(Options{}) {}

MemoryFileSystem::MemoryFileSystem(const Options& options) : state_(std::make_shared<internal::MemoryState>(options)) {}

MemoryFileSystem::MemoryFileSystem(std::shared_ptr<internal::MemoryState> state) : state_(std::move(state)) {}

std::unique_ptr<MemoryFileSystem> MemoryFileSystem::CloneAfterCrash(const CrashOptions& options) const {
  const absl::MutexLock lock(&state_->mutex());
  return std::unique_ptr<MemoryFileSystem>(new MemoryFileSystem(state_->AfterCrash(options)));
}

std::unique_ptr<MemoryFileSystem> MemoryFileSystem::CloneAfterProcessDeath() const {
  const absl::MutexLock lock(&state_->mutex());
  return std::unique_ptr<MemoryFileSystem>(new MemoryFileSystem(state_->AfterProcessDeath()));
}

void MemoryFileSystem::set_capacity_bytes(std::optional<uint64_t> capacity_bytes) {
  const absl::MutexLock lock(&state_->mutex());
  state_->space().set_capacity_bytes(capacity_bytes);
}

uint64_t MemoryFileSystem::used_bytes() const {
  const absl::MutexLock lock(&state_->mutex());
  return state_->space().used_bytes();
}

void MemoryFileSystem::FailNextSync(const std::string& path_part, absl::Status status) {
  const absl::MutexLock lock(&state_->mutex());
  state_->PlanSyncFailure(path_part, std::move(status));
}

absl::StatusOr<std::unique_ptr<File>> MemoryFileSystem::Open(const std::string& path, OpenMode mode) {
  const absl::MutexLock lock(&state_->mutex());
  VARVE_ASSIGN_OR_RETURN(MemoryNodePtr node, state_->Open(path, mode));
  auto use = std::make_shared<MemoryNodeUse>(state_, std::move(node));
  return std::make_unique<internal::MemoryFile>(std::move(use), path, mode != OpenMode::kRead);
}

absl::Status MemoryFileSystem::Rename(const std::string& from, const std::string& to) {
  const absl::MutexLock lock(&state_->mutex());
  return state_->Rename(from, to);
}

absl::Status MemoryFileSystem::Remove(const std::string& path) {
  const absl::MutexLock lock(&state_->mutex());
  return state_->Remove(path);
}

absl::Status MemoryFileSystem::CreateDirectory(const std::string& path) {
  const absl::MutexLock lock(&state_->mutex());
  return state_->CreateDirectory(path);
}

absl::Status MemoryFileSystem::RemoveDirectory(const std::string& path) {
  const absl::MutexLock lock(&state_->mutex());
  return state_->RemoveDirectory(path);
}

absl::StatusOr<std::vector<std::string>> MemoryFileSystem::List(const std::string& path) {
  const absl::MutexLock lock(&state_->mutex());
  VARVE_ASSIGN_OR_RETURN(const MemoryNodePtr node, state_->names().Resolve(path));
  if (!node->is_directory()) return Error(absl::StatusCode::kNotFound, "{}: list: not a directory", path);
  std::vector<std::string> names;
  for (const auto& [name, entry] : state_->names().current().Entries(node->number)) names.push_back(name);
  return names;
}

absl::Status MemoryFileSystem::SyncDirectory(const std::string& path) {
  const absl::MutexLock lock(&state_->mutex());
  VARVE_ASSIGN_OR_RETURN(const MemoryNodePtr node, state_->names().Resolve(path));
  if (!node->is_directory()) return Error(absl::StatusCode::kNotFound, "{}: sync: not a directory", path);
  state_->names().Sync(node->number);
  return absl::OkStatus();
}

absl::StatusOr<FileInfo> MemoryFileSystem::Info(const std::string& path) {
  const absl::MutexLock lock(&state_->mutex());
  VARVE_ASSIGN_OR_RETURN(const MemoryNodePtr node, state_->names().Resolve(path));
  return state_->Info(*node);
}

absl::StatusOr<std::unique_ptr<FileLock>> MemoryFileSystem::Lock(const std::string& path, LockKind kind) {
  const absl::MutexLock lock(&state_->mutex());
  VARVE_ASSIGN_OR_RETURN(MemoryNodePtr node, state_->FindFile(path));
  if (node->has_exclusive_lock || (kind == LockKind::kExclusive && node->shared_lock_count > 0)) {
    return Error(absl::StatusCode::kUnavailable, "{}: lock: held by this process", path);
  }
  return std::make_unique<internal::MemoryLock>(std::make_unique<MemoryNodeUse>(state_, std::move(node)), kind);
}

absl::StatusOr<bool> MemoryFileSystem::IsLocked(const std::string& path) {
  const absl::MutexLock lock(&state_->mutex());
  VARVE_ASSIGN_OR_RETURN(const MemoryNodePtr node, state_->FindFile(path));
  return node->has_exclusive_lock;
}

std::string MemoryFileSystem::BootId() { return state_->BootId(); }

absl::StatusOr<bool> MemoryFileSystem::AllocationIsPromise(const std::string& directory) {
  VARVE_RETURN_IF_ERROR(Info(directory).status());
  return state_->options().allocation_is_promise;
}

}  // namespace varve
