// One record as bytes. varve/record.h has the format.
//
// Lengths are checked where records come in (RecordFits) and computed in size_t, so nothing here can overflow.
#ifndef VARVE_LIB_RECORD_RECORD_CODEC_H_
#define VARVE_LIB_RECORD_RECORD_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string_view>

#include "base/varint.h"
#include "varve/record.h"

namespace varve::internal {

[[nodiscard]] inline bool LengthFits(size_t length) {
  return length <= static_cast<size_t>(std::numeric_limits<int32_t>::max());
}

[[nodiscard]] inline bool LengthFits(const std::optional<std::string_view>& text) {
  return !text.has_value() || LengthFits(text->size());
}

// True if every length and count of the record fits its varint.
[[nodiscard]] inline bool RecordFits(const Record& record) {
  if (!LengthFits(record.key) || !LengthFits(record.value) || !LengthFits(record.headers.size())) return false;
  for (const Header& header : record.headers) {
    if (!LengthFits(header.key.size()) || !LengthFits(header.value)) return false;
  }
  return true;
}

// Of a length varint and the bytes it counts; null takes the one byte of -1.
[[nodiscard]] inline size_t TextSize(const std::optional<std::string_view>& text) {
  if (!text.has_value()) return 1;
  return VarintSize(static_cast<int32_t>(text->size())) + text->size();
}

// Of the header count and the headers.
[[nodiscard]] inline size_t HeadersSize(std::span<const Header> headers) {
  size_t size = VarintSize(static_cast<int32_t>(headers.size()));
  for (const Header& header : headers) size += TextSize(header.key) + TextSize(header.value);
  return size;
}

// What the length field of a record says. `headers_size` as HeadersSize.
[[nodiscard]] inline size_t RecordBodySize(int64_t timestamp_delta, int32_t offset_delta,
                                           const std::optional<std::string_view>& key,
                                           const std::optional<std::string_view>& value, size_t headers_size) {
  constexpr size_t kAttributesBytes = 1;
  return kAttributesBytes + VarlongSize(timestamp_delta) + VarintSize(offset_delta) + TextSize(key) + TextSize(value) +
         headers_size;
}

// Of the whole record, its length field included. Only for bodies that fit an int32.
[[nodiscard]] inline size_t RecordSize(size_t body_size) {
  return VarintSize(static_cast<int32_t>(body_size)) + body_size;
}

inline std::byte* EncodeText(std::byte* out, const std::optional<std::string_view>& text) {
  if (!text.has_value()) return EncodeVarint(out, -1);
  out = EncodeVarint(out, static_cast<int32_t>(text->size()));
  if (!text->empty()) std::memcpy(out, text->data(), text->size());
  return out + text->size();
}

// Writes everything before the header count; returns the byte behind it.
inline std::byte* EncodeRecordStart(std::byte* out, size_t body_size, int64_t timestamp_delta, int32_t offset_delta,
                                    const std::optional<std::string_view>& key,
                                    const std::optional<std::string_view>& value) {
  out = EncodeVarint(out, static_cast<int32_t>(body_size));
  *out++ = std::byte{0};
  out = EncodeVarlong(out, timestamp_delta);
  out = EncodeVarint(out, offset_delta);
  out = EncodeText(out, key);
  return EncodeText(out, value);
}

// Writes the header count and the headers.
inline std::byte* EncodeHeaders(std::byte* out, std::span<const Header> headers) {
  out = EncodeVarint(out, static_cast<int32_t>(headers.size()));
  for (const Header& header : headers) {
    out = EncodeText(out, header.key);
    out = EncodeText(out, header.value);
  }
  return out;
}

}  // namespace varve::internal

#endif  // VARVE_LIB_RECORD_RECORD_CODEC_H_
