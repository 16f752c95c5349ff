#include "cli/log_file_walk.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "cli/exit_status.h"

namespace varve::cli {
namespace {

constexpr size_t kReadBytes = size_t{1} << 20;

}  // namespace

absl::StatusOr<size_t> LogFileWalk::Ensure(size_t count) {
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

absl::StatusOr<bool> LogFileWalk::Next() {
  absl::StatusOr<size_t> present = Ensure(RecordBatchView::kHeaderBytes);
  if (!present.ok()) return present.status();
  if (*present == 0) return Stop(WalkEnd::kEndOfFile, "");
  const auto at = [this] { return buffer_.data() + (next_position_ - buffer_position_); };
  const std::optional<int64_t> claim = RecordBatchView::ClaimedBytes(std::span(at(), *present));
  if (!claim.has_value()) {
    return Stop(WalkEnd::kTorn, fmt::format("expected a batch, found {} bytes at the end of the file", *present));
  }
  const int64_t claimed_bytes = *claim;
  if (file_bytes_ < 0) {
    const absl::StatusOr<uint64_t> file_bytes = file_->Size();
    if (!file_bytes.ok()) return file_bytes.status();
    file_bytes_ = static_cast<int64_t>(*file_bytes);
  }
  const int64_t bytes_left = file_bytes_ - next_position_;
  const bool plausible = claimed_bytes >= static_cast<int64_t>(RecordBatchView::kHeaderBytes);
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

absl::StatusOr<bool> LogFileWalk::StopAtNoBatch(const absl::Status& why) {
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

absl::StatusOr<bool> LogFileWalk::Stop(WalkEnd end, std::string reason) {
  end_ = end;
  reason_ = std::move(reason);
  const absl::StatusOr<uint64_t> size = file_->Size();
  if (!size.ok()) return size.status();
  bytes_left_ = static_cast<int64_t>(*size) - next_position_;
  return false;
}

}  // namespace varve::cli
