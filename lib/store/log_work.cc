#include "store/log_work.h"

#include <algorithm>
#include <utility>

namespace varve::internal {
namespace {

// For files that could not be removed: Kafka's log.segment.delete.delay.ms.
constexpr int64_t kFilesAgainMs = 60'000;

LogWorkDone Failed(absl::Status status) {
  return {.outcome = {.failed = true}, .result = absl::StatusOr<MaintenanceResult>(std::move(status))};
}

template <typename Result>
LogWorkDone Ended(Result result) {
  return {.result = absl::StatusOr<MaintenanceResult>(MaintenanceResult(std::move(result)))};
}

// Of the whole segments in which something is dirty and may be touched.
int64_t DirtyBytes(const Log& log, int64_t first_dirty_offset, int64_t first_uncleanable_offset) {
  const std::vector<LogSegmentInfo> segments = log.segments();
  int64_t bytes = 0;
  for (size_t index = 0; index + 1 < segments.size(); ++index) {
    if (segments[index + 1].base_offset <= first_dirty_offset) continue;
    if (segments[index].base_offset >= first_uncleanable_offset) break;
    bytes += segments[index].size_bytes;
  }
  return bytes;
}

}  // namespace

LogWork::LogWork(std::shared_ptr<Log> log, const MaintenanceOptions* options)
    : log_(std::move(log)), options_(*options) {}

LogWork::~LogWork() = default;

void LogWork::GiveUp() { pass_.reset(); }

LogWorkDone LogWork::Do(const MaintenanceWork& work) {
  switch (work.kind) {
    case MaintenanceKind::kFlush:
      return Flush();
    case MaintenanceKind::kRetention:
      return Retain();
    case MaintenanceKind::kFiles:
      return RemoveFiles();
    case MaintenanceKind::kProducers:
      return ForgetProducers();
    case MaintenanceKind::kCompaction:
      break;
  }
  return work.of_pass ? Compact() : LookAtCompaction();
}

LogWorkDone LogWork::Flush() {
  const LogOffsets offsets = log_->offsets();
  if (offsets.durable_offset >= offsets.log_end_offset) return {};
  if (absl::Status flushed = log_->Flush(); !flushed.ok()) return Failed(std::move(flushed));
  return Ended(FlushedLog{.durable_offset = log_->durable_offset()});
}

LogWorkDone LogWork::Retain() {
  absl::StatusOr<RetentionResult> retained = log_->ApplyRetention({.max_segments = options_.step_segments});
  if (!retained.ok()) return Failed(std::move(retained).status());
  MaintenanceOutcome outcome;
  if (retained->more_due) outcome.again_ms = 0;
  if (retained->files_left > 0) outcome.files_due_ms = log_->options().file_delete_delay_ms;
  LogWorkDone done = Ended(*std::move(retained));
  done.outcome = outcome;
  return done;
}

LogWorkDone LogWork::RemoveFiles() {
  absl::StatusOr<FileRemovalResult> removed = log_->RemoveDeletedFiles(options_.step.time);
  if (!removed.ok()) return Failed(std::move(removed).status());
  LogWorkDone done = Ended(*removed);
  if (removed->left > 0) done.outcome.files_due_ms = removed->next_due_ms.value_or(kFilesAgainMs);
  return done;
}

LogWorkDone LogWork::ForgetProducers() {
  const absl::StatusOr<int64_t> count = log_->RemoveExpiredProducers();
  return count.ok() ? Ended(ForgottenProducers{.count = *count}) : Failed(count.status());
}

// --- Compaction ---

LogWorkDone LogWork::LookAtCompaction() {
  const absl::StatusOr<CompactionResult> planned = log_->PlanCompaction();
  if (!planned.ok()) return Failed(planned.status());
  const bool due = WasDue(planned->reason);
  LogWorkDone done{.standing = CompactionStanding{.due = due,
                                                  .dirty_ratio = planned->dirty_ratio,
                                                  .dirty_bytes = DirtyBytes(*log_, planned->first_dirty_offset,
                                                                            planned->first_uncleanable_offset)}};
  if (due) done.outcome.dirty_ratio = planned->dirty_ratio;
  return done;
}

LogWorkDone LogWork::Compact() {
  if (pass_ == nullptr) {
    absl::StatusOr<std::unique_ptr<CompactionPass>> begun =
        log_->BeginCompaction({.key_map_bytes = options_.key_map_bytes});
    if (!begun.ok()) return EndPass(begun.status());
    pass_ = *std::move(begun);
  }
  const int64_t before_bytes = pass_->progress().done_bytes;
  const absl::StatusOr<bool> ended = pass_->Step(options_.step);
  const CompactionProgress progress = pass_->progress();
  LogWorkDone done;
  if (ended.ok() && !*ended) {
    done = {.outcome = {.pass_goes_on = true, .again_ms = 0}, .progress = progress};
  } else {
    done = ended.ok() ? EndPass(pass_->result()) : EndPass(ended.status());
    GiveUp();
  }
  done.read_bytes = progress.done_bytes - before_bytes;
  return done;
}

LogWorkDone LogWork::EndPass(absl::StatusOr<CompactionResult> result) {
  // The host compacts the log itself.
  if (absl::IsUnavailable(result.status())) return {};
  if (!result.ok()) {
    LogWorkDone failed = Failed(result.status());
    failed.outcome.never_again = absl::IsDataLoss(result.status());
    return failed;
  }
  LogWorkDone done;
  done.standing =
      CompactionStanding{.dirty_bytes = DirtyBytes(*log_, result->end_offset, result->first_uncleanable_offset)};
  if (!WasDue(result->reason)) return done;
  // The key map was too small for all of it.
  const bool more_dirty =
      result->first_dirty_offset < result->end_offset && result->end_offset < result->first_uncleanable_offset;
  if (more_dirty) done.outcome.again_ms = 0;
  if (result->segments_before > 0) done.outcome.files_due_ms = log_->options().file_delete_delay_ms;
  done.result = absl::StatusOr<MaintenanceResult>(MaintenanceResult(*std::move(result)));
  return done;
}

}  // namespace varve::internal
