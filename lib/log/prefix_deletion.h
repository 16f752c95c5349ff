// PrefixDeletion: takes the oldest segments of a log away (format notes §6; durability notes, Writing 6 and 7). The new
// log start is synced into varve.state before a name changes, so that a crash leaves all of it or none; then the files
// are renamed to .deleted, the oldest segment first, and removed later (deleted_files.h). Readers keep what they hold.
//
// Thread rules: one thread at a time, with the writer lock.
#ifndef VARVE_LIB_LOG_PREFIX_DELETION_H_
#define VARVE_LIB_LOG_PREFIX_DELETION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "log/appender.h"
#include "log/log_core.h"

namespace varve::internal {

// The log start that a deletion before `offset` asks for; -1 is the high watermark, and what lies below the log start is
// that. kOutOfRange above the high watermark; kInvalidArgument where the policy only compacts.
[[nodiscard]] absl::StatusOr<int64_t> DeletionTarget(const LogCore& core, int64_t offset);

class PrefixDeletion {
 public:
  // Moves the log start up to `log_start_offset`, which lies between it and the high watermark, and removes the segments
  // wholly below `first_kept`, which does not exceed it. Durable when it returns. kResourceExhausted: it has not begun,
  // or is announced and to be resumed.
  [[nodiscard]] static absl::Status MoveLogStart(Appender& appender, int64_t log_start_offset, int64_t first_kept)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender.mutex_);

  // True if one that a full disk stopped half way is still announced, and the files below the log start are there.
  [[nodiscard]] static bool IsHalfWay(const Appender& appender) ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender.mutex_);
  // Finishes that one, if there is one, and removes all that lies below the log start; before anything else is announced.
  [[nodiscard]] static absl::Status Resume(Appender& appender) ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender.mutex_);

 private:
  [[nodiscard]] static absl::Status MakeIndependent(Appender& appender, int64_t log_start_offset)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender.mutex_);
  // Carries through what is announced; the log start is durable.
  [[nodiscard]] static absl::Status Finish(Appender& appender, int64_t log_start_offset, int64_t first_kept)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender.mutex_);
  [[nodiscard]] static absl::Status DropPrefix(Appender& appender, int64_t log_start_offset, int64_t first_kept)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender.mutex_);
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_PREFIX_DELETION_H_
