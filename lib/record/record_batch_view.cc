#include "base/bytes.h"
#include "base/wrapping.h"
#include "record/batch_header.h"
#include "varve/record_batch.h"

namespace varve {

using internal::LoadBigEndian;

static_assert(RecordBatchView::kHeaderBytes == internal::kBatchHeaderBytes);

std::optional<int64_t> RecordBatchView::ClaimedBytes(std::span<const std::byte> bytes) {
  if (bytes.size() < internal::kLogOverheadBytes) return std::nullopt;
  return static_cast<int64_t>(LoadBigEndian<int32_t>(bytes.data() + internal::kLengthPosition)) +
         static_cast<int64_t>(internal::kLogOverheadBytes);
}

absl::StatusOr<RecordBatchView> RecordBatchView::Parse(std::span<const std::byte> bytes) {
  switch (internal::JudgeBatch(bytes.data(), bytes.size(), bytes.size())) {
    case internal::BatchForm::kWhole: {
      const auto length = LoadBigEndian<int32_t>(bytes.data() + internal::kLengthPosition);
      return RecordBatchView(bytes.first(internal::kLogOverheadBytes + static_cast<size_t>(length)));
    }
    case internal::BatchForm::kUnsupported:
      return absl::UnimplementedError(internal::ExplainBatch(bytes.data(), bytes.size(), bytes.size()));
    case internal::BatchForm::kTorn:
    case internal::BatchForm::kInvalid:
      break;
  }
  return absl::DataLossError(internal::ExplainBatch(bytes.data(), bytes.size(), bytes.size()));
}

int64_t RecordBatchView::base_offset() const {
  return LoadBigEndian<int64_t>(bytes_.data() + internal::kBaseOffsetPosition);
}
int32_t RecordBatchView::leader_epoch() const {
  return LoadBigEndian<int32_t>(bytes_.data() + internal::kLeaderEpochPosition);
}
int8_t RecordBatchView::magic() const { return LoadBigEndian<int8_t>(bytes_.data() + internal::kMagicPosition); }
uint32_t RecordBatchView::crc() const { return LoadBigEndian<uint32_t>(bytes_.data() + internal::kCrcPosition); }
int16_t RecordBatchView::attributes() const {
  return LoadBigEndian<int16_t>(bytes_.data() + internal::kAttributesPosition);
}
int32_t RecordBatchView::last_offset_delta() const {
  return LoadBigEndian<int32_t>(bytes_.data() + internal::kLastOffsetDeltaPosition);
}
int64_t RecordBatchView::last_offset() const { return internal::AddWrapping(base_offset(), last_offset_delta()); }
int64_t RecordBatchView::next_offset() const { return internal::AddWrapping(last_offset(), 1); }
int64_t RecordBatchView::base_timestamp_ms() const {
  return LoadBigEndian<int64_t>(bytes_.data() + internal::kBaseTimestampPosition);
}
int64_t RecordBatchView::max_timestamp_ms() const {
  return LoadBigEndian<int64_t>(bytes_.data() + internal::kMaxTimestampPosition);
}
int64_t RecordBatchView::producer_id() const {
  return LoadBigEndian<int64_t>(bytes_.data() + internal::kProducerIdPosition);
}
int16_t RecordBatchView::producer_epoch() const {
  return LoadBigEndian<int16_t>(bytes_.data() + internal::kProducerEpochPosition);
}
int32_t RecordBatchView::base_sequence() const {
  return LoadBigEndian<int32_t>(bytes_.data() + internal::kBaseSequencePosition);
}
int32_t RecordBatchView::last_sequence() const {
  const int32_t first = base_sequence();
  return first == kNoSequence ? kNoSequence : AddToSequence(first, last_offset_delta());
}
int32_t RecordBatchView::record_count() const {
  return LoadBigEndian<int32_t>(bytes_.data() + internal::kRecordCountPosition);
}

Codec RecordBatchView::codec() const { return static_cast<Codec>(attributes() & internal::kCodecMask); }
TimestampType RecordBatchView::timestamp_type() const {
  return (attributes() & internal::kLogAppendTimeBit) != 0 ? TimestampType::kLogAppendTime : TimestampType::kCreateTime;
}
bool RecordBatchView::is_transactional() const { return (attributes() & internal::kTransactionalBit) != 0; }
bool RecordBatchView::is_control() const { return (attributes() & internal::kControlBit) != 0; }
std::optional<int64_t> RecordBatchView::delete_horizon_ms() const {
  if ((attributes() & internal::kDeleteHorizonBit) == 0) return std::nullopt;
  return base_timestamp_ms();
}

uint32_t RecordBatchView::ComputeCrc() const { return internal::BatchCrc(bytes_); }

std::span<const std::byte> RecordBatchView::payload() const { return bytes_.subspan(internal::kBatchHeaderBytes); }

bool NextBatch(std::span<const std::byte>* rest, RecordBatchView* batch) {
  if (internal::JudgeBatch(rest->data(), rest->size(), rest->size()) != internal::BatchForm::kWhole) return false;
  const auto length = LoadBigEndian<int32_t>(rest->data() + internal::kLengthPosition);
  const size_t size_bytes = internal::kLogOverheadBytes + static_cast<size_t>(length);
  *batch = RecordBatchView(rest->first(size_bytes));
  *rest = rest->subspan(size_bytes);
  return true;
}

}  // namespace varve
