#include "log/load_plan.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "base/path.h"
#include "base/status.h"
#include "fmt/format.h"
#include "log/damage_notes.h"
#include "log/live_line.h"
#include "log/tail_check.h"
#include "segment/segment_files.h"
#include "varve/record_batch.h"

namespace varve::internal {
namespace {

// Hands a segment's batches to what is kept beside the segments.
class StateVisitor : public BatchVisitor {
 public:
  StateVisitor(ProducerRebuild* producers, std::vector<LeaderEpoch>* epochs, std::vector<AbortedTransaction>* aborted)
      : producers_(producers), epochs_(epochs), aborted_(aborted) {}

  absl::Status Visit(const BatchHeader& header, std::span<const std::byte> bytes) override {
    if (header.leader_epoch >= 0 && (epochs_->empty() || header.leader_epoch > epochs_->back().epoch)) {
      epochs_->push_back({.epoch = header.leader_epoch, .start_offset = header.base_offset});
    }
    if (header.producer_id < 0) return absl::OkStatus();
    std::optional<CompletedTransaction> completed;
    producers_->Add(RecordBatchView(bytes), &completed);
    if (completed.has_value() && completed->aborted) {
      aborted_->push_back({.producer_id = completed->producer_id,
                           .first_offset = completed->first_offset,
                           .last_offset = completed->last_offset,
                           .last_stable_offset = completed->last_stable_offset});
    }
    return absl::OkStatus();
  }

 private:
  ProducerRebuild* const producers_;
  std::vector<LeaderEpoch>* const epochs_;
  std::vector<AbortedTransaction>* const aborted_;
};

// Up to where everything must be there: the durable point, or the published end of a process that died while the page
// cache survived.
struct RequiredEnd {
  int64_t offset = 0;
  std::optional<int64_t> segment = std::nullopt;  // absent: only the offset is known
  int64_t position = 0;
  bool is_hint = false;  // of a live line
};

constexpr int64_t kUnknown = -1;

class Planner {
 public:
  Planner(FileSystem* file_system, const std::string& directory, const LogOptions& options, PartitionListing listing,
          bool state_is_lost)
      : file_system_(file_system),
        directory_(directory),
        options_(options),
        listing_(std::move(listing)),
        state_is_lost_(state_is_lost),
        read_all_(options.recover_all) {}

  absl::StatusOr<LoadPlan> Run(const std::optional<PartitionStateValues>& state) {
    VARVE_ASSIGN_OR_RETURN(found_, FindSegments(file_system_, directory_, listing_));
    VARVE_ASSIGN_OR_RETURN(plan_.marks, BelieveMarks(file_system_, directory_, found_, state, options_.marks));
    plan_.state = state;
    plan_.state_is_lost = state_is_lost_;
    plan_.findings = plan_.marks.findings;
    plan_.index_interval_bytes = IndexIntervalBytes(options_, state);
    plan_.deleted = SetDeletedAside(plan_.marks, &found_);
    VARVE_RETURN_IF_ERROR(ReadNotes());
    plan_.producers = NewProducers(found_);
    if (found_.empty()) {
      plan_.clean = plan_.marks.clean || !state.has_value();
      plan_.log_start_offset = plan_.log_end_offset = plan_.marks.log_start_offset;
      VARVE_RETURN_IF_ERROR(plan_.producers->Finish(plan_.log_start_offset, plan_.log_end_offset, /*clean=*/true, {}));
      return std::move(plan_);
    }
    if (plan_.marks.clean && !read_all_) VARVE_RETURN_IF_ERROR(TryClean());
    if (!plan_.clean) VARVE_RETURN_IF_ERROR(PlanRecovery(state));
    VARVE_RETURN_IF_ERROR(FinishPlan());
    return std::move(plan_);
  }

 private:
  // Whoever cannot tell what was damaged has to look.
  absl::Status ReadNotes() {
    absl::StatusOr<DamageNotes> notes = DamageNotes::Read(file_system_, directory_);
    if (notes.ok()) {
      notes_ = *std::move(notes);
      return absl::OkStatus();
    }
    if (!IsFaultOfFile(notes.status())) return notes.status();
    read_all_ = true;
    plan_.findings.push_back({.action = RecoveryAction::kIgnored,
                              .rule = "5",
                              .file = DamageNotes::kFileName,
                              .evidence = std::string(notes.status().message()) + "; every segment is read instead"});
    return absl::OkStatus();
  }

  std::unique_ptr<ProducerRebuild> NewProducers(const std::vector<FoundSegment>& segments) const {
    return std::make_unique<ProducerRebuild>(file_system_, directory_, options_.producer_id_expiration_ms,
                                             options_.clock->WallMs(), segments, listing_.snapshots);
  }

