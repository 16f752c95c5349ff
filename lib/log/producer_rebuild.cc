#include "log/producer_rebuild.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/path.h"
#include "base/status.h"
#include "log/unjudged_walk.h"
#include "record/batch_scanner.h"
#include "segment/segment_files.h"
#include "state/producer_snapshot.h"

namespace varve::internal {
namespace {

constexpr char kRule[] = "format notes 5.4";

}  // namespace

ProducerRebuild::ProducerRebuild(FileSystem* file_system, std::string directory, int64_t expiration_ms, int64_t now_ms,
                                 std::vector<FoundSegment> segments, std::set<int64_t> snapshots)
    : file_system_(file_system),
      directory_(std::move(directory)),
      now_ms_(now_ms),
      segments_(std::move(segments)),
      producers_(std::make_unique<ProducerStateManager>(file_system, directory_, expiration_ms)),
      on_disk_(std::move(snapshots)) {}

absl::Status ProducerRebuild::BeginSegment(int64_t log_start_offset, int64_t base_offset) {
  if (!started_) {
    VARVE_RETURN_IF_ERROR(StartAt(log_start_offset, base_offset));
  } else if (last_snapshot_offset_ <= log_start_offset) {
    // The segments recovered so far lie below the log start; Kafka takes nothing over from there.
    VARVE_RETURN_IF_ERROR(producers_->Reload(log_start_offset, log_start_offset, now_ms_).status());
  }
  VARVE_RETURN_IF_ERROR(ReplayTo(base_offset));
  // Kafka loads a snapshot for each segment that it recovers, without the producers that have expired.
  producers_->RemoveExpired(now_ms_);
  TakeSnapshot(base_offset);
  return absl::OkStatus();
}

void ProducerRebuild::Add(const RecordBatchView& batch, std::optional<CompletedTransaction>* completed) {
  // A marker whose checksum is good but which cannot be read closes nothing; the log holds it all the same.
  producers_->Replay(batch, completed).IgnoreError();
}

void ProducerRebuild::EndSegment(int64_t next_offset) {
  position_ = std::max(position_, next_offset);
  TakeSnapshot(position_);
}

absl::Status ProducerRebuild::Finish(int64_t log_start_offset, int64_t log_end_offset, bool clean,
                                     const std::vector<int64_t>& base_offsets) {
  log_end_offset_ = log_end_offset;
  RemoveStrays(base_offsets);
  if (!started_ && clean && on_disk_.empty()) {
    position_ = log_end_offset;
    const size_t first = base_offsets.size() > 2 ? base_offsets.size() - 2 : 0;
    for (size_t i = first; i < base_offsets.size(); ++i) TakeSnapshot(base_offsets[i]);
    TakeSnapshot(log_end_offset);
    return absl::OkStatus();
  }
  if (!started_) VARVE_RETURN_IF_ERROR(StartAt(log_start_offset, log_end_offset));
  VARVE_RETURN_IF_ERROR(ReplayTo(log_end_offset));
  producers_->RemoveExpired(now_ms_);
  TakeSnapshot(log_end_offset);
  // The lower bound once more: segments may have gone since the first. None lies above the end.
  while (!on_disk_.empty() && *on_disk_.begin() <= log_start_offset)
    removals_.insert(on_disk_.extract(on_disk_.begin()));
  std::erase_if(planned_, [&](const auto& snapshot) { return snapshot.first <= log_start_offset; });
  assert(on_disk_.empty() || *on_disk_.rbegin() <= log_end_offset);
  assert(planned_.empty() || planned_.rbegin()->first <= log_end_offset);
  RemoveStrays(base_offsets);
  // Of an empty log no snapshot is left, so that the next opening would not know them.
  if (log_end_offset > log_start_offset) return absl::OkStatus();
  return producers_->Reload(log_start_offset, log_end_offset, now_ms_).status();
}

void ProducerRebuild::MoveTo(FileSystem* file_system) {
  file_system_ = file_system;
  producers_->MoveTo(file_system);
}

absl::Status ProducerRebuild::Write(std::vector<RecoveryFinding>* findings) {
  for (const int64_t offset : removals_) {
    if (planned_.contains(offset)) continue;
    VARVE_RETURN_IF_ERROR(producers_->RemoveSnapshot(offset));
    findings->push_back({.action = RecoveryAction::kRemoved,
                         .rule = kRule,
                         .file = SegmentFileName(offset, SegmentFileKind::kSnapshot),
                         .evidence = "outside the log, damaged, or neither at a segment's base nor the newest"});
  }
  for (const auto& [offset, entries] : planned_) {
    VARVE_ASSIGN_OR_RETURN(const bool holds, Holds(offset, entries));
    if (holds) continue;
    const std::string name = SegmentFileName(offset, SegmentFileKind::kSnapshot);
    VARVE_RETURN_IF_ERROR(
        WriteProducerSnapshot(file_system_, JoinPath(directory_, name), entries, SnapshotSync::kNone));
  }
  return absl::OkStatus();
}

absl::Status ProducerRebuild::StartAt(int64_t log_start_offset, int64_t offset) {
  started_ = true;
  VARVE_ASSIGN_OR_RETURN(position_, producers_->Reload(log_start_offset, offset, now_ms_, removals_));
  last_snapshot_offset_ = position_;
  for (const int64_t snapshot : std::set<int64_t>(on_disk_)) {
    // Those between the one that was loaded and the offset asked for were passed over as damaged.
    if (snapshot > position_ || snapshot <= log_start_offset) {
      on_disk_.erase(snapshot);
      removals_.insert(snapshot);
    }
  }
  return absl::OkStatus();
}

absl::Status ProducerRebuild::ReplayTo(int64_t offset) {
  for (size_t i = 0; i < segments_.size() && position_ < offset; ++i) {
    const FoundSegment& segment = segments_[i];
    const bool ends_before = i + 1 < segments_.size() && segments_[i + 1].base_offset <= position_;
    if (ends_before || segment.base_offset >= offset) continue;
    position_ = std::max(position_, segment.base_offset);
    if (IsOneOfLastTwo(segment.base_offset)) TakeSnapshot(position_);
    VARVE_RETURN_IF_ERROR(ReplaySegment(segment, offset));
  }
  position_ = std::max(position_, offset);
  return absl::OkStatus();
}

// Batches of a segment that is believed unread, from position_ up to `offset`. Where one is damaged the rest of the
// segment is left out: the log is served around damage, but what was in it is not known.
absl::Status ProducerRebuild::ReplaySegment(const FoundSegment& segment, int64_t offset) {
  const std::string name = SegmentFileName(segment.base_offset, SegmentFileKind::kLog);
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> log,
                         file_system_->Open(JoinPath(directory_, name), OpenMode::kRead));
  BatchReader reader(log.get(), 0, static_cast<uint64_t>(segment.size_bytes));
  while (true) {
    VARVE_ASSIGN_OR_RETURN(const bool found, NextUnjudged(&reader, *log, segment.size_bytes));
    if (!found || !reader.crc_matches() || reader.header().base_offset >= offset) return absl::OkStatus();
    if (reader.header().last_offset() < position_) continue;
    std::optional<CompletedTransaction> completed;
    Add(reader.batch(), &completed);
    position_ = reader.header().next_offset();
  }
}

