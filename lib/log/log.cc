#include "varve/log.h"

#include <limits>
#include <utility>

#include "base/path.h"
#include "base/status.h"
#include "log/appender.h"
#include "log/compaction.h"
#include "log/flusher.h"
#include "log/live_line.h"
#include "log/log_core.h"
#include "log/log_follower.h"
#include "log/log_loader.h"
#include "log/log_reader_impl.h"
#include "log/partition_lock.h"
#include "log/partition_state.h"
#include "log/retention.h"
#include "log/truncation.h"
#include "varve/errors.h"
#include "varve/topic_partition.h"

namespace varve {

using internal::Appender;
using internal::Compaction;
using internal::CompactionGate;
using internal::Error;
using internal::Flusher;
using internal::LogCore;
using internal::LogFollower;
using internal::Retention;
using internal::Truncation;

// A log is written (flusher and appender) or followed.
class Log::Impl {
 public:
  std::shared_ptr<LogCore> core;
  RecoveryReport report;
  // A CompactionPass may outlive the log.
  std::shared_ptr<Flusher> flusher;
  std::shared_ptr<Appender> appender;
  std::shared_ptr<CompactionGate> compaction_gate = std::make_shared<CompactionGate>();
  std::unique_ptr<LogFollower> follower;

  [[nodiscard]] absl::Status ReadOnly() const {
    return Error(absl::StatusCode::kFailedPrecondition, "{}: opened read-only", core->directory);
  }
  // That there may be a compaction, by these options.
  [[nodiscard]] absl::Status CheckCompaction(const CompactionOptions& options) const;
};

namespace {

absl::Status CheckRange(std::string_view name, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return Error(absl::StatusCode::kInvalidArgument, "{}: expected {} to {}, found {}", name, least, most, value);
}

absl::Status CheckOptions(const LogOptions& options) {
  constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();
  constexpr int64_t kMaxInt64 = std::numeric_limits<int64_t>::max();
  if (options.file_system == nullptr || options.clock == nullptr) {
    return absl::InvalidArgumentError("file_system and clock: expected both, found null");
  }
  VARVE_RETURN_IF_ERROR(CheckRange("segment_bytes", options.segment_bytes, 14, kMaxInt32));
  VARVE_RETURN_IF_ERROR(CheckRange("segment_ms", options.segment_ms, 1, kMaxInt64));
  VARVE_RETURN_IF_ERROR(CheckRange("segment_jitter_ms", options.segment_jitter_ms, 0, kMaxInt64));
  VARVE_RETURN_IF_ERROR(CheckRange("segment_index_bytes", options.segment_index_bytes, 4, kMaxInt32));
  VARVE_RETURN_IF_ERROR(CheckRange("index_interval_bytes", options.index_interval_bytes.value_or(0), 0, kMaxInt32));
  VARVE_RETURN_IF_ERROR(CheckRange("max_message_bytes", options.max_message_bytes, 0, kMaxInt32));
  VARVE_RETURN_IF_ERROR(
      CheckRange("message_timestamp_before_max_ms", options.message_timestamp_before_max_ms, 0, kMaxInt64));
  VARVE_RETURN_IF_ERROR(
      CheckRange("message_timestamp_after_max_ms", options.message_timestamp_after_max_ms, 0, kMaxInt64));
  VARVE_RETURN_IF_ERROR(CheckRange("retention_ms", options.retention_ms, -1, kMaxInt64));
  VARVE_RETURN_IF_ERROR(CheckRange("retention_bytes", options.retention_bytes, -1, kMaxInt64));
  VARVE_RETURN_IF_ERROR(
      CheckRange("retention_timestamp_ahead_max_ms", options.retention_timestamp_ahead_max_ms, 0, kMaxInt64));
  VARVE_RETURN_IF_ERROR(
      CheckRange("retention_timestamp_behind_max_ms", options.retention_timestamp_behind_max_ms, 0, kMaxInt64));
  VARVE_RETURN_IF_ERROR(CheckRange("file_delete_delay_ms", options.file_delete_delay_ms, 0, kMaxInt64));
  VARVE_RETURN_IF_ERROR(CheckRange("min_compaction_lag_ms", options.min_compaction_lag_ms, 0, kMaxInt64));
  VARVE_RETURN_IF_ERROR(CheckRange("max_compaction_lag_ms", options.max_compaction_lag_ms, 1, kMaxInt64));
  VARVE_RETURN_IF_ERROR(CheckRange("delete_retention_ms", options.delete_retention_ms, 0, kMaxInt64));
  if (!(options.min_cleanable_dirty_ratio >= 0 && options.min_cleanable_dirty_ratio <= 1)) {
    return Error(absl::StatusCode::kInvalidArgument, "min_cleanable_dirty_ratio: expected 0 to 1, found {}",
                 options.min_cleanable_dirty_ratio);
  }
  VARVE_RETURN_IF_ERROR(CheckRange("max_open_segments", options.max_open_segments, 1, 20'000));
  if (options.compression_type.has_value() && !CodecAvailable(*options.compression_type)) {
    return Error(absl::StatusCode::kUnimplemented, "compression_type {}: this build was made without it",
                 CodecName(*options.compression_type));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Log::Impl::CheckCompaction(const CompactionOptions& options) const {
  if (appender == nullptr) return ReadOnly();
  if (!Compacts(core->options.cleanup_policy)) {
    return WithKafkaError(
        Error(absl::StatusCode::kInvalidArgument, "{}: a cleanup_policy that compacts expected", core->directory),
        KafkaError::kPolicyViolation);
  }
  constexpr int64_t kMaxInt64 = std::numeric_limits<int64_t>::max();
  VARVE_RETURN_IF_ERROR(CheckRange("key_map_bytes", options.key_map_bytes, 1, kMaxInt64));
  VARVE_RETURN_IF_ERROR(CheckRange("delete_retention_ms", options.delete_retention_ms.value_or(0), 0, kMaxInt64));
  VARVE_RETURN_IF_ERROR(CheckRange("min_compaction_lag_ms", options.min_compaction_lag_ms.value_or(0), 0, kMaxInt64));
  return CheckRange("now_ms", options.now_ms.value_or(core->options.clock->WallMs()), 0, kMaxInt64);
}

namespace {

// The name of a directory that no opening has gone on with may not be stable: who made it may have died, or failed, before
// it was. Where the parent may not be read, that is left to whoever made it there.
absl::Status SyncNewName(FileSystem* file_system, const std::string& directory) {
  const auto state = file_system->Info(internal::JoinPath(directory, internal::PartitionState::kFileName));
  if (!absl::IsNotFound(state.status())) return state.status();
  absl::Status synced = file_system->SyncDirectory(internal::ParentDirectory(directory));
  return absl::IsPermissionDenied(synced) ? absl::OkStatus() : synced;
}

// The directory is there when it returns OK; only a new one needs a partition's name.
absl::Status EnsureDirectory(const std::string& directory, const LogOptions& options) {
  FileSystem* const file_system = options.file_system;
  const absl::StatusOr<FileInfo> info = file_system->Info(directory);
  if (info.ok()) {
    if (info->is_directory) return options.read_only ? absl::OkStatus() : SyncNewName(file_system, directory);
    return Error(absl::StatusCode::kInvalidArgument, "{}: expected a directory, found a file", directory);
  }
  if (!absl::IsNotFound(info.status()) || !options.create || options.read_only) return info.status();
  const absl::StatusOr<TopicPartition> named = ParseTopicPartition(internal::BaseName(directory));
  VARVE_RETURN_IF_ERROR(internal::Annotate(named.ok() ? CheckTopicName(named->topic) : named.status(), directory));
  VARVE_RETURN_IF_ERROR(file_system->CreateDirectory(directory));
  absl::Status synced = file_system->SyncDirectory(internal::ParentDirectory(directory));
  // No second sync would tell what became of a name whose first one failed: the next opening makes it anew.
  if (!synced.ok()) (void)file_system->RemoveDirectory(directory);
  return synced;
}

absl::StatusOr<bool> UseMapping(const std::string& directory, const LogOptions& options) {
  if (options.io_mode != IoMode::kAuto) return options.io_mode == IoMode::kMapped;
  return options.file_system->AllocationIsPromise(directory);
}

absl::StatusOr<std::unique_ptr<Appender>> OpenWritten(const std::shared_ptr<LogCore>& core, Flusher* flusher,
                                                      RecoveryReport* report) {
  const LogOptions& options = core->options;
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<FileLock> lock, internal::LockPartition(options.file_system, core->directory));
  // Until the log is recovered no reader may believe what the writer before said.
  VARVE_RETURN_IF_ERROR(internal::LiveLine::StopService(options.file_system, core->directory));
  VARVE_ASSIGN_OR_RETURN(const bool mapped, UseMapping(core->directory, options));
  VARVE_ASSIGN_OR_RETURN(internal::LoadedLog loaded, internal::LoadLog(options.file_system, core->directory, options));
  *report = loaded.report;
  auto appender = std::make_unique<Appender>(core, flusher, std::move(lock));
  VARVE_RETURN_IF_ERROR(appender->Open(std::move(loaded), mapped));
  return appender;
}

absl::StatusOr<CompactionResult> RunToEnd(CompactionPass* pass, const CompactionOptions& options) {
  constexpr int64_t kBytesBetweenCallbacks = int64_t{64} << 10;
  for (int64_t bytes = 0;; bytes = kBytesBetweenCallbacks) {  // the first step only plans
    VARVE_ASSIGN_OR_RETURN(const bool done, pass->Step({.bytes = bytes}));
    const CompactionProgress progress = pass->progress();
    if (options.progress != nullptr && progress.total_bytes > 0) {
      options.progress(progress.done_bytes, progress.total_bytes);
    }
    if (done) return pass->result();
    if (options.cancel != nullptr && options.cancel()) break;
  }
  CompactionResult result = pass->result();
  result.cancelled = true;
  return result;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Log>> Log::Open(const std::string& directory, const LogOptions& options) {
  VARVE_RETURN_IF_ERROR(CheckOptions(options));
  VARVE_RETURN_IF_ERROR(EnsureDirectory(directory, options));
  auto impl = std::make_unique<Impl>();
  impl->core = std::make_shared<LogCore>(directory, options);
  if (options.read_only) {
    impl->follower = std::make_unique<LogFollower>(impl->core);
    VARVE_RETURN_IF_ERROR(impl->follower->Refresh());
    impl->report = impl->follower->report();
  } else {
    impl->flusher = std::make_shared<Flusher>(options.file_system, options.clock, directory, &impl->core->frontiers);
    VARVE_ASSIGN_OR_RETURN(impl->appender, OpenWritten(impl->core, impl->flusher.get(), &impl->report));
  }
  return std::unique_ptr<Log>(new Log(std::move(impl)));
}

Log::Log(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Log::~Log() { (void)Close(); }

absl::StatusOr<AppendResult> Log::Append(std::span<const Record> records, const AppendOptions& options) {
  if (impl_->appender == nullptr) return impl_->ReadOnly();
  return impl_->appender->Append(records, options);
}

absl::StatusOr<AppendResult> Log::AppendBatch(std::span<const std::byte> batch, const AppendOptions& options) {
  if (impl_->appender == nullptr) return impl_->ReadOnly();
  return impl_->appender->AppendBatch(batch, options);
}

absl::StatusOr<AppendResult> Log::AppendAsFollower(std::span<const std::byte> batches, int32_t current_leader_epoch,
                                                   const AppendOptions& options) {
  if (impl_->appender == nullptr) return impl_->ReadOnly();
  return impl_->appender->AppendAsFollower(batches, current_leader_epoch, options);
}

absl::StatusOr<AppendResult> Log::AppendEndTransaction(int64_t producer_id, int16_t producer_epoch, ControlType end,
                                                       int32_t coordinator_epoch, const AppendOptions& options) {
  if (impl_->appender == nullptr) return impl_->ReadOnly();
  return impl_->appender->AppendMarker({.type = end,
                                        .producer_id = producer_id,
                                        .producer_epoch = producer_epoch,
                                        .coordinator_epoch = coordinator_epoch},
                                       options);
}

absl::Status Log::WaitDurable(int64_t offset, std::chrono::nanoseconds timeout) {
  if (impl_->appender == nullptr) return impl_->ReadOnly();
  VARVE_RETURN_IF_ERROR(impl_->appender->CheckProcess());
  return impl_->flusher->WaitDurable(offset, timeout);
}

void Log::OnDurable(int64_t offset, std::function<void(const absl::Status&)> done) {
  if (impl_->appender == nullptr) return done(impl_->ReadOnly());
  if (absl::Status inherited = impl_->appender->CheckProcess(); !inherited.ok()) return done(inherited);
  impl_->flusher->OnDurable(offset, std::move(done));
}

absl::Status Log::Flush() {
  if (impl_->appender == nullptr) return impl_->ReadOnly();
  VARVE_RETURN_IF_ERROR(impl_->appender->CheckProcess());
  absl::Status synced = impl_->flusher->Sync();
  impl_->flusher->RunReadyCallbacks();
  return synced;
}

LogReader Log::NewReader() const { return LogReader(std::make_unique<LogReader::Impl>(impl_->core)); }

absl::StatusOr<FileRange> Log::Read(int64_t offset, const ReadOptions& options) const {
  LogReader reader = NewReader();
  VARVE_ASSIGN_OR_RETURN(FileRange range, reader.Read(offset, options));
  range.Keep();
  return range;
}

LogScan Log::Scan(int64_t offset, const ScanOptions& options) const { return LogScan(NewReader(), offset, options); }

absl::StatusOr<std::vector<AbortedTransaction>> Log::AbortedTransactions(int64_t from_offset, int64_t to_offset) const {
  return NewReader().AbortedTransactions(from_offset, to_offset);
}

absl::StatusOr<std::optional<TimestampLookup>> Log::OffsetForTimestamp(int64_t timestamp_ms) const {
  return NewReader().OffsetForTimestamp(timestamp_ms);
}

absl::Status Log::WaitForData(int64_t offset, std::chrono::nanoseconds timeout) const {
  if (impl_->follower != nullptr) return impl_->follower->WaitVisible(offset, timeout);
  return impl_->core->frontiers.WaitVisible(offset, timeout);
}

LogOffsets Log::offsets() const { return impl_->core->frontiers.Load(); }

int64_t Log::log_end_offset() const { return impl_->core->frontiers.log_end(); }

void Log::SetHighWatermark(int64_t offset) {
  if (impl_->appender != nullptr) {
    impl_->appender->SetHighWatermark(offset);
  } else {
    impl_->core->frontiers.SetHighWatermark(offset);
  }
}

absl::Status Log::TruncateTo(int64_t offset) {
  if (impl_->appender == nullptr) return impl_->ReadOnly();
  absl::Status status = Truncation(impl_->appender.get()).TruncateTo(offset);
  impl_->flusher->RunReadyCallbacks();
  return status;
}

absl::Status Log::TruncateFullyAndStartAt(int64_t offset) {
  if (impl_->appender == nullptr) return impl_->ReadOnly();
  absl::Status status = Truncation(impl_->appender.get()).TruncateFullyAndStartAt(offset);
  impl_->flusher->RunReadyCallbacks();
  return status;
}

absl::Status Log::DeleteBefore(int64_t offset) {
  if (impl_->appender == nullptr) return impl_->ReadOnly();
  absl::Status status = Retention(impl_->appender.get()).DeleteBefore(offset);
  impl_->flusher->RunReadyCallbacks();
  return status;
}

absl::StatusOr<RetentionResult> Log::ApplyRetention(const RetentionOptions& options) {
  if (impl_->appender == nullptr) return impl_->ReadOnly();
  absl::StatusOr<RetentionResult> result = Retention(impl_->appender.get()).Apply(options);
  impl_->flusher->RunReadyCallbacks();
  return result;
}

absl::StatusOr<FileRemovalResult> Log::RemoveDeletedFiles(std::chrono::nanoseconds time_limit) {
  if (impl_->appender == nullptr) return impl_->ReadOnly();
  return Retention(impl_->appender.get()).RemoveFiles(time_limit);
}

absl::StatusOr<RetentionResult> Log::PlanRetention(const RetentionOptions& options) const {
  return Retention::Foresee(*impl_->core, options);
}

absl::StatusOr<std::unique_ptr<CompactionPass>> Log::BeginCompaction(const CompactionOptions& options) {
  VARVE_RETURN_IF_ERROR(impl_->CheckCompaction(options));
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<Compaction> compaction,
                         Compaction::Begin(impl_->appender, impl_->flusher, impl_->compaction_gate, options));
  return std::unique_ptr<CompactionPass>(new CompactionPass(std::move(compaction)));
}

absl::StatusOr<CompactionResult> Log::PlanCompaction(const CompactionOptions& options) const {
  VARVE_RETURN_IF_ERROR(impl_->CheckCompaction(options));
  return Compaction::Foresee(impl_->appender, impl_->flusher, impl_->compaction_gate, options);
}

absl::StatusOr<CompactionResult> Log::Compact(const CompactionOptions& options) {
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<CompactionPass> pass, BeginCompaction(options));
  absl::StatusOr<CompactionResult> result = RunToEnd(pass.get(), options);
  // Those of earlier passes too: where nothing is deleted nobody else asks.
  (void)RemoveDeletedFiles();
  return result;
}

CompactionPass::CompactionPass(std::unique_ptr<Compaction> compaction) : compaction_(std::move(compaction)) {}
CompactionPass::~CompactionPass() = default;
absl::StatusOr<bool> CompactionPass::Step(const StepBudget& budget) { return compaction_->Step(budget); }
const CompactionResult& CompactionPass::result() const { return compaction_->result(); }
CompactionProgress CompactionPass::progress() const { return compaction_->progress(); }

absl::Status Log::Roll() {
  if (impl_->appender == nullptr) return impl_->ReadOnly();
  absl::Status rolled = impl_->appender->Roll();
  impl_->flusher->RunReadyCallbacks();
  return rolled;
}

absl::Status Log::Refresh() {
  if (impl_->follower == nullptr) return absl::OkStatus();
  return impl_->follower->Refresh();
}

absl::Status Log::Close() {
  if (impl_->appender == nullptr) {
    impl_->follower->Close();
    return absl::OkStatus();
  }
  // Without the partition's lock nothing may be written here any more.
  Compaction::CloseGate(impl_->compaction_gate.get());
  absl::Status closed = impl_->appender->Close();
  impl_->flusher->RunReadyCallbacks();
  return closed;
}

const std::string& Log::directory() const { return impl_->core->directory; }
const LogOptions& Log::options() const { return impl_->core->options; }
const RecoveryReport& Log::recovery_report() const { return impl_->report; }

std::vector<DamagedRange> Log::damage() const {
  std::vector<DamagedRange> all;
  for (const auto& handle : impl_->core->table.Load().list->handles()) {
    const std::vector<DamagedRange> damage = handle->damage();
    all.insert(all.end(), damage.begin(), damage.end());
  }
  return all;
}

std::vector<LogSegmentInfo> Log::segments() const {
  std::vector<LogSegmentInfo> infos;
  const auto list = impl_->core->table.Load().list;
  for (const auto& handle : list->handles()) {
    infos.push_back({.base_offset = handle->base_offset(), .size_bytes = handle->end().end_position, .active = false});
  }
  if (!infos.empty()) infos.back().active = true;
  return infos;
}

std::vector<LeaderEpoch> Log::leader_epochs() const { return impl_->core->epochs()->entries(); }

std::optional<LeaderEpoch> Log::EndOffsetForEpoch(int32_t epoch) const {
  return impl_->core->epochs()->EndOffsetFor(epoch, log_end_offset());
}

absl::Status Log::AssignLeaderEpoch(int32_t epoch) {
  if (impl_->appender == nullptr) return impl_->ReadOnly();
  return impl_->appender->AssignLeaderEpoch(epoch);
}

absl::StatusOr<int64_t> Log::RemoveExpiredProducers() {
  if (impl_->appender == nullptr) return impl_->ReadOnly();
  return impl_->appender->RemoveExpiredProducers();
}

std::vector<ProducerStateEntry> Log::producers() const {
  return impl_->appender != nullptr ? impl_->appender->producers() : impl_->follower->producers();
}

}  // namespace varve
