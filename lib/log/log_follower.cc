#include "log/log_follower.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/path.h"
#include "base/status.h"
#include "fmt/format.h"
#include "log/damage_notes.h"
#include "log/log_loader.h"
#include "log/partition_lock.h"
#include "record/batch_header.h"
#include "segment/segment_files.h"
#include "state/checkpoint_file.h"
#include "varve/overlay_file_system.h"

namespace varve::internal {
namespace {

constexpr std::chrono::microseconds kFirstPause{20};
constexpr std::chrono::microseconds kLongestPause{2'000};
// Where nobody writes, and one look costs more than a line in memory.
constexpr std::chrono::microseconds kLongestPauseAlone{100'000};

SegmentList::Handles HandlesOf(const LoadedLog& loaded, const std::shared_ptr<FileSystem>& file_system,
                               const LogCore& core) {
  SegmentList::Handles handles;
  for (size_t index = 0; index < loaded.segments.size(); ++index) {
    const LoadedSegment& segment = loaded.segments[index];
    const int64_t next_offset =
        index + 1 < loaded.segments.size() ? loaded.segments[index + 1].base_offset : loaded.log_end_offset;
    handles.push_back(std::make_shared<SegmentHandle>(file_system, core.directory, segment.base_offset,
                                                      PublishedEnd{segment.size_bytes, next_offset}, segment.damage,
                                                      core.cache));
  }
  return handles;
}

// True if damage begins at `end`, which then lies behind it.
bool StepOverDamage(const OpenSegment& segment, PublishedEnd* end) {
  for (const DamagedRange& range : segment.damage()) {
    if (range.position != end->end_position || range.bytes == 0) continue;
    *end = {range.position + range.bytes, range.last_offset + 1};
    return true;
  }
  return false;
}

// What the writer's opening found damaged in a segment and left there. Notes that cannot be believed are none.
class KnownDamage {
 public:
  KnownDamage(FileSystem* file_system, const std::string& directory)
      : file_system_(file_system), directory_(directory), notes_(DamageNotes::Read(file_system, directory)) {}

  absl::StatusOr<std::vector<DamagedRange>> Of(const FoundSegment& segment, bool is_last) const {
    if (!notes_.ok() || !notes_->Names(segment.base_offset)) return std::vector<DamagedRange>();
    VARVE_ASSIGN_OR_RETURN(const bool hold, notes_->Hold(file_system_, directory_, segment, is_last));
    return hold ? notes_->Of(segment.base_offset) : std::vector<DamagedRange>();
  }

 private:
  FileSystem* const file_system_;
  const std::string& directory_;
  const absl::StatusOr<DamageNotes> notes_;
};

}  // namespace

RecoveryReport LogFollower::report() const {
  const absl::MutexLock lock(&mutex_);
  return report_;
}

std::vector<ProducerStateEntry> LogFollower::producers() const {
  const absl::MutexLock lock(&mutex_);
  return producers_;
}

// The line of a living writer; null if there is none.
absl::StatusOr<std::shared_ptr<const LiveLine>> LogFollower::FindWriter() const {
  FileSystem* const file_system = core_->options.file_system;
  VARVE_ASSIGN_OR_RETURN(const bool locked, PartitionIsLocked(file_system, core_->directory));
  if (!locked) return nullptr;
  absl::StatusOr<std::unique_ptr<LiveLine>> line = LiveLine::Open(file_system, core_->directory);
  if (absl::IsNotFound(line.status()) || absl::IsDataLoss(line.status())) return nullptr;
  VARVE_RETURN_IF_ERROR(line.status());
  VARVE_ASSIGN_OR_RETURN(const std::optional<PartitionStateValues> state,
                         PartitionState::Peek(file_system, core_->directory));
  if (!state.has_value() || LiveLine::ShortLineage(state->lineage) != (*line)->lineage()) return nullptr;
  return std::shared_ptr<const LiveLine>(*std::move(line));
}

absl::Status LogFollower::Refresh() {
  const absl::MutexLock lock(&mutex_);
  if (core_->frontiers.closed()) return absl::FailedPreconditionError("the log is closed");
  VARVE_ASSIGN_OR_RETURN(const std::shared_ptr<const LiveLine> line, FindWriter());
  const std::optional<LiveValues> values = line != nullptr ? line->Load() : std::nullopt;
  if (!values.has_value()) {
    core_->followed_generation.store(LogCore::kNobody, std::memory_order_release);
    taken_in_.reset();
    return LoadStopped();
  }
  const bool same_files = taken_in_.has_value() && taken_in_->generation == values->generation &&
                          taken_in_->active_base == values->active_base;
  VARVE_RETURN_IF_ERROR(same_files ? ExtendActive(*values) : LoadLive(*values));
  taken_in_ = values;
  if (core_->followed == nullptr) core_->followed = line;
  core_->followed_generation.store(values->generation, std::memory_order_release);
  return absl::OkStatus();
}

absl::Status LogFollower::LoadStopped() {
  const auto overlay = std::make_shared<OverlayFileSystem>(core_->options.file_system);
  VARVE_ASSIGN_OR_RETURN(const std::optional<PartitionStateValues> state,
                         PartitionState::Peek(overlay.get(), core_->directory));
  LogOptions options = core_->options;
  // Indexes are judged by the interval that their writer used.
  if (state.has_value()) options.index_interval_bytes = state->index_interval_bytes;
  VARVE_ASSIGN_OR_RETURN(LoadedLog loaded, LoadLog(overlay.get(), core_->directory, options));
  core_->table.ReplaceRange(0, core_->table.Load().list->size(), HandlesOf(loaded, overlay, *core_));
  core_->SetEpochs(std::move(loaded.epochs));
  core_->frontiers.Reset(loaded.log_start_offset, loaded.log_end_offset,
                         std::min(loaded.report.durable_offset, loaded.log_end_offset));
  loaded.producers->AdvanceHighWatermark(core_->frontiers.Load().high_watermark);
  core_->frontiers.SetFirstUnstable(loaded.producers->FirstUnstableOffset().value_or(Frontiers::kNone));
  producers_ = loaded.producers->entries();
  report_ = std::move(loaded.report);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int64_t>> LogFollower::SegmentBases() const {
  VARVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, core_->options.file_system->List(core_->directory));
  std::vector<int64_t> bases;
  for (const std::string& name : names) {
    const std::optional<ParsedSegmentFile> parsed = ParseSegmentFileName(name);
    if (parsed.has_value() && parsed->kind == SegmentFileKind::kLog && parsed->suffix == SegmentFileSuffix::kNone) {
      bases.push_back(parsed->base_offset);
    }
  }
  std::sort(bases.begin(), bases.end());
  return bases;
}

absl::Status LogFollower::LoadLive(const LiveValues& values) {
  FileSystem* const file_system = core_->options.file_system;
  VARVE_ASSIGN_OR_RETURN(const std::vector<int64_t> bases, SegmentBases());
  const SegmentTable::Snapshot before = core_->table.Load();
  const bool keep_known = taken_in_.has_value() && taken_in_->generation == values.generation;
  const KnownDamage known_damage(file_system, core_->directory);
  SegmentList::Handles handles;
  for (size_t index = 0; index < bases.size() && bases[index] < values.active_base; ++index) {
    const std::optional<size_t> known = keep_known ? before.list->Floor(bases[index]) : std::nullopt;
    if (known.has_value() && *known + 1 < before.list->size() && before.list->base_offset(*known) == bases[index]) {
      handles.push_back(before.list->at(*known));
      continue;
    }
    VARVE_ASSIGN_OR_RETURN(
        const FileInfo info,
        file_system->Info(JoinPath(core_->directory, SegmentFileName(bases[index], SegmentFileKind::kLog))));
    const int64_t next_offset = index + 1 < bases.size() ? bases[index + 1] : values.active_base;
    const int64_t size_bytes = static_cast<int64_t>(info.size);
    VARVE_ASSIGN_OR_RETURN(std::vector<DamagedRange> damage, known_damage.Of({bases[index], size_bytes}, false));
    handles.push_back(std::make_shared<SegmentHandle>(Unowned(file_system), core_->directory, bases[index],
                                                      PublishedEnd{size_bytes, next_offset}, std::move(damage),
                                                      core_->cache));
  }
  VARVE_ASSIGN_OR_RETURN(std::vector<DamagedRange> damage,
                         known_damage.Of({values.active_base, values.end_position}, /*is_last=*/true));
  VARVE_ASSIGN_OR_RETURN(active_, OpenActive(values, std::move(damage)));
  handles.push_back(std::make_shared<SegmentHandle>(Unowned(file_system), core_->directory, active_, core_->cache));
  // Through an overlay: reading must not make a file that is missing.
  OverlayFileSystem untouched(file_system);
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<LeaderEpochCache> epochs,
                         LeaderEpochCache::Open(&untouched, JoinPath(core_->directory, kLeaderEpochCheckpoint)));
  VARVE_ASSIGN_OR_RETURN(const std::optional<PartitionStateValues> state,
                         PartitionState::Peek(file_system, core_->directory));
  const int64_t first_base = handles.front()->base_offset();
  core_->SetEpochs(std::move(epochs));
  core_->table.ReplaceRange(0, before.list->size(), handles);
  core_->frontiers.Reset(std::max(first_base, state.has_value() ? state->log_start_offset : first_base),
                         values.end_offset, std::min(values.durable_offset, values.end_offset));
  return ExtendActive(values);
}

absl::StatusOr<std::shared_ptr<OpenSegment>> LogFollower::OpenActive(const LiveValues& values,
                                                                     std::vector<DamagedRange> damage) {
  const std::string path = JoinPath(core_->directory, SegmentFileName(values.active_base, SegmentFileKind::kLog));
  VARVE_ASSIGN_OR_RETURN(std::shared_ptr<File> file, core_->options.file_system->Open(path, OpenMode::kRead));
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  active_mapped_bytes_ = std::max<int64_t>(static_cast<int64_t>(size), values.end_position);
  std::unique_ptr<Mapping> mapping;
  // Beyond the file's present end the mapping serves what the writer adds: one mapping for the life of most segments.
  active_mapped_bytes_ = std::max(active_mapped_bytes_, core_->options.segment_bytes);
  VARVE_ASSIGN_OR_RETURN(mapping, file->Map(static_cast<uint64_t>(active_mapped_bytes_), Access::kRead));
  auto indexes = std::make_unique<LiveIndexes>(values.active_base, core_->options.segment_index_bytes);
  live_indexes_ = indexes.get();
  bytes_since_index_entry_ = 0;
  auto segment =
      std::make_shared<OpenSegment>(Unowned(core_->options.file_system), path, values.active_base, std::move(file),
                                    std::move(mapping), std::move(indexes), std::move(damage));
  segment->Publish({0, values.active_base});
  return segment;
}

// Walks the headers of what was added, so that lookups in it need no long scan.
absl::Status LogFollower::ExtendActive(const LiveValues& values) {
  if (values.end_position > active_mapped_bytes_) {
    taken_in_.reset();
    return LoadLive(values);
  }
  PublishedEnd end = active_->published();
  TimestampOffset largest = active_->largest_timestamp();
  while (end.end_position < values.end_position) {
    if (StepOverDamage(*active_, &end)) continue;
    const int64_t available = values.end_position - end.end_position;
    const std::byte* const bytes = active_->log() + end.end_position;
    if (available < static_cast<int64_t>(kBatchHeaderBytes) ||
        JudgeBatch(bytes, static_cast<size_t>(available), static_cast<uint64_t>(available)) != BatchForm::kWhole) {
      return Error(absl::StatusCode::kDataLoss, "{}: at position {}: expected a record batch before position {}",
                   active_->path(), end.end_position, values.end_position);
    }
    const BatchHeader header = DecodeBatchHeader(bytes);
    if (header.max_timestamp_ms > largest.timestamp_ms) largest = {header.max_timestamp_ms, header.last_offset()};
    if (bytes_since_index_entry_ > core_->options.index_interval_bytes) {
      VARVE_RETURN_IF_ERROR(live_indexes_->offsets.Append(header.last_offset(), end.end_position));
      VARVE_RETURN_IF_ERROR(live_indexes_->times.MaybeAppend(largest.timestamp_ms, largest.offset));
      bytes_since_index_entry_ = 0;
    }
    bytes_since_index_entry_ += static_cast<int64_t>(header.size_bytes);
    end = {end.end_position + static_cast<int64_t>(header.size_bytes), header.next_offset()};
  }
  active_->SetLargestTimestamp(largest);
  active_->Publish({values.end_position, values.end_offset});
  core_->frontiers.PublishDurable(std::min(values.durable_offset, values.end_offset));
  core_->frontiers.PublishEnd(values.end_offset);
  return absl::OkStatus();
}

// What a stopped log looks like from outside: names, and the newest .log's size and time. Absent while somebody writes,
// or where the look fails: then only a refresh tells.
std::optional<std::string> LogFollower::LookOfStopped() const {
  FileSystem* const file_system = core_->options.file_system;
  const absl::StatusOr<bool> locked = PartitionIsLocked(file_system, core_->directory);
  if (!locked.ok() || *locked) return std::nullopt;
  const absl::StatusOr<std::vector<std::string>> names = file_system->List(core_->directory);
  if (!names.ok()) return std::nullopt;
  std::string look;
  const std::string* newest = nullptr;
  for (const std::string& name : *names) {
    look += name + '\n';
    if (name.ends_with(".log") && (newest == nullptr || name > *newest)) newest = &name;
  }
  if (newest == nullptr) return look;
  const absl::StatusOr<FileInfo> info = file_system->Info(JoinPath(core_->directory, *newest));
  if (!info.ok()) return std::nullopt;
  return look + fmt::format("{} bytes, {} ms", info->size, info->modified_ms);
}

absl::Status LogFollower::WaitVisible(int64_t offset, std::chrono::nanoseconds timeout) {
  const auto start = std::chrono::steady_clock::now();
  auto pause = kFirstPause;
  std::optional<std::string> taken_in;
  for (;;) {
    std::optional<std::string> look = LookOfStopped();
    if (!look.has_value() || look != taken_in) VARVE_RETURN_IF_ERROR(Refresh());
    taken_in = std::move(look);
    if (core_->frontiers.closed()) return absl::FailedPreconditionError("the log is closed");
    if (core_->frontiers.VisibleEnd(Isolation::kHighWatermark) > offset) return absl::OkStatus();
    const std::chrono::nanoseconds waited = std::chrono::steady_clock::now() - start;
    if (waited >= timeout) {
      return Error(absl::StatusCode::kDeadlineExceeded, "waited for offset {}: the visible end is still {}", offset,
                   core_->frontiers.VisibleEnd(Isolation::kHighWatermark));
    }
    absl::SleepFor(absl::FromChrono(std::min<std::chrono::nanoseconds>(pause, timeout - waited)));
    pause = std::min(pause * 2, taken_in.has_value() ? kLongestPauseAlone : kLongestPause);
  }
}

}  // namespace varve::internal
