#include "log/plan_execution.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/path.h"
#include "base/status.h"
#include "fmt/format.h"
#include "log/cut_segment.h"
#include "log/damage_notes.h"
#include "log/epoch_rebuild.h"
#include "log/live_line.h"
#include "log/saved_aside.h"
#include "log/segment_rewrite.h"
#include "log/unsynced_ranges.h"
#include "segment/segment_files.h"

namespace varve::internal {
namespace {

constexpr char kCutRule[] = "4c";
constexpr char kDamageRule[] = "5";
constexpr char kAnewRule[] = "format notes 5.2.6";

std::string LogName(int64_t base_offset) { return SegmentFileName(base_offset, SegmentFileKind::kLog); }

// True if what is damaged reaches to the end of the file, so that nothing may be appended behind it.
bool EndsDamaged(const SegmentRecovery& recovery) {
  if (recovery.damage.empty()) return false;
  const DamagedRange& last = recovery.damage.back();
  return last.bytes == 0 || last.position + last.bytes >= recovery.end_position;
}

class Execution {
 public:
  Execution(FileSystem* file_system, const std::string& directory, const LogOptions& options, LoadPlan plan,
            RecoveryReport report)
      : file_system_(file_system), directory_(directory), options_(options), plan_(std::move(plan)) {
    loaded_.report = std::move(report);
    auto& findings = loaded_.report.findings;
    findings.insert(findings.end(), plan_.findings.begin(), plan_.findings.end());
  }

  absl::StatusOr<LoadedLog> Run() {
    VARVE_RETURN_IF_ERROR(OpenState());
    VARVE_RETURN_IF_ERROR(SaveWhatGoes());
    if (!EndsAtDamage()) VARVE_RETURN_IF_ERROR(CutLog());
    VARVE_RETURN_IF_ERROR(SyncUnsynced());
    VARVE_RETURN_IF_ERROR(MakeActive());
    if (!EndsAtDamage()) VARVE_RETURN_IF_ERROR(NoteDamage(DamageAsFound()));
    for (const PlannedSegment& segment : plan_.segments) {
      if (&segment == &plan_.segments.back()) VARVE_RETURN_IF_ERROR(AnnounceLast());
      VARVE_RETURN_IF_ERROR(PutRight(segment));
    }
    // Until it is gone what was noted stays: it may be all that tells the next opening where to look.
    if (options_.on_damage == OnDamage::kQuarantine || EndsAtDamage()) VARVE_RETURN_IF_ERROR(NoteDamage({}));
    VARVE_RETURN_IF_ERROR(LoadEpochs());
    VARVE_RETURN_IF_ERROR(plan_.producers->Write(&loaded_.report.findings));
    loaded_.producers = plan_.producers->Take();
    FillResult();
    VARVE_RETURN_IF_ERROR(StoreState());
    VARVE_RETURN_IF_ERROR(RemoveDeleted());
    return std::move(loaded_);
  }

 private:
  std::string PathOf(int64_t base_offset, SegmentFileKind kind) const {
    return JoinPath(directory_, SegmentFileName(base_offset, kind));
  }

  void Note(RecoveryFinding finding) { loaded_.report.findings.push_back(std::move(finding)); }

  // From here on the directory is not clean, whatever happens. The last file is the one that shows whether the page
  // cache survived, as it is the last that is put right: the one before it may still be named if the process died while
  // it rolled.
  absl::Status OpenState() {
    VARVE_ASSIGN_OR_RETURN(loaded_.state, PartitionState::Open(file_system_, directory_, plan_.state));
    // That varve has closed the log may be what tells that it is to begin anew: the announcement takes it back.
    if (!loaded_.state->stored() || plan_.starts_anew) return absl::OkStatus();
    PartitionStateValues values = loaded_.state->values();
    values.clean = false;
    // Lowered before anything can be appended where the log ended, and void before the state counts again.
    values.first_dirty_offset = std::min(plan_.marks.first_dirty_offset, plan_.log_end_offset);
    if (plan_.marks.cache_survived) {
      const FoundSegment& newest = plan_.beyond.empty() ? plan_.segments.back().found : plan_.beyond.back();
      VARVE_ASSIGN_OR_RETURN(const FileInfo info,
                             file_system_->Info(PathOf(newest.base_offset, SegmentFileKind::kLog)));
      values.active = info.identity;
    }
    if (values == loaded_.state->values()) return absl::OkStatus();
    loaded_.state->Store(values);
    return loaded_.state->Sync();
  }

