// LeaderEpochCache: a partition's leader epochs in memory, and the file leader-epoch-checkpoint behind them.
//
// Entries ascend strictly in epoch and start offset. Every change is on stable storage before it is seen. The file is
// empty until something is assigned (state/checkpoint_file.h has its form). What a crash leaves is the file before or
// after a change; a file that is ahead of the log (an epoch that no batch reached) or behind it is put right when the
// log is loaded: TruncateFromEnd(log end), TruncateFromStart(log start), and Assign for every batch recovered. (Kafka:
// LeaderEpochFileCache, which writes truncations later; here they are written at once.)
//
// Thread rules: any operation from any thread. Readers never wait for a write to the disk.
//
//   if (!epochs->IsLatest(batch.leader_epoch())) {
//     VARVE_RETURN_IF_ERROR(epochs->Assign(batch.leader_epoch(), batch.base_offset()));
//   }
#ifndef VARVE_LIB_STATE_LEADER_EPOCH_CACHE_H_
#define VARVE_LIB_STATE_LEADER_EPOCH_CACHE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "io/mutex.h"
#include "varve/file_system.h"
#include "varve/leader_epoch.h"

namespace varve::internal {

class LeaderEpochCache {
 public:
  // Reads the file at `path`, or makes an empty one. Lines that break the order are applied as assignments, one by one,
  // as Kafka does. kDataLoss if the file cannot be understood; else as the file system.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<LeaderEpochCache>> Open(FileSystem* file_system,
                                                                              std::string path);

  LeaderEpochCache(const LeaderEpochCache&) = delete;
  LeaderEpochCache& operator=(const LeaderEpochCache&) = delete;

  // True if `epoch` is the latest known one: the appender's check, one relaxed load.
  [[nodiscard]] bool IsLatest(int32_t epoch) const { return latest_epoch() == epoch; }

  // The latest known epoch, -1 if there is none. One relaxed load.
  [[nodiscard]] int32_t latest_epoch() const { return latest_epoch_.load(std::memory_order_relaxed); }

  [[nodiscard]] std::optional<LeaderEpoch> Latest() const;
  [[nodiscard]] std::vector<LeaderEpoch> entries() const;

  // The epoch that the record at `offset` was written in, as far as is known; absent below the first entry.
  [[nodiscard]] std::optional<int32_t> EpochForOffset(int64_t offset) const;

  // Where `epoch` ends: (the greatest known epoch not above it, the offset behind that one's last). Below the first
  // entry: (epoch, start of the first entry). Absent if epoch is negative or above the latest.
  [[nodiscard]] std::optional<LeaderEpoch> EndOffsetFor(int32_t epoch, int64_t log_end_offset) const;

  // Notes that `epoch` begins at `start_offset`. Does nothing if it is the latest epoch and started no later; otherwise
  // first removes the entries at the end whose epoch or start offset is not below it. kInvalidArgument if either is
  // negative; as ReplaceFile, with nothing changed.
  [[nodiscard]] absl::Status Assign(int32_t epoch, int64_t start_offset);

  // Removes the entries that start at or above `offset`. Errors: as ReplaceFile, with nothing changed.
  [[nodiscard]] absl::Status TruncateFromEnd(int64_t offset);

  // Makes `offset` the start: the entries that end at or below it go, the one that covers it starts there. Errors: as
  // ReplaceFile, with nothing changed.
  [[nodiscard]] absl::Status TruncateFromStart(int64_t offset);

  // Removes all entries. Errors: as ReplaceFile, with nothing changed.
  [[nodiscard]] absl::Status Clear();

 private:
  LeaderEpochCache(FileSystem* file_system, std::string path, std::vector<LeaderEpoch> entries);

  // Writes and then publishes, unless nothing changes.
  absl::Status Replace(std::vector<LeaderEpoch> entries) ABSL_EXCLUSIVE_LOCKS_REQUIRED(writer_mutex_);
  void Publish(std::vector<LeaderEpoch> entries);

  FileSystem* const file_system_;
  const std::string path_;
  Mutex writer_mutex_;  // one change at a time; never taken by readers
  mutable Mutex mutex_ ABSL_ACQUIRED_AFTER(writer_mutex_);
  std::vector<LeaderEpoch> entries_ ABSL_GUARDED_BY(mutex_);
  std::atomic<int32_t> latest_epoch_{-1};  // of entries_.back(), for IsLatest
};

}  // namespace varve::internal

#endif  // VARVE_LIB_STATE_LEADER_EPOCH_CACHE_H_
