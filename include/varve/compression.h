// The codecs of record batches. Each is the work of its library and may be left out of a build (VARVE_WITH_GZIP,
// VARVE_WITH_SNAPPY, VARVE_WITH_LZ4, VARVE_WITH_ZSTD); what a build left out answers kUnimplemented naming the option.
//
// What a batch holds behind its 61-byte header, by codec (CompressionType and the streams it opens):
//
//   gzip    RFC 1952, one member; a reader takes several, and ignores what follows them
//   snappy  xerial: 82 "SNAPPY" 00, int32 version 1, int32 compatible version 1, then chunks: int32 size and a
//           raw snappy block of at most 32 KiB of input. A reader takes a repeated 16-byte header between chunks and, without the
//           magic, one raw snappy block
//   lz4     a frame: magic 04 22 4d 18, FLG 60 (version 1, independent blocks, no checksums, no content size), BD 40
//           (64 KiB blocks), a header checksum, blocks, an end mark of four zeros. A reader refuses dependent blocks,
//           reserved bits and other versions, takes all block sizes, checks block checksums, and skips content size and
//           content checksum unread
//   zstd    plain frames without content size or checksum
//
// Thread rules: free functions, callable from any thread; one DecodeBuffer serves one thread at a time.
#ifndef VARVE_COMPRESSION_H_
#define VARVE_COMPRESSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace varve {

// The numbers are those of a batch's attributes.
enum class Codec : uint8_t { kNone = 0, kGzip = 1, kSnappy = 2, kLz4 = 3, kZstd = 4 };

// "none", "gzip", "snappy", "lz4", "zstd": Kafka's compression.type words. "codec N" for any other value.
[[nodiscard]] std::string_view CodecName(Codec codec);

// The codec of a name, if there is one.
[[nodiscard]] std::optional<Codec> CodecOfName(std::string_view name);

// True if this build can encode and decode it. Always true of kNone.
[[nodiscard]] bool CodecAvailable(Codec codec);

// Reusable memory that batches are decoded into. It grows as needed, up to its limit, and keeps what it has.
class DecodeBuffer {
 public:
  // What a hostile batch may make its reader allocate: far above anything a batch holds in practice.
  static constexpr size_t kDefaultLimitBytes = size_t{1} << 30;

  DecodeBuffer() = default;
  explicit DecodeBuffer(size_t limit_bytes) : limit_bytes_(limit_bytes) {}

  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_.get(), size_}; }
  [[nodiscard]] size_t limit_bytes() const { return limit_bytes_; }

  // The rest is for decoders. Makes the content empty; what was allocated stays.
  void Clear() { size_ = 0; }
  // Makes room for at least `wanted_bytes` behind the content; earlier views become invalid. kResourceExhausted: the
  // limit, or no memory. The room may go one byte beyond the limit, so that a decoder can tell an exact fit from too
  // much.
  [[nodiscard]] absl::Status Reserve(size_t wanted_bytes);
  [[nodiscard]] std::span<std::byte> room() { return {data_.get() + size_, capacity_ - size_}; }
  // Adds the first `count` bytes of the room to the content.
  void Commit(size_t count) { size_ += count; }

 private:
  std::unique_ptr<std::byte[]> data_;
  size_t size_ = 0;
  size_t capacity_ = 0;
  size_t limit_bytes_ = kDefaultLimitBytes;
};

// Appends the encoded form of `input` to `out`. `level` is the library's: gzip -1 to 9, lz4 1 to 17, zstd -131072 to
// 22; absent, Kafka's defaults -1, 9 and 3. As in Kafka, 9 for lz4 means its fast compressor and any other level the
// thorough one. Snappy has no levels and ignores it. kNone copies. kInvalidArgument: a level outside the range, no such
// codec, or more than 2^31-1 bytes. kUnimplemented: left out of this build. kResourceExhausted: the codec found no
// memory.
[[nodiscard]] absl::Status Compress(Codec codec, std::span<const std::byte> input, std::vector<std::byte>* out,
                                    std::optional<int> level = std::nullopt);

// Makes `out` hold the decoded form of `input`. kNone copies.
// kDataLoss: malformed input, or no such codec. kResourceExhausted: more than the limit of `out`, which is checked
// before memory is taken, or no memory. kUnimplemented: left out of this build.
[[nodiscard]] absl::Status Decompress(Codec codec, std::span<const std::byte> input, DecodeBuffer* out);

}  // namespace varve

#endif  // VARVE_COMPRESSION_H_
