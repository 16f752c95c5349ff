#include "log/appender.h"

#include <algorithm>
#include <utility>

#include "base/path.h"
#include "base/status.h"
#include "record/batch_encoder.h"
#include "record/record_rules.h"
#include "segment/segment_files.h"
#include "varve/errors.h"

namespace varve::internal {

absl::StatusOr<FlushTarget> FlushTargetOf(const ActiveSegment& active) {
  VARVE_ASSIGN_OR_RETURN(const FileInfo info, active.file()->Info());
  return FlushTarget{.file = active.file(), .segment = active.open(), .identity = info.identity};
}

namespace {

RecordRules RulesOf(const LogOptions& options) {
  return {.compacted = Compacts(options.cleanup_policy),
          .timestamp_type = options.message_timestamp_type,
          .before_max_ms = options.message_timestamp_before_max_ms,
          .after_max_ms = options.message_timestamp_after_max_ms};
}

}  // namespace

Appender::Appender(std::shared_ptr<LogCore> core, Flusher* flusher, std::unique_ptr<FileLock> lock)
    : core_(std::move(core)),
      flusher_(flusher),
      deleted_files_(core_->options.file_system, core_->options.clock, core_->directory,
                     core_->options.file_delete_delay_ms),
      rules_(RulesOf(core_->options)),
      always_needs_clock_(core_->options.message_timestamp_type == TimestampType::kLogAppendTime ||
                          rules_.BoundTimestamps()),
      lock_(std::move(lock)),
      watched_lock_(lock_),
      jitter_(static_cast<uint32_t>(core_->options.clock->MonotonicNs())) {}

absl::Status Appender::Open(LoadedLog loaded, bool mapped) {
  const MutexLock lock(&mutex_);
  const LogOptions& options = core_->options;
  segment_options_ = {.file_system = Unowned(options.file_system),
                      .clock = options.clock,
                      .directory = core_->directory,
                      .segment_bytes = options.segment_bytes,
                      .segment_index_bytes = options.segment_index_bytes,
                      .index_interval_bytes = loaded.state->values().index_interval_bytes,
                      .mapped = mapped};
  VARVE_ASSIGN_OR_RETURN(live_,
                         LiveLine::Create(options.file_system, core_->directory, loaded.state->values().lineage));
  live_generation_ = live_->generation();
  return Install(std::move(loaded));
}

absl::Status Appender::Install(LoadedLog loaded) {
  const LoadedSegment& last = loaded.segments.back();
  VARVE_ASSIGN_OR_RETURN(active_, ActiveSegment::Reopen(segment_options_, last.base_offset,
                                                        {last.size_bytes, loaded.log_end_offset}, last.damage));
  VARVE_ASSIGN_OR_RETURN(FlushTarget target, FlushTargetOf(*active_));
  transactions_ =
      std::make_unique<TransactionIndexWriter>(segment_options_.file_system, core_->directory, active_->base_offset());
  SegmentList::Handles handles = core_->HandlesOf(loaded, segment_options_.file_system);
  handles.back() =
      std::make_shared<SegmentHandle>(segment_options_.file_system, core_->directory, active_->open(), core_->cache);
  core_->table.ReplaceRange(0, core_->table.Load().list->size(), handles);
  rolled_.insert(rolled_.end(), loaded.reindexed.begin(), loaded.reindexed.end());
  epochs_ = std::move(loaded.epochs);
  core_->SetEpochs(epochs_);
  if (producers_ != nullptr) loaded.producers->KeepClosedTransactions(*producers_, loaded.log_end_offset);
  producers_ = std::move(loaded.producers);
  core_->frontiers.Reset(loaded.log_start_offset, loaded.log_end_offset, loaded.report.durable_offset);
  committed_below_ = core_->frontiers.VisibleEnd(Isolation::kHighWatermark);
  producers_->AdvanceHighWatermark(committed_below_);
  ShowTransactions();
  VARVE_RETURN_IF_ERROR(flusher_->Restart(std::move(loaded.state), std::move(target), live_, std::move(loaded.unsynced),
                                          loaded.log_end_offset,
                                          Error(absl::StatusCode::kAborted, "{}: truncated to {} before it was durable",
                                                core_->directory, loaded.log_end_offset)));
  ++live_generation_;
  ChooseLimits();
  StoreLive();
  return absl::OkStatus();
}

void Appender::ChooseLimits() {
  const LogOptions& options = core_->options;
  limits_.segment_bytes = options.segment_bytes;
  limits_.segment_ms = Compacts(options.cleanup_policy) ? std::min(options.segment_ms, options.max_compaction_lag_ms)
                                                        : options.segment_ms;
  const int64_t jitter_ms = std::min(options.segment_jitter_ms, limits_.segment_ms);
  if (jitter_ms > 0) limits_.segment_ms -= std::uniform_int_distribution<int64_t>(0, jitter_ms - 1)(jitter_);
}

absl::Status Appender::Writable() const {
  VARVE_RETURN_IF_ERROR(core_->frontiers.Writable());
  return lock_->IsInherited() ? Inherited() : absl::OkStatus();
}

absl::Status Appender::Inherited() const {
  return Error(absl::StatusCode::kFailedPrecondition,
               "{}: this process is a fork of the one that opened the log; open it anew in one of the two",
               core_->directory);
}

absl::Status Appender::SyncWhatOpeningLeft() const {
  VARVE_RETURN_IF_ERROR(CheckProcess());
  return flusher_->SyncWhatOpeningLeft();
}

absl::Status Appender::CheckProcess() const {
  const MutexLock lock(&watched_mutex_);
  return watched_lock_ != nullptr && watched_lock_->IsInherited() ? Inherited() : absl::OkStatus();
}

absl::Status Appender::Failed(absl::Status status) {
  const absl::StatusOr<bool> cut = active_->Discard();
  if (!cut.ok()) {
    core_->frontiers.Poison(cut.status());
    return core_->frontiers.Writable();
  }
  if (!absl::IsResourceExhausted(status)) {
    core_->frontiers.Poison(status);
    return status;
  }
  // The system may have put the bytes on the disk already: refused means refused after a power loss too.
  if (*cut) {
    absl::Status synced = flusher_->Sync();
    // Without room to write again what opening has left to the first sync: the cut alone.
    if (!synced.ok() && core_->frontiers.Writable().ok()) synced = active_->file()->SyncData();
    if (!synced.ok()) {
      core_->frontiers.Poison(synced);
      return core_->frontiers.Writable();
    }
  }
  return status;
}

absl::StatusOr<int32_t> Appender::EpochFor(const AppendOptions& options) const {
  const int32_t latest = std::max(epochs_->latest_epoch(), 0);
  const int32_t epoch = options.leader_epoch.value_or(latest);
  if (epoch >= latest) [[likely]] {
    return epoch;
  }
  return Error(absl::StatusCode::kInvalidArgument, "{}: a leader epoch of at least {} expected, found {}",
               core_->directory, latest, epoch);
}

absl::Status Appender::CheckSize(int64_t size_bytes) const {
  const LogOptions& options = core_->options;
  if (size_bytes > options.max_message_bytes) {
    return WithKafkaError(
        Error(absl::StatusCode::kInvalidArgument, "{}: a batch of {} bytes: expected at most {} (max_message_bytes)",
              core_->directory, size_bytes, options.max_message_bytes),
        KafkaError::kMessageTooLarge);
  }
  return absl::OkStatus();
}

absl::Status Appender::CheckRecords(std::span<const Record> records, int64_t now_ms) const {
  RecordRules rules = rules_;
  rules.now_ms = now_ms;
  int64_t number = 0;
  for (const Record& record : records) {
    VARVE_RETURN_IF_ERROR(
        Annotate(CheckRecordRules(record.key.has_value(), record.timestamp_ms.value_or(now_ms), number, rules),
                 core_->directory));
    ++number;
  }
  return absl::OkStatus();
}

absl::StatusOr<AppendResult> Appender::Append(std::span<const Record> records, const AppendOptions& options) {
  AppendResult result;
  absl::Status appended;
  {
    const MutexLock lock(&mutex_);
    appended = AppendRecords(records, options, &result);
  }
  if (appended.ok() && options.ack != Ack::kDurable && !flusher_->callbacks_due()) [[likely]] {
    return result;
  }
  return Acknowledge(appended.ok() ? absl::StatusOr<AppendResult>(result) : std::move(appended), options);
}

absl::StatusOr<AppendResult> Appender::Acknowledge(absl::StatusOr<AppendResult> result, const AppendOptions& options) {
  // An append may have synced, or poisoned the log, with the writer lock held.
  if (!result.ok() || flusher_->callbacks_due()) flusher_->RunReadyCallbacks();
  if (!result.ok() || options.ack != Ack::kDurable) return result;
  const absl::Status durable = flusher_->WaitDurable(result->end_offset(), options.timeout);
  if (durable.ok()) return result;
  if (absl::IsResourceExhausted(durable)) {  // of an append that would say that nothing was written
    VARVE_RETURN_IF_ERROR(core_->frontiers.Writable());
    return Error(
        absl::StatusCode::kDeadlineExceeded,
        "{}: offsets {} to {} are appended and not yet durable; wait for that again, do not append them again: {}",
        core_->directory, result->base_offset, result->last_offset,
        std::string_view(durable.message().data(), durable.message().size()));
  }
  if (!absl::IsOutOfRange(durable)) return durable;
  return Error(absl::StatusCode::kAborted, "{}: truncated below offset {} before it was durable", core_->directory,
               result->end_offset());
}

bool Appender::NeedsClock(std::span<const Record> records) const {
  return always_needs_clock_ || std::any_of(records.begin(), records.end(),
                                            [](const Record& record) { return !record.timestamp_ms.has_value(); });
}

absl::Status Appender::AppendRecords(std::span<const Record> records, const AppendOptions& options,
                                     AppendResult* result) {
  VARVE_RETURN_IF_ERROR(Writable());
  const LogOptions& settings = core_->options;
  const bool log_append_time = settings.message_timestamp_type == TimestampType::kLogAppendTime;
  VARVE_ASSIGN_OR_RETURN(const int32_t leader_epoch, EpochFor(options));
  const BatchStamp stamp{.base_offset = active_->end().next_offset,
                         .leader_epoch = leader_epoch,
                         .timestamp_type = settings.message_timestamp_type,
                         .now_ms = NeedsClock(records) ? settings.clock->WallMs() : kNoTimestamp,
                         .codec = settings.compression_type.value_or(options.compression)};
  if (rules_.AskAnything()) VARVE_RETURN_IF_ERROR(CheckRecords(records, stamp.now_ms));
  if (options.producer.has_value()) [[unlikely]] {
    VARVE_ASSIGN_OR_RETURN(*result, AppendOfProducer(records, stamp, options));
    return absl::OkStatus();
  }
  BatchPlan plan;
  VARVE_RETURN_IF_ERROR(PlanBatch(records, stamp, &plan));
  const bool durable_acks = options.ack == Ack::kDurable || flusher_->durable_acks_wanted();
  if (stamp.codec == Codec::kNone && plan.size_bytes < ActiveSegment::kWriteThroughBytes) {
    VARVE_RETURN_IF_ERROR(AppendInPlace(records, stamp, plan, durable_acks));
  } else {
    if (stamp.codec == Codec::kNone) {
      VARVE_RETURN_IF_ERROR(CheckSize(static_cast<int64_t>(plan.size_bytes)));  // before there is memory for it
      scratch_.resize(plan.size_bytes);
      EncodeBatch(records, stamp, plan, scratch_.data());
    } else {
      VARVE_RETURN_IF_ERROR(EncodeCompressedBatch(records, stamp, plan, &scratch_));
    }
    const Incoming batch{.size_bytes = static_cast<int64_t>(scratch_.size()),
                         .last_offset = plan.last_offset,
                         .max_timestamp_ms = plan.max_timestamp_ms,
                         .bytes = scratch_};
    VARVE_RETURN_IF_ERROR(CheckSize(batch.size_bytes));
    VARVE_RETURN_IF_ERROR(AppendReady(batch, stamp.leader_epoch, stamp.base_offset, durable_acks));
  }
  Publish();
  *result = {.base_offset = stamp.base_offset,
             .last_offset = plan.last_offset,
             .log_append_time_ms = log_append_time ? stamp.now_ms : kNoTimestamp};
  return absl::OkStatus();
}

// Encoded where it is to stay.
absl::Status Appender::AppendInPlace(std::span<const Record> records, const BatchStamp& stamp, const BatchPlan& plan,
                                     bool durable_acks) {
  const Incoming batch{.size_bytes = static_cast<int64_t>(plan.size_bytes),
                       .last_offset = plan.last_offset,
                       .max_timestamp_ms = plan.max_timestamp_ms,
                       .bytes = {}};
  VARVE_RETURN_IF_ERROR(CheckSize(batch.size_bytes));
  VARVE_RETURN_IF_ERROR(Prepare(batch, stamp.leader_epoch, stamp.base_offset));
  const absl::StatusOr<std::byte*> place = active_->Reserve(batch.size_bytes, durable_acks);
  if (!place.ok()) return Failed(place.status());
  EncodeBatch(records, stamp, plan, *place);
  absl::Status committed = active_->Commit({batch.size_bytes, batch.last_offset, batch.max_timestamp_ms});
  return committed.ok() ? committed : Failed(std::move(committed));
}

absl::StatusOr<AppendResult> Appender::AppendBatch(std::span<const std::byte> batch, const AppendOptions& options) {
  absl::StatusOr<AppendResult> result;
  {
    const MutexLock lock(&mutex_);
    result = AppendAsLeader(batch, /*client_origin=*/true, options);
  }
  return Acknowledge(std::move(result), options);
}

absl::StatusOr<AppendResult> Appender::AppendAsLeader(std::span<const std::byte> input, bool client_origin,
                                                      const AppendOptions& options) {
  VARVE_RETURN_IF_ERROR(Writable());
  const LogOptions& settings = core_->options;
  VARVE_ASSIGN_OR_RETURN(const int32_t leader_epoch, EpochFor(options));
  const LeaderRules rules{.log_end_offset = active_->end().next_offset,
                          .leader_epoch = leader_epoch,
                          .now_ms = settings.clock->WallMs(),
                          .client_origin = client_origin,
                          .max_message_bytes = settings.max_message_bytes,
                          .compacted = Compacts(settings.cleanup_policy),
                          .timestamp_type = settings.message_timestamp_type,
                          .before_max_ms = settings.message_timestamp_before_max_ms,
                          .after_max_ms = settings.message_timestamp_after_max_ms,
                          .codec = settings.compression_type};
  VARVE_ASSIGN_OR_RETURN(const LeaderPlan plan, ValidateAsLeader(input, rules, &validator_scratch_));
  scratch_.assign(plan.bytes.begin(), plan.bytes.end());
  RestampBatch(scratch_, plan.restamp);
  return AppendChecked(options);
}

absl::StatusOr<AppendResult> Appender::AppendAsFollower(std::span<const std::byte> batches,
                                                        int32_t current_leader_epoch, const AppendOptions& options) {
  absl::StatusOr<AppendResult> result;
  {
    const MutexLock lock(&mutex_);
    result = AppendGiven(batches, current_leader_epoch, options);
  }
  return Acknowledge(std::move(result), options);
}

// All batches become visible together; an error leaves none of them.
absl::StatusOr<AppendResult> Appender::AppendGiven(std::span<const std::byte> input, int32_t current_leader_epoch,
                                                   const AppendOptions& options) {
  VARVE_RETURN_IF_ERROR(Writable());
  const int64_t log_end_offset = active_->end().next_offset;
  VARVE_ASSIGN_OR_RETURN(const FollowerPlan plan, ValidateAsFollower(input, {.log_end_offset = log_end_offset,
                                                                             .leader_epoch = current_leader_epoch}));
  if (plan.batch_count == 0) return AppendResult{log_end_offset, log_end_offset - 1, kNoTimestamp};
  VARVE_ASSIGN_OR_RETURN(const ProducersSeen seen, LookForProducers(plan.bytes));
  VARVE_RETURN_IF_ERROR(Prepare({.size_bytes = static_cast<int64_t>(plan.bytes.size()),
                                 .last_offset = plan.last_offset,
                                 .max_timestamp_ms = plan.max_timestamp_ms,
                                 .bytes = plan.bytes},
                                kNoLeaderEpoch, plan.first_offset));
  const bool durable_acks = options.ack == Ack::kDurable || flusher_->durable_acks_wanted();
  std::span<const std::byte> rest = plan.bytes;
  for (RecordBatchView batch; NextBatch(&rest, &batch);) {
    const BatchSummary summary{static_cast<int64_t>(batch.size_bytes()), batch.last_offset(), batch.max_timestamp_ms()};
    if (absl::Status appended = active_->Append(batch.bytes(), summary, durable_acks); !appended.ok()) {
      return Failed(std::move(appended));
    }
  }
  rest = plan.bytes;
  for (RecordBatchView batch; NextBatch(&rest, &batch);) {
    if (batch.leader_epoch() >= 0 && !epochs_->IsLatest(batch.leader_epoch())) {
      if (absl::Status noted = epochs_->Assign(batch.leader_epoch(), batch.base_offset()); !noted.ok()) {
        return Failed(std::move(noted));
      }
    }
  }
  VARVE_RETURN_IF_ERROR(UpdateProducers(plan.bytes, seen));
  Publish();
  return AppendResult{plan.first_offset, plan.last_offset, kNoTimestamp};
}

absl::Status Appender::AppendReady(const Incoming& batch, int32_t leader_epoch, int64_t base_offset,
                                   bool durable_acks) {
  VARVE_RETURN_IF_ERROR(Prepare(batch, leader_epoch, base_offset));
  absl::Status appended =
      active_->Append(batch.bytes, {batch.size_bytes, batch.last_offset, batch.max_timestamp_ms}, durable_acks);
  return appended.ok() ? appended : Failed(std::move(appended));
}

absl::Status Appender::Prepare(const Incoming& batch, int32_t leader_epoch, int64_t base_offset) {
  if (batch.size_bytes > limits_.segment_bytes) {
    return WithKafkaError(
        Error(absl::StatusCode::kInvalidArgument, "{}: an append of {} bytes: expected at most {} (segment_bytes)",
              core_->directory, batch.size_bytes, limits_.segment_bytes),
        KafkaError::kRecordListTooLarge);
  }
  const RollSegment segment{.base_offset = active_->base_offset(),
                            .size_bytes = active_->size_bytes(),
                            .indexes_full = active_->indexes_full(),
                            .first_batch_timestamp_ms = active_->first_batch_timestamp_ms(),
                            .opened_wall_ms = active_->opened_wall_ms()};
  const RollAppend append{
      .size_bytes = batch.size_bytes, .last_offset = batch.last_offset, .max_timestamp_ms = batch.max_timestamp_ms};
  if (ShouldRoll(segment, append, limits_, [&] { return core_->options.clock->WallMs(); })) {
    VARVE_RETURN_IF_ERROR(RollTo(std::max(base_offset, active_->end().next_offset)));
  }
  if (leader_epoch < 0 || epochs_->IsLatest(leader_epoch)) return absl::OkStatus();
  return epochs_->Assign(leader_epoch, base_offset);
}

// Seals before it creates: were the new segment there first, a failed seal would leave two that overlap.
absl::Status Appender::RollTo(int64_t new_base) {
  Publish();
  if (new_base == active_->base_offset()) return absl::OkStatus();  // empty already
  const bool leaves_gap = new_base > active_->end().next_offset;
  VARVE_RETURN_IF_ERROR(flusher_->LimitQueue());
  if (leaves_gap) VARVE_RETURN_IF_ERROR(flusher_->SyncWhatOpeningLeft());  // may find no room, which refuses as yet
  if (absl::Status sealed = active_->Seal(); !sealed.ok()) return Failed(std::move(sealed));
  absl::StatusOr<std::unique_ptr<ActiveSegment>> created = ActiveSegment::Create(segment_options_, new_base);
  absl::StatusOr<FlushTarget> target = created.ok() ? FlushTargetOf(**created) : created.status();
  absl::Status prepared = target.status();
  // Once nothing else can fail: a snapshot must not lie beyond what the old segment takes on.
  if (prepared.ok()) prepared = producers_->WriteSnapshot(new_base, SnapshotSync::kNone);
  if (!prepared.ok()) {
    // Nor must a .log, should what the old segment takes on be durable: the next sync is the directory's as well.
    const absl::Status removed = created.ok() ? (*created)->RemoveFiles() : absl::OkStatus();
    flusher_->NamesChanged();
    return Failed(removed.ok() ? prepared : removed);
  }
  flusher_->Rolled(*std::move(target));
  core_->table.Load().list->handles().back()->Sealed();
  rolled_.push_back(active_->base_offset());
  active_ = *std::move(created);
  transactions_ = std::make_unique<TransactionIndexWriter>(segment_options_.file_system, core_->directory, new_base);
  core_->table.ReplaceActive(
      std::make_shared<SegmentHandle>(segment_options_.file_system, core_->directory, active_->open(), core_->cache));
  ChooseLimits();
  StoreLive();
  return leaves_gap ? VouchForGap() : absl::OkStatus();
}

// A follower's segment is named by its first batch, as Kafka names it, and may leave offsets out. After a power loss
// that would look like a lost tail of the segment before: the durable point moves behind the gap before anything
// follows it. The new segment is the active one by now, so nothing may be appended where that failed.
absl::Status Appender::VouchForGap() {
  absl::Status vouched = flusher_->Sync();
  if (vouched.ok()) vouched = flusher_->UpdateState([](PartitionStateValues*) {});
  if (!vouched.ok()) core_->frontiers.Poison(vouched);
  return vouched;
}

void Appender::Publish() {
  active_->Publish();
  const PublishedEnd end = active_->end();
  core_->frontiers.PublishEnd(end.next_offset);
  ForgetCommitted();
  if (transactions_changed_ || !live_->StoreEnd(end.end_position, end.next_offset)) [[unlikely]] {
    StoreLive();
  }
}

LiveValues Appender::LiveValuesAt(int64_t active_base, PublishedEnd end) const {
  const Frontiers& frontiers = core_->frontiers;
  LiveValues values{.generation = live_generation_,
                    .active_base = active_base,
                    .end_position = end.end_position,
                    .end_offset = end.next_offset,
                    .log_start_offset = frontiers.log_start(),
                    .first_open_offset = frontiers.first_unstable()};
  const Frontiers::ClosedSpan closed = frontiers.closed_transactions();
  values.first_closed_offset = closed.first_offset;
  values.last_marker_offset = closed.last_marker_offset;
  if (const std::optional<int64_t> managed = frontiers.managed_high_watermark(); managed.has_value()) {
    values.high_watermark = *managed;
  } else {
    const bool durable = frontiers.visibility() == Visibility::kDurable;
    values.rule = durable ? HighWatermarkRule::kDurable : HighWatermarkRule::kLogEnd;
  }
  return values;
}

// A line that could not be written tells of less than there is, or serves nobody: the next one makes up for it.
void Appender::StoreLive() { (void)TryStoreLive(); }

absl::Status Appender::TryStoreLive() {
  VARVE_RETURN_IF_ERROR(live_->Store(LiveValuesAt(active_->base_offset(), active_->end())));
  transactions_changed_ = false;
  return absl::OkStatus();
}

absl::Status Appender::Roll() {
  const MutexLock lock(&mutex_);
  VARVE_RETURN_IF_ERROR(Writable());
  if (active_->size_bytes() == 0) return absl::OkStatus();
  return RollTo(active_->end().next_offset);
}

absl::Status Appender::AssignLeaderEpoch(int32_t epoch) {
  const MutexLock lock(&mutex_);
  VARVE_RETURN_IF_ERROR(Writable());
  return epochs_->Assign(epoch, active_->end().next_offset);
}

void Appender::SetHighWatermark(int64_t offset) {
  const MutexLock lock(&mutex_);
  const bool closed = lock_ == nullptr;
  if (!closed && lock_->IsInherited()) return;
  core_->frontiers.SetHighWatermark(offset);
  ForgetCommitted();
  if (!closed) StoreLive();  // else the line is another writer's to store to
}

absl::Status Appender::SyncRolledIndexes() {
  std::sort(rolled_.begin(), rolled_.end());
  rolled_.push_back(active_->base_offset());
  rolled_.erase(std::unique(rolled_.begin(), rolled_.end()), rolled_.end());
  for (const int64_t base_offset : rolled_) {
    for (const SegmentFileKind kind :
         {SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex, SegmentFileKind::kTransactionIndex}) {
      absl::StatusOr<std::unique_ptr<File>> file = segment_options_.file_system->Open(
          JoinPath(core_->directory, SegmentFileName(base_offset, kind)), OpenMode::kReadWrite);
      if (absl::IsNotFound(file.status())) continue;  // deleted or truncated away since
      VARVE_RETURN_IF_ERROR(file.status());
      VARVE_RETURN_IF_ERROR((*file)->SyncData());
    }
  }
  return absl::OkStatus();
}

absl::Status Appender::Finish() {
  VARVE_RETURN_IF_ERROR(Writable());  // poisoned: nothing here may look clean
  const int64_t log_end_offset = active_->end().next_offset;
  VARVE_RETURN_IF_ERROR(active_->Seal());
  VARVE_RETURN_IF_ERROR(producers_->WriteSnapshot(log_end_offset, SnapshotSync::kDurable));
  flusher_->NamesChanged();
  VARVE_RETURN_IF_ERROR(flusher_->Sync());
  return SyncRolledIndexes();
}

// Syncs are over before the lock is let go: one that another thread has begun would store to varve.state behind the
// back of the next writer.
absl::Status Appender::Close() {
  const MutexLock lock(&mutex_);
  if (core_->frontiers.closed()) return close_status_;
  const bool inherited = lock_->IsInherited();
  if (!inherited) deleted_files_.RemoveAll();
  close_status_ = Finish();
  if (!inherited) flusher_->Suspend();
  if (close_status_.ok()) {
    close_status_ = flusher_->UpdateState([](PartitionStateValues* values) { values->clean = true; });
  }
  core_->frontiers.Close();
  {
    const MutexLock watched(&watched_mutex_);
    watched_lock_.reset();
  }
  if (!inherited) (void)live_->StopService();  // without the lock nobody believes it either
  lock_.reset();
  if (!inherited) flusher_->Resume();
  return close_status_;
}

}  // namespace varve::internal
