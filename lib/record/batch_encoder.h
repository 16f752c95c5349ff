// The hot path of Log::Append: records of the caller's become a batch where the log wants it, in two steps, so that the
// log knows the size before it picks the place.
//
//   BatchPlan plan;
//   VARVE_RETURN_IF_ERROR(PlanBatch(records, stamp, &plan));
//   EncodeBatch(records, stamp, plan, out);  // out has room for plan.size_bytes
//
// Thread rules: free functions without state. Cost: two walks over the records; no allocation unless there is an error
// or a codec.
#ifndef VARVE_LIB_RECORD_BATCH_ENCODER_H_
#define VARVE_LIB_RECORD_BATCH_ENCODER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "varve/record.h"
#include "varve/record_batch.h"

namespace varve::internal {

// What the log knows and the records do not.
struct BatchStamp {
  int64_t base_offset = 0;
  int32_t leader_epoch = kNoLeaderEpoch;
  TimestampType timestamp_type = TimestampType::kCreateTime;
  // For records without a timestamp; with kLogAppendTime the batch's max timestamp.
  int64_t now_ms = kNoTimestamp;
  Codec codec = Codec::kNone;  // for EncodeCompressedBatch; EncodeBatch requires kNone
  std::optional<int> compression_level = std::nullopt;
  int64_t producer_id = kNoProducerId;
  int16_t producer_epoch = kNoProducerEpoch;
  int32_t base_sequence = kNoSequence;
  bool transactional = false;
  bool control = false;
};

struct BatchPlan {
  size_t size_bytes = 0;  // uncompressed
  int64_t base_timestamp_ms = kNoTimestamp;
  int64_t max_timestamp_ms = kNoTimestamp;
  int64_t last_offset = 0;
};

// Checks the records and computes what the batch will be. kInvalidArgument: no records, a timestamp below -1, a length
// above 2^31-1, a batch above 2^31-1 bytes, or offsets beyond 2^63-1.
[[nodiscard]] absl::Status PlanBatch(std::span<const Record> records, const BatchStamp& stamp, BatchPlan* plan);

// Writes exactly plan.size_bytes at `out`. Records, stamp and plan are those of a successful PlanBatch.
void EncodeBatch(std::span<const Record> records, const BatchStamp& stamp, const BatchPlan& plan, std::byte* out);

// Makes `out` the batch, compressed by stamp.codec. Errors as Compress; kInvalidArgument: above 2^31-1 bytes
// compressed.
[[nodiscard]] absl::Status EncodeCompressedBatch(std::span<const Record> records, const BatchStamp& stamp,
                                                 const BatchPlan& plan, std::vector<std::byte>* out);

}  // namespace varve::internal

#endif  // VARVE_LIB_RECORD_BATCH_ENCODER_H_