  // --- The end of the log ---

  // Damage, and OnDamage::kTruncate: good batches may lie behind it.
  bool EndsAtDamage() const {
    return !plan_.segments.empty() && plan_.segments.back().recovery.has_value() &&
           plan_.segments.back().recovery->log_end == LogEnd::kAtDamage;
  }

  // What is worth it is copied aside before anything goes.
  absl::Status SaveWhatGoes() {
    if (!plan_.segments.empty() && plan_.segments.back().recovery.has_value()) {
      VARVE_RETURN_IF_ERROR(SaveTail(plan_.segments.back()));
    }
    for (const FoundSegment& segment : plan_.beyond) VARVE_RETURN_IF_ERROR(SaveSegment(segment));
    return absl::OkStatus();
  }

  // Later segments first, and when that is stable the last one is cut: a crash never leaves later batches behind an end
  // that looks good. Where it ends at damage this is left to AnnounceLast and PutRight.
  absl::Status CutLog() {
    if (plan_.starts_anew) {
      VARVE_RETURN_IF_ERROR(AnnounceStart());
      VARVE_RETURN_IF_ERROR(RemoveDeleted());
    }
    VARVE_RETURN_IF_ERROR(RemoveBeyond());
    if (plan_.segments.empty() || !plan_.segments.back().recovery.has_value()) return absl::OkStatus();
    return CutTail(plan_.segments.back());
  }

  absl::Status AnnounceStart() {
    PartitionStateValues values = loaded_.state->values();
    values.clean = false;
    values.first_dirty_offset = std::min(plan_.marks.first_dirty_offset, plan_.log_end_offset);
    values.pending = PendingOperation::kStartAt;
    values.pending_offset = plan_.log_start_offset;
    values.pending_end = {.segment = plan_.beyond.back().base_offset, .position = plan_.beyond.back().size_bytes};
    loaded_.state->Store(values);
    return loaded_.state->Sync();
  }

  // The newest first.
  absl::Status RemoveBeyond() {
    for (size_t i = plan_.beyond.size(); i-- > 0;) {
      VARVE_RETURN_IF_ERROR(RemoveSegmentFiles(file_system_, directory_, plan_.beyond[i].base_offset));
      loaded_.report.bytes_cut += plan_.beyond[i].size_bytes;
    }
    return plan_.beyond.empty() ? absl::OkStatus() : file_system_->SyncDirectory(directory_);
  }

  absl::Status SaveTail(const PlannedSegment& segment) {
    const SegmentRecovery& recovery = *segment.recovery;
    if (recovery.log_end != LogEnd::kAtInvalid && recovery.log_end != LogEnd::kAtDamage) return absl::OkStatus();
    // What is damaged is worth it too, whatever it is.
    const bool damaged = recovery.log_end == LogEnd::kAtDamage;
    return Save(segment.found, recovery.end_position, recovery.next_offset, damaged, damaged ? kDamageRule : kCutRule,
                recovery.end_reason);
  }

  absl::Status SaveSegment(const FoundSegment& segment) {
    // Where all is left behind, so is what was kept because it is damaged.
    if (plan_.starts_anew) {
      return Save(segment, 0, segment.base_offset, /*even_without_batches=*/true, kAnewRule, plan_.end_reason);
    }
    const std::string& reason =
        plan_.end_reason.empty() ? plan_.segments.back().recovery->end_reason : plan_.end_reason;
    return Save(segment, 0, segment.base_offset, /*even_without_batches=*/false, kCutRule,
                "the log ends before: " + reason);
  }

