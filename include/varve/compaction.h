// CompactionOptions, CompactionResult: what Log::Compact is told, and what it did (Kafka LogCleaner, Cleaner).
// CompactionPass: the same in steps, for hosts that share a thread or a disk among many logs.
//
// Compaction keeps the latest record of each key. What it may touch, and when:
//
//   |  clean, compacted before  |  dirty  |  not to be touched  |
//   log start                   first     first                 log end
//                               dirty     uncleanable
//
// The active segment is not to be touched, nor what lies at or above the last stable offset, nor segments from the first
// dirty one on whose largest timestamp is less than min_compaction_lag_ms ago, nor, unless that is 0, those whose records
// have no timestamp: nobody can tell how old they are. A log is due when its cleanable bytes are more than
// min_cleanable_dirty_ratio of them and the clean ones together, or when the first batch of a dirty segment is more than
// max_compaction_lag_ms ago. A pass then rewrites all segments that begin below what the key map covers, clean ones too;
// neighbours that fit into one segment become one. Of their records these go:
//
//   superseded    the same key has a later record in what is dirty
//   unkeyed       no key: appended before the log was compacted
//   tombstones    a key without a value, once its delete horizon has passed: the first pass sets that, to
//                 delete_retention_ms from then, and the first pass at or after it takes the tombstone out
//   aborted       data of aborted transactions
//   markers       of transactions of which nothing is left, by a delete horizon as well
//
// Offsets never change; they get gaps. A batch of which no record is left goes, except for two that stay as a header
// with no records: the last batch of a producer that the log knows, which keeps its sequence, and the last of what a
// pass covers. Deduplication is never complete: a reader may meet several values of a key, in order.
//
// Readers: a range or a batch that is held keeps its bytes. Who reads on finds what is there then. A read up to a fixed
// end, while passes run, may meet neither the record of a key that was the latest below that end nor the one above it
// that superseded it. A reader in another process is told by kAborted, and calls Log::Refresh. The old segments' files
// stay under .deleted names for file_delete_delay_ms at most, less where a later pass gives another file the name: until
// then a range of them that is held can be sent (FileRange::SendTo).
//
//   absl::StatusOr<varve::CompactionResult> result = (*log)->Compact();
//   if (result.ok() && varve::WasDue(result->reason)) Note("records removed", result->removed.total());
//
// Thread rules: plain values, but for CompactionPass.
#ifndef VARVE_COMPACTION_H_
#define VARVE_COMPACTION_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "varve/log_options.h"

namespace varve {

namespace internal {
class Compaction;
}  // namespace internal

struct CompactionOptions {
  // For the latest offset of each key, 24 bytes a key. Where it is too small for all that is dirty, the oldest part is
  // compacted, and the next pass goes on from there.
  int64_t key_map_bytes = int64_t{128} << 20;
  // Due or not, and even where nothing is dirty: there may be tombstones whose time has come.
  bool force = false;
  // A pass that would take out a record without a key is refused before it changes anything.
  bool refuse_unkeyed = false;
  // In the place of LogOptions' values, and of the clock's time.
  std::optional<int64_t> delete_retention_ms = std::nullopt;
  std::optional<int64_t> min_compaction_lag_ms = std::nullopt;
  std::optional<int64_t> now_ms = std::nullopt;
  // Of Log::Compact only: called now and then on the calling thread, which holds no lock then.
  ProgressCallback progress = nullptr;
  // True stops the pass; first asked when it is planned, and nothing is read yet. Segments that were exchanged by then
  // stay so, and the next pass begins where this one did.
  std::function<bool()> cancel = nullptr;
};

// Why a log was compacted, or was not.
enum class CompactionReason {
  kNothingToClean,  // nothing but the active segment, or nothing dirty that may be touched
  kRatioTooLow,     // not more dirty than min_cleanable_dirty_ratio
  kDirtyRatio,      // compacted: more dirty than that
  kMaxLag,          // compacted: records have waited for longer than max_compaction_lag_ms
  kForced,          // compacted: CompactionOptions::force
};

[[nodiscard]] constexpr bool WasDue(CompactionReason reason) {
  return reason != CompactionReason::kNothingToClean && reason != CompactionReason::kRatioTooLow;
}

struct RemovedRecords {
  int64_t superseded = 0;  // a later record has the key
  int64_t tombstones = 0;  // whose time had come
  int64_t unkeyed = 0;
  int64_t aborted = 0;
  int64_t markers = 0;  // of transactions of which nothing is left

