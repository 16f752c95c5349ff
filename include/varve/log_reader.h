// LogReader and LogScan: reading a Log without locks.
//
// A LogReader caches the list of segments and its hold on the last ones used, and checks one word per call whether they
// are still the log's. It allocates nothing and asks the kernel nothing once the segments it reads are open.
//
// Opening a log believes most segments unread. So the first read of bytes that were there then tests them, checksums and
// all, from one index entry to the next (index_interval_bytes, or the length of a batch). Where they are not as they were
// written, the whole segment is read once, by the rules of recovery: the damaged batch is kDataLoss from then on, those on
// either side of it are served, and bytes within a record are never taken for batches. A header that an opening could mend
// is damage until then (LogOptions::recover_all). Should that reading fail, its error is the answer, and the next read
// tries again.
//
// Thread rules: one thread at a time per handle; make one for each thread by Log::NewReader. Handles may outlive Close
// and the Log itself; what they serve then is the log as it was.
//
//   varve::LogReader reader = log->NewReader();
//   for (int64_t offset = 0;;) {
//     absl::StatusOr<varve::FileRange> range = reader.Read(offset);
//     if (!range.ok() || range->empty()) break;
//     std::span<const std::byte> bytes = range->View();
//     for (varve::RecordBatchView batch; varve::NextBatch(&bytes, &batch);) Use(batch);
//     offset = range->next_offset();
//   }
#ifndef VARVE_LOG_READER_H_
#define VARVE_LOG_READER_H_

#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/file_range.h"
#include "varve/log_options.h"
#include "varve/offset_lookup.h"
#include "varve/record.h"
#include "varve/record_batch.h"
#include "varve/transaction_index.h"

namespace varve {

// Special values of OffsetForTimestamp (Kafka ListOffsetsRequest).
inline constexpr int64_t kLatestTimestamp = -1;
inline constexpr int64_t kEarliestTimestamp = -2;
inline constexpr int64_t kMaxTimestamp = -3;

struct TimestampLookup {
  int64_t timestamp_ms = kNoTimestamp;  // of the record found; kNoTimestamp for earliest and latest
  int64_t offset = 0;
  std::optional<int32_t> leader_epoch;  // as the record's batch, or for earliest and latest the epoch file, says
};

class LogScan;

struct ScanOptions {
  int64_t to_offset = -1;        // stop before this offset; -1: the visible end when the scan began
  bool verify_checksums = true;  // a batch whose checksum fails ends the scan with kDataLoss
  bool control_records = false;  // deliver control records too
  Isolation isolation = Isolation::kHighWatermark;
};

class LogReader {
 public:
  LogReader(LogReader&&) noexcept;
  LogReader& operator=(LogReader&&) noexcept;
  ~LogReader();

  // As Log::Read; the result borrows this reader's hold and is valid until the next call on it, unless kept.
  [[nodiscard]] absl::StatusOr<FileRange> Read(int64_t offset, const ReadOptions& options = {});

  // Where the batch lies that holds `offset`, or the next one in a gap. Absent at the visible end. Errors as Log::Read.
  [[nodiscard]] absl::StatusOr<std::optional<OffsetLookup>> Find(int64_t offset,
                                                                 Isolation isolation = Isolation::kHighWatermark);

  // The batch that holds `offset`, or the next one: valid until the next call on this reader. Absent at the visible
  // end.
  [[nodiscard]] absl::StatusOr<std::optional<RecordBatchView>> ReadBatch(
      int64_t offset, Isolation isolation = Isolation::kHighWatermark);

  // The aborted transactions with offsets in [from_offset, to_offset), as a broker lists them with what a
  // read_committed consumer has fetched (Kafka UnifiedLog.collectAbortedTransactions): from the offset that was asked
  // for to range.next_offset(). They are those of the log as it is now: below the last stable offset the answer changes
  // only with what a truncation or a compaction takes away. What this reader holds stays valid. Errors: kDataLoss,
  // naming the .txnindex; kAborted. Cost: the index of each sealed segment from there on is read once in the log's
  // life, the active one's each time.
  [[nodiscard]] absl::StatusOr<std::vector<AbortedTransaction>> AbortedTransactions(int64_t from_offset,
                                                                                    int64_t to_offset) const;

  // True if `batch`, which this reader has read with Isolation::kCommitted, holds data of an aborted transaction, which
  // a read_committed consumer leaves out. A high watermark that has fallen since changes nothing. kAborted, too: the
  // batch's segment or one behind it was truncated, compacted or deleted since, and what told of the transaction may be
  // gone with it; read on from the batch's base offset. A reader that has read nothing tells of the log as it is now,
  // which may hold another batch there. Other errors and holds: as AbortedTransactions. Cost: AbortedTransactions from
  // the batch to the last stable offset, then a lookup for each batch of a transaction until that is reached; nothing
  // for other batches.
  [[nodiscard]] absl::StatusOr<bool> IsAborted(const RecordBatchView& batch);

  // As Log::OffsetForTimestamp.
  [[nodiscard]] absl::StatusOr<std::optional<TimestampLookup>> OffsetForTimestamp(int64_t timestamp_ms);

  // As Log::Scan; the scan has a handle of its own.
  [[nodiscard]] LogScan Scan(int64_t offset, const ScanOptions& options = {});

 private:
  friend class Log;
  friend class LogScan;
  class Impl;
  explicit LogReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// An input range of records, each batch's checksum verified before its first record is given out. Control records are
// left out, and with Isolation::kCommitted the records of transactions that were aborted. Iteration ends at the end or at the first error: look at status() after the loop.
// Lifetime: a RecordView is valid until the iterator moves on.
class LogScan {
 public:
  LogScan(LogReader reader, int64_t offset, const ScanOptions& options = {});
  LogScan(LogScan&&) noexcept;
  LogScan& operator=(LogScan&&) noexcept;
  ~LogScan();

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = RecordView;
    using difference_type = std::ptrdiff_t;
    using pointer = const RecordView*;
    using reference = const RecordView&;

    explicit Iterator(LogScan* scan) : scan_(scan) { ++*this; }
    [[nodiscard]] const RecordView& operator*() const { return scan_->record_; }
    [[nodiscard]] const RecordView* operator->() const { return &scan_->record_; }
    Iterator& operator++() {
      if (!scan_->Next()) scan_ = nullptr;
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& iterator, std::default_sentinel_t) { return iterator.scan_ == nullptr; }

   private:
    LogScan* scan_;
  };

  [[nodiscard]] Iterator begin() { return Iterator(this); }
  [[nodiscard]] std::default_sentinel_t end() const { return {}; }

  // Moves to the next record; false at the end or after an error.
  [[nodiscard]] bool Next();
  [[nodiscard]] const RecordView& record() const { return record_; }

  // OK, or why the scan ended early (kDataLoss, kOutOfRange, …).
  [[nodiscard]] const absl::Status& status() const { return status_; }
  // The offset to go on from: behind the last record given out, or behind the damage where `status` is kDataLoss. Where
  // the system does not let the damaged file be read anew, it is the offset that could not be read.
  [[nodiscard]] int64_t next_offset() const { return next_offset_; }

 private:
  bool NextBatchOfLog();

  LogReader reader_;
  ScanOptions options_;
  int64_t next_offset_;
  int64_t to_offset_;
  RecordView record_;
  absl::Status status_;
  struct Cursor;
  std::unique_ptr<Cursor> cursor_;
};

}  // namespace varve

#endif  // VARVE_LOG_READER_H_
