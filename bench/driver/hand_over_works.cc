// From append to a reader: how long it takes until a reader in another thread, or in another process, has the record.
//
// Writer and reader take turns: the next record is appended once the one before has arrived, and a moment later. The
// writer notes the time in memory that both share, and appends; the reader asks the time once it has the record.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
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

constexpr int64_t kPauseNs = 2'000;
constexpr int kSpinsBeforeYield = 1'000;  // longer than any hand-over takes that nobody else delays
constexpr size_t kLineBytes = 64;

template <typename Done>
void Spin(Done done) {
  for (int spins = 0; !done(); ++spins) {
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
    if (spins % kSpinsBeforeYield == kSpinsBeforeYield - 1) std::this_thread::yield();
  }
}

// In memory that writer and reader share: zeroed, and in lines of their own.
struct Shared {
  alignas(kLineBytes) std::atomic<int64_t> begun_ns;
  alignas(kLineBytes) std::atomic<int64_t> published;  // of the raw hand-over
  std::byte record[256];
  alignas(kLineBytes) std::atomic<int64_t> arrived;
  alignas(kLineBytes) std::atomic<bool> ready;
  // Behind it: how long each took, in nanoseconds.
};

class HandOver {
 public:
  explicit HandOver(int64_t count)
      : count_(count), memory_(sizeof(Shared) + static_cast<size_t>(count) * sizeof(int64_t)) {
    shared_ = new (memory_.data()) Shared;
    took_ns_ = reinterpret_cast<int64_t*>(memory_.data() + sizeof(Shared));
  }

  [[nodiscard]] Shared* shared() const { return shared_; }

  // The writer's part: publishes each number by `publish`.
  template <typename Publish>
  void Write(Publish publish) {
    Spin([this] { return shared_->ready.load(std::memory_order_acquire); });
    for (int64_t number = 0; number < count_; ++number) {
      const int64_t begin_ns = NowNs() + kPauseNs;
      Spin([begin_ns] { return NowNs() >= begin_ns; });
      shared_->begun_ns.store(NowNs(), std::memory_order_relaxed);
      publish(number);
      Spin([this, number] { return shared_->arrived.load(std::memory_order_acquire) > number; });
    }
  }

  // The reader's part: `await` returns once a number has arrived.
  template <typename Await>
  void Read(Await await) {
    shared_->ready.store(true, std::memory_order_release);
    for (int64_t number = 0; number < count_; ++number) {
      await(number);
      took_ns_[number] = NowNs() - shared_->begun_ns.load(std::memory_order_relaxed);
      shared_->arrived.store(number + 1, std::memory_order_release);
    }
  }

  [[nodiscard]] Values Result() const {
    Latencies latencies(count_);
    for (int64_t number = 0; number < count_; ++number) latencies.Add(took_ns_[number]);
    return {latencies.At(0.5), latencies.At(0.99), latencies.At(0.999), latencies.At(1)};
  }

 private:
  const int64_t count_;
  const RawMapping memory_;
  Shared* shared_ = nullptr;
  int64_t* took_ns_ = nullptr;
};

// Runs the reader in another thread, or in another process, while `write` runs here.
enum class Reader { kThread, kProcess };

template <typename Read, typename Write>
void Run(Reader reader, Read read, Write write) {
  if (reader == Reader::kThread) {
    const std::jthread thread(read);
    write();
    return;
  }
  const pid_t child = ::fork();
  if (child < 0) Fail("fork");
  if (child == 0) {
    read();
    std::_Exit(0);
  }
  write();
  int status = 0;
  if (::waitpid(child, &status, 0) != child || status != 0) Fail("the reader did not end well");
}

Values RawHandOver(int64_t count, Reader reader) {
  HandOver hand_over(count);
  Shared* const shared = hand_over.shared();
  const std::vector<std::byte> batch = Payload().Batch(0, 1);
  Run(
      reader,
      [&] {
        hand_over.Read([&](int64_t number) {
          Spin([&] { return shared->published.load(std::memory_order_acquire) > number; });
          Check(std::memcmp(shared->record, batch.data(), batch.size()) == 0, "another record");
        });
      },
      [&] {
        hand_over.Write([&](int64_t number) {
          std::memcpy(shared->record, batch.data(), batch.size());
          shared->published.store(number + 1, std::memory_order_release);
        });
      });
  return hand_over.Result();
}

