// ProducerRebuild: a partition's producers brought up to the log end while it is loaded, and which snapshots that
// leaves (Kafka UnifiedLog.rebuildProducerState, LogLoader.recoverSegment, format notes §5.4).
//
// While the log is judged nothing is written: snapshots that are to be made are kept in memory and those that are to go
// are noted; Write carries both out. What stays is what Kafka leaves:
//   - snapshots at or below the log start, or above the log end, go; damaged ones that are met go
//   - others that are not at a segment's base go, except the newest, if it is above the last base
//   - what recovered segments tell that end at or below the log start is forgotten before the next is recovered
//   - each recovered segment gives one at its end; replaying older segments one at the bases of the last two
//   - one at the log end, unless that is 0
//   - a log that ends at its start has none, and knows no producers
//   - after a clean stop without any snapshot nothing is read: producers are forgotten, and empty ones are made
//
// Thread rules: one thread at a time.
#ifndef VARVE_LIB_LOG_PRODUCER_REBUILD_H_
#define VARVE_LIB_LOG_PRODUCER_REBUILD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "log/believed_marks.h"
#include "state/producer_state_manager.h"
#include "varve/file_system.h"
#include "varve/recovery_report.h"

namespace varve::internal {

class ProducerRebuild {
 public:
  // `segments` as found; `snapshots` the offsets of those on disk.
  ProducerRebuild(FileSystem* file_system, std::string directory, int64_t expiration_ms, int64_t now_ms,
                  std::vector<FoundSegment> segments, std::set<int64_t> snapshots);

  // Before the segment at `base_offset` is recovered: knows the producers as of it, from a snapshot or the log behind
  // one.
  [[nodiscard]] absl::Status BeginSegment(int64_t log_start_offset, int64_t base_offset);
  // A batch of that segment. *completed as ProducerStateManager::Replay has it.
  void Add(const RecordBatchView& batch, std::optional<CompletedTransaction>* completed);
  // Its end.
  void EndSegment(int64_t next_offset);

  // After the last segment: everything up to the log end. `clean`: the stop was clean and no segment needed recovery.
  [[nodiscard]] absl::Status Finish(int64_t log_start_offset, int64_t log_end_offset, bool clean,
                                    const std::vector<int64_t>& base_offsets);

  // Between Finish and Write: the snapshots are those of `file_system`, which holds the same files.
  void MoveTo(FileSystem* file_system);

  // Makes the snapshot files what they are to be. Nothing is synced: a snapshot that a crash damages is made again.
  [[nodiscard]] absl::Status Write(std::vector<RecoveryFinding>* findings);

  // The producers as of the log end, after Finish and Write.
  [[nodiscard]] std::unique_ptr<ProducerStateManager> Take() { return std::move(producers_); }

 private:
  absl::Status StartAt(int64_t log_start_offset, int64_t offset);
  absl::Status ReplayTo(int64_t offset);
  absl::Status ReplaySegment(const FoundSegment& segment, int64_t offset);
  void TakeSnapshot(int64_t offset);
  void RemoveStrays(const std::vector<int64_t>& base_offsets);
  bool IsOneOfLastTwo(int64_t base_offset) const;
  absl::StatusOr<bool> Holds(int64_t offset, const std::vector<ProducerStateEntry>& entries) const;

  FileSystem* file_system_;
  const std::string directory_;
  const int64_t now_ms_;
  const std::vector<FoundSegment> segments_;
  std::unique_ptr<ProducerStateManager> producers_;
  std::set<int64_t> on_disk_;  // snapshots that stay of those found
  std::set<int64_t> removals_;
  std::map<int64_t, std::vector<ProducerStateEntry>> planned_;
  bool started_ = false;
  int64_t position_ = 0;              // the offset up to which batches were taken in
  int64_t last_snapshot_offset_ = 0;  // taken or loaded
  int64_t log_end_offset_ = 0;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_PRODUCER_REBUILD_H_
