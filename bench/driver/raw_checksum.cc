#include "driver/raw_checksum.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <cstring>

#ifdef __x86_64__
#include <nmmintrin.h>
#endif

namespace varve::bench {

namespace {

constexpr uint32_t kInitial = 0xffffffffU;

uint32_t ByLibrary(std::span<const std::byte> bytes) {
  // isa-l reads only, though its parameter does not say so; its length is an int.
  auto* data = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
  return ~::crc32_iscsi(data, static_cast<int>(bytes.size()), kInitial);
}

#ifdef __x86_64__
constexpr size_t kShortBytes = 512;

__attribute__((target("sse4.2"))) uint32_t ByInstruction(std::span<const std::byte> bytes) {
  uint64_t crc = kInitial;
  for (; bytes.size() >= sizeof(uint64_t); bytes = bytes.subspan(sizeof(uint64_t))) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof(word));
    crc = ::_mm_crc32_u64(crc, word);
  }
  auto short_crc = static_cast<uint32_t>(crc);
  for (const std::byte byte : bytes) short_crc = ::_mm_crc32_u8(short_crc, static_cast<unsigned char>(byte));
  return ~short_crc;
}
#endif

}  // namespace

uint32_t RawCrc32c(std::span<const std::byte> bytes) {
#ifdef __x86_64__
  static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
  if (has_instruction && bytes.size() <= kShortBytes) return ByInstruction(bytes);
#endif
  return ByLibrary(bytes);
}

uint32_t RawCrcOfBlocks(std::span<const std::byte> bytes) {
  constexpr size_t kBlockBytes = 1 << 20;
  uint32_t all = 0;
  while (!bytes.empty()) {
    const size_t step = std::min(bytes.size(), kBlockBytes);
    all ^= RawCrc32c(bytes.first(step));
    bytes = bytes.subspan(step);
  }
  return all;
}

}  // namespace varve::bench
