// Tail check: what a clean opening believes of a segment without reading it whole.
#ifndef VARVE_LIB_LOG_TAIL_CHECK_H_
#define VARVE_LIB_LOG_TAIL_CHECK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "log/believed_marks.h"
#include "log/partition_listing.h"
#include "varve/file_system.h"
#include "varve/sparse_offset_index.h"

namespace varve::internal {

// The end of a segment whose tail was read.
struct SegmentTail {
  std::string fault;         // why the segment has to be recovered; empty if it need not be
  bool log_is_whole = true;  // false if the fault is in the .log itself
  int64_t next_offset = 0;
  int64_t last_batch_position = -1;  // -1 without a batch
  uint32_t last_batch_crc = 0;
  int64_t bytes_scanned = 0;
};

// Checks both indexes of the last segment whole, that their last entries agree with the log, and every batch from the
// last index entry on: checksum, offsets, and that the last one ends with the file. kUnimplemented: magic 0 or 1. Errors:
// as the file system.
[[nodiscard]] absl::StatusOr<SegmentTail> CheckTail(FileSystem* file_system, const std::string& directory,
                                                    const PartitionListing& listing, const FoundSegment& segment);

// Why a segment that is believed unread needs its indexes rebuilt all the same: one is missing, or not a row of whole
// entries (by size), or an aborted transaction lies before the segment. Empty if it does not. Cost: two calls for the
// sizes; a .txnindex is read.
[[nodiscard]] absl::StatusOr<std::string> IndexFault(FileSystem* file_system, const std::string& directory,
                                                     const PartitionListing& listing, const FoundSegment& segment);

// The entries at the start of a segment's .index that rise, in a file in whatever state; none if it cannot be read.
[[nodiscard]] std::vector<OffsetPosition> RisingIndexEntries(FileSystem* file_system, const std::string& directory,
                                                             const FoundSegment& segment);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_TAIL_CHECK_H_
