// FileSystem, File, Mapping, FileLock: the library's only door to storage. A Log gets one at open; hosts and tests hand
// in their own (varve/testing/memory_file_system.h, varve/testing/faulty_file_system.h, varve/overlay_file_system.h).
//
// Thread rules: a FileSystem may be used from any thread. A File's operations may run concurrently with each other;
// what a read sees of a concurrent write of the same bytes is unspecified. The bytes of a Mapping are plain memory.
// Lifetime: a File and a Mapping keep what they need alive, a name may be renamed or removed under them.
//
// Errors: kNotFound, kAlreadyExists, kPermissionDenied, kResourceExhausted (ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM),
// kUnimplemented (the file system does not offer it), kInternal (EIO and the rest). Messages name the path.
//
//   varve::FileSystem* fs = varve::FileSystem::Default();
//   absl::StatusOr<std::unique_ptr<varve::File>> file =
//       fs->Open("orders-0/00000000000000000000.log", varve::OpenMode::kRead);
#ifndef VARVE_FILE_SYSTEM_H_
#define VARVE_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace varve {

enum class OpenMode {
  kRead,       // the file must exist
  kReadWrite,  // the file must exist
  kCreate,     // read and write; the file must not exist (kAlreadyExists)
  kTruncate,   // read and write; created, or emptied if it exists
};

enum class Access { kRead, kReadWrite };

// What tells one file from another, and this mount from another mount of the same disk. Zero where unknown.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t mount = 0;  // unique for the life of the kernel (statx STATX_MNT_ID_UNIQUE), not reused by a later mount
  uint64_t inode = 0;
  int64_t birth_ns = 0;

  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

struct FileInfo {
  bool is_directory = false;
  uint64_t size = 0;        // bytes; 0 for a directory
  int64_t modified_ms = 0;  // since the Unix epoch
  FileIdentity identity;
  std::optional<uint32_t> owner = std::nullopt;  // number of the user; absent where files are nobody's, as in memory
};

// A range of a file as memory. Stores go to the page cache, at once visible to reads of the file; SyncData of the file
// makes them stable. Touching bytes beyond the end of the file, or storing where Populate was not asked and the disk is
// full, ends the process (SIGBUS): callers stay within what the file holds and populate before they store.
class Mapping {
 public:
  virtual ~Mapping() = default;

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] size_t size() const { return size_; }

  // Makes [begin, begin + length) present and, in a writable mapping, safe to store into: answers an error where a
  // store would have ended the process. Begin and length are rounded outwards to pages. Why a store would fail is known
  // as long as the File is open that the mapping was made by; without it the error is kInternal.
  [[nodiscard]] virtual absl::Status Populate(size_t begin, size_t length) = 0;

 protected:
  Mapping(std::byte* data, size_t size) : data_(data), size_(size) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

 private:
  std::byte* data_;
  size_t size_;
};

class File {
 public:
  virtual ~File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  // Reads out.size() bytes at `position`, or up to the end of the file; retries when interrupted. Returns the count.
  [[nodiscard]] virtual absl::StatusOr<size_t> ReadAt(uint64_t position, std::span<std::byte> out) const = 0;

  // Writes all of `bytes`, or fails; after a failure any part may have been written. Extends the file.
  [[nodiscard]] virtual absl::Status WriteAt(uint64_t position, std::span<const std::byte> bytes) = 0;

  [[nodiscard]] virtual absl::StatusOr<uint64_t> Size() const = 0;

  // Sets the size; what is gained reads as zeros.
  [[nodiscard]] virtual absl::Status Truncate(uint64_t size) = 0;

  // Reserves space for [position, position + length) and extends the size to cover it, so that no later write or store
  // there can run out of space. kUnimplemented where the file system gives no such promise.
  [[nodiscard]] virtual absl::Status Allocate(uint64_t position, uint64_t length) = 0;

  // When it returns OK, the bytes and the size are on stable storage (fdatasync). After an error the state of every
  // unsynced byte is unknown for ever: never retry.
  [[nodiscard]] virtual absl::Status SyncData() = 0;

  // Asks for write-out of the range to begin; no evidence of durability.
  virtual void StartWriteOut(uint64_t position, uint64_t length) = 0;

  // Maps [0, length). length may exceed the size; see Mapping for what may be touched.
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<Mapping>> Map(uint64_t length, Access access) = 0;

  // Copies `length` bytes from the start of `source` to the start of this file, by reference where the file system can.
  [[nodiscard]] virtual absl::Status CopyPrefixFrom(const File& source, uint64_t length) = 0;

  // Sends bytes to a descriptor (socket, pipe or file) without copying through user space where possible; blocks until
  // all are sent. kUnimplemented for file systems that are not the system's.
  [[nodiscard]] virtual absl::Status SendTo(int descriptor, uint64_t position, uint64_t length) const = 0;

  [[nodiscard]] virtual absl::StatusOr<FileInfo> Info() const = 0;

  // The system's descriptor, -1 where there is none. Stays open as long as the File.
  [[nodiscard]] virtual int Descriptor() const { return -1; }

  // The path it was opened by, for messages.
  [[nodiscard]] virtual const std::string& path() const = 0;

 protected:
  File() = default;
};

// Held until destroyed. Seen by Java's FileChannel.lock and seeing it (open-file-description locks).
class FileLock {
 public:
  virtual ~FileLock() = default;

  // True in a child of fork(): the lock is its parent's. Cheap enough to ask at every append.
  [[nodiscard]] virtual bool IsInherited() const { return false; }
};

enum class LockKind { kShared, kExclusive };

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;

  // Atomic; replaces `to` if it exists. A directory goes with all it holds, and replaces an empty one only. Durable
  // only after SyncDirectory.
  [[nodiscard]] virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;

  // Removes a file. Durable only after SyncDirectory.
  [[nodiscard]] virtual absl::Status Remove(const std::string& path) = 0;

  // Creates one directory; kAlreadyExists if the name is taken. Durable after SyncDirectory of its parent.
  [[nodiscard]] virtual absl::Status CreateDirectory(const std::string& path) = 0;

  // Removes a directory that is empty; kAlreadyExists if it is not. Durable after SyncDirectory of its parent.
  [[nodiscard]] virtual absl::Status RemoveDirectory(const std::string& path) = 0;

  // The names in a directory, without "." and "..", sorted.
  [[nodiscard]] virtual absl::StatusOr<std::vector<std::string>> List(const std::string& path) = 0;

  // When it returns OK, every name created, renamed or removed in the directory before the call is stable.
  [[nodiscard]] virtual absl::Status SyncDirectory(const std::string& path) = 0;

  [[nodiscard]] virtual absl::StatusOr<FileInfo> Info(const std::string& path) = 0;

  // Takes a lock on the whole file, which must exist, without waiting. kUnavailable if another holder is in the way;
  // the message names the holder's process where the system tells.
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path, LockKind kind) = 0;

  // True if anybody (this process included) holds an exclusive lock on the file.
  [[nodiscard]] virtual absl::StatusOr<bool> IsLocked(const std::string& path) = 0;

  // Identifies this run of the kernel; empty where unknown. A page cache never outlives it.
  [[nodiscard]] virtual std::string BootId() = 0;

  // True where Allocate is a promise (ext4, XFS, tmpfs), false where it is not (copy-on-write and network file
  // systems).
  [[nodiscard]] virtual absl::StatusOr<bool> AllocationIsPromise(const std::string& directory) = 0;

  // The system's file system. Lives as long as the process.
  [[nodiscard]] static FileSystem* Default();
};

}  // namespace varve

#endif  // VARVE_FILE_SYSTEM_H_
