// AbortedFilter: tells the data of aborted transactions from committed data, as a read_committed consumer does.
//
// It goes by the markers in the log itself, not by .txnindex files, which may be missing or behind: a batch of a
// transaction is aborted if the first marker of its producer behind it says so. Below the last stable offset every
// transaction has its marker.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_ABORTED_FILTER_H_
#define VARVE_LIB_CLI_ABORTED_FILTER_H_

#include <cstdint>
#include <map>
#include <unordered_map>

#include "varve/record_batch.h"

namespace varve::cli {

class AbortedFilter {
 public:
  // Takes in a batch, if it is a transaction marker. Every marker behind a batch is noted before IsAborted is asked.
  void Note(const RecordBatchView& batch);

  [[nodiscard]] bool IsAborted(const RecordBatchView& batch) const;

 private:
  // Of each producer: the offset of a marker, and whether it aborted.
  std::unordered_map<int64_t, std::map<int64_t, bool>> markers_;
};

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_ABORTED_FILTER_H_
