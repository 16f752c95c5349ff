#include "testing/memory_state.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <random>

#include "base/status.h"

namespace varve::internal {
namespace {

constexpr uint64_t kRootNumber = 1;
constexpr int64_t kFirstTimeMs = 1'700'000'000'000;

uint64_t NextRunNumber() {
  static std::atomic<uint64_t> last = 0;
  return ++last;
}

MemoryNodePtr NewNode(uint64_t number, int64_t now_ms) {
  auto node = std::make_shared<MemoryNode>();
  node->number = number;
  node->birth_ms = now_ms;
  node->modified_ms = now_ms;
  return node;
}

// The same node without its users, locks and content.
MemoryNodePtr StandIn(const MemoryNode& node) {
  MemoryNodePtr stand_in = NewNode(node.number, node.birth_ms);
  stand_in->modified_ms = node.modified_ms;
  stand_in->has_name = node.has_name;
  return stand_in;
}

absl::Status NotAFile(const std::string& path) {
  return Error(absl::StatusCode::kInvalidArgument, "{}: expected a file, found a directory", path);
}

absl::Status Taken(const std::string& path) {
  return Error(absl::StatusCode::kAlreadyExists, "{}: the name is taken", path);
}

}  // namespace

MemoryState::MemoryState(const MemoryFileSystem::Options& options)
    : options_(options),
      run_number_(NextRunNumber()),
      names_(NewNode(kRootNumber, kFirstTimeMs)),
      last_node_number_(kRootNumber) {}

std::string MemoryState::BootId() const { return fmt::format("memory-boot-{}", run_number_); }

int64_t MemoryState::NowMs() {
  return options_.clock != nullptr ? options_.clock->WallMs() : kFirstTimeMs + ++change_count_;
}

absl::StatusOr<MemoryNodePtr> MemoryState::FindFile(const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(MemoryNodePtr node, names_.Resolve(path));
  if (node->is_directory()) return NotAFile(path);
  return node;
}

MemoryNodePtr MemoryState::CreateNode(MemoryName name, bool is_directory) {
  MemoryNodePtr node = NewNode(++last_node_number_, NowMs());
  if (!is_directory) node->file = std::make_unique<MemoryFileImage>(&space_);
  names_.Change({.node = node, .from = std::nullopt, .to = std::move(name)});
  return node;
}

absl::StatusOr<MemoryNodePtr> MemoryState::Open(const std::string& path, OpenMode mode) {
  if (mode == OpenMode::kRead || mode == OpenMode::kReadWrite) return FindFile(path);
  VARVE_ASSIGN_OR_RETURN(MemoryName name, names_.ResolveParent(path));
  MemoryNodePtr node = names_.current().Find(name);
  if (node == nullptr) return CreateNode(std::move(name), false);
  if (mode == OpenMode::kCreate) return Taken(path);
  if (node->is_directory()) return NotAFile(path);
  VARVE_RETURN_IF_ERROR(node->file->Truncate(0));
  MarkModified(node.get());
  return node;
}

absl::Status MemoryState::CreateDirectory(const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(MemoryName name, names_.ResolveParent(path));
  if (names_.current().Find(name) != nullptr) return Taken(path);
  (void)CreateNode(std::move(name), true);
  return absl::OkStatus();
}

absl::Status MemoryState::RemoveDirectory(const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(const MemoryNodePtr node, names_.Resolve(path));
  if (!node->is_directory()) {
    return Error(absl::StatusCode::kNotFound, "{}: remove directory: not a directory", path);
  }
  VARVE_ASSIGN_OR_RETURN(MemoryName name, names_.ResolveParent(path));
  if (!names_.current().Entries(node->number).empty()) {
    return Error(absl::StatusCode::kAlreadyExists, "{}: remove directory: it is not empty", path);
  }
  names_.Change({.node = node, .from = std::move(name), .to = std::nullopt});
  LoseName(node.get());
  return absl::OkStatus();
}

absl::Status MemoryState::Rename(const std::string& from, const std::string& to) {
  VARVE_ASSIGN_OR_RETURN(MemoryName old_name, names_.ResolveParent(from));
  VARVE_ASSIGN_OR_RETURN(const MemoryNodePtr node, names_.Resolve(from));
  VARVE_ASSIGN_OR_RETURN(MemoryName new_name, names_.ResolveParent(to));
  const MemoryNodePtr replaced = names_.current().Find(new_name);
  if (replaced == node) return absl::OkStatus();
  if (node->is_directory() && names_.current().IsWithin(new_name.directory, node->number)) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: rename to {}: within itself", from, to);
  }
  if (replaced != nullptr) {
    if (node->is_directory() && !replaced->is_directory()) {
      return Error(absl::StatusCode::kNotFound, "{}: rename to {}: expected a directory, found a file", from, to);
    }
    if (!node->is_directory() && replaced->is_directory()) return NotAFile(to);
    if (!names_.current().Entries(replaced->number).empty()) return Taken(to);
  }
  names_.Change({.node = node, .from = std::move(old_name), .to = std::move(new_name)});
  if (replaced != nullptr) LoseName(replaced.get());
  return absl::OkStatus();
}

