// BatchAppender: gathers records into batches of at most so many records and bytes, and appends them to a log.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_BATCH_APPENDER_H_
#define VARVE_LIB_CLI_BATCH_APPENDER_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "varve/log.h"
#include "varve/log_options.h"
#include "varve/record_batch.h"

namespace varve::cli {

struct BatchLimits {
  int64_t max_records = 500;
  int64_t max_bytes = 1'000'000;  // of a batch, before compression
  // A record that alone makes a batch of more bytes is refused. At or above max_bytes.
  int64_t max_lone_record_bytes = 1'000'000;
};

class BatchAppender {
 public:
  // What was appended so far.
  struct Totals {
    int64_t records = 0;
    int64_t batches = 0;
    int64_t bytes = 0;  // of batches, before compression
    int64_t first_offset = -1;
    int64_t last_offset = -1;
  };

  BatchAppender(Log* log, Clock* clock, const BatchLimits& limits, const AppendOptions& options);

  // True if the present batch is not full and stays within its limits with the record, or is empty.
  [[nodiscard]] bool HasRoomFor(const Record& record) const;

  // Takes the record, for which there is room, into the present batch. kInvalidArgument: it is too large to be a batch
  // alone, or no record that can be (a time below -1); the batch is as it was.
  [[nodiscard]] absl::Status Add(const Record& record);

  // The present batch has as many records as it may.
  [[nodiscard]] bool full() const { return builder_.record_count() >= limits_.max_records; }
  [[nodiscard]] bool empty() const { return builder_.record_count() == 0; }

  // Appends the present batch, if there is any, and begins the next. Data that do not compress grow in a codec: a batch
  // that is too large for the log only then is appended in parts. Errors: as Log::AppendBatch; the records that are not
  // appended are then dropped.
  [[nodiscard]] absl::Status Flush();

  [[nodiscard]] const Totals& totals() const { return totals_; }

 private:
  void StartBatch();
  absl::Status AppendBatch(std::span<const std::byte> batch);
  absl::Status AppendHalves(const RecordBatchView& batch);

  Log* const log_;
  Clock* const clock_;
  const BatchLimits limits_;
  const AppendOptions options_;
  RecordBatchBuilder builder_;
  Totals totals_;
};

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_BATCH_APPENDER_H_
