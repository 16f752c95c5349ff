#include "varve/compression.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <new>
#include <string>

#include "base/status.h"
#include "record/codecs.h"

namespace varve {
namespace {

using internal::Error;

constexpr size_t kMaxInputBytes = std::numeric_limits<int32_t>::max();
constexpr size_t kFirstCapacityBytes = size_t{64} << 10;

// What varve knows of a codec, in the order of their numbers.
struct CodecEntry {
  std::string_view name;
  std::string_view build_option;
  bool available;
  int default_level;
  int min_level;
  int max_level;
};

constexpr int kAnyLevelMin = std::numeric_limits<int>::min();
constexpr int kAnyLevelMax = std::numeric_limits<int>::max();

constexpr std::array<CodecEntry, 5> kCodecs = {{
    {"none", "", true, 0, kAnyLevelMin, kAnyLevelMax},
    {"gzip", "VARVE_WITH_GZIP", VARVE_WITH_GZIP != 0, -1, -1, 9},
    {"snappy", "VARVE_WITH_SNAPPY", VARVE_WITH_SNAPPY != 0, 0, kAnyLevelMin, kAnyLevelMax},
    {"lz4", "VARVE_WITH_LZ4", VARVE_WITH_LZ4 != 0, 9, 1, 17},
    {"zstd", "VARVE_WITH_ZSTD", VARVE_WITH_ZSTD != 0, 3, -131072, 22},
}};

// Null where there is no such codec.
const CodecEntry* EntryOf(Codec codec) {
  const auto number = static_cast<size_t>(codec);
  return number < kCodecs.size() ? &kCodecs[number] : nullptr;
}

absl::Status CheckAvailable(Codec codec, absl::StatusCode no_such_codec) {
  const CodecEntry* entry = EntryOf(codec);
  if (entry == nullptr) {
    return Error(no_such_codec, "a codec from 0 to {} expected, found {}", kCodecs.size() - 1, static_cast<int>(codec));
  }
  if (!entry->available) {
    return Error(absl::StatusCode::kUnimplemented, "this build has no {}: it was made with {}=OFF", entry->name,
                 entry->build_option);
  }
  return absl::OkStatus();
}

absl::Status CheckInputSize(std::span<const std::byte> input) {
  if (input.size() <= kMaxInputBytes) return absl::OkStatus();
  return Error(absl::StatusCode::kInvalidArgument, "at most 2^31-1 bytes expected, found {}", input.size());
}

absl::Status DecompressInto(Codec codec, std::span<const std::byte> input, DecodeBuffer* out) {
  switch (codec) {
    case Codec::kNone:
      VARVE_RETURN_IF_ERROR(out->Reserve(input.size()));
      if (!input.empty()) std::memcpy(out->room().data(), input.data(), input.size());
      out->Commit(input.size());
      return absl::OkStatus();
#if VARVE_WITH_GZIP
    case Codec::kGzip:
      return internal::GzipDecompress(input, out);
#endif
#if VARVE_WITH_SNAPPY
    case Codec::kSnappy:
      return internal::SnappyDecompress(input, out);
#endif
#if VARVE_WITH_LZ4
    case Codec::kLz4:
      return internal::Lz4Decompress(input, out);
#endif
#if VARVE_WITH_ZSTD
    case Codec::kZstd:
      return internal::ZstdDecompress(input, out);
#endif
    default:
      return CheckAvailable(codec, absl::StatusCode::kDataLoss);
  }
}

}  // namespace

std::string_view CodecName(Codec codec) {
  constexpr std::array<std::string_view, 3> kUnassigned = {"codec 5", "codec 6", "codec 7"};
  if (const CodecEntry* entry = EntryOf(codec); entry != nullptr) return entry->name;
  const size_t index = static_cast<size_t>(codec) - kCodecs.size();
  return index < kUnassigned.size() ? kUnassigned[index] : "no codec";
}

std::optional<Codec> CodecOfName(std::string_view name) {
  const auto entry = std::ranges::find(kCodecs, name, &CodecEntry::name);
  if (entry == kCodecs.end()) return std::nullopt;
  return static_cast<Codec>(entry - kCodecs.begin());
}

bool CodecAvailable(Codec codec) {
  const CodecEntry* entry = EntryOf(codec);
  return entry != nullptr && entry->available;
}

absl::Status DecodeBuffer::Reserve(size_t wanted_bytes) {
  if (capacity_ - size_ >= wanted_bytes) return absl::OkStatus();
  const size_t most_bytes = limit_bytes_ < std::numeric_limits<size_t>::max() ? limit_bytes_ + 1 : limit_bytes_;
  if (size_ > most_bytes || wanted_bytes > most_bytes - size_) {
    return Error(absl::StatusCode::kResourceExhausted, "a batch that decodes to at most {} bytes expected, found more",
                 limit_bytes_);
  }
  const size_t capacity =
      std::min(most_bytes, std::max({size_ + wanted_bytes, capacity_ + capacity_ / 2, kFirstCapacityBytes}));
  std::unique_ptr<std::byte[]> data(new (std::nothrow) std::byte[capacity]);
  if (data == nullptr) {
    return Error(absl::StatusCode::kResourceExhausted, "no memory for {} bytes to decode a batch into", capacity);
  }
  if (size_ != 0) std::memcpy(data.get(), data_.get(), size_);
  data_ = std::move(data);
  capacity_ = capacity;
  return absl::OkStatus();
}

absl::Status Compress(Codec codec, std::span<const std::byte> input, std::vector<std::byte>* out,
                      std::optional<int> level) {
  VARVE_RETURN_IF_ERROR(CheckAvailable(codec, absl::StatusCode::kInvalidArgument));
  VARVE_RETURN_IF_ERROR(CheckInputSize(input));
  const CodecEntry& entry = *EntryOf(codec);
  const int used_level = level.value_or(entry.default_level);
  if (used_level < entry.min_level || used_level > entry.max_level) {
    return Error(absl::StatusCode::kInvalidArgument, "a level of {} from {} to {} expected, found {}", entry.name,
                 entry.min_level, entry.max_level, used_level);
  }
  switch (codec) {
#if VARVE_WITH_GZIP
    case Codec::kGzip:
      return internal::GzipCompress(input, used_level, out);
#endif
#if VARVE_WITH_SNAPPY
    case Codec::kSnappy:
      internal::SnappyCompress(input, out);
      return absl::OkStatus();
#endif
#if VARVE_WITH_LZ4
    case Codec::kLz4:
      return internal::Lz4Compress(input, used_level, out);
#endif
#if VARVE_WITH_ZSTD
    case Codec::kZstd:
      return internal::ZstdCompress(input, used_level, out);
#endif
    default:
      out->insert(out->end(), input.begin(), input.end());
      return absl::OkStatus();
  }
}

absl::Status Decompress(Codec codec, std::span<const std::byte> input, DecodeBuffer* out) {
  out->Clear();
  VARVE_RETURN_IF_ERROR(CheckInputSize(input));
  absl::Status decoded = DecompressInto(codec, input, out);
  if (decoded.ok() && out->bytes().size() > out->limit_bytes()) {
    decoded = Error(absl::StatusCode::kResourceExhausted,
                    "a batch that decodes to at most {} bytes expected, found more", out->limit_bytes());
  }
  if (!decoded.ok()) out->Clear();
  return decoded;
}

}  // namespace varve
