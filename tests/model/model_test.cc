// Random lives of logs beside a reference (reference_log.h). A life is told by its seed: VARVE_MODEL_SEED=N runs that
// one alone; VARVE_MODEL_SEEDS=COUNT runs so many.
#include <cstdint>
#include <cstdlib>

#include "gtest/gtest.h"
#include "model/model_run.h"

namespace varve::testing_support {
namespace {

constexpr int kSteps = 80;

void Live(uint64_t seed) {
  CrashSimulator machine({.seed = seed, .states_per_point = 0}, [](const CrashState&) { return absl::OkStatus(); });
  const ModelShape shape = EverythingShape();
  ModelRun run(seed, shape, &machine);
  ASSERT_NO_FATAL_FAILURE(run.Take(kSteps)) << "VARVE_MODEL_SEED=" << seed << "\n" << run.history();
}

TEST(ModelTest, ALogHoldsWhatItsReferenceHolds) {
  if (const char* seed = std::getenv("VARVE_MODEL_SEED"); seed != nullptr) {
    Live(std::strtoull(seed, nullptr, 10));
    return;
  }
  const char* asked = std::getenv("VARVE_MODEL_SEEDS");
  const uint64_t count = asked != nullptr ? std::strtoull(asked, nullptr, 10) : VARVE_MODEL_SEEDS;
  for (uint64_t seed = 1; seed <= count; ++seed) {
    SCOPED_TRACE(::testing::Message() << "VARVE_MODEL_SEED=" << seed);
    ASSERT_NO_FATAL_FAILURE(Live(seed));
  }
}

}  // namespace
}  // namespace varve::testing_support
