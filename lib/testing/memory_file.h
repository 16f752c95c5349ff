// MemoryFile: an open file of a MemoryFileSystem; its mappings, and the locks.
#ifndef VARVE_LIB_TESTING_MEMORY_FILE_H_
#define VARVE_LIB_TESTING_MEMORY_FILE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "testing/memory_state.h"
#include "varve/file_system.h"

namespace varve::internal {

// Keeps a node's space and the state alive. Made with the state's lock held, destroyed without it.
class MemoryNodeUse {
 public:
  MemoryNodeUse(std::shared_ptr<MemoryState> state, MemoryNodePtr node);
  ~MemoryNodeUse();
  MemoryNodeUse(const MemoryNodeUse&) = delete;
  MemoryNodeUse& operator=(const MemoryNodeUse&) = delete;

  [[nodiscard]] MemoryState& state() const { return *state_; }
  [[nodiscard]] MemoryNode& node() const { return *node_; }

 private:
  std::shared_ptr<MemoryState> state_;
  MemoryNodePtr node_;
};

class MemoryFile : public File {
 public:
  MemoryFile(std::shared_ptr<MemoryNodeUse> use, std::string path, bool writable);

  [[nodiscard]] absl::StatusOr<size_t> ReadAt(uint64_t position, std::span<std::byte> out) const override;
  [[nodiscard]] absl::Status WriteAt(uint64_t position, std::span<const std::byte> bytes) override;
  [[nodiscard]] absl::StatusOr<uint64_t> Size() const override;
  [[nodiscard]] absl::Status Truncate(uint64_t size) override;
  [[nodiscard]] absl::Status Allocate(uint64_t position, uint64_t length) override;
  [[nodiscard]] absl::Status SyncData() override;
  void StartWriteOut(uint64_t position, uint64_t length) override;
  [[nodiscard]] absl::StatusOr<std::unique_ptr<Mapping>> Map(uint64_t length, Access access) override;
  // As where blocks are shared: of pages that a failed sync dropped this file gets what the disk has.
  [[nodiscard]] absl::Status CopyPrefixFrom(const File& source, uint64_t length) override;
  [[nodiscard]] absl::Status SendTo(int descriptor, uint64_t position, uint64_t length) const override;
  [[nodiscard]] absl::StatusOr<FileInfo> Info() const override;
  [[nodiscard]] const std::string& path() const override { return path_; }

 private:
  [[nodiscard]] absl::Status CheckChange(uint64_t position, uint64_t length) const;
  [[nodiscard]] std::map<uint64_t, std::vector<std::byte>> DroppedAsStored(uint64_t length) const;

  std::shared_ptr<MemoryNodeUse> use_;
  std::string path_;
  bool writable_;
  // How many failed syncs of the node this handle has reported, as the kernel counts for each open file.
  uint64_t reported_failures_ = 0;
};

class MemoryLock : public FileLock {
 public:
  // The caller has seen that the lock is free and holds the state's lock.
  MemoryLock(std::unique_ptr<MemoryNodeUse> use, LockKind kind);
  ~MemoryLock() override;

 private:
  std::unique_ptr<MemoryNodeUse> use_;
  LockKind kind_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_TESTING_MEMORY_FILE_H_
