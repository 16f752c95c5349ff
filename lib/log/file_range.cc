#include "varve/file_range.h"

#include "base/status.h"
#include "segment/open_segment.h"

namespace varve {

absl::Status FileRange::CopyTo(std::span<std::byte> out) const {
  if (static_cast<int64_t>(out.size()) < size_) {
    return internal::Error(absl::StatusCode::kInvalidArgument, "copying a range of {} bytes into {} bytes", size_,
                           out.size());
  }
  if (empty()) return absl::OkStatus();
  return segment_->ReadAt(position_, out.first(static_cast<size_t>(size_)));
}

absl::Status FileRange::SendTo(int descriptor) const {
  if (empty()) return absl::OkStatus();
  return segment_->SendTo(descriptor, position_, size_);
}

void FileRange::Keep() {
  if (hold_ == nullptr && borrowed_ != nullptr) hold_ = *borrowed_;
  borrowed_ = nullptr;
}

}  // namespace varve
