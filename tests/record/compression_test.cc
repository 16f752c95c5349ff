#include "varve/compression.h"

#include <zstd.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "record/hex.h"

namespace varve {
namespace {

using internal::AsBytes;
using internal::AsText;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::FromHex;
using testing_support::ToHex;

constexpr Codec kCompressing[] = {Codec::kGzip, Codec::kSnappy, Codec::kLz4, Codec::kZstd};
constexpr Codec kAll[] = {Codec::kNone, Codec::kGzip, Codec::kSnappy, Codec::kLz4, Codec::kZstd};

std::vector<std::byte> Compressed(Codec codec, std::span<const std::byte> input) {
  std::vector<std::byte> out;
  const absl::Status status = Compress(codec, input, &out);
  EXPECT_TRUE(status.ok()) << status;
  return out;
}

// The decoded text, or the status where there is none.
std::string DecodedHex(Codec codec, std::string_view hex) {
  DecodeBuffer out;
  const absl::Status status = Decompress(codec, FromHex(hex), &out);
  return status.ok() ? std::string(AsText(out.bytes())) : status.ToString();
}

absl::Status DecodeStatus(Codec codec, std::span<const std::byte> input) {
  DecodeBuffer out;
  absl::Status status = Decompress(codec, input, &out);
  EXPECT_TRUE(status.ok() || out.bytes().empty());
  return status;
}

// Text that compresses, behind noise that does not.
std::vector<std::byte> Sample(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i < size / 4 ? random() : i / 64);
  return bytes;
}

TEST(Codec, NamesAreKafkasAndGoBothWays) {
  const std::pair<Codec, std::string_view> names[] = {{Codec::kNone, "none"},
                                                      {Codec::kGzip, "gzip"},
                                                      {Codec::kSnappy, "snappy"},
                                                      {Codec::kLz4, "lz4"},
                                                      {Codec::kZstd, "zstd"}};
  for (const auto& [codec, name] : names) {
    EXPECT_EQ(CodecName(codec), name);
    EXPECT_EQ(CodecOfName(name), codec);
    EXPECT_TRUE(CodecAvailable(codec));
  }
  EXPECT_EQ(CodecName(static_cast<Codec>(5)), "codec 5");
  EXPECT_EQ(CodecName(static_cast<Codec>(7)), "codec 7");
  EXPECT_EQ(CodecName(static_cast<Codec>(8)), "no codec");
  EXPECT_FALSE(CodecAvailable(static_cast<Codec>(5)));
  EXPECT_EQ(CodecOfName("producer"), std::nullopt);
  EXPECT_EQ(CodecOfName("GZIP"), std::nullopt);
}

TEST(Compress, RoundTripsAtEverySizeOfInterest) {
  DecodeBuffer out;
  for (const Codec codec : kAll) {
    for (const size_t size :
         {0U, 1U, 14U, 32'767U, 32'768U, 32'769U, 65'535U, 65'536U, 65'537U, 200'000U, 5'000'000U}) {
      const std::vector<std::byte> input = Sample(size, static_cast<uint32_t>(size));
      const std::vector<std::byte> compressed = Compressed(codec, input);
      if (codec == Codec::kSnappy && size == 0) {
        EXPECT_EQ(ToHex(compressed), "82534e41505059000000000100000001");
      }
      const absl::Status status = Decompress(codec, compressed, &out);
      ASSERT_TRUE(status.ok()) << CodecName(codec) << " " << size << ": " << status;
      EXPECT_TRUE(std::ranges::equal(out.bytes(), input)) << CodecName(codec) << " " << size;
    }
  }
}

TEST(Compress, AppendsBehindWhatIsThere) {
  for (const Codec codec : kAll) {
    std::vector<std::byte> out = FromHex("cafe");
    ASSERT_TRUE(Compress(codec, AsBytes("hello"), &out).ok());
    EXPECT_EQ(ToHex(std::span(out).first(2)), "cafe");
    DecodeBuffer decoded;
    ASSERT_TRUE(Decompress(codec, std::span(out).subspan(2), &decoded).ok());
    EXPECT_EQ(AsText(decoded.bytes()), "hello");
  }
}

TEST(Compress, TakesEveryLevelOfTheCodecAndNoOther) {
  const std::vector<std::byte> input = Sample(100'000, 5);
  struct Case {
    Codec codec;
    int least, most;
  };
  for (const Case& c : {Case{Codec::kGzip, -1, 9}, Case{Codec::kLz4, 1, 17}, Case{Codec::kZstd, -131072, 22}}) {
    for (const int level : {c.least, c.least + 1, c.most - 1, c.most}) {
      std::vector<std::byte> out;
      ASSERT_TRUE(Compress(c.codec, input, &out, level).ok()) << CodecName(c.codec) << " " << level;
      DecodeBuffer decoded;
      ASSERT_TRUE(Decompress(c.codec, out, &decoded).ok());
      EXPECT_TRUE(std::ranges::equal(decoded.bytes(), input));
    }
    for (const int level : {c.least - 1, c.most + 1}) {
      std::vector<std::byte> out = FromHex("cafe");
      const absl::Status status = Compress(c.codec, input, &out, level);
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(std::string(status.message()), HasSubstr("found " + std::to_string(level)));
      EXPECT_EQ(ToHex(out), "cafe");
    }
  }
}

TEST(Compress, Lz4LevelNineIsTheFastOne) {
  const std::vector<std::byte> input = Sample(500'000, 6);
  std::vector<std::byte> by_default, nine, ten;
  ASSERT_TRUE(Compress(Codec::kLz4, input, &by_default).ok());
  ASSERT_TRUE(Compress(Codec::kLz4, input, &nine, 9).ok());
  ASSERT_TRUE(Compress(Codec::kLz4, input, &ten, 10).ok());
  EXPECT_EQ(ToHex(by_default), ToHex(nine));
  EXPECT_LT(ten.size(), nine.size());
}

TEST(Codec, OnesThatDoNotExistAreRefused) {
  for (const int number : {5, 6, 7, 255}) {
    std::vector<std::byte> out;
    EXPECT_EQ(Compress(static_cast<Codec>(number), {}, &out).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(DecodeStatus(static_cast<Codec>(number), {}).code(), absl::StatusCode::kDataLoss);
  }
}

TEST(Codec, InputsBeyondWhatABatchCanHoldAreRefused) {
  const std::span<const std::byte> huge(AsBytes("x").data(), size_t{1} << 31);
  for (const Codec codec : kAll) {
    std::vector<std::byte> out;
    EXPECT_EQ(Compress(codec, huge, &out).code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(DecodeStatus(codec, huge).code(), absl::StatusCode::kInvalidArgument);
  }
}

// Bombs stop at the limit, and memory beyond it is never asked for.
TEST(Decompress, HoldsTheLimitToTheByte) {
  const std::vector<std::byte> input(1'000'000, std::byte{'x'});
  for (const Codec codec : kAll) {
    const std::vector<std::byte> compressed = Compressed(codec, input);
    DecodeBuffer exact(input.size()), short_by_one(input.size() - 1), none(0);
    EXPECT_TRUE(Decompress(codec, compressed, &exact).ok()) << CodecName(codec);
    EXPECT_EQ(exact.bytes().size(), input.size());
    for (DecodeBuffer* out : {&short_by_one, &none}) {
      const absl::Status status = Decompress(codec, compressed, out);
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << CodecName(codec) << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr(std::to_string(out->limit_bytes())));
      EXPECT_THAT(out->bytes(), IsEmpty());
      EXPECT_LE(out->room().size(), out->limit_bytes() + 1);
    }
  }
}

TEST(Decompress, ReusesItsBuffer) {
  DecodeBuffer out;
  for (const Codec codec : kAll) {
    ASSERT_TRUE(Decompress(codec, Compressed(codec, AsBytes("first")), &out).ok());
    const std::byte* const memory = out.bytes().data();
    ASSERT_TRUE(Decompress(codec, Compressed(codec, AsBytes("second")), &out).ok());
    EXPECT_EQ(out.bytes().data(), memory);
    EXPECT_EQ(AsText(out.bytes()), "second");
  }
}

TEST(Decompress, MemoryThatDoesNotExistIsAnErrorAndNoAbort) {
  DecodeBuffer out(std::numeric_limits<size_t>::max());
  EXPECT_EQ(out.Reserve(size_t{1} << 62).code(), absl::StatusCode::kResourceExhausted);
}

// No prefix of a blob decodes, whatever the codec; and none makes it read or write out of bounds.
TEST(Decompress, EveryTruncationIsDataLoss) {
  const std::vector<std::byte> input = Sample(70'000, 7);
  for (const Codec codec : kCompressing) {
    const std::vector<std::byte> compressed = Compressed(codec, input);
    for (size_t size = 0; size < compressed.size(); size += size < 200 ? 1 : 97) {
      // A xerial stream cut between two chunks is a stream.
      if (codec == Codec::kSnappy && DecodeStatus(codec, std::span(compressed).first(size)).ok()) continue;
      EXPECT_EQ(DecodeStatus(codec, std::span(compressed).first(size)).code(), absl::StatusCode::kDataLoss)
          << CodecName(codec) << " " << size;
    }
  }
}

TEST(Decompress, NoFlippedBitIsMoreThanAnError) {
  const std::vector<std::byte> input = Sample(2000, 8);
  for (const Codec codec : kCompressing) {
    std::vector<std::byte> compressed = Compressed(codec, input);
    size_t errors = 0;
    for (size_t bit = 0; bit < compressed.size() * 8; ++bit) {
      compressed[bit / 8] ^= std::byte{1} << (bit % 8);
      DecodeBuffer out(size_t{1} << 22);
      errors += Decompress(codec, compressed, &out).ok() ? 0 : 1;
      compressed[bit / 8] ^= std::byte{1} << (bit % 8);
    }
    EXPECT_GT(errors, 0U) << CodecName(codec);
  }
}

TEST(Gzip, TakesSeveralMembersAndIgnoresPadding) {
  const std::string first = ToHex(Compressed(Codec::kGzip, AsBytes("hello ")));
  const std::string second = ToHex(Compressed(Codec::kGzip, AsBytes("world")));
  EXPECT_EQ(DecodedHex(Codec::kGzip, first + second), "hello world");
  EXPECT_EQ(DecodedHex(Codec::kGzip, first + "00000000"), "hello ");
  EXPECT_EQ(DecodedHex(Codec::kGzip, first + "1f"), "hello ");
  EXPECT_THAT(DecodedHex(Codec::kGzip, first + second.substr(0, 30)), HasSubstr("DATA_LOSS: gzip: a whole member"));
}

TEST(Gzip, ChecksItsTrailer) {
  std::vector<std::byte> blob = Compressed(Codec::kGzip, AsBytes("hello"));
  blob[blob.size() - 5] ^= std::byte{1};
  EXPECT_THAT(std::string(DecodeStatus(Codec::kGzip, blob).message()), HasSubstr("incorrect data check"));
}

TEST(Snappy, TakesOneRawBlock) {
  // 14 bytes of the record of the format notes, without the xerial frame.
  EXPECT_EQ(ToHex(AsBytes(DecodedHex(Codec::kSnappy, "0e341a000000046b310a68656c6c6f00"))),
            "1a000000046b310a68656c6c6f00");
}

TEST(Snappy, TakesAStreamHeaderBetweenChunksAndHigherVersions) {
  const std::string first = ToHex(Compressed(Codec::kSnappy, AsBytes("hello ")));
  const std::string second = ToHex(Compressed(Codec::kSnappy, AsBytes("world")));
  EXPECT_EQ(DecodedHex(Codec::kSnappy, first + second), "hello world");
  std::string version_2 = first;
  version_2.replace(16, 8, "00000002");
  EXPECT_EQ(DecodedHex(Codec::kSnappy, version_2), "hello ");
}

TEST(Snappy, RefusesDamage) {
  const std::string header = "82534e41505059000000000100000001";
  const std::pair<std::string, std::string> cases[] = {
      {"82534e41505059000000000000000001", "stream version 1 or above expected, found 0"},
      {header + "000000", "a chunk size of 4 bytes expected, found 3"},
      {header + "ffffffff", "a chunk within the 0 bytes left expected, found -1"},
      {header + "0000000300", "a chunk within the 1 bytes left expected, found 3"},
      {header + "00000000", "a block with its length expected, found 0"},
      {header + "00000002"
                "05ff",
       "a well-formed block of 2 bytes expected"},
      {"", "a block with its length expected, found 0"},
  };
  for (const auto& [hex, message] : cases) {
    EXPECT_THAT(DecodedHex(Codec::kSnappy, hex), HasSubstr("DATA_LOSS: snappy: " + message));
  }
}

// Frames of one raw block "hello", in the forms that Kafka's reader takes and refuses. Checksums are right where a case
// does not say otherwise, so that each frame is refused for its own sake.
TEST(Lz4, TakesWhatKafkaTakes) {
  const std::pair<std::string, std::string> cases[] = {
      {"no options", "04224d186040820500008068656c6c6f00000000"},
      {"content size, wrong and unread", "04224d18684009000000000000006d0500008068656c6c6f00000000"},
      {"content checksum, wrong and unread", "04224d186440a70500008068656c6c6f00000000deadbeef"},
      {"content checksum missing", "04224d186440a70500008068656c6c6f00000000"},
      {"block checksum", "04224d187040ad0500008068656c6c6ff97700fb00000000"},
      {"blocks of 256 KiB", "04224d186050fb0500008068656c6c6f00000000"},
      {"blocks of 1 MiB", "04224d186060510500008068656c6c6f00000000"},
      {"blocks of 4 MiB", "04224d186070730500008068656c6c6f00000000"},
      {"bytes behind the end mark", "04224d186040820500008068656c6c6f00000000ff"},
  };
  for (const auto& [name, hex] : cases) {
    EXPECT_EQ(DecodedHex(Codec::kLz4, hex), "hello") << name;
  }
}

TEST(Lz4, RefusesWhatKafkaRefuses) {
  const std::pair<std::string, std::string> cases[] = {
      {"04224d18604082", "a frame with its end mark expected, found 7 bytes without"},
      {"04224d186040", "a frame header of 7 bytes expected, found 6"},
      {"05224d186040820500008068656c6c6f00000000", "frame magic 184d2204 expected, found 184d2205"},
      {"04224d18a0400f0500008068656c6c6f00000000", "frame version 1 expected, found 2"},
      {"04224d186140a10500008068656c6c6f00000000", "reserved bits of zero expected, found flags 61 40"},
      {"04224d186240f00500008068656c6c6f00000000", "reserved bits of zero expected, found flags 62 40"},
      {"04224d186041bd0500008068656c6c6f00000000", "reserved bits of zero expected, found flags 60 41"},
      {"04224d1860c02a0500008068656c6c6f00000000", "reserved bits of zero expected, found flags 60 c0"},
      {"04224d184040c00500008068656c6c6f00000000", "independent blocks expected"},
      {"04224d186030d40500008068656c6c6f00000000", "a block size code from 4 to 7 expected, found 3"},
      {"04224d186040830500008068656c6c6f00000000", "ERROR_headerChecksum_invalid"},
      {"04224d187040ad0500008068656c6c6fdeadbeef00000000", "ERROR_blockChecksum_invalid"},
      {"04224d186040820500008068656c6c", "a frame with its end mark expected"},
      {"04224d186040820500008068656c6c6f000000", "a frame with its end mark expected"},
      {"04224d18604082050000001f0102030400000000", "found at byte"},
  };
  for (const auto& [hex, message] : cases) {
    EXPECT_THAT(DecodedHex(Codec::kLz4, hex), HasSubstr(message));
  }
}

TEST(Lz4, RefusesABlockLargerThanItsFrameSays) {
  std::vector<std::byte> frame = FromHex("04224d18604082");
  const std::vector<std::byte> size = FromHex("01000180");  // 65537 raw bytes
  frame.insert(frame.end(), size.begin(), size.end());
  frame.resize(frame.size() + 65'537 + 4);
  EXPECT_THAT(std::string(DecodeStatus(Codec::kLz4, frame).message()), HasSubstr("ERROR_maxBlockSize_invalid"));
}

TEST(Zstd, TakesFramesWithContentSizeAndSeveralFrames) {
  std::vector<std::byte> frame(ZSTD_compressBound(5));
  frame.resize(ZSTD_compress(frame.data(), frame.size(), "hello", 5, 3));
  ASSERT_EQ(ZSTD_getFrameContentSize(frame.data(), frame.size()), 5U);
  const std::string hex = ToHex(frame);
  EXPECT_EQ(DecodedHex(Codec::kZstd, hex), "hello");
  EXPECT_EQ(DecodedHex(Codec::kZstd, hex + ToHex(Compressed(Codec::kZstd, AsBytes(" world")))), "hello world");
  EXPECT_THAT(DecodedHex(Codec::kZstd, hex + "00000000"), HasSubstr("DATA_LOSS: zstd: a well-formed frame"));
  EXPECT_THAT(DecodedHex(Codec::kZstd, hex.substr(0, hex.size() - 2)), HasSubstr("DATA_LOSS: zstd: a whole frame"));
}

TEST(Zstd, WritesNoContentSize) {
  const std::vector<std::byte> blob = Compressed(Codec::kZstd, Sample(300'000, 9));
  EXPECT_EQ(ZSTD_getFrameContentSize(blob.data(), blob.size()), ZSTD_CONTENTSIZE_UNKNOWN);
}

}  // namespace
}  // namespace varve
