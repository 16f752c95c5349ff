#include <algorithm>
#include <limits>

#include "base/status.h"
#include "base/wrapping.h"
#include "record/batch_header.h"
#include "record/record_codec.h"
#include "varve/record_batch.h"

namespace varve {

using internal::Error;
using internal::kBatchHeaderBytes;
using internal::kMaxBatchBytes;
using internal::LengthFits;

// What a Record and a RecordView have in common, and the two forms that headers come in.
struct RecordBatchBuilder::Fields {
  const std::optional<std::string_view>& key;
  const std::optional<std::string_view>& value;
  std::span<const Header> headers;
  const HeaderRange* encoded_headers;  // instead of `headers`, where not null

  [[nodiscard]] size_t HeadersSize() const {
    if (encoded_headers == nullptr) return internal::HeadersSize(headers);
    return internal::VarintSize(static_cast<int32_t>(encoded_headers->size())) + encoded_headers->bytes().size();
  }

  std::byte* EncodeHeaders(std::byte* out) const {
    if (encoded_headers == nullptr) return internal::EncodeHeaders(out, headers);
    out = internal::EncodeVarint(out, static_cast<int32_t>(encoded_headers->size()));
    return std::ranges::copy(encoded_headers->bytes(), out).out;
  }
};

RecordBatchBuilder::RecordBatchBuilder(const RecordBatchBuilderOptions& options) { Reset(options); }

void RecordBatchBuilder::Reset(const RecordBatchBuilderOptions& options) {
  options_ = options;
  buffer_.resize(kBatchHeaderBytes);
  record_count_ = 0;
  last_offset_ = internal::SubtractWrapping(options_.base_offset, 1);
  base_timestamp_ms_ = options_.delete_horizon_ms.value_or(kNoTimestamp);
  max_timestamp_ms_ = kNoTimestamp;
}

absl::Status RecordBatchBuilder::Add(const Record& record) {
  return AddAt(internal::AddWrapping(last_offset_, 1), record);
}

absl::Status RecordBatchBuilder::AddAt(int64_t offset, const Record& record) {
  if (!internal::RecordFits(record)) {
    return absl::InvalidArgumentError("a key, value or header exceeds the 2^31-1 bytes that its length field can say");
  }
  const int64_t timestamp_ms = record.timestamp_ms.value_or(options_.default_timestamp_ms);
  if (timestamp_ms < kNoTimestamp) {
    return Error(absl::StatusCode::kInvalidArgument, "a timestamp of at least -1 expected, found {}", timestamp_ms);
  }
  return AddFields(offset, timestamp_ms, {record.key, record.value, record.headers, nullptr});
}

absl::Status RecordBatchBuilder::AddAt(int64_t offset, const RecordView& record) {
  const std::optional<std::string_view> key = record.key();
  const std::optional<std::string_view> value = record.value();
  return AddFields(offset, record.timestamp_ms(), {key, value, {}, &record.headers()});
}

absl::Status RecordBatchBuilder::AddFields(int64_t offset, int64_t timestamp_ms, const Fields& fields) {
  if (options_.base_offset < 0) {
    return Error(absl::StatusCode::kInvalidArgument, "a base offset of at least 0 expected, found {}",
                 options_.base_offset);
  }
  if (offset <= last_offset_) {
    return Error(absl::StatusCode::kInvalidArgument, "an offset above {} expected, found {}", last_offset_, offset);
  }
  if (offset - options_.base_offset > std::numeric_limits<int32_t>::max()) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "an offset at most 2^31-1 above the base offset {} expected, found {}", options_.base_offset, offset);
  }
  const bool sets_base = record_count_ == 0 && !options_.delete_horizon_ms.has_value();
  const int64_t base_timestamp_ms = sets_base ? timestamp_ms : base_timestamp_ms_;
  const int64_t timestamp_delta = internal::SubtractWrapping(timestamp_ms, base_timestamp_ms);
  const auto offset_delta = static_cast<int32_t>(offset - options_.base_offset);
  const size_t body_size =
      internal::RecordBodySize(timestamp_delta, offset_delta, fields.key, fields.value, fields.HeadersSize());
  if (!LengthFits(body_size) || buffer_.size() + internal::RecordSize(body_size) > kMaxBatchBytes) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "a record of {} bytes does not fit a batch of {} bytes that may grow to 2^31-1", body_size,
                 buffer_.size());
  }
  const size_t position = buffer_.size();
  buffer_.resize(position + internal::RecordSize(body_size));
  std::byte* const headers_at = internal::EncodeRecordStart(buffer_.data() + position, body_size, timestamp_delta,
                                                            offset_delta, fields.key, fields.value);
  fields.EncodeHeaders(headers_at);
  base_timestamp_ms_ = base_timestamp_ms;
  max_timestamp_ms_ = std::max(max_timestamp_ms_, timestamp_ms);
  last_offset_ = offset;
  ++record_count_;
  return absl::OkStatus();
}

