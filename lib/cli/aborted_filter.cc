#include "cli/aborted_filter.h"

#include <iterator>

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

void AbortedFilter::Note(const AbortedTransaction& transaction) {
  indexed_[transaction.producer_id][transaction.first_offset] = transaction.last_offset;
}

bool AbortedFilter::IsAborted(const RecordBatchView& batch) const {
  if (!batch.is_transactional()) return false;
  if (const auto of_producer = markers_.find(batch.producer_id()); of_producer != markers_.end()) {
    const auto marker = of_producer->second.upper_bound(batch.last_offset());
    if (marker != of_producer->second.end() && marker->second) return true;
  }
  const auto of_producer = indexed_.find(batch.producer_id());
  if (of_producer == indexed_.end()) return false;
  const auto behind = of_producer->second.upper_bound(batch.base_offset());
  return behind != of_producer->second.begin() && batch.last_offset() <= std::prev(behind)->second;
}

}  // namespace varve::cli
