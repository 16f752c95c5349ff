#include "store/partition_copy.h"

#include <algorithm>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "base/path.h"
#include "base/status.h"

namespace varve::internal {
namespace {

constexpr uint64_t kCopyBytes = uint64_t{1} << 20;

absl::StatusOr<int64_t> TotalBytes(FileSystem* file_system, const std::string& directory,
                                   const std::vector<PartitionFile>& files) {
  int64_t total_bytes = 0;
  for (const PartitionFile& file : files) {
    VARVE_ASSIGN_OR_RETURN(const FileInfo info, file_system->Info(JoinPath(directory, file.name)));
    total_bytes += static_cast<int64_t>(info.size);
  }
  return total_bytes;
}

absl::Status CopyContent(const File& source, uint64_t size_bytes, File* copy) {
  std::vector<std::byte> buffer(static_cast<size_t>(std::min(size_bytes, kCopyBytes)));
  for (uint64_t done = 0; done < size_bytes;) {
    const auto wanted = static_cast<size_t>(std::min(size_bytes - done, kCopyBytes));
    VARVE_ASSIGN_OR_RETURN(const size_t read, source.ReadAt(done, std::span(buffer).first(wanted)));
    if (read < wanted) {
      return Error(absl::StatusCode::kInternal, "{}, position {}: {} more bytes expected, the file ends", source.path(),
                   done + read, size_bytes - done - read);
    }
    VARVE_RETURN_IF_ERROR(copy->WriteAt(done, std::span<const std::byte>(buffer).first(wanted)));
    done += wanted;
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> CopyFile(FileSystem* file_system, const std::string& from, const std::string& to,
                                 const PartitionFile& file, SourceBytes source_bytes, const AmendCopy& amend) {
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> source,
                         file_system->Open(JoinPath(from, file.name), OpenMode::kRead));
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> copy,
                         file_system->Open(JoinPath(to, file.name), OpenMode::kCreate));
  VARVE_ASSIGN_OR_RETURN(const uint64_t size_bytes, source->Size());
  VARVE_RETURN_IF_ERROR(source_bytes == SourceBytes::kStable ? copy->CopyPrefixFrom(*source, size_bytes)
                                                             : CopyContent(*source, size_bytes, copy.get()));
  if (amend != nullptr) VARVE_RETURN_IF_ERROR(amend(file, copy.get()));
  VARVE_RETURN_IF_ERROR(copy->SyncData());
  return static_cast<int64_t>(size_bytes);
}

}  // namespace

std::string UniqueSuffix() {
  constexpr int kWords = 4;
  std::random_device random;
  std::string suffix;
  for (int i = 0; i < kWords; ++i) suffix += fmt::format("{:08x}", random());
  return suffix;
}

// Unique suffixes are all of one length, so what stands around one is at the same places in all names.
bool IsNameWithUniqueSuffix(std::string_view name,
                            const std::function<std::string(std::string_view unique)>& name_with) {
  constexpr std::string_view kHexadecimal = "0123456789abcdef";
  const std::string unique = UniqueSuffix();
  const std::string model = name_with(unique);
  if (name.size() != model.size()) return false;
  const size_t begin = model.find(unique);
  const size_t end = begin + unique.size();
  return name.substr(0, begin) == model.substr(0, begin) && name.substr(end) == model.substr(end) &&
         name.substr(begin, unique.size()).find_first_not_of(kHexadecimal) == std::string_view::npos;
}

std::string CappedName(std::string_view name, std::string_view suffix) {
  return fmt::format("{}{}", name.substr(0, kMaxNameBytes - suffix.size()), suffix);
}

absl::StatusOr<int64_t> CopyPartitionFiles(FileSystem* file_system, const std::string& from,
                                           const std::vector<PartitionFile>& files, const std::string& to,
                                           SourceBytes source_bytes, const ProgressCallback& progress,
                                           const AmendCopy& amend) {
  VARVE_ASSIGN_OR_RETURN(const int64_t total_bytes, TotalBytes(file_system, from, files));
  VARVE_RETURN_IF_ERROR(file_system->CreateDirectory(to));
  int64_t copied_bytes = 0;
  for (const PartitionFile& file : files) {
    VARVE_ASSIGN_OR_RETURN(const int64_t file_bytes, CopyFile(file_system, from, to, file, source_bytes, amend));
    copied_bytes += file_bytes;
    if (progress != nullptr) progress(copied_bytes, total_bytes);
  }
  VARVE_RETURN_IF_ERROR(file_system->SyncDirectory(to));
  return copied_bytes;
}

absl::Status RemoveContent(FileSystem* file_system, const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, file_system->List(path));
  for (const std::string& name : names) {
    const std::string entry = JoinPath(path, name);
    VARVE_ASSIGN_OR_RETURN(const FileInfo info, file_system->Info(entry));
    VARVE_RETURN_IF_ERROR(info.is_directory ? RemoveTree(file_system, entry) : file_system->Remove(entry));
  }
  return absl::OkStatus();
}

absl::Status RemoveTree(FileSystem* file_system, const std::string& path) {
  VARVE_RETURN_IF_ERROR(RemoveContent(file_system, path));
  return file_system->RemoveDirectory(path);
}

}  // namespace varve::internal
