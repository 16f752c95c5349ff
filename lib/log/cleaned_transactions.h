// CleanedTransactions: which transactions a pass over a log, batch by batch in offset order, is in the middle of, and
// what compaction may therefore do with their batches and markers (Kafka CleanedTransactionMetadata, format notes §7.4).
//
// Data of an aborted transaction can go. A marker can go once nothing is left that it speaks of: a COMMIT once no data
// batch of its transaction is left, an ABORT once no batch is, not even an emptied one, as readers tell aborted data by
// the marker and its entry in the transaction index.
//
// Thread rules: one thread at a time. A plain value. Cost: a batch without a transaction is one comparison.
#ifndef VARVE_LIB_LOG_CLEANED_TRANSACTIONS_H_
#define VARVE_LIB_LOG_CLEANED_TRANSACTIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "absl/status/statusor.h"
#include "varve/record_batch.h"
#include "varve/transaction_index.h"

namespace varve::internal {

class CleanedTransactions {
 public:
  // No transactions were aborted.
  CleanedTransactions() = default;
  // `aborted` are those that overlap the offsets passed over, and any others, in any order. A transaction's marker, and
  // so its entry, may lie in a later segment than its data.
  explicit CleanedTransactions(std::vector<AbortedTransaction> aborted);

  // The next batch, one of data. True if it belongs to an aborted transaction.
  [[nodiscard]] bool OnData(const RecordBatchView& batch);

  struct Marker {
    // Nothing is left of its transaction, or of the marker itself: it can go.
    bool discardable = false;
    // Of an ABORT that stays: the entry that has to stay with it.
    std::optional<AbortedTransaction> aborted = std::nullopt;
  };
  // The next batch, a control batch. kDataLoss: it cannot be read.
  [[nodiscard]] absl::StatusOr<Marker> OnControl(const RecordBatchView& batch);

 private:
  struct Aborted {
    AbortedTransaction transaction;
    bool has_batches = false;
  };
  // The producer's aborted transaction that a batch at these offsets is in, if it is in one.
  [[nodiscard]] Aborted* FindAborted(const RecordBatchView& batch);

  std::vector<AbortedTransaction> aborted_;            // by first offset
  size_t begun_count_ = 0;                             // of aborted_
  std::unordered_map<int64_t, Aborted> open_aborted_;  // by producer id
  std::unordered_set<int64_t> open_committed_;         // producers of which data was seen
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_CLEANED_TRANSACTIONS_H_
