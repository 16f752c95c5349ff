#include "varve/maintenance.h"

#include <algorithm>
#include <limits>
#include <map>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "io/fork_mark.h"
#include "store/log_work.h"
#include "store/maintenance_plan.h"

namespace varve {
namespace {

using internal::Error;
using internal::LogId;
using internal::LogWork;
using internal::LogWorkDone;
using internal::MaintenanceIntervals;
using internal::MaintenancePlan;
using internal::MaintenanceWork;

MaintenanceIntervals IntervalsOf(const MaintenanceOptions& options) {
  MaintenanceIntervals intervals;
  intervals[static_cast<size_t>(MaintenanceKind::kFlush)] = options.flush_interval_ms;
  intervals[static_cast<size_t>(MaintenanceKind::kRetention)] = options.retention_interval_ms;
  intervals[static_cast<size_t>(MaintenanceKind::kProducers)] = options.producers_interval_ms;
  intervals[static_cast<size_t>(MaintenanceKind::kCompaction)] = options.compaction_interval_ms;
  return intervals;
}

absl::Status CheckPositive(std::string_view name, int64_t value) {
  if (value >= 1) return absl::OkStatus();
  return Error(absl::StatusCode::kInvalidArgument, "{}: expected at least 1, found {}", name, value);
}

absl::Status CheckOptions(const MaintenanceOptions& options) {
  if (options.clock == nullptr) return absl::InvalidArgumentError("clock: expected one, found null");
  VARVE_RETURN_IF_ERROR(CheckPositive("step.bytes", options.step.bytes));
  VARVE_RETURN_IF_ERROR(CheckPositive("step.time", options.step.time.count()));
  VARVE_RETURN_IF_ERROR(CheckPositive("step_segments", options.step_segments));
  VARVE_RETURN_IF_ERROR(CheckPositive("flush_interval_ms", options.flush_interval_ms.value_or(1)));
  VARVE_RETURN_IF_ERROR(CheckPositive("retention_interval_ms", options.retention_interval_ms.value_or(1)));
  VARVE_RETURN_IF_ERROR(CheckPositive("producers_interval_ms", options.producers_interval_ms.value_or(1)));
  VARVE_RETURN_IF_ERROR(CheckPositive("compaction_interval_ms", options.compaction_interval_ms.value_or(1)));
  return CheckPositive("key_map_bytes", options.key_map_bytes);
}

// What one result adds to the counters of its log and of all.
struct Counter {
  MaintenanceCounts* counts;

  void operator()(const FlushedLog&) const { ++counts->flushes; }
  void operator()(const RetentionResult& result) const {
    ++counts->retention_runs;
    counts->segments_deleted += static_cast<int64_t>(result.deleted.size());
    for (const RetiredSegment& segment : result.deleted) counts->bytes_deleted += segment.size_bytes;
  }
  void operator()(const FileRemovalResult& result) const { counts->files_removed += result.removed; }
  void operator()(const ForgottenProducers& result) const { counts->producers_forgotten += result.count; }
  void operator()(const CompactionResult& result) const {
    ++counts->compactions;
    counts->compaction_removed_bytes += result.bytes_before - result.bytes_after;
    counts->records_removed += result.removed.total();
  }
};

void Count(const LogWorkDone& done, MaintenanceCounts* counts) {
  counts->compaction_read_bytes += done.read_bytes;
  if (!done.result.has_value()) return;
  if (done.result->ok()) {
    std::visit(Counter{counts}, **done.result);
  } else {
    ++counts->failures;
  }
}

}  // namespace

class Maintenance::Impl {
 public:
  explicit Impl(const MaintenanceOptions& options) : options_(options), plan_(IntervalsOf(options)) {}

  [[nodiscard]] absl::Status Add(std::shared_ptr<Log> log);
  bool Remove(const Log* log);
  MaintenanceStep RunStep();
  void WaitForWork(const std::function<bool()>& stop);
  void Wake();
  [[nodiscard]] MaintenanceReport report() const;
  [[nodiscard]] bool IsInherited() const { return fork_mark_.IsInherited(); }

