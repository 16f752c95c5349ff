// What LogReader tells of aborted transactions.
#include <utility>

#include "base/status.h"
#include "log/log_reader_impl.h"
#include "varve/log_reader.h"

namespace varve {

absl::StatusOr<std::vector<AbortedTransaction>> LogReader::Impl::AbortedTransactions(int64_t from_offset,
                                                                                     int64_t to_offset,
                                                                                     uint64_t* generation) const {
  for (;;) {
    VARVE_RETURN_IF_ERROR(core_->CheckGeneration());
    const internal::SegmentTable::Snapshot snapshot = core_->table.Load();
    auto aborted = internal::CollectAborted(*snapshot.list, from_offset, to_offset);
    VARVE_RETURN_IF_ERROR(core_->CheckGeneration());
    if (core_->table.generation() != snapshot.generation) continue;  // of files that may be gone or cut
    *generation = snapshot.generation;
    return aborted;
  }
}

absl::StatusOr<bool> LogReader::Impl::IsAborted(const RecordBatchView& batch) {
  if (!batch.is_transactional() || batch.is_control()) return false;
  if (!aborted_.Covers(batch, core_->table.generation())) {
    const int64_t to_offset = core_->frontiers.VisibleEnd(Isolation::kCommitted);
    uint64_t generation = 0;
    VARVE_ASSIGN_OR_RETURN(const std::vector<AbortedTransaction> aborted,
                           AbortedTransactions(batch.base_offset(), to_offset, &generation));
    aborted_ = internal::AbortedSet(aborted, batch.base_offset(), to_offset, generation);
  }
  return aborted_.Contains(batch);
}

absl::StatusOr<std::vector<AbortedTransaction>> LogReader::AbortedTransactions(int64_t from_offset,
                                                                               int64_t to_offset) const {
  uint64_t generation = 0;
  return impl_->AbortedTransactions(from_offset, to_offset, &generation);
}

absl::StatusOr<bool> LogReader::IsAborted(const RecordBatchView& batch) { return impl_->IsAborted(batch); }

}  // namespace varve
