#include <zstd.h>
#include <zstd_errors.h>

#include <memory>

#include "base/status.h"
#include "record/codecs.h"

namespace varve::internal {

absl::Status ZstdCompress(std::span<const std::byte> input, int level, std::vector<std::byte>* out) {
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(), &ZSTD_freeCCtx);
  if (context == nullptr) return absl::ResourceExhaustedError("zstd: no memory for the compressor");
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);

  const size_t start = out->size();
  // The bound is for one frame without the flush, which adds a block header at most.
  constexpr size_t kFlushBytes = 16;
  out->resize(start + ZSTD_compressBound(input.size()) + kFlushBytes);
  ZSTD_inBuffer in = {input.data(), input.size(), 0};
  ZSTD_outBuffer output = {out->data() + start, out->size() - start, 0};
  // Flushing before ending is what Java's stream does: the frame cannot hold the content size, and ends in an empty
  // block.
  for (const ZSTD_EndDirective directive : {ZSTD_e_flush, ZSTD_e_end}) {
    const size_t result = ZSTD_compressStream2(context.get(), &output, &in, directive);
    if (result != 0) {
      out->resize(start);
      return Error(absl::StatusCode::kResourceExhausted, "zstd: {}",
                   ZSTD_isError(result) != 0 ? ZSTD_getErrorName(result) : "no room for the frame");
    }
  }
  out->resize(start + output.pos);
  return absl::OkStatus();
}

absl::Status ZstdDecompress(std::span<const std::byte> input, DecodeBuffer* out) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(), &ZSTD_freeDCtx);
  if (context == nullptr) return absl::ResourceExhaustedError("zstd: no memory for the decompressor");
  ZSTD_inBuffer in = {input.data(), input.size(), 0};
  while (true) {
    if (out->room().empty()) VARVE_RETURN_IF_ERROR(out->Reserve(1));
    ZSTD_outBuffer output = {out->room().data(), out->room().size(), 0};
    const size_t result = ZSTD_decompressStream(context.get(), &output, &in);
    if (ZSTD_isError(result) != 0) {
      if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation) {
        return absl::ResourceExhaustedError("zstd: no memory to decompress");
      }
      return Error(absl::StatusCode::kDataLoss, "zstd: a well-formed frame expected, found at byte {}: {}", in.pos,
                   ZSTD_getErrorName(result));
    }
    out->Commit(output.pos);
    if (in.pos < in.size) continue;
    if (result == 0) return absl::OkStatus();
    // With room to spare it only waits for input.
    if (output.pos < output.size) {
      return Error(absl::StatusCode::kDataLoss, "zstd: a whole frame expected, found its first {} bytes", input.size());
    }
  }
}

}  // namespace varve::internal
