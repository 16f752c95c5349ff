// Damage analysis: what stands at a byte of a .log where a good batch was expected, and where the log goes on behind it
// (durability notes, Opening 4 to 7).
//
// A scan for anything with a good checksum would find batches inside record values (store-and-forward hosts keep them
// there) and invent records. So the log resumes only
//   - at the end of the damaged batch, where the batch behind begins at or above the offset its own header leads to;
//   - at an anchor: a position named by an entry of the index file as it was found that agrees with its batch, or a
//     position that the caller knows to be a batch's end (the durable point, the published end);
//   - at a candidate whose chain of good batches with rising offsets reaches an anchor, or ends with the
//     segment exactly where the next one begins.
// Before that, a batch whose body is good but whose header is not is mended (header_mending.h).
//
// Cost: reads from the damage to the next anchor, or to the end of the segment. Nothing is changed.
#ifndef VARVE_LIB_SEGMENT_DAMAGE_ANALYSIS_H_
#define VARVE_LIB_SEGMENT_DAMAGE_ANALYSIS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "absl/status/statusor.h"
#include "record/batch_format.h"
#include "segment/header_mending.h"
#include "segment/raw_log.h"
#include "varve/sparse_offset_index.h"

namespace varve::internal {

// A batch boundary that is known from outside the .log: every batch before `position` ends at or below `offset`, and
// the next one starts there.
struct KnownBoundary {
  int64_t position = 0;
  int64_t offset = 0;
};

// Where the analysis starts and what surrounds it.
struct DamageSite {
  int64_t segment_base_offset = 0;
  int64_t position = 0;         // the first byte that is not a good batch
  int64_t expected_offset = 0;  // the next offset of the batch before
  int32_t previous_epoch = kUnknownEpoch;
  std::optional<int64_t> next_segment_base_offset = std::nullopt;  // absent in the last segment
  // Durable point or published end, where it lies in this segment and behind `position`.
  std::optional<KnownBoundary> boundary = std::nullopt;
  std::span<const OffsetPosition> index_entries = {};  // of the index file as found; empty where it is unusable
};

// The bytes of a batch that are outside its checksum.
using UncheckedHeader = std::array<std::byte, kHeaderToMagicBytes>;

enum class DamageVerdict {
  kMended,    // the batch is good once its header is `mended`
  kResumes,   // damaged up to resume_position, where a good batch or the end of the segment is
  kZeros,     // nothing but zeros up to the end: preallocated space that was never published
  kCutShort,  // the last batch is not whole, and nothing good is behind it
  kLost,      // damaged to the segment's end: good batches are behind, but nothing proves that they are the log's
};

struct DamageAnalysis {
  DamageVerdict verdict = DamageVerdict::kCutShort;
  int64_t resume_position = 0;  // kResumes: what it says. kMended: the batch's end. Else the segment's size
  UncheckedHeader mended{};     // kMended
};

// Errors: kResourceExhausted (no memory), as File::ReadAt otherwise; bytes that the device cannot read are damage.
[[nodiscard]] absl::StatusOr<DamageAnalysis> AnalyzeDamage(RawLog& log, const DamageSite& site);

// True if the entry names the first byte of a good batch that lies where the entry says.
[[nodiscard]] absl::StatusOr<bool> EntryAgrees(RawLog& log, const OffsetPosition& entry);

}  // namespace varve::internal

#endif  // VARVE_LIB_SEGMENT_DAMAGE_ANALYSIS_H_
