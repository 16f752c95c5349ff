#include "varve/verify.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "base/path.h"
#include "base/status.h"
#include "fmt/format.h"
#include "log/believed_marks.h"
#include "log/index_judge.h"
#include "log/live_line.h"
#include "log/partition_listing.h"
#include "log/partition_lock.h"
#include "log/partition_state.h"
#include "log/tail_check.h"
#include "segment/segment_files.h"
#include "segment/segment_recovery.h"
#include "varve/record_batch.h"

namespace varve {

namespace internal {
namespace {

// Reports progress whenever this much more has been read.
constexpr int64_t kProgressStepBytes = 4 << 20;

// Passes on how far the reading is; never backwards, though a damaged segment is read twice.
class Progress {
 public:
  Progress(const ProgressCallback& callback, int64_t total_bytes) : callback_(callback), total_bytes_(total_bytes) {}

  void Reach(int64_t done_bytes) {
    if (done_bytes - reported_bytes_ >= kProgressStepBytes) Report(done_bytes);
  }
  void Report(int64_t done_bytes) {
    reported_bytes_ = std::max(reported_bytes_, done_bytes);
    if (callback_) callback_(reported_bytes_, total_bytes_);
  }

 private:
  const ProgressCallback& callback_;
  const int64_t total_bytes_;
  int64_t reported_bytes_ = 0;
};

// Checks the records of each good batch and hands the batch to the judge of the indexes. Where the segment is damaged
// it has to know the damage, as found by a scan before, to know where each batch lies.
class BatchChecker : public BatchVisitor {
 public:
  BatchChecker(int64_t segment, IndexJudge* judge, std::span<const DamagedRange> damage, Progress* progress,
               int64_t bytes_before)
      : segment_(segment), judge_(judge), damage_(damage), progress_(progress), bytes_before_(bytes_before) {}

  absl::Status Visit(const BatchHeader& header, std::span<const std::byte> bytes) override {
    while (!damage_.empty() && damage_.front().position == position_) {
      position_ += damage_.front().bytes;
      damage_ = damage_.subspan(1);
    }
    std::optional<int16_t> control_type;
    VARVE_ASSIGN_OR_RETURN(std::string fault, RecordFault(RecordBatchView(bytes), &control_type));
    judge_->Take(header, position_, control_type);
    const int64_t size_bytes = static_cast<int64_t>(header.size_bytes);
    if (fault.empty()) {
      ++batches;
      records += header.record_count;
      good_bytes += size_bytes;
    } else {
      malformed.push_back({.segment = segment_,
                           .position = position_,
                           .bytes = size_bytes,
                           .first_offset = header.base_offset,
                           .last_offset = header.last_offset(),
                           .reason = std::move(fault)});
    }
    position_ += size_bytes;
    progress_->Reach(bytes_before_ + position_);
    return absl::OkStatus();
  }

  int64_t batches = 0;
  int64_t records = 0;
  int64_t good_bytes = 0;
  std::vector<DamagedRange> malformed;  // batches with the right checksum around records that are not

 private:
  // What is wrong with a batch's records; empty if nothing is.
  absl::StatusOr<std::string> RecordFault(const RecordBatchView& batch, std::optional<int16_t>* control_type) {
    RecordCursor cursor(batch, &scratch_);
    int64_t previous_offset = batch.base_offset() - 1;
    for (RecordView record; cursor.Next(&record);) {
      if (record.offset() <= previous_offset || record.offset() > batch.last_offset()) {
        return fmt::format("batch with base offset {}: a record offset above {} and up to {} expected, found {}",
                           batch.base_offset(), previous_offset, batch.last_offset(), record.offset());
      }
      previous_offset = record.offset();
      if (!batch.is_control()) continue;
      const absl::StatusOr<ControlRecord> control = ParseControlRecord(record);
      if (!control.ok()) return std::string(control.status().message());
      *control_type = control->type;
    }
    if (absl::IsDataLoss(cursor.status())) return std::string(cursor.status().message());
    VARVE_RETURN_IF_ERROR(cursor.status());
    return std::string();
  }

