// Appender: the writing side of a log: validates or builds, assigns offsets, rolls, writes, publishes (format notes
// §2.5, §3). Truncation and deletion (truncation.h) work on it too, under its lock.
//
// Thread rules: any thread; one at a time inside, by the writer lock.
#ifndef VARVE_LIB_LOG_APPENDER_H_
#define VARVE_LIB_LOG_APPENDER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "io/mutex.h"
#include "log/deleted_files.h"
#include "log/flusher.h"
#include "log/live_line.h"
#include "log/log_core.h"
#include "log/log_loader.h"
#include "log/roll_policy.h"
#include "record/batch_encoder.h"
#include "record/batch_header.h"
#include "record/batch_validator.h"
#include "record/record_rules.h"
#include "segment/active_segment.h"
#include "segment/transaction_index_writer.h"
#include "state/producer_state_manager.h"
#include "varve/log.h"

namespace varve::internal {

class Appender {
 public:
  // `lock` is the partition's. Install must follow.
  Appender(std::shared_ptr<LogCore> core, Flusher* flusher, std::unique_ptr<FileLock> lock);

  // Takes a loaded log over, at open: the last segment becomes the active one.
  [[nodiscard]] absl::Status Open(LoadedLog loaded, bool mapped);

  [[nodiscard]] absl::StatusOr<AppendResult> Append(std::span<const Record> records, const AppendOptions& options);
  [[nodiscard]] absl::StatusOr<AppendResult> AppendBatch(std::span<const std::byte> batch,
                                                         const AppendOptions& options);
  [[nodiscard]] absl::StatusOr<AppendResult> AppendAsFollower(std::span<const std::byte> batches,
                                                              int32_t current_leader_epoch,
                                                              const AppendOptions& options);
  // `marker`'s offset, epoch and time are the log's to choose.
  [[nodiscard]] absl::StatusOr<AppendResult> AppendMarker(const MarkerOptions& marker, const AppendOptions& options);
  [[nodiscard]] absl::StatusOr<int64_t> RemoveExpiredProducers();
  [[nodiscard]] absl::Status Roll();
  [[nodiscard]] absl::Status AssignLeaderEpoch(int32_t epoch);
  [[nodiscard]] std::vector<ProducerStateEntry> producers() const;
  void SetHighWatermark(int64_t offset);

  // kFailedPrecondition in a forked child, where nothing that is mapped may be stored to. Takes no writer lock.
  [[nodiscard]] absl::Status CheckProcess() const;
  // Flusher::SyncWhatOpeningLeft, but not in a forked child; by whoever is going to sync with the writer lock.
  [[nodiscard]] absl::Status SyncWhatOpeningLeft() const;

  // Seals the active segment, writes the snapshot at the log end, syncs everything, marks varve.state clean and lets go
  // of the partition's lock.
  [[nodiscard]] absl::Status Close();

 private:
  friend class Compaction;
  friend class PrefixDeletion;
  friend class Retention;
  friend class Truncation;

  // What a batch says of itself, and its bytes where they are ready-made.
  struct Incoming {
    int64_t size_bytes = 0;
    int64_t last_offset = 0;
    int64_t max_timestamp_ms = kNoTimestamp;
    std::span<const std::byte> bytes;
  };
  // What batches hold of producers.
  struct ProducersSeen {
    bool any = false;
    bool any_transactional = false;
    bool any_marker = false;
  };

