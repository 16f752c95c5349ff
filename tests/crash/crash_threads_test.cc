// Crashes a log to which threads append at the same time: syncs that they share, batches that others store into mapped
// pages meanwhile, rolls. Which states come about, the threads decide as much as the seed: a state cannot be made again,
// and what fails is told with what it found. So many states are made as VARVE_CRASH_STATES says, from the seed
// VARVE_CRASH_SEED on, and told as crash_test.cc tells its own.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "crash/crash_check.h"
#include "crash/crash_report.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "support/status_matchers.h"
#include "varve/log.h"
#include "varve/testing/crash_simulator.h"
#include "varve/testing/faulty_file_system.h"

namespace varve::testing_support {
namespace {

using internal::Error;

constexpr char kPartition[] = "orders-0";
constexpr int kThreads = 4;
constexpr int kAppends = 12;  // of each thread

struct Acknowledged {
  int64_t offset = 0;
  std::string value;
};

// What was acknowledged, in the order of its being so.
class Acknowledgements {
 public:
  struct Counts {
    size_t written = 0;
    size_t durable = 0;
  };

  void Note(Ack ack, Acknowledged record) {
    const absl::MutexLock lock(&mutex_);
    (ack == Ack::kDurable ? durable_ : written_).push_back(std::move(record));
  }

  Counts counts() const {
    const absl::MutexLock lock(&mutex_);
    return {written_.size(), durable_.size()};
  }

  // What must be there after a crash before which so much was acknowledged.
  std::vector<Acknowledged> Promised(const Counts& counts, bool power_lost) const {
    const absl::MutexLock lock(&mutex_);
    std::vector<Acknowledged> promised(durable_.begin(),
                                       durable_.begin() + static_cast<std::ptrdiff_t>(counts.durable));
    if (power_lost) return promised;
    promised.insert(promised.end(), written_.begin(), written_.begin() + static_cast<std::ptrdiff_t>(counts.written));
    return promised;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<Acknowledged> written_ ABSL_GUARDED_BY(mutex_);
  std::vector<Acknowledged> durable_ ABSL_GUARDED_BY(mutex_);
};

// Before the call of the file system that this thread makes, and so before the crash at it.
thread_local Acknowledgements::Counts before_call;

std::string ValueOf(int thread, int number) { return fmt::format("{} {}", thread, number); }

struct ThreadsShape {
  const char* name;
  IoMode io_mode;
  int64_t segment_bytes;
};

constexpr ThreadsShape kShapes[] = {{"threads_storing", IoMode::kMapped, 1 << 20},
                                    {"threads_writing", IoMode::kWrite, 1 << 20},
                                    {"threads_storing_and_rolling", IoMode::kMapped, 600},
                                    {"threads_writing_and_rolling", IoMode::kWrite, 600}};

LogOptions OptionsOf(FileSystem* file_system, const ThreadsShape& shape) {
  LogOptions options;
  options.file_system = file_system;
  options.io_mode = shape.io_mode;
  options.segment_bytes = shape.segment_bytes;
  return options;
}

// Every record is one that a thread appended, each thread's in its order, and no offset is left out.
absl::StatusOr<std::map<int64_t, std::string>> ReadRecords(const Log& log) {
  std::map<int64_t, std::string> records;
  std::array<int, kThreads> next = {};
  LogScan scan = log.Scan(0);
  while (scan.Next()) {
    const std::string value(scan.record().value().value_or(""));
    if (scan.record().offset() != static_cast<int64_t>(records.size())) {
      return Error(absl::StatusCode::kDataLoss, "offset {} expected, found {}", records.size(), scan.record().offset());
    }
    const auto thread = std::find_if(next.begin(), next.end(), [&](const int& number) {
      return value == ValueOf(static_cast<int>(&number - next.data()), number);
    });
    if (thread == next.end()) {
      return Error(absl::StatusCode::kDataLoss, "offset {}: nobody appended \"{}\" now", records.size(), value);
    }
    ++*thread;
    records.emplace(scan.record().offset(), value);
  }
  VARVE_RETURN_IF_ERROR(scan.status());
  return records;
}

absl::Status Check(const CrashState& state, const ThreadsShape& shape, const Acknowledgements& acknowledgements) {
  VARVE_ASSIGN_OR_RETURN(const auto log, Log::Open(kPartition, OptionsOf(state.file_system, shape)));
  VARVE_RETURN_IF_ERROR(CheckReport(*log, state.rebooted));
  VARVE_ASSIGN_OR_RETURN(const auto records, ReadRecords(*log));
  for (const Acknowledged& promised : acknowledgements.Promised(before_call, state.power_lost)) {
    const auto found = records.find(promised.offset);
    if (found != records.end() && found->second == promised.value) continue;
    return Error(absl::StatusCode::kDataLoss, "offset {}: \"{}\" was acknowledged, found {}", promised.offset,
                 promised.value, found == records.end() ? "nothing" : found->second);
  }
  return absl::OkStatus();
}

void AppendAll(Log* log, int thread, Acknowledgements* acknowledgements) {
  for (int number = 0; number < kAppends; ++number) {
    const Ack ack = number % 3 == 2 ? Ack::kWritten : Ack::kDurable;
    const std::string value = ValueOf(thread, number);
    const absl::StatusOr<AppendResult> result = log->Append({{.value = value}}, {.ack = ack});
    ASSERT_TRUE(result.ok()) << result.status();
    acknowledgements->Note(ack, {result->base_offset, value});
  }
}

void Live(uint64_t seed, const ThreadsShape& shape, CrashTally* tally) {
  Acknowledgements acknowledgements;
  CrashSimulator machine({.seed = seed, .point_one_in = VARVE_CRASH_POINT_ONE_IN, .states_per_point = 2},
                         [&](const CrashState& state) { return Check(state, shape, acknowledgements); });
  FaultyFileSystem watched(machine.file_system());
  watched.SetObserver([&](const FileCall&) { before_call = acknowledgements.counts(); });
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto log, Log::Open(kPartition, OptionsOf(&watched, shape)));
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] { AppendAll(log.get(), thread, &acknowledgements); });
    }
    for (std::thread& thread : threads) thread.join();
  }
  ASSERT_THAT(machine.status(), IsOk());
  ++tally->lives;
  tally->points += machine.point_count();
  tally->states += machine.state_count();
}

class CrashThreadsTest : public ::testing::TestWithParam<ThreadsShape> {};
INSTANTIATE_TEST_SUITE_P(, CrashThreadsTest, ::testing::ValuesIn(kShapes),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(CrashThreadsTest, NothingAcknowledgedIsLostNothingIsInvented) {
  const uint64_t first_seed = CrashSeed();
  CrashReport report(GetParam().name, first_seed);
  while (report.tally.states < AskedCrashStates()) {
    ASSERT_NO_FATAL_FAILURE(Live(first_seed + report.tally.lives, GetParam(), &report.tally));
  }
  report.Write();
}

}  // namespace
}  // namespace varve::testing_support
