#include "base/varint.h"

namespace varve::internal {
namespace {

template <typename Unsigned, size_t kMaxBytes>
const std::byte* DecodeUnsigned(const std::byte* begin, const std::byte* end, Unsigned* value) {
  Unsigned result = 0;
  for (size_t i = 0; i < kMaxBytes && begin + i < end; ++i) {
    const auto byte = static_cast<uint8_t>(begin[i]);
    result |= static_cast<Unsigned>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      *value = result;
      return begin + i + 1;
    }
  }
  return nullptr;
}

}  // namespace

const std::byte* DecodeLongVarint(const std::byte* begin, const std::byte* end, int32_t* value) {
  uint32_t raw = 0;
  const std::byte* next = DecodeUnsigned<uint32_t, kMaxVarintBytes>(begin, end, &raw);
  if (next != nullptr) *value = ZigZagDecode(raw);
  return next;
}

const std::byte* DecodeLongVarlong(const std::byte* begin, const std::byte* end, int64_t* value) {
  uint64_t raw = 0;
  const std::byte* next = DecodeUnsigned<uint64_t, kMaxVarlongBytes>(begin, end, &raw);
  if (next != nullptr) *value = ZigZagDecode(raw);
  return next;
}

}  // namespace varve::internal
