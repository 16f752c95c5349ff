// Where the fields of a record batch are. varve/record_batch.h says what they mean.
#ifndef VARVE_LIB_RECORD_BATCH_FORMAT_H_
#define VARVE_LIB_RECORD_BATCH_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <limits>

namespace varve::internal {

inline constexpr size_t kBaseOffsetPosition = 0;
inline constexpr size_t kLengthPosition = kBaseOffsetPosition + sizeof(int64_t);
inline constexpr size_t kLeaderEpochPosition = kLengthPosition + sizeof(int32_t);
inline constexpr size_t kMagicPosition = kLeaderEpochPosition + sizeof(int32_t);
inline constexpr size_t kCrcPosition = kMagicPosition + sizeof(int8_t);
inline constexpr size_t kAttributesPosition = kCrcPosition + sizeof(uint32_t);
inline constexpr size_t kLastOffsetDeltaPosition = kAttributesPosition + sizeof(int16_t);
inline constexpr size_t kBaseTimestampPosition = kLastOffsetDeltaPosition + sizeof(int32_t);
inline constexpr size_t kMaxTimestampPosition = kBaseTimestampPosition + sizeof(int64_t);
inline constexpr size_t kProducerIdPosition = kMaxTimestampPosition + sizeof(int64_t);
inline constexpr size_t kProducerEpochPosition = kProducerIdPosition + sizeof(int64_t);
inline constexpr size_t kBaseSequencePosition = kProducerEpochPosition + sizeof(int16_t);
inline constexpr size_t kRecordCountPosition = kBaseSequencePosition + sizeof(int32_t);
inline constexpr size_t kBatchHeaderBytes = kRecordCountPosition + sizeof(int32_t);
static_assert(kBatchHeaderBytes == 61);
static_assert(kMagicPosition == 16, "the magic is at byte 16 in every version");

// Offset and length: in every version the length counts what follows it.
inline constexpr size_t kLogOverheadBytes = kLengthPosition + sizeof(int32_t);
// Up to and with the magic: a tail of this size or less says nothing (FileLogInputStream).
inline constexpr size_t kHeaderToMagicBytes = kMagicPosition + sizeof(int8_t);
// The least length field of any version: magic 0 with null key and value (LegacyRecord.RECORD_OVERHEAD_V0).
inline constexpr int32_t kMinLengthAnyMagic = 14;
// The least length field of magic 2.
inline constexpr int32_t kMinLength = static_cast<int32_t>(kBatchHeaderBytes - kLogOverheadBytes);
// A length field, and with it a batch, must fit an int32.
inline constexpr size_t kMaxBatchBytes = std::numeric_limits<int32_t>::max();

inline constexpr int8_t kMagic = 2;

inline constexpr int16_t kCodecMask = 0x07;
inline constexpr int16_t kLogAppendTimeBit = 0x08;
inline constexpr int16_t kTransactionalBit = 0x10;
inline constexpr int16_t kControlBit = 0x20;
inline constexpr int16_t kDeleteHorizonBit = 0x40;

}  // namespace varve::internal

#endif  // VARVE_LIB_RECORD_BATCH_FORMAT_H_
