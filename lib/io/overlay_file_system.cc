#include "varve/overlay_file_system.h"

#include <span>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/path.h"
#include "base/status.h"
#include "io/file_transfer.h"
#include "io/overlay_content.h"
#include "io/overlay_tree.h"
#include "io/position_limit.h"

namespace varve {
namespace {

using internal::Annotate;
using internal::CheckPositions;
using internal::Error;
using internal::OverlayContent;
using internal::OverlayNodePtr;

constexpr uint64_t kPageBytes = 4096;

// What a file is but for its content.
absl::StatusOr<FileInfo> InfoOf(FileSystem* base, const internal::OverlayNode& node) {
  FileInfo info;
  info.is_directory = node.is_directory;
  info.identity.inode = node.number;
  if (node.base_path.has_value()) {
    VARVE_ASSIGN_OR_RETURN(info, base->Info(*node.base_path));
  }
  if (node.content != nullptr) {
    VARVE_ASSIGN_OR_RETURN(info.size, node.content->Size());
    info.modified_ms = node.content->modified_ms().value_or(info.modified_ms);
  }
  return info;
}

// A mapping of a file brought into memory, or of nothing.
class OverlayMapping : public Mapping {
 public:
  OverlayMapping(std::byte* data, size_t size, std::shared_ptr<OverlayContent> content, std::string path)
      : Mapping(data, size), content_(std::move(content)), path_(std::move(path)) {}

  absl::Status Populate(size_t begin, size_t length) override {
    if (begin > size() || length > size() - begin) {
      return Error(absl::StatusCode::kInvalidArgument, "{}: populate {} bytes at {}: the mapping has {}", path_, length,
                   begin, size());
    }
    if (length == 0) return absl::OkStatus();
    VARVE_ASSIGN_OR_RETURN(const uint64_t file_size, content_->Size());
    // The page that holds the file's last byte may be touched whole.
    if (begin + length <= (file_size + kPageBytes - 1) / kPageBytes * kPageBytes) return absl::OkStatus();
    return Error(absl::StatusCode::kInternal, "{}: populate {} bytes at {}: the file has {} bytes", path_, length,
                 begin, file_size);
  }

 private:
  std::shared_ptr<OverlayContent> content_;
  std::string path_;
};

class OverlayFile : public File {
 public:
  OverlayFile(FileSystem* base, OverlayNodePtr node, std::string path, bool writable, bool allocation_is_promise)
      : base_(base),
        node_(std::move(node)),
        content_(node_->content),
        path_(std::move(path)),
        writable_(writable),
        allocation_is_promise_(allocation_is_promise) {}

  absl::StatusOr<size_t> ReadAt(uint64_t position, std::span<std::byte> out) const override {
    VARVE_RETURN_IF_ERROR(CheckPositions(path_, position, out.size()));
    return content_->Read(position, out);
  }

  absl::Status WriteAt(uint64_t position, std::span<const std::byte> bytes) override {
    VARVE_RETURN_IF_ERROR(CheckChange(position, bytes.size()));
    return Annotate(content_->Write(position, bytes), path_);
  }

  absl::StatusOr<uint64_t> Size() const override { return content_->Size(); }

  absl::Status Truncate(uint64_t size) override {
    VARVE_RETURN_IF_ERROR(CheckChange(0, size));
    return Annotate(content_->Truncate(size), path_);
  }

  absl::Status Allocate(uint64_t position, uint64_t length) override {
    VARVE_RETURN_IF_ERROR(CheckChange(position, length));
    if (!allocation_is_promise_) {
      return Error(absl::StatusCode::kUnimplemented, "{}: allocate: the base reserves no space", path_);
    }
    if (length == 0) return absl::OkStatus();
    return Annotate(content_->Extend(position + length), path_);
  }

  // Nothing here is ever stable.
  absl::Status SyncData() override { return absl::OkStatus(); }
  void StartWriteOut(uint64_t /*position*/, uint64_t /*length*/) override {}

  absl::StatusOr<std::unique_ptr<Mapping>> Map(uint64_t length, Access access) override {
    if (access == Access::kReadWrite) VARVE_RETURN_IF_ERROR(CheckChange(0, length));
    if (length == 0) return std::make_unique<OverlayMapping>(nullptr, 0, content_, path_);
    if (access == Access::kRead) {
      VARVE_ASSIGN_OR_RETURN(std::unique_ptr<Mapping> mapping, content_->MapBase(length));
      if (mapping != nullptr) return mapping;
    }
    const absl::StatusOr<std::byte*> data = content_->Materialize(length);
    if (!data.ok()) return Annotate(data.status(), path_);
    return std::make_unique<OverlayMapping>(*data, length, content_, path_);
  }

