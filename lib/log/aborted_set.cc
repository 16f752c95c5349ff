#include "log/aborted_set.h"

#include <algorithm>
#include <memory>

#include "base/status.h"

namespace varve::internal {

// A transaction is told of by the index of the segment that holds its marker: that of `from_offset`, or a later one.
absl::StatusOr<std::vector<AbortedTransaction>> CollectAborted(const SegmentList& list, int64_t from_offset,
                                                               int64_t to_offset) {
  std::vector<AbortedTransaction> aborted;
  bool complete = false;
  for (size_t index = list.Floor(from_offset).value_or(0); index < list.size() && !complete; ++index) {
    VARVE_ASSIGN_OR_RETURN(const std::shared_ptr<const TransactionIndex> transactions, list.at(index)->AbortedIndex());
    complete = transactions->Collect(from_offset, to_offset, &aborted);
  }
  return aborted;
}

AbortedSet::AbortedSet(std::span<const AbortedTransaction> transactions, int64_t from_offset, int64_t to_offset,
                       uint64_t generation)
    : from_offset_(from_offset), to_offset_(to_offset), generation_(generation) {
  for (const AbortedTransaction& transaction : transactions) {
    by_producer_[transaction.producer_id].push_back({transaction.first_offset, transaction.last_offset});
  }
}

bool AbortedSet::Contains(const RecordBatchView& batch) const {
  if (!batch.is_transactional()) return false;
  const auto of_producer = by_producer_.find(batch.producer_id());
  if (of_producer == by_producer_.end()) return false;
  const std::vector<Span>& spans = of_producer->second;
  const auto next =
      std::upper_bound(spans.begin(), spans.end(), batch.last_offset(),
                       [](int64_t last_offset, const Span& span) { return last_offset < span.last_offset; });
  return next != spans.end() && next->first_offset <= batch.base_offset();
}

}  // namespace varve::internal
