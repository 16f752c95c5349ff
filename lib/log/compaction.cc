#include "log/compaction.h"

#include <algorithm>
#include <array>
#include <chrono>
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

Compaction::Compaction(std::shared_ptr<Appender> appender, std::shared_ptr<Flusher> flusher,
                       std::shared_ptr<CompactionGate> gate, const CompactionOptions& options)
    : flusher_(std::move(flusher)),
      appender_hold_(std::move(appender)),
      appender_(*appender_hold_),
      gate_(std::move(gate)),
      core_(*appender_.core_),
      options_(options),
      now_ms_(options.now_ms.value_or(core_.options.clock->WallMs())),
      limits_(LimitsOf(core_.options, options)) {}

// --- Coming and going ---

absl::Status Compaction::CheckOpen(const Appender& appender, const CompactionGate& gate) {
  VARVE_RETURN_IF_ERROR(appender.CheckProcess());
  if (!gate.closing) return appender.core_->frontiers.Writable();
  return Error(absl::StatusCode::kFailedPrecondition, "{}: the log is closed", appender.core_->directory);
}

absl::StatusOr<std::unique_ptr<Compaction>> Compaction::Begin(std::shared_ptr<Appender> appender,
                                                              std::shared_ptr<Flusher> flusher,
                                                              std::shared_ptr<CompactionGate> gate,
                                                              const CompactionOptions& options) {
  VARVE_RETURN_IF_ERROR(CheckOpen(*appender, *gate));
  if (gate->taken.exchange(true)) {
    return Error(absl::StatusCode::kUnavailable, "{}: another compaction is running", appender->core_->directory);
  }
  auto pass = std::unique_ptr<Compaction>(new Compaction(std::move(appender), std::move(flusher), gate, options));
  const MutexLock lock(&gate->mutex);
  gate->pass = pass.get();
  return pass;
}

absl::StatusOr<CompactionResult> Compaction::Foresee(std::shared_ptr<Appender> appender,
                                                     std::shared_ptr<Flusher> flusher,
                                                     std::shared_ptr<CompactionGate> gate,
                                                     const CompactionOptions& options) {
  VARVE_RETURN_IF_ERROR(CheckOpen(*appender, *gate));
  Compaction unbegun(std::move(appender), std::move(flusher), std::move(gate), options);
  unbegun.stage_ = Stage::kDone;  // it is not in, and has nothing to leave
  VARVE_RETURN_IF_ERROR(unbegun.Judge());
  return unbegun.result_;
}

void Compaction::CloseGate(CompactionGate* gate) {
  gate->closing = true;
  const MutexLock lock(&gate->mutex);
  if (gate->pass == nullptr) return;
  gate->pass->End(CheckOpen(gate->pass->appender_, *gate));
  gate->pass = nullptr;
}

Compaction::~Compaction() {
  const MutexLock lock(&gate_->mutex);
  if (stage_ != Stage::kDone) Leave(absl::CancelledError("given up"));
}

void Compaction::Leave(absl::Status status) {
  End(std::move(status));
  gate_->pass = nullptr;
  gate_->taken = false;
}

void Compaction::End(absl::Status status) {
  // In a child of fork() they are the parent's.
  if (cleaner_ != nullptr && appender_.CheckProcess().ok()) cleaner_->Discard();
  stage_ = Stage::kDone;
  status_ = std::move(status);
  cleaner_.reset();
  cleaning_.reset();
  built_.reset();
  builder_.reset();
  last_made_.reset();
  plan_ = {};
}

// --- Going on ---

absl::StatusOr<bool> Compaction::Step(const StepBudget& budget) {
  absl::StatusOr<bool> done = false;
  {
    const MutexLock lock(&gate_->mutex);
    done = StepLocked(budget);
  }
  if (flusher_->callbacks_due()) flusher_->RunReadyCallbacks();
  return done;
}

absl::StatusOr<bool> Compaction::StepLocked(const StepBudget& budget) {
  VARVE_RETURN_IF_ERROR(appender_.CheckProcess());
  if (stage_ != Stage::kDone) {
    absl::Status worked = Work(budget);
    if (worked.ok() && stage_ != Stage::kDone) return false;
    Leave(std::move(worked));
    // Removes nothing, which could take long: the time of what was replaced begins.
    if (!gate_->closing) (void)appender_.deleted_files_.RemoveDue(std::chrono::nanoseconds(0));
  }
  VARVE_RETURN_IF_ERROR(status_);
  return true;
}

