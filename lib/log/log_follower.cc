#include "log/log_follower.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/path.h"
#include "base/status.h"
#include "log/log_loader.h"
#include "log/partition_listing.h"
#include "segment/segment_files.h"
#include "varve/overlay_file_system.h"

namespace varve::internal {
namespace {

using std::chrono::steady_clock;

// A writer that appends shows within microseconds; one that is not there is not looked for as often.
constexpr std::chrono::microseconds kFirstPause{20};
constexpr std::chrono::microseconds kLongestPause{2'000};
constexpr std::chrono::microseconds kLongestPauseAlone{20'000};

// How long a busy writer is waited for: a truncation takes some milliseconds, a recovery may take minutes.
constexpr std::chrono::milliseconds kPatience{100};
// How often files are opened that the writer replaces meanwhile.
constexpr int kMaxTries = 100;

// Consumers stop where the log that is left and the one that is taken over both let them, until the segments and all
// the offsets are the new one's: an old end says nothing of what is decided in the new segments, nor the other way round.
void HoldBack(const Frontiers::Followed& followed, Frontiers* frontiers) {
  int64_t stable_end = std::min({frontiers->first_unstable(), followed.first_open_offset, followed.log_end_offset});
  if (!followed.closed_transactions.empty()) {
    stable_end = std::min(stable_end, followed.closed_transactions.begin()->first);
  }
  if (followed.high_watermark.has_value()) {
    stable_end = std::min(stable_end, *followed.high_watermark);
    frontiers->SetHighWatermark(std::min(*followed.high_watermark, frontiers->VisibleEnd(Isolation::kHighWatermark)));
  }
  frontiers->SetFirstUnstable(stable_end);
}

// True if between two listings no .log has come, gone or been exchanged; a roll adds one behind the others. Where the
// cleaner of a broker exchanges one alone, only the old file under its last name tells.
bool SameLogs(const std::vector<std::string>& before, const std::vector<std::string>& after) {
  const auto with_suffix = [](const PartitionListing& listing, SegmentFileSuffix suffix) {
    std::set<int64_t> base_offsets;
    for (const LeftoverFile& leftover : listing.leftovers) {
      if (leftover.parts.suffix == suffix) base_offsets.insert(leftover.parts.base_offset);
    }
    return base_offsets;
  };
  const PartitionListing listed = SortNames(before);
  PartitionListing now = SortNames(after);
  if (!listed.segments.empty()) {
    now.segments.erase(now.segments.upper_bound(listed.segments.rbegin()->first), now.segments.end());
  }
  return listed.BaseOffsets() == now.BaseOffsets() &&
         with_suffix(listed, SegmentFileSuffix::kSwap) == with_suffix(now, SegmentFileSuffix::kSwap) &&
         std::ranges::includes(with_suffix(listed, SegmentFileSuffix::kDeleted),
                               with_suffix(now, SegmentFileSuffix::kDeleted));
}

}  // namespace

LogFollower::LogFollower(std::shared_ptr<LogCore> core)
    : core_(std::move(core)), watch_(core_->options.file_system, core_->directory) {}

RecoveryReport LogFollower::report() const {
  const MutexLock lock(&mutex_);
  return report_;
}

std::vector<ProducerStateEntry> LogFollower::producers() {
  const MutexLock lock(&mutex_);
  return view_ != nullptr ? view_->Producers() : producers_;
}

absl::Status LogFollower::Refresh() {
  if (IsQuiet()) return absl::OkStatus();
  const MutexLock lock(&mutex_);
  return RefreshLocked();
}

bool LogFollower::IsQuiet() const {
  const LiveLine* const line = quiet_.line.load(std::memory_order_acquire);
  if (line == nullptr || core_->refresh_awaited.load(std::memory_order_relaxed) || core_->frontiers.closed()) {
    return false;
  }
  const LiveLine::Version taken_in{.sequence = quiet_.sequence.load(std::memory_order_acquire),
                                   .generation = quiet_.generation.load(std::memory_order_acquire),
                                   .durable_offset = quiet_.durable_offset.load(std::memory_order_acquire)};
  return line->version() == taken_in && line->served() &&
         !IsTimeToLook(quiet_.looked_at_ns.load(std::memory_order_relaxed));
}

bool LogFollower::IsTimeToLook(int64_t looked_at_ns) const {
  return core_->options.clock->MonotonicNs() - looked_at_ns >= std::chrono::nanoseconds(kLongestPause).count();
}

void LogFollower::NoteQuiet(const LiveLine::Version& version) {
  quiet_.looked_at_ns.store(looked_at_ns_, std::memory_order_relaxed);
  quiet_.generation.store(version.generation, std::memory_order_release);
  quiet_.durable_offset.store(version.durable_offset, std::memory_order_release);
  quiet_.sequence.store(version.sequence, std::memory_order_release);
  quiet_.line.store(viewed_line_.get(), std::memory_order_release);
}

bool LogFollower::RefreshByLine() {
  if (view_ == nullptr || viewed_line_ != watch_.line() || IsTimeToLook(looked_at_ns_) ||
      core_->refresh_awaited.load(std::memory_order_relaxed)) {
    return false;
  }
  const LiveLine::Version version = viewed_line_->version();  // before the values: what is stored between is new
  const std::optional<LiveValues> values = watch_.Glance();
  if (!values.has_value() || !view_->Covers(*values)) return false;
  if (*values != view_->values() && !TakeIn(*values).ok()) return false;
  NoteQuiet(version);
  return true;
}

absl::Status LogFollower::RefreshLocked() {
  if (core_->frontiers.closed()) return absl::FailedPreconditionError("the log is closed");
  if (RefreshByLine()) return absl::OkStatus();
  quiet_.line.store(nullptr, std::memory_order_relaxed);
  const bool awaited = core_->refresh_awaited.exchange(false, std::memory_order_relaxed);
  const steady_clock::time_point started = steady_clock::now();
  std::chrono::microseconds pause = kFirstPause;
  const auto wait = [&pause] {
    absl::SleepFor(absl::FromChrono(pause));
    pause = std::min(pause * 2, kLongestPause);
  };
  absl::Status status;
  for (int tries = 0; tries < kMaxTries; ++tries) {
    VARVE_ASSIGN_OR_RETURN(const WriterSight sight, watch_.Look());
    looked_at_ns_ = core_->options.clock->MonotonicNs();
    const bool busy = sight.presence == WriterPresence::kBusy;
    const bool patient = busy && steady_clock::now() - started < kPatience;
    // Nothing new is no answer to a reader that was sent here by what it lacked.
    if (busy && !(awaited && patient) && IsCurrentBeside(sight)) {
      FollowBeside(sight);
      return absl::OkStatus();
    }
    if (patient) {
      wait();
      --tries;
      continue;
    }
    status = sight.presence == WriterPresence::kServing ? TakeIn(sight.values) : LoadStopped(sight);
    if (status.ok()) return status;
    // Whoever meets files that are being changed looks again: a busy writer may be changing any, and any writer takes some
    // away, as the next one may that has come and gone since. Other errors are the files' own.
    if (absl::IsAborted(status) || absl::IsNotFound(status) || (busy && absl::IsDataLoss(status))) {
      wait();
      continue;
    }
    VARVE_ASSIGN_OR_RETURN(const WriterSight now, watch_.Look());
    if (now.presence == sight.presence && now.values.generation == sight.values.generation) return status;
  }
  if (absl::IsNotFound(status)) return status;
  return Annotate(absl::AbortedError(status.message()),
                  core_->directory + ": the writer replaces files faster than they can be opened");
}

absl::Status LogFollower::TakeIn(const LiveValues& values) {
  const bool same_line = view_ != nullptr && viewed_line_ == watch_.line();
  if (same_line && view_->Covers(values)) {
    VARVE_RETURN_IF_ERROR(view_->Extend(values));
    core_->frontiers.Follow(OffsetsOf(values));
    return absl::OkStatus();
  }
  const bool same_generation = same_line && view_->values().generation == values.generation;
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<LiveView> view,
                         LiveView::Load(*core_, values, same_generation ? view_.get() : nullptr));
  const std::optional<LiveValues> now = watch_.Glance();
  if (!now.has_value() || now->generation != values.generation) {
    return Error(absl::StatusCode::kAborted, "{}: generation {} went while it was opened", core_->directory,
                 values.generation);
  }
  view_ = std::move(view);
  viewed_line_ = watch_.line();
  stopped_stamp_.reset();
  producers_.clear();
  core_->SetEpochs(view_->epochs());
  TakeOver(view_->handles(), OffsetsOf(values));
  core_->Follow(viewed_line_, values.generation);
  return absl::OkStatus();
}

void LogFollower::TakeOver(const SegmentList::Handles& handles, const Frontiers::Followed& followed) {
  HoldBack(followed, &core_->frontiers);
  core_->table.ReplaceRange(0, core_->table.Load().list->size(), handles);
  core_->frontiers.Follow(followed);
}

Frontiers::Followed LogFollower::OffsetsOf(const LiveValues& values) {
  std::optional<int64_t> high_watermark;
  if (values.rule == HighWatermarkRule::kValue) {
    high_watermark = values.high_watermark;
  } else if (values.rule == HighWatermarkRule::kDurable) {
    high_watermark = std::min(values.durable_offset, values.end_offset);
  }
  // What the host of this log has set by itself stays where the writer sets nothing.
  const bool keep_high_watermark = !high_watermark.has_value() && !took_over_high_watermark_;
  took_over_high_watermark_ = high_watermark.has_value();
  const int64_t first_base = view_->handles().front()->base_offset();
  Frontiers::Followed followed{.log_start_offset = std::max(first_base, values.log_start_offset),
                               .log_end_offset = values.end_offset,
                               .durable_offset = values.durable_offset,
                               .high_watermark = high_watermark,
                               .keep_high_watermark = keep_high_watermark,
                               .first_open_offset = values.first_open_offset,
                               .closed_transactions = {}};
  if (values.last_marker_offset >= 0) {
    followed.closed_transactions.emplace(values.first_closed_offset, values.last_marker_offset);
  }
  return followed;
}

absl::Status LogFollower::LoadStopped(const WriterSight& sight) {
  VARVE_ASSIGN_OR_RETURN(DirectoryStamp stamp, Stamp());
  const auto overlay = std::make_shared<OverlayFileSystem>(core_->options.file_system);
  absl::StatusOr<LoadedLog> load = LoadLog(overlay.get(), core_->directory, core_->options);
  SegmentList::Handles handles;
  absl::Status status = load.status();
  if (load.ok()) {
    handles = core_->HandlesOf(*load, overlay);
    for (const std::shared_ptr<SegmentHandle>& handle : handles) handle->NoteFile();
    status = ReadTransactionIndexes(overlay.get(), handles);
  }
  VARVE_ASSIGN_OR_RETURN(const DirectoryStamp after, Stamp());
  // A listing of names that change may lack both the old and the new one, or tell of one that is gone when it is opened.
  if (status.ok() ? !SameLogs(stamp.names, after.names) : absl::IsNotFound(status) && after.names != stamp.names) {
    return Error(absl::StatusCode::kAborted, "{}: names changed while the log was opened", core_->directory);
  }
  VARVE_RETURN_IF_ERROR(status);
  LoadedLog loaded = *std::move(load);
  view_.reset();
  stopped_stamp_ = std::move(stamp);
  TakeOver(handles, {.log_start_offset = loaded.log_start_offset,
                     .log_end_offset = loaded.log_end_offset,
                     .durable_offset = loaded.report.durable_offset,
                     .keep_high_watermark = true,
                     .first_open_offset = loaded.producers->FirstOpenOffset().value_or(Frontiers::kNone),
                     .closed_transactions = loaded.producers->closed_transactions()});
  core_->SetEpochs(std::move(loaded.epochs));
  // Last: until then readers that meet replaced files are told to come again.
  FollowBeside(sight);
  producers_ = loaded.producers->entries();
  report_ = std::move(loaded.report);
  return absl::OkStatus();
}

void LogFollower::FollowBeside(const WriterSight& sight) {
  if (sight.presence == WriterPresence::kBusy && watch_.line() != nullptr) {
    core_->Follow(watch_.line(), sight.values.generation);
  } else {
    core_->FollowNobody();
  }
}

// Read now: one whose name changes when it is asked for would say that nothing was aborted. One that cannot be read says
// so to who asks. Most segments have none.
absl::Status LogFollower::ReadTransactionIndexes(FileSystem* loaded, const SegmentList::Handles& handles) const {
  VARVE_ASSIGN_OR_RETURN(const std::vector<std::string> listed, loaded->List(core_->directory));
  const std::set<std::string> names(listed.begin(), listed.end());
  for (const std::shared_ptr<SegmentHandle>& handle : handles) {
    if (!names.contains(SegmentFileName(handle->base_offset(), SegmentFileKind::kTransactionIndex))) continue;
    (void)handle->AbortedIndex();
  }
  return absl::OkStatus();
}

bool LogFollower::IsCurrentBeside(const WriterSight& busy) {
  if (view_ != nullptr) {
    return viewed_line_ == watch_.line() && view_->values().generation == busy.values.generation;
  }
  if (!stopped_stamp_.has_value()) return false;
  const absl::StatusOr<DirectoryStamp> stamp = Stamp();
  return stamp.ok() && *stamp == *stopped_stamp_;
}

absl::StatusOr<LogFollower::DirectoryStamp> LogFollower::Stamp() const {
  FileSystem* const file_system = core_->options.file_system;
  DirectoryStamp stamp;
  VARVE_ASSIGN_OR_RETURN(stamp.names, file_system->List(core_->directory));
  const PartitionListing listing = SortNames(stamp.names);
  if (listing.segments.empty()) return stamp;
  const std::string last = SegmentFileName(listing.segments.rbegin()->first, SegmentFileKind::kLog);
  const absl::StatusOr<FileInfo> info = file_system->Info(JoinPath(core_->directory, last));
  if (absl::IsNotFound(info.status())) return stamp;  // gone since: what is there now bears another stamp
  VARVE_RETURN_IF_ERROR(info.status());
  stamp.last_size_bytes = info->size;
  stamp.last_modified_ms = info->modified_ms;
  stamp.last_identity = info->identity;
  return stamp;
}

absl::Status LogFollower::Poll() {
  if (core_->frontiers.closed()) return absl::FailedPreconditionError("the log is closed");
  if (view_ != nullptr) return RefreshLocked();
  VARVE_ASSIGN_OR_RETURN(const WriterSight sight, watch_.Look());
  VARVE_ASSIGN_OR_RETURN(const DirectoryStamp stamp, Stamp());
  const bool unchanged = sight.presence != WriterPresence::kServing && stamp == stopped_stamp_;
  return unchanged ? absl::OkStatus() : RefreshLocked();
}

absl::Status LogFollower::WaitVisible(int64_t offset, std::chrono::nanoseconds timeout) {
  const steady_clock::time_point started = steady_clock::now();
  std::chrono::microseconds pause = kFirstPause;
  VARVE_RETURN_IF_ERROR(Refresh());
  for (;;) {
    if (core_->frontiers.VisibleEnd(Isolation::kHighWatermark) > offset) return absl::OkStatus();
    const std::chrono::nanoseconds left = timeout - (steady_clock::now() - started);
    if (left <= std::chrono::nanoseconds::zero()) {
      return Error(absl::StatusCode::kDeadlineExceeded, "waited for offset {}: the visible end is still {}", offset,
                   core_->frontiers.VisibleEnd(Isolation::kHighWatermark));
    }
    absl::SleepFor(absl::FromChrono(std::min<std::chrono::nanoseconds>(pause, left)));
    const MutexLock lock(&mutex_);
    pause = std::min(pause * 2, view_ != nullptr ? kLongestPause : kLongestPauseAlone);
    VARVE_RETURN_IF_ERROR(Poll());
  }
}

}  // namespace varve::internal
