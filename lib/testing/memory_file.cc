#include "testing/memory_file.h"

#include "base/status.h"
#include "io/file_transfer.h"
#include "io/position_limit.h"

namespace varve::internal {
namespace {

constexpr uint64_t kPageBytes = MemoryFileImage::kPageBytes;

class MemoryMapping : public Mapping {
 public:
  MemoryMapping(std::byte* data, size_t size, Access access, std::shared_ptr<MemoryNodeUse> use, std::string path)
      : Mapping(data, size), access_(access), use_(std::move(use)), path_(std::move(path)) {}

  absl::Status Populate(size_t begin, size_t length) override {
    if (begin > size() || length > size() - begin) {
      return Error(absl::StatusCode::kInvalidArgument, "{}: populate {} bytes at {}: the mapping has {}", path_, length,
                   begin, size());
    }
    if (length == 0) return absl::OkStatus();
    const absl::MutexLock lock(&use_->state().mutex());
    MemoryFileImage& file = *use_->node().file;
    // The page that holds the file's last byte may be touched whole.
    if (begin + length > (file.size() + kPageBytes - 1) / kPageBytes * kPageBytes) {
      return Error(absl::StatusCode::kInternal, "{}: populate {} bytes at {}: the file has {} bytes", path_, length,
                   begin, file.size());
    }
    return access_ == Access::kRead ? absl::OkStatus() : Annotate(file.TakeSpace(begin, length), path_);
  }

