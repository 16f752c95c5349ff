#include "cli/held_files.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <span>
#include <thread>

#include "cli/exit_status.h"
#include "varve/partition_files.h"

namespace varve::cli {
namespace {

// A writer renames all files of a swap within milliseconds, and swaps once in seconds.
constexpr int kLooks = 20;
constexpr std::chrono::milliseconds kPause{10};

absl::Status Refuse(const std::string& path) {
  return Failure(absl::StatusCode::kPermissionDenied, "{}: held for reading only", path);
}

// However a path is written: "t-0/./x" and "t-0/x" are one.
std::string KeyOf(const std::string& path) { return std::filesystem::path(path).lexically_normal().string(); }

// Of a directory, as the key of what lies in it begins.
std::string DirectoryKeyOf(const std::string& directory) {
  return (std::filesystem::path(directory) / "x").lexically_normal().parent_path().string();
}

// A file as long as it was when it was held.
class HeldFile : public File {
 public:
  HeldFile(std::shared_ptr<File> file, FileInfo info) : file_(std::move(file)), info_(info) {}

  absl::StatusOr<size_t> ReadAt(uint64_t position, std::span<std::byte> out) const override {
    const uint64_t bytes_left = info_.size - std::min(position, info_.size);
    return file_->ReadAt(position, out.first(std::min<uint64_t>(out.size(), bytes_left)));
  }
  absl::StatusOr<uint64_t> Size() const override { return info_.size; }
  absl::StatusOr<std::unique_ptr<Mapping>> Map(uint64_t length, Access access) override {
    if (access != Access::kRead) return Refuse(path());
    return file_->Map(length, access);
  }
  absl::Status SendTo(int descriptor, uint64_t position, uint64_t length) const override {
    return file_->SendTo(descriptor, position, length);
  }
  absl::StatusOr<FileInfo> Info() const override { return info_; }
  int Descriptor() const override { return file_->Descriptor(); }
  const std::string& path() const override { return file_->path(); }

  absl::Status WriteAt(uint64_t /*position*/, std::span<const std::byte> /*bytes*/) override { return Refuse(path()); }
  absl::Status Truncate(uint64_t /*size*/) override { return Refuse(path()); }
  absl::Status Allocate(uint64_t /*position*/, uint64_t /*length*/) override { return Refuse(path()); }
  absl::Status SyncData() override { return Refuse(path()); }
  void StartWriteOut(uint64_t /*position*/, uint64_t /*length*/) override {}
  absl::Status CopyPrefixFrom(const File& /*source*/, uint64_t /*length*/) override { return Refuse(path()); }

