#include "record/read_window.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/status.h"

namespace varve::internal {

absl::Status ReadWindow::Fill(uint64_t position, size_t wanted_bytes, size_t read_bytes) {
  const std::span<const std::byte> held = BytesAt(position);
  if (held.size() >= wanted_bytes) return absl::OkStatus();
  const size_t window_bytes = std::max(wanted_bytes, read_bytes);
  if (window_bytes > capacity_) {
    std::unique_ptr<std::byte[]> larger(new (std::nothrow) std::byte[window_bytes]);
    if (larger == nullptr) {
      return Error(absl::StatusCode::kResourceExhausted, "{}, position {}: no memory for {} bytes", file_->path(),
                   position, window_bytes);
    }
    if (!held.empty()) std::memcpy(larger.get(), held.data(), held.size());
    buffer_ = std::move(larger);
    capacity_ = window_bytes;
  } else if (!held.empty()) {
    std::memmove(buffer_.get(), held.data(), held.size());
  }
  position_ = position;
  size_ = held.size();
  VARVE_ASSIGN_OR_RETURN(const size_t read,
                         file_->ReadAt(position_ + size_, {buffer_.get() + size_, window_bytes - size_}));
  size_ += read;
  return absl::OkStatus();
}

}  // namespace varve::internal
