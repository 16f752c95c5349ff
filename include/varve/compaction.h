// CompactionOptions, CompactionResult: what Log::Compact is told, and what it did.
//
// Compaction keeps the latest record of each key (Kafka's log cleaner): older ones go, and so do tombstones, once they
// have stayed for delete_retention_ms, and the records of aborted transactions. Offsets never change; they get gaps.
//
// Plain values.
#ifndef VARVE_COMPACTION_H_
#define VARVE_COMPACTION_H_

#include <cstdint>
#include <functional>
#include <optional>

#include "varve/log_options.h"

namespace varve {

struct CompactionOptions {
  // For the latest offset of each key, 24 bytes a key. Where it is too small for all that is dirty, the oldest part is
  // compacted, and the next pass goes on from there.
  int64_t key_map_bytes = int64_t{128} << 20;
  // Whatever the ratio, and even where nothing is dirty, as there may be tombstones whose time has come.
  bool force = false;
  // In the place of LogOptions' values, and of the clock's time.
  std::optional<int64_t> delete_retention_ms = std::nullopt;
  std::optional<int64_t> min_compaction_lag_ms = std::nullopt;
  std::optional<int64_t> now_ms = std::nullopt;
  ProgressCallback progress = nullptr;
  // Asked now and then on the calling thread: true stops the pass. What it has done by then stays, and counts for
  // nothing: the next pass begins where this one did.
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
  bool cancelled = false;
};

}  // namespace varve

#endif  // VARVE_COMPACTION_H_
