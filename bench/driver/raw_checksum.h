// RawCrc32c: the checksum of batches, as quick as the machine makes it: what a scan or an append takes at least.
//
// By isa-l for long blocks and by the processor's instruction for short ones, as isa-l takes longer to begin.
#ifndef VARVE_BENCH_DRIVER_RAW_CHECKSUM_H_
#define VARVE_BENCH_DRIVER_RAW_CHECKSUM_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace varve::bench {

[[nodiscard]] uint32_t RawCrc32c(std::span<const std::byte> bytes);

// Of each block of 1 MiB, folded into one: what it takes to verify a log of any length.
[[nodiscard]] uint32_t RawCrcOfBlocks(std::span<const std::byte> bytes);

}  // namespace varve::bench

#endif  // VARVE_BENCH_DRIVER_RAW_CHECKSUM_H_
