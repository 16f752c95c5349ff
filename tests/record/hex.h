// Bytes as the hexadecimal digits in which the format notes give them.
#ifndef VARVE_TESTS_RECORD_HEX_H_
#define VARVE_TESTS_RECORD_HEX_H_

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fmt/format.h"

namespace varve::testing_support {

inline std::vector<std::byte> FromHex(std::string_view digits) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

inline std::string ToHex(std::span<const std::byte> bytes) {
  std::string digits;
  for (const std::byte byte : bytes) digits += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return digits;
}

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_RECORD_HEX_H_