  const int64_t segment_;
  IndexJudge* const judge_;
  std::span<const DamagedRange> damage_;  // not yet passed
  Progress* const progress_;
  const int64_t bytes_before_;
  DecodeBuffer scratch_;
  int64_t position_ = 0;
};

// Whether somebody writes, and up to where.
struct Writer {
  bool exists = false;                                 // the lock is held
  std::unique_ptr<LiveLine> line = nullptr;            // null where the writer keeps none
  std::optional<LiveValues> published = std::nullopt;  // absent: nobody knows where the log ends

  // True if data that was published has gone since this was read.
  [[nodiscard]] bool HasChanged() const { return published.has_value() && line->generation() != published->generation; }
};

absl::StatusOr<Writer> FindWriter(FileSystem* file_system, const std::string& directory,
                                  const std::optional<PartitionStateValues>& state) {
  Writer writer;
  VARVE_ASSIGN_OR_RETURN(writer.exists, PartitionIsLocked(file_system, directory));
  if (!writer.exists || !state.has_value()) return writer;
  VARVE_ASSIGN_OR_RETURN(writer.line, LiveLine::Find(file_system, directory, state->lineage));
  if (writer.line != nullptr) writer.published = writer.line->Load();
  if (writer.published.has_value() && !writer.published->served) writer.published.reset();
  return writer;
}

// One look at a partition.
class Verifier {
 public:
  Verifier(FileSystem* file_system, const std::string& directory, const OpenMarks& marks,
           const ProgressCallback& progress)
      : file_system_(file_system), directory_(directory), open_marks_(marks), callback_(progress) {}

  absl::StatusOr<VerifyReport> Run() {
    // In this order: what the writer has published when it is asked is in the files that are listed afterwards.
    std::string state_fault;
    VARVE_ASSIGN_OR_RETURN(const std::optional<PartitionStateValues> state,
                           PartitionState::Peek(file_system_, directory_, &state_fault));
    if (!state_fault.empty()) report_.notes.push_back(std::move(state_fault));
    VARVE_ASSIGN_OR_RETURN(writer_, FindWriter(file_system_, directory_, state));
    VARVE_ASSIGN_OR_RETURN(listing_, ListPartition(file_system_, directory_));
    VARVE_ASSIGN_OR_RETURN(listed_, FindSegments(file_system_, directory_, listing_));
    found_ = listed_;
    VARVE_ASSIGN_OR_RETURN(marks_, BelieveMarks(file_system_, directory_, found_, state, open_marks_));
    NoteMarks(state);
    LeaveOut();
    int64_t total_bytes = 0;
    for (const FoundSegment& segment : found_) total_bytes += segment.size_bytes;
    Progress progress(callback_, total_bytes);
    for (size_t i = 0; i < found_.size(); ++i) VARVE_RETURN_IF_ERROR(CheckSegment(i, &progress));
    report_.ok = report_.damage.empty() && report_.index_faults.empty() && report_.torn_tail_bytes == 0;
    return std::move(report_);
  }

  // True if a writer has taken data away meanwhile, so that neither the report nor an error says anything. A writer that
  // keeps no line, a broker for one, does not tell of it: the segments do.
  [[nodiscard]] bool IsOverrun() const {
    if (writer_.HasChanged()) return true;
    const std::vector<int64_t> base_offsets = listing_.BaseOffsets();
    for (size_t i = 0; i < base_offsets.size(); ++i) {
      const std::string name = SegmentFileName(base_offsets[i], SegmentFileKind::kLog);
      const absl::StatusOr<FileInfo> info = file_system_->Info(JoinPath(directory_, name));
      if (absl::IsNotFound(info.status())) return true;
      // One that cannot be asked for says nothing about what was read.
      if (info.ok() && i < listed_.size() && info->identity != listed_[i].identity) return true;
    }
    return false;
  }

