// Crashes random lives of logs (model/model_run.h) of every shape in crash_shapes.cc: each life at one in so many of its
// operations, so that over many lives it is all of them; crash_report.h says how many states of each shape are made and
// checked. A failure names its seed and state: with both of them in VARVE_CRASH_SEED and VARVE_CRASH_STATE that state alone
// is made again.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

#include "crash/crash_check.h"
#include "crash/crash_report.h"
#include "crash/crash_shapes.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "model/model_run.h"
#include "support/status_matchers.h"

namespace varve::testing_support {
namespace {

constexpr int kSteps = 20;

std::optional<std::string> OnlyState() {
  const char* const text = std::getenv("VARVE_CRASH_STATE");
  return text != nullptr ? std::optional<std::string>(text) : std::nullopt;
}

void Live(uint64_t seed, const ModelShape& shape, CrashTally* tally) {
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

void LiveUntil(uint64_t states, uint64_t first_seed, const ModelShape& shape, CrashTally* tally) {
  for (uint64_t seed = first_seed; tally->states < states; ++seed) {
    ASSERT_NO_FATAL_FAILURE(Live(seed, shape, tally));
  }
  ASSERT_GT(tally->states, 0u);
}

class CrashTest : public ::testing::TestWithParam<ModelShape> {};
INSTANTIATE_TEST_SUITE_P(, CrashTest, ::testing::ValuesIn(CrashShapes()),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(CrashTest, NothingAcknowledgedIsLostNothingIsInvented) {
  const ModelShape& shape = GetParam();
  const uint64_t first_seed = CrashSeed();
  if (OnlyState().has_value()) {
    CrashTally tally;
    ASSERT_NO_FATAL_FAILURE(Live(first_seed, shape, &tally));
    ASSERT_GT(tally.states, 0u);
    return;
  }
  CrashReport report(shape.name, first_seed);
  LiveUntil(AskedCrashStates(), first_seed, shape, &report.tally);
  report.Write();
}

}  // namespace
}  // namespace varve::testing_support
