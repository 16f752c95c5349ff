// LogFollower: a log opened read-only. Two ways, chosen anew at every Refresh:
//
// * A writer is there (it holds the lock, and varve.live carries the lineage of varve.state): nothing is recovered; the
//   line says where the log ends, new batches are walked by their headers, rolls and truncations are taken in.
// * Nobody writes, or somebody does who keeps no line (Kafka): the directory is opened as a writer would open it, on an
//   overlay that keeps every change in memory. What it finds at the end is then provisional until the next Refresh.
//
// Thread rules: Refresh from one thread at a time; readers go on meanwhile.
#ifndef VARVE_LIB_LOG_LOG_FOLLOWER_H_
#define VARVE_LIB_LOG_LOG_FOLLOWER_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "log/log_core.h"
#include "varve/log.h"

namespace varve::internal {

class LogFollower {
 public:
  explicit LogFollower(std::shared_ptr<LogCore> core) : core_(std::move(core)) {}

  [[nodiscard]] absl::Status Refresh();
  // Refreshes until the visible end lies beyond `offset`.
  [[nodiscard]] absl::Status WaitVisible(int64_t offset, std::chrono::nanoseconds timeout);
  void Close() { core_->frontiers.Close(); }

  [[nodiscard]] RecoveryReport report() const;
  [[nodiscard]] std::vector<ProducerStateEntry> producers() const;

 private:
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const LiveLine>> FindWriter() const;
  [[nodiscard]] absl::Status LoadStopped() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status LoadLive(const LiveValues& values) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status ExtendActive(const LiveValues& values) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::StatusOr<std::shared_ptr<OpenSegment>> OpenActive(const LiveValues& values,
                                                                        std::vector<DamagedRange> damage)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::StatusOr<std::vector<int64_t>> SegmentBases() const;
  [[nodiscard]] std::optional<std::string> LookOfStopped() const;

  const std::shared_ptr<LogCore> core_;
  mutable absl::Mutex mutex_;
  std::optional<LiveValues> taken_in_ ABSL_GUARDED_BY(mutex_);  // absent while nobody is followed
  std::shared_ptr<OpenSegment> active_ ABSL_GUARDED_BY(mutex_);
  LiveIndexes* live_indexes_ ABSL_GUARDED_BY(mutex_) = nullptr;  // of active_
  int64_t active_mapped_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t bytes_since_index_entry_ ABSL_GUARDED_BY(mutex_) = 0;
  RecoveryReport report_ ABSL_GUARDED_BY(mutex_);
  std::vector<ProducerStateEntry> producers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_LOG_FOLLOWER_H_
