// How much a run of these tests is asked to do, and where it says what it did: VARVE_FILE_SYSTEMS_ENDINGS endings of
// each test, else as many as the test says; from the seed VARVE_FILE_SYSTEMS_SEED on, else from 1; a file of JSON for each
// test in the directory VARVE_FILE_SYSTEMS_REPORT, else in that of the build.
#ifndef VARVE_TESTS_FILE_SYSTEMS_ASKED_H_
#define VARVE_TESTS_FILE_SYSTEMS_ASKED_H_

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "fmt/format.h"
#include "gtest/gtest.h"

namespace varve::testing_support {

[[nodiscard]] inline uint64_t NumberOf(const char* variable, uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

[[nodiscard]] inline uint64_t AskedEndings(uint64_t otherwise) {
  return NumberOf("VARVE_FILE_SYSTEMS_ENDINGS", otherwise);
}

[[nodiscard]] inline uint64_t FirstSeed() { return NumberOf("VARVE_FILE_SYSTEMS_SEED", 1); }

// Of the test under way: what kind of ending ("power cut"), on what file system, how many, and the seed to go on with.
inline void ReportEndings(std::string_view kind, std::string_view file_system, uint64_t count, uint64_t next_seed) {
  const char* const asked = std::getenv("VARVE_FILE_SYSTEMS_REPORT");
  const std::filesystem::path directory = asked != nullptr ? asked : VARVE_FILE_SYSTEMS_REPORT;
  std::filesystem::create_directories(directory);
  const bool failed = ::testing::Test::HasFailure();
  std::ofstream(directory / fmt::format("{} {}.json", kind, file_system))
      << fmt::format(R"({{"kind":"{}","file_system":"{}","endings":{},"first_seed":{},"next_seed":{},"failed":{}}})",
                     kind, file_system, count, FirstSeed(), next_seed, failed)
      << "\n";
  fmt::print("{} times a {} on {}, from seed {}\n", count, kind, file_system, FirstSeed());
}

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_FILE_SYSTEMS_ASKED_H_