  // Why a segment that the marks vouch for is read all the same; empty if it is not. Then its noted damage is known.
  // `index_fault`: what is wrong with its index files.
  absl::StatusOr<std::string> ReasonToRead(size_t index, std::string index_fault) const {
    const FoundSegment& segment = found_[index];
    if (!index_fault.empty() || !notes_.Names(segment.base_offset)) return index_fault;
    if (options_.on_damage != OnDamage::kKeep) return std::string("what is damaged is to be taken out");
    VARVE_ASSIGN_OR_RETURN(const bool hold, notes_.Hold(file_system_, directory_, segment, index + 1 == found_.size()));
    return hold ? std::string() : std::string("what was damaged has changed");
  }

  PlannedSegment Unread(size_t index) const {
    return {.found = found_[index], .known_damage = notes_.Of(found_[index].base_offset)};
  }

  // --- After a clean stop ---

  absl::Status TryClean() {
    VARVE_ASSIGN_OR_RETURN(const SegmentTail tail, CheckTail(file_system_, directory_, listing_, found_.back()));
    plan_.bytes_scanned += tail.bytes_scanned;
    if (!tail.log_is_whole) {
      NoteUnclean(SegmentFileName(found_.back().base_offset, SegmentFileKind::kLog), tail.fault);
      return absl::OkStatus();
    }
    const std::optional<DurablePoint>& point = plan_.marks.durable_point;
    if (point.has_value() && !options_.marks.clean.has_value() && point->offset != tail.next_offset) {
      NoteUnclean(PartitionState::kFileName,
                  fmt::format("closed at offset {}, the log ends at {}", point->offset, tail.next_offset));
      return absl::OkStatus();
    }
    plan_.clean = true;
    plan_.log_end_offset = tail.next_offset;
    plan_.last_batch = {.position = tail.last_batch_position, .crc = tail.last_batch_crc};
    for (size_t i = 0; i < found_.size(); ++i) {
      std::string fault = tail.fault;
      if (i + 1 < found_.size()) {
        VARVE_ASSIGN_OR_RETURN(fault, IndexFault(file_system_, directory_, listing_, found_[i]));
      }
      VARVE_ASSIGN_OR_RETURN(const std::string reason, ReasonToRead(i, std::move(fault)));
      plan_.segments.push_back(Unread(i));
      if (reason.empty()) continue;
      VARVE_RETURN_IF_ERROR(RecoverWhole(&plan_.segments.back()));
      if (plan_.segments.back().recovery->log_end != LogEnd::kNowhere) return TakeBackClean();
    }
    return absl::OkStatus();
  }

  // The log ends within what the clean mark vouches for (damage, and OnDamage::kTruncate): that is for recovery to
  // plan.
  absl::Status TakeBackClean() {
    plan_.clean = false;
    plan_.bytes_scanned = 0;
    plan_.segments.clear();
    plan_.epochs.clear();
    plan_.producers = NewProducers(found_);
    return absl::OkStatus();
  }

  void NoteUnclean(const std::string& file, const std::string& evidence) {
    plan_.findings.push_back({.action = RecoveryAction::kIgnored,
                              .rule = "9",
                              .file = file,
                              .evidence = "the clean mark does not match: " + evidence});
  }

  // --- Recovery ---

