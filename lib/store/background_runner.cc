#include <chrono>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "io/background_thread.h"
#include "io/wait_word.h"
#include "store/rest_time.h"
#include "varve/maintenance.h"

namespace varve {

using internal::BackgroundThread;
using internal::WaitWord;

class BackgroundRunner::Impl {
 public:
  Impl(Maintenance* maintenance, BackgroundRunnerOptions options)
      : maintenance_(*maintenance), options_(std::move(options)) {}

  [[nodiscard]] absl::Status Start();
  void Stop();

 private:
  static void Run(Maintenance* maintenance, double max_share, const WaitWord& stop);

  Maintenance& maintenance_;
  const BackgroundRunnerOptions options_;
  absl::Mutex mutex_;
  // Not 0: the thread is to end. It outlives the thread, and takes no lock: one that the thread held at a fork() would
  // stay held in the child.
  std::unique_ptr<WaitWord> stop_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<BackgroundThread> thread_ ABSL_GUARDED_BY(mutex_);
};

absl::Status BackgroundRunner::Impl::Start() {
  if (!(options_.max_share > 0 && options_.max_share <= 1)) {
    return internal::Error(absl::StatusCode::kInvalidArgument, "max_share: expected above 0 to 1, found {}",
                           options_.max_share);
  }
  const absl::MutexLock lock(&mutex_);
  if (thread_ != nullptr) return absl::FailedPreconditionError("the background runner is started already");
  stop_ = std::make_unique<WaitWord>();
  VARVE_ASSIGN_OR_RETURN(thread_, BackgroundThread::Start(options_.thread_name, [this, stop = stop_.get()] {
                           Run(&maintenance_, options_.max_share, *stop);
                         }));
  return absl::OkStatus();
}

void BackgroundRunner::Impl::Run(Maintenance* maintenance, double max_share, const WaitWord& stop) {
  const auto is_stopped = [&stop] { return stop.Load() != 0; };
  while (!is_stopped()) {
    const MaintenanceStep step = maintenance->RunStep();
    if (!step.worked()) {
      maintenance->WaitForWork(is_stopped);
      continue;
    }
    const internal::Deadline rested = internal::DeadlineAfter(internal::RestTime(step.took, max_share));
    while (!is_stopped() && stop.WaitWhile(0, rested)) continue;
  }
}

// Neither the thread nor a callback on it is waited for with the lock held.
void BackgroundRunner::Impl::Stop() {
  std::unique_ptr<WaitWord> stop;
  std::unique_ptr<BackgroundThread> ending;
  {
    const absl::MutexLock lock(&mutex_);
    if (thread_ == nullptr) return;
    stop_->Advance();
    if (thread_->IsCurrent()) return;
    stop = std::move(stop_);
    ending = std::move(thread_);
  }
  // In a child of fork() there is no thread to wake, and whoever held the lock for that is not there either.
  if (!ending->IsInherited()) maintenance_.Wake();
  ending.reset();
}

BackgroundRunner::BackgroundRunner(Maintenance* maintenance, BackgroundRunnerOptions options)
    : impl_(std::make_unique<Impl>(maintenance, std::move(options))) {}

BackgroundRunner::~BackgroundRunner() { impl_->Stop(); }

absl::Status BackgroundRunner::Start() { return impl_->Start(); }
void BackgroundRunner::Stop() { impl_->Stop(); }

}  // namespace varve
