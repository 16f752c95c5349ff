// Opening: from names to a log that can be written (durability notes, "Opening"; format notes §5.2 to §5.6).
//
// In order: a pending operation of varve.state is carried through; Kafka's leftovers are dealt with; marks are believed
// or not; segments above the durable point are scanned, torn tails cut, damage listed, indexes rebuilt; what may never
// have reached the disk is written again; epochs and producers are loaded and brought up to date. Running it again
// changes nothing; a crash at any point of it changes nothing that matters. All I/O goes through the given file system:
// on an OverlayFileSystem it is a trial run, which is how read-only logs of a stopped writer are opened.
#ifndef VARVE_LIB_LOG_LOG_LOADER_H_
#define VARVE_LIB_LOG_LOG_LOADER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "log/partition_state.h"
#include "log/unsynced_ranges.h"
#include "state/leader_epoch_cache.h"
#include "state/producer_state_manager.h"
#include "varve/log_options.h"
#include "varve/recovery_report.h"

namespace varve::internal {

// The last report that had anything to say, as JSON.
inline constexpr char kReportFileName[] = "varve.report";

struct LoadedSegment {
  int64_t base_offset = 0;
  int64_t size_bytes = 0;  // of valid bytes; the file is exactly that long
  std::vector<DamagedRange> damage;
};

struct LoadedLog {
  std::vector<LoadedSegment>
      segments;                    // ascending, at least one; the last is to be the active one, its indexes trimmed
  std::vector<int64_t> reindexed;  // base offsets of segments whose indexes are new, and not yet synced
  int64_t log_start_offset = 0;
  int64_t log_end_offset = 0;
  std::unique_ptr<PartitionState> state;  // stored with clean = false and synced
  std::vector<UnsyncedRange> unsynced;    // left to the first sync; empty where all is on stable storage
  std::unique_ptr<LeaderEpochCache> epochs;
  std::unique_ptr<ProducerStateManager> producers;
  RecoveryReport report;  // durable_offset: everything below it is on stable storage now
};

// Loads the partition in `directory`, which must exist; an empty directory becomes an empty log at the log start mark,
// or 0. The caller holds the partition's lock.
[[nodiscard]] absl::StatusOr<LoadedLog> LoadLog(FileSystem* file_system, const std::string& directory,
                                                const LogOptions& options);

// The same for the writer of `state`, which announces a pending operation: it has stored and synced that, and must not
// do without where the device cannot read it back. The report that is kept in the directory stays that of the opening.
[[nodiscard]] absl::StatusOr<LoadedLog> LoadAnnounced(FileSystem* file_system, const std::string& directory,
                                                      const LogOptions& options, const PartitionStateValues& state);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_LOG_LOADER_H_
