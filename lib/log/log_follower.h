// LogFollower: a log opened read-only. Two ways, chosen anew at every Refresh:
//
// * A writer serves readers by its live line (live_line.h): nothing is recovered, a view (live_view.h) takes in what
//   the line tells of, rolls and truncations included, and where consumers stop.
// * Nobody writes, or somebody does who keeps no line (Kafka): the directory is opened as a writer would open it, on an
//   overlay that keeps every change in memory. What it finds at the end is then provisional until the next Refresh.
//
// A writer that is busy (it recovers the log after taking the lock, or replaces files) is waited for, but not for long:
// what was taken in of the log stays good, and the first look at it is that of a stopped one. Who has all there is to be
// had beside it waits only if a reader met a lack of something, which the writer may be about to put there.
//
// The high watermark that a writer manages outlasts it here: while nobody serves, consumers do not pass it.
//
// Thread rules: any thread; readers go on meanwhile.
#ifndef VARVE_LIB_LOG_LOG_FOLLOWER_H_
#define VARVE_LIB_LOG_LOG_FOLLOWER_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "io/mutex.h"
#include "log/live_view.h"
#include "log/log_core.h"
#include "log/writer_watch.h"
#include "varve/log.h"

namespace varve::internal {

class LogFollower {
 public:
  explicit LogFollower(std::shared_ptr<LogCore> core);

  // kAborted: the writer replaces files faster than they can be opened. Else as LiveView::Load and LoadLog. Cost: while a
  // writer serves, a look at its line, without a lock or a system call where that says nothing new; a look at the
  // writer's lock every 2 ms at most.
  [[nodiscard]] absl::Status Refresh();
  // Refreshes until the visible end lies beyond `offset`. Cost of waiting: a look at the live line every 2 ms at most,
  // at the lock as often; without a writer, at the names and the last segment's size every 20 ms.
  [[nodiscard]] absl::Status WaitVisible(int64_t offset, std::chrono::nanoseconds timeout);
  void Close() { core_->frontiers.Close(); }

  [[nodiscard]] RecoveryReport report() const;
  [[nodiscard]] std::vector<ProducerStateEntry> producers();

 private:
  // What tells that nobody has touched a directory since: an append changes the last segment's size or, where its space
  // was allocated ahead, its time.
  struct DirectoryStamp {
    std::vector<std::string> names;
    uint64_t last_size_bytes = 0;
    int64_t last_modified_ms = 0;
    FileIdentity last_identity;

    friend bool operator==(const DirectoryStamp&, const DirectoryStamp&) = default;
  };

  // What the line said when all that it tells of was taken in, and when the writer's lock was looked at before that.
  struct Quiet {
    std::atomic<const LiveLine*> line{nullptr};  // the core keeps it; null: nothing is known
    std::atomic<uint64_t> sequence{0};
    std::atomic<uint64_t> generation{0};
    std::atomic<int64_t> durable_offset{0};
    std::atomic<int64_t> looked_at_ns{0};
  };

  // True if a refresh has nothing to do: the writer has stored nothing since, and its lock was looked at just now.
  [[nodiscard]] bool IsQuiet() const;
  void NoteQuiet(const LiveLine::Version& version) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] bool IsTimeToLook(int64_t looked_at_ns) const;
  // Takes in what the line says, if that can be done without a look at the lock. False: it cannot.
  [[nodiscard]] bool RefreshByLine() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status RefreshLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // As RefreshLocked, but leaves everything as it is where a cheaper look shows that nothing has happened.
  [[nodiscard]] absl::Status Poll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status TakeIn(const LiveValues& values) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The offsets of the view, which has taken in `values`.
  [[nodiscard]] Frontiers::Followed OffsetsOf(const LiveValues& values) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Shows readers other segments, and the offsets that go with them.
  void TakeOver(const SegmentList::Handles& handles, const Frontiers::Followed& followed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status LoadStopped(const WriterSight& sight) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of a stopped log, as it was loaded. Errors: as the file system's of listing.
  [[nodiscard]] absl::Status ReadTransactionIndexes(FileSystem* loaded, const SegmentList::Handles& handles) const;
  // True if what was taken in is all there is to be had of a log whose writer is not serving.
  [[nodiscard]] bool IsCurrentBeside(const WriterSight& busy) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Readers who met a writer at work on the names are told to come again: its line changes once more when it is done.
  void FollowBeside(const WriterSight& sight) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::StatusOr<DirectoryStamp> Stamp() const;

  const std::shared_ptr<LogCore> core_;
  Quiet quiet_;
  mutable Mutex mutex_;
  WriterWatch watch_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<LiveView> view_ ABSL_GUARDED_BY(mutex_);               // null unless a writer is followed
  std::shared_ptr<const LiveLine> viewed_line_ ABSL_GUARDED_BY(mutex_);  // whose generation the view's is
  bool took_over_high_watermark_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<DirectoryStamp> stopped_stamp_ ABSL_GUARDED_BY(mutex_);  // of the stopped log that was loaded
  int64_t looked_at_ns_ ABSL_GUARDED_BY(mutex_) = 0;                     // by the clock of the options
  RecoveryReport report_ ABSL_GUARDED_BY(mutex_);
  std::vector<ProducerStateEntry> producers_ ABSL_GUARDED_BY(mutex_);  // of a stopped log
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_LOG_FOLLOWER_H_
