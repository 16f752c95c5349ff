// ProducerStateManager: the idempotent and transactional producers of one partition, and their snapshots.
//
// It is fed every batch that enters the log: by Check before a client's batch is written, by Replay afterwards and when
// a log is loaded. It knows which transactions are open, and which are closed by a marker that is not yet below the
// high watermark; the first offset of all those is where committed readers stop (the last stable offset).
// state/producer_snapshot.h has the form of the files and what a crash leaves of them. (Kafka: ProducerStateManager,
// ProducerAppendInfo.)
//
// Thread rules: one thread at a time; concurrent const calls are fine.
// Cost: a batch without a producer is one comparison; another one is a hash lookup, and two in a balanced tree where it
// opens or closes a transaction.
//
//   VARVE_ASSIGN_OR_RETURN(const int64_t replay_from, producers.Reload(log_start, log_end, now_ms));
//   for (batch of the log from replay_from on) {
//     std::optional<CompletedTransaction> completed;
//     VARVE_RETURN_IF_ERROR(producers.Replay(batch, &completed));
//     if (completed.has_value() && completed->aborted) AddToTransactionIndex(*completed);
//   }
#ifndef VARVE_LIB_STATE_PRODUCER_STATE_MANAGER_H_
#define VARVE_LIB_STATE_PRODUCER_STATE_MANAGER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "state/producer_snapshot.h"
#include "varve/file_system.h"
#include "varve/producer_state.h"
#include "varve/record_batch.h"

namespace varve::internal {

// A transaction that a marker has just closed.
struct CompletedTransaction {
  int64_t producer_id = -1;
  int64_t first_offset = -1;
  int64_t last_offset = -1;         // the marker's
  int64_t last_stable_offset = -1;  // first offset of another open transaction, the oldest; else last_offset + 1
  bool aborted = false;

  friend bool operator==(const CompletedTransaction&, const CompletedTransaction&) = default;
};

class ProducerStateManager {
 public:
  // Snapshots live in `directory`. A producer without an open transaction whose last timestamp is expiration_ms old, or
  // older, may be forgotten. No file is touched here.
  ProducerStateManager(FileSystem* file_system, std::string directory, int64_t expiration_ms);

  ProducerStateManager(const ProducerStateManager&) = delete;
  ProducerStateManager& operator=(const ProducerStateManager&) = delete;

  // What a leader must answer to a batch before it writes it; changes nothing. Absent: append it. A value: the batch is
  // there already, at these offsets. kInvalidArgument, with Kafka's number attached: the producer's epoch is below the
  // known one (kInvalidProducerEpoch); its sequence leaves a gap, goes back, or does not begin anew with a new epoch
  // (kOutOfOrderSequenceNumber); data without a transaction inside one (kInvalidTxnState); a marker of a coordinator
  // that was replaced (kTransactionCoordinatorFenced). kDataLoss: a control batch that cannot be read. Format notes
  // §8.2.
  [[nodiscard]] absl::StatusOr<std::optional<ProducerBatch>> Check(const RecordBatchView& batch) const {
    if (batch.producer_id() < 0) return std::nullopt;
    return CheckProducer(batch);
  }

  // Takes in a batch that is in the log, in the log's order, without any of those checks. If it closes a transaction
  // that had data, *completed says so; otherwise it stays as it is. kDataLoss, with nothing changed: a control batch
  // that cannot be read.
  [[nodiscard]] absl::Status Replay(const RecordBatchView& batch, std::optional<CompletedTransaction>* completed) {
    if (batch.producer_id() < 0) return absl::OkStatus();
    return ReplayProducer(batch, completed);
  }

  // OK unless `batch` is a control batch that Replay could not read: kInvalidArgument (corrupt message).
  [[nodiscard]] static absl::Status CheckReadable(const RecordBatchView& batch);

