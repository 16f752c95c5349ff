#include <zlib.h>

#include <algorithm>

#include "absl/cleanup/cleanup.h"
#include "base/status.h"
#include "record/codecs.h"

namespace varve::internal {
namespace {

// zlib's flag for the gzip wrapper, added to the largest window.
constexpr int kGzipWindowBits = MAX_WBITS + 16;
constexpr int kDefaultMemoryLevel = 8;
// "Unknown", as Java has written it since 16.
constexpr int kOperatingSystem = 255;

Bytef* Mutable(std::span<const std::byte> bytes) {
  return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
}

bool BeginsMember(const z_stream& stream) {
  return stream.avail_in >= 2 && stream.next_in[0] == 0x1f && stream.next_in[1] == 0x8b;
}

}  // namespace

absl::Status GzipCompress(std::span<const std::byte> input, int level, std::vector<std::byte>* out) {
  z_stream stream = {};
  if (deflateInit2(&stream, level, Z_DEFLATED, kGzipWindowBits, kDefaultMemoryLevel, Z_DEFAULT_STRATEGY) != Z_OK) {
    return absl::ResourceExhaustedError("gzip: no memory for the compressor");
  }
  const absl::Cleanup end = [&stream] { deflateEnd(&stream); };
  gz_header header = {};
  header.os = kOperatingSystem;
  deflateSetHeader(&stream, &header);

  const size_t start = out->size();
  out->resize(start + deflateBound(&stream, input.size()));
  stream.next_in = Mutable(input);
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(out->data() + start);
  stream.avail_out = static_cast<uInt>(out->size() - start);
  const int result = deflate(&stream, Z_FINISH);
  out->resize(out->size() - stream.avail_out);
  if (result != Z_STREAM_END) return Error(absl::StatusCode::kInternal, "gzip: deflate answered {}", result);
  return absl::OkStatus();
}

absl::Status GzipDecompress(std::span<const std::byte> input, DecodeBuffer* out) {
  z_stream stream = {};
  if (inflateInit2(&stream, kGzipWindowBits) != Z_OK) {
    return absl::ResourceExhaustedError("gzip: no memory for the decompressor");
  }
  const absl::Cleanup end = [&stream] { inflateEnd(&stream); };
  stream.next_in = Mutable(input);
  stream.avail_in = static_cast<uInt>(input.size());
  while (true) {
    if (out->room().empty()) VARVE_RETURN_IF_ERROR(out->Reserve(1));
    const auto room_bytes = static_cast<uInt>(std::min(out->room().size(), size_t{1} << 30));
    stream.next_out = reinterpret_cast<Bytef*>(out->room().data());
    stream.avail_out = room_bytes;
    const int result = inflate(&stream, Z_NO_FLUSH);
    out->Commit(room_bytes - stream.avail_out);
    if (result == Z_STREAM_END) {
      // Java's GZIPInputStream takes what does not begin another member for padding.
      if (!BeginsMember(stream)) return absl::OkStatus();
      inflateReset(&stream);
    } else if (result == Z_BUF_ERROR) {
      return Error(absl::StatusCode::kDataLoss, "gzip: a whole member expected, found its first {} bytes",
                   input.size());
    } else if (result == Z_MEM_ERROR) {
      return absl::ResourceExhaustedError("gzip: no memory to decompress");
    } else if (result != Z_OK) {
      return Error(absl::StatusCode::kDataLoss, "gzip: a well-formed member expected, found at byte {}: {}",
                   input.size() - stream.avail_in, stream.msg == nullptr ? "damage" : stream.msg);
    }
  }
}

}  // namespace varve::internal
