// CleanedFiles: the .cleaned files of one segment while compaction writes them. They take part in nothing until a swap
// gives them other names; an opening removes them (log/leftovers.h).
//
// Thread rules: one thread at a time. Memory: a buffer of kBufferBytes, or of the largest batch; the index entries.
#ifndef VARVE_LIB_LOG_CLEANED_FILES_H_
#define VARVE_LIB_LOG_CLEANED_FILES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "record/batch_header.h"
#include "segment/index_rebuilder.h"
#include "segment/segment_files.h"
#include "varve/file_system.h"
#include "varve/time_index.h"
#include "varve/transaction_index.h"

namespace varve::internal {

class CleanedFiles {
 public:
  static constexpr size_t kBufferBytes = size_t{1} << 20;

  CleanedFiles(FileSystem* file_system, const std::string& directory, int64_t base_offset, int64_t index_interval_bytes,
               int64_t segment_index_bytes);

  // Makes an empty .log, and sees to it that no other of the files is left of an earlier pass.
  [[nodiscard]] absl::Status Create();

  // Adds a whole batch. kInvalidArgument: its last offset is not within 2^31 of the base.
  [[nodiscard]] absl::Status Append(std::span<const std::byte> batch);
  [[nodiscard]] absl::Status AppendAborted(const AbortedTransaction& transaction) {
    return aborted_.Append(transaction);
  }

  // Writes what is left, the indexes with the closing time entry, and the transaction index if it has entries. When it
  // returns OK, all of them are stable, but for their names.
  [[nodiscard]] absl::Status Finish();

  // Takes off the disk what there is. kNotFound never.
  [[nodiscard]] absl::Status Remove();

  [[nodiscard]] int64_t size_bytes() const { return size_bytes_; }
  // Behind the last batch; the base offset where there is none.
  [[nodiscard]] int64_t next_offset() const { return next_offset_; }
  // Of the files that Finish has written; 0 for a transaction index that there is not.
  [[nodiscard]] int64_t offset_index_bytes() const { return offset_index_bytes_; }
  [[nodiscard]] int64_t time_index_bytes() const { return time_index_bytes_; }
  [[nodiscard]] int64_t transaction_index_bytes() const { return transaction_index_bytes_; }
  [[nodiscard]] TimestampOffset largest_timestamp() const { return indexes_.largest_timestamp(); }

 private:
  [[nodiscard]] std::string Path(SegmentFileKind kind) const;
  [[nodiscard]] absl::Status WriteBuffer();
  // A file of these bytes, synced.
  [[nodiscard]] absl::Status WriteWhole(SegmentFileKind kind, std::span<const std::byte> bytes);

  FileSystem* const file_system_;
  const std::string directory_;
  const int64_t base_offset_;
  std::unique_ptr<File> log_;
  std::vector<std::byte> buffer_;  // the end of the .log, not yet written
  int64_t size_bytes_ = 0;         // of the .log, with the buffer
  int64_t next_offset_;
  IndexRebuilder indexes_;
  TransactionIndex aborted_;
  int64_t offset_index_bytes_ = 0;
  int64_t time_index_bytes_ = 0;
  int64_t transaction_index_bytes_ = 0;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_CLEANED_FILES_H_
