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

namespace varve {

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

}  // namespace varve

#endif  // VARVE_COMPACTION_H_
