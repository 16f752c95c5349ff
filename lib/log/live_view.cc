#include "log/live_view.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/path.h"
#include "base/status.h"
#include "log/partition_listing.h"
#include "log/partition_state.h"
#include "record/batch_header.h"
#include "segment/segment_files.h"
#include "segment/segment_lookup.h"
#include "state/checkpoint_file.h"

namespace varve::internal {
namespace {

// True if damage begins at `end`, which then lies behind it.
bool StepOverDamage(const OpenSegment& segment, PublishedEnd* end) {
  for (const DamagedRange& range : segment.damage()) {
    if (range.position != end->end_position || range.bytes == 0) continue;
    *end = {range.position + range.bytes, range.last_offset + 1};
    return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LiveView>> LiveView::Load(const LogCore& core, const LiveValues& values,
                                                         const LiveView* before) {
  std::unique_ptr<LiveView> view(new LiveView(core, values));
  view->untouched_ = std::make_shared<OverlayFileSystem>(core.options.file_system);
  // The writer notes what stays damaged before it serves: while it does, the notes are of these very files. Those that
  // cannot be read are none.
  const DamageNotes damage = DamageNotes::Read(core.options.file_system, core.directory).value_or(DamageNotes());
  VARVE_ASSIGN_OR_RETURN(const std::optional<PartitionStateValues> state,
                         PartitionState::Peek(core.options.file_system, core.directory));
  view->index_interval_bytes_ = IndexIntervalBytes(core.options, state);
  VARVE_RETURN_IF_ERROR(view->FindSealed(damage, before));
  VARVE_RETURN_IF_ERROR(view->OpenActive(damage));
  VARVE_RETURN_IF_ERROR(view->LoadEpochs());
  VARVE_RETURN_IF_ERROR(view->Extend(values));
  // The walk has looked at headers alone: whoever reads tests what they lead to.
  view->active_->TookFromFiles(view->active_->published());
  return view;
}

absl::Status LiveView::FindSealed(const DamageNotes& damage, const LiveView* before) {
  FileSystem* const file_system = core_.options.file_system;
  VARVE_ASSIGN_OR_RETURN(const PartitionListing listing, ListPartition(file_system, core_.directory));
  std::vector<int64_t> bases = listing.BaseOffsets();
  // A segment behind the active one has been rolled to since the line was read.
  bases.erase(std::lower_bound(bases.begin(), bases.end(), values_.active_base), bases.end());
  size_t known = 0;
  for (size_t index = 0; index < bases.size(); ++index) {
    const int64_t next_offset = index + 1 < bases.size() ? bases[index + 1] : values_.active_base;
    if (next_offset <= values_.log_start_offset) continue;  // about to be deleted
    if (before != nullptr) {
      // The last handle of `before` was active: what it knows of the segment's end is old.
      while (known + 1 < before->handles_.size() && before->handles_[known]->base_offset() < bases[index]) ++known;
      if (known + 1 < before->handles_.size() && before->handles_[known]->base_offset() == bases[index]) {
        handles_.push_back(before->handles_[known]);
        continue;
      }
    }
    const std::string path = JoinPath(core_.directory, SegmentFileName(bases[index], SegmentFileKind::kLog));
    VARVE_ASSIGN_OR_RETURN(const FileInfo info, file_system->Info(path));
    handles_.push_back(std::make_shared<SegmentHandle>(Unowned(file_system), core_.directory, bases[index],
                                                       PublishedEnd{static_cast<int64_t>(info.size), next_offset},
                                                       damage.Of(bases[index]), core_.cache));
  }
  return absl::OkStatus();
}

absl::Status LiveView::OpenActive(const DamageNotes& damage) {
  const LogOptions& options = core_.options;
  const std::string path = JoinPath(core_.directory, SegmentFileName(values_.active_base, SegmentFileKind::kLog));
  VARVE_ASSIGN_OR_RETURN(std::shared_ptr<File> file, options.file_system->Open(path, OpenMode::kRead));
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  if (static_cast<int64_t>(size) < values_.end_position) {
    return Error(absl::StatusCode::kDataLoss, "{}: expected at least the {} bytes that {} tells of, found {}", path,
                 values_.end_position, LiveLine::kFileName, size);
  }
  // Beyond the file's present end the mapping serves what the writer adds: one mapping for the life of most segments.
  active_mapped_bytes_ = std::max(static_cast<int64_t>(size), options.segment_bytes);
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<Mapping> mapping,
                         file->Map(static_cast<uint64_t>(active_mapped_bytes_), Access::kRead));
  auto indexes = std::make_unique<LiveIndexes>(values_.active_base, options.segment_index_bytes);
  live_indexes_ = indexes.get();
  active_ = std::make_shared<OpenSegment>(Unowned(options.file_system), path, values_.active_base, std::move(file),
                                          std::move(mapping), std::move(indexes), damage.Of(values_.active_base));
  active_->Publish({0, values_.active_base});
  handles_.push_back(
      std::make_shared<SegmentHandle>(Unowned(options.file_system), core_.directory, active_, core_.cache));
  return absl::OkStatus();
}

absl::Status LiveView::LoadEpochs() {
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<LeaderEpochCache> epochs,
                         LeaderEpochCache::Open(untouched_.get(), JoinPath(core_.directory, kLeaderEpochCheckpoint)));
  // Readers may keep the epochs longer than this view.
  struct Kept {
    std::shared_ptr<OverlayFileSystem> file_system;
    std::unique_ptr<LeaderEpochCache> epochs;
  };
  const auto kept = std::make_shared<Kept>(Kept{untouched_, std::move(epochs)});
  epochs_ = std::shared_ptr<LeaderEpochCache>(kept, kept->epochs.get());
  // A full disk may have kept the writer from moving its checkpoint up.
  return epochs_->TruncateFromStart(values_.log_start_offset);
}

bool LiveView::Covers(const LiveValues& values) const {
  return values.generation == values_.generation && values.active_base == values_.active_base &&
         values.end_position <= active_mapped_bytes_;
}

absl::Status LiveView::Extend(const LiveValues& values) {
  PublishedEnd end = active_->published();
  TimestampOffset largest = active_->largest_timestamp();
  absl::Status status;
  while (end.end_position < values.end_position) {
    if (StepOverDamage(*active_, &end)) continue;
    const int64_t available = values.end_position - end.end_position;
    const std::byte* const bytes = active_->log() + end.end_position;
    if (available < static_cast<int64_t>(kBatchHeaderBytes) ||
        JudgeBatch(bytes, static_cast<size_t>(available), static_cast<uint64_t>(available)) != BatchForm::kWhole) {
      status = Error(absl::StatusCode::kDataLoss, "{}: at position {}: expected a record batch before position {}",
                     active_->path(), end.end_position, values.end_position);
      break;
    }
    const BatchHeader header = DecodeBatchHeader(bytes);
    status = TakeIn(header, end.end_position, &largest);
    if (!status.ok()) break;
    end = {end.end_position + static_cast<int64_t>(header.size_bytes), header.next_offset()};
  }
  // What was walked is taken in for good: it has index entries now.
  active_->Publish(status.ok() ? PublishedEnd{values.end_position, values.end_offset} : end);
  active_->SetLargestTimestamp(largest);
  VARVE_RETURN_IF_ERROR(status);
  if (values.log_start_offset > values_.log_start_offset) {
    VARVE_RETURN_IF_ERROR(epochs_->TruncateFromStart(values.log_start_offset));
  }
  values_ = values;
  return absl::OkStatus();
}

absl::Status LiveView::TakeIn(const BatchHeader& header, int64_t position, TimestampOffset* largest) {
  if (header.max_timestamp_ms > largest->timestamp_ms) *largest = {header.max_timestamp_ms, header.last_offset()};
  if (bytes_since_index_entry_ > index_interval_bytes_) {
    VARVE_RETURN_IF_ERROR(live_indexes_->offsets.Append(header.last_offset(), position));
    VARVE_RETURN_IF_ERROR(live_indexes_->times.MaybeAppend(largest->timestamp_ms, largest->offset));
    bytes_since_index_entry_ = 0;
  }
  bytes_since_index_entry_ += static_cast<int64_t>(header.size_bytes);
  if (header.leader_epoch <= epochs_->latest_epoch()) return absl::OkStatus();
  return epochs_->Assign(header.leader_epoch, header.base_offset);
}

std::vector<ProducerStateEntry> LiveView::Producers() {
  bool is_complete = true;
  if (producers_ == nullptr) {
    auto producers = std::make_unique<ProducerStateManager>(untouched_.get(), core_.directory,
                                                            core_.options.producer_id_expiration_ms);
    const absl::StatusOr<int64_t> from_offset =
        producers->Reload(values_.log_start_offset, values_.end_offset, core_.options.clock->WallMs());
    if (!from_offset.ok()) return {};
    producers_ = std::move(producers);
    producers_from_offset_ = *from_offset;
    producers_position_ = 0;
    is_complete = ReplaySealed();
  }
  is_complete = ReplayProducers(*active_, &producers_position_) && is_complete;
  std::vector<ProducerStateEntry> entries = producers_->entries();
  if (!is_complete) producers_.reset();
  return entries;
}

bool LiveView::ReplaySealed() {
  bool is_complete = true;
  for (const std::shared_ptr<SegmentHandle>& handle : handles_) {
    if (handle == handles_.back() || handle->end().next_offset <= producers_from_offset_) continue;
    const absl::StatusOr<std::shared_ptr<const OpenSegment>> sealed = handle->Acquire();
    int64_t position = 0;
    is_complete = sealed.ok() && ReplayProducers(**sealed, &position) && is_complete;
  }
  return is_complete;
}

bool LiveView::ReplayProducers(const OpenSegment& segment, int64_t* position) {
  const PublishedEnd end = segment.published();
  for (bool is_complete = true;;) {
    const absl::StatusOr<std::optional<FoundBatch>> found = BatchAt(segment, *position, end);
    if (!found.ok()) return false;
    is_complete = is_complete && !segment.awaits_device();  // batches may have been passed over
    if (!found->has_value()) return is_complete;
    *position = (*found)->position + (*found)->size_bytes;
    if ((*found)->last_offset < producers_from_offset_) continue;
    const RecordBatchView batch(
        std::span(segment.log() + (*found)->position, static_cast<size_t>((*found)->size_bytes)));
    std::optional<CompletedTransaction> completed;
    producers_->Replay(batch, &completed).IgnoreError();
  }
}

}  // namespace varve::internal
