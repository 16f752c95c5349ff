#include "io/posix_file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "io/errno_status.h"
#include "io/fork_mark.h"
#include "io/lock_holder.h"
#include "io/owned_descriptor.h"
#include "io/posix_file.h"

namespace varve {
namespace internal {
namespace {

// What the process's umask leaves of these is what Kafka's files get.
constexpr mode_t kFileMode = 0666;
constexpr mode_t kDirectoryMode = 0777;

OwnedDescriptor OpenDescriptor(const std::string& path, int flags) {
  return OwnedDescriptor(RetryInterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, kFileMode); }));
}

int OpenFlags(OpenMode mode) {
  switch (mode) {
    case OpenMode::kRead:
      return O_RDONLY;
    case OpenMode::kReadWrite:
      return O_RDWR;
    case OpenMode::kCreate:
      return O_RDWR | O_CREAT | O_EXCL;
    case OpenMode::kTruncate:
      break;
  }
  return O_RDWR | O_CREAT | O_TRUNC;
}

// The whole file, also what is appended to it later.
struct flock WholeFile(short type) {
  struct flock range = {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  return range;
}

// Closing the descriptor releases the lock, as no other descriptor shares its open file description (a forked child's
// copy would: it keeps the lock until it closes or execs).
class PosixFileLock : public FileLock {
 public:
  explicit PosixFileLock(OwnedDescriptor descriptor) : descriptor_(std::move(descriptor)) {}

  [[nodiscard]] bool IsInherited() const override { return fork_mark_.IsInherited(); }

 private:
  OwnedDescriptor descriptor_;
  ForkMark fork_mark_;
};

class DirectoryStream {
 public:
  explicit DirectoryStream(const std::string& path) : stream_(Open(path)) {}
  ~DirectoryStream() {
    if (stream_ != nullptr) ::closedir(stream_);
  }
  DirectoryStream(const DirectoryStream&) = delete;
  DirectoryStream& operator=(const DirectoryStream&) = delete;

  [[nodiscard]] DIR* get() const { return stream_; }

  // Null at the end, and after an error, which is in errno then; 0 there is the end.
  [[nodiscard]] const dirent* Next() {
    const dirent* entry = nullptr;
    do {
      errno = 0;
      entry = ::readdir(stream_);
    } while (entry == nullptr && errno == EINTR);
    return entry;
  }

 private:
  static DIR* Open(const std::string& path) {
    DIR* stream = ::opendir(path.c_str());
    while (stream == nullptr && errno == EINTR) stream = ::opendir(path.c_str());
    return stream;
  }

  DIR* stream_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<File>> PosixFileSystem::Open(const std::string& path, OpenMode mode) {
  // O_NONBLOCK does nothing to a regular file, and keeps a pipe of that name from blocking until it has a peer.
  OwnedDescriptor descriptor = OpenDescriptor(path, OpenFlags(mode) | O_NONBLOCK);
  if (!descriptor.valid()) return ErrnoStatus(errno, path, "open");
  struct stat file = {};
  if (RetryInterrupted([&] { return ::fstat(descriptor.number(), &file); }) == -1) {
    return ErrnoStatus(errno, path, "stat");
  }
  if (!S_ISREG(file.st_mode)) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: open: expected a regular file, found mode {:#o}", path,
                 file.st_mode);
  }
  return std::make_unique<PosixFile>(std::move(descriptor), path, mode != OpenMode::kRead);
}

absl::Status PosixFileSystem::Rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) == -1) return ErrnoStatus(errno, from, fmt::format("rename to {}", to));
  return absl::OkStatus();
}

absl::Status PosixFileSystem::Remove(const std::string& path) {
  if (::unlink(path.c_str()) == -1) return ErrnoStatus(errno, path, "remove");
  return absl::OkStatus();
}

absl::Status PosixFileSystem::CreateDirectory(const std::string& path) {
  if (::mkdir(path.c_str(), kDirectoryMode) == -1) return ErrnoStatus(errno, path, "create directory");
  return absl::OkStatus();
}

