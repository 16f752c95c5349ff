#include <chrono>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "io/background_thread.h"
#include "store/rest_time.h"
#include "varve/maintenance.h"

namespace varve {

using internal::BackgroundThread;

namespace {

// Set once; its thread rests on it.
class StopSign {
 public:
  void Set() {
    const absl::MutexLock lock(&mutex_);
    set_ = true;
    changed_.SignalAll();
  }

  [[nodiscard]] bool IsSet() const {
    const absl::MutexLock lock(&mutex_);
    return set_;
  }

  void Await(std::chrono::nanoseconds most) const {
    const absl::Time deadline = absl::Now() + absl::FromChrono(most);
    const absl::MutexLock lock(&mutex_);
    while (!set_ && !changed_.WaitWithDeadline(&mutex_, deadline)) continue;
  }

 private:
  mutable absl::Mutex mutex_;
  mutable absl::CondVar changed_;
  bool set_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

class BackgroundRunner::Impl {
 public:
  Impl(Maintenance* maintenance, BackgroundRunnerOptions options)
      : maintenance_(*maintenance), options_(std::move(options)) {}

  [[nodiscard]] absl::Status Start();
  void Stop();

 private:
  static void Run(Maintenance* maintenance, double max_share, const StopSign& stop);

  Maintenance& maintenance_;
  const BackgroundRunnerOptions options_;
  absl::Mutex mutex_;
  std::unique_ptr<StopSign> stop_ ABSL_GUARDED_BY(mutex_);  // outlives the thread
  std::unique_ptr<BackgroundThread> thread_ ABSL_GUARDED_BY(mutex_);
};

absl::Status BackgroundRunner::Impl::Start() {
  if (!(options_.max_share > 0 && options_.max_share <= 1)) {
    return internal::Error(absl::StatusCode::kInvalidArgument, "max_share: expected above 0 to 1, found {}",
                           options_.max_share);
  }
  const absl::MutexLock lock(&mutex_);
  if (thread_ != nullptr) return absl::FailedPreconditionError("the background runner is started already");
  stop_ = std::make_unique<StopSign>();
  VARVE_ASSIGN_OR_RETURN(thread_, BackgroundThread::Start(options_.thread_name, [this, stop = stop_.get()] {
                           Run(&maintenance_, options_.max_share, *stop);
                         }));
  return absl::OkStatus();
}

void BackgroundRunner::Impl::Run(Maintenance* maintenance, double max_share, const StopSign& stop) {
  while (!stop.IsSet()) {
    const MaintenanceStep step = maintenance->RunStep();
    if (step.worked()) {
      stop.Await(internal::RestTime(step.took, max_share));
    } else {
      maintenance->WaitForWork([&stop] { return stop.IsSet(); });
    }
  }
}

// Neither the thread nor a callback on it is waited for with the lock held.
void BackgroundRunner::Impl::Stop() {
  std::unique_ptr<StopSign> stop;
  std::unique_ptr<BackgroundThread> ending;
  {
    const absl::MutexLock lock(&mutex_);
    if (thread_ == nullptr) return;
    stop_->Set();
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
