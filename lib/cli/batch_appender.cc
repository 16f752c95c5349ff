#include "cli/batch_appender.h"

#include <algorithm>
#include <optional>

#include "cli/exit_status.h"
#include "varve/errors.h"

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
  const auto bytes = static_cast<int64_t>(builder_.size_bytes());
  const int64_t records_before = totals_.records;
  const absl::StatusOr<std::span<const std::byte>> batch = builder_.Build();
  absl::Status status = batch.ok() ? AppendBatch(*batch) : batch.status();
  if (totals_.records > records_before) totals_.bytes += bytes;
  StartBatch();
  return status;
}

absl::Status BatchAppender::AppendBatch(std::span<const std::byte> batch) {
  const RecordBatchView view(batch);
  const absl::StatusOr<AppendResult> result = log_->AppendBatch(batch, options_);
  if (!result.ok()) {
    const std::optional<KafkaError> error = KafkaErrorOf(result.status());
    const bool too_large = error == KafkaError::kMessageTooLarge || error == KafkaError::kRecordListTooLarge;
    return too_large && view.record_count() > 1 ? AppendHalves(view) : result.status();
  }
  if (totals_.records == 0) totals_.first_offset = result->base_offset;
  totals_.last_offset = result->last_offset;
  totals_.records += view.record_count();
  totals_.batches += 1;
  return absl::OkStatus();
}

absl::Status BatchAppender::AppendHalves(const RecordBatchView& batch) {
  DecodeBuffer decoded;
  RecordCursor cursor(batch, &decoded);
  RecordBatchBuilder half;
  for (int32_t left = batch.record_count(); left > 0;) {
    half.Reset({.codec = batch.codec()});
    int32_t records = std::min(left, (batch.record_count() + 1) / 2);
    for (RecordView record; records > 0 && cursor.Next(&record); --records, --left) {
      if (absl::Status status = half.AddAt(half.record_count(), record); !status.ok()) return status;
    }
    if (!cursor.status().ok()) return cursor.status();
    const absl::StatusOr<std::span<const std::byte>> built = half.Build();
    if (!built.ok()) return built.status();
    if (absl::Status status = AppendBatch(*built); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace varve::cli
