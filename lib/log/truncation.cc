#include "log/truncation.h"

#include <utility>
#include <vector>

#include "base/status.h"
#include "log/log_loader.h"
#include "log/pending_operation.h"
#include "segment/segment_lookup.h"
#include "varve/errors.h"

namespace varve::internal {
namespace {

absl::Status OutOfRange(const LogCore& core, std::string_view what, int64_t offset, int64_t from, int64_t to) {
  return WithKafkaError(
      Error(absl::StatusCode::kOutOfRange, "{}: {} {}: expected {} to {}", core.directory, what, offset, from, to),
      KafkaError::kOffsetOutOfRange);
}

// Nobody syncs while this lives: a sync of what is about to go would raise the durable point again, and take the
// announcement back with it. Ended early by Flusher::Restart.
class SyncsSuspended {
 public:
  explicit SyncsSuspended(Flusher* flusher) : flusher_(flusher) { flusher_->Suspend(); }
  ~SyncsSuspended() { flusher_->Resume(); }
  SyncsSuspended(const SyncsSuspended&) = delete;
  SyncsSuspended& operator=(const SyncsSuspended&) = delete;

 private:
  Flusher* const flusher_;
};

}  // namespace

absl::Status Truncation::Announce(PendingOperation operation, int64_t offset) {
  return appender_.flusher_->UpdateState([&](PartitionStateValues* values) {
    values->pending = operation;
    values->pending_offset = offset;
    values->clean = false;
    if (operation == PendingOperation::kDeleteBefore) {
      values->log_start_offset = offset;
    } else if (values->durable.offset > offset) {
      values->durable = {.offset = offset, .segment = offset};  // no batch names it: recovery checks it all
    }
  });
}

absl::Status Truncation::CheckBoundary(int64_t offset) {
  const LogCore& core = *appender_.core_;
  if (offset == core.frontiers.log_end()) return absl::OkStatus();
  const SegmentTable::Snapshot snapshot = core.table.Load();
  const std::optional<size_t> index = snapshot.list->Floor(offset);
  if (!index.has_value()) return absl::OkStatus();
  VARVE_ASSIGN_OR_RETURN(const std::shared_ptr<const OpenSegment> segment, snapshot.list->at(*index)->Acquire());
  VARVE_ASSIGN_OR_RETURN(const std::optional<FoundBatch> found, FindBatch(*segment, offset, segment->published()));
  if (!found.has_value() || found->base_offset >= offset) return absl::OkStatus();
  return Error(absl::StatusCode::kInvalidArgument,
               "{}: offset {} lies inside the batch with offsets {} to {}: truncate to {} or to {}", core.directory,
               offset, found->base_offset, found->last_offset, found->base_offset, found->last_offset + 1);
}

absl::Status Truncation::TruncateTo(int64_t offset) {
  const absl::MutexLock lock(&appender_.mutex_);
  VARVE_RETURN_IF_ERROR(appender_.Writable());
  LogCore& core = *appender_.core_;
  const LogOffsets offsets = core.frontiers.Load();
  if (offset < offsets.log_start_offset || offset > offsets.log_end_offset) {
    return OutOfRange(core, "truncation to", offset, offsets.log_start_offset, offsets.log_end_offset);
  }
  VARVE_RETURN_IF_ERROR(CheckBoundary(offset));
  if (offset == offsets.log_end_offset) return core.epochs()->TruncateFromEnd(offset);
  VARVE_ASSIGN_OR_RETURN(const Kept kept, KeptBelow(offset));
  VARVE_RETURN_IF_ERROR(appender_.flusher_->Sync());
  const SyncsSuspended suspended(appender_.flusher_);
  VARVE_RETURN_IF_ERROR(Announce(PendingOperation::kTruncateTo, offset));
  return Reload(offsets.log_start_offset, offset, kept);
}

absl::Status Truncation::TruncateFullyAndStartAt(int64_t offset) {
  const absl::MutexLock lock(&appender_.mutex_);
  VARVE_RETURN_IF_ERROR(appender_.Writable());
  if (offset < 0) return OutOfRange(*appender_.core_, "a start at", offset, 0, std::numeric_limits<int64_t>::max());
  VARVE_RETURN_IF_ERROR(appender_.flusher_->Sync());
  const SyncsSuspended suspended(appender_.flusher_);
  VARVE_RETURN_IF_ERROR(Announce(PendingOperation::kStartAt, offset));
  return Reload(offset, offset, {.segment = offset, .end_position = 0});
}

absl::StatusOr<Truncation::Kept> Truncation::KeptBelow(int64_t offset) {
  const SegmentTable::Snapshot snapshot = appender_.core_->table.Load();
  const std::optional<size_t> index = snapshot.list->Floor(offset - 1);
  if (!index.has_value()) return Kept{.segment = offset, .end_position = 0};
  VARVE_ASSIGN_OR_RETURN(const std::shared_ptr<const OpenSegment> segment, snapshot.list->at(*index)->Acquire());
  const PublishedEnd end = segment->published();
  VARVE_ASSIGN_OR_RETURN(const std::optional<FoundBatch> first_gone, FindBatch(*segment, offset, end));
  return Kept{.segment = segment->base_offset(),
              .end_position = first_gone.has_value() ? first_gone->position : end.end_position};
}

// Carries through what is announced, by the code that opening does it with. Readers are stopped at the new end before a
// file goes, those of other processes by the live line; recovery believes that line too, so it must not tell of the old
// end once the announcement is cleared. A failure half way leaves what was announced to the next opening; until then
// nothing may be appended.
absl::Status Truncation::Reload(int64_t log_start_offset, int64_t log_end_offset, const Kept& kept) {
  LogCore& core = *appender_.core_;
  core.frontiers.Reset(log_start_offset, log_end_offset, std::min(core.frontiers.durable(), log_end_offset));
  const LogOffsets offsets = core.frontiers.Load();
  appender_.live_->Store({.generation = ++appender_.live_generation_,
                          .active_base = kept.segment,
                          .end_position = kept.end_position,
                          .end_offset = log_end_offset,
                          .high_watermark = offsets.high_watermark,
                          .durable_offset = offsets.durable_offset});
  LogOptions options = core.options;
  options.marks = {};  // they were of the log as it was opened
  absl::Status reloaded = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender_.mutex_) -> absl::Status {
    VARVE_RETURN_IF_ERROR(appender_.active_->Seal());
    VARVE_ASSIGN_OR_RETURN(LoadedLog loaded, LoadLog(options.file_system, core.directory, options));
    return appender_.Install(std::move(loaded));
  }();
  if (!reloaded.ok()) core.frontiers.Poison(reloaded);
  return reloaded;
}

