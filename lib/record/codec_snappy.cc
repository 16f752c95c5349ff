#include <snappy.h>

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/status.h"
#include "record/codecs.h"

namespace varve::internal {
namespace {

// The header of a xerial stream: magic, version, oldest version that can read it.
constexpr std::array<unsigned char, 16> kStreamHeader = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
constexpr size_t kMagicBytes = 8;
constexpr int32_t kVersion = 1;
constexpr size_t kChunkInputBytes = size_t{32} << 10;
constexpr size_t kChunkSizeBytes = sizeof(int32_t);

bool BeginsStream(std::span<const std::byte> bytes) {
  return bytes.size() >= kStreamHeader.size() &&
         std::ranges::equal(std::as_bytes(std::span(kStreamHeader)).first(kMagicBytes), bytes.first(kMagicBytes));
}

absl::Status DecompressBlock(std::span<const std::byte> block, DecodeBuffer* out) {
  const std::string_view text = AsText(block);
  size_t decoded_bytes = 0;
  if (!snappy::GetUncompressedLength(text.data(), text.size(), &decoded_bytes)) {
    return Error(absl::StatusCode::kDataLoss, "snappy: a block with its length expected, found {} bytes without",
                 block.size());
  }
  if (decoded_bytes == 0) VARVE_RETURN_IF_ERROR(out->Reserve(1));  // snappy wants a pointer nevertheless
  VARVE_RETURN_IF_ERROR(out->Reserve(decoded_bytes));
  if (!snappy::RawUncompress(text.data(), text.size(), reinterpret_cast<char*>(out->room().data()))) {
    return Error(absl::StatusCode::kDataLoss, "snappy: a well-formed block of {} bytes expected, found damage",
                 block.size());
  }
  out->Commit(decoded_bytes);
  return absl::OkStatus();
}

}  // namespace

void SnappyCompress(std::span<const std::byte> input, std::vector<std::byte>* out) {
  const auto header = std::as_bytes(std::span(kStreamHeader));
  out->insert(out->end(), header.begin(), header.end());
  while (!input.empty()) {
    const std::string_view chunk = AsText(input.first(std::min(input.size(), kChunkInputBytes)));
    const size_t start = out->size();
    out->resize(start + kChunkSizeBytes + snappy::MaxCompressedLength(chunk.size()));
    size_t block_bytes = 0;
    snappy::RawCompress(chunk.data(), chunk.size(), reinterpret_cast<char*>(out->data() + start + kChunkSizeBytes),
                        &block_bytes);
    StoreBigEndian(out->data() + start, static_cast<int32_t>(block_bytes));
    out->resize(start + kChunkSizeBytes + block_bytes);
    input = input.subspan(chunk.size());
  }
}

absl::Status SnappyDecompress(std::span<const std::byte> input, DecodeBuffer* out) {
  if (!BeginsStream(input)) return DecompressBlock(input, out);
  std::span<const std::byte> rest = input;
  while (!rest.empty()) {
    // Streams written one behind the other repeat the header.
    if (BeginsStream(rest)) {
      if (const auto version = LoadBigEndian<int32_t>(rest.data() + kMagicBytes); version < kVersion) {
        return Error(absl::StatusCode::kDataLoss, "snappy: stream version {} or above expected, found {}", kVersion,
                     version);
      }
      rest = rest.subspan(kStreamHeader.size());
      continue;
    }
    if (rest.size() < kChunkSizeBytes) {
      return Error(absl::StatusCode::kDataLoss, "snappy: a chunk size of 4 bytes expected, found {} bytes",
                   rest.size());
    }
    const auto block_bytes = LoadBigEndian<int32_t>(rest.data());
    rest = rest.subspan(kChunkSizeBytes);
    if (block_bytes < 0 || static_cast<size_t>(block_bytes) > rest.size()) {
      return Error(absl::StatusCode::kDataLoss, "snappy: a chunk within the {} bytes left expected, found {}",
                   rest.size(), block_bytes);
    }
    VARVE_RETURN_IF_ERROR(DecompressBlock(rest.first(static_cast<size_t>(block_bytes)), out));
    rest = rest.subspan(static_cast<size_t>(block_bytes));
  }
  return absl::OkStatus();
}

}  // namespace varve::internal
