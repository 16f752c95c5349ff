// ReadWindow: the part of a file that a scan holds in memory, moved forward by positioned reads into one buffer.
#ifndef VARVE_LIB_RECORD_READ_WINDOW_H_
#define VARVE_LIB_RECORD_READ_WINDOW_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/status.h"
#include "varve/file_system.h"

namespace varve::internal {

// Thread rules: one thread at a time. The file must outlive it.
class ReadWindow {
 public:
  explicit ReadWindow(const File* file) : file_(file) {}

  // The bytes held from `position` on; empty if none.
  [[nodiscard]] std::span<const std::byte> BytesAt(uint64_t position) const {
    if (position < position_ || position - position_ > size_) return {};
    return {buffer_.get() + (position - position_), size_ - static_cast<size_t>(position - position_)};
  }

  // Makes BytesAt(position) at least `wanted_bytes` long, or end where the file does. Reads up to `read_bytes`, if that
  // is more, in one call; bytes already held are moved, not read again. Errors: as File::ReadAt; kResourceExhausted, no
  // memory.
  [[nodiscard]] absl::Status Fill(uint64_t position, size_t wanted_bytes, size_t read_bytes);

 private:
  const File* file_;
  std::unique_ptr<std::byte[]> buffer_;
  size_t capacity_ = 0;
  uint64_t position_ = 0;
  size_t size_ = 0;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_RECORD_READ_WINDOW_H_