 private:
  struct Entry {
    std::unique_ptr<LogWork> work;  // of the thread whose step is at it
    LogMaintenance standing;
  };

  [[nodiscard]] std::map<LogId, Entry>::iterator Find(const Log* log) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Settle(const MaintenanceWork& work, const LogWorkDone& done) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // From now to the next turn; 0 where it is due.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> NextDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const MaintenanceOptions options_;
  const internal::ForkMark fork_mark_;
  mutable absl::Mutex mutex_;
  absl::CondVar changed_;
  MaintenancePlan plan_ ABSL_GUARDED_BY(mutex_);
  std::map<LogId, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  LogId last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  MaintenanceCounts counts_ ABSL_GUARDED_BY(mutex_);
};

std::map<LogId, Maintenance::Impl::Entry>::iterator Maintenance::Impl::Find(const Log* log) {
  return std::find_if(entries_.begin(), entries_.end(),
                      [log](const auto& entry) { return entry.second.standing.log.get() == log; });
}

absl::Status Maintenance::Impl::Add(std::shared_ptr<Log> log) {
  if (log == nullptr) return absl::InvalidArgumentError("a log to maintain: expected one, found null");
  if (log->options().read_only) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: a log to maintain: expected one open for writing",
                 log->directory());
  }
  const absl::MutexLock lock(&mutex_);
  if (Find(log.get()) != entries_.end()) {
    return Error(absl::StatusCode::kAlreadyExists, "{}: is maintained already", log->directory());
  }
  plan_.Add(++last_id_, Compacts(log->options().cleanup_policy), options_.clock->MonotonicNs());
  Entry& entry = entries_[last_id_];
  entry.work = std::make_unique<LogWork>(log, &options_);
  entry.standing.log = std::move(log);
  changed_.SignalAll();
  return absl::OkStatus();
}

// The pass is given up without the lock, and before another may begin: both would hold a key map.
bool Maintenance::Impl::Remove(const Log* log) {
  Entry removed;
  {
    const absl::MutexLock lock(&mutex_);
    const auto found = Find(log);
    if (found == entries_.end()) return false;
    const LogId id = found->first;
    if (plan_.IsSuspended(id)) {
      while (entries_.contains(id)) changed_.Wait(&mutex_);
      return false;
    }
    plan_.Suspend(id);
    while (plan_.IsAtWork(id)) changed_.Wait(&mutex_);
    LogWork* const work = found->second.work.get();
    mutex_.Unlock();
    work->GiveUp();
    mutex_.Lock();
    removed = std::move(found->second);
    entries_.erase(found);
    plan_.Remove(id);
    changed_.SignalAll();
  }
  return true;
}

std::optional<std::chrono::nanoseconds> Maintenance::Impl::NextDue() const {
  const std::optional<int64_t> due_ns = plan_.NextDueNs();
  if (!due_ns.has_value()) return std::nullopt;
  return std::chrono::nanoseconds(std::max<int64_t>(*due_ns - options_.clock->MonotonicNs(), 0));
}

MaintenanceStep Maintenance::Impl::RunStep() {
  std::optional<MaintenanceWork> taken;
  LogWork* work = nullptr;
  const int64_t began_ns = options_.clock->MonotonicNs();
  {
    const absl::MutexLock lock(&mutex_);
    taken = plan_.Take(began_ns);
    if (!taken.has_value()) return {.next_due = NextDue()};
    work = entries_.at(taken->log).work.get();
  }
  // While its log is at work nobody else takes it or lets go of it.
  const LogWorkDone done = work->Do(*taken);
  MaintenanceStep step{.log = work->log(),
                       .kind = taken->kind,
                       .finished = !done.outcome.pass_goes_on,
                       .status = done.result.has_value() ? done.result->status() : absl::OkStatus(),
                       .read_bytes = done.read_bytes};
  {
    const absl::MutexLock lock(&mutex_);
    Settle(*taken, done);
    step.next_due = NextDue();
    step.took = std::chrono::nanoseconds(options_.clock->MonotonicNs() - began_ns);
    changed_.SignalAll();
  }
  if (done.result.has_value() && options_.on_event != nullptr) {
    options_.on_event({.log = step.log, .kind = step.kind, .result = *done.result});
  }
  return step;
}