  // Copies what is behind `position` aside: up to the last good batch, nothing if there is none; all of it
  // `even_without_batches`.
  absl::Status Save(const FoundSegment& segment, int64_t position, int64_t first_offset, bool even_without_batches,
                    const std::string& rule, const std::string& reason) {
    const std::string name = LogName(segment.base_offset);
    VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> log,
                           file_system_->Open(JoinPath(directory_, name), OpenMode::kRead));
    VARVE_ASSIGN_OR_RETURN(const BatchesBehind behind, CountBatchesBehind(*log, position, segment.size_bytes));
    const int64_t end_position = even_without_batches ? segment.size_bytes : behind.end_position;
    if (end_position == position) return absl::OkStatus();
    VARVE_ASSIGN_OR_RETURN(const std::string aside,
                           SaveAside(file_system_, directory_, name, position, end_position - position, first_offset,
                                     IsStable(segment) ? SavedBytes::kStable : SavedBytes::kPerhapsCached));
    loaded_.report.bytes_saved_aside += end_position - position;
    loaded_.report.batches_saved_aside += behind.batches;
    Note({.action = RecoveryAction::kSavedAside,
          .rule = rule,
          .file = name,
          .position = position,
          .bytes = end_position - position,
          .first_offset = first_offset,
          .last_offset = std::max(behind.last_offset, first_offset - 1),
          .evidence = fmt::format("{} batches to {}; {}, {}, durable point {}", behind.batches, aside, reason,
                                  plan_.marks.evidence, plan_.marks.durable_offset)});
    return absl::OkStatus();
  }

  // Whether all of a segment is on the disk before anything is synced here.
  bool IsStable(const FoundSegment& segment) const {
    const std::optional<DurablePoint>& point = plan_.marks.durable_point;
    return plan_.clean || (point.has_value() && segment.base_offset < point->segment);
  }

  absl::Status CutTail(const PlannedSegment& segment) {
    const SegmentRecovery& recovery = *segment.recovery;
    if (recovery.log_end == LogEnd::kNowhere) return absl::OkStatus();
    VARVE_ASSIGN_OR_RETURN(
        const std::unique_ptr<File> log,
        file_system_->Open(PathOf(segment.found.base_offset, SegmentFileKind::kLog), OpenMode::kReadWrite));
    VARVE_RETURN_IF_ERROR(log->Truncate(static_cast<uint64_t>(recovery.end_position)));
    VARVE_RETURN_IF_ERROR(log->SyncData());
    NoteCut(segment);
    return absl::OkStatus();
  }

  void NoteCut(const PlannedSegment& segment) {
    const SegmentRecovery& recovery = *segment.recovery;
    const int64_t cut_bytes = segment.found.size_bytes - recovery.end_position;
    loaded_.report.bytes_cut += cut_bytes;
    Note({.action = RecoveryAction::kCut,
          .rule = recovery.log_end == LogEnd::kAtInvalid ? kCutRule : kDamageRule,
          .file = LogName(segment.found.base_offset),
          .position = recovery.end_position,
          .bytes = cut_bytes,
          .evidence = fmt::format("{}{}; {}, durable point {}", recovery.end_is_zeros ? "preallocated zeros: " : "",
                                  recovery.end_reason, plan_.marks.evidence, plan_.marks.durable_offset)});
  }

  // --- Damage that stays ---

  std::vector<DamagedRange> DamageAsFound() const {
    std::vector<DamagedRange> all;
    for (const PlannedSegment& segment : plan_.segments) {
      const auto& damage = segment.recovery.has_value() ? segment.recovery->damage : segment.known_damage;
      all.insert(all.end(), damage.begin(), damage.end());
    }
    return all;
  }

  // Before anything is put right: once the indexes are good and the state is stored nobody looks there again.
  absl::Status NoteDamage(const std::vector<DamagedRange>& damage) {
    return DamageNotes::Write(file_system_, directory_, damage);
  }

  void TakeInKnown(const PlannedSegment& segment) {
    for (const DamagedRange& range : segment.known_damage) {
      loaded_.report.damage.push_back(range);
      NoteKept(segment, range);
    }
  }

  // --- Recovered segments ---

