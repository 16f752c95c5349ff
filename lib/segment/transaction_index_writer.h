// TransactionIndexWriter: adding to the transaction index of the segment that is written. Its file is made by the first
// transaction that is aborted in the segment.
//
// Entries go in before the batches that they tell of are published; whoever publishes sees to it that the file is
// synced before the durable point passes them (Kafka LogSegment.flush). What a crash leaves above that point: entries
// missing, cut short, or of batches that are not there. Recovery makes the file anew from the log.
//
// Thread rules: the segment's writer only.
#ifndef VARVE_LIB_SEGMENT_TRANSACTION_INDEX_WRITER_H_
#define VARVE_LIB_SEGMENT_TRANSACTION_INDEX_WRITER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "varve/file_system.h"
#include "varve/transaction_index.h"

namespace varve::internal {

class TransactionIndexWriter {
 public:
  TransactionIndexWriter(std::shared_ptr<FileSystem> file_system, const std::string& directory, int64_t base_offset);

  // Adds entries behind the whole ones that are there: all of them or none. kResourceExhausted: disk full, nothing has
  // changed. Any other error is for the caller to poison the log by. Not synced.
  [[nodiscard]] absl::Status Append(std::span<const AbortedTransaction> transactions);

  // Null as long as nothing was added. Whoever holds it can sync it after this writer is gone.
  [[nodiscard]] const std::shared_ptr<File>& file() const { return file_; }

 private:
  [[nodiscard]] absl::Status OpenFile();
  [[nodiscard]] absl::Status TakeBack();

  const std::shared_ptr<FileSystem> file_system_;
  const std::string path_;
  std::shared_ptr<File> file_;
  uint64_t entry_count_ = 0;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_SEGMENT_TRANSACTION_INDEX_WRITER_H_
