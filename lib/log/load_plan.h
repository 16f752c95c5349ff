// LoadPlan: what an opening has found and is about to do, worked out before anything is changed; so an opening that
// refuses (magic 0 or 1 somewhere in what it has to read) leaves the directory as it was (durability notes, Opening).
//
// After a clean stop only the tail of the last segment is read, from its last index entry on, and its indexes are
// checked; of the other segments the sizes of their index files. Otherwise every segment from the one that holds the
// durable point on is recovered, and those whose indexes are missing or cannot be, or whose noted damage
// (damage_notes.h) is no longer what was noted or is to be taken out.
#ifndef VARVE_LIB_LOG_LOAD_PLAN_H_
#define VARVE_LIB_LOG_LOAD_PLAN_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "log/believed_marks.h"
#include "log/partition_listing.h"
#include "log/partition_state.h"
#include "log/producer_rebuild.h"
#include "segment/segment_recovery.h"
#include "varve/damaged_range.h"
#include "varve/file_system.h"
#include "varve/leader_epoch.h"
#include "varve/log_options.h"
#include "varve/recovery_report.h"
#include "varve/transaction_index.h"

namespace varve::internal {

struct PlannedSegment {
  FoundSegment found;
  std::optional<SegmentRecovery> recovery = std::nullopt;  // absent: believed unread
  std::vector<AbortedTransaction> aborted = {};            // of a recovered segment
  std::vector<DamagedRange> known_damage = {};             // of one that is not: found by an earlier opening
};

// The last batch of the log, which names the durable point once everything is synced.
struct LastBatch {
  int64_t position = -1;  // in the last segment, as it will be; -1 if that has none
  uint32_t crc = 0;
};

struct LoadPlan {
  std::optional<PartitionStateValues> state;  // as it was judged by: it may not be readable again
  bool state_is_lost = false;                 // one was stored that can no longer be read
  BelievedMarks marks;
  bool clean = false;                    // nothing is to be recovered
  std::vector<int64_t> deleted;          // base offsets of leftovers below the log start, the oldest first
  std::vector<PlannedSegment> segments;  // that stay, ascending; none in an empty directory
  std::vector<FoundSegment> beyond;      // behind the log's end: to be removed, good batches saved aside
  bool starts_anew = false;              // the log start lies above all there is: an empty log begins there
  std::string end_reason;                // why the log ends before `beyond`, if its last segment does not say
  int64_t log_start_offset = 0;
  int64_t log_end_offset = 0;
  LastBatch last_batch;
  int64_t index_interval_bytes = 0;  // of indexes that are rebuilt, and of what is appended
  std::vector<LeaderEpoch> epochs;   // met in recovered batches, rising
  std::unique_ptr<ProducerRebuild> producers;
  int64_t bytes_scanned = 0;
  std::vector<RecoveryFinding> findings;  // marks and notes that were not believed
};

// Judges the directory, in which nothing is left to be finished; changes nothing. `state_is_lost` where a state was
// stored that can no longer be read. kUnimplemented: magic 0 or 1. Errors: as the file system.
[[nodiscard]] absl::StatusOr<LoadPlan> MakeLoadPlan(FileSystem* file_system, const std::string& directory,
                                                    const LogOptions& options, PartitionListing listing,
                                                    const std::optional<PartitionStateValues>& state,
                                                    bool state_is_lost);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_LOAD_PLAN_H_