absl::Status Compaction::Work(const StepBudget& budget) {
  // What a truncation or a deletion took since the last step need not be read.
  if (stage_ != Stage::kPlan && stage_ != Stage::kMark && !LocateSources().has_value()) {
    Drop();
    return absl::OkStatus();
  }
  Clock* const clock = core_.options.clock;
  const bool is_timed = budget.time != std::chrono::nanoseconds::max();
  const int64_t started_ns = is_timed ? clock->MonotonicNs() : 0;
  const int64_t started_bytes = progress_.done_bytes;
  for (;;) {
    VARVE_RETURN_IF_ERROR(CheckOpen(appender_, *gate_));
    VARVE_RETURN_IF_ERROR(Advance());
    if (stage_ == Stage::kDone || progress_.done_bytes - started_bytes >= budget.bytes) return absl::OkStatus();
    if (is_timed && clock->MonotonicNs() - started_ns >= budget.time.count()) return absl::OkStatus();
  }
}

absl::Status Compaction::Advance() {
  switch (stage_) {
    case Stage::kPlan:
      return PlanPass();
    case Stage::kMap:
      return MapBatch();
    case Stage::kClean:
      return CleanBatch();
    case Stage::kExchange:
      return ExchangeGroup();
    case Stage::kMark:
      return MoveMark();
    case Stage::kDone:
      break;
  }
  return absl::OkStatus();
}

// --- Planning ---

absl::Status Compaction::Judge() {
  VARVE_RETURN_IF_ERROR(MakePlan());
  const CleanableRange& range = plan_.range;
  result_.reason = DecideCompaction(range, limits_, options_.force, now_ms_);
  result_.dirty_ratio = range.dirty_ratio();
  result_.first_dirty_offset = result_.end_offset = range.first_dirty_offset;
  result_.first_uncleanable_offset = range.first_uncleanable_offset;
  return absl::OkStatus();
}

absl::Status Compaction::PlanPass() {
  VARVE_RETURN_IF_ERROR(Judge());
  if (!WasDue(result_.reason)) {
    stage_ = Stage::kDone;
    return absl::OkStatus();
  }
  VARVE_RETURN_IF_ERROR(CheckUndamaged());
  VARVE_RETURN_IF_ERROR(MakeReady());
  return BeginMap();
}

// Without the writer lock: what goes meanwhile is met as an error or a list that has changed.
absl::Status Compaction::MakePlan() {
  for (;;) {
    const SegmentTable::Snapshot snapshot = core_.table.Load();
    const LogOffsets offsets = core_.frontiers.Load();
    // A transaction that is open in what follows a truncation does not hold back what was there before.
    if (core_.table.generation() != snapshot.generation) continue;
    absl::StatusOr<Plan> plan = PlanFor(snapshot.list, offsets);
    if (plan.ok()) {
      plan_ = *std::move(plan);
      return absl::OkStatus();
    }
    if (core_.table.generation() == snapshot.generation) return plan.status();
  }
}

