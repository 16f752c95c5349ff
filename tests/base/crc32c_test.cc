#include "base/crc32c.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "gtest/gtest.h"

namespace varve::internal {
namespace {

// The definition, bit by bit: the reflected polynomial 0x82f63b78.
uint32_t ReferenceCrc32c(std::span<const std::byte> bytes) {
  uint32_t crc = 0xffffffffU;
  for (const std::byte byte : bytes) {
    crc ^= static_cast<uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
  }
  return ~crc;
}

std::vector<std::byte> RandomBytes(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

TEST(Crc32c, HasTheCheckValue) { EXPECT_EQ(Crc32c(AsBytes("123456789")), 0xe3069283U); }

TEST(Crc32c, OfNothingIsZeroAndExtendsNothing) {
  EXPECT_EQ(Crc32c({}), 0U);
  EXPECT_EQ(ExtendCrc32c(0xe3069283U, {}), 0xe3069283U);
}

// The vectors of RFC 3720, appendix B.4.
TEST(Crc32c, HasTheValuesOfTheStandard) {
  EXPECT_EQ(Crc32c(std::vector<std::byte>(32, std::byte{0x00})), 0x8a9136aaU);
  EXPECT_EQ(Crc32c(std::vector<std::byte>(32, std::byte{0xff})), 0x62a8ab43U);
  std::vector<std::byte> ascending;
  for (int i = 0; i < 32; ++i) ascending.push_back(static_cast<std::byte>(i));
  EXPECT_EQ(Crc32c(ascending), 0x46dd794eU);
}

// Every length across the change from short to long blocks, and every alignment within a word.
TEST(Crc32c, EqualsTheDefinitionAtEveryLengthAndAlignment) {
  const std::vector<std::byte> bytes = RandomBytes(1500, 1);
  for (size_t size = 0; size <= 1400; ++size) {
    const std::span<const std::byte> block = std::span(bytes).subspan(size % 8, size);
    ASSERT_EQ(Crc32c(block), ReferenceCrc32c(block)) << "size " << size;
  }
}

TEST(Crc32c, EqualsTheDefinitionOnLargeBlocks) {
  const std::vector<std::byte> bytes = RandomBytes((size_t{1} << 20) + 13, 2);
  EXPECT_EQ(Crc32c(bytes), ReferenceCrc32c(bytes));
}

TEST(Crc32c, ExtendsAcrossEverySplit) {
  const std::vector<std::byte> bytes = RandomBytes(700, 3);
  const uint32_t whole = Crc32c(bytes);
  for (size_t split = 0; split <= bytes.size(); ++split) {
    const std::span<const std::byte> all = bytes;
    ASSERT_EQ(ExtendCrc32c(Crc32c(all.first(split)), all.subspan(split)), whole) << "split " << split;
  }
}

// As many bytes together as the shortest block has, and the rest of each; long blocks by themselves.
TEST(Crc32c, OfEachOfFourBlocksEqualsTheDefinition) {
  const std::vector<std::byte> bytes = RandomBytes(1500, 4);
  std::mt19937 random(5);
  for (const size_t most : {size_t{9}, size_t{200}, size_t{1300}}) {
    std::uniform_int_distribution<size_t> sizes(0, most);
    for (int round = 0; round < 200; ++round) {
      std::array<std::span<const std::byte>, kCrcBlocksAtOnce> blocks;
      for (auto& block : blocks) block = std::span(bytes).subspan(sizes(random) % 8, sizes(random));
      const auto crcs = Crc32cOfEach(blocks);
      for (size_t i = 0; i < blocks.size(); ++i) {
        ASSERT_EQ(crcs[i], ReferenceCrc32c(blocks[i])) << blocks[i].size() << " bytes, block " << i;
      }
    }
  }
}

}  // namespace
}  // namespace varve::internal
