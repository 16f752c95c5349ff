// BackgroundRunner: that its thread works, rests and ends, whatever happens to the logs; and steps of several threads.
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "store/maintained_logs.h"
#include "store/rest_time.h"

namespace varve {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::AppendMany;
using testing_support::IsOk;
using testing_support::MaintainedLogsTest;
using testing_support::OpenLog;
using testing_support::StatusIs;

constexpr int64_t kRecords = 24;

// A clock that goes on by so much whenever it is asked.
class RunningClock : public Clock {
 public:
  explicit RunningClock(int64_t tick_ns) : tick_ns_(tick_ns) {}
  int64_t WallMs() override { return 1'700'000'000'000; }
  int64_t MonotonicNs() override { return now_ns_.fetch_add(tick_ns_); }

 private:
  const int64_t tick_ns_;
  std::atomic<int64_t> now_ns_{1'000'000'000'000};
};

// Given once or more.
class Signal {
 public:
  void Notify() {
    given_.store(true);
    given_.notify_all();
  }
  void Wait() const { given_.wait(false); }

 private:
  std::atomic<bool> given_{false};
};

class BackgroundRunnerTest : public MaintainedLogsTest {
 protected:
  BackgroundRunnerTest() {
    maintenance_options_.on_event = [this](const MaintenanceEvent&) {
      events_.fetch_add(1);
      first_event_.Notify();
    };
  }

  std::atomic<int> events_{0};
  Signal first_event_;
};

TEST_F(BackgroundRunnerTest, ItWorksWhenALogIsAddedAndWhenTimeHasPassed) {
  Signal flushed;
  maintenance_options_.flush_interval_ms = 1000;
  maintenance_options_.on_event = [&](const MaintenanceEvent& event) {
    if (event.kind == MaintenanceKind::kRetention) first_event_.Notify();
    if (event.kind == MaintenanceKind::kFlush) flushed.Notify();
  };
  const auto maintenance = Create();
  BackgroundRunner runner(maintenance.get());
  VARVE_ASSERT_OK(runner.Start());
  const std::shared_ptr<Log> log = AddLog(maintenance.get(), "orders-0");
  first_event_.Wait();
  AppendMany(log.get(), 3);
  clock_.AdvanceMs(1000);
  maintenance->Wake();
  flushed.Wait();
  EXPECT_EQ(log->durable_offset(), 3);
  runner.Stop();
}

TEST_F(BackgroundRunnerTest, ItCanBeStoppedAndStartedAgain) {
  const auto maintenance = Create();
  BackgroundRunner runner(maintenance.get());
  runner.Stop();  // of nothing
  VARVE_ASSERT_OK(runner.Start());
  EXPECT_THAT(runner.Start(), StatusIs(absl::StatusCode::kFailedPrecondition));
  runner.Stop();
  const std::shared_ptr<Log> log = AddLog(maintenance.get(), "orders-0");
  EXPECT_EQ(events_, 0) << "nobody is there";
  VARVE_ASSERT_OK(runner.Start());
  first_event_.Wait();
}

TEST_F(BackgroundRunnerTest, ItStopsFromACallback) {
  BackgroundRunner* inside = nullptr;
  maintenance_options_.step_segments = 1;
  maintenance_options_.on_event = [&](const MaintenanceEvent&) {
    inside->Stop();
    events_.fetch_add(1);
    first_event_.Notify();
  };
  const auto maintenance = Create();
  const std::shared_ptr<Log> log = AddLog(maintenance.get(), "orders-0");
  AppendMany(log.get(), kRecords);
  BackgroundRunner runner(maintenance.get());
  inside = &runner;
  VARVE_ASSERT_OK(runner.Start());
  first_event_.Wait();
  runner.Stop();
  EXPECT_EQ(events_, 1) << "of many steps";
  VARVE_EXPECT_OK(runner.Start());
}

// Its rest would be a day long.
TEST_F(BackgroundRunnerTest, ItRestsAfterAStepAndStopsAtOnceAllTheSame) {
  RunningClock clock(int64_t{3'600'000'000'000});
  maintenance_options_.clock = &clock;
  maintenance_options_.step_segments = 1;
  const auto maintenance = Create();
  const std::shared_ptr<Log> log = AddLog(maintenance.get(), "orders-0");
  AppendMany(log.get(), kRecords);
  BackgroundRunner runner(maintenance.get(), {.max_share = 0.01});
  VARVE_ASSERT_OK(runner.Start());
  first_event_.Wait();
  runner.Stop();
  EXPECT_EQ(events_, 1) << "of many steps";
}

TEST_F(BackgroundRunnerTest, RestTimes) {
  using internal::RestTime;
  using std::chrono::nanoseconds;
  EXPECT_EQ(RestTime(nanoseconds(1000), 1), nanoseconds(0));
  EXPECT_EQ(RestTime(nanoseconds(1000), 0.5), nanoseconds(1000));
  EXPECT_EQ(RestTime(nanoseconds(1000), 0.125), nanoseconds(7000));
  EXPECT_EQ(RestTime(nanoseconds(0), 0.01), nanoseconds(0));
  EXPECT_EQ(RestTime(std::chrono::hours(2), 1e-300), std::chrono::hours(24));
}

TEST_F(BackgroundRunnerTest, SharesOutOfRangeAreRefused) {
  const auto maintenance = Create();
  for (const double share : {0.0, -0.5, 1.01, std::nan("")}) {
    BackgroundRunner runner(maintenance.get(), {.max_share = share});
    EXPECT_THAT(runner.Start(), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("max_share"))) << share;
  }
}

