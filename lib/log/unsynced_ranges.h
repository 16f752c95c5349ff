// Unsynced ranges: what an opening found good above the durable point, which may be in the page cache only. After a
// failed sync the cache can hold good bytes, thought clean, that the disk never got: so they are written again,
// unchanged, and synced before the durable point passes them (durability notes, Writing 3).
//
// Where nothing else than that is left of an unclean stop, opening leaves it to the first sync: until then the durable
// point stays where it was, and the next opening, whatever happens in between, has the same before it.
#ifndef VARVE_LIB_LOG_UNSYNCED_RANGES_H_
#define VARVE_LIB_LOG_UNSYNCED_RANGES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "log/load_plan.h"
#include "log/partition_state.h"
#include "varve/file_system.h"
#include "varve/log_options.h"

namespace varve::internal {

// Whole batches of one segment.
struct UnsyncedRange {
  int64_t segment = 0;       // base offset
  int64_t position = 0;      // where the first of them begins
  int64_t end_position = 0;  // where the last of them ends; not below position
  int64_t offset = 0;        // none of them begins below
  int64_t next_offset = 0;   // behind the last of them

  friend bool operator==(const UnsyncedRange&, const UnsyncedRange&) = default;
};

// Of an unclean stop, ascending, as the files are before anything in them is mended or taken out. The segment that holds
// the durable point is always among them, be it with no bytes: it may have been trimmed since, and its size be the old
// one on the disk.
[[nodiscard]] std::vector<UnsyncedRange> FindUnsynced(const LoadPlan& plan);

// True if they may wait for the first sync of an opening. They may not where
//   there are no bytes           there is nothing to gain
//   files change otherwise       by damage, mending, or segments that go: the old point would not fit what they become
//   visibility is kDurable       readers would no longer see what they saw before the stop
//   the old point is not known   what it vouched for would be forgotten, but where no varve has ever kept one
//   offsets are left out         between segments: above the durable point that counts as a loss after a restart
[[nodiscard]] bool MayAwaitSync(const LoadPlan& plan, const std::vector<UnsyncedRange>& ranges,
                                const LogOptions& options);

// The durable point while they wait.
[[nodiscard]] DurablePoint PointBeforeSync(const LoadPlan& plan, const std::vector<UnsyncedRange>& ranges);

// Writes each range again and syncs its file, in order. What was found good may have been dropped from the cache since,
// and be read as the disk has it: each batch is tested again, and nothing is written that fails. kDataLoss: a batch is
// not as it was found. Other errors: as the file system; `*found_no_room` is set where the disk is full, or too many files
// are open: what was written until then is synced and the same as before, and the call may be repeated. Nobody may change
// the ranges meanwhile; what lies behind them in the same files may grow. Cost: a read and a write of all, and the syncs;
// 1 MiB of memory twice.
[[nodiscard]] absl::Status RewriteUnsynced(FileSystem* file_system, const std::string& directory,
                                           const std::vector<UnsyncedRange>& ranges, bool* found_no_room);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_UNSYNCED_RANGES_H_
