// Leftovers: what an interrupted compaction, split, deletion or roll leaves in a partition directory, and how an
// opening clears it up (Kafka LogLoader.load, format notes §5.2 and §5.5).
//
//   left by a crash                             what is done
//   N.*.deleted                                 removed: it was out of use already
//   N.*.cleaned                                 removed, and with it every .swap at or above the smallest such N: the
//                                               operation had not taken effect, the old segments are whole
//   N.log.swap and the like, else               every file in use whose number lies in [lowest swap log's base, highest
//                                               swap log's end) is removed, then the swaps get their final names
//   N.index.swap, .timeindex.swap, .txnindex.swap without a N.log.swap
//                                               only the rename is left to do
//   an index without its .log                   removed
//   varve.truncate, NAME.tmp                    removed: a copy that had not taken its file's name
//
// The directory is synced before and after each of these steps: power loss could take a .swap away again and leave the
// removals for its sake, a .swap that does not count would count once the .cleaned file that revokes it is gone, and a
// covered segment could come back beside what was renamed. Doing it again finds nothing to do.
#ifndef VARVE_LIB_LOG_LEFTOVERS_H_
#define VARVE_LIB_LOG_LEFTOVERS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "log/partition_listing.h"
#include "varve/file_system.h"
#include "varve/recovery_report.h"

namespace varve::internal {

// The offsets that complete swap logs cover: [first, second).
using SwapRange = std::pair<int64_t, int64_t>;

struct LeftoversPlan {
  std::vector<std::string> revoked;                              // .swap files that do not count: they go first
  std::vector<std::string> removals;                             // once the revoked ones are gone for good
  std::vector<std::pair<std::string, std::string>> completions;  // of logs: from, to; after the removals are durable
  // Once those are durable: with N.log.swap still there, an N.txnindex could be the old one that came back.
  std::vector<std::pair<std::string, std::string>> index_completions;
};

// The .swap logs that count: those below every .cleaned file. Their contents give the range.
[[nodiscard]] std::vector<LeftoverFile> CountingSwapLogs(const PartitionListing& listing);

// What to do; `covered` is absent where no swap log counts.
[[nodiscard]] LeftoversPlan PlanLeftovers(const PartitionListing& listing, const std::optional<SwapRange>& covered);

// Clears up and appends what was done to *findings. Errors: as the file system.
[[nodiscard]] absl::Status ClearLeftovers(FileSystem* file_system, const std::string& directory,
                                          std::vector<RecoveryFinding>* findings);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_LEFTOVERS_H_
