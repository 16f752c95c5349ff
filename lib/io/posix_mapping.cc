#include "io/posix_mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/status.h"
#include "io/errno_status.h"

namespace varve::internal {
namespace {

size_t PageSize() {
  static const size_t page_size = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return page_size;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Mapping>> PosixMapping::Create(const std::shared_ptr<const OwnedDescriptor>& descriptor,
                                                              std::string path, uint64_t length, Access access) {
  void* data = nullptr;
  if (length > 0) {
    const int protection = access == Access::kRead ? PROT_READ : PROT_READ | PROT_WRITE;
    data = ::mmap(nullptr, length, protection, MAP_SHARED, descriptor->number(), 0);
    if (data == MAP_FAILED) return ErrnoStatus(errno, path, fmt::format("map {} bytes", length));
  }
  return std::unique_ptr<Mapping>(new PosixMapping(static_cast<std::byte*>(data), length, access,
                                                   access == Access::kReadWrite ? descriptor : nullptr,
                                                   std::move(path)));
}

PosixMapping::PosixMapping(std::byte* data, size_t size, Access access, std::weak_ptr<const OwnedDescriptor> descriptor,
                           std::string path)
    : Mapping(data, size), access_(access), descriptor_(std::move(descriptor)), path_(std::move(path)) {}

PosixMapping::~PosixMapping() {
  if (size() > 0) ::munmap(data(), size());
}

absl::Status PosixMapping::Populate(size_t begin, size_t length) {
  if (begin > size() || length > size() - begin) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: populate {} bytes at {}: the mapping has {}", path_, length,
                 begin, size());
  }
  if (length == 0) return absl::OkStatus();
  const size_t first = begin - begin % PageSize();
  const size_t rounded = (begin + length - first + PageSize() - 1) / PageSize() * PageSize();
  const int advice = access_ == Access::kRead ? MADV_POPULATE_READ : MADV_POPULATE_WRITE;
  int result = ::madvise(data() + first, rounded, advice);
  while (result == -1 && (errno == EINTR || errno == EAGAIN)) result = ::madvise(data() + first, rounded, advice);
  if (result == 0) return absl::OkStatus();
  const int error = errno;
  if (error == EFAULT) return CauseOfFault(first, rounded);
  // EINVAL: a kernel before 5.14, or memory of a kind that cannot be populated.
  const std::string operation = fmt::format("populate {} bytes at {}", rounded, first);
  return ErrnoStatus(error == EINVAL ? EOPNOTSUPP : error, path_, operation);
}

absl::Status PosixMapping::CauseOfFault(size_t begin, size_t length) const {
  const std::string operation = fmt::format("populate {} bytes at {}", length, begin);
  const std::shared_ptr<const OwnedDescriptor> descriptor = descriptor_.lock();
  if (descriptor == nullptr) {
    return Error(absl::StatusCode::kInternal, "{}: {}: beyond the end of the file, or not readable", path_, operation);
  }
  struct stat file = {};
  if (RetryInterrupted([&] { return ::fstat(descriptor->number(), &file); }) == -1) {
    return ErrnoStatus(errno, path_, operation);
  }
  const uint64_t size = static_cast<uint64_t>(file.st_size);
  // The page that holds the file's last byte may be touched whole.
  if (begin + length > (size + PageSize() - 1) / PageSize() * PageSize()) {
    return Error(absl::StatusCode::kInternal, "{}: {}: the file has {} bytes", path_, operation, size);
  }
  // Asking for the space meets the same obstacle and names it; it changes no byte and no size. The answer EOPNOTSUPP,
  // or success because space has come free since, says nothing: the fault then stays an I/O error.
  const int result = RetryInterrupted([&] {
    return ::fallocate(descriptor->number(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(begin),
                       static_cast<off_t>(length));
  });
  const int cause = result == -1 && errno != EOPNOTSUPP ? errno : EIO;
  return ErrnoStatus(cause, path_, operation);
}

}  // namespace varve::internal
