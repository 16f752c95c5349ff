// Crashes random lives of logs (model/model_run.h) of every shape in crash_shapes.cc: each life at one in so many of its
// operations, so that over many lives it is all of them. Of each shape so many states are made and checked as
// VARVE_CRASH_STATES says, from the seed VARVE_CRASH_SEED on. A failure names its seed and state: with both of them in
// VARVE_CRASH_SEED and VARVE_CRASH_STATE that state alone is made again. What was done is told by a file of JSON for each
// shape in the directory VARVE_CRASH_REPORT, else in that of the build.
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "crash/crash_check.h"
#include "crash/crash_shapes.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "model/model_run.h"
#include "support/status_matchers.h"

namespace varve::testing_support {
namespace {

constexpr int kSteps = 20;

uint64_t NumberOf(const char* variable, uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::optional<std::string> OnlyState() {
  const char* const text = std::getenv("VARVE_CRASH_STATE");
  return text != nullptr ? std::optional<std::string>(text) : std::nullopt;
}

struct Tally {
  uint64_t lives = 0;
  uint64_t points = 0;
  uint64_t states = 0;
};

void Live(uint64_t seed, const ModelShape& shape, Tally* tally) {
  const ModelRun* running = nullptr;
  CrashSimulator machine(
      {.seed = seed, .point_one_in = VARVE_CRASH_POINT_ONE_IN, .states_per_point = 2, .only_id = OnlyState()},
      [&](const CrashState& state) {
        return CheckCrash(state, ModelRun::kPartition, running->options(), running->Possible());
      });
  std::string history;
  {
    ModelRun run(seed, shape, &machine);
    running = &run;
    run.Take(kSteps);
    history = run.history();
  }
  ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "seed " << seed << "\n" << history;
  ASSERT_THAT(machine.status(), IsOk()) << "again: VARVE_CRASH_SEED=SEED VARVE_CRASH_STATE=STATE crash_test"
                                        << " --gtest_filter='*/" << shape.name << "'\n"
                                        << history;
  ++tally->lives;
  tally->points += machine.point_count();
  tally->states += machine.state_count();
}

void LiveUntil(uint64_t states, uint64_t first_seed, const ModelShape& shape, Tally* tally) {
  for (uint64_t seed = first_seed; tally->states < states; ++seed) {
    ASSERT_NO_FATAL_FAILURE(Live(seed, shape, tally));
  }
  ASSERT_GT(tally->states, 0u);
}

std::filesystem::path ReportOf(const ModelShape& shape) {
  const char* const asked = std::getenv("VARVE_CRASH_REPORT");
  return std::filesystem::path(asked != nullptr ? asked : VARVE_CRASH_REPORT) / fmt::format("{}.json", shape.name);
}

void Report(const ModelShape& shape, uint64_t first_seed, const Tally& tally, double seconds) {
  const std::filesystem::path path = ReportOf(shape);
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path)
      << fmt::format(R"({{"shape":"{}","first_seed":{},"next_seed":{},"points":{},"states":{},"seconds":{:.3f},)",
                     shape.name, first_seed, first_seed + tally.lives, tally.points, tally.states, seconds)
      << fmt::format(R"("failed":{}}})", ::testing::Test::HasFailure()) << "\n";
}

class CrashTest : public ::testing::TestWithParam<ModelShape> {};
INSTANTIATE_TEST_SUITE_P(, CrashTest, ::testing::ValuesIn(CrashShapes()),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(CrashTest, NothingAcknowledgedIsLostNothingIsInvented) {
  const ModelShape& shape = GetParam();
  const uint64_t first_seed = NumberOf("VARVE_CRASH_SEED", 1);
  Tally tally;
  if (OnlyState().has_value()) {
    ASSERT_NO_FATAL_FAILURE(Live(first_seed, shape, &tally));
    ASSERT_GT(tally.states, 0u);
    return;
  }
  std::filesystem::remove(ReportOf(shape));  // or else a run that dies would tell of the one before
  const auto begin = std::chrono::steady_clock::now();
  LiveUntil(NumberOf("VARVE_CRASH_STATES", VARVE_CRASH_STATES), first_seed, shape, &tally);
  Report(shape, first_seed, tally, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
}

}  // namespace
}  // namespace varve::testing_support
