#include "log/flusher.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/status.h"
#include "record/batch_format.h"
#include "segment/segment_lookup.h"

namespace varve::internal {
namespace {

// Of the time of a sync: for how long the next one may wait for more to join it.
constexpr int kGatherShare = 2;

bool IsBusy(uint32_t turn) { return turn % 2 != 0; }

}  // namespace

// One sync, taken down under the lock and carried out without it.
struct Flusher::Work {
  std::vector<UnsyncedRange> unsynced;
  std::vector<std::shared_ptr<File>> sealed;
  std::vector<std::shared_ptr<File>> beside;
  FlushTarget active;
  PublishedEnd end;  // of the active segment, before the sync begins
  uint64_t names_changed = 0;
  bool sync_names = false;
};

Flusher::Flusher(FileSystem* file_system, Clock* clock, std::string directory, Frontiers* frontiers)
    : file_system_(file_system),
      clock_(clock),
      directory_(std::move(directory)),
      frontiers_(frontiers),
      state_synced_ns_(clock->MonotonicNs()) {}

void Flusher::Suspend() {
  const absl::MutexLock lock(&mutex_);
  AwaitIdle();
  suspended_ = true;
  BeginTurn();
}

void Flusher::Resume() {
  const absl::MutexLock lock(&mutex_);
  if (std::exchange(suspended_, false)) EndTurn();
}

void Flusher::BeginTurn() {
  if (!IsBusy(turn_.Load())) turn_.Advance();
}

void Flusher::EndTurn() {
  turn_.Advance();
  idle_.SignalAll();
}

void Flusher::Rolled(FlushTarget active) {
  const absl::MutexLock lock(&mutex_);
  queue_.push_back(active_.file);
  active_.segment->ReleaseFile(active_.identity);
  active_ = std::move(active);
  frontiers_->PublishEnd(active_.segment->base_offset());
  ++names_changed_;
  values_.active = active_.identity;
  state_->Store(values_);
}

void Flusher::WrittenBeside(std::shared_ptr<File> file) {
  const absl::MutexLock lock(&mutex_);
  if (std::find(beside_.begin(), beside_.end(), file) != beside_.end()) return;
  beside_.push_back(std::move(file));
  ++names_changed_;
}

absl::Status Flusher::LimitQueue() {
  {
    const absl::MutexLock lock(&mutex_);
    if (queue_.size() + beside_.size() < kMaxQueuedFiles) return absl::OkStatus();
  }
  return Sync();
}

void Flusher::NamesChanged() {
  const absl::MutexLock lock(&mutex_);
  ++names_changed_;
}

absl::Status Flusher::Sync() {
  const absl::MutexLock lock(&mutex_);
  while (syncing_ || suspended_) idle_.Wait(&mutex_);
  VARVE_RETURN_IF_ERROR(frontiers_->Writable());
  return SyncOnce(std::chrono::nanoseconds::zero());  // the writer lock may be held: nobody could join
}

bool Flusher::AwaitsFirstSync() {
  const absl::MutexLock lock(&mutex_);
  return !unsynced_.empty();
}

void Flusher::WaitWhileSyncing() {
  const absl::MutexLock lock(&mutex_);
  AwaitIdle();
}

absl::Status Flusher::SyncWhatOpeningLeft() { return AwaitsFirstSync() ? Sync() : absl::OkStatus(); }

absl::Status Flusher::WaitDurable(int64_t offset, std::chrono::nanoseconds timeout) {
  if (frontiers_->durable() >= offset) return absl::OkStatus();
  if (offset > frontiers_->log_end()) {
    return Error(absl::StatusCode::kOutOfRange, "waiting for durable offset {}: the log ends at {}", offset,
                 frontiers_->log_end());
  }
  waiting_.fetch_add(1, std::memory_order_relaxed);
  const int arrived = arrived_.fetch_add(1, std::memory_order_seq_cst) + 1;
  if (arrived == gathering_.load(std::memory_order_seq_cst)) gathered_.Advance();
  absl::Status status = SyncUpTo(offset, DeadlineAfter(timeout));
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  if (callbacks_due()) RunReadyCallbacks();
  return status;
}

absl::Status Flusher::SyncUpTo(int64_t offset, Deadline deadline) {
  while (frontiers_->durable() < offset) {
    const uint32_t turn = turn_.Load();
    if (!IsBusy(turn)) {
      VARVE_RETURN_IF_ERROR(SyncIfIdle(offset));
    } else if (!turn_.WaitWhile(turn, deadline) && frontiers_->durable() < offset) {
      return Error(absl::StatusCode::kDeadlineExceeded, "waited for durable offset {}: it is still {}", offset,
                   frontiers_->durable());
    }
  }
  return absl::OkStatus();
}

absl::Status Flusher::SyncIfIdle(int64_t offset) {
  const absl::MutexLock lock(&mutex_);
  if (syncing_ || suspended_ || frontiers_->durable() >= offset) return absl::OkStatus();
  VARVE_RETURN_IF_ERROR(frontiers_->Writable());
  if (offset > frontiers_->log_end()) {
    return Error(absl::StatusCode::kAborted, "waiting for durable offset {}: truncated to {} meanwhile", offset,
                 frontiers_->log_end());
  }
  const int64_t covered = active_.segment->published().next_offset;
  VARVE_RETURN_IF_ERROR(SyncOnce(sync_took_ / kGatherShare));
  // Were it told of less than the log end, this would sync for ever.
  if (covered < offset) {
    return Error(absl::StatusCode::kInternal, "{}: a sync up to offset {} expected, the active segment ends at {}",
                 directory_, offset, covered);
  }
  return absl::OkStatus();
}

// Either the last of them sees how many are expected, or he is seen to have arrived.
void Flusher::GatherWaiters(std::chrono::nanoseconds longest) {
  const int expected = expected_waiters_;
  mutex_.Unlock();
  const uint32_t seen = gathered_.Load();
  gathering_.store(expected, std::memory_order_seq_cst);
  if (arrived_.load(std::memory_order_seq_cst) < expected) (void)gathered_.WaitWhile(seen, DeadlineAfter(longest));
  gathering_.store(0, std::memory_order_relaxed);
  mutex_.Lock();
}

void Flusher::OnDurable(int64_t offset, std::function<void(const absl::Status&)> done) {
  absl::Status status;
  {
    const absl::MutexLock lock(&mutex_);
    status = frontiers_->Writable();
    if (status.ok() && frontiers_->durable() < offset) {
      callbacks_.emplace(offset, std::move(done));
      return;
    }
  }
  done(frontiers_->durable() >= offset ? absl::OkStatus() : status);
}

absl::Status Flusher::SyncOnce(std::chrono::nanoseconds gather) {
  syncing_ = true;
  BeginTurn();
  GatherWaiters(gather);
  const int served = arrived_.exchange(0, std::memory_order_relaxed);
  // What is written to one of the files beside while the sync runs puts it down again.
  const Work work{.unsynced = unsynced_,
                  .sealed = queue_,
                  .beside = std::exchange(beside_, {}),
                  .active = active_,
                  .end = active_.segment->published(),
                  .names_changed = names_changed_,
                  .sync_names = names_changed_ != names_synced_};
  mutex_.Unlock();
  const Deadline begin = Deadline::clock::now();
  bool found_no_room = false;
  absl::Status status = SyncFiles(work, &found_no_room);
  mutex_.Lock();
  sync_took_ = Deadline::clock::now() - begin;
  expected_waiters_ = served + arrived_.load(std::memory_order_relaxed);
  if (status.ok()) {
    unsynced_.clear();
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(work.sealed.size()));
    names_synced_ = work.names_changed;
    StoreDurable(work);
    // An append publishes its segment before the log's end, and may be between the two.
    const int64_t durable_offset = std::min(work.end.next_offset, frontiers_->log_end());
    frontiers_->PublishDurable(durable_offset);
    (void)live_->StoreDurable(durable_offset);  // one that could not be written tells of less
  } else if (found_no_room) {
    beside_.insert(beside_.begin(), work.beside.begin(), work.beside.end());
  } else {
    frontiers_->Poison(status);
  }
  if (!callbacks_.empty()) callbacks_due_.store(true, std::memory_order_release);
  syncing_ = false;
  EndTurn();
  return status;
}