absl::Status Truncation::DeleteBefore(int64_t offset) {
  const absl::MutexLock lock(&appender_.mutex_);
  VARVE_RETURN_IF_ERROR(appender_.Writable());
  LogCore& core = *appender_.core_;
  const LogOffsets offsets = core.frontiers.Load();
  if (offset == -1) offset = offsets.high_watermark;
  if (offset < 0 || offset > offsets.high_watermark) {
    return OutOfRange(core, "deletion before", offset, offsets.log_start_offset, offsets.high_watermark);
  }
  if (offset <= offsets.log_start_offset) return absl::OkStatus();
  VARVE_RETURN_IF_ERROR(appender_.flusher_->Sync());
  VARVE_RETURN_IF_ERROR(Announce(PendingOperation::kDeleteBefore, offset));

  absl::Status dropped = DropPrefix(offset);
  if (!dropped.ok()) core.frontiers.Poison(dropped);
  return dropped;
}

absl::Status Truncation::DropPrefix(int64_t offset) {
  LogCore& core = *appender_.core_;
  const SegmentTable::Snapshot snapshot = core.table.Load();
  size_t below = 0;
  while (below + 1 < snapshot.list->size() && snapshot.list->base_offset(below + 1) <= offset) ++below;
  core.frontiers.AdvanceLogStart(offset);
  if (below > 0) {
    core.table.DropPrefix(below);
    ++appender_.live_generation_;
  }
  appender_.StoreLive();
  VARVE_RETURN_IF_ERROR(
      CarryThrough(core.options.file_system, core.directory, PendingOperation::kDeleteBefore, offset));
  VARVE_RETURN_IF_ERROR(core.epochs()->TruncateFromStart(offset));
  return appender_.flusher_->UpdateState([](PartitionStateValues* values) {
    values->pending = PendingOperation::kNone;
    values->pending_offset = 0;
  });
}

}  // namespace varve::internal