absl::Status PosixFileSystem::RemoveDirectory(const std::string& path) {
  if (::rmdir(path.c_str()) == -1) return ErrnoStatus(errno, path, "remove directory");
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> PosixFileSystem::List(const std::string& path) {
  DirectoryStream stream(path);
  if (stream.get() == nullptr) return ErrnoStatus(errno, path, "list");
  std::vector<std::string> names;
  while (const dirent* entry = stream.Next()) {
    const std::string_view name(entry->d_name);
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return ErrnoStatus(errno, path, "list");
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status PosixFileSystem::SyncDirectory(const std::string& path) {
  const OwnedDescriptor directory = OpenDescriptor(path, O_RDONLY | O_DIRECTORY);
  if (!directory.valid()) return ErrnoStatus(errno, path, "open directory");
  if (::fsync(directory.number()) == -1) return ErrnoStatus(errno, path, "sync directory");
  return absl::OkStatus();
}

absl::StatusOr<FileInfo> PosixFileSystem::Info(const std::string& path) {
  // The empty path would ask about the working directory.
  if (path.empty()) return ErrnoStatus(ENOENT, path, "stat");
  return StatFile(AT_FDCWD, path.c_str(), path);
}

absl::StatusOr<std::unique_ptr<FileLock>> PosixFileSystem::Lock(const std::string& path, LockKind kind) {
  const bool exclusive = kind == LockKind::kExclusive;
  OwnedDescriptor descriptor = OpenDescriptor(path, (exclusive ? O_RDWR : O_RDONLY) | O_NONBLOCK);
  if (!descriptor.valid()) return ErrnoStatus(errno, path, "lock");
  struct flock range = WholeFile(exclusive ? F_WRLCK : F_RDLCK);
  if (RetryInterrupted([&] { return ::fcntl(descriptor.number(), F_OFD_SETLK, &range); }) == 0) {
    return std::make_unique<PosixFileLock>(std::move(descriptor));
  }
  if (errno != EAGAIN && errno != EACCES) return ErrnoStatus(errno, path, "lock");
  return Error(absl::StatusCode::kUnavailable, "{}: lock: held by {}", path,
               DescribeLockHolder(descriptor.number(), range));
}

absl::StatusOr<bool> PosixFileSystem::IsLocked(const std::string& path) {
  const OwnedDescriptor descriptor = OpenDescriptor(path, O_RDONLY | O_NONBLOCK);
  if (!descriptor.valid()) return ErrnoStatus(errno, path, "ask for a lock");
  // Only an exclusive lock is in the way of a shared one.
  struct flock range = WholeFile(F_RDLCK);
  if (RetryInterrupted([&] { return ::fcntl(descriptor.number(), F_OFD_GETLK, &range); }) == -1) {
    return ErrnoStatus(errno, path, "ask for a lock");
  }
  return range.l_type != F_UNLCK;
}

std::string PosixFileSystem::BootId() {
  const OwnedDescriptor descriptor = OpenDescriptor("/proc/sys/kernel/random/boot_id", O_RDONLY);
  if (!descriptor.valid()) return "";
  std::array<char, 64> text;
  const ssize_t count = RetryInterrupted([&] { return ::read(descriptor.number(), text.data(), text.size()); });
  if (count <= 0) return "";
  const std::string_view id(text.data(), static_cast<size_t>(count));
  return std::string(id.substr(0, id.find('\n')));
}

absl::StatusOr<bool> PosixFileSystem::AllocationIsPromise(const std::string& directory) {
  struct statfs file_system = {};
  if (RetryInterrupted([&] { return ::statfs(directory.c_str(), &file_system); }) == -1) {
    return ErrnoStatus(errno, directory, "stat file system");
  }
  return AllocationIsPromiseOn(file_system);
}

}  // namespace internal

FileSystem* FileSystem::Default() {
  // Never destroyed: files opened through it may outlive every static of the host.
  static FileSystem* const file_system = new internal::PosixFileSystem;
  return file_system;
}

}  // namespace varve
