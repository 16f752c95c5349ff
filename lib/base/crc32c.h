// CRC-32C (Castagnoli, reflected, initial and final complement): the checksum of batches and of producer snapshots. The
// check value of "123456789" is e3069283.
//
// Thread rules: free functions, callable from any thread. Cost: short blocks by the processor's own instruction (8
// bytes in 3 cycles), long ones by isa-l, which interleaves several streams; crc32c.cc holds the measured crossover.
#ifndef VARVE_LIB_BASE_CRC32C_H_
#define VARVE_LIB_BASE_CRC32C_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace varve::internal {

// The checksum of the bytes that gave `crc` followed by `bytes`. ExtendCrc32c(0, bytes) is Crc32c(bytes).
[[nodiscard]] uint32_t ExtendCrc32c(uint32_t crc, std::span<const std::byte> bytes);

[[nodiscard]] inline uint32_t Crc32c(std::span<const std::byte> bytes) { return ExtendCrc32c(0, bytes); }

inline constexpr size_t kCrcBlocksAtOnce = 4;

// The checksums of so many blocks. Short ones together, as a processor adds to a checksum in three cycles, and to three
// others meanwhile: 8 ns instead of 20 for each of 150 bytes.
[[nodiscard]] std::array<uint32_t, kCrcBlocksAtOnce> Crc32cOfEach(
    const std::array<std::span<const std::byte>, kCrcBlocksAtOnce>& blocks);

}  // namespace varve::internal

#endif  // VARVE_LIB_BASE_CRC32C_H_
