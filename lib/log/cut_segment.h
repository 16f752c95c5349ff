// Changing the files of segments on disk, for those who take data away: the live log and the opening that finishes what
// it had announced. Nothing here is synced but what a rename needs; callers sync the directory.
#ifndef VARVE_LIB_LOG_CUT_SEGMENT_H_
#define VARVE_LIB_LOG_CUT_SEGMENT_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "varve/file_system.h"

namespace varve::internal {

// Removes every file of a segment that is there: the .log first, as without it the others are leftovers. The snapshot
// of that base goes too.
[[nodiscard]] absl::Status RemoveSegmentFiles(FileSystem* file_system, const std::string& directory,
                                              int64_t base_offset);

// Gives every file of a segment that is there the suffix .deleted, the .log first and the snapshot of that base last.
// What held such a name goes.
[[nodiscard]] absl::Status SetSegmentFilesAside(FileSystem* file_system, const std::string& directory,
                                                int64_t base_offset);

// Makes the file that CutSegmentFiles puts in a .log's place, so that a disk without room for it is met before a cut is
// announced. Durable, its name too, when it returns OK; gone again after an error.
[[nodiscard]] absl::Status PrepareCut(FileSystem* file_system, const std::string& directory, int64_t base_offset,
                                      int64_t size_bytes);

// Keeps the first `size_bytes` of a segment's .log, which end at `next_offset`, in a new file under the old name,
// synced before it takes the name, the prepared one where it is there; index, time and transaction entries at or above next_offset go the same way. Doing
// it again changes nothing.
[[nodiscard]] absl::Status CutSegmentFiles(FileSystem* file_system, const std::string& directory, int64_t base_offset,
                                           int64_t size_bytes, int64_t next_offset);

// The name a cut .log has until it takes the old one's place; an opening that finds it removes it.
inline constexpr char kCutFileName[] = "varve.truncate";

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_CUT_SEGMENT_H_
