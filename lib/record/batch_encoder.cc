#include "record/batch_encoder.h"

#include <algorithm>
#include <limits>

#include "base/status.h"
#include "base/wrapping.h"
#include "record/batch_header.h"
#include "record/record_codec.h"

namespace varve::internal {
namespace {

size_t BodySize(const Record& record, int64_t timestamp_delta, int32_t offset_delta) {
  return RecordBodySize(timestamp_delta, offset_delta, record.key, record.value, HeadersSize(record.headers));
}

std::byte* EncodeRecords(std::span<const Record> records, const BatchStamp& stamp, const BatchPlan& plan,
                         std::byte* out) {
  int32_t offset_delta = 0;
  for (const Record& record : records) {
    const int64_t timestamp_delta =
        SubtractWrapping(record.timestamp_ms.value_or(stamp.now_ms), plan.base_timestamp_ms);
    const size_t body_size = BodySize(record, timestamp_delta, offset_delta);
    out = EncodeRecordStart(out, body_size, timestamp_delta, offset_delta, record.key, record.value);
    out = EncodeHeaders(out, record.headers);
    ++offset_delta;
  }
  return out;
}

BatchHeader HeaderOf(std::span<const Record> records, const BatchStamp& stamp, const BatchPlan& plan,
                     size_t size_bytes) {
  int attributes = static_cast<int>(stamp.codec);
  if (stamp.timestamp_type == TimestampType::kLogAppendTime) attributes |= kLogAppendTimeBit;
  if (stamp.transactional) attributes |= kTransactionalBit;
  if (stamp.control) attributes |= kControlBit;
  return {
      .base_offset = stamp.base_offset,
      .size_bytes = size_bytes,
      .leader_epoch = stamp.leader_epoch,
      .attributes = static_cast<int16_t>(attributes),
      .last_offset_delta = static_cast<int32_t>(plan.last_offset - stamp.base_offset),
      .base_timestamp_ms = plan.base_timestamp_ms,
      .max_timestamp_ms = plan.max_timestamp_ms,
      .producer_id = stamp.producer_id,
      .producer_epoch = stamp.producer_epoch,
      .base_sequence = stamp.base_sequence,
      .record_count = static_cast<int32_t>(records.size()),
  };
}

}  // namespace

absl::Status PlanBatch(std::span<const Record> records, const BatchStamp& stamp, BatchPlan* plan) {
  if (records.empty()) return absl::InvalidArgumentError("a batch needs at least one record, found none");
  // Every record takes 7 bytes at least, so a count that overflows an int32 runs into the size limit first.
  const int64_t last_delta = static_cast<int64_t>(records.size()) - 1;
  if (stamp.base_offset < 0 || stamp.base_offset >= std::numeric_limits<int64_t>::max() - last_delta) {
    return Error(absl::StatusCode::kInvalidArgument, "{} records do not fit between base offset {} and 2^63-2",
                 records.size(), stamp.base_offset);
  }
  const int64_t base_timestamp_ms = records.front().timestamp_ms.value_or(stamp.now_ms);
  int64_t max_timestamp_ms = kNoTimestamp;
  size_t size_bytes = kBatchHeaderBytes;
  int32_t offset_delta = 0;
  for (const Record& record : records) {
    if (!RecordFits(record)) [[unlikely]] {
      return Error(absl::StatusCode::kInvalidArgument,
                   "record {}: a key, value or header exceeds the 2^31-1 bytes that its length field can say",
                   offset_delta);
    }
    const int64_t timestamp_ms = record.timestamp_ms.value_or(stamp.now_ms);
    if (timestamp_ms < kNoTimestamp) [[unlikely]] {
      return Error(absl::StatusCode::kInvalidArgument, "record {}: a timestamp of at least -1 expected, found {}",
                   offset_delta, timestamp_ms);
    }
    max_timestamp_ms = std::max(max_timestamp_ms, timestamp_ms);
    const size_t body_size = BodySize(record, SubtractWrapping(timestamp_ms, base_timestamp_ms), offset_delta);
    size_bytes += LengthFits(body_size) ? RecordSize(body_size) : body_size;
    if (size_bytes > kMaxBatchBytes) [[unlikely]] {
      return Error(absl::StatusCode::kInvalidArgument,
                   "record {} of {}: the batch would exceed the 2^31-1 bytes that its length field can say",
                   offset_delta, records.size());
    }
    ++offset_delta;
  }
  plan->size_bytes = size_bytes;
  plan->base_timestamp_ms = base_timestamp_ms;
  plan->max_timestamp_ms = stamp.timestamp_type == TimestampType::kLogAppendTime ? stamp.now_ms : max_timestamp_ms;
  plan->last_offset = stamp.base_offset + last_delta;
  return absl::OkStatus();
}

void EncodeBatch(std::span<const Record> records, const BatchStamp& stamp, const BatchPlan& plan, std::byte* out) {
  EncodeBatchHeader(HeaderOf(records, stamp, plan, plan.size_bytes), out);
  EncodeRecords(records, stamp, plan, out + kBatchHeaderBytes);
  SealBatch({out, plan.size_bytes});
}

absl::Status EncodeCompressedBatch(std::span<const Record> records, const BatchStamp& stamp, const BatchPlan& plan,
                                   std::vector<std::byte>* out) {
  std::vector<std::byte> plain(plan.size_bytes - kBatchHeaderBytes);
  EncodeRecords(records, stamp, plan, plain.data());
  out->assign(kBatchHeaderBytes, std::byte{0});
  VARVE_RETURN_IF_ERROR(Compress(stamp.codec, plain, out, stamp.compression_level));
  if (out->size() > kMaxBatchBytes) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "a batch of at most 2^31-1 bytes expected, found {} after compression by {}", out->size(),
                 CodecName(stamp.codec));
  }
  EncodeBatchHeader(HeaderOf(records, stamp, plan, out->size()), out->data());
  SealBatch(*out);
  return absl::OkStatus();
}

}  // namespace varve::internal
