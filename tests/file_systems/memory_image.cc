#include "file_systems/memory_image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

#include "base/status.h"

namespace varve::testing_support {
namespace {

void Require(bool done, const char* call) {
  if (!done) throw std::system_error(errno, std::generic_category(), call);
}

}  // namespace

MemoryImage::MemoryImage(uint64_t bytes) : bytes_(bytes), file_(::memfd_create("image", MFD_CLOEXEC)) {
  Require(file_.valid() && ::ftruncate(file_.number(), static_cast<off_t>(bytes)) == 0, "memfd_create");
}

MemoryImage MemoryImage::Clone() const {
  MemoryImage clone(bytes_);
  clone.CopyFrom(file_.number());
  return clone;
}

absl::StatusOr<MemoryImage> MemoryImage::Of(const std::string& path) {
  const internal::OwnedDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (!file.valid() || ::fstat(file.number(), &info) != 0) {
    return internal::Error(absl::StatusCode::kNotFound, "{}: no such file", path);
  }
  MemoryImage image(static_cast<uint64_t>(info.st_size));
  image.CopyFrom(file.number());
  return image;
}

void MemoryImage::CopyFrom(int source) {
  constexpr size_t kBlockBytes = 4096;
  constexpr size_t kStepBytes = 64 * kBlockBytes;
  std::vector<std::byte> step(kStepBytes);
  off_t end = 0;
  for (off_t from = ::lseek(source, 0, SEEK_DATA); from != -1; from = ::lseek(source, end, SEEK_DATA)) {
    end = ::lseek(source, from, SEEK_HOLE);
    while (from < end) {
      const ssize_t read = ::pread(source, step.data(), std::min(kStepBytes, static_cast<size_t>(end - from)), from);
      Require(read > 0, "pread");
      for (size_t block = 0; block < static_cast<size_t>(read); block += kBlockBytes) {
        const auto bytes = std::span(step).subspan(block, std::min(kBlockBytes, static_cast<size_t>(read) - block));
        const auto is_zero = [](std::byte byte) { return byte == std::byte{0}; };
        if (!std::all_of(bytes.begin(), bytes.end(), is_zero)) Write(static_cast<uint64_t>(from) + block, bytes);
      }
      from += read;
    }
  }
}

void MemoryImage::Write(uint64_t position, std::span<const std::byte> bytes) {
  const ssize_t written = ::pwrite(file_.number(), bytes.data(), bytes.size(), static_cast<off_t>(position));
  Require(written == static_cast<ssize_t>(bytes.size()), "pwrite");
}

void MemoryImage::Read(uint64_t position, std::span<std::byte> out) const {
  const ssize_t read = ::pread(file_.number(), out.data(), out.size(), static_cast<off_t>(position));
  Require(read == static_cast<ssize_t>(out.size()), "pread");
}

}  // namespace varve::testing_support