absl::StatusOr<Compaction::Plan> Compaction::PlanFor(std::shared_ptr<const SegmentList> list,
                                                     const LogOffsets& offsets) const {
  const int64_t first_dirty_offset =
      FirstDirtyOffset(flusher_->first_dirty_offset(), offsets.log_start_offset, offsets.log_end_offset);
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
  plan.range = FindCleanable(plan.segments, first_dirty_offset, offsets.last_stable_offset, limits_, now_ms_);
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
    if (handle->damage().empty()) continue;
    VARVE_ASSIGN_OR_RETURN(const std::shared_ptr<const OpenSegment> open, handle->Acquire());
    const std::vector<DamagedRange>& met = open->damage();
    for (const DamagedRange& range : met) VARVE_RETURN_IF_ERROR(open->JudgeAgain(range).status());
    const bool may_pass = open->awaits_device();
    for (const DamagedRange& range : open->damage()) {
      return Error(may_pass ? absl::StatusCode::kInternal : absl::StatusCode::kDataLoss,
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
  VARVE_RETURN_IF_ERROR(flusher_->Sync());
  const MutexLock lock(&appender_.mutex_);
  VARVE_RETURN_IF_ERROR(appender_.Writable());
  VARVE_RETURN_IF_ERROR(RevokeSwap(core_.options.file_system, core_.directory));
  return flusher_->UpdateState([](PartitionStateValues*) {});
}

// --- Mapping and cleaning ---

absl::Status Compaction::BeginMap() {
  std::vector<AbortedTransaction> aborted;
  for (const std::shared_ptr<SegmentHandle>& handle : plan_.list->handles()) {
    const absl::StatusOr<std::shared_ptr<const TransactionIndex>> transactions = handle->AbortedIndex();
    if (!transactions.ok()) return GiveUp(transactions.status());
    aborted.insert(aborted.end(), (*transactions)->entries().begin(), (*transactions)->entries().end());
  }
  transactions_ = CleanedTransactions(std::move(aborted));
  std::vector<SourceSegment> dirty;
  for (size_t index = 0; index + 1 < plan_.segments.size(); ++index) {
    const SourceSegment source = SourceAt(index);
    if (source.base_offset >= plan_.range.first_uncleanable_offset) break;
    progress_.total_bytes += source.size_bytes;
    if (source.next_base_offset <= plan_.range.first_dirty_offset) continue;
    progress_.total_bytes += source.size_bytes;
    dirty.push_back(source);
  }
  VARVE_ASSIGN_OR_RETURN(builder_, KeyMapBuilder::Create({.file_system = core_.options.file_system,
                                                          .directory = core_.directory,
                                                          .segments = std::move(dirty),
                                                          .first_dirty_offset = plan_.range.first_dirty_offset,
                                                          .budget_bytes = static_cast<size_t>(options_.key_map_bytes),
                                                          .refuse_unkeyed = options_.refuse_unkeyed,
                                                          .transactions = transactions_}));
  stage_ = Stage::kMap;
  return absl::OkStatus();
}

absl::Status Compaction::MapBatch() {
  const absl::StatusOr<bool> more = builder_->Step();
  if (!more.ok()) return GiveUp(more.status());
  progress_.done_bytes = builder_->bytes_read();
  return *more ? absl::OkStatus() : BeginCleaning();
}

absl::Status Compaction::BeginCleaning() {
  built_ = std::move(*builder_).Finish();
  builder_.reset();
  result_.map_keys = static_cast<int64_t>(built_->map.key_count());
  result_.map_bytes = static_cast<int64_t>(built_->map.capacity() * KeyOffsetMap::kEntryBytes);
  const int64_t end_offset = std::min(built_->map_end_offset + 1, plan_.range.first_uncleanable_offset);
  cleaning_ = {.file_system = core_.options.file_system,
               .directory = core_.directory,
               .map = &built_->map,
               .map_end_offset = built_->map_end_offset,
               .round_end_offset = end_offset,
               .now_ms = now_ms_,
               .delete_retention_ms = options_.delete_retention_ms.value_or(core_.options.delete_retention_ms),
               .segment_index_bytes = core_.options.segment_index_bytes,
               .producers = ActiveProducersOf(appender_.producers()),
               .transactions = std::move(transactions_)};
  {
    const MutexLock lock(&appender_.mutex_);
    cleaning_->index_interval_bytes = appender_.segment_options_.index_interval_bytes;
  }
  groups_ = GroupSegments(plan_.segments, end_offset, limits_);
  // A map that filled up covers less than all.
  progress_.total_bytes = progress_.done_bytes;
  for (const CleaningGroup& group : groups_) {
    for (size_t index = group.begin; index < group.end; ++index) {
      progress_.total_bytes += plan_.segments[index].size_bytes;
    }
  }
  stage_ = groups_.empty() ? Stage::kMark : Stage::kClean;
  return absl::OkStatus();
}

absl::Status Compaction::CleanBatch() {
  if (cleaner_ == nullptr) {
    std::vector<SourceSegment> sources;
    for (size_t index = Sources().begin; index < Sources().end; ++index) sources.push_back(SourceAt(index));
    cleaner_ = std::make_unique<SegmentCleaner>(std::move(sources), &*cleaning_);
  }
  const int64_t bytes_before = cleaner_->bytes_read();
  const absl::StatusOr<bool> more = cleaner_->Step();
  progress_.done_bytes += cleaner_->bytes_read() - bytes_before;
  if (!more.ok()) return GiveUp(more.status());
  if (!*more) stage_ = Stage::kExchange;
  return absl::OkStatus();
}

// --- Exchanging ---

absl::Status Compaction::ExchangeGroup() {
  const absl::StatusOr<CleanedSegment> cleaned = cleaner_->Finish();
  cleaner_.reset();
  if (!cleaned.ok()) return GiveUp(cleaned.status());
  // Known to the disk by their present names, they can be taken back by these.
  FileSystem* const file_system = core_.options.file_system;
  if (absl::Status synced = file_system->SyncDirectory(core_.directory); !synced.ok()) {
    core_.frontiers.Poison(synced);
    return synced;
  }
  absl::StatusOr<std::shared_ptr<SegmentHandle>> made = OpenCleaned(*cleaned);
  absl::StatusOr<bool> swapped = false;
  if (made.ok()) {
    swapped = Swap(*cleaned, *std::move(made));
  } else if (absl::Status status = GiveUp(made.status()); !status.ok()) {
    swapped = status;  // else a truncation cleared the files up
  }
  if (!swapped.ok() || !*swapped) {
    if (core_.frontiers.Writable().ok()) VARVE_RETURN_IF_ERROR(RevokeSwap(file_system, core_.directory));
    return swapped.status();
  }
  Count(*cleaned);
  ++group_;
  stage_ = group_ < groups_.size() ? Stage::kClean : Stage::kMark;
  return absl::OkStatus();
}

// By the descriptors of the files, which the list must name before they have their names.
absl::StatusOr<std::shared_ptr<SegmentHandle>> Compaction::OpenCleaned(const CleanedSegment& cleaned) const {
  const std::shared_ptr<FileSystem> file_system = Unowned(core_.options.file_system);
  const PublishedEnd end{.end_position = cleaned.size_bytes, .next_offset = plan_.segments[Sources().end].base_offset};
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

absl::StatusOr<bool> Compaction::Swap(const CleanedSegment& cleaned, std::shared_ptr<SegmentHandle> made) {
  const MutexLock lock(&appender_.mutex_);
  VARVE_RETURN_IF_ERROR(appender_.Writable());
  const std::optional<size_t> at = LocateSources();
  if (!at.has_value()) {
    Drop();
    return false;
  }
  // Readers of other processes open files by name: they are told before a name changes, and served again once all are
  // right.
  ++appender_.live_generation_;
  LiveValues values = appender_.LiveValuesAt(appender_.active_->base_offset(), appender_.active_->end());
  values.served = false;
  absl::Status exchanged = appender_.live_->Store(values);
  if (exchanged.ok()) exchanged = SwapFiles(*at, cleaned, std::move(made));
  // Who loaded the files meanwhile, without the line, is told to come again.
  ++appender_.live_generation_;
  if (core_.frontiers.Writable().ok()) appender_.StoreLive();
  VARVE_RETURN_IF_ERROR(exchanged);
  return true;
}

absl::Status Compaction::SwapFiles(size_t at, const CleanedSegment& cleaned, std::shared_ptr<SegmentHandle> made) {
  const CleaningGroup group = Sources();
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
absl::Status Compaction::MoveMark() {
  const MutexLock lock(&appender_.mutex_);
  VARVE_RETURN_IF_ERROR(appender_.Writable());
  const std::shared_ptr<const SegmentList> list = core_.table.Load().list;
  const std::optional<size_t> at = last_made_ != nullptr ? list->Floor(last_made_->base_offset()) : std::nullopt;
  stage_ = Stage::kDone;
  if (!at.has_value() || list->at(*at) != last_made_) return absl::OkStatus();
  const int64_t mark = std::max(cleaning_->round_end_offset, plan_.range.first_dirty_offset);
  VARVE_RETURN_IF_ERROR(
      flusher_->UpdateState([&](PartitionStateValues* values) { values->first_dirty_offset = mark; }));
  result_.end_offset = mark;
  return absl::OkStatus();
}

void Compaction::Count(const CleanedSegment& cleaned) {
  const CleaningGroup group = Sources();
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

// --- Sources ---

SourceSegment Compaction::SourceAt(size_t index) const {
  const CleaningSegment& segment = plan_.segments[index];
  return {.base_offset = segment.base_offset,
          .next_base_offset = plan_.segments[index + 1].base_offset,
          .size_bytes = segment.size_bytes};
}

CleaningGroup Compaction::Sources() const {
  if (stage_ == Stage::kPlan || stage_ == Stage::kMap) return {.begin = 0, .end = plan_.segments.size() - 1};
  return groups_[group_];
}

std::optional<size_t> Compaction::LocateSources() const {
  const CleaningGroup group = Sources();
  const std::shared_ptr<const SegmentList> list = core_.table.Load().list;
  const std::optional<size_t> at = list->Floor(plan_.segments[group.begin].base_offset);
  const size_t count = group.end - group.begin;
  if (!at.has_value() || *at + count >= list->size()) return std::nullopt;
  for (size_t index = 0; index < count; ++index) {
    if (list->at(*at + index) != plan_.list->at(group.begin + index)) return std::nullopt;
  }
  return at;
}

void Compaction::Drop() {
  ++result_.segments_dropped;
  stage_ = Stage::kDone;
}

absl::Status Compaction::GiveUp(const absl::Status& status) {
  const MutexLock lock(&appender_.mutex_);  // a truncation under way comes to its end first
  if (LocateSources().has_value()) return status;
  Drop();
  return absl::OkStatus();
}

}  // namespace varve::internal
