// MemoryNames: the directories of a MemoryFileSystem, as they are and as stable storage has them.
//
// A change of a name (creation, removal, rename) is one value. It is applied to what is there at once, and to what is
// stable when a sync reaches it; until then it waits in order, and a crash may have let it happen or not.
#ifndef VARVE_LIB_TESTING_MEMORY_NAMES_H_
#define VARVE_LIB_TESTING_MEMORY_NAMES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "testing/memory_file_image.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {

// A file or a directory, whatever its name is at the moment.
struct MemoryNode {
  uint64_t number = 0;  // the inode's; never used again
  int64_t birth_ms = 0;
  int64_t modified_ms = 0;
  std::unique_ptr<MemoryFileImage> file;  // null for a directory

  bool has_name = true;
  int use_count = 0;  // open files, mappings and locks
  int shared_lock_count = 0;
  bool has_exclusive_lock = false;
  uint64_t failed_sync_count = 0;
  absl::Status sync_error;  // of the last failed sync

  [[nodiscard]] bool is_directory() const { return file == nullptr; }
};

using MemoryNodePtr = std::shared_ptr<MemoryNode>;

// A name in a directory.
struct MemoryName {
  uint64_t directory = 0;  // the directory's node number
  std::string name;
};

// Creation has only `to`, removal only `from`, a rename both.
struct NameChange {
  MemoryNodePtr node;
  std::optional<MemoryName> from;
  std::optional<MemoryName> to;
};

// One state of all directories: by the directory's node number, then by name.
class NameView {
 public:
  // Null if there is no such name.
  [[nodiscard]] MemoryNodePtr Find(const MemoryName& name) const;
  // Empty for what is no directory here.
  [[nodiscard]] const std::map<std::string, MemoryNodePtr>& Entries(uint64_t directory) const;
  // True if the directory is `ancestor` or below it.
  [[nodiscard]] bool IsWithin(uint64_t directory, uint64_t ancestor) const;
  // Every node that a path from `root` reaches, itself too, by number.
  [[nodiscard]] std::map<uint64_t, MemoryNodePtr> Reachable(const MemoryNodePtr& root) const;
  // The same names on the nodes that stand in for these, by number; names of other nodes are left out.
  [[nodiscard]] NameView On(const std::map<uint64_t, MemoryNodePtr>& nodes) const;
  // False, and nothing is changed, where the change does not fit this state: its node is not at `from`, or `to` is
  // taken by what it may not replace.
  bool Apply(const NameChange& change);

 private:
  [[nodiscard]] bool Fits(const NameChange& change) const;

  std::map<uint64_t, std::map<std::string, MemoryNodePtr>> directories_;
};

// Not thread-safe: the file system's lock guards it.
class MemoryNames {
 public:
  explicit MemoryNames(MemoryNodePtr root) : root_(std::move(root)) {}
  // What is there and what is stable are the same.
  MemoryNames(MemoryNodePtr root, NameView names)
      : root_(std::move(root)), current_(names), stable_(std::move(names)) {}

  [[nodiscard]] const MemoryNodePtr& root() const { return root_; }
  [[nodiscard]] const NameView& current() const { return current_; }

  // The node of a path; kNotFound.
  [[nodiscard]] absl::StatusOr<MemoryNodePtr> Resolve(const std::string& path) const;

  // The directory and last name of a path, whether that name is there or not; kNotFound if the directory is not.
  [[nodiscard]] absl::StatusOr<MemoryName> ResolveParent(const std::string& path) const;

  // The change happens now and becomes stable later. It must fit.
  void Change(NameChange change);

  // SyncDirectory: every change so far of a name in the directory becomes stable, and with it all earlier changes of
  // the same nodes, without which it would have no meaning.
  void Sync(uint64_t directory);

  // The names after a crash: the stable ones, and of the changes since none, all or some, in order.
  [[nodiscard]] NameView AfterCrash(CrashMode mode, std::mt19937_64* random) const;

  // Every node that has a name, had one at the last sync or may have one after a crash, by number.
  [[nodiscard]] std::map<uint64_t, MemoryNodePtr> AllNodes() const;

  // The same names, stable and not, on the nodes that stand in for all of these, by number.
  [[nodiscard]] MemoryNames On(const std::map<uint64_t, MemoryNodePtr>& nodes) const;

 private:
  MemoryNodePtr root_;
  NameView current_;
  NameView stable_;
  std::vector<NameChange> unsynced_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_TESTING_MEMORY_NAMES_H_