  absl::Status CopyPrefixFrom(const File& source, uint64_t length) override {
    VARVE_RETURN_IF_ERROR(CheckChange(0, length));
    if (const auto* const other = dynamic_cast<const OverlayFile*>(&source); other != nullptr && length > 0) {
      std::shared_ptr<File> shared = other->content_->SharedPrefix(length);
      if (shared != nullptr && content_->Share(std::move(shared), length)) return absl::OkStatus();
    }
    return internal::CopyPrefix(source, this, length);
  }

  absl::Status SendTo(int /*descriptor*/, uint64_t position, uint64_t length) const override {
    return Error(absl::StatusCode::kUnimplemented, "{}: send {} bytes at {}: the file is an overlay", path_, length,
                 position);
  }

  absl::StatusOr<FileInfo> Info() const override { return InfoOf(base_, *node_); }
  const std::string& path() const override { return path_; }

 private:
  absl::Status CheckChange(uint64_t position, uint64_t length) const {
    if (!writable_) return Error(absl::StatusCode::kPermissionDenied, "{}: opened for reading only", path_);
    return CheckPositions(path_, position, length);
  }

  FileSystem* base_;
  OverlayNodePtr node_;
  std::shared_ptr<OverlayContent> content_;
  std::string path_;
  bool writable_;
  bool allocation_is_promise_;
};

absl::Status NotAFile(const std::string& path) {
  return Error(absl::StatusCode::kInvalidArgument, "{}: expected a file, found a directory", path);
}

}  // namespace

struct OverlayFileSystem::State {
  explicit State(FileSystem* base_file_system) : base(base_file_system), tree(base_file_system) {}

