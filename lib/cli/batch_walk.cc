#include "cli/batch_walk.h"

#include <algorithm>
#include <span>
#include <utility>

#include "cli/exit_status.h"

namespace varve::cli {
namespace {

constexpr size_t kReadBytes = size_t{1} << 20;
// Of a batch: where its length field ends, and what the length does not count (record_batch.h has the format).
constexpr size_t kLengthEnd = 12;
constexpr size_t kHeaderBytes = 61;

// The number of bytes a batch claims, from its first kLengthEnd ones.
int64_t ClaimedBytes(const std::byte* header) {
  uint32_t length = 0;
  for (size_t i = 8; i < kLengthEnd; ++i) length = length << 8 | static_cast<uint32_t>(header[i]);
  return static_cast<int64_t>(static_cast<int32_t>(length)) + static_cast<int64_t>(kLengthEnd);
}

}  // namespace

absl::StatusOr<size_t> BatchWalk::Ensure(size_t count) {
  const auto skipped = static_cast<size_t>(next_position_ - buffer_position_);
  if (buffer_size_ - skipped >= count) return buffer_size_ - skipped;
  std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(skipped),
            buffer_.begin() + static_cast<std::ptrdiff_t>(buffer_size_), buffer_.begin());
  buffer_size_ -= skipped;
  buffer_position_ = next_position_;
  buffer_.resize(std::max({buffer_.size(), count, kReadBytes}));
  const absl::StatusOr<size_t> read =
      file_->ReadAt(static_cast<uint64_t>(buffer_position_) + buffer_size_, std::span(buffer_).subspan(buffer_size_));
  if (!read.ok()) return read.status();
  buffer_size_ += *read;
  return buffer_size_;
}

absl::StatusOr<bool> BatchWalk::Next() {
  absl::StatusOr<size_t> present = Ensure(kHeaderBytes);
  if (!present.ok()) return present.status();
  if (*present == 0) return Stop(WalkEnd::kEndOfFile, "");
  const auto at = [this] { return buffer_.data() + (next_position_ - buffer_position_); };
  if (*present < kLengthEnd) {
    return Stop(WalkEnd::kTorn, fmt::format("expected a batch, found {} bytes at the end of the file", *present));
  }
  const int64_t claimed_bytes = ClaimedBytes(at());
  if (file_bytes_ < 0) {
    const absl::StatusOr<uint64_t> file_bytes = file_->Size();
    if (!file_bytes.ok()) return file_bytes.status();
    file_bytes_ = static_cast<int64_t>(*file_bytes);
  }
  const int64_t bytes_left = file_bytes_ - next_position_;
  const bool plausible = claimed_bytes >= static_cast<int64_t>(kHeaderBytes);
  if (plausible && claimed_bytes <= bytes_left) {
    present = Ensure(static_cast<size_t>(claimed_bytes));
    if (!present.ok()) return present.status();
  }
  const absl::StatusOr<RecordBatchView> batch = RecordBatchView::Parse(std::span(at(), *present));
  if (absl::IsUnimplemented(batch.status())) {
    return Failure(absl::StatusCode::kUnimplemented, "{} position {}: {}", file_->path(), next_position_,
                   MessageOf(batch.status()));
  }
  if (!batch.ok()) {
    if (plausible && claimed_bytes > bytes_left) {
      return Stop(WalkEnd::kTorn, fmt::format("expected a batch of {} bytes, found {} up to the end of the file",
                                              claimed_bytes, bytes_left));
    }
    return StopAtNoBatch(batch.status());
  }
  batch_ = *batch;
  position_ = next_position_;
  next_position_ += static_cast<int64_t>(batch_.size_bytes());
  return true;
}

absl::StatusOr<bool> BatchWalk::StopAtNoBatch(const absl::Status& why) {
  std::string reason(MessageOf(why));
  // Zeros to the end of the file are what preallocation leaves.
  for (int64_t position = next_position_;;) {
    const absl::StatusOr<size_t> read =
        file_->ReadAt(static_cast<uint64_t>(position), std::span(buffer_).first(kReadBytes));
    if (!read.ok()) return read.status();
    if (*read == 0) return Stop(WalkEnd::kZeros, "nothing but zeros up to the end of the file");
    if (std::any_of(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(*read),
                    [](std::byte b) { return b != std::byte{0}; })) {
      return Stop(WalkEnd::kNoBatch, std::move(reason));
    }
    position += static_cast<int64_t>(*read);
  }
}

absl::StatusOr<bool> BatchWalk::Stop(WalkEnd end, std::string reason) {
  end_ = end;
  reason_ = std::move(reason);
  const absl::StatusOr<uint64_t> size = file_->Size();
  if (!size.ok()) return size.status();
  bytes_left_ = static_cast<int64_t>(*size) - next_position_;
  return false;
}

}  // namespace varve::cli
