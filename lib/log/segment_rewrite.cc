#include "log/segment_rewrite.h"

#include <algorithm>
#include <memory>
#include <span>

#include "base/bytes.h"
#include "base/path.h"
#include "base/status.h"
#include "io/whole_file.h"
#include "segment/segment_files.h"

namespace varve::internal {
namespace {

constexpr int64_t kCopyBytes = int64_t{1} << 20;
constexpr size_t kPageBytes = 4096;

absl::Status WriteExtents(const File& source, const std::vector<FileExtent>& extents, File* target) {
  int64_t position = 0;
  for (const FileExtent& extent : extents) {
    if (position == 0 && extent.position == 0) {
      VARVE_RETURN_IF_ERROR(CopyPrefix(source, extent.bytes, target));
    } else {
      VARVE_RETURN_IF_ERROR(CopyRange(source, extent.position, target, position, extent.bytes));
    }
    position += extent.bytes;
  }
  return absl::OkStatus();
}

// Where a position of the source is in the target; -1 if it is not copied.
int64_t TargetPosition(const std::vector<FileExtent>& extents, int64_t source_position) {
  int64_t before = 0;
  for (const FileExtent& extent : extents) {
    if (source_position >= extent.position && source_position < extent.position + extent.bytes) {
      return before + source_position - extent.position;
    }
    before += extent.bytes;
  }
  return -1;
}

absl::Status ReplaceUnsynced(FileSystem* file_system, const std::string& path, std::span<const std::byte> bytes) {
  const std::string aside = path + ".cleaned";
  {
    VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, file_system->Open(aside, OpenMode::kTruncate));
    if (!bytes.empty()) VARVE_RETURN_IF_ERROR(file->WriteAt(0, bytes));
  }
  return file_system->Rename(aside, path);
}

}  // namespace

absl::StatusOr<size_t> ReadPastBadSectors(const File& file, int64_t position, std::span<std::byte> out) {
  absl::StatusOr<size_t> whole = file.ReadAt(static_cast<uint64_t>(position), out);
  if (!absl::IsInternal(whole.status())) return whole;
  VARVE_ASSIGN_OR_RETURN(const uint64_t size_bytes, file.Size());
  const auto from = static_cast<uint64_t>(position);
  const size_t wanted = from < size_bytes ? std::min<size_t>(out.size(), size_bytes - from) : 0;
  for (size_t done = 0; done < wanted;) {
    const size_t to_page_end = kPageBytes - (from + done) % kPageBytes;
    const std::span<std::byte> page = out.subspan(done, std::min(to_page_end, wanted - done));
    const absl::StatusOr<size_t> read = file.ReadAt(from + done, page);
    if (!read.ok() && !absl::IsInternal(read.status())) return read.status();
    const size_t held = read.ok() ? *read : 0;
    std::fill(page.begin() + static_cast<std::ptrdiff_t>(held), page.end(), std::byte{0});
    done += page.size();
  }
  return wanted;
}

absl::Status CopyPrefix(const File& from, int64_t bytes, File* to) {
  absl::Status copied = to->CopyPrefixFrom(from, static_cast<uint64_t>(bytes));
  return absl::IsInternal(copied) ? CopyRange(from, 0, to, 0, bytes) : copied;
}

absl::Status CopyRange(const File& from, int64_t from_position, File* to, int64_t to_position, int64_t bytes) {
  std::vector<std::byte> buffer(static_cast<size_t>(std::min(bytes, kCopyBytes)));
  while (bytes > 0) {
    const std::span<std::byte> wanted(buffer.data(), static_cast<size_t>(std::min(bytes, kCopyBytes)));
    VARVE_ASSIGN_OR_RETURN(const size_t read, ReadPastBadSectors(from, from_position, wanted));
    if (read == 0) {
      return Error(absl::StatusCode::kInternal, "{}, position {}: {} more bytes expected, the file ends", from.path(),
                   from_position, bytes);
    }
    VARVE_RETURN_IF_ERROR(to->WriteAt(static_cast<uint64_t>(to_position), wanted.first(read)));
    from_position += static_cast<int64_t>(read);
    to_position += static_cast<int64_t>(read);
    bytes -= static_cast<int64_t>(read);
  }
  return absl::OkStatus();
}

