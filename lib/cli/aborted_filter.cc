#include "cli/aborted_filter.h"

namespace varve::cli {

void AbortedFilter::Note(const RecordBatchView& batch) {
  if (!batch.is_control()) return;
  RecordCursor cursor(batch, /*scratch=*/nullptr);  // control batches are never compressed
  RecordView record;
  if (!cursor.Next(&record)) return;
  const absl::StatusOr<ControlRecord> control = ParseControlRecord(record);
  if (!control.ok() || !control->IsMarker()) return;
  markers_[batch.producer_id()][record.offset()] = control->type == static_cast<int16_t>(ControlType::kAbort);
}

bool AbortedFilter::IsAborted(const RecordBatchView& batch) const {
  if (!batch.is_transactional()) return false;
  const auto of_producer = markers_.find(batch.producer_id());
  if (of_producer == markers_.end()) return false;
  const auto marker = of_producer->second.upper_bound(batch.last_offset());
  return marker != of_producer->second.end() && marker->second;
}

}  // namespace varve::cli
