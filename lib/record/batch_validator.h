// What a batch must satisfy before a log appends it: as a leader from a client (LogValidator, UnifiedLog.append), as a
// follower from its leader. Both decide and leave the writing to the log.
//
// A leader's plan is the bytes to write and a stamp to put on them once they are in place: the log copies, then calls
// RestampBatch. The bytes are the input itself where Kafka works in place, or a rebuilt batch in the scratch.
//
// Errors carry Kafka's number (KafkaErrorOf) and name the batch and the record:
//   kInvalidArgument    everything that is wrong with the input, damage included: 2 corrupt, 10 too large,
//                       32 timestamp, 87 invalid record; without a number where Kafka has none (a follower's offsets)
//   kUnimplemented      magic 0 or 1 (43), a codec that this build lacks (76)
//   kResourceExhausted  a batch that decodes to more than the scratch's limit
//
// The size of a whole append against segment.bytes is the log's to check.
// Thread rules: free functions; a scratch serves one thread at a time.
#ifndef VARVE_LIB_RECORD_BATCH_VALIDATOR_H_
#define VARVE_LIB_RECORD_BATCH_VALIDATOR_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>

#include "absl/status/statusor.h"
#include "record/batch_header.h"
#include "varve/compression.h"
#include "varve/record_batch.h"

namespace varve::internal {

// What a log writes over a batch's header. The checksum is computed anew only if bit 3 or the max timestamp changes.
struct BatchRestamp {
  int64_t base_offset = 0;
  int32_t leader_epoch = kNoLeaderEpoch;
  TimestampType timestamp_type = TimestampType::kCreateTime;
  int64_t max_timestamp_ms = kNoTimestamp;
};

// Cost: constant, or one pass over the batch where the checksum changes.
void RestampBatch(std::span<std::byte> batch, const BatchRestamp& restamp);

// The same with the batch's own timestamps, or as log append time.
void RestampBatch(std::span<std::byte> batch, int64_t base_offset, int32_t leader_epoch,
                  std::optional<int64_t> log_append_time_ms = std::nullopt);

struct LeaderRules {
  int64_t log_end_offset = 0;  // where the batch will be
  int32_t leader_epoch = kNoLeaderEpoch;
  int64_t now_ms = 0;
  // False for what the host's own coordinators write: offsets, counts and control batches are then theirs to choose.
  bool client_origin = true;
  int64_t max_message_bytes = 1'048'588;
  bool compacted = false;
  TimestampType timestamp_type = TimestampType::kCreateTime;
  // How far a record's timestamp may be before or after now.
  int64_t before_max_ms = std::numeric_limits<int64_t>::max();
  int64_t after_max_ms = 3'600'000;
  // Absent: as the producer sent it.
  std::optional<Codec> codec = std::nullopt;
  std::optional<int> compression_level = std::nullopt;
};

// What validation decodes and rebuilds in. Kept from call to call, it spares allocations.
struct ValidatorScratch {
  DecodeBuffer decoded;
  RecordBatchBuilder builder;
};

struct LeaderPlan {
  // One batch as it will be but for the restamp: the input's, or the scratch's. Empty: the input held no whole batch,
  // which is an error only from a client.
  std::span<const std::byte> bytes;
  bool rebuilt = false;
  BatchRestamp restamp;
  // The header as it will be after the restamp; its checksum is not.
  BatchHeader header;
};

// Steps 1 to 9 of an append by a leader. Cost: a checksum and a walk over the records, decompressed; rebuilding where
// the codec changes or the offsets in a compressed batch are not 0, 1, 2...
[[nodiscard]] absl::StatusOr<LeaderPlan> ValidateAsLeader(std::span<const std::byte> input, const LeaderRules& rules,
                                                          ValidatorScratch* scratch);

struct FollowerRules {
  int64_t log_end_offset = 0;
  // The replica's epoch. Batches of a later one come from a leader that it does not follow yet.
  int32_t leader_epoch = kNoLeaderEpoch;
};

struct FollowerPlan {
  // The whole batches to append as they are: a prefix of the input, possibly empty.
  std::span<const std::byte> bytes;
  size_t batch_count = 0;
  int64_t first_offset = 0;  // of the first batch, if there is one
  int64_t last_offset = 0;
  int64_t max_timestamp_ms = kNoTimestamp;
};

// What a follower checks of fetched batches: whole ones count and a partial tail does not; checksums; offsets that can
// be; base offsets not below the log's end, nor inside the batch before; no more offsets in all than a segment holds
// (2^31). The first batch of a later leader epoch, and all behind it, are skipped.
[[nodiscard]] absl::StatusOr<FollowerPlan> ValidateAsFollower(std::span<const std::byte> input,
                                                              const FollowerRules& rules);

}  // namespace varve::internal

#endif  // VARVE_LIB_RECORD_BATCH_VALIDATOR_H_
