// Big-endian integers in memory: every fixed-width integer of a log directory is stored so (format notes, conventions).
#ifndef VARVE_LIB_BASE_BYTES_H_
#define VARVE_LIB_BASE_BYTES_H_

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace varve::internal {

static_assert(std::endian::native == std::endian::little, "varve is built for little-endian machines");

template <std::integral T>
[[nodiscard]] constexpr T ByteSwap(T value) {
  using U = std::make_unsigned_t<T>;
  if constexpr (sizeof(T) == 1) {
    return value;
  } else if constexpr (sizeof(T) == 2) {
    return static_cast<T>(__builtin_bswap16(static_cast<U>(value)));
  } else if constexpr (sizeof(T) == 4) {
    return static_cast<T>(__builtin_bswap32(static_cast<U>(value)));
  } else {
    static_assert(sizeof(T) == 8);
    return static_cast<T>(__builtin_bswap64(static_cast<U>(value)));
  }
}

// The big-endian integer at `bytes`, which need not be aligned.
template <std::integral T>
[[nodiscard]] inline T LoadBigEndian(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return ByteSwap(value);
}

template <std::integral T>
inline void StoreBigEndian(std::byte* bytes, T value) {
  const T swapped = ByteSwap(value);
  std::memcpy(bytes, &swapped, sizeof swapped);
}

[[nodiscard]] inline std::span<const std::byte> AsBytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

[[nodiscard]] inline std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace varve::internal

#endif  // VARVE_LIB_BASE_BYTES_H_
