#include "schedules/seeded_scheduler.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>

namespace varve::testing_support {
namespace {

// Threads that wait for what never comes are woken so often, and then the process ends: they will not go on.
constexpr int64_t kMostStuck = 1000;
// Time that passes from point to point, at most.
constexpr uint64_t kStepNs = 2000;

thread_local SeededScheduler* scheduler_of_this_thread = nullptr;
thread_local size_t number_of_this_thread = 0;

}  // namespace

SeededScheduler::SeededScheduler(uint64_t seed) : random_(seed) {
  constexpr uint64_t kStays[] = {0, 8, 13, 15};
  stay_of_16_ = kStays[random_() % 4];
}

SeededScheduler* SeededScheduler::OfThisThread() { return scheduler_of_this_thread; }

SeededScheduler::Pause::Pause() : scheduler_(std::exchange(scheduler_of_this_thread, nullptr)) {}
SeededScheduler::Pause::~Pause() { scheduler_of_this_thread = scheduler_; }

void SeededScheduler::Run(const std::vector<std::function<void()>>& threads) {
  threads_ = std::vector<Thread>(threads.size());
  std::vector<std::thread> running;
  {
    std::unique_lock lock(mutex_);
    current_ = random_() % threads_.size();
    for (size_t number = 0; number < threads.size(); ++number) {
      running.emplace_back([this, number, &work = threads[number]] {
        {
          std::unique_lock begin(mutex_);
          threads_[number].turn.wait(begin, [&] { return current_ == number; });
        }
        scheduler_of_this_thread = this;
        number_of_this_thread = number;
        work();
        scheduler_of_this_thread = nullptr;
        std::unique_lock end(mutex_);
        Note("ends");
        threads_[number].state = State::kEnded;
        SwitchFrom(number, &end);
      });
    }
    all_ended_.wait(lock, [this] { return ended_; });
  }
  for (std::thread& thread : running) thread.join();
}

void SeededScheduler::Note(const std::string& what) {
  trace_.push_back(std::to_string(number_of_this_thread) + " " + what);
}

void SeededScheduler::Point(const std::string& what) {
  if (OfThisThread() != this) return;
  std::unique_lock lock(mutex_);
  Note(what);
  SwitchFrom(number_of_this_thread, &lock);
}

int64_t SeededScheduler::Now() {
  Point("asks for the time");
  return now_ns_;
}

void SeededScheduler::Lock(const void* mutex) {
  Point("locks");
  std::unique_lock lock(mutex_);
  while (owners_.contains(mutex)) {
    Note("waits for a lock");
    Thread& thread = threads_[number_of_this_thread];
    thread.state = State::kWaiting;
    thread.waits_at = mutex;
    thread.deadline_ns = kNever;
    SwitchFrom(number_of_this_thread, &lock);
  }
  owners_[mutex] = number_of_this_thread;
}

void SeededScheduler::Unlock(const void* mutex) {
  const std::unique_lock lock(mutex_);
  owners_.erase(mutex);
  WakeWaiters(mutex);
}

bool SeededScheduler::Wait(const char* what, const void* place, int64_t deadline_ns) {
  std::unique_lock lock(mutex_);
  Note(what);
  Thread& thread = threads_[number_of_this_thread];
  thread.state = State::kWaiting;
  thread.waits_at = place;
  thread.deadline_ns = deadline_ns;
  thread.late = false;
  SwitchFrom(number_of_this_thread, &lock);
  return thread.late;
}

void SeededScheduler::WakeAll(const char* what, const void* place) {
  std::unique_lock lock(mutex_);
  Note(what);
  WakeWaiters(place);
  SwitchFrom(number_of_this_thread, &lock);
}

void SeededScheduler::WakeWaiters(const void* place) {
  for (Thread& thread : threads_) {
    if (thread.state == State::kWaiting && thread.waits_at == place) thread.state = State::kReady;
  }
}

void SeededScheduler::WakeTheLate() {
  for (Thread& thread : threads_) {
    if (thread.state != State::kWaiting || thread.deadline_ns > now_ns_) continue;
    thread.state = State::kReady;
    thread.late = true;
  }
}

std::optional<size_t> SeededScheduler::ChooseNext() {
  now_ns_ += static_cast<int64_t>(random_() % kStepNs);
  for (;;) {
    WakeTheLate();
    std::vector<size_t> ready;
    int64_t earliest = kNever;
    bool is_any_left = false;
    for (size_t number = 0; number < threads_.size(); ++number) {
      const Thread& thread = threads_[number];
      if (thread.state == State::kReady) ready.push_back(number);
      if (thread.state == State::kWaiting) earliest = std::min(earliest, thread.deadline_ns);
      is_any_left |= thread.state != State::kEnded;
    }
    if (!ready.empty()) {
      const bool can_stay = std::ranges::find(ready, current_) != ready.end();
      if (can_stay && random_() % 16 < stay_of_16_) return current_;
      return ready[random_() % ready.size()];
    }
    if (!is_any_left) return std::nullopt;
    if (earliest != kNever) {
      now_ns_ = earliest;
      continue;
    }
    if (++stuck_ > kMostStuck) {
      std::fputs("expected threads that can go on, found that each waits for ever\n", stderr);
      std::abort();
    }
    for (Thread& thread : threads_) {
      if (thread.state == State::kWaiting) thread.state = State::kReady;
    }
  }
}

void SeededScheduler::SwitchFrom(size_t thread, std::unique_lock<std::mutex>* lock) {
  const std::optional<size_t> next = ChooseNext();
  if (!next.has_value()) {
    ended_ = true;
    all_ended_.notify_all();
    return;
  }
  if (*next == thread) return;
  current_ = *next;
  threads_[current_].turn.notify_one();
  if (threads_[thread].state == State::kEnded) return;
  threads_[thread].turn.wait(*lock, [&] { return current_ == thread; });
}

}  // namespace varve::testing_support
