// Truncation: taking published data away from the end (format notes §5.6; durability notes, Writing 6 and 7). What is to
// happen is synced into varve.state before a name or a size changes, so that a crash leaves all of it or none: opening
// carries it through, and a log that is open carries it through by opening anew. No inode is shrunk: the kept part of a
// segment is copied to a new file that takes the name over, and readers keep the old one.
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

 private:
  // Announces it in varve.state, whose durable point becomes `end`, and makes `end` the end of the log. `offset`: what
  // was asked for, `end` or above, in a gap.
  [[nodiscard]] absl::Status Carry(PendingOperation operation, int64_t offset, const DurablePoint& end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender_.mutex_);
  // Everything published is durable by now, and syncs are suspended until Install lets them go on; so in Reload.
  [[nodiscard]] absl::Status Announce(PendingOperation operation, int64_t offset, const DurablePoint& end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender_.mutex_);
  void HoldBackReopened(int64_t log_end_offset) ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender_.mutex_);
  void ReplaceTail(PendingOperation operation, int64_t log_end_offset, const DurablePoint& end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender_.mutex_);
  [[nodiscard]] absl::Status Reload(const DurablePoint& end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender_.mutex_);

  Appender& appender_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_TRUNCATION_H_
