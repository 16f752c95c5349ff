// A build without codecs: this program is linked with lib/record/compression.cc compiled as such a build compiles it.
// What needs a codec says which option left it out; whatever can be done with a compressed batch as it is goes on.
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"
#include "varve/log.h"

namespace varve {
namespace {

using testing::HasSubstr;
using testing_support::IsOk;
using testing_support::StatusIs;

struct LeftOut {
  Codec codec;
  std::string_view option;
};

constexpr LeftOut kLeftOut[] = {{Codec::kGzip, "VARVE_WITH_GZIP=OFF"},
                                {Codec::kSnappy, "VARVE_WITH_SNAPPY=OFF"},
                                {Codec::kLz4, "VARVE_WITH_LZ4=OFF"},
                                {Codec::kZstd, "VARVE_WITH_ZSTD=OFF"}};

// Batches of each codec in turn: one record of gzip, 14 of snappy, 27 of lz4, …, to offset 1230.
class CodecsLeftOutTest : public testing::Test {
 protected:
  CodecsLeftOutTest() : path_(directory_.path() + "/codecs-0") {
    std::filesystem::copy(VARVE_TEST_DATA "/golden/codecs/codecs-0", path_);
  }

  std::vector<std::byte> BatchAt(const Log& log, int64_t offset) {
    const absl::StatusOr<FileRange> range = log.Read(offset, {.max_bytes = 1});
    std::vector<std::byte> bytes(range.ok() ? static_cast<size_t>(range->size_bytes()) : 0);
    EXPECT_THAT(range, IsOk());
    if (range.ok()) {
      EXPECT_THAT(range->CopyTo(bytes), IsOk());
    }
    return bytes;
  }

  testing_support::TemporaryDirectory directory_;
  std::string path_;
};

TEST_F(CodecsLeftOutTest, AreNotAvailableAndSayWhichOptionLeftThemOut) {
  EXPECT_TRUE(CodecAvailable(Codec::kNone));
  for (const LeftOut& left_out : kLeftOut) {
    EXPECT_FALSE(CodecAvailable(left_out.codec));
    const std::vector<std::byte> input(100);
    std::vector<std::byte> compressed;
    EXPECT_THAT(Compress(left_out.codec, input, &compressed),
                StatusIs(absl::StatusCode::kUnimplemented, HasSubstr(left_out.option)));
    DecodeBuffer decoded;
    EXPECT_THAT(Decompress(left_out.codec, input, &decoded),
                StatusIs(absl::StatusCode::kUnimplemented, HasSubstr(left_out.option)));
  }
}

TEST_F(CodecsLeftOutTest, AppendsThatAskForThemAreRefusedAndChangeNothing) {
  VARVE_ASSERT_OK_AND_ASSIGN(auto log, Log::Open(path_));
  for (const LeftOut& left_out : kLeftOut) {
    EXPECT_THAT(log->Append({{.key = "k", .value = "v"}}, {.compression = left_out.codec}),
                StatusIs(absl::StatusCode::kUnimplemented, HasSubstr(left_out.option)));
  }
  EXPECT_EQ(log->log_end_offset(), 1230);
  EXPECT_THAT(log->Append({{.key = "k", .value = "v"}}), IsOk());
  EXPECT_EQ(log->log_end_offset(), 1231);
}

TEST_F(CodecsLeftOutTest, CompressedBatchesAreOpenedReadAndFoundAsTheyAre) {
  LogOptions options;
  options.recover_all = true;
  VARVE_ASSERT_OK_AND_ASSIGN(auto log, Log::Open(path_, options));
  EXPECT_EQ(log->log_end_offset(), 1230);
  EXPECT_TRUE(log->damage().empty());
  int64_t offset = 0;
  size_t batches = 0;
  while (offset < log->log_end_offset()) {
    const std::vector<std::byte> bytes = BatchAt(*log, offset);
    VARVE_ASSERT_OK_AND_ASSIGN(const RecordBatchView batch, RecordBatchView::Parse(bytes));
    EXPECT_TRUE(batch.CrcMatches());
    offset = batch.next_offset();
    ++batches;
  }
  EXPECT_GT(batches, 40u);
}

TEST_F(CodecsLeftOutTest, RecordsInsideThemAreNamedAsWhatThisBuildCannotRead) {
  VARVE_ASSERT_OK_AND_ASSIGN(auto log, Log::Open(path_));
  LogScan scan = log->Scan(0);
  EXPECT_EQ(scan.begin(), scan.end());
  EXPECT_THAT(scan.status(), StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("VARVE_WITH_GZIP=OFF")));
}

TEST_F(CodecsLeftOutTest, ALeaderRefusesBatchesThatItCannotLookIntoAndAFollowerTakesThem) {
  VARVE_ASSERT_OK_AND_ASSIGN(auto log, Log::Open(path_));
  const std::vector<std::byte> batch = BatchAt(*log, 0);
  VARVE_ASSERT_OK_AND_ASSIGN(auto copy, Log::Open(directory_.path() + "/copy-0"));
  EXPECT_THAT(copy->AppendBatch(batch), StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("VARVE_WITH_GZIP=OFF")));
  EXPECT_EQ(copy->log_end_offset(), 0);
  EXPECT_THAT(copy->AppendAsFollower(batch, 0), IsOk());
  EXPECT_EQ(copy->log_end_offset(), 1);
}

}  // namespace
}  // namespace varve
