// LogCore: what readers share with the log they read, and what outlives it while they do.
#ifndef VARVE_LIB_LOG_LOG_CORE_H_
#define VARVE_LIB_LOG_LOG_CORE_H_

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "io/mutex.h"
#include "log/frontiers.h"
#include "log/live_line.h"
#include "log/segment_list.h"
#include "state/leader_epoch_cache.h"
#include "varve/log_options.h"

namespace varve::internal {

struct LoadedLog;

struct LogCore {
  LogCore(std::string log_directory, const LogOptions& log_options)
      : directory(std::move(log_directory)),
        options(log_options),
        frontiers(log_options.visibility),
        cache(std::make_shared<OpenSegmentCache>(log_options.max_open_segments)) {}

  const std::string directory;
  const LogOptions options;
  SegmentTable table;
  Frontiers frontiers;
  const std::shared_ptr<OpenSegmentCache> cache;

  // What was loaded of `file_system`, segment by segment, to be opened when somebody reads there.
  [[nodiscard]] SegmentList::Handles HandlesOf(const LoadedLog& loaded,
                                               const std::shared_ptr<FileSystem>& file_system) const;

  // Set at open; a read-only log sets it anew at a refresh, while readers use the one before.
  void SetEpochs(std::shared_ptr<LeaderEpochCache> epochs) {
    const MutexLock lock(&epochs_mutex);
    epochs_holder = std::move(epochs);
  }
  [[nodiscard]] std::shared_ptr<LeaderEpochCache> epochs() const {
    const MutexLock lock(&epochs_mutex);
    return epochs_holder;
  }

  // Of a reader of another process's log: the writer's line and the generation that was taken in last; kNobody while
  // nobody is followed.
  static constexpr uint64_t kNobody = std::numeric_limits<uint64_t>::max();
  std::atomic<uint64_t> followed_generation{kNobody};

  // The follower's, one thread at a time. A line stays as long as there are readers: one of them may be asking it.
  void Follow(const std::shared_ptr<const LiveLine>& line, uint64_t generation) {
    if (followed.load(std::memory_order_relaxed) != line.get()) {
      followed_lines.push_back(line);
      followed.store(line.get(), std::memory_order_release);
    }
    followed_generation.store(generation, std::memory_order_release);
  }
  void FollowNobody() { followed_generation.store(kNobody, std::memory_order_release); }

  // kAborted if the followed writer has taken published data away since the last Refresh.
  [[nodiscard]] absl::Status CheckGeneration() const {
    const uint64_t taken_in = followed_generation.load(std::memory_order_acquire);
    if (taken_in == kNobody || followed.load(std::memory_order_acquire)->generation() == taken_in) [[likely]] {
      return absl::OkStatus();
    }
    return absl::AbortedError(directory +
                              ": the writer has truncated or replaced segments: call Refresh and read again");
  }

  // The same, of what files that were opened by name lacked: kAborted also where the followed writer is at work on the
  // names, as it may have been when the log was taken in. The next Refresh then waits for that writer.
  [[nodiscard]] absl::Status CheckNames() {
    const bool following = followed_generation.load(std::memory_order_acquire) != kNobody;  // then there is a line
    if (following && !followed.load(std::memory_order_acquire)->served()) {
      refresh_awaited.store(true, std::memory_order_relaxed);
      return absl::AbortedError(directory + ": the writer is replacing files: call Refresh and read again");
    }
    return CheckGeneration();
  }

  // A reader was sent to Refresh by a writer that is not serving, since the last Refresh.
  std::atomic<bool> refresh_awaited{false};
  std::atomic<const LiveLine*> followed{nullptr};
  std::vector<std::shared_ptr<const LiveLine>> followed_lines;

  mutable Mutex epochs_mutex;
  std::shared_ptr<LeaderEpochCache> epochs_holder ABSL_GUARDED_BY(epochs_mutex);
};

// A file system whose owner outlives the log, in the form that segments hold theirs by.
[[nodiscard]] inline std::shared_ptr<FileSystem> Unowned(FileSystem* file_system) {
  return {std::shared_ptr<FileSystem>(), file_system};
}

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_LOG_CORE_H_
