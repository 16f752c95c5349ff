// Header mending: what the first 17 bytes of a batch must have been, told by its neighbours (durability notes, Opening
// 6 and 7). Base offset, length, leader epoch and magic are outside the checksum, so a damaged one is noticed only
// where it breaks the row of batches, and can be put right there: the rest of the batch vouches for itself.
//
// Pure functions from values to values; callable from any thread.
#ifndef VARVE_LIB_SEGMENT_HEADER_MENDING_H_
#define VARVE_LIB_SEGMENT_HEADER_MENDING_H_

#include <cstdint>
#include <optional>

#include "record/batch_header.h"

namespace varve::internal {

inline constexpr int32_t kUnknownEpoch = -2;  // no batch before says what the epoch was

// What is known about the place of a batch whose body is good.
struct BatchNeighbours {
  int64_t expected_offset = 0;             // the batch before ends below it
  int32_t previous_epoch = kUnknownEpoch;  // of the batch before
  std::optional<int64_t> next_base_offset =
      std::nullopt;  // of the batch behind, or another offset that this one must stay below
  std::optional<int32_t> next_epoch = std::nullopt;         // of the batch behind
  std::optional<int64_t> exact_next_offset = std::nullopt;  // where known: this batch's next offset
  std::optional<int64_t> indexed_last_offset =
      std::nullopt;  // what an index entry for this very batch says its last offset is
};

// True where the batch's base offset fits: not below the expected one, and with its last offset below the next one.
[[nodiscard]] bool BaseOffsetFits(const BatchHeader& header, const BatchNeighbours& neighbours);

// The base offset that `header` must have had, if the neighbours leave no choice: an index entry or an exact end names
// it, or the neighbours are as close as the batch is long, or exactly one value that fits differs from it by one bit.
[[nodiscard]] std::optional<int64_t> MendBaseOffset(const BatchHeader& header, const BatchNeighbours& neighbours);

// The leader epoch that `header` must have had: that of both neighbours, if they agree and it differs. Epochs never
// fall along a log, so between two equal ones there is no other.
[[nodiscard]] std::optional<int32_t> MendLeaderEpoch(const BatchHeader& header, const BatchNeighbours& neighbours);

}  // namespace varve::internal

#endif  // VARVE_LIB_SEGMENT_HEADER_MENDING_H_
