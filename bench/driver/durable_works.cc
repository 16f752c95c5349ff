// Durable appends: one after the other, from 16 threads at once, and many in flight from one thread.
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "driver/failure.h"
#include "driver/payload.h"
#include "driver/prepared_log.h"
#include "driver/raw_file.h"
#include "driver/timing.h"
#include "driver/work.h"

namespace varve::bench {

namespace {

constexpr int64_t kThreads = 16;
constexpr int64_t kInFlight = 1024;

Values SyncTimes(Latencies* latencies) { return {latencies->At(0.5) / 1e3, latencies->At(0.99) / 1e3}; }

// --- One thread that waits for each ---

enum class Space { kWritten, kFresh };

Values WriteAndSync(const Round& round, int64_t appends, Space space) {
  const std::vector<std::byte> batch = Payload().Batch(0, 1);
  const int64_t bytes = appends * static_cast<int64_t>(batch.size());
  RawFile file = RawFile::Create(round.directory() + "/file");
  if (space == Space::kWritten) {
    file.AllocateWritten(bytes);
  } else {
    file.Allocate(bytes);
    file.SyncData();
  }
  Latencies latencies(appends);
  for (int64_t number = 0; number < appends; ++number) {
    const int64_t begin_ns = NowNs();
    file.WriteAt(number * static_cast<int64_t>(batch.size()), batch);
    file.SyncData();
    latencies.Add(NowNs() - begin_ns);
  }
  return SyncTimes(&latencies);
}

Values AppendDurably(const Round& round, int64_t appends) {
  Payload payload;
  const auto log = OpenLog(round.directory() + "/log-0");
  Latencies latencies(appends);
  for (int64_t number = 0; number < appends; ++number) {
    const int64_t begin_ns = NowNs();
    Must(log->Append(payload.Records(number, 1), {.ack = Ack::kDurable}));
    latencies.Add(NowNs() - begin_ns);
  }
  Check(log->durable_offset() == appends, "not all is durable");
  CheckHoldsEachOnce(*log, appends);
  return SyncTimes(&latencies);
}

Work DurableOneThread(const Conditions& conditions) {
  const int64_t appends = conditions.sizes.durable_appends;
  const char* const limit = "pwrite and fdatasync, over written space";
  const char* const fresh = "pwrite and fdatasync, over fresh space";
  Work work{"durable.one_thread", {{"p50", "us"}, {"p99", "us"}}, {}};
  work.subjects = {
      {limit, [appends](const Round& round) { return WriteAndSync(round, appends, Space::kWritten); }},
      {fresh, [appends](const Round& round) { return WriteAndSync(round, appends, Space::kFresh); }, {{limit}}},
      {"varve", [appends](const Round& round) { return AppendDurably(round, appends); }, {{limit, 1.05}, {fresh}}}};
  return work;
}

// --- Sixteen threads ---

// The plainest group commit: whoever finds nobody syncing syncs for all that have written.
class RawGroupCommit {
 public:
  RawGroupCommit(RawFile* file, std::vector<std::byte> batch) : file_(file), batch_(std::move(batch)) {}

  void Append() {
    std::unique_lock lock(mutex_);
    file_->WriteAt(written_ * static_cast<int64_t>(batch_.size()), batch_);
    const int64_t mine = ++written_;
    while (durable_ < mine) {
      if (syncing_) {
        synced_.wait(lock);
        continue;
      }
      syncing_ = true;
      const int64_t covered = written_;
      lock.unlock();
      file_->SyncData();
      lock.lock();
      durable_ = covered;
      syncing_ = false;
      synced_.notify_all();
    }
  }