  // The last file that is put right is the one that varve.state names as written last, and which ends the log: with its
  // new inode, or without the segments behind it, the page cache seems not to have survived, and with its damage taken
  // out the durable point would be void. So the point moves to the end first. Everything below is synced by now, the
  // segments before are right, and what is damaged is noted: nothing else needs the old point, nor, where it was void,
  // the old log start.
  absl::Status AnnounceLast() {
    const PlannedSegment& last = plan_.segments.back();
    if (!loaded_.state->stored() || !last.recovery.has_value()) return absl::OkStatus();
    const SegmentRecovery& recovery = *last.recovery;
    if (recovery.damage.empty() && recovery.mended.empty() && !EndsAtDamage()) return absl::OkStatus();
    PartitionStateValues values = loaded_.state->values();
    values.log_start_offset = plan_.log_start_offset;
    values.durable = {.offset = plan_.log_end_offset, .segment = plan_.log_end_offset};
    if (made_active_.has_value()) {
      VARVE_RETURN_IF_ERROR(MarkUnfinished(last));
    } else {
      values.durable.segment = last.found.base_offset;
      values.durable.position = recovery.end_position;
      values.durable.batch_position = plan_.last_batch.position;
      values.durable.batch_crc = plan_.last_batch.crc;
    }
    loaded_.state->Store(values);
    return loaded_.state->Sync();
  }

  // A point in the new segment leaves the one before it to be read only for a reason: it has no offset index until it
  // is right.
  absl::Status MarkUnfinished(const PlannedSegment& segment) {
    if (segment.recovery->mended.empty() && segment.aborted.empty()) return absl::OkStatus();
    const absl::Status removed = file_system_->Remove(PathOf(segment.found.base_offset, SegmentFileKind::kOffsetIndex));
    if (absl::IsNotFound(removed)) return absl::OkStatus();
    VARVE_RETURN_IF_ERROR(removed);
    return file_system_->SyncDirectory(directory_);
  }

  absl::Status PutRight(const PlannedSegment& segment) {
    if (!segment.recovery.has_value()) {
      TakeInKnown(segment);
      return absl::OkStatus();
    }
    const SegmentRecovery& recovery = *segment.recovery;
    // Only the last one ends. Readers may have been behind the damage: they keep the old inode.
    const bool cut = recovery.log_end == LogEnd::kAtDamage;
    if (cut) VARVE_RETURN_IF_ERROR(RemoveBeyond());
    const bool excise = options_.on_damage == OnDamage::kQuarantine && !recovery.damage.empty();
    if (excise) VARVE_RETURN_IF_ERROR(SaveDamage(segment));
    if (cut || excise || !recovery.mended.empty()) VARVE_RETURN_IF_ERROR(Rewrite(segment, excise));
    if (cut) NoteCut(segment);
    for (const DamagedRange& range : recovery.damage) {
      loaded_.report.damage.push_back(range);
      if (!excise) NoteKept(segment, range);
    }
    return WriteIndexes(segment);
  }

  void NoteKept(const PlannedSegment& segment, const DamagedRange& range) {
    Note({.action = RecoveryAction::kKept,
          .rule = kDamageRule,
          .file = LogName(segment.found.base_offset),
          .position = range.position,
          .bytes = range.bytes,
          .first_offset = range.first_offset,
          .last_offset = range.last_offset,
          .evidence =
              fmt::format("{}; {}, durable point {}", range.reason, plan_.marks.evidence, plan_.marks.durable_offset)});
  }

  // What is to stay of the log, damage included, is on the disk by now.
  absl::Status SaveDamage(const PlannedSegment& segment) {
    const std::string name = LogName(segment.found.base_offset);
    for (const DamagedRange& range : segment.recovery->damage) {
      if (range.bytes == 0) continue;
      VARVE_ASSIGN_OR_RETURN(const std::string aside, SaveAside(file_system_, directory_, name, range.position,
                                                                range.bytes, range.first_offset, SavedBytes::kStable));
      loaded_.report.bytes_saved_aside += range.bytes;
      Note({.action = RecoveryAction::kSavedAside,
            .rule = kDamageRule,
            .file = name,
            .position = range.position,
            .bytes = range.bytes,
            .first_offset = range.first_offset,
            .last_offset = range.last_offset,
            .evidence = fmt::format("to {}; {}", aside, range.reason)});
    }
    return absl::OkStatus();
  }

