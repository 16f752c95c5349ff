// Changing bytes of a .log that readers may have seen: never in place (durability notes, Writing 6).
//
// Thread rules: free functions; the caller holds the partition's lock.
#ifndef VARVE_LIB_LOG_SEGMENT_REWRITE_H_
#define VARVE_LIB_LOG_SEGMENT_REWRITE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/file_system.h"

namespace varve::internal {

// A range of a file, [position, position + bytes).
struct FileExtent {
  int64_t position = 0;
  int64_t bytes = 0;
};

// Bytes to be stored over what an extent holds at `position` of the source.
struct FilePatch {
  int64_t position = 0;
  std::vector<std::byte> bytes;
};

// Gives the file `name` the content of `extents` of itself, in order, `patches` applied. A new inode takes the name, so
// that readers keep the old bytes; it is synced before the rename, the directory after it. The first extent is copied
// by reference where the file system can; what the device cannot read becomes zeros. A crash leaves the old file and at
// most `name`.cleaned, which opening removes.
[[nodiscard]] absl::Status RewriteFile(FileSystem* file_system, const std::string& directory, const std::string& name,
                                       const std::vector<FileExtent>& extents, const std::vector<FilePatch>& patches);

// Reads as File::ReadAt does; pages that the device cannot read come as zeros, which no batch begins with.
[[nodiscard]] absl::StatusOr<size_t> ReadPastBadSectors(const File& file, int64_t position, std::span<std::byte> out);

// Copies `bytes` bytes between two open files, bad sectors as zeros.
[[nodiscard]] absl::Status CopyRange(const File& from, int64_t from_position, File* to, int64_t to_position,
                                     int64_t bytes);

// Copies the first `bytes` bytes: by reference where the file system can, else as CopyRange.
[[nodiscard]] absl::Status CopyPrefix(const File& from, int64_t bytes, File* to);

enum class IndexSync {
  kNone,    // it is a hint: a power loss may leave the old file, the new one or zeros
  kStable,  // stable when the call returns OK; a crash before that leaves the old file or the new one
};

struct IndexWrite {
  bool changed = false;       // the file was replaced
  bool only_padding = false;  // all that went were zeros behind the entries
};

// Gives an index file its content, under a new inode as well. A file that holds just that keeps its inode.
[[nodiscard]] absl::StatusOr<IndexWrite> WriteIndexFile(FileSystem* file_system, const std::string& path,
                                                        std::span<const std::byte> bytes, IndexSync sync);

// Writes the bytes from `position` to the end of a file again, unchanged, and syncs the file: after a failed sync the
// page cache can hold good bytes, thought clean, that the disk never got (durability notes, Writing 3). Bytes that
// cannot be read are passed over. Returns how many were written.
[[nodiscard]] absl::StatusOr<int64_t> RewriteInPlace(FileSystem* file_system, const std::string& path,
                                                     int64_t position);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_SEGMENT_REWRITE_H_
