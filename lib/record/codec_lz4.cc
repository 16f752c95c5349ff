#include <lz4frame.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/status.h"
#include "record/codecs.h"

namespace varve::internal {
namespace {

// Kafka's level 9 is its default and means the fast compressor, which is liblz4's level 0. Any other level means the
// thorough one, which liblz4's frames have from level 3 on.
constexpr int kFastLevel = 9;
constexpr int kLeastThoroughLevel = 3;

constexpr uint32_t kFrameMagic = 0x184d2204;
constexpr size_t kFlagsPosition = 4;
constexpr size_t kBlockDescriptorPosition = 5;
constexpr size_t kLeastHeaderBytes = 7;
constexpr size_t kContentSizeBytes = 8;
constexpr size_t kBlockSizeBytes = 4;
constexpr size_t kBlockChecksumBytes = 4;
constexpr uint32_t kStoredRawBit = 0x80000000U;

constexpr unsigned kReservedFlags = 0x03;  // the second is a dictionary id in later versions of the format
constexpr unsigned kContentSizeFlag = 0x08;
constexpr unsigned kBlockChecksumFlag = 0x10;
constexpr unsigned kIndependentBlocksFlag = 0x20;
constexpr unsigned kReservedDescriptorBits = 0x8f;

uint32_t LoadLittleEndian(const std::byte* bytes) {
  uint32_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// Checks what Kafka's Lz4BlockInputStream checks of a frame's header. Sizes are checked before.
absl::Status CheckHeader(std::span<const std::byte> frame) {
  const auto flags = static_cast<unsigned>(frame[kFlagsPosition]);
  const auto descriptor = static_cast<unsigned>(frame[kBlockDescriptorPosition]);
  if (LoadLittleEndian(frame.data()) != kFrameMagic) {
    return Error(absl::StatusCode::kDataLoss, "lz4: frame magic {:08x} expected, found {:08x}", kFrameMagic,
                 LoadLittleEndian(frame.data()));
  }
  if (flags >> 6 != 1) return Error(absl::StatusCode::kDataLoss, "lz4: frame version 1 expected, found {}", flags >> 6);
  if ((flags & kReservedFlags) != 0 || (descriptor & kReservedDescriptorBits) != 0) {
    return Error(absl::StatusCode::kDataLoss, "lz4: reserved bits of zero expected, found flags {:02x} {:02x}", flags,
                 descriptor);
  }
  if ((flags & kIndependentBlocksFlag) == 0) {
    return absl::DataLossError("lz4: independent blocks expected, found dependent ones");
  }
  if (descriptor >> 4 < 4) {
    return Error(absl::StatusCode::kDataLoss, "lz4: a block size code from 4 to 7 expected, found {}", descriptor >> 4);
  }
  return absl::OkStatus();
}

// The part of `input` before the end mark. liblz4 decodes that part, checksums of header and blocks included; the
// content size and content checksum, which Kafka's reader skips, it would only check at the end mark.
absl::StatusOr<std::span<const std::byte>> FrameWithoutEnd(std::span<const std::byte> input) {
  if (input.size() < kLeastHeaderBytes) {
    return Error(absl::StatusCode::kDataLoss, "lz4: a frame header of {} bytes expected, found {}", kLeastHeaderBytes,
                 input.size());
  }
  VARVE_RETURN_IF_ERROR(CheckHeader(input));
  const auto flags = static_cast<unsigned>(input[kFlagsPosition]);
  const size_t checksum_bytes = (flags & kBlockChecksumFlag) != 0 ? kBlockChecksumBytes : 0;
  size_t position = kLeastHeaderBytes + ((flags & kContentSizeFlag) != 0 ? kContentSizeBytes : 0);
  while (position + kBlockSizeBytes <= input.size()) {
    const size_t block_bytes = LoadLittleEndian(input.data() + position) & ~kStoredRawBit;
    if (block_bytes == 0) return input.first(position);
    position += kBlockSizeBytes + block_bytes + checksum_bytes;
  }
  return Error(absl::StatusCode::kDataLoss, "lz4: a frame with its end mark expected, found {} bytes without",
               input.size());
}

}  // namespace

absl::Status Lz4Compress(std::span<const std::byte> input, int level, std::vector<std::byte>* out) {
  LZ4F_preferences_t preferences = {};
  preferences.frameInfo.blockSizeID = LZ4F_max64KB;
  preferences.frameInfo.blockMode = LZ4F_blockIndependent;
  preferences.compressionLevel = level == kFastLevel ? 0 : std::max(level, kLeastThoroughLevel);
  const size_t start = out->size();
  out->resize(start + LZ4F_compressFrameBound(input.size(), &preferences));
  const size_t written =
      LZ4F_compressFrame(out->data() + start, out->size() - start, input.data(), input.size(), &preferences);
  if (LZ4F_isError(written) != 0) {
    out->resize(start);
    return Error(absl::StatusCode::kResourceExhausted, "lz4: {}", LZ4F_getErrorName(written));
  }
  out->resize(start + written);
  return absl::OkStatus();
}

absl::Status Lz4Decompress(std::span<const std::byte> input, DecodeBuffer* out) {
  VARVE_ASSIGN_OR_RETURN(std::span<const std::byte> rest, FrameWithoutEnd(input));
  LZ4F_dctx* raw_context = nullptr;
  if (LZ4F_isError(LZ4F_createDecompressionContext(&raw_context, LZ4F_VERSION)) != 0) {
    return absl::ResourceExhaustedError("lz4: no memory for the decompressor");
  }
  const std::unique_ptr<LZ4F_dctx, decltype(&LZ4F_freeDecompressionContext)> context(raw_context,
                                                                                     &LZ4F_freeDecompressionContext);
  while (true) {
    if (out->room().empty()) VARVE_RETURN_IF_ERROR(out->Reserve(1));
    const std::span<std::byte> room = out->room();
    size_t written = room.size();
    size_t consumed = rest.size();
    const size_t result = LZ4F_decompress(context.get(), room.data(), &written, rest.data(), &consumed, nullptr);
    if (LZ4F_isError(result) != 0) {
      // The shared library has the names of its errors, not their numbers.
      if (LZ4F_getErrorName(result) == std::string_view("ERROR_allocation_failed")) {
        return absl::ResourceExhaustedError("lz4: no memory to decompress");
      }
      return Error(absl::StatusCode::kDataLoss, "lz4: a well-formed frame expected, found at byte {}: {}",
                   input.size() - rest.size(), LZ4F_getErrorName(result));
    }
    out->Commit(written);
    rest = rest.subspan(consumed);
    // With room to spare and nothing left to read, nothing is held back either.
    if (rest.empty() && written < room.size()) return absl::OkStatus();
  }
}

}  // namespace varve::internal
