// Threads that use a log at once, in orders that seeds tell. VARVE_SCHEDULES_SEED and VARVE_SCHEDULES in the environment
// say from which on, and how many.
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "schedules/scheduled_log.h"

namespace varve::testing_support {
namespace {

uint64_t NumberOf(const char* variable, uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// A seed is a whole report of a failure.
TEST(SchedulesTest, TheSameSeedGivesTheSameOrder) {
  std::set<std::vector<std::string>> orders;
  constexpr uint64_t kSeeds = 20;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    const ScheduledLife life = LiveBySchedule(seed);
    EXPECT_GT(life.trace.size(), 200u);
    EXPECT_TRUE(LiveBySchedule(seed).trace == life.trace);
    orders.insert(life.trace);
  }
  EXPECT_EQ(orders.size(), kSeeds);
}

TEST(SchedulesTest, NothingAcknowledgedIsLostAndNobodyWaitsForEver) {
  const uint64_t first = NumberOf("VARVE_SCHEDULES_SEED", 1);
  const uint64_t count = NumberOf("VARVE_SCHEDULES", VARVE_SCHEDULES);
  uint64_t appends = 0;
  uint64_t crashes = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const ScheduledLife life = LiveBySchedule(seed);
    ASSERT_THAT(life.problems, ::testing::IsEmpty()) << "seed " << seed;
    appends += life.appends;
    crashes += life.crashes;
  }
  EXPECT_GT(appends, count);
  EXPECT_GT(crashes, count / 4);
}

}  // namespace
}  // namespace varve::testing_support
