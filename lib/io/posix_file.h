// PosixFile: a regular file of the system.
#ifndef VARVE_LIB_IO_POSIX_FILE_H_
#define VARVE_LIB_IO_POSIX_FILE_H_

#include <sys/vfs.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "io/owned_descriptor.h"
#include "varve/file_system.h"

namespace varve::internal {

// What statx tells of `path` below `directory_descriptor`, or of the descriptor itself if `path` is empty. `name` is
// for messages.
[[nodiscard]] absl::StatusOr<FileInfo> StatFile(int directory_descriptor, const char* path, const std::string& name);

// True for the file systems on which space from fallocate is never asked for again: a later write there goes to the
// very blocks reserved. Copy-on-write and network file systems make no such promise, nor do layers above another one.
[[nodiscard]] bool AllocationIsPromiseOn(const struct statfs& file_system);

class PosixFile : public File {
 public:
  // `writable` says how the descriptor was opened.
  PosixFile(OwnedDescriptor descriptor, std::string path, bool writable);

  [[nodiscard]] absl::StatusOr<size_t> ReadAt(uint64_t position, std::span<std::byte> out) const override;
  [[nodiscard]] absl::Status WriteAt(uint64_t position, std::span<const std::byte> bytes) override;
  [[nodiscard]] absl::StatusOr<uint64_t> Size() const override;
  [[nodiscard]] absl::Status Truncate(uint64_t size) override;
  [[nodiscard]] absl::Status Allocate(uint64_t position, uint64_t length) override;
  [[nodiscard]] absl::Status SyncData() override;
  void StartWriteOut(uint64_t position, uint64_t length) override;
  [[nodiscard]] absl::StatusOr<std::unique_ptr<Mapping>> Map(uint64_t length, Access access) override;
  [[nodiscard]] absl::Status CopyPrefixFrom(const File& source, uint64_t length) override;
  [[nodiscard]] absl::Status SendTo(int descriptor, uint64_t position, uint64_t length) const override;
  [[nodiscard]] absl::StatusOr<FileInfo> Info() const override;
  [[nodiscard]] int Descriptor() const override { return descriptor_->number(); }
  [[nodiscard]] const std::string& path() const override { return path_; }

 private:
  // kPermissionDenied unless the file was opened for writing.
  [[nodiscard]] absl::Status CheckWritable(std::string_view operation) const;

  std::shared_ptr<const OwnedDescriptor> descriptor_;
  std::string path_;
  bool writable_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_IO_POSIX_FILE_H_
