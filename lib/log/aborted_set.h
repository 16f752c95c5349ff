// CollectAborted: the aborted transactions of a stretch of a log, by its transaction indexes. AbortedSet: which batches
// belong to them.
//
// A batch of a transaction is aborted if it lies between the first offset of an aborted transaction of its producer and
// that one's marker. That is what a consumer finds out by going through the batches with Kafka's list of aborted
// transactions and the abort markers in hand, but needs neither an order nor the markers, one of which may be damaged.
//
// Thread rules: one thread. Cost: Contains is a hash lookup and a binary search, for batches of transactions only.
#ifndef VARVE_LIB_LOG_ABORTED_SET_H_
#define VARVE_LIB_LOG_ABORTED_SET_H_

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "log/segment_list.h"
#include "varve/record_batch.h"
#include "varve/transaction_index.h"

namespace varve::internal {

// Those with offsets in [from_offset, to_offset), or, where the two are one, those that go on across it. Errors: as
// SegmentHandle::AbortedIndex.
[[nodiscard]] absl::StatusOr<std::vector<AbortedTransaction>> CollectAborted(const SegmentList& list,
                                                                             int64_t from_offset, int64_t to_offset);

class AbortedSet {
 public:
  // Of nothing.
  AbortedSet() = default;

  // `transactions`, last offsets rising, are all that overlap [from_offset, to_offset) of the list of segments of that
  // generation, where everything below to_offset is decided.
  AbortedSet(std::span<const AbortedTransaction> transactions, int64_t from_offset, int64_t to_offset,
             uint64_t generation);

  // True if Contains can tell of a batch that was read from that list.
  [[nodiscard]] bool Covers(const RecordBatchView& batch, uint64_t generation) const {
    return generation == generation_ && from_offset_ <= batch.base_offset() && batch.last_offset() < to_offset_;
  }
  [[nodiscard]] bool Contains(const RecordBatchView& batch) const;

  [[nodiscard]] uint64_t generation() const { return generation_; }

 private:
  // The offsets of one transaction, its marker's included.
  struct Span {
    int64_t first_offset = 0;
    int64_t last_offset = 0;
  };

  int64_t from_offset_ = 0;
  int64_t to_offset_ = 0;
  uint64_t generation_ = 0;
  std::unordered_map<int64_t, std::vector<Span>> by_producer_;  // each ascending
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_ABORTED_SET_H_
