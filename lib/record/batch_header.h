// BatchHeader: the fixed fields of a batch, decoded once. What scans hand on.
#ifndef VARVE_LIB_RECORD_BATCH_HEADER_H_
#define VARVE_LIB_RECORD_BATCH_HEADER_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/wrapping.h"
#include "record/batch_format.h"
#include "varve/record_batch.h"

namespace varve::internal {

struct BatchHeader {
  int64_t base_offset = 0;
  size_t size_bytes = kBatchHeaderBytes;  // the whole batch
  int32_t leader_epoch = kNoLeaderEpoch;
  int8_t magic = kMagic;
  uint32_t crc = 0;
  int16_t attributes = 0;
  int32_t last_offset_delta = 0;
  int64_t base_timestamp_ms = kNoTimestamp;
  int64_t max_timestamp_ms = kNoTimestamp;
  int64_t producer_id = kNoProducerId;
  int16_t producer_epoch = kNoProducerEpoch;
  int32_t base_sequence = kNoSequence;
  int32_t record_count = 0;

  [[nodiscard]] int64_t last_offset() const { return AddWrapping(base_offset, last_offset_delta); }
  [[nodiscard]] int64_t next_offset() const { return AddWrapping(last_offset(), 1); }
  [[nodiscard]] Codec codec() const { return static_cast<Codec>(attributes & kCodecMask); }
  [[nodiscard]] TimestampType timestamp_type() const {
    return (attributes & kLogAppendTimeBit) != 0 ? TimestampType::kLogAppendTime : TimestampType::kCreateTime;
  }
  [[nodiscard]] bool is_transactional() const { return (attributes & kTransactionalBit) != 0; }
  [[nodiscard]] bool is_control() const { return (attributes & kControlBit) != 0; }
  [[nodiscard]] int32_t last_sequence() const {
    return base_sequence == kNoSequence ? kNoSequence : AddToSequence(base_sequence, last_offset_delta);
  }
};

// Decodes the 61 bytes at `bytes`, whose length and magic were checked.
[[nodiscard]] inline BatchHeader DecodeBatchHeader(const std::byte* bytes) {
  return {
      .base_offset = LoadBigEndian<int64_t>(bytes + kBaseOffsetPosition),
      .size_bytes = kLogOverheadBytes + static_cast<size_t>(LoadBigEndian<int32_t>(bytes + kLengthPosition)),
      .leader_epoch = LoadBigEndian<int32_t>(bytes + kLeaderEpochPosition),
      .magic = LoadBigEndian<int8_t>(bytes + kMagicPosition),
      .crc = LoadBigEndian<uint32_t>(bytes + kCrcPosition),
      .attributes = LoadBigEndian<int16_t>(bytes + kAttributesPosition),
      .last_offset_delta = LoadBigEndian<int32_t>(bytes + kLastOffsetDeltaPosition),
      .base_timestamp_ms = LoadBigEndian<int64_t>(bytes + kBaseTimestampPosition),
      .max_timestamp_ms = LoadBigEndian<int64_t>(bytes + kMaxTimestampPosition),
      .producer_id = LoadBigEndian<int64_t>(bytes + kProducerIdPosition),
      .producer_epoch = LoadBigEndian<int16_t>(bytes + kProducerEpochPosition),
      .base_sequence = LoadBigEndian<int32_t>(bytes + kBaseSequencePosition),
      .record_count = LoadBigEndian<int32_t>(bytes + kRecordCountPosition),
  };
}

// True where a batch's own offsets can be: they do not fall, and the one behind the last is below 2^63 too.
[[nodiscard]] inline bool HasSaneOffsets(const BatchHeader& header) {
  return header.base_offset >= 0 && header.last_offset_delta >= 0 &&
         header.base_offset < std::numeric_limits<int64_t>::max() - header.last_offset_delta;
}

// Writes the 61 bytes of `header` at `out`. The checksum is what header.crc says; SealBatch computes it.
inline void EncodeBatchHeader(const BatchHeader& header, std::byte* out) {
  StoreBigEndian(out + kBaseOffsetPosition, header.base_offset);
  StoreBigEndian(out + kLengthPosition, static_cast<int32_t>(header.size_bytes - kLogOverheadBytes));
  StoreBigEndian(out + kLeaderEpochPosition, header.leader_epoch);
  StoreBigEndian(out + kMagicPosition, header.magic);
  StoreBigEndian(out + kCrcPosition, header.crc);
  StoreBigEndian(out + kAttributesPosition, header.attributes);
  StoreBigEndian(out + kLastOffsetDeltaPosition, header.last_offset_delta);
  StoreBigEndian(out + kBaseTimestampPosition, header.base_timestamp_ms);
  StoreBigEndian(out + kMaxTimestampPosition, header.max_timestamp_ms);
  StoreBigEndian(out + kProducerIdPosition, header.producer_id);
  StoreBigEndian(out + kProducerEpochPosition, header.producer_epoch);
  StoreBigEndian(out + kBaseSequencePosition, header.base_sequence);
  StoreBigEndian(out + kRecordCountPosition, header.record_count);
}

// The checksum of a whole batch, computed.
[[nodiscard]] inline uint32_t BatchCrc(std::span<const std::byte> batch) {
  return Crc32c(batch.subspan(kAttributesPosition));
}

// Stores the checksum of a batch that is otherwise complete.
inline void SealBatch(std::span<std::byte> batch) { StoreBigEndian(batch.data() + kCrcPosition, BatchCrc(batch)); }

// What the first bytes of something that should be a batch amount to.
enum class BatchForm {
  kWhole,        // a batch of magic 2 that fits
  kTorn,         // 17 bytes or less, or a batch that says it goes beyond the limit
  kInvalid,      // not a batch: its length or its magic cannot be
  kUnsupported,  // a message of magic 0 or 1 that fits
};

// Judges the batch that begins at `bytes`. `available` is how many bytes are readable there, min(limit, 61) or more;
// `limit` how many bytes there are until the end of the range. In the order of Kafka's FileLogInputStream.
[[nodiscard]] inline BatchForm JudgeBatch(const std::byte* bytes, size_t available, uint64_t limit) {
  if (limit <= kHeaderToMagicBytes || available <= kHeaderToMagicBytes) return BatchForm::kTorn;
  const auto length = LoadBigEndian<int32_t>(bytes + kLengthPosition);
  if (length < kMinLengthAnyMagic) return BatchForm::kInvalid;
  if (kLogOverheadBytes + static_cast<uint64_t>(length) > limit) return BatchForm::kTorn;
  const auto magic = LoadBigEndian<int8_t>(bytes + kMagicPosition);
  if (magic == 0 || magic == 1) return BatchForm::kUnsupported;
  if (magic != kMagic || length < kMinLength) return BatchForm::kInvalid;
  return BatchForm::kWhole;
}

// What JudgeBatch found wrong, for a message: "a length field of 3, expected at least 49".
[[nodiscard]] std::string ExplainBatch(const std::byte* bytes, size_t available, uint64_t limit);

}  // namespace varve::internal

#endif  // VARVE_LIB_RECORD_BATCH_HEADER_H_