TEST_F(BackgroundRunnerTest, WithoutAThreadItIsNotStarted) {
  pthread_attr_t before;
  pthread_attr_t impossible;
  ASSERT_EQ(pthread_getattr_default_np(&before), 0);
  ASSERT_EQ(pthread_attr_init(&impossible), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&impossible, size_t{1} << 50), 0);
  const auto maintenance = Create();
  BackgroundRunner runner(maintenance.get(), {.thread_name = "no-room"});
  ASSERT_EQ(pthread_setattr_default_np(&impossible), 0);
  const absl::Status started = runner.Start();
  ASSERT_EQ(pthread_setattr_default_np(&before), 0);
  pthread_attr_destroy(&impossible);
  EXPECT_THAT(started, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("no-room")));
  VARVE_EXPECT_OK(runner.Start());
}

TEST_F(BackgroundRunnerTest, TheThreadHasItsNameAndNoSignals) {
  std::array<char, 32> name{};
  bool blocks_signals = false;
  maintenance_options_.on_event = [&](const MaintenanceEvent&) {
    EXPECT_EQ(pthread_getname_np(pthread_self(), name.data(), name.size()), 0);
    sigset_t mask;
    EXPECT_EQ(pthread_sigmask(SIG_BLOCK, nullptr, &mask), 0);
    blocks_signals = sigismember(&mask, SIGINT) == 1 && sigismember(&mask, SIGTERM) == 1;
    first_event_.Notify();
  };
  const auto maintenance = Create();
  BackgroundRunner runner(maintenance.get(), {.thread_name = "a name that is too long"});
  VARVE_ASSERT_OK(runner.Start());
  const std::shared_ptr<Log> log = AddLog(maintenance.get(), "orders-0");
  first_event_.Wait();
  EXPECT_STREQ(name.data(), "a name that is ");
  EXPECT_TRUE(blocks_signals);
  sigset_t mask;
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, nullptr, &mask), 0);
  EXPECT_EQ(sigismember(&mask, SIGINT), 0) << "the starting thread's stay";
}

TEST_F(BackgroundRunnerTest, AForkedChildMayDestroyWhatItInherits) {
  auto maintenance = Create();
  const std::shared_ptr<Log> log = AddLog(maintenance.get(), "orders-0");
  auto runner = std::make_unique<BackgroundRunner>(maintenance.get());
  VARVE_ASSERT_OK(runner->Start());
  first_event_.Wait();
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    runner.reset();
    maintenance.reset();
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_TRUE(maintenance->Remove(log.get()));
}

// Were it not so, the removal would most likely be over before the step.
TEST_F(BackgroundRunnerTest, RemovalWaitsForTheStepThatIsAtTheLog) {
  const auto maintenance = Create();
  const std::shared_ptr<Log> log = AddLog(maintenance.get(), "orders-0");
  AppendMany(log.get(), kRecords);
  std::atomic<bool> removed{false};
  std::thread remover;
  hooked_.around_change = [&] {
    if (remover.joinable()) {
      std::this_thread::yield();
    } else {
      remover = std::thread([&] {
        EXPECT_TRUE(maintenance->Remove(log.get()));
        removed.store(true);
      });
    }
    EXPECT_FALSE(removed.load());
  };
  EXPECT_TRUE(maintenance->RunStep().worked());
  hooked_.around_change = nullptr;
  remover.join();
  EXPECT_FALSE(maintenance->RunStep().worked());
}

// Two threads and the runner take steps while logs are appended to, added, removed and closed.
TEST_F(BackgroundRunnerTest, StepsOfSeveralThreadsBesideEverythingElse) {
  RunningClock clock(200'000);
  options_.cleanup_policy = CleanupPolicy::kCompactAndDelete;
  options_.clock = &clock;
  options_.file_delete_delay_ms = 1;
  maintenance_options_.clock = &clock;
  maintenance_options_.step = {.bytes = 1000, .time = std::chrono::milliseconds(1)};
  maintenance_options_.step_segments = 1;
  maintenance_options_.flush_interval_ms = 1;
  maintenance_options_.retention_interval_ms = 5;
  maintenance_options_.producers_interval_ms = 3;
  maintenance_options_.compaction_interval_ms = 2;
  const auto maintenance = Create();
  BackgroundRunner runner(maintenance.get());
  VARVE_ASSERT_OK(runner.Start());
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 2; ++thread) {
    threads.emplace_back([&] {
      while (!done.load()) (void)maintenance->RunStep();
    });
  }
  threads.emplace_back([&] {
    while (!done.load()) (void)maintenance->report();
  });
  std::vector<std::thread> hosts;
  for (int host = 0; host < 3; ++host) {
    hosts.emplace_back([&, host] {
      for (int round = 0; round < 4; ++round) {
        const std::shared_ptr<Log> log = AddLog(maintenance.get(), "orders-" + std::to_string(host));
        for (int number = 0; number < 50; ++number) {
          const std::string key = std::to_string(number % 5);
          ASSERT_THAT(log->Append({{.key = key, .value = "v", .timestamp_ms = clock.WallMs()}}), IsOk());
        }
        if (host == 1) {
          VARVE_ASSERT_OK(log->Close());
        } else if (host == 2) {
          VARVE_ASSERT_OK(log->TruncateTo(log->log_end_offset()));
        }
        EXPECT_TRUE(maintenance->Remove(log.get()));
        VARVE_ASSERT_OK(log->Close());
      }
    });
  }
  for (std::thread& host : hosts) host.join();
  done.store(true);
  for (std::thread& thread : threads) thread.join();
  runner.Stop();
  EXPECT_THAT(maintenance->report().logs, IsEmpty());
  for (int host = 0; host < 3; ++host) {
    const auto log = OpenLog("orders-" + std::to_string(host), options_);
    EXPECT_THAT(log->damage(), IsEmpty());
    EXPECT_EQ(log->log_end_offset(), 200);
  }
}

}  // namespace
}  // namespace varve
