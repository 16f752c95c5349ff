// LogFileWalk: the batches of one .log, as its bytes are, by read calls. It takes nobody's word for the file: no index,
// no report. It goes on behind a batch whose checksum fails and stops where no batch can be made out.
//
// Thread rules: one thread. Lifetime: the file must outlive the walk; a batch is valid until the next call.
//
//   LogFileWalk walk(file.get());
//   for (absl::StatusOr<bool> more = walk.Next(); more.ok() && *more; more = walk.Next()) Use(walk.batch());
#ifndef VARVE_LIB_CLI_LOG_FILE_WALK_H_
#define VARVE_LIB_CLI_LOG_FILE_WALK_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/file_system.h"
#include "varve/record_batch.h"

namespace varve::cli {

// Why a walk ended.
enum class WalkEnd {
  kEndOfFile,  // exactly behind a batch
  kZeros,      // nothing but zeros follows: a preallocated tail
  kTorn,       // a batch begins that the file does not hold whole
  kNoBatch,    // bytes that begin no batch
};

class LogFileWalk {
 public:
  explicit LogFileWalk(const File* file) : file_(file) {}

  // Moves to the next batch; false at the end. Errors: as File::ReadAt. kUnimplemented: a batch of magic 0 or 1.
  [[nodiscard]] absl::StatusOr<bool> Next();

  [[nodiscard]] const RecordBatchView& batch() const { return batch_; }
  // Of the batch in the file.
  [[nodiscard]] int64_t position() const { return position_; }
  // Behind the batch; at the end of the walk, of what follows the last batch.
  [[nodiscard]] int64_t next_position() const { return next_position_; }

  // Once Next has answered false: why, how many bytes lie behind the last batch, and what was expected and found there.
  [[nodiscard]] WalkEnd end() const { return end_; }
  [[nodiscard]] int64_t bytes_left() const { return bytes_left_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }

 private:
  // Makes `count` bytes from next_position_ on present in the buffer, or as many as the file holds. Returns how many.
  absl::StatusOr<size_t> Ensure(size_t count);
  absl::StatusOr<bool> Stop(WalkEnd end, std::string reason);
  absl::StatusOr<bool> StopAtNoBatch(const absl::Status& why);

  const File* file_;
  int64_t file_bytes_ = -1;  // asked for once; a file that is being appended to may hold more
  std::vector<std::byte> buffer_;
  int64_t buffer_position_ = 0;  // in the file, of the first byte in the buffer
  size_t buffer_size_ = 0;
  RecordBatchView batch_;
  int64_t position_ = 0;
  int64_t next_position_ = 0;
  WalkEnd end_ = WalkEnd::kEndOfFile;
  int64_t bytes_left_ = 0;
  std::string reason_;
};

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_LOG_FILE_WALK_H_
