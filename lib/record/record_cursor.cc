#include <algorithm>

#include "base/bytes.h"
#include "base/status.h"
#include "base/varint.h"
#include "base/wrapping.h"
#include "record/batch_header.h"
#include "varve/record_batch.h"

namespace varve {
namespace {

using internal::DecodeVarint;
using internal::DecodeVarlong;

// Reads a length varint and the bytes it counts; a negative length is null. Returns nullptr where either does not fit.
const std::byte* DecodeText(const std::byte* next, const std::byte* end, std::optional<std::string_view>* text) {
  int32_t length = 0;
  next = DecodeVarint(next, end, &length);
  if (next == nullptr) return nullptr;
  if (length < 0) {
    text->reset();
    return next;
  }
  if (length > end - next) return nullptr;
  text->emplace(internal::AsText({next, static_cast<size_t>(length)}));
  return next + length;
}

const std::byte* DecodeHeader(const std::byte* next, const std::byte* end, Header* header) {
  std::optional<std::string_view> key;
  next = DecodeText(next, end, &key);
  if (next == nullptr || !key.has_value()) return nullptr;
  header->key = *key;
  return DecodeText(next, end, &header->value);
}

}  // namespace

void HeaderRange::Iterator::Decode() {
  const std::byte* const end = rest_.data() + rest_.size();
  const std::byte* const next = DecodeHeader(rest_.data(), end, &current_);
  rest_ = {next, end};
}

RecordCursor::RecordCursor(RecordBatchView batch)
    : base_offset_(batch.base_offset()),
      base_timestamp_ms_(batch.base_timestamp_ms()),
      log_append_time_ms_(batch.max_timestamp_ms()),
      has_log_append_time_(batch.timestamp_type() == TimestampType::kLogAppendTime),
      remaining_(batch.record_count()),
      record_count_(batch.record_count()) {
  if (record_count_ < 0) Fail("a record count that is not negative", record_count_);
}

RecordCursor::RecordCursor(RecordBatchView batch, DecodeBuffer* scratch) : RecordCursor(batch) {
  if (!status_.ok()) return;
  if (batch.codec() == Codec::kNone) {
    Start(batch.payload());
    return;
  }
  if (scratch == nullptr) {
    status_ = absl::InvalidArgumentError("a compressed batch needs a DecodeBuffer");
    remaining_ = 0;
    return;
  }
  if (absl::Status decoded = Decompress(batch.codec(), batch.payload(), scratch); !decoded.ok()) {
    status_ = internal::Annotate(decoded, fmt::format("batch with base offset {}", base_offset_));
    remaining_ = 0;
    return;
  }
  Start(scratch->bytes());
}

RecordCursor::RecordCursor(RecordBatchView batch, std::span<const std::byte> decoded_records) : RecordCursor(batch) {
  if (status_.ok()) Start(decoded_records);
}

void RecordCursor::Start(std::span<const std::byte> records) {
  next_ = records.data();
  end_ = next_ + records.size();
  if (record_count_ == 0 && next_ != end_) Fail("no bytes behind the last record", end_ - next_);
}

bool RecordCursor::Fail(std::string_view expected, int64_t found) {
  status_ =
      internal::Error(absl::StatusCode::kDataLoss, "batch with base offset {}, record {} of {}: expected {}, found {}",
                      base_offset_, record_count_ - remaining_, record_count_, expected, found);
  remaining_ = 0;
  return false;
}

// Where the next record begins behind its length, and ends; nullptr after a fault.
inline const std::byte* RecordCursor::DecodeLength(const std::byte** end) {
  int32_t length = 0;
  const std::byte* const next = DecodeVarint(next_, end_, &length);
  if (next == nullptr) {
    Fail("the length of a record in the bytes left", end_ - next_);
    return nullptr;
  }
  if (length < 0 || length > end_ - next) {
    Fail("a record length within the bytes left", length);
    return nullptr;
  }
  *end = next + length;
  return next;
}

// Behind a record.
inline bool RecordCursor::MoveTo(const std::byte* end) {
  next_ = end;
  --remaining_;
  // The last record is handed out only if nothing is wrong behind it.
  if (remaining_ == 0 && next_ != end_) return Fail("no bytes behind the last record", end_ - next_);
  return true;
}

bool RecordCursor::Skip() {
  if (remaining_ <= 0) return false;
  const std::byte* end = nullptr;
  return DecodeLength(&end) != nullptr && MoveTo(end);
}

bool RecordCursor::Next(RecordView* record) {
  if (remaining_ <= 0) return false;
  const std::byte* end = nullptr;
  const std::byte* next = DecodeLength(&end);
  if (next == nullptr) return false;
  const std::ptrdiff_t length = end - next;
  if (next == end) return Fail("a record of at least 6 bytes", length);
  ++next;  // The attributes of a record mean nothing yet.

  int64_t timestamp_delta = 0;
  next = DecodeVarlong(next, end, &timestamp_delta);
  if (next == nullptr) return Fail("a timestamp delta within the record length", length);
  int32_t offset_delta = 0;
  next = DecodeVarint(next, end, &offset_delta);
  if (next == nullptr) return Fail("an offset delta within the record length", length);
  next = DecodeText(next, end, &record->key_);
  if (next == nullptr) return Fail("a key within the record length", length);
  next = DecodeText(next, end, &record->value_);
  if (next == nullptr) return Fail("a value within the record length", length);
  record->headers_ = HeaderRange();
  const bool has_headers = end - next != 1 || *next != std::byte{0};
  if (has_headers && !CheckHeaders(next, end, &record->headers_)) return false;

  record->timestamp_ms_ =
      has_log_append_time_ ? log_append_time_ms_ : internal::AddWrapping(base_timestamp_ms_, timestamp_delta);
  record->offset_ = internal::AddWrapping(base_offset_, offset_delta);
  return MoveTo(end);
}

bool RecordCursor::CheckHeaders(const std::byte* next, const std::byte* end, HeaderRange* headers) {
  int32_t count = 0;
  const std::ptrdiff_t bytes_left = end - next;
  next = DecodeVarint(next, end, &count);
  if (next == nullptr) return Fail("a header count within the record length", bytes_left);
  if (count < 0 || count > end - next) return Fail("a header count from 0 to the bytes left", count);
  const std::byte* const first = next;
  for (int32_t i = 0; i < count; ++i) {
    Header header;
    next = DecodeHeader(next, end, &header);
    if (next == nullptr) return Fail("well-formed headers, at fault is header", i);
  }
  if (next != end) return Fail("the record to end with its headers, bytes left over", end - next);
  *headers = HeaderRange({first, end}, count);
  return true;
}

}  // namespace varve