  [[nodiscard]] absl::Status Writable() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status Inherited() const;
  // The part of Close that can fail.
  [[nodiscard]] absl::Status Finish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // For records that rules_ ask anything of.
  [[nodiscard]] absl::Status CheckRecords(std::span<const Record> records, int64_t now_ms) const;
  [[nodiscard]] bool NeedsClock(std::span<const Record> records) const;
  [[nodiscard]] absl::Status CheckSize(int64_t size_bytes) const;
  // The epoch that a leader's batch gets. kInvalidArgument below the latest known: that leader has been replaced.
  [[nodiscard]] absl::StatusOr<int32_t> EpochFor(const AppendOptions& options) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status AppendRecords(std::span<const Record> records, const AppendOptions& options,
                                           AppendResult* result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status AppendInPlace(std::span<const Record> records, const BatchStamp& stamp,
                                           const BatchPlan& plan, bool durable_acks)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `client_origin`: false for a marker.
  [[nodiscard]] absl::StatusOr<AppendResult> AppendAsLeader(std::span<const std::byte> input, bool client_origin,
                                                            const AppendOptions& options)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The batch in scratch_, which has its offsets, epoch and times: checked against what is known of its producer.
  [[nodiscard]] absl::StatusOr<AppendResult> AppendChecked(const AppendOptions& options)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Records with a producer's stamp; `stamp` is the rest of it.
  [[nodiscard]] absl::StatusOr<AppendResult> AppendOfProducer(std::span<const Record> records, BatchStamp stamp,
                                                              const AppendOptions& options)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::StatusOr<AppendResult> AppendGiven(std::span<const std::byte> input, int32_t current_leader_epoch,
                                                         const AppendOptions& options)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status AppendReady(const Incoming& batch, int32_t leader_epoch, int64_t base_offset,
                                         bool durable_acks) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Before a batch is written: its epoch noted, the segment it goes to active.
  [[nodiscard]] absl::Status Prepare(const Incoming& batch, int32_t leader_epoch, int64_t base_offset)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status RollTo(int64_t new_base) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status VouchForGap() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // kInvalidArgument: a marker that cannot be read.
  [[nodiscard]] static absl::StatusOr<ProducersSeen> LookForProducers(std::span<const std::byte> batches);
  // After batches are written and before they are published: what they say of producers, and the transaction index if
  // they abort transactions. All or nothing.
  [[nodiscard]] absl::Status UpdateProducers(std::span<const std::byte> batches, const ProducersSeen& seen)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Adds what the batches abort to `aborted`.
  [[nodiscard]] absl::Status ReplayProducers(std::span<const std::byte> batches,
                                             std::vector<AbortedTransaction>* aborted)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tells readers of what the producers' transactions hold back.
  void ShowTransactions() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The high watermark may have moved: transactions whose markers are committed hold nobody back any more.
  void ForgetCommitted() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::StatusOr<AppendResult> Acknowledge(absl::StatusOr<AppendResult> result,
                                                         const AppendOptions& options);
  void Publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What other processes are told of a log that ends so.
  [[nodiscard]] LiveValues LiveValuesAt(int64_t active_base, PublishedEnd end) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StoreLive() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status TryStoreLive() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A failed write poisons the log, unless the disk was full: then nothing has happened, once what was written before
  // it is taken back (one sync).
  [[nodiscard]] absl::Status Failed(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Makes what was loaded the log: at open and after a truncation.
  [[nodiscard]] absl::Status Install(LoadedLog loaded) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ChooseLimits() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status SyncRolledIndexes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<LogCore> core_;
  Flusher* const flusher_;
  DeletedFiles deleted_files_;

  const RecordRules rules_;  // without the time that it is
  const bool always_needs_clock_;

  mutable Mutex mutex_;
  std::shared_ptr<FileLock> lock_ ABSL_GUARDED_BY(mutex_);
  // The same lock for CheckProcess, whose callers must not wait for the writer.
  mutable Mutex watched_mutex_ ABSL_ACQUIRED_AFTER(mutex_);
  std::shared_ptr<const FileLock> watched_lock_ ABSL_GUARDED_BY(watched_mutex_);
  ActiveSegmentOptions segment_options_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<LeaderEpochCache> epochs_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<ActiveSegment> active_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<TransactionIndexWriter> transactions_ ABSL_GUARDED_BY(mutex_);  // of active_
  std::unique_ptr<ProducerStateManager> producers_ ABSL_GUARDED_BY(mutex_);
  int64_t committed_below_ ABSL_GUARDED_BY(mutex_) = 0;  // the high watermark that producers_ was last told of
  std::shared_ptr<LiveLine> live_ ABSL_GUARDED_BY(mutex_);
  uint64_t live_generation_ ABSL_GUARDED_BY(mutex_) = 0;
  bool transactions_changed_ ABSL_GUARDED_BY(mutex_) = false;  // shown to readers here, not told by live_ yet
  RollLimits limits_ ABSL_GUARDED_BY(mutex_);
  std::minstd_rand jitter_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::byte> scratch_ ABSL_GUARDED_BY(mutex_);  // batches that are encoded or restamped outside the segment
  ValidatorScratch validator_scratch_ ABSL_GUARDED_BY(mutex_);
  std::vector<int64_t> rolled_ ABSL_GUARDED_BY(mutex_);  // sealed or reindexed since opening: Close syncs their indexes
  absl::Status close_status_ ABSL_GUARDED_BY(mutex_);
};

// The flusher's view of a segment.
[[nodiscard]] absl::StatusOr<FlushTarget> FlushTargetOf(const ActiveSegment& active);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_APPENDER_H_