 private:
  Access access_;
  std::shared_ptr<MemoryNodeUse> use_;
  std::string path_;
};

}  // namespace

MemoryNodeUse::MemoryNodeUse(std::shared_ptr<MemoryState> state, MemoryNodePtr node)
    : state_(std::move(state)), node_(std::move(node)) {
  state_->mutex().AssertHeld();
  state_->BeginUse(node_.get());
}

MemoryNodeUse::~MemoryNodeUse() {
  const absl::MutexLock lock(&state_->mutex());
  state_->EndUse(node_.get());
}

MemoryFile::MemoryFile(std::shared_ptr<MemoryNodeUse> use, std::string path, bool writable)
    : use_(std::move(use)),
      path_(std::move(path)),
      writable_(writable),
      reported_failures_(use_->node().failed_sync_count) {}

absl::Status MemoryFile::CheckChange(uint64_t position, uint64_t length) const {
  if (!writable_) return Error(absl::StatusCode::kPermissionDenied, "{}: opened for reading only", path_);
  return CheckPositions(path_, position, length);
}

absl::StatusOr<size_t> MemoryFile::ReadAt(uint64_t position, std::span<std::byte> out) const {
  VARVE_RETURN_IF_ERROR(CheckPositions(path_, position, out.size()));
  const absl::MutexLock lock(&use_->state().mutex());
  return use_->node().file->Read(position, out);
}

absl::Status MemoryFile::WriteAt(uint64_t position, std::span<const std::byte> bytes) {
  VARVE_RETURN_IF_ERROR(CheckChange(position, bytes.size()));
  const absl::MutexLock lock(&use_->state().mutex());
  use_->state().MarkModified(&use_->node());
  return Annotate(use_->node().file->Write(position, bytes), path_);
}

absl::StatusOr<uint64_t> MemoryFile::Size() const {
  const absl::MutexLock lock(&use_->state().mutex());
  return use_->node().file->size();
}

absl::Status MemoryFile::Truncate(uint64_t size) {
  VARVE_RETURN_IF_ERROR(CheckChange(0, size));
  const absl::MutexLock lock(&use_->state().mutex());
  use_->state().MarkModified(&use_->node());
  return Annotate(use_->node().file->Truncate(size), path_);
}

absl::Status MemoryFile::Allocate(uint64_t position, uint64_t length) {
  VARVE_RETURN_IF_ERROR(CheckChange(position, length));
  if (!use_->state().options().allocation_is_promise) {
    return Error(absl::StatusCode::kUnimplemented, "{}: allocate: this file system reserves no space", path_);
  }
  if (length == 0) return absl::OkStatus();
  const absl::MutexLock lock(&use_->state().mutex());
  MemoryFileImage& file = *use_->node().file;
  VARVE_RETURN_IF_ERROR(Annotate(file.TakeSpace(position, length), path_));
  use_->state().MarkModified(&use_->node());
  if (position + length <= file.size()) return absl::OkStatus();
  return Annotate(file.Truncate(position + length), path_);
}

absl::Status MemoryFile::SyncData() {
  const absl::MutexLock lock(&use_->state().mutex());
  MemoryNode& node = use_->node();
  if (absl::Status status = use_->state().TakeSyncFailure(path_); !status.ok()) {
    node.file->DropUnsyncedPages();
    node.sync_error = std::move(status);
    reported_failures_ = ++node.failed_sync_count;
    return node.sync_error;
  }
  node.file->Sync();
  if (reported_failures_ == node.failed_sync_count) return absl::OkStatus();
  // A sync through another handle failed: this handle, open at the time, is told of it once.
  reported_failures_ = node.failed_sync_count;
  return node.sync_error;
}

void MemoryFile::StartWriteOut(uint64_t position, uint64_t length) {
  if (!CheckPositions(path_, position, length).ok()) return;
  const absl::MutexLock lock(&use_->state().mutex());
  use_->node().file->StartWriteOut(position, length);
}

absl::StatusOr<std::unique_ptr<Mapping>> MemoryFile::Map(uint64_t length, Access access) {
  if (access == Access::kReadWrite) VARVE_RETURN_IF_ERROR(CheckChange(0, length));
  if (length == 0) return std::make_unique<MemoryMapping>(nullptr, 0, access, use_, path_);
  const absl::MutexLock lock(&use_->state().mutex());
  absl::StatusOr<std::byte*> data = use_->node().file->Pin(length);
  if (!data.ok()) return Annotate(data.status(), path_);
  return std::make_unique<MemoryMapping>(*data, length, access, use_, path_);
}

std::map<uint64_t, std::vector<std::byte>> MemoryFile::DroppedAsStored(uint64_t length) const {
  const absl::MutexLock lock(&use_->state().mutex());
  return use_->node().file->DroppedAsStored(length);
}

absl::Status MemoryFile::CopyPrefixFrom(const File& source, uint64_t length) {
  VARVE_RETURN_IF_ERROR(CheckChange(0, length));
  VARVE_RETURN_IF_ERROR(CopyPrefix(source, this, length));
  const auto* const shared = dynamic_cast<const MemoryFile*>(&source);
  if (shared == nullptr) return absl::OkStatus();
  for (const auto& [position, bytes] : shared->DroppedAsStored(length)) {
    VARVE_RETURN_IF_ERROR(WriteAt(position, bytes));
  }
  return absl::OkStatus();
}

absl::Status MemoryFile::SendTo(int /*descriptor*/, uint64_t position, uint64_t length) const {
  return Error(absl::StatusCode::kUnimplemented, "{}: send {} bytes at {}: the file is in memory", path_, length,
               position);
}

absl::StatusOr<FileInfo> MemoryFile::Info() const {
  const absl::MutexLock lock(&use_->state().mutex());
  return use_->state().Info(use_->node());
}

MemoryLock::MemoryLock(std::unique_ptr<MemoryNodeUse> use, LockKind kind) : use_(std::move(use)), kind_(kind) {
  use_->state().mutex().AssertHeld();
  if (kind_ == LockKind::kExclusive) {
    use_->node().has_exclusive_lock = true;
  } else {
    ++use_->node().shared_lock_count;
  }
}

MemoryLock::~MemoryLock() {
  const absl::MutexLock lock(&use_->state().mutex());
  if (kind_ == LockKind::kExclusive) {
    use_->node().has_exclusive_lock = false;
  } else {
    --use_->node().shared_lock_count;
  }
}

}  // namespace varve::internal
