// ReferenceLog: what a log must hold, in the simplest form: a list of batches and four numbers. Every answer is a walk
// over the list, so that nobody need wonder whether it is right.
#ifndef VARVE_TESTS_MODEL_REFERENCE_LOG_H_
#define VARVE_TESTS_MODEL_REFERENCE_LOG_H_

#include <cstdint>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "varve/record_batch.h"

namespace varve::testing_support {

struct ReferenceRecord {
  int64_t offset = 0;
  int64_t timestamp_ms = 0;
  std::optional<std::string> key = std::nullopt;
  std::optional<std::string> value = std::nullopt;

  friend bool operator==(const ReferenceRecord&, const ReferenceRecord&) = default;
  friend std::ostream& operator<<(std::ostream& out, const ReferenceRecord& record);
};

struct ReferenceBatch {
  std::vector<ReferenceRecord> records = {};
  int64_t producer_id = kNoProducerId;
  int16_t producer_epoch = kNoProducerEpoch;
  int32_t base_sequence = kNoSequence;
  bool transactional = false;
  std::optional<ControlType> control = std::nullopt;   // a transaction's marker, of one record that nobody gets
  std::optional<int32_t> leader_epoch = std::nullopt;  // where it is known

  // Compaction takes records away, and never these.
  int64_t base_offset = 0;
  int64_t last_offset = 0;
};

class ReferenceLog {
 public:
  [[nodiscard]] const std::vector<ReferenceBatch>& batches() const { return batches_; }
  [[nodiscard]] int64_t log_start_offset() const { return log_start_offset_; }
  [[nodiscard]] int64_t log_end_offset() const { return log_end_offset_; }

  // At the log end; offsets are given here.
  void Append(ReferenceBatch batch);
  // Behind a gap, as followers append.
  void AppendAt(int64_t base_offset, ReferenceBatch batch);
  void TruncateTo(int64_t offset);
  void StartAt(int64_t offset);
  void DeleteBefore(int64_t offset);
  // Takes records and markers out that a compaction has removed.
  void Keep(const std::set<int64_t>& offsets);

  // Behind the last record, or behind what was before it; the log start where there is none. A log whose last batches
  // were compacted away may end here.
  [[nodiscard]] int64_t LastRecordEnd() const;

  // What consumers get: no markers, nothing below the log start.
  [[nodiscard]] std::vector<ReferenceRecord> Records() const;
  // Where the first transaction that is still open begins, else the log end. Data that is below the log start or was
  // compacted away (a truncation can open a transaction again) may be remembered or not: a log forgets it when it must
  // read its producers anew.
  enum class DeletedTransactions { kRemembered, kForgotten };
  [[nodiscard]] int64_t LastStableOffset(DeletedTransactions deleted) const;
  // What read_committed consumers get where that is the last stable offset: nothing of aborted transactions.
  [[nodiscard]] std::vector<ReferenceRecord> CommittedRecords(int64_t last_stable_offset) const;
  // The lowest offset at or above the log start of a record (a marker, too) with this timestamp or a later one.
  [[nodiscard]] std::optional<int64_t> OffsetForTimestamp(int64_t timestamp_ms) const;
  // The next sequence of a producer's epoch; absent where the log holds no data of it, and so may not know it.
  [[nodiscard]] std::optional<int32_t> NextSequence(int64_t producer_id, int16_t epoch) const;
  [[nodiscard]] bool IsOpen(int64_t producer_id) const;  // has it a transaction without a marker?
  [[nodiscard]] bool IsAborted(int64_t offset) const;    // is the record there of an aborted transaction?
  // The offsets of data of the transaction that the marker at this offset ends.
  [[nodiscard]] std::vector<int64_t> TransactionOf(int64_t marker_offset) const;

 private:
  // No record at or above the log start.
  [[nodiscard]] bool HasNothingLeft(const ReferenceBatch& batch) const;
  // The marker that ends the transaction which the batch at `index` belongs to; absent where it is open.
  [[nodiscard]] std::optional<ControlType> MarkerOf(size_t index) const;

  std::vector<ReferenceBatch> batches_;  // all that were appended and not truncated, ascending
  int64_t log_start_offset_ = 0;
  int64_t log_end_offset_ = 0;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_MODEL_REFERENCE_LOG_H_
