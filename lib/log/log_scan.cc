#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>

#include "base/status.h"
#include "log/log_reader_impl.h"
#include "varve/errors.h"
#include "varve/log_reader.h"

namespace varve {

// The batch being given out, and those that were found with it. All refer to what the reader holds, and the cursor to
// `scratch`.
struct LogScan::Cursor {
  DecodeBuffer scratch;
  std::optional<RecordCursor> records;
  int64_t batch_next_offset = 0;
  std::span<const std::byte> run;  // the batches that follow
  int64_t run_bytes = 0;           // of the next run; 0: a batch alone

  // As LogReader::ReadBatch. Runs are looked up rather than batches: short ones at first, as a scan may be for one record
  // and all that is looked up is tested.
  absl::StatusOr<std::optional<RecordBatchView>> TakeBatch(LogReader* reader, int64_t offset, Isolation isolation);

 private:
  // Of the run, if that holds it still.
  std::optional<RecordBatchView> TakeOfRun(const LogReader& reader, int64_t offset);
};

std::optional<RecordBatchView> LogScan::Cursor::TakeOfRun(const LogReader& reader, int64_t offset) {
  if (!run.empty() && reader.impl_->IsCurrent(offset)) {
    for (RecordBatchView batch; NextBatch(&run, &batch);) {
      if (batch.last_offset() >= offset) return batch;
    }
  }
  run = {};
  return std::nullopt;
}

absl::StatusOr<std::optional<RecordBatchView>> LogScan::Cursor::TakeBatch(LogReader* reader, int64_t offset,
                                                                          Isolation isolation) {
  constexpr int64_t kFirstRunBytes = 16 * 1024;
  constexpr int64_t kLongestRunBytes = 256 * 1024;
  if (const std::optional<RecordBatchView> batch = TakeOfRun(*reader, offset)) return batch;
  const int64_t max_bytes = std::exchange(run_bytes, std::clamp(2 * run_bytes, kFirstRunBytes, kLongestRunBytes));
  if (max_bytes > 0) {
    const absl::StatusOr<FileRange> range = reader->Read(offset, {.max_bytes = max_bytes, .isolation = isolation});
    if (range.ok()) {
      run = range->View();
      if (const std::optional<RecordBatchView> batch = TakeOfRun(*reader, offset)) return batch;
    }
  }
  return reader->ReadBatch(offset, isolation);  // at the end, or where the fault of a run may lie further on
}

LogScan::LogScan(LogReader reader, int64_t offset, const ScanOptions& options)
    : reader_(std::move(reader)),
      options_(options),
      next_offset_(offset),
      to_offset_(options.to_offset >= 0 ? options.to_offset
                                        : reader_.impl_->core().frontiers.VisibleEnd(options.isolation)),
      cursor_(std::make_unique<Cursor>()) {}

LogScan::LogScan(LogScan&&) noexcept = default;
LogScan& LogScan::operator=(LogScan&&) noexcept = default;
LogScan::~LogScan() = default;

bool LogScan::Next() {
  while (status_.ok()) {
    if (cursor_->records.has_value()) {
      while (cursor_->records->Next(&record_)) {
        if (record_.offset() < next_offset_) continue;  // the batch began before the asked offset
        if (record_.offset() >= to_offset_) return false;
        next_offset_ = record_.offset() + 1;
        return true;
      }
      status_ = cursor_->records->status();
      cursor_->records.reset();
      next_offset_ = cursor_->batch_next_offset;
      if (!status_.ok()) return false;
    }
    if (next_offset_ >= to_offset_ || !NextBatchOfLog()) return false;
  }
  return false;
}

// Sets the cursor to the next batch that has records to give out; false at the end or on an error.
bool LogScan::NextBatchOfLog() {
  while (next_offset_ < to_offset_) {
    const absl::StatusOr<std::optional<RecordBatchView>> batch =
        cursor_->TakeBatch(&reader_, next_offset_, options_.isolation);
    if (!batch.ok()) {
      status_ = batch.status();
      if (absl::IsDataLoss(status_)) next_offset_ = reader_.impl_->BehindDamage(next_offset_);
      return false;
    }
    if (!batch->has_value()) return false;
    const RecordBatchView& view = **batch;
    if (options_.verify_checksums && !view.CrcMatches()) {
      status_ =
          WithKafkaError(internal::Error(absl::StatusCode::kDataLoss,
                                         "{}: batch with offsets {} to {}: expected checksum {:#010x}, found {:#010x}",
                                         reader_.impl_->core().directory, view.base_offset(), view.last_offset(),
                                         view.crc(), view.ComputeCrc()),
                         KafkaError::kCorruptMessage);
      next_offset_ = view.next_offset();
      return false;
    }
    if (view.is_control() && !options_.control_records) {
      next_offset_ = view.next_offset();
      continue;
    }
    if (options_.isolation == Isolation::kCommitted && view.is_transactional() && !view.is_control()) {
      const absl::StatusOr<std::optional<bool>> aborted = reader_.impl_->IsAborted(view);
      status_ = aborted.status();
      if (!status_.ok()) return false;
      if (!aborted->has_value()) continue;
      if (**aborted) {
        next_offset_ = view.next_offset();
        continue;
      }
    }
    cursor_->batch_next_offset = view.next_offset();
    cursor_->records.emplace(view, &cursor_->scratch);
    return true;
  }
  return false;
}

LogScan LogReader::Scan(int64_t offset, const ScanOptions& options) {
  return LogScan(LogReader(std::make_unique<Impl>(impl_->core_ptr())), offset, options);
}

}  // namespace varve
