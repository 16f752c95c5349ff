#include "segment/raw_log.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/status.h"

namespace varve::internal {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;
constexpr int64_t kUnreadableStepBytes = 4096;  // a page: what a bad sector takes with it

bool LooksLikeBatch(const std::byte* bytes, int64_t left_bytes, const std::function<bool(const BatchHeader&)>& takes) {
  if (JudgeBatch(bytes, kBatchHeaderBytes, static_cast<uint64_t>(left_bytes)) != BatchForm::kWhole) return false;
  const BatchHeader header = DecodeBatchHeader(bytes);
  return HasSaneOffsets(header) && takes(header);
}

}  // namespace

absl::StatusOr<std::span<const std::byte>> RawLog::Read(int64_t position, size_t wanted_bytes) {
  if (position < 0 || position >= size_bytes_) return std::span<const std::byte>();
  const size_t left = static_cast<size_t>(size_bytes_ - position);
  const size_t wanted = std::min(wanted_bytes, left);
  absl::Status filled = window_.Fill(static_cast<uint64_t>(position), wanted, std::min(left, kReadBytes));
  if (absl::IsInternal(filled)) {
    // The read-ahead may have met a bad sector that the wanted bytes do not touch.
    window_ = ReadWindow(file_);
    filled = window_.Fill(static_cast<uint64_t>(position), wanted, wanted);
    if (absl::IsInternal(filled)) {
      window_ = ReadWindow(file_);
      read_failed_ = true;
      return std::span<const std::byte>();
    }
  }
  VARVE_RETURN_IF_ERROR(filled);
  const std::span<const std::byte> held = window_.BytesAt(static_cast<uint64_t>(position));
  return held.first(std::min(held.size(), wanted));
}

absl::StatusOr<std::optional<BatchHeader>> RawLog::HeaderAt(int64_t position) {
  VARVE_ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, Read(position, kBatchHeaderBytes));
  if (bytes.size() < kBatchHeaderBytes) return std::nullopt;
  if (JudgeBatch(bytes.data(), bytes.size(), static_cast<uint64_t>(size_bytes_ - position)) != BatchForm::kWhole) {
    return std::nullopt;
  }
  return DecodeBatchHeader(bytes.data());
}

absl::StatusOr<std::optional<BatchHeader>> RawLog::ValidBatchAt(int64_t position) {
  VARVE_ASSIGN_OR_RETURN(std::optional<BatchHeader> header, HeaderAt(position));
  if (!header.has_value() || !HasSaneOffsets(*header)) return std::nullopt;
  VARVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> crc,
                         ExtendCrc(0, position + static_cast<int64_t>(kAttributesPosition),
                                   position + static_cast<int64_t>(header->size_bytes)));
  if (crc != header->crc) return std::nullopt;
  return header;
}

absl::StatusOr<bool> RawLog::OnlyZerosFrom(int64_t position) {
  while (position < size_bytes_) {
    VARVE_ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, Read(position, kReadBytes));
    const auto is_zero = [](std::byte byte) { return byte == std::byte{0}; };
    if (bytes.empty() || !std::all_of(bytes.begin(), bytes.end(), is_zero)) return false;
    position += static_cast<int64_t>(bytes.size());
  }
  return true;
}

absl::StatusOr<bool> RawLog::LegacyMessageAt(int64_t position) {
  VARVE_ASSIGN_OR_RETURN(std::span<const std::byte> bytes, Read(position, kHeaderToMagicBytes));
  if (bytes.size() < kHeaderToMagicBytes) return false;
  const auto length = LoadBigEndian<int32_t>(bytes.data() + kLengthPosition);
  // In magic 0 and 1 the checksum stands where magic 2 has the leader epoch.
  const auto expected = LoadBigEndian<uint32_t>(bytes.data() + kLeaderEpochPosition);
  const auto magic = LoadBigEndian<int8_t>(bytes.data() + kMagicPosition);
  if (length < kMinLengthAnyMagic || (magic != 0 && magic != 1)) return false;
  const int64_t end = position + static_cast<int64_t>(kLogOverheadBytes) + length;
  if (end > size_bytes_) return false;
  uint32_t computed = 0;
  for (int64_t at = position + static_cast<int64_t>(kMagicPosition); at < end;) {
    VARVE_ASSIGN_OR_RETURN(bytes, Read(at, std::min(kReadBytes, static_cast<size_t>(end - at))));
    if (bytes.empty()) return false;
    computed = crc32_gzip_refl(computed, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    at += static_cast<int64_t>(bytes.size());
  }
  return computed == expected;
}

absl::StatusOr<std::optional<uint32_t>> RawLog::ExtendCrc(uint32_t crc, int64_t from, int64_t to) {
  while (from < to) {
    VARVE_ASSIGN_OR_RETURN(const std::span<const std::byte> bytes,
                           Read(from, std::min(kReadBytes, static_cast<size_t>(to - from))));
    if (bytes.empty()) return std::nullopt;
    crc = ExtendCrc32c(crc, bytes);
    from += static_cast<int64_t>(bytes.size());
  }
  return crc;
}

absl::StatusOr<int64_t> NextBatchLookalike(RawLog& log, int64_t from, int64_t end,
                                           const std::function<bool(const BatchHeader&)>& takes) {
  while (from < end) {
    VARVE_ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, log.Read(from, kReadBytes));
    if (bytes.empty()) {
      from += kUnreadableStepBytes - from % kUnreadableStepBytes;
      continue;
    }
    if (bytes.size() < kBatchHeaderBytes) return end;
    const int64_t count = std::min(end - from, static_cast<int64_t>(bytes.size() - kBatchHeaderBytes) + 1);
    for (int64_t i = 0; i < count; ++i) {
      if (bytes[static_cast<size_t>(i) + kMagicPosition] != std::byte{kMagic}) continue;
      if (LooksLikeBatch(bytes.data() + i, log.size_bytes() - from - i, takes)) return from + i;
    }
    from += count;
  }
  return end;
}

}  // namespace varve::internal
