#include "testing/memory_names.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/path.h"
#include "base/status.h"

namespace varve::internal {

MemoryNodePtr NameView::Find(const MemoryName& name) const {
  const auto& entries = Entries(name.directory);
  const auto entry = entries.find(name.name);
  return entry == entries.end() ? nullptr : entry->second;
}

const std::map<std::string, MemoryNodePtr>& NameView::Entries(uint64_t directory) const {
  static const auto* const none = new std::map<std::string, MemoryNodePtr>;
  const auto entries = directories_.find(directory);
  return entries == directories_.end() ? *none : entries->second;
}

bool NameView::IsWithin(uint64_t directory, uint64_t ancestor) const {
  if (directory == ancestor) return true;
  return std::ranges::any_of(Entries(ancestor), [&](const auto& entry) {
    return entry.second->is_directory() && IsWithin(directory, entry.second->number);
  });
}

bool NameView::Fits(const NameChange& change) const {
  if (change.from.has_value() && Find(*change.from) != change.node) return false;
  if (!change.to.has_value()) return true;
  const MemoryNodePtr taken = Find(*change.to);
  if (!change.from.has_value()) return taken == nullptr;
  if (change.node->is_directory() && IsWithin(change.to->directory, change.node->number)) return false;
  if (taken == nullptr || taken == change.node) return true;
  return taken->is_directory() == change.node->is_directory() && Entries(taken->number).empty();
}

bool NameView::Apply(const NameChange& change) {
  if (!Fits(change)) return false;
  if (change.from.has_value()) directories_[change.from->directory].erase(change.from->name);
  if (change.to.has_value()) directories_[change.to->directory][change.to->name] = change.node;
  return true;
}

std::map<uint64_t, MemoryNodePtr> NameView::Reachable(const MemoryNodePtr& root) const {
  std::map<uint64_t, MemoryNodePtr> reachable = {{root->number, root}};
  for (const auto& [name, node] : Entries(root->number)) reachable.merge(Reachable(node));
  return reachable;
}

NameView NameView::On(const std::map<uint64_t, MemoryNodePtr>& nodes) const {
  NameView view;
  for (const auto& [directory, entries] : directories_) {
    for (const auto& [name, node] : entries) {
      const auto stand_in = nodes.find(node->number);
      if (stand_in != nodes.end()) view.directories_[directory][name] = stand_in->second;
    }
  }
  return view;
}

absl::StatusOr<MemoryNodePtr> MemoryNames::Resolve(const std::string& path) const {
  if (path.empty()) return Error(absl::StatusCode::kNotFound, "the empty path names nothing");
  MemoryNodePtr node = root_;
  for (const std::string& component : PathComponents(path)) {
    // A file has no entries, so a path through one is not found either.
    node = current_.Find({.directory = node->number, .name = component});
    if (node == nullptr) return Error(absl::StatusCode::kNotFound, "{}: no such file or directory", path);
  }
  return node;
}

absl::StatusOr<MemoryName> MemoryNames::ResolveParent(const std::string& path) const {
  std::vector<std::string> components = PathComponents(path);
  if (components.empty()) {
    return Error(path.empty() ? absl::StatusCode::kNotFound : absl::StatusCode::kInvalidArgument,
                 "'{}' names nothing in a directory", path);
  }
  MemoryName name = {.directory = root_->number, .name = components.back()};
  components.pop_back();
  for (const std::string& component : components) {
    const MemoryNodePtr node = current_.Find({.directory = name.directory, .name = component});
    if (node == nullptr || !node->is_directory()) {
      return Error(absl::StatusCode::kNotFound, "{}: no such file or directory", path);
    }
    name.directory = node->number;
  }
  return name;
}

void MemoryNames::Change(NameChange change) {
  current_.Apply(change);
  unsynced_.push_back(std::move(change));
}

void MemoryNames::Sync(uint64_t directory) {
  const auto touches = [directory](const std::optional<MemoryName>& name) {
    return name.has_value() && name->directory == directory;
  };
  std::set<uint64_t> nodes;
  std::vector<NameChange> synced;
  std::vector<NameChange> waiting;
  // clang 14 does not compile libstdc++'s std::views::reverse.
  // NOLINTBEGIN(modernize-loop-convert)
  for (auto change = unsynced_.rbegin(); change != unsynced_.rend(); ++change) {
    if (touches(change->from) || touches(change->to) || nodes.contains(change->node->number)) {
      nodes.insert(change->node->number);
      synced.push_back(*change);
    } else {
      waiting.push_back(*change);
    }
  }
  for (auto change = synced.rbegin(); change != synced.rend(); ++change) stable_.Apply(*change);
  // NOLINTEND(modernize-loop-convert)
  unsynced_.assign(waiting.rbegin(), waiting.rend());
}

NameView MemoryNames::AfterCrash(CrashMode mode, std::mt19937_64* random) const {
  if (mode == CrashMode::kLoseAllUnsynced) return stable_;
  if (mode == CrashMode::kKeepAll) return current_;
  // Drawn once a crash, so that some have nearly all of the changes and some nearly none.
  constexpr std::array<unsigned, 5> kEighths = {0, 1, 4, 7, 8};
  const unsigned keep_eighths = kEighths[(*random)() % kEighths.size()];
  NameView found = stable_;
  for (const NameChange& change : unsynced_) {
    if ((*random)() % 8 < keep_eighths) found.Apply(change);
  }
  return found;
}

std::map<uint64_t, MemoryNodePtr> MemoryNames::AllNodes() const {
  std::map<uint64_t, MemoryNodePtr> nodes = current_.Reachable(root_);
  nodes.merge(stable_.Reachable(root_));
  for (const NameChange& change : unsynced_) nodes.emplace(change.node->number, change.node);
  return nodes;
}

MemoryNames MemoryNames::On(const std::map<uint64_t, MemoryNodePtr>& nodes) const {
  MemoryNames names(nodes.at(root_->number));
  names.current_ = current_.On(nodes);
  names.stable_ = stable_.On(nodes);
  names.unsynced_ = unsynced_;
  for (NameChange& change : names.unsynced_) change.node = nodes.at(change.node->number);
  return names;
}

}  // namespace varve::internal
