#include "log/prefix_deletion.h"

#include <algorithm>
#include <cstddef>
#include <memory>

#include "base/status.h"
#include "log/pending_operation.h"
#include "varve/errors.h"

namespace varve::internal {

absl::StatusOr<int64_t> DeletionTarget(const LogCore& core, int64_t offset) {
  if (!Deletes(core.options.cleanup_policy)) {
    return WithKafkaError(
        Error(absl::StatusCode::kInvalidArgument,
              "{}: deletion before {}: expected a cleanup_policy that deletes, found kCompact", core.directory, offset),
        KafkaError::kPolicyViolation);
  }
  const LogOffsets offsets = core.frontiers.Load();
  if (offset == -1) offset = offsets.high_watermark;
  if (offset < 0 || offset > offsets.high_watermark) {
    return WithKafkaError(Error(absl::StatusCode::kOutOfRange, "{}: deletion before {}: expected {} to {}",
                                core.directory, offset, offsets.log_start_offset, offsets.high_watermark),
                          KafkaError::kOffsetOutOfRange);
  }
  return std::max(offset, offsets.log_start_offset);
}

absl::Status PrefixDeletion::MoveLogStart(Appender& appender, int64_t log_start_offset, int64_t first_kept) {
  VARVE_RETURN_IF_ERROR(MakeIndependent(appender, log_start_offset));
  VARVE_RETURN_IF_ERROR(appender.flusher_->UpdateState([&](PartitionStateValues* values) {
    values->pending = PendingOperation::kDeleteBefore;
    values->pending_offset = first_kept;
    values->log_start_offset = log_start_offset;
    values->clean = false;
  }));
  return Finish(appender, log_start_offset, first_kept);
}

// Everything is durable first: what is left of the log must not depend on what goes. What opening left to the first sync
// depends on the segment that holds the durable point alone, which stays where the log starts below the point: that is
// not written again for this, as it may take long, and find no room on a disk that this is to make room on.
absl::Status PrefixDeletion::MakeIndependent(Appender& appender, int64_t log_start_offset) {
  const bool keeps_point = log_start_offset < appender.core_->frontiers.durable();
  if (keeps_point && appender.flusher_->AwaitsFirstSync()) return absl::OkStatus();
  return appender.flusher_->Sync();
}

bool PrefixDeletion::IsHalfWay(const Appender& appender) {
  return appender.flusher_->state_values().pending == PendingOperation::kDeleteBefore;
}

absl::Status PrefixDeletion::Resume(Appender& appender) {
  if (!IsHalfWay(appender)) return absl::OkStatus();
  const int64_t log_start_offset = appender.core_->frontiers.log_start();
  return Finish(appender, log_start_offset, log_start_offset);
}

absl::Status PrefixDeletion::Finish(Appender& appender, int64_t log_start_offset, int64_t first_kept) {
  absl::Status dropped = DropPrefix(appender, log_start_offset, first_kept);
  // The log start is durable: what a full disk kept from being renamed is a leftover to the next opening or deletion.
  if (!dropped.ok() && !absl::IsResourceExhausted(dropped)) appender.core_->frontiers.Poison(dropped);
  return dropped;
}

absl::Status PrefixDeletion::DropPrefix(Appender& appender, int64_t log_start_offset, int64_t first_kept) {
  LogCore& core = *appender.core_;
  const SegmentTable::Snapshot snapshot = core.table.Load();
  size_t below = 0;
  while (below + 1 < snapshot.list->size() && snapshot.list->base_offset(below + 1) <= first_kept) ++below;
  core.frontiers.AdvanceLogStart(log_start_offset);
  if (below > 0) {
    core.table.DropPrefix(below);
    ++appender.live_generation_;
  }
  // Readers of other processes are told before a file goes; without the room for that, once files that went have made
  // some.
  const bool told = appender.TryStoreLive().ok();
  PartitionStateValues announced;
  announced.pending = PendingOperation::kDeleteBefore;
  announced.pending_offset = first_kept;
  VARVE_RETURN_IF_ERROR(CarryThrough(core.options.file_system, core.directory, announced));
  if (!told) appender.StoreLive();
  // A full disk may have no room for the new checkpoint: the old one holds the same epochs and an earlier start, which
  // opening moves up.
  absl::Status epochs = core.epochs()->TruncateFromStart(log_start_offset);
  if (!epochs.ok() && !absl::IsResourceExhausted(epochs)) return epochs;
  return appender.flusher_->UpdateState([](PartitionStateValues* values) {
    values->pending = PendingOperation::kNone;
    values->pending_offset = 0;
  });
}

}  // namespace varve::internal
