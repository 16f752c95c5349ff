#include "log/truncation.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/path.h"
#include "base/status.h"
#include "log/aborted_set.h"
#include "log/cut_point.h"
#include "log/cut_segment.h"
#include "log/log_loader.h"
#include "log/prefix_deletion.h"
#include "segment/segment_files.h"
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

absl::Status Truncation::TruncateTo(int64_t offset) {
  if (offset < appender_.core_->frontiers.log_end()) VARVE_RETURN_IF_ERROR(appender_.SyncWhatOpeningLeft());
  const MutexLock lock(&appender_.mutex_);
  VARVE_RETURN_IF_ERROR(appender_.Writable());
  LogCore& core = *appender_.core_;
  const LogOffsets offsets = core.frontiers.Load();
  if (offset < offsets.log_start_offset || offset > offsets.log_end_offset) {
    return OutOfRange(core, "truncation to", offset, offsets.log_start_offset, offsets.log_end_offset);
  }
  VARVE_RETURN_IF_ERROR(PrefixDeletion::Resume(appender_));
  if (offset == offsets.log_end_offset) return core.epochs()->TruncateFromEnd(offset);
  const SegmentTable::Snapshot snapshot = core.table.Load();
  const std::optional<size_t> index = snapshot.list->Floor(offset - 1);
  if (!index.has_value()) return Carry(PendingOperation::kTruncateTo, offset, {.offset = offset, .segment = offset});
  VARVE_ASSIGN_OR_RETURN(const std::shared_ptr<const OpenSegment> segment, snapshot.list->at(*index)->Acquire());
  VARVE_ASSIGN_OR_RETURN(const DurablePoint end, PointBelow(*segment, offset));
  VARVE_RETURN_IF_ERROR(CheckOpens(core.options.file_system, core.directory, end));
  return Carry(PendingOperation::kTruncateTo, offset, end);
}

absl::Status Truncation::TruncateFullyAndStartAt(int64_t offset) {
  VARVE_RETURN_IF_ERROR(appender_.SyncWhatOpeningLeft());
  const MutexLock lock(&appender_.mutex_);
  VARVE_RETURN_IF_ERROR(appender_.Writable());
  if (offset < 0) return OutOfRange(*appender_.core_, "a start at", offset, 0, std::numeric_limits<int64_t>::max());
  VARVE_RETURN_IF_ERROR(PrefixDeletion::Resume(appender_));
  return Carry(PendingOperation::kStartAt, offset, {.offset = offset, .segment = offset});
}

absl::Status Truncation::Carry(PendingOperation operation, int64_t offset, const DurablePoint& end) {
  LogCore& core = *appender_.core_;
  const int64_t log_start_offset =
      operation == PendingOperation::kStartAt ? offset : core.frontiers.Load().log_start_offset;
  // The file's size is the published end from here on, and everything is durable: no file waits for its sync, and the
  // point is exact.
  absl::Status carried = appender_.active_->Seal();
  if (!carried.ok() && !absl::IsResourceExhausted(carried)) core.frontiers.Poison(carried);
  VARVE_RETURN_IF_ERROR(carried);
  VARVE_RETURN_IF_ERROR(appender_.flusher_->Sync());
  if (operation == PendingOperation::kTruncateTo) {
    VARVE_RETURN_IF_ERROR(PrepareCut(core.options.file_system, core.directory, end.segment, end.position));
  }
  const SyncsSuspended suspended(appender_.flusher_);
  // Where the line is written by calls a full disk is met here, and the page that is changed again in Reload has room.
  carried = appender_.TryStoreLive();
  if (carried.ok()) carried = Announce(operation, offset, end);
  if (!carried.ok()) {
    // Refused, so that the copy gives its room back; one that may be announced is needed.
    if (core.frontiers.Writable().ok()) (void)core.options.file_system->Remove(JoinPath(core.directory, kCutFileName));
    return carried;
  }
  HoldBackReopened(end.offset);
  core.frontiers.Reset(log_start_offset, offset, std::min(core.frontiers.durable(), offset));
  ReplaceTail(operation, offset, end);
  carried = Reload(end);
  if (!carried.ok()) core.frontiers.Poison(carried);
  return carried;
}