 private:
  const std::shared_ptr<File> file_;
  const FileInfo info_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HeldFiles>> HeldFiles::OfPartition(FileSystem* base, const std::string& directory) {
  for (int look = 1;; ++look) {
    std::unique_ptr<HeldFiles> files(new HeldFiles(base));
    const absl::StatusOr<bool> settled = files->HoldAll(directory);
    if (!settled.ok()) return settled.status();
    // What a crash left half swapped stays so.
    if (*settled && (!files->HasSwap() || look == kLooks)) return files;
    if (look == kLooks) {
      return Failure(absl::StatusCode::kAborted, "{}: files came, went or were replaced during each of {} looks at it",
                     directory, kLooks);
    }
    std::this_thread::sleep_for(kPause);
  }
}

absl::StatusOr<std::unique_ptr<HeldFiles>> HeldFiles::OfFile(FileSystem* base, const std::string& path) {
  std::unique_ptr<HeldFiles> files(new HeldFiles(base));
  if (absl::Status status = files->Hold(path); !status.ok()) return status;
  return files;
}

absl::StatusOr<bool> HeldFiles::HoldAll(const std::string& directory) {
  absl::StatusOr<std::vector<std::string>> names = base_->List(directory);
  if (!names.ok()) return names.status();
  directory_ = DirectoryKeyOf(directory);
  names_ = *std::move(names);
  for (const std::string& name : names_) {
    if (ClassifyPartitionFile(name).kind == PartitionFileKind::kOther) continue;
    const absl::Status held = Hold(directory + "/" + name);
    if (absl::IsNotFound(held)) return false;
    if (!held.ok()) return held;
  }
  return IsSame(directory);
}

absl::StatusOr<bool> HeldFiles::IsSame(const std::string& directory) const {
  const absl::StatusOr<std::vector<std::string>> names = base_->List(directory);
  if (!names.ok()) return names.status();
  if (*names != names_) return false;
  for (const auto& [path, entry] : files_) {
    const std::string name = std::filesystem::path(path).filename().string();
    const absl::StatusOr<FileInfo> info = base_->Info(directory + "/" + name);
    if (absl::IsNotFound(info.status())) return false;
    if (!info.ok()) return info.status();
    if (info->identity != entry.info.identity) return false;
  }
  return true;
}

bool HeldFiles::HasSwap() const {
  return std::any_of(names_.begin(), names_.end(), [](const std::string& name) {
    return ClassifyPartitionFile(name).kind == PartitionFileKind::kLeftover && name.ends_with(".swap");
  });
}

absl::Status HeldFiles::Hold(const std::string& path) {
  Entry entry;
  if (may_hold_) {
    absl::StatusOr<std::unique_ptr<File>> file = base_->Open(path, OpenMode::kRead);
    if (absl::IsNotFound(file.status())) return file.status();
    if (absl::IsResourceExhausted(file.status())) {
      may_hold_ = false;
      for (auto& [key, held] : files_) held.file.reset();
    }
    // Whoever reads a file that cannot be opened is told why.
    if (file.ok()) entry.file = *std::move(file);
  }
  const absl::StatusOr<FileInfo> info = entry.file != nullptr ? entry.file->Info() : base_->Info(path);
  if (!info.ok()) return info.status();
  entry.info = *info;
  files_[KeyOf(path)] = std::move(entry);
  return absl::OkStatus();
}

absl::StatusOr<const HeldFiles::Entry*> HeldFiles::Find(const std::string& path) const {
  const std::string key = KeyOf(path);
  if (const auto entry = files_.find(key); entry != files_.end()) return &entry->second;
  const std::filesystem::path name(key);
  const bool is_there = names_.empty() || name.parent_path() != directory_ ||
                        std::find(names_.begin(), names_.end(), name.filename()) != names_.end();
  if (!is_there) return Failure(absl::StatusCode::kNotFound, "{}: no such file or directory", path);
  return nullptr;
}

absl::StatusOr<std::unique_ptr<File>> HeldFiles::OpenSame(const std::string& path, const FileInfo& info) {
  absl::StatusOr<std::unique_ptr<File>> file = base_->Open(path, OpenMode::kRead);
  if (!file.ok() && !absl::IsNotFound(file.status())) return file;
  if (file.ok()) {
    const absl::StatusOr<FileInfo> now = (*file)->Info();
    if (!now.ok()) return now.status();
    if (now->identity == info.identity) return std::make_unique<HeldFile>(*std::move(file), info);
  }
  return Failure(absl::StatusCode::kAborted, "{}: gone or replaced since the directory was looked at", path);
}

absl::StatusOr<std::unique_ptr<File>> HeldFiles::Open(const std::string& path, OpenMode mode) {
  if (mode != OpenMode::kRead) return Refuse(path);
  const absl::StatusOr<const Entry*> entry = Find(path);
  if (!entry.ok()) return entry.status();
  if (*entry == nullptr) return base_->Open(path, mode);
  if ((*entry)->file == nullptr) return OpenSame(path, (*entry)->info);
  return std::make_unique<HeldFile>((*entry)->file, (*entry)->info);
}

absl::StatusOr<std::vector<std::string>> HeldFiles::List(const std::string& path) {
  if (names_.empty() || DirectoryKeyOf(path) != directory_) return base_->List(path);
  return names_;
}

absl::StatusOr<FileInfo> HeldFiles::Info(const std::string& path) {
  const absl::StatusOr<const Entry*> entry = Find(path);
  if (!entry.ok()) return entry.status();
  if (*entry == nullptr) return base_->Info(path);
  return (*entry)->info;
}

absl::Status HeldFiles::Rename(const std::string& from, const std::string& /*to*/) { return Refuse(from); }

absl::Status HeldFiles::Remove(const std::string& path) { return Refuse(path); }

absl::Status HeldFiles::CreateDirectory(const std::string& path) { return Refuse(path); }

absl::Status HeldFiles::RemoveDirectory(const std::string& path) { return Refuse(path); }

absl::Status HeldFiles::SyncDirectory(const std::string& path) { return Refuse(path); }

absl::StatusOr<std::unique_ptr<FileLock>> HeldFiles::Lock(const std::string& path, LockKind /*kind*/) {
  return Refuse(path);
}

}  // namespace varve::cli
