// Where a codec gets no memory, the batch is not to blame. The process's memory is limited, which the address sanitizer
// does not stand: this program is no unit test to it.
#include <lz4frame.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zstd.h>

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "gtest/gtest.h"
#include "varve/compression.h"

namespace varve {
namespace {

// Leaves the process `bytes` of address space beyond what it has.
void LimitMemory(size_t bytes) {
  size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const rlim_t limit = pages * static_cast<size_t>(::sysconf(_SC_PAGESIZE)) + bytes;
  const rlimit limits = {limit, limit};
  if (::setrlimit(RLIMIT_AS, &limits) != 0) std::_Exit(99);
}

// Ends the process with the status code of a decompression that has 2 MiB of memory.
[[noreturn]] void DecompressWithLittleMemory(Codec codec, const std::vector<std::byte>& compressed) {
  LimitMemory(size_t{2} << 20);
  DecodeBuffer out;
  std::_Exit(static_cast<int>(Decompress(codec, compressed, &out).code()));
}

constexpr int kResourceExhausted = static_cast<int>(absl::StatusCode::kResourceExhausted);

TEST(Decompress, AZstdWindowWithoutMemoryIsNoDataLoss) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 27);
  std::vector<std::byte> compressed(1000);
  ZSTD_outBuffer output = {compressed.data(), compressed.size(), 0};
  // In two steps, so that the size is not known beforehand and the window stays as large as it was asked for.
  ZSTD_inBuffer input = {"varve", 5, 0};
  ZSTD_compressStream2(context, &output, &input, ZSTD_e_flush);
  ASSERT_EQ(ZSTD_compressStream2(context, &output, &input, ZSTD_e_end), 0u);
  ZSTD_freeCCtx(context);
  compressed.resize(output.pos);
  DecodeBuffer decoded;
  ASSERT_TRUE(Decompress(Codec::kZstd, compressed, &decoded).ok());
  EXPECT_EXIT(DecompressWithLittleMemory(Codec::kZstd, compressed), testing::ExitedWithCode(kResourceExhausted), "");
}

TEST(Decompress, AnLz4BlockWithoutMemoryIsNoDataLoss) {
  LZ4F_preferences_t preferences = LZ4F_INIT_PREFERENCES;
  preferences.frameInfo.blockSizeID = LZ4F_max4MB;
  preferences.frameInfo.blockMode = LZ4F_blockIndependent;
  const std::vector<char> input(size_t{5} << 20, 'v');  // of one block, a smaller size would be taken
  std::vector<std::byte> compressed(LZ4F_compressFrameBound(input.size(), &preferences));
  compressed.resize(LZ4F_compressFrame(compressed.data(), compressed.size(), input.data(), input.size(), &preferences));
  DecodeBuffer decoded;
  ASSERT_TRUE(Decompress(Codec::kLz4, compressed, &decoded).ok());
  EXPECT_EXIT(DecompressWithLittleMemory(Codec::kLz4, compressed), testing::ExitedWithCode(kResourceExhausted), "");
}

}  // namespace
}  // namespace varve