absl::Status RewriteFile(FileSystem* file_system, const std::string& directory, const std::string& name,
                         const std::vector<FileExtent>& extents, const std::vector<FilePatch>& patches) {
  const std::string path = JoinPath(directory, name);
  const std::string aside = path + ".cleaned";
  {
    VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> source, file_system->Open(path, OpenMode::kRead));
    VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> target, file_system->Open(aside, OpenMode::kTruncate));
    VARVE_RETURN_IF_ERROR(WriteExtents(*source, extents, target.get()));
    for (const FilePatch& patch : patches) {
      const int64_t position = TargetPosition(extents, patch.position);
      if (position < 0) continue;
      VARVE_RETURN_IF_ERROR(target->WriteAt(static_cast<uint64_t>(position), patch.bytes));
    }
    VARVE_RETURN_IF_ERROR(target->SyncData());
  }
  VARVE_RETURN_IF_ERROR(file_system->Rename(aside, path));
  return file_system->SyncDirectory(directory);
}

absl::StatusOr<IndexWrite> WriteIndexFile(FileSystem* file_system, const std::string& path,
                                          std::span<const std::byte> bytes, IndexSync sync) {
  IndexWrite write;
  const absl::StatusOr<std::string> found = ReadWholeFile(file_system, path, kMaxIndexFileBytes);
  if (found.ok()) {
    const std::span<const std::byte> held = AsBytes(*found);
    if (std::equal(held.begin(), held.end(), bytes.begin(), bytes.end())) {
      if (sync == IndexSync::kNone) return write;
      // Whoever wrote it may not have synced it.
      VARVE_RETURN_IF_ERROR(RewriteInPlace(file_system, path, 0).status());
      VARVE_RETURN_IF_ERROR(file_system->SyncDirectory(ParentDirectory(path)));
      return write;
    }
    const auto is_zero = [](std::byte byte) { return byte == std::byte{0}; };
    write.only_padding = held.size() > bytes.size() && std::equal(bytes.begin(), bytes.end(), held.begin()) &&
                         std::all_of(held.begin() + static_cast<std::ptrdiff_t>(bytes.size()), held.end(), is_zero);
  }
  write.changed = true;
  VARVE_RETURN_IF_ERROR(sync == IndexSync::kStable ? ReplaceFile(file_system, path, bytes)
                                                   : ReplaceUnsynced(file_system, path, bytes));
  return write;
}

absl::StatusOr<int64_t> RewriteInPlace(FileSystem* file_system, const std::string& path, int64_t position) {
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, file_system->Open(path, OpenMode::kReadWrite));
  VARVE_ASSIGN_OR_RETURN(const uint64_t size_bytes, file->Size());
  const auto begin = static_cast<uint64_t>(position);
  const uint64_t left_bytes = begin < size_bytes ? size_bytes - begin : 0;
  auto step_bytes = static_cast<size_t>(kCopyBytes);
  std::vector<std::byte> buffer(std::min<size_t>(step_bytes, left_bytes));
  int64_t written_bytes = 0;
  for (uint64_t at = begin; at < size_bytes;) {
    // A page at a time never reaches into the next one, which may be the bad one.
    const size_t reach_bytes = step_bytes == kPageBytes ? kPageBytes - at % kPageBytes : step_bytes;
    const std::span<std::byte> wanted = std::span(buffer).first(std::min<size_t>(reach_bytes, size_bytes - at));
    const absl::StatusOr<size_t> read = file->ReadAt(at, wanted);
    if (absl::IsInternal(read.status())) {
      // A bad sector somewhere in these bytes: go on in pages, and over the page that holds it.
      if (step_bytes == kPageBytes) at += kPageBytes - at % kPageBytes;
      step_bytes = kPageBytes;
      continue;
    }
    VARVE_RETURN_IF_ERROR(read.status());
    if (*read == 0) break;
    VARVE_RETURN_IF_ERROR(file->WriteAt(at, wanted.first(*read)));
    at += *read;
    written_bytes += static_cast<int64_t>(*read);
  }
  VARVE_RETURN_IF_ERROR(file->SyncData());
  return written_bytes;
}

}  // namespace varve::internal