 private:
  void NoteMarks(const std::optional<PartitionStateValues>& state) {
    for (const LeftoverFile& leftover : listing_.leftovers) {
      report_.notes.push_back(
          fmt::format("{}: left by an interrupted operation; opening deals with it", leftover.name));
    }
    if (writer_.exists) return;
    for (const RecoveryFinding& finding : marks_.findings) {
      report_.notes.push_back(
          fmt::format("{}: does not match the files, and is ignored: {}", finding.file, finding.evidence));
    }
    if (state.has_value() && state->pending != PendingOperation::kNone) {
      report_.notes.push_back(fmt::format("{}: an interrupted change at offset {}; opening completes it",
                                          PartitionState::kFileName, state->pending_offset));
    }
  }

  // Leaves out what a prefix deletion has not removed yet, and what a writer has not published.
  void LeaveOut() {
    for (const int64_t base_offset : SetDeletedAside(marks_, &found_)) {
      report_.notes.push_back(fmt::format("{}: wholly below the log start {}; opening removes it",
                                          SegmentFileName(base_offset, SegmentFileKind::kLog),
                                          marks_.deleted_before_offset));
    }
    if (!writer_.published.has_value()) return;
    while (!found_.empty() && found_.back().base_offset > writer_.published->active_base) found_.pop_back();
    if (found_.empty() || found_.back().base_offset != writer_.published->active_base) return;
    FoundSegment& active = found_.back();
    if (active.size_bytes <= writer_.published->end_position) return;
    report_.notes.push_back(fmt::format("{}: {} bytes behind the published end at position {} are the live writer's",
                                        SegmentFileName(active.base_offset, SegmentFileKind::kLog),
                                        active.size_bytes - writer_.published->end_position,
                                        writer_.published->end_position));
    active.size_bytes = writer_.published->end_position;
  }

  absl::Status CheckSegment(size_t index, Progress* progress) {
    const FoundSegment& segment = found_[index];
    CheckRow(segment);
    const std::string name = SegmentFileName(segment.base_offset, SegmentFileKind::kLog);
    VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> log,
                           file_system_->Open(JoinPath(directory_, name), OpenMode::kRead));
    VARVE_ASSIGN_OR_RETURN(SegmentIndexes indexes,
                           ReadSegmentIndexes(file_system_, directory_, listing_, segment, StateOf(index)));
    const SegmentRecoveryInput input = InputFor(index);
    std::vector<DamagedRange> damage;
    // Only a scan tells what is damaged, and only who knows the damage can tell where a batch behind it lies.
    for (bool again = true; again;) {
      IndexJudge judge(&indexes, damage);
      BatchChecker checker(segment.base_offset, &judge, damage, progress, bytes_before_);
      VARVE_ASSIGN_OR_RETURN(SegmentRecovery found, RecoverSegment(*log, input, checker));
      again = damage.empty() && !found.damage.empty();
      damage = found.damage;
      if (again) continue;
      judge.Finish(found.next_offset, input.next_segment_base_offset.value_or(found.next_offset),
                   &report_.index_faults);
      TakeIn(segment, name, std::move(checker), std::move(found));
    }
    std::move(indexes.notes.begin(), indexes.notes.end(), std::back_inserter(report_.notes));
    bytes_before_ += segment.size_bytes;
    progress->Report(bytes_before_);
    return absl::OkStatus();
  }

  // varve makes each of its segments where the one before ends. Below the durable point compaction leaves gaps, and
  // Kafka's own logs have them too.
  void CheckRow(const FoundSegment& segment) {
    const bool is_gap = expected_offset_.has_value() && segment.base_offset > *expected_offset_;
    const std::optional<int64_t>& unbroken_from_offset = marks_.unbroken_from_offset;
    if (!is_gap || !unbroken_from_offset.has_value() || writer_.exists || *expected_offset_ < *unbroken_from_offset) {
      return;
    }
    report_.damage.push_back(
        {.segment = segment.base_offset,
         .position = 0,
         .bytes = 0,
         .first_offset = *expected_offset_,
         .last_offset = segment.base_offset - 1,
         .reason = fmt::format("a segment at offset {} expected, found {}", *expected_offset_, segment.base_offset)});
  }

  IndexState StateOf(size_t index) const {
    if (index + 1 < found_.size()) return IndexState::kFinished;
    if (writer_.exists) return IndexState::kBeingWritten;
    return marks_.clean ? IndexState::kFinished : IndexState::kLeft;
  }

