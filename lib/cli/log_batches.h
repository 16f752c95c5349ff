// LogBatches: the batches of an open log from an offset on. They are copied by read calls, so that a bad sector is a
// status and not the end of the process, and each checksum is verified before a batch is given out.
//
// Thread rules: one thread. Lifetime: the log must outlive it; a batch is valid until the next call. Cost: one read
// call and at most `read_bytes` of memory for several batches; more where one batch is larger.
//
//   LogBatches batches(log, Isolation::kHighWatermark, from_offset);
//   for (absl::StatusOr<bool> more = batches.Next(); more.ok() && *more; more = batches.Next()) Use(batches.batch());
#ifndef VARVE_LIB_CLI_LOG_BATCHES_H_
#define VARVE_LIB_CLI_LOG_BATCHES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/log.h"

namespace varve::cli {

class LogBatches {
 public:
  LogBatches(const Log* log, Isolation isolation, int64_t from_offset, int64_t read_bytes = int64_t{1} << 20)
      : log_(log),
        options_{.max_bytes = read_bytes, .isolation = isolation},
        reader_(log->NewReader()),
        next_offset_(from_offset) {}

  // Moves to the next batch, at first the one that holds the first offset; false at the visible end. kDataLoss: damage
  // lies at next_offset(); the next call goes on behind it, unless next_offset() has stayed where it was. Else as
  // LogReader::Read and FileRange::CopyTo.
  [[nodiscard]] absl::StatusOr<bool> Next();

  [[nodiscard]] const RecordBatchView& batch() const { return batch_; }
  // As LogReader::IsAborted, of the batch.
  [[nodiscard]] absl::StatusOr<bool> IsAborted() { return reader_.IsAborted(batch_); }
  // Where the next call goes on: behind the batch, or behind the damage just met.
  [[nodiscard]] int64_t next_offset() const { return next_offset_; }

 private:
  absl::StatusOr<bool> Refill();
  absl::Status DamageAt(size_t position_in_range, const absl::Status& why) const;

  const Log* const log_;
  const ReadOptions options_;
  LogReader reader_;
  int64_t next_offset_;
  std::vector<std::byte> bytes_;     // of the range at hand
  std::span<const std::byte> rest_;  // of bytes_: what was not given out yet
  int64_t range_segment_ = 0;
  int64_t range_position_ = 0;
  int64_t range_next_offset_ = 0;
  RecordBatchView batch_;
};

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_LOG_BATCHES_H_
