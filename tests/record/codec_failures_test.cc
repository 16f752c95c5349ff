// What the codecs' libraries may answer and hardly ever do: no memory, no room, or less than was asked of them. This
// program stands before the libraries: a call that a test arms answers so, and every other goes on to them.
#include <dlfcn.h>
#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "support/status_matchers.h"
#include "varve/compression.h"

namespace {

// The call that does not go on to its library, and what it answers.
struct Armed {
  std::string call;
  size_t answer = 0;
  bool fired = false;
};
Armed armed;

bool Fires(const char* call) {
  if (armed.call != call) return false;
  armed.fired = true;
  return true;
}

template <typename Function>
Function* Next(Function* /*this program's own*/, const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

// An error as lz4 and zstd answer it.
constexpr size_t ErrorNumber(size_t number) { return size_t{0} - number; }
constexpr size_t kLz4AllocationFailed = ErrorNumber(9);

}  // namespace

extern "C" {

int deflateInit2_(z_streamp stream, int level, int method, int window_bits, int memory_level, int strategy,
                  const char* version, int stream_size) {
  if (Fires("deflateInit2_")) return static_cast<int>(armed.answer);
  return Next(&deflateInit2_, "deflateInit2_")(stream, level, method, window_bits, memory_level, strategy, version,
                                               stream_size);
}

int deflate(z_streamp stream, int flush) {
  if (Fires("deflate")) return static_cast<int>(armed.answer);
  return Next(&deflate, "deflate")(stream, flush);
}

int inflateInit2_(z_streamp stream, int window_bits, const char* version, int stream_size) {
  if (Fires("inflateInit2_")) return static_cast<int>(armed.answer);
  return Next(&inflateInit2_, "inflateInit2_")(stream, window_bits, version, stream_size);
}

int inflate(z_streamp stream, int flush) {
  if (Fires("inflate")) return static_cast<int>(armed.answer);
  return Next(&inflate, "inflate")(stream, flush);
}

size_t LZ4F_compressFrame(void* target, size_t capacity, const void* source, size_t bytes,
                          const LZ4F_preferences_t* preferences) {
  if (Fires("LZ4F_compressFrame")) return armed.answer;
  return Next(&LZ4F_compressFrame, "LZ4F_compressFrame")(target, capacity, source, bytes, preferences);
}

LZ4F_errorCode_t LZ4F_createDecompressionContext(LZ4F_dctx** context, unsigned version) {
  if (Fires("LZ4F_createDecompressionContext")) return armed.answer;
  return Next(&LZ4F_createDecompressionContext, "LZ4F_createDecompressionContext")(context, version);
}

size_t LZ4F_decompress(LZ4F_dctx* context, void* target, size_t* target_bytes, const void* source, size_t* source_bytes,
                       const LZ4F_decompressOptions_t* options) {
  if (Fires("LZ4F_decompress")) return armed.answer;
  return Next(&LZ4F_decompress, "LZ4F_decompress")(context, target, target_bytes, source, source_bytes, options);
}

ZSTD_CCtx* ZSTD_createCCtx() {
  if (Fires("ZSTD_createCCtx")) return nullptr;
  return Next(&ZSTD_createCCtx, "ZSTD_createCCtx")();
}

size_t ZSTD_compressStream2(ZSTD_CCtx* context, ZSTD_outBuffer* output, ZSTD_inBuffer* input,
                            ZSTD_EndDirective directive) {
  if (Fires("ZSTD_compressStream2")) return armed.answer;
  return Next(&ZSTD_compressStream2, "ZSTD_compressStream2")(context, output, input, directive);
}

ZSTD_DCtx* ZSTD_createDCtx() {
  if (Fires("ZSTD_createDCtx")) return nullptr;
  return Next(&ZSTD_createDCtx, "ZSTD_createDCtx")();
}

size_t ZSTD_decompressStream(ZSTD_DCtx* context, ZSTD_outBuffer* output, ZSTD_inBuffer* input) {
  if (Fires("ZSTD_decompressStream")) return armed.answer;
  return Next(&ZSTD_decompressStream, "ZSTD_decompressStream")(context, output, input);
}

}  // extern "C"

namespace varve {
namespace {

using testing_support::IsOk;
using testing_support::StatusIs;

struct Failure {
  Codec codec;
  const char* call;
  size_t answer;
  absl::StatusCode code;
};

size_t Answer(int number) { return static_cast<size_t>(number); }

class CodecFailuresTest : public ::testing::TestWithParam<Failure> {
 protected:
  ~CodecFailuresTest() override { armed = {}; }