size_t RecordBatchBuilder::size_bytes() const { return buffer_.size(); }

size_t RecordBatchBuilder::SizeWith(const Record& record) const {
  const int64_t timestamp_ms = record.timestamp_ms.value_or(options_.default_timestamp_ms);
  const bool sets_base = record_count_ == 0 && !options_.delete_horizon_ms.has_value();
  const int64_t timestamp_delta = sets_base ? 0 : internal::SubtractWrapping(timestamp_ms, base_timestamp_ms_);
  const auto offset_delta = static_cast<int32_t>(internal::AddWrapping(last_offset_, 1) - options_.base_offset);
  const size_t body_size = internal::RecordBodySize(timestamp_delta, offset_delta, record.key, record.value,
                                                    internal::HeadersSize(record.headers));
  return buffer_.size() + (LengthFits(body_size) ? internal::RecordSize(body_size) : body_size);
}

absl::StatusOr<std::span<const std::byte>> RecordBatchBuilder::Build() {
  if (record_count_ == 0 && !options_.last_offset.has_value()) {
    return absl::InvalidArgumentError("a batch needs at least one record, found none");
  }
  const int64_t last_offset = options_.last_offset.value_or(last_offset_);
  const int64_t last_offset_delta = internal::SubtractWrapping(last_offset, options_.base_offset);
  if (last_offset < last_offset_ || last_offset_delta < 0 || last_offset_delta > std::numeric_limits<int32_t>::max()) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "a last offset from {} to 2^31-1 above the base offset {} expected, found {}", last_offset_,
                 options_.base_offset, last_offset);
  }
  const bool is_empty = record_count_ == 0;
  const Codec codec = is_empty ? Codec::kNone : options_.codec;
  std::vector<std::byte>* batch = &buffer_;
  if (codec != Codec::kNone) {
    compressed_.resize(kBatchHeaderBytes);
    VARVE_RETURN_IF_ERROR(
        Compress(codec, std::span(buffer_).subspan(kBatchHeaderBytes), &compressed_, options_.compression_level));
    batch = &compressed_;
  }
  if (batch->size() > kMaxBatchBytes) {
    return Error(absl::StatusCode::kInvalidArgument, "a batch of at most 2^31-1 bytes expected, found {}",
                 batch->size());
  }
  int attributes = static_cast<int>(codec);
  if (options_.log_append_time_ms.has_value()) attributes |= internal::kLogAppendTimeBit;
  if (options_.transactional) attributes |= internal::kTransactionalBit;
  if (options_.control) attributes |= internal::kControlBit;
  if (options_.delete_horizon_ms.has_value() && !is_empty) attributes |= internal::kDeleteHorizonBit;
  const int64_t max_timestamp_ms =
      options_.log_append_time_ms.value_or(is_empty ? options_.empty_max_timestamp_ms : max_timestamp_ms_);
  internal::EncodeBatchHeader({.base_offset = options_.base_offset,
                               .size_bytes = batch->size(),
                               .leader_epoch = options_.leader_epoch,
                               .attributes = static_cast<int16_t>(attributes),
                               .last_offset_delta = static_cast<int32_t>(last_offset_delta),
                               .base_timestamp_ms = is_empty ? kNoTimestamp : base_timestamp_ms_,
                               .max_timestamp_ms = max_timestamp_ms,
                               .producer_id = options_.producer_id,
                               .producer_epoch = options_.producer_epoch,
                               .base_sequence = options_.base_sequence,
                               .record_count = record_count_},
                              batch->data());
  internal::SealBatch(*batch);
  return std::span<const std::byte>(*batch);
}

}  // namespace varve
