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
  const std::optional<LiveValues> values = line_ != nullptr ? line_->Load() : std::nullopt;
  if (!values.has_value()) return WriterSight{};
  return WriterSight{values->served ? WriterPresence::kServing : WriterPresence::kBusy, *values};
}

std::optional<LiveValues> WriterWatch::Glance() const {
  if (line_ == nullptr) return std::nullopt;
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
  absl::StatusOr<std::unique_ptr<LiveLine>> line = LiveLine::Open(file_system_, directory_);
  if (absl::IsNotFound(line.status()) || absl::IsDataLoss(line.status())) return absl::OkStatus();
  VARVE_RETURN_IF_ERROR(line.status());
  const uint64_t lineage = (*line)->lineage();
  VARVE_ASSIGN_OR_RETURN(const std::optional<PartitionStateValues> state,
                         PartitionState::Peek(file_system_, directory_));
  if (!state.has_value() || LiveLine::ShortLineage(state->lineage) != lineage) return absl::OkStatus();
  line_ = *std::move(line);
  believed_lineage_ = lineage;
  return absl::OkStatus();
}

}  // namespace varve::internal
