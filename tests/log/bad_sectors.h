// A file system one file of which has bytes that the device cannot read, as a disk with a bad sector has them: reads
// that touch the range answer kInternal (EIO), all others work. So does mapping the range, where the kernel would say
// yes and kill the process at the first touch: nothing may be mapped while it is not known to be readable. Where mapping
// is let through, what is mapped cannot be made present. A copy under another name has no such bytes.
#ifndef VARVE_TESTS_LOG_BAD_SECTORS_H_
#define VARVE_TESTS_LOG_BAD_SECTORS_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "varve/testing/faulty_file_system.h"

namespace varve::testing_support {

struct BadSectors {
  struct Range {
    uint64_t position = 0;
    uint64_t bytes = 0;
  };
  FileIdentity file;
  std::vector<Range> ranges;
  bool may_be_mapped = false;

  [[nodiscard]] bool Touch(const FileIdentity& read_file, uint64_t from, uint64_t read_bytes) const {
    return read_file == file && std::ranges::any_of(ranges, [&](const Range& range) {
             return from < range.position + range.bytes && from + read_bytes > range.position;
           });
  }
};

// Of a file with the bytes that cannot be read.
class MappingWithBadSectors : public Mapping {
 public:
  MappingWithBadSectors(std::unique_ptr<Mapping> base, const FileIdentity& identity,
                        std::shared_ptr<const BadSectors> bad)
      : Mapping(base->data(), base->size()), base_(std::move(base)), identity_(identity), bad_(std::move(bad)) {}

  absl::Status Populate(size_t begin, size_t length) override {
    if (bad_->Touch(identity_, begin, length)) return absl::InternalError("populate: Input/output error");
    return base_->Populate(begin, length);
  }

 private:
  const std::unique_ptr<Mapping> base_;
  const FileIdentity identity_;
  const std::shared_ptr<const BadSectors> bad_;
};

class FileWithBadSectors : public File {
 public:
  FileWithBadSectors(std::unique_ptr<File> base, const FileIdentity& identity, std::shared_ptr<const BadSectors> bad)
      : base_(std::move(base)), identity_(identity), bad_(std::move(bad)) {}

  absl::StatusOr<size_t> ReadAt(uint64_t position, std::span<std::byte> out) const override {
    if (bad_->Touch(identity_, position, out.size())) return Unreadable();
    return base_->ReadAt(position, out);
  }
  absl::Status CopyPrefixFrom(const File& source, uint64_t length) override {
    const auto& from = dynamic_cast<const FileWithBadSectors&>(source);
    if (bad_->Touch(from.identity_, 0, length)) return Unreadable();
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
    if (!bad_->Touch(identity_, 0, length)) return base_->Map(length, access);
    if (!bad_->may_be_mapped) return Unreadable();
    VARVE_ASSIGN_OR_RETURN(std::unique_ptr<Mapping> mapping, base_->Map(length, access));
    return std::make_unique<MappingWithBadSectors>(std::move(mapping), identity_, bad_);
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
  const std::shared_ptr<const BadSectors> bad_;
};

class FileSystemWithBadSectors : public FaultyFileSystem {
 public:
  // Of the file that has the name `path` now.
  FileSystemWithBadSectors(FileSystem* base, const std::string& path, uint64_t position, uint64_t bytes)
      : FaultyFileSystem(base),
        bad_(std::make_shared<BadSectors>(
            BadSectors{.file = base->Info(path).value().identity, .ranges = {{position, bytes}}})) {}

  void Add(uint64_t position, uint64_t bytes) { bad_->ranges.push_back({position, bytes}); }
  void LetMap() { bad_->may_be_mapped = true; }
  // The device reads again what begins there.
  void Mend(uint64_t position) {
    std::erase_if(bad_->ranges, [position](const auto& range) { return range.position == position; });
  }

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    VARVE_ASSIGN_OR_RETURN(std::unique_ptr<File> file, FaultyFileSystem::Open(path, mode));
    VARVE_ASSIGN_OR_RETURN(const FileInfo info, file->Info());
    return std::make_unique<FileWithBadSectors>(std::move(file), info.identity, bad_);
  }

 private:
  const std::shared_ptr<BadSectors> bad_;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_LOG_BAD_SECTORS_H_
