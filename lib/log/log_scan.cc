#include <utility>

#include "base/status.h"
#include "log/log_reader_impl.h"
#include "varve/errors.h"
#include "varve/log_reader.h"

namespace varve {

// The batch being given out. The cursor refers to the mapped batch and to `scratch`.
struct LogScan::Cursor {
  DecodeBuffer scratch;
  std::optional<RecordCursor> records;
  int64_t batch_next_offset = 0;
};

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
    absl::StatusOr<std::optional<RecordBatchView>> batch = reader_.ReadBatch(next_offset_, options_.isolation);
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
