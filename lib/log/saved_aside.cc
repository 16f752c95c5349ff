#include "log/saved_aside.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/path.h"
#include "base/status.h"
#include "fmt/format.h"
#include "log/segment_rewrite.h"

namespace varve::internal {
namespace {

constexpr int64_t kCompareBytes = int64_t{1} << 20;

// True if the file at `path` holds exactly these bytes of `source`.
absl::StatusOr<bool> HoldsSame(FileSystem* file_system, const std::string& path, const File& source, int64_t position,
                               int64_t bytes) {
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, file_system->Open(path, OpenMode::kRead));
  VARVE_ASSIGN_OR_RETURN(const uint64_t size_bytes, file->Size());
  if (size_bytes != static_cast<uint64_t>(bytes)) return false;
  std::vector<std::byte> ours(static_cast<size_t>(std::min(bytes, kCompareBytes)));
  std::vector<std::byte> theirs(ours.size());
  for (int64_t done = 0; done < bytes;) {
    const size_t wanted = static_cast<size_t>(std::min(bytes - done, kCompareBytes));
    VARVE_ASSIGN_OR_RETURN(const size_t read,
                           ReadPastBadSectors(source, position + done, std::span(ours).first(wanted)));
    VARVE_ASSIGN_OR_RETURN(const size_t read_theirs,
                           file->ReadAt(static_cast<uint64_t>(done), std::span(theirs).first(wanted)));
    if (read == 0 || read != read_theirs ||
        !std::equal(ours.begin(), ours.begin() + static_cast<std::ptrdiff_t>(read), theirs.begin())) {
      return false;
    }
    done += static_cast<int64_t>(read);
  }
  return true;
}

absl::Status CopyAside(FileSystem* file_system, const std::string& directory, const File& source, int64_t position,
                       int64_t bytes, SavedBytes saved_bytes, const std::string& path) {
  const std::string temporary = path + ".tmp";
  {
    VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, file_system->Open(temporary, OpenMode::kTruncate));
    const bool shares = position == 0 && saved_bytes == SavedBytes::kStable;
    VARVE_RETURN_IF_ERROR(shares ? CopyPrefix(source, bytes, file.get())
                                 : CopyRange(source, position, file.get(), 0, bytes));
    VARVE_RETURN_IF_ERROR(file->SyncData());
  }
  VARVE_RETURN_IF_ERROR(file_system->Rename(temporary, path));
  return file_system->SyncDirectory(directory);
}

}  // namespace

absl::StatusOr<std::string> SaveAside(FileSystem* file_system, const std::string& directory, const std::string& name,
                                      int64_t position, int64_t bytes, int64_t first_offset, SavedBytes saved_bytes) {
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> source,
                         file_system->Open(JoinPath(directory, name), OpenMode::kRead));
  for (int suffix = 0;; ++suffix) {
    const std::string aside = suffix == 0 ? fmt::format("{}{:020d}", kCutFilePrefix, first_offset)
                                          : fmt::format("{}{:020d}-{}", kCutFilePrefix, first_offset, suffix);
    const std::string path = JoinPath(directory, aside);
    const absl::Status exists = file_system->Info(path).status();
    if (absl::IsNotFound(exists)) {
      VARVE_RETURN_IF_ERROR(CopyAside(file_system, directory, *source, position, bytes, saved_bytes, path));
      return aside;
    }
    VARVE_RETURN_IF_ERROR(exists);
    const absl::StatusOr<bool> same = HoldsSame(file_system, path, *source, position, bytes);
    if (!same.ok() && !IsFaultOfFile(same.status())) return same.status();
    if (same.ok() && *same) {
      // An earlier opening may have died between the rename and the directory's sync.
      VARVE_RETURN_IF_ERROR(file_system->SyncDirectory(directory));
      return aside;
    }
  }
}

}  // namespace varve::internal