  absl::Status Rewrite(const PlannedSegment& segment, bool excise) {
    const SegmentRecovery& recovery = *segment.recovery;
    std::vector<FileExtent> extents;
    int64_t position = 0;
    const auto keep_up_to = [&](int64_t end) {
      if (end > position) extents.push_back({.position = position, .bytes = end - position});
    };
    if (excise) {
      for (const DamagedRange& range : recovery.damage) {
        keep_up_to(range.position);
        position = range.position + range.bytes;
      }
    }
    keep_up_to(recovery.end_position);
    std::vector<FilePatch> patches;
    const std::string name = LogName(segment.found.base_offset);
    for (const MendedHeader& mended : recovery.mended) {
      patches.push_back({.position = mended.position, .bytes = {mended.bytes.begin(), mended.bytes.end()}});
      Note({.action = RecoveryAction::kMended,
            .rule = "6",
            .file = name,
            .position = mended.position,
            .bytes = static_cast<int64_t>(mended.bytes.size()),
            .first_offset = mended.base_offset,
            .last_offset = mended.last_offset,
            .evidence = mended.evidence});
    }
    return RewriteFile(file_system_, directory_, name, extents, patches);
  }

  // The offset index last: where it is missing the next opening reads the segment and makes all of them.
  absl::Status WriteIndexes(const PlannedSegment& segment) {
    const int64_t base_offset = segment.found.base_offset;
    VARVE_RETURN_IF_ERROR(WriteTransactionIndex(segment));
    VARVE_RETURN_IF_ERROR(WriteIndex(base_offset, SegmentFileKind::kTimeIndex, segment.recovery->time_index));
    return WriteIndex(base_offset, SegmentFileKind::kOffsetIndex, segment.recovery->offset_index);
  }

  // Unlike the others it is no hint: nothing shows that it is missing, or empty, or tells of transactions that are gone.
  // So it is stable before it takes its name and before the durable point is past it (format notes §3.4.6). The file
  // exists once a transaction was aborted, and not before.
  absl::Status WriteTransactionIndex(const PlannedSegment& segment) {
    const int64_t base_offset = segment.found.base_offset;
    if (segment.aborted.empty()) {
      const absl::Status removed = file_system_->Remove(PathOf(base_offset, SegmentFileKind::kTransactionIndex));
      if (absl::IsNotFound(removed)) return absl::OkStatus();
      VARVE_RETURN_IF_ERROR(removed);
      return file_system_->SyncDirectory(directory_);
    }
    return WriteIndex(base_offset, SegmentFileKind::kTransactionIndex, TransactionIndex::Encode(segment.aborted),
                      IndexSync::kStable);
  }

  absl::Status WriteIndex(int64_t base_offset, SegmentFileKind kind, std::span<const std::byte> bytes,
                          IndexSync sync = IndexSync::kNone) {
    VARVE_ASSIGN_OR_RETURN(const IndexWrite write,
                           WriteIndexFile(file_system_, PathOf(base_offset, kind), bytes, sync));
    if (!write.changed) return absl::OkStatus();
    loaded_.reindexed.push_back(base_offset);
    if (write.only_padding) return absl::OkStatus();
    Note({.action = RecoveryAction::kRebuilt,
          .rule = "8",
          .file = SegmentFileName(base_offset, kind),
          .bytes = static_cast<int64_t>(bytes.size()),
          .evidence = "differed from what the .log asks for, or was missing"});
    return absl::OkStatus();
  }

  // --- Durability ---

