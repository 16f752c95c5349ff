#include "record/batch_scanner.h"

#include <algorithm>

#include "base/status.h"

namespace varve::internal {
namespace {

// What a walk that skips bodies reads for a header that it does not hold: a page, as the kernel reads no less.
constexpr size_t kProbeBytes = 4096;

}  // namespace

absl::StatusOr<bool> BatchWalk::NextHeader(size_t read_bytes) {
  position_ = next_position_;
  if (position_ >= limit_) return false;
  uint64_t left = limit_ - position_;
  std::span<const std::byte> held = window_.BytesAt(position_);
  if (held.size() < std::min<uint64_t>(left, kBatchHeaderBytes)) {
    VARVE_RETURN_IF_ERROR(window_.Fill(position_, static_cast<size_t>(std::min<uint64_t>(left, kBatchHeaderBytes)),
                                       static_cast<size_t>(std::min<uint64_t>(left, read_bytes))));
    held = window_.BytesAt(position_);
    // The file has shrunk.
    if (held.size() < std::min<uint64_t>(left, kBatchHeaderBytes)) left = held.size();
  }
  switch (JudgeBatch(held.data(), held.size(), left)) {
    case BatchForm::kWhole:
      header_ = DecodeBatchHeader(held.data());
      next_position_ = position_ + header_.size_bytes;
      return true;
    case BatchForm::kUnsupported:
      return Error(absl::StatusCode::kUnimplemented, "{}, position {}: {}", file_->path(), position_,
                   ExplainBatch(held.data(), held.size(), left));
    case BatchForm::kTorn:
      end_ = ScanEnd::kTorn;
      break;
    case BatchForm::kInvalid:
      end_ = ScanEnd::kInvalid;
      break;
  }
  reason_ = ExplainBatch(held.data(), held.size(), left);
  return false;
}

absl::StatusOr<bool> BatchScanner::Next() {
  // Behind a batch as large as the read-ahead, reading ahead would mostly fetch a body that is skipped anyway.
  const bool skips_bodies = header_.size_bytes >= read_ahead_bytes_;
  return NextHeader(skips_bodies ? std::min(kProbeBytes, read_ahead_bytes_) : read_ahead_bytes_);
}

bool BatchReader::LookAhead() {
  std::array<std::span<const std::byte>, kCrcBlocksAtOnce> covered;
  ahead_ = used_ahead_ = 0;
  uint64_t position = next_position_;
  for (; ahead_ < covered.size() && position < limit_; ++ahead_) {
    const std::span<const std::byte> held = window_.BytesAt(position);
    if (held.size() < kBatchHeaderBytes) break;
    if (JudgeBatch(held.data(), held.size(), limit_ - position) != BatchForm::kWhole) break;
    const size_t size_bytes = DecodeBatchHeader(held.data()).size_bytes;
    if (size_bytes > held.size()) break;
    covered[ahead_] = held.first(size_bytes).subspan(kAttributesPosition);
    position += size_bytes;
  }
  if (ahead_ == covered.size()) {
    crcs_ahead_ = Crc32cOfEach(covered);
  } else {
    std::transform(covered.begin(), covered.begin() + ahead_, crcs_ahead_.begin(), Crc32c);
  }
  return ahead_ > 0;
}

absl::StatusOr<bool> BatchReader::Next() {
  if (NextHeld()) return true;
  VARVE_ASSIGN_OR_RETURN(const bool found, NextHeader(read_bytes_));
  if (!found) return false;
  const uint64_t left = limit_ - position_;
  VARVE_RETURN_IF_ERROR(
      window_.Fill(position_, header_.size_bytes,
                   static_cast<size_t>(std::min<uint64_t>(left, std::max(read_bytes_, header_.size_bytes)))));
  const std::span<const std::byte> held = window_.BytesAt(position_);
  if (held.size() < header_.size_bytes) {
    end_ = ScanEnd::kTorn;
    reason_ = ExplainBatch(held.data(), held.size(), held.size());
    return false;
  }
  bytes_ = held.first(header_.size_bytes);
  computed_crc_ = BatchCrc(bytes_);
  return true;
}

}  // namespace varve::internal
