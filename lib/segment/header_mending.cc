#include "segment/header_mending.h"

#include "segment/raw_log.h"

namespace varve::internal {
namespace {

// The only value that fits among those that differ from the batch's base offset by one bit; absent if there are
// several.
std::optional<int64_t> OnlyBitFlipThatFits(const BatchHeader& header, const BatchNeighbours& neighbours) {
  constexpr int kOffsetBits = 63;  // the sign is never set
  std::optional<int64_t> found;
  for (int bit = 0; bit < kOffsetBits; ++bit) {
    BatchHeader flipped = header;
    flipped.base_offset = header.base_offset ^ (int64_t{1} << bit);
    if (!BaseOffsetFits(flipped, neighbours)) continue;
    if (found.has_value()) return std::nullopt;
    found = flipped.base_offset;
  }
  return found;
}

}  // namespace

bool BaseOffsetFits(const BatchHeader& header, const BatchNeighbours& neighbours) {
  if (!HasSaneOffsets(header) || header.base_offset < neighbours.expected_offset) return false;
  if (neighbours.next_base_offset.has_value() && header.next_offset() > *neighbours.next_base_offset) return false;
  if (neighbours.indexed_last_offset.has_value() && header.last_offset() > *neighbours.indexed_last_offset) {
    return false;
  }
  return !neighbours.exact_next_offset.has_value() || header.next_offset() == *neighbours.exact_next_offset;
}

std::optional<int64_t> MendBaseOffset(const BatchHeader& header, const BatchNeighbours& neighbours) {
  if (header.last_offset_delta < 0) return std::nullopt;
  const int64_t length_offsets = int64_t{header.last_offset_delta} + 1;
  BatchHeader mended = header;
  const auto fits = [&](int64_t base_offset) {
    mended.base_offset = base_offset;
    return base_offset >= 0 && BaseOffsetFits(mended, neighbours);
  };
  if (neighbours.exact_next_offset.has_value()) {
    const int64_t base_offset = *neighbours.exact_next_offset - length_offsets;
    return fits(base_offset) ? std::optional(base_offset) : std::nullopt;
  }
  if (neighbours.indexed_last_offset.has_value()) {
    const int64_t base_offset = *neighbours.indexed_last_offset - header.last_offset_delta;
    if (fits(base_offset)) return base_offset;
  }
  if (neighbours.next_base_offset == neighbours.expected_offset + length_offsets && fits(neighbours.expected_offset)) {
    return neighbours.expected_offset;
  }
  // With a batch behind, a gap on either side is possible; one bit is then the likeliest damage. Without, nothing says
  // so.
  if (!neighbours.next_base_offset.has_value()) return std::nullopt;
  return OnlyBitFlipThatFits(header, neighbours);
}

std::optional<int32_t> MendLeaderEpoch(const BatchHeader& header, const BatchNeighbours& neighbours) {
  if (neighbours.previous_epoch == kUnknownEpoch || header.leader_epoch == neighbours.previous_epoch ||
      neighbours.next_epoch != neighbours.previous_epoch) {
    return std::nullopt;
  }
  return neighbours.previous_epoch;
}

}  // namespace varve::internal
