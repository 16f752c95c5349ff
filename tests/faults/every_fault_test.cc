// Each call that a log makes of its file system fails in its turn, in every way that it can, once and for ever:
// nothing that failed is acknowledged, then or later; nothing acknowledged is lost, and nothing invented, whether the
// host goes on, or the process dies, or the machine loses power; and the log opens again.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "faults/fault_share.h"
#include "faults/faulted_log.h"
#include "gtest/gtest.h"
#include "support/fault_runs.h"
#include "varve/testing/manual_clock.h"
#include "varve/testing/memory_file_system.h"

namespace varve::testing_support {
namespace {

// In what state the machine is when the workload begins.
enum class Before { kRunning, kProcessDied, kPowerLost };

struct Workload {
  const char* name;
  std::function<void(FaultedLog*)> prepare;  // nothing fails yet
  std::function<void(FaultedLog*)> act;
  std::function<void(LogOptions*)> adjust = nullptr;
  Before before = Before::kRunning;

  friend std::ostream& operator<<(std::ostream& out, const Workload& workload) { return out << workload.name; }
};

void AppendMany(FaultedLog* log, int64_t count, Ack ack = Ack::kWritten) {
  for (int64_t number = 0; number < count; ++number) log->Append(ack);
}

void OpenAndFill(FaultedLog* log) {
  log->Open();
  AppendMany(log, 9, Ack::kDurable);
  AppendMany(log, 9);
}

std::vector<Workload> Workloads() {
  return {
      {.name = "AppendAndRoll",
       .prepare = [](FaultedLog*) {},
       .act =
           [](FaultedLog* log) {
             log->Open();
             for (int64_t number = 0; number < 12; ++number) {
               log->Append(number % 4 == 3 ? Ack::kDurable : Ack::kWritten, 1 + number % 3);
             }
             log->Roll();
             log->Append(Ack::kNone);
             log->Flush();
             log->Read();
           }},
      {.name = "GroupCommit",
       .prepare = [](FaultedLog* log) { log->Open(); },
       .act =
           [](FaultedLog* log) {
             for (int64_t group = 0; group < 4; ++group) {
               AppendMany(log, 3);
               log->WaitDurable();
             }
           }},
      {.name = "TruncateInsideASegment",
       .prepare = OpenAndFill,
       .act =
           [](FaultedLog* log) {
             log->TruncateTo(17);
             AppendMany(log, 3);
             log->TruncateTo(18);
             AppendMany(log, 2, Ack::kDurable);
           }},
      {.name = "TruncateAcrossSegments",
       .prepare = OpenAndFill,
       .act =
           [](FaultedLog* log) {
             log->TruncateTo(3);
             AppendMany(log, 6);
             log->Flush();
           }},
      {.name = "StartAnew",
       .prepare = OpenAndFill,
       .act =
           [](FaultedLog* log) {
             log->TruncateFullyAndStartAt(100);
             AppendMany(log, 2, Ack::kDurable);
           }},
      {.name = "DeleteBefore",
       .prepare = OpenAndFill,
       .act =
           [](FaultedLog* log) {
             log->DeleteBefore(7);
             AppendMany(log, 2);
             log->DeleteBefore(14);
             log->Append(Ack::kDurable);
           },
       .adjust = [](LogOptions* options) { options->file_delete_delay_ms = 0; }},
      {.name = "Retain",
       .prepare = OpenAndFill,
       .act =
           [](FaultedLog* log) {
             log->Retain();
             AppendMany(log, 6);
             log->Retain();
             log->Append(Ack::kDurable);
           },
       .adjust =
           [](LogOptions* options) {
             options->file_delete_delay_ms = 0;
             options->retention_bytes = 700;
           }},
      {.name = "Compact",
       .prepare = OpenAndFill,
       .act =
           [](FaultedLog* log) {
             log->Compact();
             AppendMany(log, 4, Ack::kDurable);
           },
       .adjust =
           [](LogOptions* options) {
             options->cleanup_policy = CleanupPolicy::kCompact;
             options->file_delete_delay_ms = 0;
           }},
      {.name = "Close", .prepare = OpenAndFill, .act = [](FaultedLog* log) { log->Close(); }},
      {.name = "ReopenCleanly",
       .prepare =
           [](FaultedLog* log) {
             OpenAndFill(log);
             log->Close();
           },
       .act =
           [](FaultedLog* log) {
             log->Open();
             log->Read();
             AppendMany(log, 2, Ack::kDurable);
             log->Close();
           }},
      {.name = "ReopenAfterAProcessDied",
       .prepare = OpenAndFill,
       .act =
           [](FaultedLog* log) {
             log->Open();
             AppendMany(log, 2, Ack::kDurable);
           },
       .before = Before::kProcessDied},
      {.name = "ReopenAfterAPowerLoss",
       .prepare = OpenAndFill,
       .act =
           [](FaultedLog* log) {
             log->Open();
             AppendMany(log, 2, Ack::kDurable);
           },
       .before = Before::kPowerLost},
  };
}

LogOptions TinyOptions(Clock* clock, IoMode io_mode) {
  LogOptions options;
  options.clock = clock;
  options.io_mode = io_mode;
  options.segment_bytes = 512;
  options.index_interval_bytes = 100;
  options.segment_index_bytes = 1024;
  return options;
}

FaultOutcome RunFaulted(const Workload& workload, IoMode io_mode, const FaultPlan& plan) {
  ManualClock clock(1'700'000'000'000, 1'000'000'000'000);
  LogOptions options = TinyOptions(&clock, io_mode);
  if (workload.adjust != nullptr) workload.adjust(&options);
  auto disk = std::make_unique<MemoryFileSystem>();
  if (workload.before == Before::kRunning) {
    FaultInjector faults(disk.get(), plan);
    options.file_system = faults.file_system();
    FaultedLog log(&faults, options);
    workload.prepare(&log);
    faults.Begin();
    workload.act(&log);
    log.CheckWhatIsLeft();
    return faults.outcome();
  }
  FaultInjector none(disk.get(), {});
  options.file_system = none.file_system();
  FaultedLog before(&none, options);
  workload.prepare(&before);
  const bool power_lost = workload.before == Before::kPowerLost;
  const auto left = power_lost ? disk->CloneAfterCrash({.seed = 5}) : disk->CloneAfterProcessDeath();
  FaultInjector faults(left.get(), plan);
  FaultedLog log(&faults, before, power_lost);
  faults.Begin();
  workload.act(&log);
  log.CheckWhatIsLeft();
  return faults.outcome();
}

class EveryFaultTest : public ::testing::TestWithParam<std::tuple<Workload, IoMode>> {};
INSTANTIATE_TEST_SUITE_P(, EveryFaultTest,
                         ::testing::Combine(::testing::ValuesIn(Workloads()),
                                            ::testing::Values(IoMode::kMapped, IoMode::kWrite)),
                         [](const auto& param) {
                           const IoMode io_mode = std::get<1>(param.param);
                           return std::string(std::get<0>(param.param).name) +
                                  (io_mode == IoMode::kMapped ? "Mapped" : "Write");
                         });

TEST_P(EveryFaultTest, NothingThatFailedIsAcknowledgedAndNothingAcknowledgedIsLost) {
  const auto& [workload, io_mode] = GetParam();
  ForEveryFault(std::string(workload.name) + (io_mode == IoMode::kMapped ? ", mapped" : ", by write calls"),
                ShareOfThisRun(), [&, io_mode = io_mode, &workload = workload](const FaultPlan& plan) {
                  return RunFaulted(workload, io_mode, plan);
                });
}

}  // namespace
}  // namespace varve::testing_support
