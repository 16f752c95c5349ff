// Log: one partition of Apache Kafka's log storage, in a directory of Kafka's own files.
//
//   absl::StatusOr<std::unique_ptr<varve::Log>> log = varve::Log::Open("data/orders-0", {});
//   (void)(*log)->Append({{.key = "k", .value = "v"}});                                    // survives the process
//   (void)(*log)->Append({{.key = "k", .value = "v"}}, {.ack = varve::Ack::kDurable});     // survives power loss
//   for (const varve::RecordView& record : (*log)->Scan(0)) Use(record.value());
//
// Offsets, in the order that is asserted at every change (Kafka LogOffsetSnapshot):
//   log start ≤ high watermark ≤ log end,   durable ≤ log end
//   log start       first readable offset
//   high watermark  first offset not committed: where consumers stop. Follows the log end (or the durable offset, see
//                   LogOptions::visibility) until a replicating host moves it by SetHighWatermark
//   log end         the next offset to be assigned
//   durable         everything below is on stable storage
//
// Thread rules: every operation may be called from any thread. Appends, truncation and deletion exclude one another;
// reads never take their lock and are never blocked by them. For many reads from one thread use NewReader: it costs no
// reference count and no lock per call. A Log starts no thread; waits happen on the caller's.
// Processes: one writer holds the partition's lock; any number of others open read-only and follow by Refresh.
// A child of fork() must not use an inherited Log: its operations answer kFailedPrecondition.
// Failures: a failed write or sync poisons the log: reads go on, appends answer the same error until it is reopened. A
// full disk does not where allocation or a write reports it; where only a sync does, that is a failed sync. Error codes:
// errors.h. Durability: the README's table of acknowledgements.
#ifndef VARVE_LOG_H_
#define VARVE_LOG_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/compaction.h"
#include "varve/file_range.h"
#include "varve/leader_epoch.h"
#include "varve/log_options.h"
#include "varve/log_reader.h"
#include "varve/producer_state.h"
#include "varve/record.h"
#include "varve/record_batch.h"
#include "varve/recovery_report.h"
#include "varve/retention.h"

namespace varve {

struct AppendResult {
  int64_t base_offset = 0;                    // of the first record appended
  int64_t last_offset = -1;                   // of the last; base_offset - 1 where nothing was appended
  int64_t log_append_time_ms = kNoTimestamp;  // LogAppendTime only
  bool duplicate = false;                     // a producer's batch that was there already, at these offsets

  [[nodiscard]] int64_t end_offset() const { return last_offset + 1; }
};

// A snapshot of the four offsets, taken together.
struct LogOffsets {
  int64_t log_start_offset = 0;
  int64_t high_watermark = 0;
  int64_t log_end_offset = 0;
  int64_t durable_offset = 0;
  int64_t last_stable_offset = 0;
};

struct LogSegmentInfo {
  int64_t base_offset = 0;
  int64_t size_bytes = 0;
  bool active = false;
};

class Log {
 public:
  // Opens the partition in `directory`, recovering it if it was not closed cleanly; see recovery_report(). Always
  // opens, or refuses with one error that names file, position, expected and found, and has changed nothing of the log;
  // what a full or failing disk stops half way, the next opening resumes.
  // kUnavailable: another writer holds the lock. kInvalidArgument: an option out of range, or a directory to be created
  // whose name is not TOPIC-PARTITION. kUnimplemented: batches of magic 0 or 1. Cost: names first; only what lies above
  // the durable point is read after an unclean stop. That may be in the page cache only: the first sync (of WaitDurable,
  // Flush, Close, a durable append, or whatever else needs one) reads and writes all of it again before its own, and
  // durable_offset() stays until then. Reads go on meanwhile, and appends unless it is one of them that needs it. With
  // Visibility::kDurable, and where files have to be changed otherwise, Open does it.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Log>> Open(const std::string& directory,
                                                                 const LogOptions& options = {});