  [[nodiscard]] int64_t total() const { return superseded + tombstones + unkeyed + aborted + markers; }
  friend bool operator==(const RemovedRecords&, const RemovedRecords&) = default;
};

struct CompactionResult {
  CompactionReason reason = CompactionReason::kNothingToClean;
  double dirty_ratio = 0;                // 0 … 1
  int64_t first_dirty_offset = 0;        // before the pass
  int64_t first_uncleanable_offset = 0;  // nothing from there on may be touched
  // Everything below has been compacted; first_dirty_offset where the pass was not due, or did not come to its end.
  int64_t end_offset = 0;

  int64_t map_keys = 0;  // different keys of what was dirty
  int64_t map_bytes = 0;

  // Of what was exchanged.
  int64_t segments_before = 0;
  int64_t segments_after = 0;
  int64_t bytes_before = 0;
  int64_t bytes_after = 0;
  int64_t records_kept = 0;  // transaction markers among them
  RemovedRecords removed;

  // 1 where the pass ended early, as a truncation or a deletion had taken segments that it worked on.
  int64_t segments_dropped = 0;
  bool cancelled = false;  // CompactionOptions::cancel said so
};

// What a step may take. It ends at the first of them, but not before some work is done: so it may run over by one unit
// of that, which is the planning, a batch, or the exchange of one group of segments.
struct StepBudget {
  int64_t bytes = std::numeric_limits<int64_t>::max();              // read
  std::chrono::nanoseconds time = std::chrono::nanoseconds::max();  // by LogOptions::clock's monotonic time
};

// As ProgressCallback tells of it; the total is 0 until the pass is planned.
struct CompactionProgress {
  int64_t done_bytes = 0;
  int64_t total_bytes = 0;
};

// A compaction that goes on when it is asked to (Log::BeginCompaction):
//
//   absl::StatusOr<std::unique_ptr<varve::CompactionPass>> pass = (*log)->BeginCompaction();
//   for (bool done = !pass.ok(); !done;) {
//     const absl::StatusOr<bool> step = (*pass)->Step({.bytes = 1 << 20});
//     done = !step.ok() || *step;                                             // other work in between
//   }
//
// Between two steps the log takes everything: appends, truncation, deletion, retention, Close. A truncation or a
// deletion of segments that the pass works on ends it at the next step. To destroy a pass gives it up: segments that
// were exchanged stay so, files that it was writing are removed, and the next pass begins where this one did. It may
// outlive the log, whose closing gives it up too.
// At rest it holds the key map, two files, and the way to all other passes over the log.
//
// Thread rules: one thread at a time; the log's other operations from any thread, also during a step.
class CompactionPass {
 public:
  ~CompactionPass();
  CompactionPass(const CompactionPass&) = delete;
  CompactionPass& operator=(const CompactionPass&) = delete;

  // Goes on with the pass. True: it has come to its end, because all is done, it was not due, or what it worked on is
  // gone. Errors: as Log::Compact; kFailedPrecondition once the log is closed, also during the step. An error ends the
  // pass; later steps answer the same. Cost: the first step plans, and syncs the log if the pass is due; the last lists the
  // directory. Files that were replaced go by Log::RemoveDeletedFiles.
  [[nodiscard]] absl::StatusOr<bool> Step(const StepBudget& budget = {});

  // So far. CompactionResult::end_offset moves with the last step.
  [[nodiscard]] const CompactionResult& result() const;
  [[nodiscard]] CompactionProgress progress() const;

 private:
  friend class Log;
  explicit CompactionPass(std::unique_ptr<internal::Compaction> compaction);
  std::unique_ptr<internal::Compaction> compaction_;
};

}  // namespace varve

#endif  // VARVE_COMPACTION_H_
