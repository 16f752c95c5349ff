// What LogReader tells of aborted transactions.
#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/status.h"
#include "log/log_reader_impl.h"
#include "varve/log_reader.h"

namespace varve {
namespace {

// True if all that `before` holds from that offset on is in `now` as well: segments may have come behind it, or gone
// before it, but none was cut or replaced.
bool HoldsFrom(const internal::SegmentList& now, const internal::SegmentList& before, int64_t offset) {
  const auto first = before.handles().begin() + static_cast<std::ptrdiff_t>(before.Floor(offset).value_or(0));
  return std::search(now.handles().begin(), now.handles().end(), first, before.handles().end()) != now.handles().end();
}

}  // namespace

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

// The end is asked for once the list is known: one of the log before a truncation would cover what was written since.
// It may lie below the batch, which was below it when it was read: the batch is asked about all the same.
absl::Status LogReader::Impl::CollectAbortedFor(const RecordBatchView& batch) {
  for (;;) {
    const uint64_t current = core_->table.generation();
    const int64_t stable_end = core_->frontiers.VisibleEnd(Isolation::kCommitted);
    uint64_t generation = 0;
    VARVE_ASSIGN_OR_RETURN(
        const std::vector<AbortedTransaction> aborted,
        AbortedTransactions(batch.base_offset(), std::max(stable_end, batch.next_offset()), &generation));
    if (generation != current) continue;
    aborted_ = internal::AbortedSet(aborted, batch.base_offset(), stable_end, generation);
    return absl::OkStatus();
  }
}

absl::StatusOr<std::optional<bool>> LogReader::Impl::IsAborted(const RecordBatchView& batch) {
  if (!batch.is_transactional() || batch.is_control()) return false;
  for (;;) {
    if (!aborted_.Covers(batch, core_->table.generation())) {
      VARVE_RETURN_IF_ERROR(CollectAbortedFor(batch));
    }
    if (snapshot_.list == nullptr || snapshot_.generation == aborted_.generation()) return aborted_.Contains(batch);
    const internal::SegmentTable::Snapshot now = core_->table.Load();
    if (now.generation != aborted_.generation()) continue;
    if (!HoldsFrom(*now.list, *snapshot_.list, batch.base_offset())) return std::nullopt;
    return aborted_.Contains(batch);
  }
}

absl::StatusOr<std::vector<AbortedTransaction>> LogReader::AbortedTransactions(int64_t from_offset,
                                                                               int64_t to_offset) const {
  uint64_t generation = 0;
  return impl_->AbortedTransactions(from_offset, to_offset, &generation);
}

absl::StatusOr<bool> LogReader::IsAborted(const RecordBatchView& batch) {
  VARVE_ASSIGN_OR_RETURN(const std::optional<bool> aborted, impl_->IsAborted(batch));
  if (aborted.has_value()) return *aborted;
  return internal::Error(
      absl::StatusCode::kAborted,
      "{}: segments were truncated, compacted or deleted since offsets {} to {} were read: read them again",
      impl_->core().directory, batch.base_offset(), batch.last_offset());
}

}  // namespace varve
