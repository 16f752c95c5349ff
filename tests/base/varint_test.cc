#include "base/varint.h"

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"

namespace varve::internal {
namespace {

std::string Hex(std::span<const std::byte> bytes) {
  std::string digits;
  for (const std::byte byte : bytes) digits += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return digits;
}

template <typename... Bytes>
std::vector<std::byte> Raw(Bytes... bytes) {
  return {static_cast<std::byte>(bytes)...};
}

TEST(Varint, IsWhatKafkaWrites) {
  struct Case {
    int32_t value;
    std::string hex;
  };
  const Case cases[] = {
      {0, "00"},
      {-1, "01"},
      {1, "02"},
      {63, "7e"},
      {-64, "7f"},
      {64, "8001"},
      {-65, "8101"},
      {300, "d804"},
      {2147483647, "feffffff0f"},
      {std::numeric_limits<int32_t>::min(), "ffffffff0f"},
  };
  for (const Case& c : cases) {
    std::array<std::byte, kMaxVarintBytes> bytes;
    const std::byte* end = EncodeVarint(bytes.data(), c.value);
    EXPECT_EQ(Hex({bytes.data(), end}), c.hex);
    EXPECT_EQ(VarintSize(c.value), c.hex.size() / 2) << c.value;
    int32_t decoded = 0;
    EXPECT_EQ(DecodeVarint(bytes.data(), end, &decoded), end);
    EXPECT_EQ(decoded, c.value);
  }
}

TEST(Varlong, IsWhatKafkaWrites) {
  struct Case {
    int64_t value;
    std::string hex;
  };
  const Case cases[] = {
      {0, "00"},
      {-1, "01"},
      {1'700'000'000'000, "80a0abfef962"},
      {-1'700'000'000'000, "ff9fabfef962"},
      {std::numeric_limits<int64_t>::max(), "feffffffffffffffff01"},
      {std::numeric_limits<int64_t>::min(), "ffffffffffffffffff01"},
  };
  for (const Case& c : cases) {
    std::array<std::byte, kMaxVarlongBytes> bytes;
    const std::byte* end = EncodeVarlong(bytes.data(), c.value);
    EXPECT_EQ(Hex({bytes.data(), end}), c.hex);
    EXPECT_EQ(VarlongSize(c.value), c.hex.size() / 2) << c.value;
    int64_t decoded = 0;
    EXPECT_EQ(DecodeVarlong(bytes.data(), end, &decoded), end);
    EXPECT_EQ(decoded, c.value);
  }
}

// Every length, at the values where it changes and one beyond on either side.
TEST(Varint, RoundTripsAroundEveryPowerOfTwo) {
  for (int bit = 0; bit < 64; ++bit) {
    for (int64_t distance = -2; distance <= 2; ++distance) {
      const auto value = static_cast<int64_t>((uint64_t{1} << bit) + static_cast<uint64_t>(distance));
      for (const int64_t wide : {value, static_cast<int64_t>(0 - static_cast<uint64_t>(value))}) {
        std::array<std::byte, kMaxVarlongBytes> bytes;
        const std::byte* end = EncodeVarlong(bytes.data(), wide);
        EXPECT_EQ(static_cast<size_t>(end - bytes.data()), VarlongSize(wide));
        int64_t decoded = 0;
        ASSERT_EQ(DecodeVarlong(bytes.data(), end, &decoded), end);
        EXPECT_EQ(decoded, wide);

        const auto narrow = static_cast<int32_t>(wide);
        end = EncodeVarint(bytes.data(), narrow);
        EXPECT_EQ(static_cast<size_t>(end - bytes.data()), VarintSize(narrow));
        int32_t decoded_narrow = 0;
        ASSERT_EQ(DecodeVarint(bytes.data(), end, &decoded_narrow), end);
        EXPECT_EQ(decoded_narrow, narrow);
      }
    }
  }
}

TEST(Varint, RefusesASixthByte) {
  const std::vector<std::byte> five = Raw(0xff, 0xff, 0xff, 0xff, 0x0f);
  const std::vector<std::byte> six = Raw(0xff, 0xff, 0xff, 0xff, 0x8f, 0x00);
  int32_t value = 0;
  EXPECT_EQ(DecodeVarint(five.data(), five.data() + 5, &value), five.data() + 5);
  EXPECT_EQ(DecodeVarint(six.data(), six.data() + 6, &value), nullptr);
}

TEST(Varlong, RefusesAnEleventhByte) {
  std::vector<std::byte> ten(9, std::byte{0xff});
  ten.push_back(std::byte{0x01});
  std::vector<std::byte> eleven(9, std::byte{0xff});
  eleven.push_back(std::byte{0x81});
  eleven.push_back(std::byte{0x00});
  int64_t value = 0;
  EXPECT_EQ(DecodeVarlong(ten.data(), ten.data() + 10, &value), ten.data() + 10);
  EXPECT_EQ(DecodeVarlong(eleven.data(), eleven.data() + 11, &value), nullptr);
}

TEST(Varint, RefusesEveryTruncation) {
  const std::vector<std::byte> bytes = Raw(0xff, 0xff, 0xff, 0xff, 0x0f);
  for (size_t size = 0; size < bytes.size(); ++size) {
    int32_t narrow = 0;
    int64_t wide = 0;
    EXPECT_EQ(DecodeVarint(bytes.data(), bytes.data() + size, &narrow), nullptr) << size;
    EXPECT_EQ(DecodeVarlong(bytes.data(), bytes.data() + size, &wide), nullptr) << size;
  }
}

TEST(Varint, TakesOverlongFormsAndDropsExcessBitsAsKafkaDoes) {
  const std::vector<std::byte> overlong = Raw(0x82, 0x00);
  const std::vector<std::byte> excess = Raw(0xfe, 0xff, 0xff, 0xff, 0x7f);
  int32_t value = 0;
  EXPECT_EQ(DecodeVarint(overlong.data(), overlong.data() + 2, &value), overlong.data() + 2);
  EXPECT_EQ(value, 1);
  EXPECT_EQ(DecodeVarint(excess.data(), excess.data() + 5, &value), excess.data() + 5);
  EXPECT_EQ(value, std::numeric_limits<int32_t>::max());
}

TEST(Varint, LeavesTheBytesBehindIt) {
  const std::vector<std::byte> bytes = Raw(0xd8, 0x04, 0xff);
  int32_t value = 0;
  EXPECT_EQ(DecodeVarint(bytes.data(), bytes.data() + 3, &value), bytes.data() + 2);
  EXPECT_EQ(value, 300);
}

}  // namespace
}  // namespace varve::internal