 private:
  RawFile* const file_;
  const std::vector<std::byte> batch_;
  std::mutex mutex_;
  std::condition_variable synced_;
  int64_t written_ = 0;
  int64_t durable_ = 0;
  bool syncing_ = false;
};

// Each thread calls `append` with numbers of its own, `appends` of them all together.
template <typename Append>
Values ByThreads(int64_t appends, Append append) {
  const int64_t each = std::max<int64_t>(appends / kThreads, 1);
  std::vector<std::jthread> threads;
  const Stopwatch watch;
  for (int64_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&append, thread, each] {
      for (int64_t number = thread * each; number < (thread + 1) * each; ++number) append(number);
    });
  }
  threads.clear();
  return {watch.PerSecond(each * kThreads)};
}

Work DurableSixteenThreads(const Conditions& conditions) {
  const int64_t appends = conditions.sizes.shared_appends;
  const char* const limit = "raw group commit";
  Work work{"durable.16_threads", {{"rate", "acks/s", Better::kMore}}, {}};
  work.subjects = {{limit,
                    [appends](const Round& round) {
                      const std::vector<std::byte> batch = Payload().Batch(0, 1);
                      RawFile file = RawFile::Create(round.directory() + "/file");
                      file.AllocateWritten((appends + kThreads) * static_cast<int64_t>(batch.size()));
                      RawGroupCommit commit(&file, batch);
                      return ByThreads(appends, [&](int64_t) { commit.Append(); });
                    }},
                   {"varve",
                    [appends](const Round& round) {
                      const auto log = OpenLog(round.directory() + "/log-0");
                      const Values values = ByThreads(appends, [&](int64_t number) {
                        thread_local Payload payload;
                        Must(log->Append(payload.Records(number, 1), {.ack = Ack::kDurable}));
                      });
                      Check(log->durable_offset() == log->log_end_offset(), "not all is durable");
                      CheckHoldsEachOnce(*log, std::max<int64_t>(appends / kThreads, 1) * kThreads);
                      return values;
                    },
                    {{limit, 1.3}}}};
  return work;
}

// --- One thread with many in flight ---

Work DurableInFlight(const Conditions& conditions) {
  const int64_t appends = std::max(conditions.sizes.shared_appends * 10 / kInFlight, int64_t{1}) * kInFlight;
  const char* const limit = "1,024 pwrites, and a sync";
  Work work{"durable.1024_in_flight", {{"rate", "acks/s", Better::kMore}}, {}};
  work.subjects = {{limit,
                    [appends](const Round& round) {
                      const std::vector<std::byte> batch = Payload().Batch(0, 1);
                      RawFile file = RawFile::Create(round.directory() + "/file");
                      file.AllocateWritten(appends * static_cast<int64_t>(batch.size()));
                      const Stopwatch watch;
                      for (int64_t number = 0; number < appends; ++number) {
                        file.WriteAt(number * static_cast<int64_t>(batch.size()), batch);
                        if (number % kInFlight == kInFlight - 1) file.SyncData();
                      }
                      return Values{watch.PerSecond(appends)};
                    }},
                   {"varve",
                    [appends](const Round& round) {
                      Payload payload;
                      const auto log = OpenLog(round.directory() + "/log-0");
                      int64_t acked = 0;
                      const Stopwatch watch;
                      for (int64_t number = 0; number < appends; ++number) {
                        const AppendResult result = Must(log->Append(payload.Records(number, 1)));
                        log->OnDurable(result.end_offset(), [&acked](const absl::Status& status) {
                          Must(status);
                          ++acked;
                        });
                        if (number % kInFlight == kInFlight - 1) Must(log->WaitDurable(result.end_offset()));
                      }
                      const double rate = watch.PerSecond(appends);
                      Check(acked == appends && log->durable_offset() == appends, "not all was acknowledged");
                      CheckHoldsEachOnce(*log, appends);
                      return Values{rate};
                    },
                    {{limit}}}};
  return work;
}

}  // namespace

std::vector<WorkMaker> DurableWorks() {
  return {{"durable.one_thread", DurableOneThread},
          {"durable.16_threads", DurableSixteenThreads},
          {"durable.1024_in_flight", DurableInFlight}};
}

}  // namespace varve::bench
