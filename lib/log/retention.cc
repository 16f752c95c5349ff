#include "log/retention.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "log/prefix_deletion.h"
#include "log/retention_plan.h"
#include "log/segment_list.h"

namespace varve {

int64_t RetentionResult::DeletedSegments(RetentionRule rule) const {
  return std::count_if(deleted.begin(), deleted.end(),
                       [rule](const RetiredSegment& segment) { return segment.rule == rule; });
}

int64_t RetentionResult::DeletedBytes(RetentionRule rule) const {
  int64_t bytes = 0;
  for (const RetiredSegment& segment : deleted) {
    if (segment.rule == rule) bytes += segment.size_bytes;
  }
  return bytes;
}

}  // namespace varve

namespace varve::internal {
namespace {

absl::StatusOr<int64_t> Limit(std::string_view name, std::optional<int64_t> asked, int64_t otherwise, int64_t least) {
  const int64_t value = asked.value_or(otherwise);
  if (value >= least) return value;
  return Error(absl::StatusCode::kInvalidArgument, "{}: expected at least {}, found {}", name, least, value);
}

struct Foreseen {
  RetentionView view;
  RetentionPlan plan;
};

absl::StatusOr<Foreseen> ForeseeIn(const LogCore& core, const RetentionOptions& options) {
  const LogOptions& settings = core.options;
  RetentionLimits limits{.deletes = Deletes(settings.cleanup_policy),
                         .ahead_max_ms = settings.retention_timestamp_ahead_max_ms,
                         .behind_max_ms = settings.retention_timestamp_behind_max_ms};
  VARVE_ASSIGN_OR_RETURN(limits.retention_ms, Limit("retention_ms", options.retention_ms, settings.retention_ms, -1));
  VARVE_ASSIGN_OR_RETURN(limits.retention_bytes,
                         Limit("retention_bytes", options.retention_bytes, settings.retention_bytes, -1));
  constexpr int64_t kAll = std::numeric_limits<int64_t>::max();
  VARVE_ASSIGN_OR_RETURN(const int64_t max_segments, Limit("max_segments", options.max_segments, kAll, 1));
  limits.max_segments = static_cast<size_t>(max_segments);
  Foreseen foreseen;
  RetentionView& view = foreseen.view;
  VARVE_ASSIGN_OR_RETURN(view.now_ms, Limit("now_ms", options.now_ms, settings.clock->WallMs(), 0));
  const std::shared_ptr<const SegmentList> list = core.table.Load().list;
  for (const std::shared_ptr<SegmentHandle>& handle : list->handles()) {
    const PublishedEnd end = handle->end();
    view.segments.push_back({.base_offset = handle->base_offset(), .size_bytes = end.end_position});
    view.log_end_offset = end.next_offset;
  }
  const LogOffsets offsets = core.frontiers.Load();
  view.log_start_offset = offsets.log_start_offset;
  view.high_watermark = offsets.high_watermark;
  if (options.before_offset.has_value()) {
    VARVE_ASSIGN_OR_RETURN(view.log_start_offset, DeletionTarget(core, *options.before_offset));
  }
  foreseen.plan = PlanRetention(view, limits, [&list](size_t index) -> std::optional<int64_t> {
    const absl::StatusOr<TimestampOffset> largest = list->at(index)->LargestTimestamp();
    if (!largest.ok() || largest->timestamp_ms < 0) return std::nullopt;
    return largest->timestamp_ms;
  });
  return foreseen;
}

RetentionResult ResultOf(const RetentionView& view, const RetentionPlan& plan) {
  RetentionResult result{.log_start_offset = view.log_start_offset, .block = plan.block, .more_due = plan.more_due};
  for (size_t index = 0; index < view.segments.size(); ++index) {
    const RetentionView::Segment& segment = view.segments[index];
    if (index >= plan.rules.size()) {
      result.size_bytes += segment.size_bytes;
      continue;
    }
    const int64_t next_offset =
        index + 1 < view.segments.size() ? view.segments[index + 1].base_offset : view.log_end_offset;
    result.deleted.push_back({.base_offset = segment.base_offset,
                              .next_offset = next_offset,
                              .size_bytes = segment.size_bytes,
                              .rule = plan.rules[index]});
    result.log_start_offset = std::max(result.log_start_offset, next_offset);
  }
  return result;
}

}  // namespace

absl::StatusOr<RetentionResult> Retention::Foresee(const LogCore& core, const RetentionOptions& options) {
  VARVE_ASSIGN_OR_RETURN(const Foreseen foreseen, ForeseeIn(core, options));
  return ResultOf(foreseen.view, foreseen.plan);
}

absl::Status Retention::DeleteBefore(int64_t offset) {
  const absl::StatusOr<int64_t> foreseen = DeletionTarget(*appender_.core_, offset);
  if (foreseen.ok() && *foreseen > appender_.core_->frontiers.log_start())
    VARVE_RETURN_IF_ERROR(SyncBeforeDeletion(*foreseen));
  {
    const MutexLock lock(&appender_.mutex_);
    VARVE_RETURN_IF_ERROR(appender_.Writable());
    VARVE_ASSIGN_OR_RETURN(const int64_t target, DeletionTarget(*appender_.core_, offset));
    if (target > appender_.core_->frontiers.log_start()) {
      VARVE_RETURN_IF_ERROR(PrefixDeletion::MoveLogStart(appender_, target, target));
    } else if (PrefixDeletion::IsHalfWay(appender_)) {
      VARVE_RETURN_IF_ERROR(PrefixDeletion::Resume(appender_));
    } else {
      return absl::OkStatus();
    }
  }
  (void)appender_.deleted_files_.RemoveDue();
  return absl::OkStatus();
}

absl::StatusOr<RetentionResult> Retention::Apply(const RetentionOptions& options) {
  // Timestamps are read from the files of segments before the writer has to wait; the segments remember them.
  VARVE_ASSIGN_OR_RETURN(const Foreseen foreseen, ForeseeIn(*appender_.core_, options));
  RetentionResult result = ResultOf(foreseen.view, foreseen.plan);
  if (ChangesAnything(result)) VARVE_RETURN_IF_ERROR(SyncBeforeDeletion(result.log_start_offset));
  {
    const MutexLock lock(&appender_.mutex_);
    VARVE_ASSIGN_OR_RETURN(result, ApplyLocked(options));
  }
  const auto removal_time = options.max_segments.has_value() ? std::chrono::nanoseconds(0) : kNoTimeLimit;
  result.files_left = appender_.deleted_files_.RemoveDue(removal_time).left;
  return result;
}

bool Retention::ChangesAnything(const RetentionResult& result) const {
  return !result.deleted.empty() || result.log_start_offset > appender_.core_->frontiers.log_start();
}

// Where opening has left much to the first sync, and PrefixDeletion needs that, appends go on meanwhile; so they do where
// it is under way, as PrefixDeletion waits for that. A full disk may let go less than was foreseen: PrefixDeletion decides.
absl::Status Retention::SyncBeforeDeletion(int64_t log_start_offset) {
  if (log_start_offset < appender_.core_->frontiers.durable()) {
    appender_.flusher_->WaitWhileSyncing();
    return absl::OkStatus();
  }
  absl::Status synced = appender_.SyncWhatOpeningLeft();
  return absl::IsResourceExhausted(synced) ? appender_.core_->frontiers.Writable() : synced;
}

absl::StatusOr<FileRemovalResult> Retention::RemoveFiles(std::chrono::nanoseconds time_limit) {
  {
    const MutexLock lock(&appender_.mutex_);
    VARVE_RETURN_IF_ERROR(appender_.Writable());
  }
  return appender_.deleted_files_.RemoveDue(time_limit);
}

absl::StatusOr<RetentionResult> Retention::ApplyLocked(const RetentionOptions& options) {
  VARVE_RETURN_IF_ERROR(appender_.Writable());
  VARVE_RETURN_IF_ERROR(PrefixDeletion::Resume(appender_));
  VARVE_ASSIGN_OR_RETURN(Foreseen foreseen, ForeseeIn(*appender_.core_, options));
  bool active_left = false;
  if (foreseen.plan.rules.size() == foreseen.view.segments.size()) {
    const absl::Status rolled = appender_.RollTo(foreseen.view.log_end_offset);
    // What else goes makes the room.
    active_left = absl::IsResourceExhausted(rolled) && foreseen.plan.rules.size() > 1;
    if (!active_left) VARVE_RETURN_IF_ERROR(rolled);
    if (active_left) foreseen.plan.rules.pop_back();
  }
  RetentionResult result = ResultOf(foreseen.view, foreseen.plan);
  result.active_left = active_left;
  if (!ChangesAnything(result)) return result;
  const int64_t first_kept = result.deleted.empty() ? 0 : result.deleted.back().next_offset;
  VARVE_RETURN_IF_ERROR(PrefixDeletion::MoveLogStart(appender_, result.log_start_offset, first_kept));
  return result;
}

}  // namespace varve::internal
