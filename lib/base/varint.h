// Kafka's variable-length integers: unsigned LEB128 of the zigzag form, so that small negative numbers stay short.
// A varint holds 32 bits in at most 5 bytes, a varlong 64 bits in at most 10 (ByteUtils).
//
// Decoding accepts what Kafka accepts: overlong forms are legal, bits beyond the width of the last byte are dropped,
// and only a continuation bit in the last byte, or the end of the input, is an error.
#ifndef VARVE_LIB_BASE_VARINT_H_
#define VARVE_LIB_BASE_VARINT_H_

#include <bit>
#include <cstddef>
#include <cstdint>

namespace varve::internal {

inline constexpr size_t kMaxVarintBytes = 5;
inline constexpr size_t kMaxVarlongBytes = 10;

[[nodiscard]] constexpr uint32_t ZigZagEncode(int32_t value) {
  return (static_cast<uint32_t>(value) << 1) ^ static_cast<uint32_t>(value >> 31);
}

[[nodiscard]] constexpr uint64_t ZigZagEncode(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}

[[nodiscard]] constexpr int32_t ZigZagDecode(uint32_t value) {
  return static_cast<int32_t>((value >> 1) ^ (0U - (value & 1)));
}

[[nodiscard]] constexpr int64_t ZigZagDecode(uint64_t value) {
  return static_cast<int64_t>((value >> 1) ^ (uint64_t{0} - (value & 1)));
}

// Bytes that LEB128 takes for `bits`. One byte holds 7 bits: ceil(width / 7) = (width * 9 + 64) / 64 for 1 to 64 bits.
// Nearly all take one, and a branch that is foreseen costs less than a chain of instructions that others wait for.
[[nodiscard]] constexpr size_t Leb128Size(uint64_t bits) {
  if (bits < 0x80) [[likely]] {
    return 1;
  }
  return (static_cast<size_t>(std::bit_width(bits)) * 9 + 64) / 64;
}

// Bytes that `value` takes, 1 to 5.
[[nodiscard]] constexpr size_t VarintSize(int32_t value) { return Leb128Size(ZigZagEncode(value)); }

// Bytes that `value` takes, 1 to 10.
[[nodiscard]] constexpr size_t VarlongSize(int64_t value) { return Leb128Size(ZigZagEncode(value)); }

// Writes VarintSize(value) bytes at `out`; returns the byte behind them.
inline std::byte* EncodeVarint(std::byte* out, int32_t value) {
  uint32_t rest = ZigZagEncode(value);
  while (rest >= 0x80) {
    *out++ = static_cast<std::byte>(rest | 0x80);
    rest >>= 7;
  }
  *out++ = static_cast<std::byte>(rest);
  return out;
}

// Writes VarlongSize(value) bytes at `out`; returns the byte behind them.
inline std::byte* EncodeVarlong(std::byte* out, int64_t value) {
  uint64_t rest = ZigZagEncode(value);
  while (rest >= 0x80) {
    *out++ = static_cast<std::byte>(rest | 0x80);
    rest >>= 7;
  }
  *out++ = static_cast<std::byte>(rest);
  return out;
}

// The slow path of DecodeVarint: any length.
[[nodiscard]] const std::byte* DecodeLongVarint(const std::byte* begin, const std::byte* end, int32_t* value);

// Reads a varint of [begin, end) into `value`; returns the byte behind it, or nullptr if it has no end within 5 bytes
// or within the input.
[[nodiscard]] inline const std::byte* DecodeVarint(const std::byte* begin, const std::byte* end, int32_t* value) {
  if (begin < end && static_cast<uint8_t>(*begin) < 0x80) [[likely]] {
    *value = ZigZagDecode(uint32_t{static_cast<uint8_t>(*begin)});
    return begin + 1;
  }
  if (end - begin >= 2 && static_cast<uint8_t>(begin[1]) < 0x80) {
    *value =
        ZigZagDecode((uint32_t{static_cast<uint8_t>(*begin)} & 0x7f) | uint32_t{static_cast<uint8_t>(begin[1])} << 7);
    return begin + 2;
  }
  return DecodeLongVarint(begin, end, value);
}

// The slow path of DecodeVarlong: any length.
[[nodiscard]] const std::byte* DecodeLongVarlong(const std::byte* begin, const std::byte* end, int64_t* value);

// As DecodeVarint, for up to 10 bytes.
[[nodiscard]] inline const std::byte* DecodeVarlong(const std::byte* begin, const std::byte* end, int64_t* value) {
  if (begin < end && static_cast<uint8_t>(*begin) < 0x80) [[likely]] {
    *value = ZigZagDecode(uint64_t{static_cast<uint8_t>(*begin)});
    return begin + 1;
  }
  if (end - begin >= 2 && static_cast<uint8_t>(begin[1]) < 0x80) {
    *value =
        ZigZagDecode((uint64_t{static_cast<uint8_t>(*begin)} & 0x7f) | uint64_t{static_cast<uint8_t>(begin[1])} << 7);
    return begin + 2;
  }
  return DecodeLongVarlong(begin, end, value);
}

}  // namespace varve::internal

#endif  // VARVE_LIB_BASE_VARINT_H_
