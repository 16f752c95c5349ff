// SyncHook: a file system that tells of every sync before it is carried out, on the thread that asks for it: to write
// down their order, or to hold one up.
#ifndef VARVE_TESTS_SUPPORT_SYNC_HOOK_H_
#define VARVE_TESTS_SUPPORT_SYNC_HOOK_H_

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "varve/testing/faulty_file_system.h"

namespace varve::testing_support {

class SyncHook : public FaultyFileSystem {
 public:
  // Called with the path of the file or of the directory.
  using Hook = std::function<void(const std::string& path)>;

  SyncHook(FileSystem* base, Hook hook)
      : FaultyFileSystem(base), hook_(std::make_shared<const Hook>(std::move(hook))) {}

  absl::StatusOr<std::unique_ptr<varve::File>> Open(const std::string& path, OpenMode mode) override {
    absl::StatusOr<std::unique_ptr<varve::File>> file = FaultyFileSystem::Open(path, mode);
    if (!file.ok()) return file;
    return std::make_unique<HookedFile>(*std::move(file), hook_);
  }

  absl::Status SyncDirectory(const std::string& path) override {
    (*hook_)(path);
    return FaultyFileSystem::SyncDirectory(path);
  }

 private:
  class HookedFile : public varve::File {
   public:
    HookedFile(std::unique_ptr<varve::File> base, std::shared_ptr<const Hook> hook)
        : base_(std::move(base)), hook_(std::move(hook)) {}

    absl::Status SyncData() override {
      (*hook_)(base_->path());
      return base_->SyncData();
    }

    absl::StatusOr<size_t> ReadAt(uint64_t position, std::span<std::byte> out) const override {
      return base_->ReadAt(position, out);
    }
    absl::Status WriteAt(uint64_t position, std::span<const std::byte> bytes) override {
      return base_->WriteAt(position, bytes);
    }
    absl::StatusOr<uint64_t> Size() const override { return base_->Size(); }
    absl::Status Truncate(uint64_t size) override { return base_->Truncate(size); }
    absl::Status Allocate(uint64_t position, uint64_t length) override { return base_->Allocate(position, length); }
    void StartWriteOut(uint64_t position, uint64_t length) override { base_->StartWriteOut(position, length); }
    absl::StatusOr<std::unique_ptr<Mapping>> Map(uint64_t length, Access access) override {
      return base_->Map(length, access);
    }
    absl::Status CopyPrefixFrom(const varve::File& source, uint64_t length) override {
      return base_->CopyPrefixFrom(*static_cast<const HookedFile&>(source).base_, length);
    }
    absl::Status SendTo(int descriptor, uint64_t position, uint64_t length) const override {
      return base_->SendTo(descriptor, position, length);
    }
    absl::StatusOr<FileInfo> Info() const override { return base_->Info(); }
    const std::string& path() const override { return base_->path(); }

   private:
    std::unique_ptr<varve::File> base_;
    std::shared_ptr<const Hook> hook_;
  };

  std::shared_ptr<const Hook> hook_;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_SUPPORT_SYNC_HOOK_H_
