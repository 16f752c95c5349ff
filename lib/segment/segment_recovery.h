// Segment recovery: reads one .log from its start, tells good batches from everything else, and works out what its
// indexes are to hold (Kafka LogSegment.recover; durability notes, Opening 4 to 7).
//
// It judges and changes nothing: what it finds is a plan for others to carry out (log/load_plan.h). Every good batch is
// handed to a visitor in order, as the log will hold it, headers mended; recovery itself knows no state class.
//
// A batch is good if its length and magic can be, its checksum agrees, and its offsets lie above those before it,
// within 2^31 of the segment's base and below the next segment. (Kafka lets offsets repeat and go back; here they end
// the log.) What an invalid byte means depends on where it lies:
//   below the durable point                 damage, the log goes on behind it
//   above it, where the page cache survived a batch cut short at the end is a torn tail; anything else is damage
//   above it, after a restart               the log ends there, whatever is behind
//   where the durable point is lost         damage, but for zeros at the end
#ifndef VARVE_LIB_SEGMENT_SEGMENT_RECOVERY_H_
#define VARVE_LIB_SEGMENT_SEGMENT_RECOVERY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "record/batch_header.h"
#include "segment/damage_analysis.h"
#include "segment/index_rebuilder.h"
#include "varve/damaged_range.h"
#include "varve/file_system.h"
#include "varve/sparse_offset_index.h"

namespace varve::internal {

// Takes the good batches of a scan, in order. An error ends the scan with it.
class BatchVisitor {
 public:
  virtual ~BatchVisitor() = default;
  // `bytes` is the whole batch, mended where that was needed; valid during the call.
  [[nodiscard]] virtual absl::Status Visit(const BatchHeader& header, std::span<const std::byte> bytes) = 0;
};

// For those whom only the judgement concerns.
class NoVisitor : public BatchVisitor {
 public:
  absl::Status Visit(const BatchHeader&, std::span<const std::byte>) override { return absl::OkStatus(); }
};

struct SegmentRecoveryInput {
  int64_t base_offset = 0;
  int64_t size_bytes = 0;
  int32_t previous_epoch = kUnknownEpoch;                          // of the last batch before the segment
  std::optional<int64_t> next_segment_base_offset = std::nullopt;  // absent in the last segment
  std::vector<OffsetPosition> index_entries;  // of the .index as found, in order; empty where it is unusable

  // What is on stable storage: every byte below durable_position, every offset below durable_offset. 0: nothing.
  int64_t durable_position = 0;
  int64_t durable_offset = 0;
  // Set where durable_position is the end of a batch, at which the log stood at durable_offset.
  bool durable_point_is_boundary = false;
  // Set where nothing but a live line says so, which has no checksum: batches that follow one another count for more.
  bool durable_point_is_hint = false;
  bool cache_survived = false;
  // Set where what is on stable storage was known once and no longer is: whatever is invalid may lie below it.
  bool durable_point_is_lost = false;

  bool ends_at_damage = false;  // OnDamage::kTruncate
  bool excises_damage = false;  // OnDamage::kQuarantine: indexes are built for a file without the damaged bytes
  int64_t index_interval_bytes = 4096;
  int64_t segment_index_bytes = int64_t{10} * 1024 * 1024;
};

// A batch whose first bytes were mended.
struct MendedHeader {
  int64_t position = 0;
  UncheckedHeader bytes{};
  int64_t base_offset = 0;
  int64_t last_offset = 0;
  std::string evidence;
};

// Why the log ends inside this segment, before the end of the file.
enum class LogEnd {
  kNowhere,    // it does not: everything up to the file's end stays
  kTornTail,   // a batch cut short, or preallocated zeros; nothing good is behind
  kAtInvalid,  // after a restart: an invalid byte; good batches may be behind
  kAtDamage,   // damage, and ends_at_damage
};

struct SegmentRecovery {
  LogEnd log_end = LogEnd::kNowhere;
  int64_t end_position = 0;  // first byte that does not stay; the file's size if log_end is kNowhere
  int64_t next_offset = 0;   // behind the last good batch; the base offset if there is none
  int32_t last_epoch = kUnknownEpoch;
  std::string end_reason;  // what was expected and found at end_position
  bool end_is_zeros = false;

  std::vector<DamagedRange> damage;      // that stays in the file, or is to be excised
  std::vector<DamagedRange> unreadable;  // of these, where the device failed: what is there may be good
  std::vector<MendedHeader> mended;
  int64_t batches = 0;
  int64_t bytes_scanned = 0;
  int64_t last_batch_position = -1;  // in the file as it will be; -1 without a good batch
  uint32_t last_batch_crc = 0;
  int64_t final_size_bytes = 0;         // of the file as it will be
  std::vector<std::byte> offset_index;  // what the index files are to hold
  std::vector<std::byte> time_index;
};

// Judges the first input.size_bytes of `log`. kUnimplemented: a message of magic 0 or 1, or two batches in a row of one
// higher magic, with good checksums; the message names file, position and magic. kResourceExhausted: no memory. An
// error of the visitor. Bytes that the device cannot read are damage. Cost: one sequential read; the rebuilt indexes
// are kept in memory, about 20 bytes for each index_interval_bytes.
[[nodiscard]] absl::StatusOr<SegmentRecovery> RecoverSegment(const File& log, const SegmentRecoveryInput& input,
                                                             BatchVisitor& visitor);

// Good batches in [from, size_bytes), by their checksums alone and whatever their offsets: what would be lost with a
// cut.
struct BatchesBehind {
  int64_t batches = 0;
  int64_t end_position = 0;  // end of the last of them; `from` if there is none
  int64_t last_offset = -1;
};
[[nodiscard]] absl::StatusOr<BatchesBehind> CountBatchesBehind(const File& log, int64_t from, int64_t size_bytes);

}  // namespace varve::internal

#endif  // VARVE_LIB_SEGMENT_SEGMENT_RECOVERY_H_