  // As a partition whose page cache survived: everything invalid is damage, but for what was being appended at the very
  // end when the writer stopped.
  SegmentRecoveryInput InputFor(size_t index) const {
    SegmentRecoveryInput input{.base_offset = found_[index].base_offset,
                               .size_bytes = found_[index].size_bytes,
                               .previous_epoch = previous_epoch_,
                               .index_entries = RisingIndexEntries(file_system_, directory_, found_[index]),
                               .cache_survived = true};
    const std::optional<DurablePoint>& point = marks_.durable_point;
    const bool is_last = index + 1 == found_.size();
    if (!is_last) input.next_segment_base_offset = found_[index + 1].base_offset;
    if (point.has_value() && point->segment == input.base_offset && point->position <= input.size_bytes) {
      input.durable_position = point->position;
      input.durable_offset = point->offset;
      input.durable_point_is_boundary = true;
    } else if (is_last && (!point.has_value() || point->segment == input.base_offset)) {
      input.durable_offset = marks_.durable_offset;
    }
    return input;
  }

  void TakeIn(const FoundSegment& segment, const std::string& name, BatchChecker checker, SegmentRecovery found) {
    report_.batches += checker.batches;
    report_.records += checker.records;
    report_.bytes += checker.good_bytes;
    std::vector<DamagedRange> damage = std::move(found.damage);
    std::move(checker.malformed.begin(), checker.malformed.end(), std::back_inserter(damage));
    for (const MendedHeader& mended : found.mended) {
      damage.push_back({.segment = segment.base_offset,
                        .position = mended.position,
                        .bytes = static_cast<int64_t>(mended.bytes.size()),
                        .first_offset = mended.base_offset,
                        .last_offset = mended.last_offset,
                        .reason = mended.evidence});
    }
    std::stable_sort(damage.begin(), damage.end(), [](const DamagedRange& left, const DamagedRange& right) {
      return left.position < right.position;
    });
    std::move(damage.begin(), damage.end(), std::back_inserter(report_.damage));
    if (found.log_end != LogEnd::kNowhere) TakeInTail(name, segment.size_bytes - found.end_position, found);
    expected_offset_ = found.next_offset;
    previous_epoch_ = found.last_epoch;
  }

  void TakeInTail(const std::string& name, int64_t tail_bytes, const SegmentRecovery& found) {
    if (found.end_is_zeros) {
      report_.notes.push_back(fmt::format("{}: {} zero bytes from position {} on, allocated ahead and never published",
                                          name, tail_bytes, found.end_position));
      return;
    }
    // Without a live line nobody knows where the writer's published end is.
    report_.notes.push_back(fmt::format("{}: {} bytes from position {} on are no whole batch ({}){}", name, tail_bytes,
                                        found.end_position, found.end_reason,
                                        writer_.exists ? "; the live writer's" : ""));
    if (!writer_.exists) report_.torn_tail_bytes += tail_bytes;
  }

  FileSystem* const file_system_;
  const std::string& directory_;
  const OpenMarks& open_marks_;
  const ProgressCallback& callback_;
  PartitionListing listing_;
  Writer writer_;
  std::vector<FoundSegment> listed_;
  std::vector<FoundSegment> found_;  // of the listed, those that are checked
  BelievedMarks marks_;
  std::optional<int64_t> expected_offset_;
  int32_t previous_epoch_ = kUnknownEpoch;
  int64_t bytes_before_ = 0;
  VerifyReport report_;
};

}  // namespace
}  // namespace internal

absl::StatusOr<VerifyReport> Verify(FileSystem* file_system, const std::string& directory, const OpenMarks& marks,
                                    const ProgressCallback& progress) {
  // A writer that truncates, deletes or compacts takes files away under the reading; then it is done again.
  constexpr int kAttempts = 4;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    internal::Verifier verifier(file_system, directory, marks, progress);
    absl::StatusOr<VerifyReport> report = verifier.Run();
    if (!verifier.IsOverrun()) return report;
  }
  return internal::Error(absl::StatusCode::kAborted, "{}: the writer has taken data away during each of {} readings",
                         directory, kAttempts);
}

}  // namespace varve
