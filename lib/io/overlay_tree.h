// OverlayTree: the names of an OverlayFileSystem: those of the base, and the changes to them.
#ifndef VARVE_LIB_IO_OVERLAY_TREE_H_
#define VARVE_LIB_IO_OVERLAY_TREE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "io/overlay_content.h"
#include "varve/file_system.h"

namespace varve::internal {

// A file or directory, whatever its name is at the moment.
struct OverlayNode {
  bool is_directory = false;
  uint64_t number = 0;                   // the inode's, where the base has none
  std::optional<std::string> base_path;  // where the base has it; none for what was made here

  // Of a file: its content, once somebody opened it.
  std::shared_ptr<OverlayContent> content;
  int shared_lock_count = 0;
  bool has_exclusive_lock = false;

  // Of a directory: names that are not simply the base's. A null node is a name that is no longer there.
  struct Entry {
    std::shared_ptr<OverlayNode> node = nullptr;
    bool is_placed = false;  // put here by a creation or a rename; otherwise just looked up in the base
  };
  std::map<std::string, Entry> entries;
};

using OverlayNodePtr = std::shared_ptr<OverlayNode>;

// Not thread-safe: the file system's lock guards it.
class OverlayTree {
 public:
  explicit OverlayTree(FileSystem* base);

  struct Place {
    OverlayNodePtr directory;
    std::string name;
    // The directories from the root to `directory`, both included.
    std::vector<OverlayNodePtr> directories;
  };

  // The node of a path; kNotFound, or the base's error.
  [[nodiscard]] absl::StatusOr<OverlayNodePtr> Resolve(const std::string& path);
  // Where a path's last name is or would be; kNotFound if there is no such directory.
  [[nodiscard]] absl::StatusOr<Place> ResolveParent(const std::string& path);
  // The node of a name in a directory; null if there is none.
  [[nodiscard]] absl::StatusOr<OverlayNodePtr> Find(const OverlayNodePtr& directory, const std::string& name);
  [[nodiscard]] absl::StatusOr<std::vector<std::string>> List(const OverlayNode& directory);

  // A file or directory that the base does not have, under this name, which must be free.
  OverlayNodePtr Create(const Place& place, bool is_directory);
  [[nodiscard]] absl::Status Rename(const std::string& from, const std::string& to);
  [[nodiscard]] absl::Status Remove(const std::string& path);
  [[nodiscard]] absl::Status RemoveDirectory(const std::string& path);

 private:
  FileSystem* base_;
  OverlayNodePtr absolute_root_;  // of paths that begin with a slash
  OverlayNodePtr relative_root_;  // of the others: the working directory
  uint64_t created_count_ = 0;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_IO_OVERLAY_TREE_H_