  absl::Status PlanRecovery(const std::optional<PartitionStateValues>& state) {
    VARVE_ASSIGN_OR_RETURN(const RequiredEnd required, RequiredEndOf(state));
    const size_t first = read_all_ ? 0 : FirstToRecover();
    int64_t expected_offset = kUnknown;  // behind the segment before
    for (size_t i = 0; i < found_.size(); ++i) {
      if (i < first) {
        VARVE_ASSIGN_OR_RETURN(std::string fault, IndexFault(file_system_, directory_, listing_, found_[i]));
        VARVE_ASSIGN_OR_RETURN(const std::string reason, ReasonToRead(i, std::move(fault)));
        if (reason.empty()) {
          plan_.segments.push_back(Unread(i));
          expected_offset = kUnknown;
          continue;
        }
      }
      if (BreaksRow(found_[i], expected_offset)) return EndBefore(i, expected_offset);
      plan_.segments.push_back({.found = found_[i]});
      VARVE_RETURN_IF_ERROR(Recover(i, required, &plan_.segments.back()));
      const SegmentRecovery& recovery = *plan_.segments.back().recovery;
      expected_offset = recovery.next_offset;
      if (recovery.log_end != LogEnd::kNowhere) {
        plan_.beyond.assign(found_.begin() + static_cast<std::ptrdiff_t>(i) + 1, found_.end());
        return absl::OkStatus();
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<RequiredEnd> RequiredEndOf(const std::optional<PartitionStateValues>& state) const {
    RequiredEnd required{.offset = plan_.marks.durable_offset};
    if (plan_.marks.durable_point.has_value()) {
      required.segment = plan_.marks.durable_point->segment;
      required.position = plan_.marks.durable_point->position;
    }
    if (!state.has_value() || !plan_.marks.cache_survived) return required;
    VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<LiveLine> line,
                           LiveLine::Find(file_system_, directory_, state->lineage));
    const std::optional<LiveValues> live = line != nullptr ? line->Load() : std::nullopt;
    // A line that is behind the durable point, or in a segment that is not there, says nothing.
    const bool counts =
        live.has_value() && live->end_offset >= required.offset && listing_.segments.contains(live->active_base);
    if (counts)
      required = {
          .offset = live->end_offset, .segment = live->active_base, .position = live->end_position, .is_hint = true};
    return required;
  }

  // The segment that holds the durable point.
  size_t FirstToRecover() const {
    const int64_t offset =
        plan_.marks.durable_point.has_value() ? plan_.marks.durable_point->segment : plan_.marks.durable_offset;
    const auto above =
        std::upper_bound(found_.begin(), found_.end(), offset,
                         [](int64_t value, const FoundSegment& found) { return value < found.base_offset; });
    return above == found_.begin() ? 0 : static_cast<size_t>(above - found_.begin()) - 1;
  }

  // After a restart a segment whose name or bytes never reached the disk leaves a hole between its neighbours. A
  // follower's gap looks the same, and so does one of compaction, but varve moves the durable point behind both before
  // it makes them; and none that is too wide for a segment is a lost tail.
  bool BreaksRow(const FoundSegment& segment, int64_t expected_offset) const {
    const std::optional<int64_t>& unbroken_from_offset = plan_.marks.unbroken_from_offset;
    if (plan_.marks.cache_survived || !unbroken_from_offset.has_value()) return false;
    return expected_offset >= *unbroken_from_offset && segment.base_offset != expected_offset &&
           segment.base_offset - expected_offset <= std::numeric_limits<int32_t>::max();
  }

  absl::Status EndBefore(size_t index, int64_t expected_offset) {
    plan_.beyond.assign(found_.begin() + static_cast<std::ptrdiff_t>(index), found_.end());
    plan_.end_reason =
        fmt::format("a segment at offset {} expected, found {}", expected_offset, found_[index].base_offset);
    return absl::OkStatus();
  }

  absl::Status Recover(size_t index, const RequiredEnd& required, PlannedSegment* planned) {
    const FoundSegment& segment = found_[index];
    SegmentRecoveryInput input = InputFor(index);
    input.cache_survived = plan_.marks.cache_survived;
    input.durable_point_is_lost = state_is_lost_;
    const bool ends_below = index + 1 < found_.size() && found_[index + 1].base_offset <= required.offset;
    if (required.segment.has_value() ? segment.base_offset < *required.segment : ends_below) {
      input.durable_position = segment.size_bytes;
    } else if (required.segment == segment.base_offset) {
      input.durable_position = required.position;
      input.durable_offset = required.offset;
      input.durable_point_is_boundary = true;
      input.durable_point_is_hint = required.is_hint;
    } else if (!required.segment.has_value()) {
      input.durable_offset = required.offset;
    }
    return RunRecovery(input, planned);
  }

  // Everything in the segment must be there.
  absl::Status RecoverWhole(PlannedSegment* planned) {
    planned->known_damage.clear();
    SegmentRecoveryInput input = InputFor(static_cast<size_t>(planned - plan_.segments.data()));
    input.durable_position = planned->found.size_bytes;
    return RunRecovery(input, planned);
  }

  SegmentRecoveryInput InputFor(size_t index) const {
    SegmentRecoveryInput input{.base_offset = found_[index].base_offset,
                               .size_bytes = found_[index].size_bytes,
                               .previous_epoch = plan_.epochs.empty() ? kUnknownEpoch : plan_.epochs.back().epoch,
                               .index_entries = RisingIndexEntries(file_system_, directory_, found_[index])};
    if (index + 1 < found_.size()) input.next_segment_base_offset = found_[index + 1].base_offset;
    input.ends_at_damage = options_.on_damage == OnDamage::kTruncate;
    input.excises_damage = options_.on_damage == OnDamage::kQuarantine;
    input.index_interval_bytes = plan_.index_interval_bytes;
    input.segment_index_bytes = options_.segment_index_bytes;
    return input;
  }

  absl::Status RunRecovery(const SegmentRecoveryInput& input, PlannedSegment* planned) {
    const std::string name = SegmentFileName(input.base_offset, SegmentFileKind::kLog);
    VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> log,
                           file_system_->Open(JoinPath(directory_, name), OpenMode::kRead));
    VARVE_RETURN_IF_ERROR(plan_.producers->BeginSegment(plan_.marks.log_start_offset, input.base_offset));
    StateVisitor visitor(plan_.producers.get(), &plan_.epochs, &planned->aborted);
    VARVE_ASSIGN_OR_RETURN(planned->recovery, RecoverSegment(*log, input, visitor));
    plan_.producers->EndSegment(planned->recovery->next_offset);
    plan_.bytes_scanned += planned->recovery->bytes_scanned;
    if (options_.recovery_progress) options_.recovery_progress(plan_.bytes_scanned, TotalBytes());
    return absl::OkStatus();
  }

  int64_t TotalBytes() const {
    int64_t total = 0;
    for (const FoundSegment& segment : found_) total += segment.size_bytes;
    return total;
  }

  // --- The end ---

  // Where the judged segments end: TryClean has noted it of one that was not read.
  int64_t JudgedEnd() const {
    const PlannedSegment& last = plan_.segments.back();
    return last.recovery.has_value() ? last.recovery->next_offset : plan_.log_end_offset;
  }

  absl::Status FinishPlan() {
    plan_.log_end_offset = JudgedEnd();
    const PlannedSegment& last = plan_.segments.back();
    if (last.recovery.has_value()) {
      plan_.last_batch = {.position = last.recovery->last_batch_position, .crc = last.recovery->last_batch_crc};
    }
    JudgeDoubtfulLogStart();
    if (plan_.marks.log_start_offset > plan_.log_end_offset) return StartAnew();
    plan_.log_start_offset = std::max(plan_.marks.log_start_offset, plan_.segments.front().found.base_offset);
    std::vector<int64_t> base_offsets;
    for (const PlannedSegment& segment : plan_.segments) base_offsets.push_back(segment.found.base_offset);
    return plan_.producers->Finish(plan_.log_start_offset, plan_.log_end_offset, plan_.clean, base_offsets);
  }

  // What was deleted stays deleted, though somebody else has changed the log since; never is anything removed for it.
  void JudgeDoubtfulLogStart() {
    const int64_t doubtful = plan_.marks.doubtful_log_start_offset.value_or(0);
    if (doubtful <= plan_.marks.log_start_offset) return;
    if (doubtful <= plan_.log_end_offset) {
      plan_.marks.log_start_offset = doubtful;
      return;
    }
    plan_.findings.push_back(
        {.action = RecoveryAction::kIgnored,
         .rule = "2",
         .file = PartitionState::kFileName,
         .evidence = fmt::format("log start {} is beyond the log end {}", doubtful, plan_.log_end_offset)});
  }

  // As Kafka does where it was the last to write and the log ends below its start, as a follower's may that truncated
  // into a batch: an empty log at the start (format notes §5.2.6). What was appended below it nobody could read, and the
  // next opening would drop.
  absl::Status StartAnew() {
    plan_.end_reason =
        fmt::format("log start {} is beyond the log end {}", plan_.marks.log_start_offset, plan_.log_end_offset);
    plan_.starts_anew = true;
    plan_.beyond = found_;
    plan_.segments.clear();
    plan_.epochs.clear();
    plan_.last_batch = {};
    plan_.log_start_offset = plan_.log_end_offset = plan_.marks.log_start_offset;
    plan_.producers = NewProducers({});
    return plan_.producers->Finish(plan_.log_start_offset, plan_.log_end_offset, /*clean=*/true, {});
  }

  FileSystem* const file_system_;
  const std::string& directory_;
  const LogOptions& options_;
  const PartitionListing listing_;
  const bool state_is_lost_;
  bool read_all_;  // every segment is recovered, whatever the marks say
  std::vector<FoundSegment> found_;
  DamageNotes notes_;
  LoadPlan plan_;
};

}  // namespace

absl::StatusOr<LoadPlan> MakeLoadPlan(FileSystem* file_system, const std::string& directory, const LogOptions& options,
                                      PartitionListing listing, const std::optional<PartitionStateValues>& state,
                                      bool state_is_lost) {
  return Planner(file_system, directory, options, std::move(listing), state_is_lost).Run(state);
}

}  // namespace varve::internal
