#include "log/cleaned_transactions.h"

#include <algorithm>
#include <utility>

#include "base/status.h"

namespace varve::internal {

CleanedTransactions::CleanedTransactions(std::vector<AbortedTransaction> aborted) : aborted_(std::move(aborted)) {
  std::ranges::stable_sort(aborted_, {}, &AbortedTransaction::first_offset);
}

CleanedTransactions::Aborted* CleanedTransactions::FindAborted(const RecordBatchView& batch) {
  for (; begun_count_ < aborted_.size() && aborted_[begun_count_].first_offset <= batch.last_offset(); ++begun_count_) {
    const AbortedTransaction& transaction = aborted_[begun_count_];
    open_aborted_.insert_or_assign(transaction.producer_id, Aborted{.transaction = transaction});
  }
  const auto found = open_aborted_.find(batch.producer_id());
  if (found == open_aborted_.end()) return nullptr;
  // Over, though its marker was not met: it lies before the pass began, or was compacted away.
  if (found->second.transaction.last_offset < batch.base_offset()) {
    open_aborted_.erase(found);
    return nullptr;
  }
  return &found->second;
}

bool CleanedTransactions::OnData(const RecordBatchView& batch) {
  if (!batch.is_transactional()) return false;
  Aborted* const aborted = FindAborted(batch);
  if (aborted == nullptr) {
    open_committed_.insert(batch.producer_id());
    return false;
  }
  aborted->has_batches = true;
  return true;
}

absl::StatusOr<CleanedTransactions::Marker> CleanedTransactions::OnControl(const RecordBatchView& batch) {
  RecordCursor cursor(batch, nullptr);
  RecordView record;
  if (!cursor.Next(&record)) {
    VARVE_RETURN_IF_ERROR(cursor.status());
    return Marker{.discardable = true};  // emptied by an earlier pass
  }
  VARVE_ASSIGN_OR_RETURN(const ControlRecord control, ParseControlRecord(record));
  if (control.type == static_cast<int16_t>(ControlType::kCommit)) {
    return Marker{.discardable = open_committed_.erase(batch.producer_id()) == 0};
  }
  if (control.type != static_cast<int16_t>(ControlType::kAbort)) return Marker{};
  const Aborted* const found = FindAborted(batch);
  if (found == nullptr) return Marker{.discardable = true};
  const Aborted aborted = *found;
  open_aborted_.erase(batch.producer_id());
  if (!aborted.has_batches) return Marker{.discardable = true};
  return Marker{.aborted = aborted.transaction};
}

}  // namespace varve::internal
