#include "io/file_transfer.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <span>

#include "base/status.h"
#include "io/errno_status.h"
#include "io/owned_descriptor.h"

namespace varve::internal {
namespace {

// Large enough that the calls cost little beside the bytes, small enough for the second-level cache.
constexpr size_t kBufferBytes = size_t{256} << 10;

// Linux moves at most 0x7ffff000 bytes a call; a round number below it.
constexpr uint64_t kMaxTransferBytes = uint64_t{1} << 30;

// Errors that say "not this way between these two files", as opposed to "the disk failed".
bool WayIsClosed(int error) {
  return error == EOPNOTSUPP || error == EXDEV || error == EINVAL || error == ENOTTY || error == ENOSYS ||
         error == EPERM;
}

absl::Status SourceTooShort(const File& source, uint64_t position, uint64_t length) {
  return Error(absl::StatusCode::kInvalidArgument, "{}: expected {} bytes, the file ends at {}", source.path(), length,
               position);
}

// Shares whole blocks; returns how many bytes from the start are done, 0 where the file system shares none.
absl::StatusOr<uint64_t> CloneBlocks(const File& source, const File& target, uint64_t length) {
  struct stat file = {};
  if (RetryInterrupted([&] { return ::fstat(target.Descriptor(), &file); }) == -1) {
    return ErrnoStatus(errno, target.path(), "stat");
  }
  const uint64_t block_bytes = std::max<uint64_t>(static_cast<uint64_t>(file.st_blksize), 4096);
  file_clone_range range = {};
  range.src_fd = source.Descriptor();
  // A length of 0 would mean "to the end of the source".
  range.src_length = length - length % block_bytes;
  if (range.src_length == 0) return 0;
  const int result = RetryInterrupted([&] { return ::ioctl(target.Descriptor(), FICLONERANGE, &range); });
  if (result == 0) return range.src_length;
  if (WayIsClosed(errno)) return 0;
  return ErrnoStatus(errno, target.path(), fmt::format("share {} bytes of {}", length, source.path()));
}

// Copies inside the kernel from `position` on; returns the position reached, which is short of `length` where that way
// is closed or the source has ended.
absl::StatusOr<uint64_t> CopyInKernel(const File& source, const File& target, uint64_t position, uint64_t length) {
  while (position < length) {
    off_t from = static_cast<off_t>(position);
    off_t to = from;
    const size_t count = std::min(length - position, kMaxTransferBytes);
    const ssize_t copied = RetryInterrupted(
        [&] { return ::copy_file_range(source.Descriptor(), &from, target.Descriptor(), &to, count, 0); });
    if (copied == 0 || (copied == -1 && WayIsClosed(errno))) return position;
    if (copied == -1) {
      return ErrnoStatus(errno, target.path(),
                         fmt::format("copy {} bytes at {} of {}", count, position, source.path()));
    }
    position += static_cast<uint64_t>(copied);
  }
  return position;
}

// Keeps SIGPIPE from this thread for as long as it lives, and swallows the one that a write to a closed peer raised:
// sendfile has no MSG_NOSIGNAL, and a library must not end the process of a host that does not ignore the signal.
class SigpipeGuard {
 public:
  SigpipeGuard() {
    ::sigemptyset(&sigpipe_);
    ::sigaddset(&sigpipe_, SIGPIPE);
    sigset_t pending;
    ::sigpending(&pending);
    already_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
    ::pthread_sigmask(SIG_BLOCK, &sigpipe_, &mask_before_);
  }
  ~SigpipeGuard() {
    const int error = errno;
    if (!already_pending_) {
      const timespec no_wait = {};
      RetryInterrupted([&] { return ::sigtimedwait(&sigpipe_, nullptr, &no_wait); });
    }
    ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
    errno = error;
  }
  SigpipeGuard(const SigpipeGuard&) = delete;
  SigpipeGuard& operator=(const SigpipeGuard&) = delete;

