// The point at which a log is cut so that nothing at or above an offset stays: worked out by a log that knows where it
// is damaged, before anything is announced, so that a cut never goes by bytes that are no batches and what carries it
// out after a crash reads none.
//
// Thread rules: free functions; the segment is pinned by the caller.
#ifndef VARVE_LIB_LOG_CUT_POINT_H_
#define VARVE_LIB_LOG_CUT_POINT_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "log/partition_state.h"
#include "segment/open_segment.h"
#include "varve/file_system.h"

namespace varve::internal {

// Where the batches below `offset` end in the segment that holds offset - 1, named by the last of them; its offset is
// the one behind them, lower than `offset` where a gap lies before it. Damaged ranges below stay. Errors:
//   kInvalidArgument  `offset` lies inside a batch; the message names its ends
//   kDataLoss         `offset` lies inside a damaged range (its first offset does not), or bytes on the way are no
//   batch
// Cost: the headers between two index entries; all below where damage or a gap lies before `offset`.
[[nodiscard]] absl::StatusOr<DurablePoint> PointBelow(const OpenSegment& segment, int64_t offset);

// kUnimplemented if opening would refuse what `point` leaves of its segment, as it does where messages of magic 0 or 1
// are: a log that did not have to look there goes on working, but not once it is cut. Cost: reads that much of the
// segment. Errors: as the file system.
[[nodiscard]] absl::Status CheckOpens(FileSystem* file_system, const std::string& directory, const DurablePoint& point);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_CUT_POINT_H_
