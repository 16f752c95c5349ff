// Retention: deletes what is below a log start or has outlived its limits (format notes §6). Which segments, a plan says
// (retention_plan.h); how they go, PrefixDeletion.
//
// Thread rules: any thread; excludes appends by the writer lock, not while files are read or removed.
#ifndef VARVE_LIB_LOG_RETENTION_H_
#define VARVE_LIB_LOG_RETENTION_H_

#include <chrono>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "log/appender.h"
#include "log/log_core.h"
#include "varve/retention.h"

namespace varve::internal {

class Retention {
 public:
  explicit Retention(Appender* appender) : appender_(*appender) {}

  // As the operations of Log; Foresee is Log::PlanRetention, RemoveFiles Log::RemoveDeletedFiles.
  [[nodiscard]] absl::Status DeleteBefore(int64_t offset);
  [[nodiscard]] absl::StatusOr<RetentionResult> Apply(const RetentionOptions& options);
  [[nodiscard]] absl::StatusOr<FileRemovalResult> RemoveFiles(std::chrono::nanoseconds time_limit);
  [[nodiscard]] static absl::StatusOr<RetentionResult> Foresee(const LogCore& core, const RetentionOptions& options);

 private:
  [[nodiscard]] absl::StatusOr<RetentionResult> ApplyLocked(const RetentionOptions& options)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender_.mutex_);

  [[nodiscard]] bool ChangesAnything(const RetentionResult& result) const;
  // Without the writer lock, which is held for the sync that follows.
  [[nodiscard]] absl::Status SyncBeforeDeletion(int64_t log_start_offset);

  Appender& appender_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_RETENTION_H_