absl::Status MemoryState::Remove(const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(const MemoryNodePtr node, FindFile(path));
  VARVE_ASSIGN_OR_RETURN(MemoryName name, names_.ResolveParent(path));
  names_.Change({.node = node, .from = std::move(name), .to = std::nullopt});
  LoseName(node.get());
  return absl::OkStatus();
}

FileInfo MemoryState::Info(const MemoryNode& node) const {
  FileInfo info;
  info.is_directory = node.is_directory();
  info.size = node.is_directory() ? 0 : node.file->size();
  info.modified_ms = node.modified_ms;
  info.identity.device = 1;
  info.identity.mount = run_number_;
  info.identity.inode = node.number;
  info.identity.birth_ns = node.birth_ms * 1'000'000;
  return info;
}

void MemoryState::EndUse(MemoryNode* node) {
  --node->use_count;
  FreeIfUnused(node);
}

void MemoryState::LoseName(MemoryNode* node) {
  node->has_name = false;
  FreeIfUnused(node);
}

void MemoryState::FreeIfUnused(MemoryNode* node) {
  if (!node->has_name && node->use_count == 0 && !node->is_directory()) node->file->FreeSpace();
}

void MemoryState::PlanSyncFailure(std::string path_part, absl::Status status) {
  sync_failures_.emplace_back(std::move(path_part), std::move(status));
}

absl::Status MemoryState::TakeSyncFailure(const std::string& path) {
  const auto failure = std::ranges::find_if(
      sync_failures_, [&](const auto& planned) { return path.find(planned.first) != std::string::npos; });
  if (failure == sync_failures_.end()) return absl::OkStatus();
  absl::Status status = std::move(failure->second);
  sync_failures_.erase(failure);
  return status;
}

std::shared_ptr<MemoryState> MemoryState::EmptyClone() {
  auto clone = std::make_shared<MemoryState>(options_);
  const absl::MutexLock lock(&clone->mutex_);
  clone->space_.set_capacity_bytes(space_.capacity_bytes());
  clone->last_node_number_ = last_node_number_;
  clone->change_count_ = change_count_;
  return clone;
}

std::shared_ptr<MemoryState> MemoryState::AfterCrash(const CrashOptions& options) {
  std::shared_ptr<MemoryState> clone = EmptyClone();
  const absl::MutexLock lock(&clone->mutex_);
  std::mt19937_64 random(options.seed);
  const NameView found = names_.AfterCrash(options.mode, &random);
  std::map<uint64_t, MemoryNodePtr> stand_ins;
  // By number, so that a seed gives the same clone each time.
  for (const auto& [number, node] : found.Reachable(names_.root())) {
    MemoryNodePtr stand_in = StandIn(*node);
    stand_in->has_name = true;
    if (!node->is_directory()) stand_in->file = node->file->AfterCrash(options.mode, &random, &clone->space_);
    stand_ins.emplace(number, std::move(stand_in));
  }
  clone->names_ = MemoryNames(stand_ins.at(kRootNumber), found.On(stand_ins));
  return clone;
}

// Other threads may store into mapped memory meanwhile. A process dies at one moment: files copied one after the other
// are what there was at a moment if nothing has changed since the first of them was copied.
std::shared_ptr<MemoryState> MemoryState::AfterProcessDeath() {
  while (true) {
    std::shared_ptr<MemoryState> clone = EmptyClone();
    const absl::MutexLock lock(&clone->mutex_);
    clone->run_number_ = run_number_;
    const std::map<uint64_t, MemoryNodePtr> nodes = names_.AllNodes();
    std::map<uint64_t, MemoryNodePtr> stand_ins;
    for (const auto& [number, node] : nodes) {
      MemoryNodePtr stand_in = StandIn(*node);
      if (!node->is_directory()) stand_in->file = node->file->AfterProcessDeath(&clone->space_);
      clone->FreeIfUnused(stand_in.get());
      stand_ins.emplace(number, std::move(stand_in));
    }
    const bool same = std::ranges::all_of(nodes, [&](const auto& node) {
      return node.second->is_directory() || node.second->file->HoldsWhat(*stand_ins.at(node.first)->file);
    });
    if (!same) continue;
    clone->names_ = names_.On(stand_ins);
    return clone;
  }
}

}  // namespace varve::internal