// What an abort marker closed that goes is open again, and no index tells of it any more once that is cut: committed
// readers stay before it until Install knows which transactions are open. Where an index cannot be read they all are.
void Truncation::HoldBackReopened(int64_t log_end_offset) {
  LogCore& core = *appender_.core_;
  const auto reopened = CollectAborted(*core.table.Load().list, log_end_offset, log_end_offset);
  int64_t first_unstable = reopened.ok() ? core.frontiers.first_unstable() : 0;
  for (const AbortedTransaction& transaction : reopened.value_or(std::vector<AbortedTransaction>())) {
    first_unstable = std::min(first_unstable, transaction.first_offset);
  }
  core.frontiers.SetFirstUnstable(first_unstable);
}

absl::Status Truncation::Announce(PendingOperation operation, int64_t offset, const DurablePoint& end) {
  const LogCore& core = *appender_.core_;
  const PublishedEnd active_end = appender_.active_->end();
  const LogPlace log_end{.segment = appender_.active_->base_offset(), .position = active_end.end_position};
  return appender_.flusher_->UpdateState([&](PartitionStateValues* values) {
    values->pending = operation;
    values->pending_offset = offset;
    values->pending_end = log_end;
    values->clean = false;
    // Kafka's checkpoint stays as it is while the log is open.
    const std::optional<int64_t>& marked_start = core.options.marks.log_start_offset;
    if (operation == PendingOperation::kStartAt && marked_start.has_value()) {
      values->superseded_log_start = *marked_start > offset ? *marked_start : 0;
    }
    // A cut is made at the point, whatever that was before.
    if (operation == PendingOperation::kTruncateTo || values->durable.offset > end.offset) values->durable = end;
  });
}

// Readers look for what stays in the files that are being cut: the list names no file that goes, and of the one that is
// cut no more than stays.
void Truncation::ReplaceTail(PendingOperation operation, int64_t log_end_offset, const DurablePoint& end) {
  LogCore& core = *appender_.core_;
  const std::shared_ptr<FileSystem>& file_system = appender_.segment_options_.file_system;
  const std::shared_ptr<const SegmentList> list = core.table.Load().list;
  size_t kept = 0;
  while (operation == PendingOperation::kTruncateTo && kept < list->size() && list->base_offset(kept) < end.segment) {
    ++kept;
  }
  std::vector<DamagedRange> damage;
  if (end.position > 0) damage = list->at(kept)->lasting_damage();
  std::erase_if(damage, [&](const DamagedRange& range) { return range.position >= end.position; });
  core.table.DropSuffix(
      kept, std::make_shared<SegmentHandle>(file_system, core.directory, end.segment,
                                            PublishedEnd{end.position, log_end_offset}, std::move(damage), core.cache));
}

// Carries through what is announced, by the code that opening does it with. Readers are stopped at the new end before a
// file goes, those of other processes by the live line; recovery believes that line too, so it must not tell of the old
// end once the announcement is cleared. A failure half way leaves what was announced to the next opening; until then
// nothing may be appended.
absl::Status Truncation::Reload(const DurablePoint& end) {
  const LogCore& core = *appender_.core_;
  ++appender_.live_generation_;
  LiveValues values = appender_.LiveValuesAt(end.segment, {end.position, end.offset});
  values.served = false;  // until Install: the files are not what they are to be
  VARVE_RETURN_IF_ERROR(appender_.live_->Store(values));
  LogOptions options = core.options;
  // These were of the log as it was opened.
  options.marks = {};
  options.recover_all = false;
  options.recovery_progress = nullptr;
  VARVE_ASSIGN_OR_RETURN(LoadedLog loaded, LoadAnnounced(options.file_system, core.directory, options,
                                                         appender_.flusher_->state_values()));
  return appender_.Install(std::move(loaded));
}

}  // namespace varve::internal
