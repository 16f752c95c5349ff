// AbortedFilter: tells the data of aborted transactions from committed data, as a read_committed consumer does.
//
// It goes by the markers in the log itself, not by .txnindex files, which may be missing or behind: a batch of a
// transaction is aborted if the first marker of its producer behind it says so. Below the last stable offset every
// transaction has its marker. Only where damage may hide one, the transaction indexes are to be taken in as well.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_ABORTED_FILTER_H_
#define VARVE_LIB_CLI_ABORTED_FILTER_H_

#include <cstdint>
#include <map>
#include <unordered_map>

#include "varve/record_batch.h"
#include "varve/transaction_index.h"

namespace varve::cli {

class AbortedFilter {
 public:
  // Takes in a batch, if it is a transaction marker. Every marker behind a batch is noted before IsAborted is asked.
  void Note(const RecordBatchView& batch);

  // Takes in what a transaction index says.
  void Note(const AbortedTransaction& transaction);

  [[nodiscard]] bool IsAborted(const RecordBatchView& batch) const;

 private:
  // Of each producer: the offset of a marker, and whether it aborted.
  std::unordered_map<int64_t, std::map<int64_t, bool>> markers_;
  // Of each producer, by first offset: the offset of the abort marker.
  std::unordered_map<int64_t, std::map<int64_t, int64_t>> indexed_;
};

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_ABORTED_FILTER_H_