 private:
  sigset_t sigpipe_;
  sigset_t mask_before_;
  bool already_pending_;
};

absl::Status WaitWritable(int descriptor, const std::string& path) {
  pollfd waiting = {.fd = descriptor, .events = POLLOUT, .revents = 0};
  if (RetryInterrupted([&] { return ::poll(&waiting, 1, -1); }) == -1) {
    return ErrnoStatus(errno, path, fmt::format("wait for descriptor {}", descriptor));
  }
  return absl::OkStatus();
}

// Writes all of `bytes` to a descriptor, waiting while it is full.
absl::Status WriteFully(int descriptor, std::span<const std::byte> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = RetryInterrupted([&] { return ::write(descriptor, bytes.data(), bytes.size()); });
    if (written > 0) {
      bytes = bytes.subspan(static_cast<size_t>(written));
    } else if (written == -1 && errno == EAGAIN) {
      VARVE_RETURN_IF_ERROR(WaitWritable(descriptor, path));
    } else {
      // A write of more than nothing that takes nothing would repeat for ever: an I/O error.
      return ErrnoStatus(written == -1 ? errno : EIO, path, fmt::format("send to descriptor {}", descriptor));
    }
  }
  return absl::OkStatus();
}

absl::Status SendThroughBuffer(const File& source, int descriptor, uint64_t position, uint64_t end) {
  const auto buffer = std::make_unique<std::byte[]>(kBufferBytes);
  while (position < end) {
    const std::span<std::byte> part(buffer.get(), std::min<uint64_t>(kBufferBytes, end - position));
    VARVE_ASSIGN_OR_RETURN(const size_t count, source.ReadAt(position, part));
    if (count == 0) return SourceTooShort(source, position, end);
    VARVE_RETURN_IF_ERROR(WriteFully(descriptor, part.first(count), source.path()));
    position += count;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CopyThroughBuffer(const File& source, File* target, uint64_t position, uint64_t length) {
  const auto buffer = std::make_unique<std::byte[]>(kBufferBytes);
  while (position < length) {
    const std::span<std::byte> part(buffer.get(), std::min<uint64_t>(kBufferBytes, length - position));
    VARVE_ASSIGN_OR_RETURN(const size_t count, source.ReadAt(position, part));
    if (count == 0) return SourceTooShort(source, position, length);
    VARVE_RETURN_IF_ERROR(target->WriteAt(position, part.first(count)));
    position += count;
  }
  return absl::OkStatus();
}

absl::Status CopyPrefix(const File& source, File* target, uint64_t length) {
  // Asked first, so that a source that is too short leaves the target as it was.
  VARVE_ASSIGN_OR_RETURN(const uint64_t source_size, source.Size());
  if (source_size < length) return SourceTooShort(source, source_size, length);
  uint64_t position = 0;
  if (source.Descriptor() >= 0 && target->Descriptor() >= 0) {
    VARVE_ASSIGN_OR_RETURN(position, CloneBlocks(source, *target, length));
    VARVE_ASSIGN_OR_RETURN(position, CopyInKernel(source, *target, position, length));
  }
  return CopyThroughBuffer(source, target, position, length);
}

absl::Status SendFile(const File& source, int descriptor, uint64_t position, uint64_t length) {
  const SigpipeGuard guard;
  const uint64_t end = position + length;
  while (position < end) {
    off_t from = static_cast<off_t>(position);
    const size_t count = std::min(end - position, kMaxTransferBytes);
    const ssize_t sent = RetryInterrupted([&] { return ::sendfile(descriptor, source.Descriptor(), &from, count); });
    if (sent > 0) {
      position += static_cast<uint64_t>(sent);
    } else if (sent == 0) {
      return SourceTooShort(source, position, end);
    } else if (errno == EAGAIN) {
      VARVE_RETURN_IF_ERROR(WaitWritable(descriptor, source.path()));
    } else if (WayIsClosed(errno)) {
      // A descriptor opened for appending, for one, takes no sendfile.
      return SendThroughBuffer(source, descriptor, position, end);
    } else {
      return ErrnoStatus(errno, source.path(), fmt::format("send {} bytes at {}", count, position));
    }
  }
  return absl::OkStatus();
}

}  // namespace varve::internal