  // Closes as Close does, dropping its error.
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Appends records as one batch. Absent timestamps become the clock's. All or nothing. Errors: kInvalidArgument (a
  // record out of range, the batch above max_message_bytes), kResourceExhausted (disk full: nothing was written, the
  // log goes on once there is room), kFailedPrecondition. With kDurable an error after the write means "outcome
  // unknown"; kDeadlineExceeded, that the records are appended and not yet durable (AppendOptions::timeout, or a full
  // disk has no room for what lies before them): WaitDurable asks again.
  [[nodiscard]] absl::StatusOr<AppendResult> Append(std::span<const Record> records, const AppendOptions& options = {});
  [[nodiscard]] absl::StatusOr<AppendResult> Append(std::initializer_list<Record> records,
                                                    const AppendOptions& options = {}) {
    return Append(std::span<const Record>(records.begin(), records.size()), options);
  }

  // Appends one ready-made batch as a leader does (base offset 0, as producers send it): validated, its offsets and
  // epoch stamped (Kafka LogValidator). As in Kafka the beginning of another batch behind it counts for nothing; input
  // without one whole batch is kInvalidArgument.
  // Producers, here and with AppendOptions::producer (Kafka ProducerStateManager): a batch that is among its producer's
  // last five is answered with its offsets, as a duplicate, and appended no more. kInvalidArgument, with Kafka's number:
  // a sequence that does not follow the last one, or not 0 with a new epoch (kOutOfOrderSequenceNumber); an epoch below
  // the known one (kInvalidProducerEpoch); data without a transaction inside one (kInvalidTxnState).
  [[nodiscard]] absl::StatusOr<AppendResult> AppendBatch(std::span<const std::byte> batch,
                                                         const AppendOptions& options = {});

  // Appends the marker that ends a producer's transaction, as a transaction coordinator does: `end` is kCommit or
  // kAbort. A marker of a later epoch fences the producer's earlier ones; one without an open transaction is appended
  // all the same. kInvalidArgument: the producer's epoch is below the known one (kInvalidProducerEpoch), the
  // coordinator's below that of the last marker (kTransactionCoordinatorFenced), or no such thing can be.
  [[nodiscard]] absl::StatusOr<AppendResult> AppendEndTransaction(int64_t producer_id, int16_t producer_epoch,
                                                                  ControlType end, int32_t coordinator_epoch,
                                                                  const AppendOptions& options = {});

  // Appends a leader's batches with the offsets and epochs they carry (Kafka UnifiedLog.appendAsFollower). Each begins
  // behind the one before; gaps are kept, but one append spans 2^31 offsets at most; a partial batch at the end is
  // dropped; batches from the first whose epoch exceeds `current_leader_epoch` on are left out. All or nothing.
  [[nodiscard]] absl::StatusOr<AppendResult> AppendAsFollower(std::span<const std::byte> batches,
                                                              int32_t current_leader_epoch,
                                                              const AppendOptions& options = {});

  // Waits until everything below `offset` is durable, syncing if nobody else does. kDeadlineExceeded; kAborted if a
  // truncation took some of it meanwhile; the error that poisoned the log, kDataLoss where a batch that was good when the
  // log was opened, and not yet synced, no longer is; kResourceExhausted, the log not poisoned, where a full disk has no
  // room to write again what Open has left: ask again once there is. `offset` may not exceed the log end (kOutOfRange).
  // Whoever syncs for the others is done when the sync is, not at the end of his timeout.
  [[nodiscard]] absl::Status WaitDurable(int64_t offset,
                                         std::chrono::nanoseconds timeout = std::chrono::nanoseconds::max());

  // Calls `done` once everything below `offset` is durable, or with the error that prevents it, kAborted where a
  // truncation took some of it: at once if that is known, else from the call of this log, on its thread, that syncs,
  // truncates, closes or fails. `done` may append, but must not wait.
  void OnDurable(int64_t offset, std::function<void(const absl::Status&)> done);

  // Makes everything appended so far durable. Errors: as WaitDurable.
  [[nodiscard]] absl::Status Flush();

  // A handle for one thread's reads; see log_reader.h.
  [[nodiscard]] LogReader NewReader() const;

  // Reads whole batches from the one that holds `offset` on (the next one, in a gap). Empty at the visible end.
  // kOutOfRange below the log start or beyond the log end; kDataLoss inside a damaged range. The result has its own
  // hold.
  [[nodiscard]] absl::StatusOr<FileRange> Read(int64_t offset, const ReadOptions& options = {}) const;

  // The records from `offset` to the visible end at the time of the call, checksums verified. See LogScan.
  [[nodiscard]] LogScan Scan(int64_t offset, const ScanOptions& options = {}) const;

