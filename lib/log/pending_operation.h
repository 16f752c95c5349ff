// Pending operations: a truncation, a fresh start or a prefix deletion whose intent is in varve.state, carried through
// by the next opening before it judges anything (durability notes, Writing 7). Log's own operations act by the same
// function, so that what a crash interrupts and what resumes it are one piece of code.
//
// Each may be done again after a crash at any point of it: the suffix goes newest first, the prefix oldest first, and
// the directory is synced before anything else may depend on it. Clearing the intent is the caller's.
#ifndef VARVE_LIB_LOG_PENDING_OPERATION_H_
#define VARVE_LIB_LOG_PENDING_OPERATION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "log/partition_listing.h"
#include "log/partition_state.h"
#include "varve/file_system.h"

namespace varve::internal {

// The base offsets of the segments to remove, in order.
[[nodiscard]] std::vector<int64_t> SegmentsToRemove(const std::vector<int64_t>& base_offsets,
                                                    PendingOperation operation, int64_t offset);

// Why `values.pending` is no longer to be carried through, since somebody else has gone on with the log: it reaches
// beyond where it ended when a truncation or a fresh start was announced, or the batch that a truncation cuts behind is
// not there. Empty if nothing says so. Errors: as the file system.
[[nodiscard]] absl::StatusOr<std::string> ReasonIsOvertaken(FileSystem* file_system, const std::string& directory,
                                                            const PartitionStateValues& values);

// Carries `values.pending` through on the files of the segments and their snapshots:
//   kTruncateTo    segments at or above the offset go (but the first stays, emptied), then the .log that the durable
//                  point lies in is cut there, and its indexes with it
//   kStartAt       every segment, snapshot and leader epoch goes, and an empty segment is made at the offset
//   kDeleteBefore  the files of segments that end at or below the offset are renamed to .deleted; the last one stays
// No batch is read: where to cut was worked out before the operation was announced, by a log that knew its damage.
// Errors: as the file system. Durable when it returns OK.
[[nodiscard]] absl::Status CarryThrough(FileSystem* file_system, const std::string& directory,
                                        const PartitionStateValues& values);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_PENDING_OPERATION_H_