void Maintenance::Impl::Settle(const MaintenanceWork& work, const LogWorkDone& done) {
  plan_.Settle(work, done.outcome, options_.clock->MonotonicNs());
  LogMaintenance& standing = entries_.at(work.log).standing;
  Count(done, &standing.counts);
  Count(done, &counts_);
  if (work.kind == MaintenanceKind::kCompaction) {
    standing.compaction = done.progress;
    standing.uncleanable = done.outcome.never_again;
    if (done.standing.has_value()) {
      standing.compaction_due = done.standing->due;
      standing.dirty_ratio = done.standing->dirty_ratio;
      standing.dirty_bytes = done.standing->dirty_bytes;
    }
  }
  const int64_t failures = plan_.failures(work.log, work.kind);
  const auto failing = std::find_if(standing.failing.begin(), standing.failing.end(),
                                    [&](const MaintenanceFailure& failure) { return failure.kind == work.kind; });
  if (done.outcome.failed) {
    const MaintenanceFailure failure{.kind = work.kind, .status = done.result->status(), .in_a_row = failures};
    if (failing == standing.failing.end())
      standing.failing.push_back(failure);
    else
      *failing = failure;
    return;
  }
  if (failures == 0 && failing != standing.failing.end()) standing.failing.erase(failing);
  if (!done.result.has_value()) return;
  const auto* const retained = std::get_if<RetentionResult>(&**done.result);
  if (retained != nullptr && !retained->more_due) standing.retention_block = retained->block;
}

void Maintenance::Impl::WaitForWork(const std::function<bool()>& stop) {
  const absl::MutexLock lock(&mutex_);
  while (stop == nullptr || !stop()) {
    const std::optional<std::chrono::nanoseconds> wait = NextDue();
    if (wait.has_value() && wait->count() == 0) return;
    const absl::Time deadline = wait.has_value() ? absl::Now() + absl::FromChrono(*wait) : absl::InfiniteFuture();
    (void)changed_.WaitWithDeadline(&mutex_, deadline);
  }
}

void Maintenance::Impl::Wake() {
  const absl::MutexLock lock(&mutex_);
  changed_.SignalAll();
}

MaintenanceReport Maintenance::Impl::report() const {
  const absl::MutexLock lock(&mutex_);
  MaintenanceReport report{.counts = counts_};
  report.logs.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) report.logs.push_back(entry.standing);
  return report;
}

absl::StatusOr<std::unique_ptr<Maintenance>> Maintenance::Create(const MaintenanceOptions& options) {
  VARVE_RETURN_IF_ERROR(CheckOptions(options));
  return std::unique_ptr<Maintenance>(new Maintenance(std::make_unique<Impl>(options)));
}

Maintenance::Maintenance(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

// In a child of fork() a pass's files are the parent's, and a lock may be held by a thread that is not there.
Maintenance::~Maintenance() {
  if (impl_->IsInherited()) (void)impl_.release();
}

absl::Status Maintenance::Add(std::shared_ptr<Log> log) { return impl_->Add(std::move(log)); }
bool Maintenance::Remove(const Log* log) { return impl_->Remove(log); }
MaintenanceStep Maintenance::RunStep() { return impl_->RunStep(); }
void Maintenance::WaitForWork(const std::function<bool()>& stop) { impl_->WaitForWork(stop); }
void Maintenance::Wake() { impl_->Wake(); }
MaintenanceReport Maintenance::report() const { return impl_->report(); }

}  // namespace varve
