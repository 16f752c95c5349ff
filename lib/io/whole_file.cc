#include "io/whole_file.h"

#include <memory>

#include "base/path.h"
#include "base/status.h"

namespace varve::internal {
namespace {

absl::Status WriteAside(FileSystem* file_system, const std::string& path, std::span<const std::byte> bytes) {
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, file_system->Open(path, OpenMode::kTruncate));
  VARVE_RETURN_IF_ERROR(file->WriteAt(0, bytes));
  return file->SyncData();
}

}  // namespace

absl::Status ReplaceFile(FileSystem* file_system, const std::string& path, std::span<const std::byte> bytes) {
  const std::string aside = path + ".tmp";
  absl::Status status = WriteAside(file_system, aside, bytes);
  if (status.ok()) status = file_system->Rename(aside, path);
  if (!status.ok()) {
    // So that a full disk is not made fuller. If it fails too, the file is merely left.
    (void)file_system->Remove(aside);
    return status;
  }
  return file_system->SyncDirectory(ParentDirectory(path));
}

absl::StatusOr<std::string> ReadWholeFile(FileSystem* file_system, const std::string& path, uint64_t limit_bytes) {
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, file_system->Open(path, OpenMode::kRead));
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  if (size > limit_bytes) {
    return Error(absl::StatusCode::kDataLoss, "{}: expected at most {} bytes, found {}", path, limit_bytes, size);
  }
  std::string content(size, '\0');
  VARVE_ASSIGN_OR_RETURN(const size_t count, file->ReadAt(0, std::as_writable_bytes(std::span(content))));
  content.resize(count);
  return content;
}

}  // namespace varve::internal
