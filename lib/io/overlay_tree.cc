#include "io/overlay_tree.h"

#include <algorithm>
#include <set>

#include "base/path.h"
#include "base/status.h"

namespace varve::internal {
namespace {

// Numbers of this kernel's file systems start from the other end.
constexpr uint64_t kFirstCreatedNumber = uint64_t{1} << 63;

OverlayNodePtr Root(const std::string& base_path) {
  auto root = std::make_shared<OverlayNode>();
  root->is_directory = true;
  root->base_path = base_path;
  return root;
}

absl::Status NotFound(const std::string& path) {
  return Error(absl::StatusCode::kNotFound, "{}: no such file or directory", path);
}

}  // namespace

OverlayTree::OverlayTree(FileSystem* base) : base_(base), absolute_root_(Root("/")), relative_root_(Root(".")) {}

absl::StatusOr<OverlayNodePtr> OverlayTree::Find(const OverlayNodePtr& directory, const std::string& name) {
  const auto entry = directory->entries.find(name);
  if (entry != directory->entries.end()) return entry->second.node;
  if (!directory->base_path.has_value()) return nullptr;
  const std::string base_path = *directory->base_path == "." ? name : JoinPath(*directory->base_path, name);
  const absl::StatusOr<FileInfo> info = base_->Info(base_path);
  if (absl::IsNotFound(info.status())) return nullptr;
  if (!info.ok()) return info.status();
  auto node = std::make_shared<OverlayNode>();
  node->is_directory = info->is_directory;
  node->base_path = base_path;
  directory->entries[name] = {.node = node};
  return node;
}

absl::StatusOr<OverlayTree::Place> OverlayTree::ResolveParent(const std::string& path) {
  std::vector<std::string> components = PathComponents(path);
  if (components.empty()) {
    return path.empty() ? NotFound(path)
                        : Error(absl::StatusCode::kInvalidArgument, "{}: names nothing in a directory", path);
  }
  Place place;
  place.name = std::move(components.back());
  components.pop_back();
  place.directory = path.front() == '/' ? absolute_root_ : relative_root_;
  place.directories.push_back(place.directory);
  for (const std::string& component : components) {
    VARVE_ASSIGN_OR_RETURN(place.directory, Find(place.directory, component));
    if (place.directory == nullptr || !place.directory->is_directory) return NotFound(path);
    place.directories.push_back(place.directory);
  }
  return place;
}

absl::StatusOr<OverlayNodePtr> OverlayTree::Resolve(const std::string& path) {
  if (!path.empty() && PathComponents(path).empty()) return path.front() == '/' ? absolute_root_ : relative_root_;
  VARVE_ASSIGN_OR_RETURN(const Place place, ResolveParent(path));
  VARVE_ASSIGN_OR_RETURN(OverlayNodePtr node, Find(place.directory, place.name));
  if (node == nullptr) return NotFound(path);
  return node;
}

absl::StatusOr<std::vector<std::string>> OverlayTree::List(const OverlayNode& directory) {
  std::set<std::string> names;
  if (directory.base_path.has_value()) {
    VARVE_ASSIGN_OR_RETURN(const std::vector<std::string> base_names, base_->List(*directory.base_path));
    names.insert(base_names.begin(), base_names.end());
  }
  for (const auto& [name, entry] : directory.entries) {
    if (entry.node == nullptr) names.erase(name);
    if (entry.is_placed) names.insert(name);
  }
  return std::vector<std::string>(names.begin(), names.end());
}

OverlayNodePtr OverlayTree::Create(const Place& place, bool is_directory) {
  auto node = std::make_shared<OverlayNode>();
  node->is_directory = is_directory;
  node->number = kFirstCreatedNumber + created_count_++;
  if (!is_directory) node->content = std::make_shared<OverlayContent>();
  place.directory->entries[place.name] = {.node = node, .is_placed = true};
  return node;
}

absl::Status OverlayTree::Rename(const std::string& from, const std::string& to) {
  VARVE_ASSIGN_OR_RETURN(const OverlayNodePtr node, Resolve(from));
  VARVE_ASSIGN_OR_RETURN(const Place old_place, ResolveParent(from));
  VARVE_ASSIGN_OR_RETURN(const Place new_place, ResolveParent(to));
  VARVE_ASSIGN_OR_RETURN(const OverlayNodePtr replaced, Find(new_place.directory, new_place.name));
  if (replaced == node) return absl::OkStatus();
  if (std::ranges::find(new_place.directories, node) != new_place.directories.end()) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: rename to {}: within itself", from, to);
  }
  if (replaced != nullptr) {
    if (node->is_directory && !replaced->is_directory) {
      return Error(absl::StatusCode::kNotFound, "{}: rename to {}: expected a directory, found a file", from, to);
    }
    if (!node->is_directory && replaced->is_directory) {
      return Error(absl::StatusCode::kInvalidArgument, "{}: rename to {}: expected a file, found a directory", from,
                   to);
    }
    if (replaced->is_directory) {
      VARVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, List(*replaced));
      if (!names.empty()) {
        return Error(absl::StatusCode::kAlreadyExists, "{}: rename to {}: the directory is not empty", from, to);
      }
    }
  }
  old_place.directory->entries[old_place.name] = {};
  new_place.directory->entries[new_place.name] = {.node = node, .is_placed = true};
  return absl::OkStatus();
}

absl::Status OverlayTree::Remove(const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(const OverlayNodePtr node, Resolve(path));
  if (node->is_directory) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: remove: expected a file, found a directory", path);
  }
  VARVE_ASSIGN_OR_RETURN(const Place place, ResolveParent(path));
  place.directory->entries[place.name] = {};
  return absl::OkStatus();
}

absl::Status OverlayTree::RemoveDirectory(const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(const OverlayNodePtr node, Resolve(path));
  if (!node->is_directory) {
    return Error(absl::StatusCode::kNotFound, "{}: remove directory: not a directory", path);
  }
  VARVE_ASSIGN_OR_RETURN(const Place place, ResolveParent(path));
  VARVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, List(*node));
  if (!names.empty()) {
    return Error(absl::StatusCode::kAlreadyExists, "{}: remove directory: it is not empty", path);
  }
  place.directory->entries[place.name] = {};
  return absl::OkStatus();
}

}  // namespace varve::internal