  // Everything above the durable point is written again and synced, segment after segment, then the names; by the first
  // sync, where it may wait.
  absl::Status SyncUnsynced() {
    if (plan_.clean) return absl::OkStatus();
    std::vector<UnsyncedRange> ranges = FindUnsynced(plan_);
    if (MayAwaitSync(plan_, ranges, options_)) {
      for (const UnsyncedRange& range : ranges) {
        NoteRewritten(range, range.end_position - range.position, ", before the first sync");
      }
      loaded_.unsynced = std::move(ranges);
      return absl::OkStatus();
    }
    for (const UnsyncedRange& range : ranges) {
      VARVE_ASSIGN_OR_RETURN(
          const int64_t bytes,
          RewriteInPlace(file_system_, PathOf(range.segment, SegmentFileKind::kLog), range.position));
      NoteRewritten(range, bytes, "");
    }
    return file_system_->SyncDirectory(directory_);
  }

  void NoteRewritten(const UnsyncedRange& range, int64_t bytes, std::string_view when) {
    if (bytes == 0) return;
    Note({.action = RecoveryAction::kRewritten,
          .rule = "Writing 3",
          .file = LogName(range.segment),
          .position = range.position,
          .bytes = bytes,
          .evidence = fmt::format("above the durable point {}{}", plan_.marks.durable_offset, when)});
  }

  // What is known to be on stable storage as the log is opened.
  DurablePoint DurableNow() const {
    if (!loaded_.unsynced.empty()) return PointBeforeSync(plan_, loaded_.unsynced);
    const LoadedSegment& active = loaded_.segments.back();
    return {.offset = plan_.log_end_offset,
            .segment = active.base_offset,
            .position = active.size_bytes,
            .batch_position = plan_.last_batch.position,
            .batch_crc = plan_.last_batch.crc};
  }

  // --- The active segment ---

  // An empty directory gets its first segment. Behind damage that stays nothing is appended: a new segment begins. So
  // it does where damage is about to be taken out of the last one: only the new one's name can say that offsets at the
  // end are a gap.
  absl::Status MakeActive() {
    if (plan_.segments.empty()) return MakeSegment(plan_.log_end_offset);
    const PlannedSegment& last = plan_.segments.back();
    if (!last.recovery.has_value()) return absl::OkStatus();
    const bool excises = options_.on_damage == OnDamage::kQuarantine && !last.recovery->damage.empty();
    if (!excises && !EndsDamaged(*last.recovery)) return absl::OkStatus();
    plan_.last_batch = {};
    return MakeSegment(plan_.log_end_offset);
  }

  // The .log last: with its name the segment is there. One that is there already is never emptied.
  absl::Status MakeSegment(int64_t base_offset) {
    for (const SegmentFileKind kind : {SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex}) {
      VARVE_RETURN_IF_ERROR(file_system_->Open(PathOf(base_offset, kind), OpenMode::kTruncate).status());
    }
    VARVE_RETURN_IF_ERROR(file_system_->Open(PathOf(base_offset, SegmentFileKind::kLog), OpenMode::kCreate).status());
    made_active_ = base_offset;
    return file_system_->SyncDirectory(directory_);
  }

  // --- What is kept beside the segments ---

  absl::Status LoadEpochs() {
    VARVE_ASSIGN_OR_RETURN(loaded_.epochs,
                           OpenEpochs(file_system_, directory_, plan_.segments, &loaded_.report.findings));
    if (plan_.starts_anew) return loaded_.epochs->Clear();
    // What the checkpoint says of offsets that are gone must not hide whose the batches are that are left, or the next
    // leader would stamp an earlier epoch.
    VARVE_RETURN_IF_ERROR(loaded_.epochs->TruncateFromEnd(plan_.log_end_offset));
    for (const LeaderEpoch& epoch : plan_.epochs) {
      const std::optional<LeaderEpoch> latest = loaded_.epochs->Latest();
      if (latest.has_value() && latest->epoch >= epoch.epoch) continue;
      VARVE_RETURN_IF_ERROR(loaded_.epochs->Assign(epoch.epoch, epoch.start_offset));
    }
    return loaded_.epochs->TruncateFromStart(std::min(plan_.marks.log_start_offset, plan_.log_end_offset));
  }