  // As LogReader::AbortedTransactions.
  [[nodiscard]] absl::StatusOr<std::vector<AbortedTransaction>> AbortedTransactions(int64_t from_offset,
                                                                                    int64_t to_offset) const;

  // The first record with a timestamp at or after `timestamp_ms`, or a special value: kEarliestTimestamp,
  // kLatestTimestamp, kMaxTimestamp. Absent where there is none. Kafka UnifiedLog.fetchOffsetByTimestamp; departures in
  // the README ("Where varve departs from Kafka").
  [[nodiscard]] absl::StatusOr<std::optional<TimestampLookup>> OffsetForTimestamp(int64_t timestamp_ms) const;

  // Waits until the visible end lies beyond `offset`. kDeadlineExceeded; kFailedPrecondition once closed.
  [[nodiscard]] absl::Status WaitForData(int64_t offset, std::chrono::nanoseconds timeout) const;

  [[nodiscard]] LogOffsets offsets() const;
  [[nodiscard]] int64_t log_start_offset() const { return offsets().log_start_offset; }
  [[nodiscard]] int64_t high_watermark() const { return offsets().high_watermark; }
  [[nodiscard]] int64_t log_end_offset() const;
  [[nodiscard]] int64_t durable_offset() const { return offsets().durable_offset; }

  // Takes the high watermark over from the log; clamped to [log start, log end]. For replicating hosts.
  void SetHighWatermark(int64_t offset);

  // Removes everything at and above `offset`, which must be a batch's base offset or the log end: kInvalidArgument
  // naming the batch's two ends otherwise. kOutOfRange: below the log start or above the log end; kResourceExhausted: no
  // room for what is written first, and nothing is removed. Durable when it returns; a crash leaves all of it or none.
  // Readers keep what they hold. Where compaction left a gap before `offset` the log ends, and at most begins, below it: behind the last
  // batch that is left.
  [[nodiscard]] absl::Status TruncateTo(int64_t offset);

  // Removes everything and starts an empty log at `offset` (Kafka UnifiedLog.truncateFullyAndStartAt).
  [[nodiscard]] absl::Status TruncateFullyAndStartAt(int64_t offset);

  // Moves the log start up to `offset` (may lie inside a batch; -1 is the high watermark) and removes the segments
  // wholly below it. kOutOfRange above the high watermark; nothing happens below the log start; kInvalidArgument where
  // the policy only compacts. Durable when it returns; the files stay for file_delete_delay_ms, until the log is closed
  // at most. kResourceExhausted: the disk is too full; a log start that has moved all the same is durable, asking again
  // goes on with the removal, and the next opening completes it.
  [[nodiscard]] absl::Status DeleteBefore(int64_t offset);

  // Deletes the oldest segments by the rules of retention.h, with the limits of LogOptions unless `options` has others.
  // Never done unasked. Durable when it returns; a crash leaves all of it or none. Removes the files whose
  // file_delete_delay_ms is over, of earlier calls too, so ask now and then (Kafka: every 5 minutes). Errors: as
  // DeleteBefore; kInvalidArgument: an option out of range. Cost: the segments that go and the next are opened, once;
  // all of them where deletion by time is blocked.
  [[nodiscard]] absl::StatusOr<RetentionResult> ApplyRetention(const RetentionOptions& options = {});
  // Removes the files of deleted segments, and of those that compaction replaced, whose file_delete_delay_ms is over,
  // until it has taken so long: one at least, unless that is 0. ApplyRetention and Compact do so as well. One that cannot
  // be removed is tried again the next time. Cost: a listing of the directory; the writer is not held up.
  [[nodiscard]] absl::StatusOr<FileRemovalResult> RemoveDeletedFiles(
      std::chrono::nanoseconds time_limit = std::chrono::nanoseconds::max());
  // What ApplyRetention would do now; nothing is changed. Of read-only logs too.
  [[nodiscard]] absl::StatusOr<RetentionResult> PlanRetention(const RetentionOptions& options = {}) const;

