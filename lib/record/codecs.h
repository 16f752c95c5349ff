// The four codecs behind varve/compression.h, which has their framing. A build without one does not define its
// functions.
//
// Compressing appends to `out`; decompressing adds to the content of `out`, without regard to its limit's last byte
// (DecodeBuffer::Reserve). Inputs are at most 2^31-1 bytes, levels in range: Compress and Decompress have checked.
#ifndef VARVE_LIB_RECORD_CODECS_H_
#define VARVE_LIB_RECORD_CODECS_H_

#include <cstddef>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "varve/compression.h"

namespace varve::internal {

[[nodiscard]] absl::Status GzipCompress(std::span<const std::byte> input, int level, std::vector<std::byte>* out);
[[nodiscard]] absl::Status GzipDecompress(std::span<const std::byte> input, DecodeBuffer* out);

void SnappyCompress(std::span<const std::byte> input, std::vector<std::byte>* out);
[[nodiscard]] absl::Status SnappyDecompress(std::span<const std::byte> input, DecodeBuffer* out);

[[nodiscard]] absl::Status Lz4Compress(std::span<const std::byte> input, int level, std::vector<std::byte>* out);
[[nodiscard]] absl::Status Lz4Decompress(std::span<const std::byte> input, DecodeBuffer* out);

[[nodiscard]] absl::Status ZstdCompress(std::span<const std::byte> input, int level, std::vector<std::byte>* out);
[[nodiscard]] absl::Status ZstdDecompress(std::span<const std::byte> input, DecodeBuffer* out);

}  // namespace varve::internal

#endif  // VARVE_LIB_RECORD_CODECS_H_
