#include "io/posix_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <utility>

#include "base/status.h"
#include "io/errno_status.h"
#include "io/file_transfer.h"
#include "io/position_limit.h"
#include "io/posix_mapping.h"

namespace varve::internal {
namespace {

// Since Linux 6.8; older headers lack the name. Older kernels ignore the bit and leave it unset in the answer.
constexpr unsigned kStatxMountIdUnique = 0x4000;

// linux/magic.h has no name for XFS: "XFSB", the first four bytes of its superblock.
constexpr uint64_t kXfsMagic = 0x58465342;

static_assert(static_cast<uint64_t>(std::numeric_limits<off_t>::max()) == kPositionLimit,
              "positions are cast to off_t");

}  // namespace

absl::StatusOr<FileInfo> StatFile(int directory_descriptor, const char* path, const std::string& name) {
  struct statx file = {};
  const int flags = *path == '\0' ? AT_EMPTY_PATH : 0;
  const unsigned mask = STATX_BASIC_STATS | STATX_BTIME | kStatxMountIdUnique;
  if (RetryInterrupted([&] { return ::statx(directory_descriptor, path, flags, mask, &file); }) == -1) {
    return ErrnoStatus(errno, name, "stat");
  }
  FileInfo info;
  info.is_directory = S_ISDIR(file.stx_mode);
  info.size = info.is_directory ? 0 : file.stx_size;
  info.modified_ms = file.stx_mtime.tv_sec * 1000 + file.stx_mtime.tv_nsec / 1'000'000;
  info.owner = file.stx_uid;
  info.identity.device = ::makedev(file.stx_dev_major, file.stx_dev_minor);
  // Before Linux 6.8 the kernel answers with a mount id that a later mount may reuse: that identifies nothing.
  if ((file.stx_mask & kStatxMountIdUnique) != 0) info.identity.mount = file.stx_mnt_id;
  info.identity.inode = file.stx_ino;
  if ((file.stx_mask & STATX_BTIME) != 0) {
    info.identity.birth_ns = file.stx_btime.tv_sec * 1'000'000'000 + file.stx_btime.tv_nsec;
  }
  return info;
}

bool AllocationIsPromiseOn(const struct statfs& file_system) {
  const uint64_t magic = static_cast<uint64_t>(file_system.f_type);
  return magic == EXT4_SUPER_MAGIC /* of ext2 and ext3 too */ || magic == kXfsMagic || magic == TMPFS_MAGIC;
}

PosixFile::PosixFile(OwnedDescriptor descriptor, std::string path, bool writable)
    : descriptor_(std::make_shared<const OwnedDescriptor>(std::move(descriptor))),
      path_(std::move(path)),
      writable_(writable) {}

absl::Status PosixFile::CheckWritable(std::string_view operation) const {
  if (writable_) return absl::OkStatus();
  return Error(absl::StatusCode::kPermissionDenied, "{}: {}: opened for reading only", path_, operation);
}

absl::StatusOr<size_t> PosixFile::ReadAt(uint64_t position, std::span<std::byte> out) const {
  VARVE_RETURN_IF_ERROR(CheckPositions(path_, position, out.size()));
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t count = RetryInterrupted([&] {
      return ::pread(Descriptor(), out.data() + done, out.size() - done, static_cast<off_t>(position + done));
    });
    if (count == -1) {
      return ErrnoStatus(errno, path_, fmt::format("read {} bytes at {}", out.size() - done, position + done));
    }
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  return done;
}

absl::Status PosixFile::WriteAt(uint64_t position, std::span<const std::byte> bytes) {
  VARVE_RETURN_IF_ERROR(CheckWritable("write"));
  VARVE_RETURN_IF_ERROR(CheckPositions(path_, position, bytes.size()));
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = RetryInterrupted([&] {
      return ::pwrite(Descriptor(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(position + done));
    });
    if (count <= 0) {
      // A write of more than nothing that takes nothing would repeat for ever: an I/O error.
      return ErrnoStatus(count == -1 ? errno : EIO, path_,
                         fmt::format("write {} bytes at {}", bytes.size() - done, position + done));
    }
    done += static_cast<size_t>(count);
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> PosixFile::Size() const {
  struct stat file = {};
  if (RetryInterrupted([&] { return ::fstat(Descriptor(), &file); }) == -1) return ErrnoStatus(errno, path_, "stat");
  return static_cast<uint64_t>(file.st_size);
}

absl::Status PosixFile::Truncate(uint64_t size) {
  VARVE_RETURN_IF_ERROR(CheckWritable("truncate"));
  VARVE_RETURN_IF_ERROR(CheckPositions(path_, 0, size));
  if (RetryInterrupted([&] { return ::ftruncate(Descriptor(), static_cast<off_t>(size)); }) == -1) {
    return ErrnoStatus(errno, path_, fmt::format("truncate to {} bytes", size));
  }
  return absl::OkStatus();
}

absl::Status PosixFile::Allocate(uint64_t position, uint64_t length) {
  VARVE_RETURN_IF_ERROR(CheckWritable("allocate"));
  VARVE_RETURN_IF_ERROR(CheckPositions(path_, position, length));
  if (length == 0) return absl::OkStatus();
  struct statfs file_system = {};
  if (RetryInterrupted([&] { return ::fstatfs(Descriptor(), &file_system); }) == -1) {
    return ErrnoStatus(errno, path_, "stat file system");
  }
  if (!AllocationIsPromiseOn(file_system)) {
    return Error(absl::StatusCode::kUnimplemented, "{}: allocate: the file system (type {:#x}) reserves no space",
                 path_, static_cast<uint64_t>(file_system.f_type));
  }
  // Not posix_fallocate: where the file system lacks the operation, that writes a byte into every block, and so over
  // bytes stored meanwhile.
  const int result = RetryInterrupted(
      [&] { return ::fallocate(Descriptor(), 0, static_cast<off_t>(position), static_cast<off_t>(length)); });
  if (result == -1) return ErrnoStatus(errno, path_, fmt::format("allocate {} bytes at {}", length, position));
  return absl::OkStatus();
}

absl::Status PosixFile::SyncData() {
  // Not even an interrupted sync is repeated: the kernel may have marked the pages clean, and a second call would then
  // call stable what was never written.
  if (::fdatasync(Descriptor()) == -1) return ErrnoStatus(errno, path_, "sync");
  return absl::OkStatus();
}

void PosixFile::StartWriteOut(uint64_t position, uint64_t length) {
  // A length of 0 would mean "to the end". The answer is dropped: this flag alone consumes no write-back error, so the
  // next SyncData still reports it.
  if (length == 0 || !CheckPositions(path_, position, length).ok()) return;
  (void)::sync_file_range(Descriptor(), static_cast<off_t>(position), static_cast<off_t>(length),
                          SYNC_FILE_RANGE_WRITE);
}

absl::StatusOr<std::unique_ptr<Mapping>> PosixFile::Map(uint64_t length, Access access) {
  if (access == Access::kReadWrite) VARVE_RETURN_IF_ERROR(CheckWritable("map for writing"));
  return PosixMapping::Create(descriptor_, path_, length, access);
}

absl::Status PosixFile::CopyPrefixFrom(const File& source, uint64_t length) {
  VARVE_RETURN_IF_ERROR(CheckWritable("copy into"));
  return CopyPrefix(source, this, length);
}

absl::Status PosixFile::SendTo(int descriptor, uint64_t position, uint64_t length) const {
  VARVE_RETURN_IF_ERROR(CheckPositions(path_, position, length));
  return SendFile(*this, descriptor, position, length);
}

absl::StatusOr<FileInfo> PosixFile::Info() const { return StatFile(Descriptor(), "", path_); }

}  // namespace varve::internal
