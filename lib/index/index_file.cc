#include "index/index_file.h"

#include <cstdint>
#include <utility>

#include "base/status.h"

namespace varve::internal {

absl::StatusOr<std::shared_ptr<const IndexFile>> MapIndexFile(FileSystem* file_system, const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, file_system->Open(path, OpenMode::kRead));
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  auto mapped = std::make_shared<IndexFile>();
  mapped->path = path;
  if (size > 0) {
    VARVE_ASSIGN_OR_RETURN(mapped->mapping, file->Map(size, Access::kRead));
    // A sector that the device cannot read is an error here, and would be a signal where a search touches it.
    if (absl::Status present = mapped->mapping->Populate(0, size); !present.ok() && !absl::IsUnimplemented(present)) {
      return present;
    }
  }
  return mapped;
}

absl::StatusOr<std::vector<std::byte>> ReadIndexFile(FileSystem* file_system, const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, file_system->Open(path, OpenMode::kRead));
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  std::vector<std::byte> bytes(size);
  VARVE_ASSIGN_OR_RETURN(const size_t read, file->ReadAt(0, bytes));
  bytes.resize(read);
  return bytes;
}

}  // namespace varve::internal
