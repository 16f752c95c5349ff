// Flusher: who syncs when. Durability is a prefix: what an opening has left to the first sync, every segment not yet
// synced in order, the files beside them that were written to, the directory once for new names, then the active file;
// only then does the durable offset move, and varve.state with it.
//
// Group commit: whoever finds no sync under way carries one out for everything appended so far; the others wait for it
// and one broadcast wakes them, none of whom takes a lock. Those whom the last sync served are about to append again:
// the next one begins when they have, or after a part of the time that a sync takes, so that it serves them all. Where
// nobody else is waited for, nobody waits. A roll syncs nothing: the old file joins the queue and stays open until a sync on it
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
#include "io/wait_word.h"
#include "log/frontiers.h"
#include "log/live_line.h"
#include "log/partition_state.h"
#include "log/unsynced_ranges.h"
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
  static constexpr size_t kMaxQueuedFiles = 128;
  // varve.state is a lower bound of what is durable: it is itself synced after so many bytes or so long.
  static constexpr int64_t kStateSyncBytes = 1 << 20;
  static constexpr int64_t kStateSyncNs = 1'000'000'000;

  Flusher(FileSystem* file_system, Clock* clock, std::string directory, Frontiers* frontiers);

  // Writer, after opening and after a truncation: what is written from now on, and the line that tells other processes
  // what is durable. Nothing is queued any more but `unsynced`, which the first sync begins with; those who wait for
  // more than `end_offset` get `reason` (from RunReadyCallbacks). varve.state is the flusher's to change from now on: see
  // UpdateState. Errors: as LiveLine::StoreDurable; the line may then tell of more than is durable, so that nobody may be
  // served.
  [[nodiscard]] absl::Status Restart(std::unique_ptr<PartitionState> state, FlushTarget active,
                                     std::shared_ptr<LiveLine> live, std::vector<UnsyncedRange> unsynced,
                                     int64_t end_offset, const absl::Status& reason);

  // Writer: waits for a sync under way and lets nobody begin another until Restart or Resume.
  void Suspend();
  void Resume();
  // Writer, before anything is appended to the new segment: the old active file joins the queue, new names need a
  // directory sync, and the log ends where the new segment begins, which the next sync makes durable. varve.state names
  // the new file, so that the next opening knows it again.
  void Rolled(FlushTarget active);
  // Writer, after it wrote to a file beside the active segment's .log and before it publishes what that tells of: the
  // durable point passes nothing published later until the file, whose name may be new, is synced.
  void WrittenBeside(std::shared_ptr<File> file);
  // Writer, before a roll: syncs if the queue is long, as each file in it holds a descriptor. The one sync on the way
  // of an append; a log that is flushed now and then never meets it.
  [[nodiscard]] absl::Status LimitQueue();

  // See Log::WaitDurable, Log::OnDurable, Log::Flush.
  [[nodiscard]] absl::Status WaitDurable(int64_t offset, std::chrono::nanoseconds timeout);
  void OnDurable(int64_t offset, std::function<void(const absl::Status&)> done);
  // Syncs everything published so far, and the directory if a name is new, even where all of it is durable already. An
  // error poisons, but for kResourceExhausted where a full disk has no room to write again what opening left: then
  // nothing has changed.
  // Calls nobody back: the writer lock may be held.
  [[nodiscard]] absl::Status Sync();
  // Writes and syncs what an opening has left to the first sync, which may take as long as reading and writing all of the
  // log: without the writer lock, by whoever is going to sync with it, where that can be. OK where nothing is left.
  [[nodiscard]] absl::Status SyncWhatOpeningLeft();
  [[nodiscard]] bool AwaitsFirstSync();
  // Returns when no sync is under way.
  void WaitWhileSyncing();
  // Calls back whoever's offset is durable, was truncated away, or will never be durable. Without the writer lock.
  void RunReadyCallbacks();
  // True if a sync or a truncation has made some ready since: one load, for whoever may have caused it with the writer
  // lock held.
  [[nodiscard]] bool callbacks_due() const { return callbacks_due_.load(std::memory_order_acquire); }

  // True while somebody waits for a sync: write-ahead then stays small.
  [[nodiscard]] bool durable_acks_wanted() const { return waiting_.load(std::memory_order_relaxed) > 0; }

  // Writer. Waits for a sync under way, changes varve.state by `change` and syncs it. Poisons on failure, except where a
  // full disk has no room for the store (kResourceExhausted): then nothing has changed.
  [[nodiscard]] absl::Status UpdateState(const std::function<void(PartitionStateValues*)>& change);

  // What varve.state is to say.
  [[nodiscard]] PartitionStateValues state_values();
  // How far the log was compacted, as varve.state keeps it.
  [[nodiscard]] int64_t first_dirty_offset();

  // Writer. A name in the directory is new or gone.
  void NamesChanged();

 private:
  struct Work;

  [[nodiscard]] absl::Status SyncUpTo(int64_t offset, Deadline deadline);
  // One sync, unless others are at it; OK does not mean that it covered `offset`.
  [[nodiscard]] absl::Status SyncIfIdle(int64_t offset);
  // Carries one sync out for everything published; the mutex is let go of meanwhile. Waits for as long as `gather`
  // before it for those who are likely to join it.
  [[nodiscard]] absl::Status SyncOnce(std::chrono::nanoseconds gather) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void GatherWaiters(std::chrono::nanoseconds longest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // From now on nobody else begins a sync; and the end of that.
  void BeginTurn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndTurn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `found_no_room`: as RewriteUnsynced.
  [[nodiscard]] absl::Status SyncFiles(const Work& work, bool* found_no_room);
  void AwaitIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StoreDurable(const Work& work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  FileSystem* const file_system_;
  Clock* const clock_;
  const std::string directory_;
  Frontiers* const frontiers_;

  absl::Mutex mutex_;
  std::unique_ptr<PartitionState> state_ ABSL_GUARDED_BY(mutex_);
  PartitionStateValues values_ ABSL_GUARDED_BY(mutex_);     // what state_ is to say: a store that fails may lag behind
  std::shared_ptr<LiveLine> live_ ABSL_GUARDED_BY(mutex_);  // its durable offset is the flusher's to store
  absl::CondVar idle_;
  bool syncing_ ABSL_GUARDED_BY(mutex_) = false;
  bool suspended_ ABSL_GUARDED_BY(mutex_) = false;
  WaitWord turn_;  // odd while syncing or suspended: whoever waits for what is durable waits for its end
  std::vector<UnsyncedRange> unsynced_ ABSL_GUARDED_BY(mutex_);        // of the opening: before all else
  std::vector<std::shared_ptr<File>> queue_ ABSL_GUARDED_BY(mutex_);   // sealed, not yet synced, oldest first
  std::vector<std::shared_ptr<File>> beside_ ABSL_GUARDED_BY(mutex_);  // see WrittenBeside; not yet synced
  FlushTarget active_ ABSL_GUARDED_BY(mutex_);
  uint64_t names_changed_ ABSL_GUARDED_BY(mutex_) = 0;  // counts; synced up to names_synced_
  uint64_t names_synced_ ABSL_GUARDED_BY(mutex_) = 0;
  std::multimap<int64_t, std::function<void(const absl::Status&)>> callbacks_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::function<void()>> overtaken_ ABSL_GUARDED_BY(mutex_);  // callbacks whose records were truncated away
  int64_t unsynced_state_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t state_synced_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  std::chrono::nanoseconds sync_took_ ABSL_GUARDED_BY(mutex_) = {};  // the last one
  int expected_waiters_ ABSL_GUARDED_BY(mutex_) = 0;  // who may come to wait for the next sync: see GatherWaiters
  std::atomic<int> arrived_{0};                       // who has come to wait since the last one began
  std::atomic<int> gathering_{0};                     // so many, and the one under way begins; 0: it has begun
  WaitWord gathered_;                                 // when they are there
  std::atomic<int> waiting_{0};                       // threads in WaitDurable
  std::atomic<bool> callbacks_due_{false};
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_FLUSHER_H_
