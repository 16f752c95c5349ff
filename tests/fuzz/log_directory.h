// A log directory as one input: entries of 1 byte kind, 2 bytes base offset, 2 bytes length, big-endian, and the file's
// bytes. What is behind the last whole entry is left out.
#ifndef VARVE_TESTS_FUZZ_LOG_DIRECTORY_H_
#define VARVE_TESTS_FUZZ_LOG_DIRECTORY_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "fuzz/fuzz_target.h"

namespace varve::fuzz {

using DirectoryFiles = std::map<std::string, std::string>;

[[nodiscard]] DirectoryFiles DecodeDirectory(Input input);
// Files that no input can name or that are too long for one are left out.
[[nodiscard]] std::vector<std::byte> EncodeDirectory(const DirectoryFiles& files);

}  // namespace varve::fuzz

#endif  // VARVE_TESTS_FUZZ_LOG_DIRECTORY_H_