  void FillResult() {
    for (const PlannedSegment& segment : plan_.segments) {
      LoadedSegment loaded{.base_offset = segment.found.base_offset,
                           .size_bytes = segment.found.size_bytes,
                           .damage = segment.known_damage};
      if (segment.recovery.has_value()) {
        loaded.size_bytes = segment.recovery->final_size_bytes;
        if (options_.on_damage != OnDamage::kQuarantine) loaded.damage = segment.recovery->damage;
        ++loaded_.report.segments_recovered;
      }
      loaded_.segments.push_back(std::move(loaded));
    }
    if (made_active_.has_value()) {
      loaded_.segments.push_back({.base_offset = *made_active_, .size_bytes = 0, .damage = {}});
    }
    loaded_.log_start_offset = plan_.log_start_offset;
    loaded_.log_end_offset = plan_.log_end_offset;
    RecoveryReport& report = loaded_.report;
    report.clean = plan_.clean;
    report.cache_survived = plan_.marks.cache_survived;
    report.durable_offset = DurableNow().offset;
    report.log_start_offset = plan_.log_start_offset;
    report.log_end_offset = plan_.log_end_offset;
    report.segments = static_cast<int64_t>(loaded_.segments.size());
    report.bytes_scanned = plan_.bytes_scanned;
  }

  // Only now does the state speak of the files as they are.
  absl::Status StoreState() {
    // The line tells of the log before it was recovered.
    if (!plan_.clean) VARVE_RETURN_IF_ERROR(LiveLine::Forget(file_system_, directory_));
    PartitionStateValues values = loaded_.state->values();
    const LoadedSegment& active = loaded_.segments.back();
    VARVE_ASSIGN_OR_RETURN(const FileInfo info, file_system_->Info(PathOf(active.base_offset, SegmentFileKind::kLog)));
    values.clean = false;
    values.boot_id = file_system_->BootId();
    values.active = info.identity;
    values.durable = DurableNow();
    values.log_start_offset = plan_.log_start_offset;
    // One that says something else by now may say the same again, and mean it.
    if (options_.marks.log_start_offset.value_or(values.superseded_log_start) != values.superseded_log_start) {
      values.superseded_log_start = 0;
    }
    values.index_interval_bytes = plan_.index_interval_bytes;
    values.pending = PendingOperation::kNone;
    values.pending_offset = 0;
    values.pending_end = {};
    // Sectors that are stable are rewritten whole or not at all: a first store that is torn looks like a state that was
    // lost, and what is not synced yet would be taken for damage.
    if (!loaded_.unsynced.empty() && !loaded_.state->stored()) VARVE_RETURN_IF_ERROR(loaded_.state->Sync());
    loaded_.state->Store(values);
    return loaded_.state->Sync();
  }

  // What a prefix deletion began: the oldest first, so that the log start only rises. The last thing that is done, but
  // where nothing stays: a power loss must not take these files and leave the name of the segment behind them, or its
  // end, unknown to the disk and to varve.state.
  absl::Status RemoveDeleted() {
    if (plan_.deleted.empty()) return absl::OkStatus();
    for (const int64_t base_offset : std::exchange(plan_.deleted, {})) {
      VARVE_RETURN_IF_ERROR(RemoveSegmentFiles(file_system_, directory_, base_offset));
      Note({.action = RecoveryAction::kRemoved,
            .rule = "Writing 7",
            .file = LogName(base_offset),
            .evidence = fmt::format("wholly below the log start {}", plan_.marks.deleted_before_offset)});
    }
    return file_system_->SyncDirectory(directory_);
  }

  FileSystem* const file_system_;
  const std::string& directory_;
  const LogOptions& options_;
  LoadPlan plan_;
  LoadedLog loaded_;
  std::optional<int64_t> made_active_;
};

}  // namespace

absl::StatusOr<LoadedLog> ExecutePlan(FileSystem* file_system, const std::string& directory, const LogOptions& options,
                                      LoadPlan plan, RecoveryReport report) {
  return Execution(file_system, directory, options, std::move(plan), std::move(report)).Run();
}

}  // namespace varve::internal