void ProducerRebuild::TakeSnapshot(int64_t offset) {
  if (offset <= last_snapshot_offset_) return;
  last_snapshot_offset_ = offset;
  planned_[offset] = producers_->entries();
}

void ProducerRebuild::RemoveStrays(const std::vector<int64_t>& base_offsets) {
  const int64_t last_base_offset = base_offsets.empty() ? -1 : base_offsets.back();
  const auto is_base = [&](int64_t offset) {
    return std::binary_search(base_offsets.begin(), base_offsets.end(), offset);
  };
  int64_t newest_stray = last_base_offset;  // offsets at a base never equal it, so that nothing below is kept
  for (const int64_t offset : on_disk_) newest_stray = std::max(newest_stray, offset);
  for (const auto& [offset, entries] : planned_) newest_stray = std::max(newest_stray, offset);
  for (const int64_t offset : std::set<int64_t>(on_disk_)) {
    if (is_base(offset) || offset == newest_stray) continue;
    on_disk_.erase(offset);
    removals_.insert(offset);
  }
  std::erase_if(planned_,
                [&](const auto& snapshot) { return !is_base(snapshot.first) && snapshot.first != newest_stray; });
}

bool ProducerRebuild::IsOneOfLastTwo(int64_t base_offset) const {
  constexpr size_t kLast = 2;
  const size_t first = segments_.size() > kLast ? segments_.size() - kLast : 0;
  return base_offset >= segments_[first].base_offset;
}

// True if the snapshot on disk says the same: their order in the file does not matter.
absl::StatusOr<bool> ProducerRebuild::Holds(int64_t offset, const std::vector<ProducerStateEntry>& entries) const {
  const std::string path = JoinPath(directory_, SegmentFileName(offset, SegmentFileKind::kSnapshot));
  absl::StatusOr<std::vector<ProducerStateEntry>> found = ReadProducerSnapshot(file_system_, path);
  if (absl::IsNotFound(found.status()) || IsFaultOfFile(found.status())) return false;
  VARVE_RETURN_IF_ERROR(found.status());
  const std::vector<std::byte> planned = EncodeProducerSnapshot(entries);
  const auto by_id = [](const ProducerStateEntry& a, const ProducerStateEntry& b) {
    return a.producer_id < b.producer_id;
  };
  std::sort(found->begin(), found->end(), by_id);
  return EncodeProducerSnapshot(*found) == planned;
}

}  // namespace varve::internal