  // The node of a file, its content at hand.
  absl::StatusOr<OverlayNodePtr> OpenNode(const std::string& path, OpenMode mode) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  absl::StatusOr<OverlayNodePtr> FindFile(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  absl::StatusOr<OverlayNodePtr> FindDirectory(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  absl::StatusOr<bool> AllocationIsPromise(const std::string& directory) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  FileSystem* const base;
  absl::Mutex mutex;
  internal::OverlayTree tree ABSL_GUARDED_BY(mutex);
};

absl::StatusOr<OverlayNodePtr> OverlayFileSystem::State::FindFile(const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(OverlayNodePtr node, tree.Resolve(path));
  if (node->is_directory) return NotAFile(path);
  return node;
}

absl::StatusOr<OverlayNodePtr> OverlayFileSystem::State::FindDirectory(const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(OverlayNodePtr node, tree.Resolve(path));
  if (!node->is_directory) return Error(absl::StatusCode::kNotFound, "{}: not a directory", path);
  return node;
}

absl::StatusOr<OverlayNodePtr> OverlayFileSystem::State::OpenNode(const std::string& path, OpenMode mode) {
  const bool may_create = mode == OpenMode::kCreate || mode == OpenMode::kTruncate;
  OverlayNodePtr node;
  if (may_create) {
    VARVE_ASSIGN_OR_RETURN(const internal::OverlayTree::Place place, tree.ResolveParent(path));
    VARVE_ASSIGN_OR_RETURN(node, tree.Find(place.directory, place.name));
    if (node == nullptr) return tree.Create(place, false);
    if (mode == OpenMode::kCreate) {
      return Error(absl::StatusCode::kAlreadyExists, "{}: create: the name is taken", path);
    }
    if (node->is_directory) return NotAFile(path);
  } else {
    VARVE_ASSIGN_OR_RETURN(node, FindFile(path));
  }
  if (node->content == nullptr) {
    VARVE_ASSIGN_OR_RETURN(std::shared_ptr<File> file, base->Open(*node->base_path, OpenMode::kRead));
    node->content = std::make_shared<OverlayContent>(std::move(file));
  }
  if (mode == OpenMode::kTruncate) VARVE_RETURN_IF_ERROR(node->content->Truncate(0));
  return node;
}

absl::StatusOr<bool> OverlayFileSystem::State::AllocationIsPromise(const std::string& directory) {
  VARVE_ASSIGN_OR_RETURN(const OverlayNodePtr node, tree.Resolve(directory));
  if (node->base_path.has_value()) return base->AllocationIsPromise(*node->base_path);
  // Made here: it would be on the file system of the directory that it is in.
  return AllocationIsPromise(internal::ParentDirectory(directory));
}

OverlayFileSystem::OverlayFileSystem(FileSystem* base) : state_(std::make_shared<State>(base)) {}

OverlayFileSystem::~OverlayFileSystem() = default;

absl::StatusOr<std::unique_ptr<File>> OverlayFileSystem::Open(const std::string& path, OpenMode mode) {
  const absl::MutexLock lock(&state_->mutex);
  VARVE_ASSIGN_OR_RETURN(OverlayNodePtr node, state_->OpenNode(path, mode));
  bool allocation_is_promise = false;
  if (mode != OpenMode::kRead) {
    VARVE_ASSIGN_OR_RETURN(allocation_is_promise, state_->AllocationIsPromise(internal::ParentDirectory(path)));
  }
  return std::make_unique<OverlayFile>(state_->base, std::move(node), path, mode != OpenMode::kRead,
                                       allocation_is_promise);
}

absl::Status OverlayFileSystem::Rename(const std::string& from, const std::string& to) {
  const absl::MutexLock lock(&state_->mutex);
  return state_->tree.Rename(from, to);
}

absl::Status OverlayFileSystem::Remove(const std::string& path) {
  const absl::MutexLock lock(&state_->mutex);
  return state_->tree.Remove(path);
}

absl::Status OverlayFileSystem::CreateDirectory(const std::string& path) {
  const absl::MutexLock lock(&state_->mutex);
  VARVE_ASSIGN_OR_RETURN(const internal::OverlayTree::Place place, state_->tree.ResolveParent(path));
  VARVE_ASSIGN_OR_RETURN(const OverlayNodePtr taken, state_->tree.Find(place.directory, place.name));
  if (taken != nullptr) {
    return Error(absl::StatusCode::kAlreadyExists, "{}: create directory: the name is taken", path);
  }
  state_->tree.Create(place, true);
  return absl::OkStatus();
}

absl::Status OverlayFileSystem::RemoveDirectory(const std::string& path) {
  const absl::MutexLock lock(&state_->mutex);
  return state_->tree.RemoveDirectory(path);
}

absl::StatusOr<std::vector<std::string>> OverlayFileSystem::List(const std::string& path) {
  const absl::MutexLock lock(&state_->mutex);
  VARVE_ASSIGN_OR_RETURN(const OverlayNodePtr directory, state_->FindDirectory(path));
  return state_->tree.List(*directory);
}

absl::Status OverlayFileSystem::SyncDirectory(const std::string& path) {
  const absl::MutexLock lock(&state_->mutex);
  return state_->FindDirectory(path).status();
}

absl::StatusOr<FileInfo> OverlayFileSystem::Info(const std::string& path) {
  const absl::MutexLock lock(&state_->mutex);
  VARVE_ASSIGN_OR_RETURN(const OverlayNodePtr node, state_->tree.Resolve(path));
  return InfoOf(state_->base, *node);
}

absl::StatusOr<std::unique_ptr<FileLock>> OverlayFileSystem::Lock(const std::string& path, LockKind kind) {
  // Knows its node, and the state whose lock guards it.
  class Held : public FileLock {
   public:
    Held(std::shared_ptr<State> state, OverlayNodePtr node, LockKind lock_kind)
        : state_(std::move(state)), node_(std::move(node)), kind_(lock_kind) {
      if (kind_ == LockKind::kExclusive) {
        node_->has_exclusive_lock = true;
      } else {
        ++node_->shared_lock_count;
      }
    }
    ~Held() override {
      const absl::MutexLock lock(&state_->mutex);
      if (kind_ == LockKind::kExclusive) {
        node_->has_exclusive_lock = false;
      } else {
        --node_->shared_lock_count;
      }
    }

   private:
    std::shared_ptr<State> state_;
    OverlayNodePtr node_;
    LockKind kind_;
  };
  const absl::MutexLock lock(&state_->mutex);
  VARVE_ASSIGN_OR_RETURN(OverlayNodePtr node, state_->FindFile(path));
  if (node->has_exclusive_lock || (kind == LockKind::kExclusive && node->shared_lock_count > 0)) {
    return Error(absl::StatusCode::kUnavailable, "{}: lock: held by this process", path);
  }
  return std::make_unique<Held>(state_, std::move(node), kind);
}

absl::StatusOr<bool> OverlayFileSystem::IsLocked(const std::string& path) {
  const absl::MutexLock lock(&state_->mutex);
  VARVE_ASSIGN_OR_RETURN(const OverlayNodePtr node, state_->FindFile(path));
  if (node->has_exclusive_lock) return true;
  if (!node->base_path.has_value()) return false;
  return state_->base->IsLocked(*node->base_path);
}

std::string OverlayFileSystem::BootId() { return state_->base->BootId(); }

absl::StatusOr<bool> OverlayFileSystem::AllocationIsPromise(const std::string& directory) {
  const absl::MutexLock lock(&state_->mutex);
  return state_->AllocationIsPromise(directory);
}

}  // namespace varve