absl::Status Flusher::SyncFiles(const Work& work, bool* found_no_room) {
  VARVE_RETURN_IF_ERROR(RewriteUnsynced(file_system_, directory_, work.unsynced, found_no_room));
  for (const std::shared_ptr<File>& file : work.sealed) VARVE_RETURN_IF_ERROR(file->SyncData());
  for (const std::shared_ptr<File>& file : work.beside) VARVE_RETURN_IF_ERROR(file->SyncData());
  if (work.sync_names) VARVE_RETURN_IF_ERROR(file_system_->SyncDirectory(directory_));
  return work.active.file->SyncData();
}

// The point is named by the last batch below it, which stays findable while the segment is pinned by `work`.
void Flusher::StoreDurable(const Work& work) {
  DurablePoint& point = values_.durable;
  const int64_t base_offset = work.active.segment->base_offset();
  const int64_t covered_bytes = work.end.end_position - (point.segment == base_offset ? point.position : 0);
  point = {.offset = work.end.next_offset, .segment = base_offset, .position = work.end.end_position};
  const absl::StatusOr<std::optional<FoundBatch>> last =
      FindBatch(*work.active.segment, work.end.next_offset - 1, work.end);
  if (last.ok() && last->has_value()) {
    point.batch_position = (*last)->position;
    point.batch_crc = LoadBigEndian<uint32_t>(work.active.segment->log() + (*last)->position + kCrcPosition);
  }
  state_->Store(values_);
  unsynced_state_bytes_ += covered_bytes;
  const int64_t now_ns = clock_->MonotonicNs();
  if (unsynced_state_bytes_ < kStateSyncBytes && now_ns - state_synced_ns_ < kStateSyncNs) return;
  // A lower bound that failed to reach the disk is a lower bound still: it costs a longer scan after a power loss.
  (void)state_->Sync();
  unsynced_state_bytes_ = 0;
  state_synced_ns_ = now_ns;
}