  // Compacts the log by the rules of compaction.h, if it is due by them. Never done unasked. Durable when it returns; a
  // crash leaves each segment as it was or as it is to be. Readers keep what they hold; appends go on but for the
  // moments in which names change; a truncation or a deletion meanwhile takes precedence. Removes the files whose
  // file_delete_delay_ms is over, as ApplyRetention does. kInvalidArgument where cleanup_policy does not compact, for an
  // option out of range, and for a record that `options` refuse (kInvalidRecord); kUnavailable while another pass runs;
  // kDataLoss, damaged bytes in what is to be compacted, and kInternal, bytes that the device cannot read now: nothing
  // more is touched; kResourceExhausted, no room for the new segments or the key map. One thing a full disk does not leave
  // as it was: where the directory has no room for the new names of the old files, appends fail until the log is reopened,
  // which completes the exchange. Cost: reads what is dirty twice and everything else that is cleanable once, writes what
  // stays; key_map_bytes of memory at most.
  [[nodiscard]] absl::StatusOr<CompactionResult> Compact(const CompactionOptions& options = {});

  // Begins the same as a pass that goes on when its Step is called. Nothing is read or written yet. The pass counts as
  // running until it has come to its end, failed, or is destroyed. Errors: kInvalidArgument, kUnavailable, as Compact;
  // kFailedPrecondition.
  [[nodiscard]] absl::StatusOr<std::unique_ptr<CompactionPass>> BeginCompaction(const CompactionOptions& options = {});

  // What it would do now: CompactionResult from `reason` to `first_uncleanable_offset`; nothing is changed, and a pass may
  // be running. Errors: as BeginCompaction, but for kUnavailable. Cost: asks for the sizes of index files.
  [[nodiscard]] absl::StatusOr<CompactionResult> PlanCompaction(const CompactionOptions& options = {}) const;

  // Starts a new active segment, if the present one is not empty.
  [[nodiscard]] absl::Status Roll();

  // Read-only logs: takes in what the writer did since, as its live line or the directory says; that it died may show 2 ms
  // late. Others: does nothing. Waits up to 100 ms for a writer that recovers the log or replaces files, if it is loaded
  // anew or a read was kAborted because of that: whoever reads and refreshes in turn does not spin.
  [[nodiscard]] absl::Status Refresh();

  // Flushes, trims, writes the producer snapshot and the clean mark. Later appends answer kFailedPrecondition; reads
  // from ranges and readers that are still held go on. A compaction is given up; a step of it under way is stopped and
  // waited for. The first call's status counts; later calls answer the same.
  [[nodiscard]] absl::Status Close();

  [[nodiscard]] const std::string& directory() const;
  [[nodiscard]] const LogOptions& options() const;
  [[nodiscard]] const RecoveryReport& recovery_report() const;
  // Damaged ranges that stay: those that this opening found, or an earlier one (varve.damage), and what readers have met
  // since. Opening reads nothing of most segments; who reads of one first tests it there (log_reader.h). What goes bad
  // after that is met by whoever reads it: kDataLoss, or a batch whose checksum does not match. Where a reader met bytes
  // that the device could not read, each later read of them tries again: what can be read then is damage no longer.
  [[nodiscard]] std::vector<DamagedRange> damage() const;
  [[nodiscard]] std::vector<LogSegmentInfo> segments() const;
  [[nodiscard]] std::vector<LeaderEpoch> leader_epochs() const;
  // (epoch, end offset) for a follower's question (Kafka OffsetsForLeaderEpoch); absent where there is no answer.
  [[nodiscard]] std::optional<LeaderEpoch> EndOffsetForEpoch(int32_t epoch) const;
  // Notes a new leader epoch that starts at the log end (Kafka UnifiedLog.assignEpochStartOffset). Those that are
  // known of the same or a higher epoch go, and so do those that start there. kInvalidArgument: a negative epoch.
  // Logs that follow in other processes learn of it at the Refresh behind a roll, a truncation or a compaction; of one
  // above all others already behind its first batch.
  [[nodiscard]] absl::Status AssignLeaderEpoch(int32_t epoch);
  // Of read-only logs: empty where the system refuses to list or read the snapshots; the next call asks again.
  [[nodiscard]] std::vector<ProducerStateEntry> producers() const;
  // Forgets the producers without an open transaction whose last batch or marker bears a timestamp that is
  // producer_id_expiration_ms old, as Kafka does every ten minutes; opening does too. Answers how many. A log whose host
  // never calls it remembers every producer since it was opened.
  [[nodiscard]] absl::StatusOr<int64_t> RemoveExpiredProducers();

 private:
  class Impl;
  friend class LogReader;
  explicit Log(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace varve

#endif  // VARVE_LOG_H_
