#include "cli/batch_appender.h"

#include "cli/exit_status.h"

namespace varve::cli {

BatchAppender::BatchAppender(Log* log, Clock* clock, const BatchLimits& limits, const AppendOptions& options)
    : log_(log), clock_(clock), limits_(limits), options_(options) {
  StartBatch();
}

void BatchAppender::StartBatch() {
  builder_.Reset({.codec = options_.compression, .default_timestamp_ms = clock_->WallMs()});
}

bool BatchAppender::HasRoomFor(const Record& record) const {
  return empty() || (!full() && builder_.SizeWith(record) <= static_cast<size_t>(limits_.max_bytes));
}

absl::Status BatchAppender::Add(const Record& record) {
  if (empty()) {
    StartBatch();  // the clock may have gone on since the last one
    const size_t lone_bytes = builder_.SizeWith(record);
    if (lone_bytes > static_cast<size_t>(limits_.max_lone_record_bytes)) {
      return Failure(absl::StatusCode::kInvalidArgument,
                     "expected a record that makes a batch of at most {} bytes, found one that makes {}; raise "
                     "--max-message-bytes or --batch-bytes",
                     limits_.max_lone_record_bytes, lone_bytes);
    }
  }
  return builder_.Add(record);
}

absl::Status BatchAppender::Flush() {
  if (empty()) return absl::OkStatus();
  const int32_t records = builder_.record_count();
  const auto bytes = static_cast<int64_t>(builder_.size_bytes());
  const absl::StatusOr<std::span<const std::byte>> batch = builder_.Build();
  absl::StatusOr<AppendResult> result =
      batch.ok() ? log_->AppendBatch(*batch, options_) : absl::StatusOr<AppendResult>(batch.status());
  StartBatch();
  if (!result.ok()) return result.status();
  if (totals_.records == 0) totals_.first_offset = result->base_offset;
  totals_.last_offset = result->last_offset;
  totals_.records += records;
  totals_.batches += 1;
  totals_.bytes += bytes;
  return absl::OkStatus();
}

}  // namespace varve::cli
