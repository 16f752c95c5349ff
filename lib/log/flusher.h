// Flusher: who syncs when. Durability is a prefix: every segment not yet synced in order, the directory once for new
// names, then the active file; only then does the durable offset move, and varve.state with it.
//
// Group commit: whoever finds no sync under way carries one out for everything appended so far; the others wait for it
// and one broadcast wakes them. A roll syncs nothing: the old file joins the queue and stays open until a sync on it
// returned OK. A sync that fails poisons the log and is never retried.
//
// Thread rules: any thread, except where the writer is named (the log's writer lock is held then).
#ifndef VARVE_LIB_LOG_FLUSHER_H_
#define VARVE_LIB_LOG_FLUSHER_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "log/frontiers.h"
#include "log/partition_state.h"
#include "segment/open_segment.h"
#include "varve/clock.h"
#include "varve/file_system.h"

namespace varve::internal {

// The file that is written now, and the segment it belongs to.
struct FlushTarget {
  std::shared_ptr<File> file;
  std::shared_ptr<const OpenSegment> segment;
  FileIdentity identity;
};

class Flusher {
 public:
  // varve.state is a lower bound of what is durable: it is itself synced after so many bytes or so long.
  static constexpr int64_t kStateSyncBytes = 1 << 20;
  static constexpr int64_t kStateSyncNs = 1'000'000'000;

  // `state` belongs to the flusher from now on: see UpdateState.
  Flusher(FileSystem* file_system, Clock* clock, std::string directory, Frontiers* frontiers,
          std::unique_ptr<PartitionState> state);

  // Writer. The first active file after opening, or the one after a truncation.
  void SetActive(FlushTarget active);
  // Writer, before anything is appended to the new segment: the old active file joins the queue, new names need a
  // directory sync.
  void Rolled(FlushTarget active);

  // See Log::WaitDurable, Log::OnDurable, Log::Flush.
  [[nodiscard]] absl::Status WaitDurable(int64_t offset, std::chrono::nanoseconds timeout);
  void OnDurable(int64_t offset, std::function<void(const absl::Status&)> done);
  // Syncs everything published so far, and the directory if a name is new, even where all of it is durable already.
  [[nodiscard]] absl::Status Sync();

  // True while somebody waits for a sync, or did a moment ago: write-ahead then stays small.
  [[nodiscard]] bool durable_acks_wanted() const { return durable_acks_wanted_.load(std::memory_order_relaxed); }

  // Writer. Waits for a sync under way, changes varve.state by `change` and syncs it. Poisons on failure.
  [[nodiscard]] absl::Status UpdateState(const std::function<void(PartitionStateValues*)>& change);

  // Writer, after a truncation: nothing is queued any more, and those who wait for more than `end_offset` get `reason`.
  void Truncated(FlushTarget active, int64_t end_offset, const absl::Status& reason);

  // Writer, at last: whoever waits still gets the reason why the log takes no more appends.
  void Closed();

  // Writer. A name in the directory is new or gone.
  void NamesChanged();

 private:
  struct Work;

  // Carries one sync out for everything published; the mutex is let go of meanwhile.
  [[nodiscard]] absl::Status SyncOnce() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status SyncFiles(const Work& work);
  void AwaitIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StoreDurable(const Work& work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Callbacks run without the mutex, so that they may append and register others.
  void RunCallbacks(int64_t durable_offset, const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  FileSystem* const file_system_;
  Clock* const clock_;
  const std::string directory_;
  Frontiers* const frontiers_;
  const std::unique_ptr<PartitionState> state_;

  absl::Mutex mutex_;
  absl::CondVar idle_or_durable_;
  bool syncing_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::shared_ptr<File>> queue_ ABSL_GUARDED_BY(mutex_);  // sealed, not yet synced, oldest first
  FlushTarget active_ ABSL_GUARDED_BY(mutex_);
  uint64_t names_changed_ ABSL_GUARDED_BY(mutex_) = 0;  // counts; synced up to names_synced_
  uint64_t names_synced_ ABSL_GUARDED_BY(mutex_) = 0;
  std::multimap<int64_t, std::function<void(const absl::Status&)>> callbacks_ ABSL_GUARDED_BY(mutex_);
  int64_t unsynced_state_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t state_synced_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<bool> durable_acks_wanted_{false};
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_FLUSHER_H_