void CheckArrived(const std::optional<RecordBatchView>& batch, int64_t number) {
  Check(batch.has_value() && NumberOf(FirstRecord(*batch)) == number, "another record");
}

void AppendEach(HandOver* hand_over, Log* log) {
  Payload payload;
  hand_over->Write([&](int64_t number) { Must(log->Append(payload.Records(number, 1))); });
}

// The reader asks over and over.
Values VarveHandOver(const Round& round, int64_t count, Reader reader) {
  const std::string directory = round.directory() + "/log-0";
  const auto log = OpenLog(directory);
  HandOver hand_over(count);
  const auto read = [&] {
    std::unique_ptr<Log> follower;
    if (reader == Reader::kProcess) follower = OpenLog(directory, {.read_only = true});
    LogReader records = (follower ? *follower : *log).NewReader();
    hand_over.Read([&](int64_t number) {
      Spin([&] {
        if (follower) Must(follower->Refresh());
        const auto batch = Must(records.ReadBatch(number));
        if (batch.has_value()) CheckArrived(batch, number);
        return batch.has_value();
      });
    });
  };
  Run(reader, read, [&] { AppendEach(&hand_over, log.get()); });
  return hand_over.Result();
}

// The reader sleeps until there is something.
Values VarveWakeUp(const Round& round, int64_t count) {
  const auto log = OpenLog(round.directory() + "/log-0");
  HandOver hand_over(count);
  const auto read = [&] {
    LogReader records = log->NewReader();
    hand_over.Read([&](int64_t number) {
      Must(log->WaitForData(number, std::chrono::minutes(1)));
      CheckArrived(Must(records.ReadBatch(number)), number);
    });
  };
  Run(Reader::kThread, read, [&] { AppendEach(&hand_over, log.get()); });
  return hand_over.Result();
}

Values RawWakeUp(int64_t count) {
  HandOver hand_over(count);
  std::mutex mutex;
  std::condition_variable arrived;
  int64_t published = 0;
  const auto read = [&] {
    hand_over.Read([&](int64_t number) {
      std::unique_lock lock(mutex);
      arrived.wait(lock, [&] { return published > number; });
    });
  };
  const auto write = [&] {
    hand_over.Write([&](int64_t number) {
      {
        const std::scoped_lock lock(mutex);
        published = number + 1;
      }
      arrived.notify_one();
    });
  };
  Run(Reader::kThread, read, write);
  return hand_over.Result();
}

std::vector<Figure> Figures() { return {{"p50", "ns"}, {"p99", "ns"}, {"p99.9", "ns"}, {"max", "ns"}}; }

Work Polling(const std::string& name, const Conditions& conditions, Reader reader) {
  const int64_t count = conditions.sizes.hand_overs;
  const char* const limit = "raw mapped hand-over";
  return {name,
          Figures(),
          {{limit, [=](const Round&) { return RawHandOver(count, reader); }},
           {"varve", [=](const Round& round) { return VarveHandOver(round, count, reader); }, {{limit, 2.0}}}}};
}

Work WakingUp(const Conditions& conditions) {
  const int64_t count = std::max<int64_t>(conditions.sizes.hand_overs / 10, 1);
  const char* const limit = "raw wake-up by a condition variable";
  return {"hand_over.wake_up",
          Figures(),
          {{limit, [=](const Round&) { return RawWakeUp(count); }},
           {"varve WaitForData", [=](const Round& round) { return VarveWakeUp(round, count); }, {{limit}}}}};
}

}  // namespace

std::vector<WorkMaker> HandOverWorks() {
  return {
      {"hand_over.thread", [](const Conditions& given) { return Polling("hand_over.thread", given, Reader::kThread); }},
      {"hand_over.process",
       [](const Conditions& given) { return Polling("hand_over.process", given, Reader::kProcess); }},
      {"hand_over.wake_up", WakingUp}};
}

}  // namespace varve::bench
