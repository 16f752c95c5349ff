// The names of a swap: one segment, whose files are complete as N.*.cleaned, takes the place of some neighbouring ones, of
// which N is the first base offset (Kafka LocalLog.replaceSegments, format notes §5.5).
//
//   1  the directory is synced                                          power loss knows every N.*.cleaned
//   2  N.*.cleaned become N.*.swap, the .log last                       a .cleaned that is there revokes each .swap
//   3  the directory is synced                                          from here on opening completes the swap
//   4  the .logs of the old segments that begin below the new one's end become .deleted; synced
//      those of the rest do, the oldest first, each synced            nobody else claims the offsets
//   5  their other files do too, and N.log.swap becomes N.log; synced
//   6  the other N.*.swap get their names; synced
//
// Power loss may keep any of the renames between two syncs. leftovers.h makes of each mixture the old segments, or the
// new one, or the new one and the newest of the old: it removes those below the new one's last batch, and only they can
// be in it. Those behind, of which nothing was kept, come back from the newest on, as if the others alone had been
// compacted: were a value to come back without the tombstone behind it, it would stay. The order of 5 and 6 is the
// transaction indexes', which nothing can replace: were one set aside beside its .log, such an old segment could come
// back without it; were the new one renamed beside its .log, nobody could tell it from an old one that came back.
//
// Thread rules: one thread at a time in a directory.
#ifndef VARVE_LIB_LOG_SEGMENT_SWAP_H_
#define VARVE_LIB_LOG_SEGMENT_SWAP_H_

#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "varve/file_system.h"

namespace varve::internal {

// Steps 1 and 2. An error leaves the old segments in use; RevokeSwap must follow.
[[nodiscard]] absl::Status ProposeSwap(FileSystem* file_system, const std::string& directory, int64_t base_offset);

// Takes back whatever Propose has done, and whatever .cleaned and .swap files there are of any segment. Does nothing, but
// for a listing, where there are none. An error leaves it to the next opening to complete the swap or to take it back.
[[nodiscard]] absl::Status RevokeSwap(FileSystem* file_system, const std::string& directory);

// Steps 3 to 6. `replaced` are the base offsets of the old segments, ascending; `next_offset` lies behind the last batch
// of the new one, and is its base where it has none. Snapshots at those of them that are no segment's any more become
// .deleted too. An error leaves the rest to the next opening.
[[nodiscard]] absl::Status CompleteSwap(FileSystem* file_system, const std::string& directory,
                                        std::span<const int64_t> replaced, int64_t next_offset);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_SEGMENT_SWAP_H_
