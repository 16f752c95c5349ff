// What others do while published data is taken away: syncs, reads, lookups. All of it keeps what holds without them.
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "log/log_places.h"

namespace varve {
namespace {

using testing_support::AppendMany;
using testing_support::ExpectRecords;

class LogBesideTruncationTest : public testing_support::LogTest {};

// Calls `work` in some threads until destroyed.
class Busy {
 public:
  template <typename Work>
  Busy(int threads, Work work) {
    for (int number = 0; number < threads; ++number) {
      threads_.emplace_back([this, work] {
        while (!stop_.load()) work();
      });
    }
  }
  ~Busy() {
    stop_.store(true);
    for (std::thread& thread : threads_) thread.join();
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

// The durable point is lowered before anything goes: a sync that raises it again makes the announcement void, and the
// log start with it.
TEST_F(LogBesideTruncationTest, SyncsDoNotRaiseTheDurablePointAgain) {
  for (int round = 0; round < 100; ++round) {
    SCOPED_TRACE(round);
    MemoryFileSystem memory;
    options_.file_system = &memory;
    const auto log = Open();
    AppendMany(log.get(), 20);
    VARVE_ASSERT_OK(log->DeleteBefore(6));
    {
      const Busy flushing(3, [&] { (void)log->Flush(); });
      VARVE_ASSERT_OK(log->TruncateTo(12));
    }
    ASSERT_EQ(log->log_start_offset(), 6);
    ASSERT_LE(log->durable_offset(), 12);
    ExpectRecords(*log, 6, 12);
    AppendMany(log.get(), 3, {.ack = Ack::kDurable});
    const auto crashed = memory.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
    options_.file_system = crashed.get();
    const auto reopened = Open();
    ASSERT_EQ(reopened->log_start_offset(), 6);
    ExpectRecords(*reopened, 6, 15);
  }
}

}  // namespace
}  // namespace varve
