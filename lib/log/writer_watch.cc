#include "log/writer_watch.h"

#include "base/path.h"
#include "base/status.h"
#include "log/partition_lock.h"
#include "log/partition_state.h"

namespace varve::internal {

absl::StatusOr<WriterSight> WriterWatch::Look() {
  VARVE_ASSIGN_OR_RETURN(const bool locked, PartitionIsLocked(file_system_, directory_));
  if (!locked) return WriterSight{};
  VARVE_RETURN_IF_ERROR(FindLine());
  if (line_ == nullptr) return WriterSight{};
  const std::optional<LiveValues> values = line_->Load();
  // A line that says nothing yet is about to: it was forgotten by a writer that recovers the log.
  if (!values.has_value()) {
    return WriterSight{WriterPresence::kBusy, {.generation = line_->generation(), .served = false}};
  }
  return WriterSight{values->served ? WriterPresence::kServing : WriterPresence::kBusy, *values};
}

std::optional<LiveValues> WriterWatch::Glance() const {
  if (line_ == nullptr || line_->lineage() != believed_lineage_) return std::nullopt;
  std::optional<LiveValues> values = line_->Load();
  return values.has_value() && values->served ? values : std::nullopt;
}

absl::Status WriterWatch::FindLine() {
  // A line is looked for again only where its file was replaced, and held against the state where a writer has begun
  // to keep another one.
  const absl::StatusOr<FileInfo> info = file_system_->Info(JoinPath(directory_, LiveLine::kFileName));
  const bool known = line_ != nullptr && info.ok() && info->identity == line_->identity();
  if (known && line_->lineage() == believed_lineage_) return absl::OkStatus();
  line_ = nullptr;
  VARVE_ASSIGN_OR_RETURN(const std::optional<PartitionStateValues> state,
                         PartitionState::Peek(file_system_, directory_));
  if (!state.has_value()) return absl::OkStatus();
  VARVE_ASSIGN_OR_RETURN(line_, LiveLine::Find(file_system_, directory_, state->lineage));
  believed_lineage_ = LiveLine::ShortLineage(state->lineage);
  return absl::OkStatus();
}

}  // namespace varve::internal