// Callbacks run without the mutex, so that they may append and register others.
void Flusher::RunReadyCallbacks() {
  std::vector<std::function<void()>> ready;
  {
    const absl::MutexLock lock(&mutex_);
    callbacks_due_.store(false, std::memory_order_relaxed);
    ready.swap(overtaken_);
    const absl::Status stopped = frontiers_->Writable();
    const auto last_durable = callbacks_.upper_bound(frontiers_->durable());
    for (auto callback = callbacks_.begin(); callback != last_durable; ++callback) {
      ready.emplace_back([done = std::move(callback->second)] { done(absl::OkStatus()); });
    }
    callbacks_.erase(callbacks_.begin(), last_durable);
    if (!stopped.ok()) {
      for (auto& [offset, done] : callbacks_) ready.emplace_back([done = std::move(done), stopped] { done(stopped); });
      callbacks_.clear();
    }
  }
  for (const auto& call : ready) call();
}

void Flusher::AwaitIdle() {
  while (syncing_) idle_.Wait(&mutex_);
}

absl::Status Flusher::UpdateState(const std::function<void(PartitionStateValues*)>& change) {
  const absl::MutexLock lock(&mutex_);
  AwaitIdle();
  PartitionStateValues values = values_;
  change(&values);
  state_->Store(values);
  if (absl::IsResourceExhausted(state_->store_status())) return state_->store_status();
  values_ = values;
  absl::Status synced = state_->Sync();
  if (!synced.ok()) frontiers_->Poison(synced);
  return synced;
}

PartitionStateValues Flusher::state_values() {
  const absl::MutexLock lock(&mutex_);
  return values_;
}

int64_t Flusher::first_dirty_offset() {
  const absl::MutexLock lock(&mutex_);
  return values_.first_dirty_offset;
}

absl::Status Flusher::Restart(std::unique_ptr<PartitionState> state, FlushTarget active, std::shared_ptr<LiveLine> live,
                              std::vector<UnsyncedRange> unsynced, int64_t end_offset, const absl::Status& reason) {
  const absl::MutexLock lock(&mutex_);
  AwaitIdle();
  state_ = std::move(state);
  unsynced_ = std::move(unsynced);
  if (!unsynced_.empty()) ++names_changed_;
  queue_.clear();
  beside_.clear();
  active_ = std::move(active);
  values_ = state_->values();
  values_.active = active_.identity;
  live_ = std::move(live);
  const auto first = callbacks_.upper_bound(end_offset);
  for (auto callback = first; callback != callbacks_.end(); ++callback) {
    overtaken_.emplace_back([done = std::move(callback->second), reason] { done(reason); });
  }
  callbacks_.erase(first, callbacks_.end());
  if (!overtaken_.empty()) callbacks_due_.store(true, std::memory_order_release);
  if (std::exchange(suspended_, false)) EndTurn();
  return live_->StoreDurable(frontiers_->durable());
}

}  // namespace varve::internal
