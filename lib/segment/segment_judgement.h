// Segment judgement: what is damaged in a segment that was believed unread, and where its batches really lie.
//
// Opening reads nothing of what is known to be on the disk. So a byte that has changed there since is met by a reader,
// at a batch that is none or does not follow the one before: then the whole segment is judged, once, by the rules of
// recovery (segment_recovery.h), and the reader goes on by what they say. Nothing on disk is changed: a header that
// recovery could mend is damage until an opening mends it; bytes that cannot be read are until they can.
#ifndef VARVE_LIB_SEGMENT_SEGMENT_JUDGEMENT_H_
#define VARVE_LIB_SEGMENT_SEGMENT_JUDGEMENT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "varve/damaged_range.h"
#include "varve/file_system.h"
#include "varve/sparse_offset_index.h"

namespace varve::internal {

struct SegmentJudgement {
  std::vector<DamagedRange> damage;      // sorted by position
  std::vector<DamagedRange> unreadable;  // of these, where the device failed: what is there may be good
  std::vector<std::byte> index;          // entries as the .index should have them
};

// True if both hold one of the same bytes.
[[nodiscard]] bool Overlap(const DamagedRange& one, const DamagedRange& other);

// Judges the first `size_bytes` of `log`, which hold everything from `base_offset` up to `next_offset`. `known` is damage
// that an opening found, and stays damage; `index_entries` are those of the .index that rise. Errors: as
// RecoverSegment. Cost: reads the segment.
[[nodiscard]] absl::StatusOr<SegmentJudgement> JudgeSegment(const File& log, int64_t base_offset, int64_t size_bytes,
                                                            int64_t next_offset, const std::vector<DamagedRange>& known,
                                                            std::vector<OffsetPosition> index_entries);

}  // namespace varve::internal

#endif  // VARVE_LIB_SEGMENT_SEGMENT_JUDGEMENT_H_
