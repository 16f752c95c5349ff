// Truncation: taking published data away, from the end or from the start (format notes §5.6, §6; durability notes,
// Writing 6 and 7). What is to happen is synced into varve.state before a name or a size changes, so that a crash
// leaves all of it or none: opening carries it through, and a log that is open carries it through by opening anew. No
// inode is shrunk: the kept part of a segment is copied to a new file that takes the name over, and readers keep the
// old one.
//
// Thread rules: any thread; excludes appends by the writer lock.
#ifndef VARVE_LIB_LOG_TRUNCATION_H_
#define VARVE_LIB_LOG_TRUNCATION_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "log/appender.h"

namespace varve::internal {

class Truncation {
 public:
  explicit Truncation(Appender* appender) : appender_(*appender) {}

  // As the operations of Log of these names.
  [[nodiscard]] absl::Status TruncateTo(int64_t offset);
  [[nodiscard]] absl::Status TruncateFullyAndStartAt(int64_t offset);
  [[nodiscard]] absl::Status DeleteBefore(int64_t offset);

 private:
  [[nodiscard]] absl::Status CheckBoundary(int64_t offset) ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender_.mutex_);
  // Everything published is durable by now, so that no file waits for its sync and the point is exact.
  [[nodiscard]] absl::Status Announce(PendingOperation operation, int64_t offset)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender_.mutex_);
  // What stays of the log below an offset: its last segment, and how many bytes of it.
  struct Kept {
    int64_t segment = 0;
    int64_t end_position = 0;
  };
  [[nodiscard]] absl::StatusOr<Kept> KeptBelow(int64_t offset) ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender_.mutex_);
  // Syncs are suspended; Install lets them go on.
  [[nodiscard]] absl::Status Reload(int64_t log_start_offset, int64_t log_end_offset, const Kept& kept)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender_.mutex_);
  [[nodiscard]] absl::Status DropPrefix(int64_t offset) ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender_.mutex_);

  Appender& appender_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_TRUNCATION_H_
