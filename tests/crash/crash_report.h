// How much a run of crash tests is asked to do, and where it says what it did: VARVE_CRASH_STATES states of each shape,
// else as many as the build says; from the seed VARVE_CRASH_SEED on, else from 1; a file of JSON for each shape in the
// directory VARVE_CRASH_REPORT, else in that of the build.
#ifndef VARVE_TESTS_CRASH_CRASH_REPORT_H_
#define VARVE_TESTS_CRASH_CRASH_REPORT_H_

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "fmt/format.h"
#include "gtest/gtest.h"

namespace varve::testing_support {

struct CrashTally {
  uint64_t lives = 0;
  uint64_t points = 0;
  uint64_t states = 0;
};

[[nodiscard]] inline uint64_t NumberOf(const char* variable, uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

[[nodiscard]] inline uint64_t AskedCrashStates() { return NumberOf("VARVE_CRASH_STATES", VARVE_CRASH_STATES); }
[[nodiscard]] inline uint64_t CrashSeed() { return NumberOf("VARVE_CRASH_SEED", 1); }

// Of one shape. Made before the first of its lives: what an earlier run told is taken back, or else a run that dies
// would tell of that one.
class CrashReport {
 public:
  CrashReport(std::string_view shape, uint64_t first_seed) : shape_(shape), first_seed_(first_seed) {
    const char* const asked = std::getenv("VARVE_CRASH_REPORT");
    path_ = std::filesystem::path(asked != nullptr ? asked : VARVE_CRASH_REPORT) / fmt::format("{}.json", shape);
    std::filesystem::create_directories(path_.parent_path());
    std::filesystem::remove(path_);
  }

  // Each life has a seed of its own.
  void Write() const {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin_;
    std::ofstream(path_)
        << fmt::format(R"({{"shape":"{}","first_seed":{},"next_seed":{},"points":{},"states":{},"seconds":{:.3f},)",
                       shape_, first_seed_, first_seed_ + tally.lives, tally.points, tally.states, took.count())
        << fmt::format(R"("failed":{}}})", ::testing::Test::HasFailure()) << "\n";
  }

  CrashTally tally;

 private:
  const std::string shape_;
  const uint64_t first_seed_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::filesystem::path path_;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_CRASH_CRASH_REPORT_H_
