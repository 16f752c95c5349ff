#include "io/background_thread.h"

#include <pthread.h>
#include <signal.h>

#include <system_error>
#include <utility>

#include "base/status.h"

namespace varve::internal {
namespace {

struct Work {
  std::string name;
  std::function<void()> run;
};

void* RunWork(void* argument) {
  const std::unique_ptr<Work> work(static_cast<Work*>(argument));
  constexpr size_t kNameBytes = 15;
  (void)pthread_setname_np(pthread_self(), work->name.substr(0, kNameBytes).c_str());
  work->run();
  return nullptr;
}

}  // namespace

absl::StatusOr<std::unique_ptr<BackgroundThread>> BackgroundThread::Start(std::string name, std::function<void()> run) {
  auto work = std::make_unique<Work>(Work{.name = std::move(name), .run = std::move(run)});
  // A thread begins with the mask of the one that makes it.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread{};
  const int error = pthread_create(&thread, nullptr, RunWork, work.get());
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) {
    return Error(absl::StatusCode::kResourceExhausted, "thread {}: the system gives none: {}", work->name,
                 std::generic_category().message(error));
  }
  (void)work.release();  // it is the thread's
  return std::unique_ptr<BackgroundThread>(new BackgroundThread(thread));
}

BackgroundThread::~BackgroundThread() {
  if (!fork_mark_.IsInherited()) pthread_join(thread_, nullptr);
}

bool BackgroundThread::IsCurrent() const { return pthread_equal(thread_, pthread_self()) != 0; }

}  // namespace varve::internal
