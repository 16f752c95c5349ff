// SeededScheduler: runs threads one at a time, in an order that a seed tells: who goes on is chosen anew wherever one of
// them calls the file system, locks a mutex, waits, wakes others or asks for the time. The same seed gives the same order
// again, so that a seed is all that is to be said of a failure.
//
//   SeededScheduler scheduler(seed);
//   faulty_file_system.SetObserver([&](const FileCall& call) { scheduler.Point(std::string(call.path)); });
//   scheduler.Run({[&] { ... }, [&] { ... }});
//   EXPECT_EQ(scheduler.stuck(), 0);
//
// What the seed determines: the order of everything that happens at these points, and how much time passes, which is the
// scheduler's own. For that the linker sends the locks, waits and clocks that the library uses here (scheduled_calls.cc).
// What it does not: a thread runs alone between two points, so that loads and stores of several are never mingled there,
// nor ever seen out of order by another; that is what the thread sanitizer and real threads are for.
//
// A reader's lock is taken for a writer's. A wait that nobody can end any more is counted, and then ended without a
// reason, as any may be: what was waiting for nothing goes on, and the threads come to their ends.
//
// Thread rules: Run from one thread, once; all else from the threads that it runs, or when it has returned.
#ifndef VARVE_TESTS_SCHEDULES_SEEDED_SCHEDULER_H_
#define VARVE_TESTS_SCHEDULES_SEEDED_SCHEDULER_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace varve::testing_support {

class SeededScheduler {
 public:
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  explicit SeededScheduler(uint64_t seed);
  SeededScheduler(const SeededScheduler&) = delete;
  SeededScheduler& operator=(const SeededScheduler&) = delete;

  // Returns when all have.
  void Run(const std::vector<std::function<void()>>& threads);

  // Another thread may go on here.
  void Point(const std::string& what);

  // Everything that happened, with the number of the thread.
  [[nodiscard]] const std::vector<std::string>& trace() const { return trace_; }
  // How often all threads that were left waited, and none of them for a time.
  [[nodiscard]] int64_t stuck() const { return stuck_; }

  // That of the thread that asks; null where none has it run. Nothing is a point as long as a Pause lives.
  [[nodiscard]] static SeededScheduler* OfThisThread();
  class Pause {
   public:
    Pause();
    ~Pause();
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    SeededScheduler* scheduler_;
  };

  // What scheduled_calls.cc makes of the calls of the library. A deadline is a time of this clock, in nanoseconds.
  [[nodiscard]] int64_t Now();
  // The caller has to do what it stands for as well: nobody else is in the way then.
  void Lock(const void* mutex);
  void Unlock(const void* mutex);
  // True for the mutex that the scheduler itself holds to change hands.
  [[nodiscard]] bool IsOwn(const void* mutex) const { return mutex == &mutex_; }
  // Until woken or late; true if late.
  [[nodiscard]] bool Wait(const char* what, const void* place, int64_t deadline_ns);
  void WakeAll(const char* what, const void* place);

 private:
  enum class State { kReady, kWaiting, kEnded };
  struct Thread {
    State state = State::kReady;
    const void* waits_at = nullptr;
    int64_t deadline_ns = kNever;
    bool late = false;
    std::condition_variable turn;
  };

  void Note(const std::string& what);
  void WakeWaiters(const void* place);
  // Gives the turn to a thread that can go on, and comes back when it is the caller's again; it is not, if it has ended.
  void SwitchFrom(size_t thread, std::unique_lock<std::mutex>* lock);
  // Absent where all have ended.
  [[nodiscard]] std::optional<size_t> ChooseNext();
  void WakeTheLate();

  std::mutex mutex_;  // what follows is touched by the thread whose turn it is, and by it alone
  std::mt19937_64 random_;
  uint64_t stay_of_16_;  // how often of 16 times a thread that can go on does
  std::vector<Thread> threads_;
  size_t current_ = 0;
  bool ended_ = false;
  std::condition_variable all_ended_;
  std::map<const void*, size_t> owners_;  // of mutexes
  int64_t now_ns_ = 1'000'000'000;
  int64_t stuck_ = 0;
  std::vector<std::string> trace_;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_SCHEDULES_SEEDED_SCHEDULER_H_
