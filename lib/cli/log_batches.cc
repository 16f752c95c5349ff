#include "cli/log_batches.h"

#include <algorithm>
#include <string_view>

#include "cli/exit_status.h"

namespace varve::cli {
namespace {

// The end of the damage that a read met at `offset`. Where the log does not know it from its opening, the batches can be
// made out again at the next segment.
int64_t BehindDamage(const Log& log, int64_t offset) {
  for (const DamagedRange& range : log.damage()) {
    if (range.first_offset <= offset && offset <= range.last_offset) return range.last_offset + 1;
  }
  for (const LogSegmentInfo& segment : log.segments()) {
    if (segment.base_offset > offset) return segment.base_offset;
  }
  return offset;
}

}  // namespace

absl::StatusOr<bool> LogBatches::Next() {
  if (rest_.empty()) {
    absl::StatusOr<bool> filled = Refill();
    if (!filled.ok() || !*filled) return filled;
  }
  const size_t position = bytes_.size() - rest_.size();
  if (!NextBatch(&rest_, &batch_)) {
    const absl::Status why = RecordBatchView::Parse(rest_).status();
    rest_ = {};
    next_offset_ = range_next_offset_;
    return DamageAt(position, why);
  }
  // The offsets of a batch are outside its checksum: they cannot lead out of the range that the log has made sure of.
  next_offset_ =
      rest_.empty() ? range_next_offset_ : std::clamp(batch_.next_offset(), next_offset_, range_next_offset_);
  if (batch_.CrcMatches()) return true;
  return DamageAt(position, Failure(absl::StatusCode::kDataLoss,
                                    "batch of offsets {} to {}: expected checksum {:#010x}, found {:#010x}",
                                    batch_.base_offset(), batch_.last_offset(), batch_.crc(), batch_.ComputeCrc()));
}

absl::StatusOr<bool> LogBatches::Refill() {
  const absl::StatusOr<FileRange> range = reader_.Read(next_offset_, options_);
  if (absl::IsDataLoss(range.status())) {
    const int64_t behind = BehindDamage(*log_, next_offset_);
    if (behind == next_offset_) return range.status();
    next_offset_ = behind;
    return Failure(absl::StatusCode::kDataLoss, "{}; reading goes on at offset {}", MessageOf(range.status()),
                   next_offset_);
  }
  if (!range.ok()) return range.status();
  next_offset_ = std::max(next_offset_, range->base_offset());
  if (range->empty()) return false;
  bytes_.resize(static_cast<size_t>(range->size_bytes()));
  if (absl::Status status = range->CopyTo(bytes_); !status.ok()) return status;
  rest_ = bytes_;
  range_segment_ = range->segment();
  range_position_ = range->position();
  range_next_offset_ = range->next_offset();
  return true;
}

absl::Status LogBatches::DamageAt(size_t position_in_range, const absl::Status& why) const {
  return Failure(absl::StatusCode::kDataLoss, "{}/{:020}.log position {}: {}", log_->directory(), range_segment_,
                 range_position_ + static_cast<int64_t>(position_in_range), MessageOf(why));
}

}  // namespace varve::cli
