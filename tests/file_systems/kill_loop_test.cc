// A process killed by SIGKILL at any moment, with many threads appending, a reader and a follower beside them, and
// truncation or compaction under way, loses nothing that it was told is written.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "file_systems/asked.h"
#include "file_systems/child_process.h"
#include "file_systems/judge.h"
#include "file_systems/life.h"
#include "support/random_choice.h"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"

namespace varve::testing_support {
namespace {

constexpr uint64_t kLivesOfALog = 50;

// In memory where the system has such a place: a killed process leaves everything to the page cache, and the disk is not
// asked.
std::string ParentOfLogs() { return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : ::testing::TempDir(); }

// Kills lives of one log, so many of them, at moments that the seed tells.
void KillLives(uint64_t seed, bool compacts, uint64_t lives) {
  const TemporaryDirectory directory(ParentOfLogs());
  const std::string partition = directory.path() + "/killed-0";
  const SharedMemory<std::atomic<uint64_t>> clock;
  Journal journal(&*clock);
  for (uint64_t life = 0; life < lives; ++life) {
    SCOPED_TRACE(fmt::format("seed {}, life {}", seed, life));
    RandomChoice random(seed * kLivesOfALog + life);
    const LifePlan plan{.seed = seed * kLivesOfALog + life, .compacts = compacts, .reads = true, .durable_one_in = 40};
    const int64_t until = journal.size() + 1 + random.Below(100);
    {
      ChildProcess child([&] { return Live(partition, plan, &journal); });
      while (journal.size() < until && child.IsRunning()) ::usleep(50);
      ASSERT_TRUE(child.IsRunning()) << child.Wait();
    }
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> log, Log::Open(partition, LifeOptions(plan)));
    VARVE_ASSERT_OK(Judge(*log, journal, {.written_before = kNever}));
    VARVE_ASSERT_OK(GoOn(*log, &journal));
  }
}

TEST(KillLoopTest, NothingWrittenIsLost) {
  const uint64_t kills = AskedEndings(1000);
  uint64_t done = 0;
  uint64_t seed = FirstSeed();
  for (; done < kills && !HasFailure(); ++seed) {
    const uint64_t lives = std::min(kills - done, kLivesOfALog);
    KillLives(seed, seed % 2 == 0, lives);
    done += lives;
  }
  ReportEndings("kill", "any", done, seed);
}

}  // namespace
}  // namespace varve::testing_support