  // Done, as long as the call is not armed.
  template <typename Work>
  void ExpectAnswered(const Work& work) {
    const Failure& failure = GetParam();
    ASSERT_THAT(work(), IsOk());
    armed = {.call = failure.call, .answer = failure.answer};
    EXPECT_THAT(work(), StatusIs(failure.code));
    EXPECT_TRUE(armed.fired);
    armed = {};
    EXPECT_THAT(work(), IsOk());
  }

  const std::vector<std::byte> input_ = std::vector<std::byte>(100'000, std::byte{'v'});
};

std::string NameOf(const ::testing::TestParamInfo<Failure>& info) {
  return std::string(info.param.call) + "_" + std::to_string(info.index);
}

class CompressFailuresTest : public CodecFailuresTest {};
INSTANTIATE_TEST_SUITE_P(
    , CompressFailuresTest,
    ::testing::Values(Failure{Codec::kGzip, "deflateInit2_", Answer(Z_MEM_ERROR), absl::StatusCode::kResourceExhausted},
                      Failure{Codec::kGzip, "deflate", Answer(Z_OK), absl::StatusCode::kInternal},
                      Failure{Codec::kLz4, "LZ4F_compressFrame", kLz4AllocationFailed,
                              absl::StatusCode::kResourceExhausted},
                      Failure{Codec::kZstd, "ZSTD_createCCtx", 0, absl::StatusCode::kResourceExhausted},
                      Failure{Codec::kZstd, "ZSTD_compressStream2", ErrorNumber(ZSTD_error_memory_allocation),
                              absl::StatusCode::kResourceExhausted},
                      Failure{Codec::kZstd, "ZSTD_compressStream2", 1, absl::StatusCode::kResourceExhausted}),
    NameOf);

// What was in the buffer before stays, and nothing comes behind it.
TEST_P(CompressFailuresTest, AreAnsweredAndLeaveNothingBehind) {
  ExpectAnswered([this]() -> absl::Status {
    std::vector<std::byte> out(3, std::byte{7});
    const absl::Status status = Compress(GetParam().codec, input_, &out);
    EXPECT_EQ(out.size() == 3, !status.ok());
    EXPECT_EQ(out.front(), std::byte{7});
    return status;
  });
}

class DecompressFailuresTest : public CodecFailuresTest {};
INSTANTIATE_TEST_SUITE_P(
    , DecompressFailuresTest,
    ::testing::Values(Failure{Codec::kGzip, "inflateInit2_", Answer(Z_MEM_ERROR), absl::StatusCode::kResourceExhausted},
                      Failure{Codec::kGzip, "inflate", Answer(Z_MEM_ERROR), absl::StatusCode::kResourceExhausted},
                      Failure{Codec::kGzip, "inflate", Answer(Z_STREAM_ERROR), absl::StatusCode::kDataLoss},
                      Failure{Codec::kLz4, "LZ4F_createDecompressionContext", kLz4AllocationFailed,
                              absl::StatusCode::kResourceExhausted},
                      Failure{Codec::kLz4, "LZ4F_decompress", kLz4AllocationFailed,
                              absl::StatusCode::kResourceExhausted},
                      Failure{Codec::kZstd, "ZSTD_createDCtx", 0, absl::StatusCode::kResourceExhausted},
                      Failure{Codec::kZstd, "ZSTD_decompressStream", ErrorNumber(ZSTD_error_memory_allocation),
                              absl::StatusCode::kResourceExhausted}),
    NameOf);

TEST_P(DecompressFailuresTest, AreNotTakenForDamageUnlessTheyAre) {
  std::vector<std::byte> compressed;
  ASSERT_THAT(Compress(GetParam().codec, input_, &compressed), IsOk());
  ExpectAnswered([&]() -> absl::Status {
    DecodeBuffer out;
    return Decompress(GetParam().codec, compressed, &out);
  });
}

}  // namespace
}  // namespace varve