  // What Restore needs to take back all that Replay was given since, as long as that was of these producers.
  struct Memory {
    std::vector<std::pair<int64_t, std::optional<ProducerStateEntry>>> producers;
  };
  [[nodiscard]] Memory Remember(std::span<const int64_t> producer_ids) const;
  // `log_end_offset`: no batch at or above it counts.
  void Restore(Memory memory, int64_t log_end_offset);

  // Null if it is not known. Valid until the next change.
  [[nodiscard]] const ProducerStateEntry* Find(int64_t producer_id) const;
  // All producers, by id.
  [[nodiscard]] std::vector<ProducerStateEntry> entries() const;
  [[nodiscard]] bool empty() const { return producers_.empty(); }

  // The first offset of the oldest open transaction.
  [[nodiscard]] std::optional<int64_t> FirstOpenOffset() const;
  // Transactions that were closed and whose markers are not below the high watermark: first offset -> the marker's.
  [[nodiscard]] const std::map<int64_t, int64_t>& closed_transactions() const { return unreplicated_; }

  // Takes over those of `before` whose markers lie below the log end, which a snapshot tells nothing of.
  void KeepClosedTransactions(const ProducerStateManager& before, int64_t log_end_offset);
  // Transactions whose markers lie below are stable from now on, and forgotten. True if there were any.
  bool AdvanceHighWatermark(int64_t high_watermark);

  // Forgets the producers that expired (once every producer.id.expiration.check.interval.ms in Kafka); how many.
  int64_t RemoveExpired(int64_t now_ms);

  // Forgets everything and loads the newest readable snapshot in (log_start_offset, log_end_offset], without the
  // producers that have expired; damaged ones are passed over, and those at the offsets in `disregarded`. No file is
  // changed. Answers the offset from which the log must be replayed: the snapshot's, or the log start if there is none.
  // Errors: as the file system.
  [[nodiscard]] absl::StatusOr<int64_t> Reload(int64_t log_start_offset, int64_t log_end_offset, int64_t now_ms,
                                               const std::set<int64_t>& disregarded = {});

  // From here on snapshots are those of `file_system`, which holds the same files.
  void MoveTo(FileSystem* file_system) { file_system_ = file_system; }

  // Writes the snapshot named by `offset`, up to which everything was replayed. Does nothing unless that is above the
  // last snapshot taken or loaded, or the log start that Reload began with. Errors: as WriteProducerSnapshot; a file
  // that was begun may be left, its checksum wrong.
  [[nodiscard]] absl::Status WriteSnapshot(int64_t offset, SnapshotSync sync);

  // Removes the snapshot named by `offset`, if there is one: it goes with the segment of that base. Errors: as the file
  // system.
  [[nodiscard]] absl::Status RemoveSnapshot(int64_t offset);

 private:
  absl::StatusOr<std::optional<ProducerBatch>> CheckProducer(const RecordBatchView& batch) const;
  absl::Status ReplayProducer(const RecordBatchView& batch, std::optional<CompletedTransaction>* completed);
  void ReplayData(const RecordBatchView& batch);
  absl::Status ReplayMarker(const RecordBatchView& batch, std::optional<CompletedTransaction>* completed);
  CompletedTransaction Complete(int64_t producer_id, int64_t first_offset, int64_t last_offset, bool aborted);
  void LoadEntries(std::vector<ProducerStateEntry> entries, int64_t now_ms);
  bool IsExpired(const ProducerStateEntry& producer, int64_t now_ms) const;
  std::string SnapshotPath(int64_t offset) const;
  void Forget();

  FileSystem* file_system_;
  const std::string directory_;
  const int64_t expiration_ms_;
  std::unordered_map<int64_t, ProducerStateEntry> producers_;
  std::map<int64_t, int64_t> open_;          // first offset -> producer id
  std::map<int64_t, int64_t> unreplicated_;  // first offset -> the marker's offset
  int64_t last_snapshot_offset_ = 0;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_STATE_PRODUCER_STATE_MANAGER_H_
