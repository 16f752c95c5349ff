// A file system one file of which has bytes that the device cannot read, as a disk with a bad sector has them: reads
// that touch the range answer kInternal (EIO), all others work. So does mapping the range, where the kernel would say
// yes and kill the process at the first touch: nothing may be mapped while it is not known to be readable. A copy under
// another name has no such bytes.
#ifndef VARVE_TESTS_LOG_BAD_SECTORS_H_
#define VARVE_TESTS_LOG_BAD_SECTORS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/status.h"
#include "varve/testing/faulty_file_system.h"

namespace varve::testing_support {

struct BadSectors {
  FileIdentity file;
  uint64_t position = 0;
  uint64_t bytes = 0;

  [[nodiscard]] bool Touch(const FileIdentity& read_file, uint64_t from, uint64_t read_bytes) const {
    return read_file == file && from < position + bytes && from + read_bytes > position;
  }
};

class FileWithBadSectors : public File {
 public:
  FileWithBadSectors(std::unique_ptr<File> base, const FileIdentity& identity, const BadSectors& bad)
      : base_(std::move(base)), identity_(identity), bad_(bad) {}

  absl::StatusOr<size_t> ReadAt(uint64_t position, std::span<std::byte> out) const override {
    if (bad_.Touch(identity_, position, out.size())) return Unreadable();
    return base_->ReadAt(position, out);
  }
  absl::Status CopyPrefixFrom(const File& source, uint64_t length) override {
    const auto& from = dynamic_cast<const FileWithBadSectors&>(source);
    if (bad_.Touch(from.identity_, 0, length)) return Unreadable();
    return base_->CopyPrefixFrom(*from.base_, length);
  }
  absl::Status WriteAt(uint64_t position, std::span<const std::byte> bytes) override {
    return base_->WriteAt(position, bytes);
  }
  absl::StatusOr<uint64_t> Size() const override { return base_->Size(); }
  absl::Status Truncate(uint64_t size) override { return base_->Truncate(size); }
  absl::Status Allocate(uint64_t position, uint64_t length) override { return base_->Allocate(position, length); }
  absl::Status SyncData() override { return base_->SyncData(); }
  void StartWriteOut(uint64_t position, uint64_t length) override { base_->StartWriteOut(position, length); }
  absl::StatusOr<std::unique_ptr<Mapping>> Map(uint64_t length, Access access) override {
    if (bad_.Touch(identity_, 0, length)) return Unreadable();
    return base_->Map(length, access);
  }
  absl::Status SendTo(int descriptor, uint64_t position, uint64_t length) const override {
    return base_->SendTo(descriptor, position, length);
  }
  absl::StatusOr<FileInfo> Info() const override { return base_->Info(); }
  const std::string& path() const override { return base_->path(); }

 private:
  absl::Status Unreadable() const { return absl::InternalError(path() + ": Input/output error"); }

  std::unique_ptr<File> base_;
  const FileIdentity identity_;
  const BadSectors bad_;
};

class FileSystemWithBadSectors : public FaultyFileSystem {
 public:
  // Of the file that has the name `path` now.
  FileSystemWithBadSectors(FileSystem* base, const std::string& path, uint64_t position, uint64_t bytes)
      : FaultyFileSystem(base), bad_{base->Info(path).value().identity, position, bytes} {}

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    VARVE_ASSIGN_OR_RETURN(std::unique_ptr<File> file, FaultyFileSystem::Open(path, mode));
    VARVE_ASSIGN_OR_RETURN(const FileInfo info, file->Info());
    return std::make_unique<FileWithBadSectors>(std::move(file), info.identity, bad_);
  }

 private:
  const BadSectors bad_;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_LOG_BAD_SECTORS_H_
