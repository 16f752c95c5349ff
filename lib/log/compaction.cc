#include "log/compaction.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <utility>

#include "base/path.h"
#include "base/status.h"
#include "log/segment_swap.h"
#include "record/batch_header.h"
#include "segment/segment_files.h"

namespace varve::internal {
namespace {

CleaningLimits LimitsOf(const LogOptions& log, const CompactionOptions& options) {
  return {.min_cleanable_dirty_ratio = log.min_cleanable_dirty_ratio,
          .min_compaction_lag_ms = options.min_compaction_lag_ms.value_or(log.min_compaction_lag_ms),
          .max_compaction_lag_ms = log.max_compaction_lag_ms,
          .segment_bytes = log.segment_bytes,
          .segment_index_bytes = log.segment_index_bytes};
}

ActiveProducers ActiveProducersOf(const std::vector<ProducerStateEntry>& entries) {
  ActiveProducers active;
  for (const ProducerStateEntry& entry : entries) {
    ActiveProducer& producer = active[entry.producer_id];
    producer.epoch = entry.epoch;
    if (!entry.batches.empty()) producer.last_data_offset = entry.last_offset();
  }
  return active;
}

}  // namespace

Compaction::Compaction(Appender* appender, const CompactionOptions& options, const std::atomic<bool>* closing)
    : appender_(*appender),
      core_(*appender->core_),
      options_(options),
      closing_(*closing),
      now_ms_(options.now_ms.value_or(core_.options.clock->WallMs())),
      limits_(LimitsOf(core_.options, options)) {}

absl::StatusOr<CompactionResult> Compaction::Run() {
  absl::Status status = RunIfDue();
  if (absl::IsCancelled(status)) {
    result_.cancelled = true;
    status = absl::OkStatus();
  }
  // Those of earlier passes too: where nothing is deleted nobody else asks.
  (void)appender_.deleted_files_.RemoveDue();
  VARVE_RETURN_IF_ERROR(status);
  return result_;
}

absl::Status Compaction::RunIfDue() {
  VARVE_RETURN_IF_ERROR(core_.frontiers.Writable());
  VARVE_RETURN_IF_ERROR(MakePlan());
  const CleanableRange& range = plan_.range;
  result_.reason = DecideCompaction(range, limits_, options_.force, now_ms_);
  result_.dirty_ratio = range.dirty_ratio();
  result_.first_dirty_offset = result_.end_offset = range.first_dirty_offset;
  result_.first_uncleanable_offset = range.first_uncleanable_offset;
  if (!WasDue(result_.reason)) return absl::OkStatus();
  VARVE_RETURN_IF_ERROR(CheckUndamaged());
  VARVE_RETURN_IF_ERROR(MakeReady());
  return CleanAll();
}

// --- Planning ---

// Without the writer lock: what goes meanwhile is met as an error or a list that has changed.
absl::Status Compaction::MakePlan() {
  for (;;) {
    const int64_t last_stable_offset = core_.frontiers.Load().last_stable_offset;
    const SegmentTable::Snapshot snapshot = core_.table.Load();
    absl::StatusOr<Plan> plan = PlanFor(snapshot.list, last_stable_offset);
    if (plan.ok()) {
      plan_ = *std::move(plan);
      return absl::OkStatus();
    }
    if (core_.table.generation() == snapshot.generation) return plan.status();
  }
}

absl::StatusOr<Compaction::Plan> Compaction::PlanFor(std::shared_ptr<const SegmentList> list,
                                                     int64_t last_stable_offset) {
  const LogOffsets offsets = core_.frontiers.Load();
  const int64_t first_dirty_offset =
      FirstDirtyOffset(appender_.flusher_->first_dirty_offset(), offsets.log_start_offset, offsets.log_end_offset);
  const bool lags_count =
      limits_.min_compaction_lag_ms > 0 || limits_.max_compaction_lag_ms < std::numeric_limits<int64_t>::max();
  Plan plan;
  for (size_t index = 0; index + 1 < list->size(); ++index) {
    const bool is_dirty = list->base_offset(index + 1) > first_dirty_offset;
    VARVE_ASSIGN_OR_RETURN(const CleaningSegment segment, Measure(list->at(index).get(), lags_count && is_dirty));
    plan.segments.push_back(segment);
  }
  plan.segments.push_back({.base_offset = list->base_offset(list->size() - 1)});
  plan.list = std::move(list);
  plan.range = FindCleanable(plan.segments, first_dirty_offset, last_stable_offset, limits_, now_ms_);
  return plan;
}

absl::StatusOr<CleaningSegment> Compaction::Measure(SegmentHandle* handle, bool with_timestamps) const {
  CleaningSegment segment{.base_offset = handle->base_offset(), .size_bytes = handle->end().end_position};
  for (const auto& [kind, bytes] : {std::pair(SegmentFileKind::kOffsetIndex, &segment.offset_index_bytes),
                                    std::pair(SegmentFileKind::kTimeIndex, &segment.time_index_bytes)}) {
    const absl::StatusOr<FileInfo> info =
        core_.options.file_system->Info(JoinPath(core_.directory, SegmentFileName(segment.base_offset, kind)));
    if (absl::IsNotFound(info.status())) continue;
    VARVE_RETURN_IF_ERROR(info.status());
    *bytes = static_cast<int64_t>(info->size);
  }
  if (!with_timestamps || segment.size_bytes == 0) return segment;
  VARVE_ASSIGN_OR_RETURN(const TimestampOffset largest, handle->LargestTimestamp());
  segment.largest_timestamp_ms = largest.timestamp_ms;
  VARVE_ASSIGN_OR_RETURN(const std::shared_ptr<const OpenSegment> open, handle->Acquire());
  std::array<std::byte, kBatchHeaderBytes> header;
  VARVE_RETURN_IF_ERROR(open->ReadAt(0, header));
  segment.first_batch_timestamp_ms = DecodeBatchHeader(header.data()).max_timestamp_ms;
  return segment;
}

// What cannot be read cannot be copied, and notes of damage name positions in files that are about to go.
absl::Status Compaction::CheckUndamaged() const {
  for (const std::shared_ptr<SegmentHandle>& handle : plan_.list->handles()) {
    if (handle->base_offset() >= plan_.range.first_uncleanable_offset) break;
    for (const DamagedRange& range : handle->damage()) {
      return Error(absl::StatusCode::kDataLoss,
                   "{}: at position {}: expected no damage in what is to be compacted, found {} bytes: {}",
                   JoinPath(core_.directory, SegmentFileName(range.segment, SegmentFileKind::kLog)), range.position,
                   range.bytes, range.reason);
    }
  }
  return absl::OkStatus();
}

// The files to come are complete only together with those that stay: were the point of varve.state in one that goes, it
// would be void after a crash, and nothing could tell a lost tail from what compaction took out.
absl::Status Compaction::MakeReady() {
  VARVE_RETURN_IF_ERROR(appender_.flusher_->Sync());
  const absl::MutexLock lock(&appender_.mutex_);
  VARVE_RETURN_IF_ERROR(appender_.Writable());
  VARVE_RETURN_IF_ERROR(RevokeSwap(core_.options.file_system, core_.directory));
  return appender_.flusher_->UpdateState([](PartitionStateValues*) {});
}

// --- Cleaning ---

SourceSegment Compaction::SourceAt(size_t index) const {
  const CleaningSegment& segment = plan_.segments[index];
  return {.base_offset = segment.base_offset,
          .next_base_offset = plan_.segments[index + 1].base_offset,
          .size_bytes = segment.size_bytes};
}

absl::StatusOr<BuiltKeyMap> Compaction::MapKeys(const CleanedTransactions& transactions) {
  std::vector<SourceSegment> dirty;
  for (size_t index = 0; index + 1 < plan_.segments.size(); ++index) {
    const SourceSegment source = SourceAt(index);
    if (source.base_offset >= plan_.range.first_uncleanable_offset) break;
    total_bytes_ += source.size_bytes;
    if (source.next_base_offset <= plan_.range.first_dirty_offset) continue;
    total_bytes_ += source.size_bytes;
    dirty.push_back(source);
  }
  return BuildKeyMap({.file_system = core_.options.file_system,
                      .directory = core_.directory,
                      .segments = dirty,
                      .first_dirty_offset = plan_.range.first_dirty_offset,
                      .budget_bytes = static_cast<size_t>(options_.key_map_bytes),
                      .refuse_unkeyed = options_.refuse_unkeyed,
                      .transactions = transactions,
                      .on_read = [this](int64_t bytes) { return OnRead(bytes); }});
}

absl::Status Compaction::CleanAll() {
  const CleaningGroup all{.begin = 0, .end = plan_.segments.size() - 1};
  std::vector<AbortedTransaction> aborted;
  for (const std::shared_ptr<SegmentHandle>& handle : plan_.list->handles()) {
    const absl::StatusOr<std::shared_ptr<const TransactionIndex>> transactions = handle->AbortedIndex();
    if (!transactions.ok()) return GiveUp(all, transactions.status());
    aborted.insert(aborted.end(), (*transactions)->entries().begin(), (*transactions)->entries().end());
  }
  const CleanedTransactions transactions(std::move(aborted));
  const absl::StatusOr<BuiltKeyMap> built = MapKeys(transactions);
  if (!built.ok()) return GiveUp(all, built.status());
  result_.map_keys = static_cast<int64_t>(built->map.key_count());
  result_.map_bytes = static_cast<int64_t>(built->map.capacity() * KeyOffsetMap::kEntryBytes);
  const int64_t end_offset = std::min(built->map_end_offset + 1, plan_.range.first_uncleanable_offset);
  CleaningPass pass{.file_system = core_.options.file_system,
                    .directory = core_.directory,
                    .map = &built->map,
                    .map_end_offset = built->map_end_offset,
                    .round_end_offset = end_offset,
                    .now_ms = now_ms_,
                    .delete_retention_ms = options_.delete_retention_ms.value_or(core_.options.delete_retention_ms),
                    .segment_index_bytes = core_.options.segment_index_bytes,
                    .producers = ActiveProducersOf(appender_.producers()),
                    .transactions = transactions,
                    .on_read = [this](int64_t bytes) { return OnRead(bytes); }};
  {
    const absl::MutexLock lock(&appender_.mutex_);
    pass.index_interval_bytes = appender_.segment_options_.index_interval_bytes;
  }
  VARVE_RETURN_IF_ERROR(CleanGroups(GroupSegments(plan_.segments, end_offset, limits_), &pass));
  return result_.segments_dropped > 0 ? absl::OkStatus() : MoveMark(end_offset);
}

absl::Status Compaction::CleanGroups(const std::vector<CleaningGroup>& groups, CleaningPass* pass) {
  for (const CleaningGroup& group : groups) {
    VARVE_ASSIGN_OR_RETURN(const bool swapped, CleanOne(group, pass));
    if (!swapped) break;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Compaction::CleanOne(const CleaningGroup& group, CleaningPass* pass) {
  std::vector<SourceSegment> sources;
  for (size_t index = group.begin; index < group.end; ++index) sources.push_back(SourceAt(index));
  const absl::StatusOr<CleanedSegment> cleaned = CleanGroup(sources, pass);
  if (!cleaned.ok()) {
    VARVE_RETURN_IF_ERROR(GiveUp(group, cleaned.status()));
    return false;
  }
  // Known to the disk by their present names, they can be taken back by these.
  FileSystem* const file_system = core_.options.file_system;
  if (absl::Status synced = file_system->SyncDirectory(core_.directory); !synced.ok()) {
    core_.frontiers.Poison(synced);
    return synced;
  }
  absl::StatusOr<std::shared_ptr<SegmentHandle>> made = OpenCleaned(group, *cleaned);
  absl::StatusOr<bool> swapped = false;
  if (made.ok()) {
    swapped = Swap(group, *cleaned, *std::move(made));
  } else if (absl::Status status = GiveUp(group, made.status()); !status.ok()) {
    swapped = status;  // else a truncation cleared the files up
  }
  if (swapped.ok() && *swapped) {
    Count(group, *cleaned);
  } else if (core_.frontiers.Writable().ok()) {
    VARVE_RETURN_IF_ERROR(RevokeSwap(file_system, core_.directory));
  }
  return swapped;
}

// By the descriptors of the files, which the list must name before they have their names.
absl::StatusOr<std::shared_ptr<SegmentHandle>> Compaction::OpenCleaned(const CleaningGroup& group,
                                                                       const CleanedSegment& cleaned) const {
  const std::shared_ptr<FileSystem> file_system = Unowned(core_.options.file_system);
  const PublishedEnd end{.end_position = cleaned.size_bytes, .next_offset = plan_.segments[group.end].base_offset};
  VARVE_ASSIGN_OR_RETURN(
      std::shared_ptr<const OpenSegment> open,
      OpenSegment::OpenSealed(file_system, core_.directory, cleaned.base_offset, end, {}, SegmentFileSuffix::kCleaned));
  auto aborted = std::make_shared<TransactionIndex>(cleaned.base_offset);
  if (cleaned.transaction_index_bytes > 0) {
    const std::string name =
        SegmentFileName(cleaned.base_offset, SegmentFileKind::kTransactionIndex, SegmentFileSuffix::kCleaned);
    VARVE_ASSIGN_OR_RETURN(
        *aborted, TransactionIndex::Open(file_system.get(), JoinPath(core_.directory, name), cleaned.base_offset));
  }
  return std::make_shared<SegmentHandle>(file_system, core_.directory, std::move(open), std::move(aborted),
                                         core_.cache);
}

// --- Swapping ---

std::optional<size_t> Compaction::Locate(const CleaningGroup& group) const {
  const std::shared_ptr<const SegmentList> list = core_.table.Load().list;
  const std::optional<size_t> at = list->Floor(plan_.segments[group.begin].base_offset);
  const size_t count = group.end - group.begin;
  if (!at.has_value() || *at + count >= list->size()) return std::nullopt;
  for (size_t index = 0; index < count; ++index) {
    if (list->at(*at + index) != plan_.list->at(group.begin + index)) return std::nullopt;
  }
  return at;
}

absl::Status Compaction::GiveUp(const CleaningGroup& group, absl::Status status) {
  const absl::MutexLock lock(&appender_.mutex_);  // a truncation under way comes to its end first
  if (absl::IsCancelled(status) || Locate(group).has_value()) return status;
  ++result_.segments_dropped;
  return absl::OkStatus();
}

absl::StatusOr<bool> Compaction::Swap(const CleaningGroup& group, const CleanedSegment& cleaned,
                                      std::shared_ptr<SegmentHandle> made) {
  const absl::MutexLock lock(&appender_.mutex_);
  VARVE_RETURN_IF_ERROR(appender_.Writable());
  const std::optional<size_t> at = Locate(group);
  if (!at.has_value()) {
    ++result_.segments_dropped;
    return false;
  }
  // Readers of other processes open files by name: they are told before a name changes, and served again once all are
  // right.
  ++appender_.live_generation_;
  LiveValues values = appender_.LiveValuesAt(appender_.active_->base_offset(), appender_.active_->end());
  values.served = false;
  absl::Status exchanged = appender_.live_->Store(values);
  if (exchanged.ok()) exchanged = Exchange(group, *at, cleaned, std::move(made));
  // Who loaded the files meanwhile, without the line, is told to come again.
  ++appender_.live_generation_;
  if (core_.frontiers.Writable().ok()) appender_.StoreLive();
  VARVE_RETURN_IF_ERROR(exchanged);
  return true;
}

absl::Status Compaction::Exchange(const CleaningGroup& group, size_t at, const CleanedSegment& cleaned,
                                  std::shared_ptr<SegmentHandle> made) {
  FileSystem* const file_system = core_.options.file_system;
  if (absl::Status proposed = ProposeSwap(file_system, core_.directory, made->base_offset()); !proposed.ok()) {
    // Appends must not go on beside files of which nobody knows whether the next opening takes them.
    if (const absl::Status revoked = RevokeSwap(file_system, core_.directory); !revoked.ok()) {
      core_.frontiers.Poison(revoked);
    }
    return proposed;
  }
  // From here on the new segment is the log's. Readers that hold an older list are sent to this one before a name that
  // theirs would open by becomes another file's.
  core_.table.ReplaceRange(at, at + (group.end - group.begin), {made});
  std::vector<int64_t> replaced;
  for (size_t index = group.begin; index < group.end; ++index) {
    plan_.list->at(index)->Retire();
    replaced.push_back(plan_.list->base_offset(index));
  }
  absl::Status completed = CompleteSwap(file_system, core_.directory, replaced, cleaned.next_offset);
  if (!completed.ok()) {
    core_.frontiers.Poison(completed);
    return completed;
  }
  made->Sealed();
  last_made_ = std::move(made);
  return absl::OkStatus();
}

// A truncation after the last swap has made all handles new, and lowered the mark.
absl::Status Compaction::MoveMark(int64_t end_offset) {
  const absl::MutexLock lock(&appender_.mutex_);
  VARVE_RETURN_IF_ERROR(appender_.Writable());
  const std::shared_ptr<const SegmentList> list = core_.table.Load().list;
  const std::optional<size_t> at = last_made_ != nullptr ? list->Floor(last_made_->base_offset()) : std::nullopt;
  if (!at.has_value() || list->at(*at) != last_made_) return absl::OkStatus();
  const int64_t mark = std::max(end_offset, plan_.range.first_dirty_offset);
  VARVE_RETURN_IF_ERROR(
      appender_.flusher_->UpdateState([&](PartitionStateValues* values) { values->first_dirty_offset = mark; }));
  result_.end_offset = mark;
  return absl::OkStatus();
}

void Compaction::Count(const CleaningGroup& group, const CleanedSegment& cleaned) {
  for (size_t index = group.begin; index < group.end; ++index) {
    ++result_.segments_before;
    result_.bytes_before += plan_.segments[index].size_bytes;
  }
  ++result_.segments_after;
  result_.bytes_after += cleaned.size_bytes;
  result_.records_kept += cleaned.records_kept;
  result_.removed.superseded += cleaned.removed.superseded;
  result_.removed.tombstones += cleaned.removed.tombstones;
  result_.removed.unkeyed += cleaned.removed.unkeyed;
  result_.removed.aborted += cleaned.removed.aborted;
  result_.removed.markers += cleaned.removed.markers;
}

absl::Status Compaction::OnRead(int64_t bytes) {
  done_bytes_ += bytes;
  if (options_.progress != nullptr) options_.progress(done_bytes_, total_bytes_);
  const bool stop = closing_.load(std::memory_order_relaxed) || (options_.cancel != nullptr && options_.cancel());
  return stop ? absl::CancelledError("the compaction was stopped") : absl::OkStatus();
}

}  // namespace varve::internal
