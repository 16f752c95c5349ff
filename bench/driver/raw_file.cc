#include "driver/raw_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "driver/failure.h"

namespace varve::bench {

namespace {

constexpr int64_t kWriteAheadBytes = 64 << 10;

[[noreturn]] void FailCall(const std::string& call, const std::string& path) {
  Fail(call + " " + path + ": " + std::strerror(errno));
}

}  // namespace

RawFile::RawFile(const std::string& path, bool create)
    : path_(path),
      writable_(create),
      descriptor_(::open(path.c_str(), O_CLOEXEC | (create ? O_RDWR | O_CREAT | O_TRUNC : O_RDONLY), 0644)) {
  if (descriptor_ < 0) FailCall("open", path_);
}

RawFile::~RawFile() { ::close(descriptor_); }

int64_t RawFile::Size() const {
  struct stat info = {};
  if (::fstat(descriptor_, &info) != 0) FailCall("fstat", path_);
  return info.st_size;
}

void RawFile::Write(std::span<const std::byte> bytes) {
  if (::write(descriptor_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) FailCall("write", path_);
}

void RawFile::WriteAt(int64_t position, std::span<const std::byte> bytes) {
  if (::pwrite(descriptor_, bytes.data(), bytes.size(), position) != static_cast<ssize_t>(bytes.size())) {
    FailCall("pwrite", path_);
  }
}

void RawFile::ReadAt(int64_t position, std::span<std::byte> out) const {
  if (::pread(descriptor_, out.data(), out.size(), position) != static_cast<ssize_t>(out.size())) {
    FailCall("pread", path_);
  }
}

void RawFile::Allocate(int64_t bytes) {
  if (const int error = ::posix_fallocate(descriptor_, 0, bytes); error != 0) {
    errno = error;
    FailCall("posix_fallocate", path_);
  }
}

void RawFile::AllocateWritten(int64_t bytes) {
  const std::vector<std::byte> zeros(static_cast<size_t>(kWriteAheadBytes));
  Allocate(bytes);
  for (int64_t position = 0; position < bytes; position += kWriteAheadBytes) {
    WriteAt(position, std::span(zeros).first(static_cast<size_t>(std::min(kWriteAheadBytes, bytes - position))));
  }
  SyncData();
}

void RawFile::SyncData() {
  if (::fdatasync(descriptor_) != 0) FailCall("fdatasync", path_);
}

RawMapping::RawMapping(const RawFile& file, Pages pages) : size_(static_cast<size_t>(file.Size())) {
  const int flags = MAP_SHARED | (pages == Pages::kPresent ? MAP_POPULATE : 0);
  const int access = PROT_READ | (file.writable() ? PROT_WRITE : 0);
  void* const memory = ::mmap(nullptr, size_, access, flags, file.descriptor(), 0);
  if (memory == MAP_FAILED) FailCall("mmap", "a file");
  data_ = static_cast<std::byte*>(memory);
}

RawMapping::RawMapping(size_t bytes) : size_(bytes) {
  void* const memory = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) FailCall("mmap", "memory");
  data_ = static_cast<std::byte*>(memory);
}

RawMapping::~RawMapping() { ::munmap(data_, size_); }

void RawMapping::Populate(size_t begin, size_t length) {
  if (::madvise(data_ + begin, length, MADV_POPULATE_WRITE) != 0) FailCall("madvise", "a file");
}

}  // namespace varve::bench
