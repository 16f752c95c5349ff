#include "cli/compact.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "cli/json_values.h"
#include "cli/log_batches.h"
#include "cli/output.h"
#include "cli/partition_access.h"
#include "cli/progress_bar.h"
#include "cli/quantities.h"
#include "cli/terminal.h"
#include "varve/errors.h"

namespace varve::cli {
namespace {

constexpr char kCommand[] = "compact";

// How much a log holds.
struct Extent {
  int64_t bytes = 0;
  int64_t segments = 0;
};

Extent ExtentOf(const Log& log) {
  Extent extent;
  for (const LogSegmentInfo& segment : log.segments()) {
    extent.bytes += segment.size_bytes;
    if (segment.size_bytes > 0) ++extent.segments;  // the active one may have been begun for the sake of the others
  }
  return extent;
}

// What the batches of a log tell.
struct Census {
  int64_t records = 0;  // as they lie in the files: markers, and what was aborted, too
  // Tombstones and markers that may go by their delete horizon, and when the first of the others may.
  int64_t due = 0;
  std::optional<int64_t> next_horizon_ms;
};

// How many records of a batch with a delete horizon go once that has passed.
absl::StatusOr<int64_t> CountPassing(const RecordBatchView& batch, DecodeBuffer* decoded) {
  if (batch.is_control()) return batch.record_count();
  int64_t tombstones = 0;
  RecordCursor cursor(batch, decoded);
  for (RecordView record; cursor.Next(&record);) tombstones += record.is_tombstone() ? 1 : 0;
  if (!cursor.status().ok()) return cursor.status();
  return tombstones;
}

absl::StatusOr<Census> TakeCensus(const Log& log, int64_t now_ms) {
  Census census;
  DecodeBuffer decoded;
  LogBatches batches(&log, Isolation::kLogEnd, log.log_start_offset());
  while (!Interrupted()) {
    const absl::StatusOr<bool> more = batches.Next();
    if (!more.ok()) return more.status();
    if (!*more) return census;
    const RecordBatchView& batch = batches.batch();
    census.records += batch.record_count();
    const std::optional<int64_t> horizon_ms = batch.delete_horizon_ms();
    if (!horizon_ms.has_value()) continue;
    const absl::StatusOr<int64_t> passing = CountPassing(batch, &decoded);
    if (!passing.ok()) return passing.status();
    if (*horizon_ms <= now_ms) {
      census.due += *passing;
    } else if (*passing > 0) {
      census.next_horizon_ms = std::min(census.next_horizon_ms.value_or(*horizon_ms), *horizon_ms);
    }
  }
  return absl::CancelledError();
}

// What the command has found and done.
struct Compacted {
  Extent before;
  Extent after;
  LogOffsets offsets;
  std::optional<Census> census;  // of what is left; absent after an interrupt
  RemovedRecords removed;
  int64_t passes = 0;
  int64_t map_keys = 0;                  // in the pass that had most
  int64_t first_uncleanable_offset = 0;  // what lies from there on stays
  bool transaction_is_open = false;      // which is why; else it is too young
  bool interrupted = false;
  RecoveryReport report;

  bool holds_back() const { return first_uncleanable_offset < offsets.log_end_offset; }
};

class CompactRun {
 public:
  explicit CompactRun(const CompactSettings& settings)
      : settings_(settings), now_ms_(settings.now_ms.value_or(Clock::Default()->WallMs())) {}

  [[nodiscard]] absl::StatusOr<Compacted> Run() {
    if (absl::Status status = CheckPartition(FileSystem::Default(), settings_.directory); !status.ok()) return status;
    LogOptions options;
    options.create = false;
    options.cleanup_policy = CleanupPolicy::kCompact;
    options.min_cleanable_dirty_ratio = 0;  // whatever is dirty is due
    options.segment_bytes = settings_.segment_bytes;
    options.file_delete_delay_ms = 0;  // who runs this wants the room
    // Opening forgets producers that have been idle for long.
    std::optional<StoppedClock> stopped_clock;
    if (settings_.now_ms.has_value()) options.clock = &stopped_clock.emplace(*settings_.now_ms);
    const Rehearsal rehearsal = [this](Log* trial) { return Rehearse(trial); };
    absl::StatusOr<WritablePartition> partition =
        OpenForWriting(kCommand, settings_.directory, std::move(options), rehearsal);
    if (nothing_to_do_) return std::move(compacted_);
    if (!partition.ok()) return partition.status();
    CatchInterrupts();
    Log* const log = partition->log.get();
    compacted_.before = ExtentOf(*log);
    absl::Status status = CompactAll(log);
    const absl::Status closed = log->Close();
    if (status.ok()) status = closed;
    if (!status.ok()) return status;
    Describe(*log);
    return std::move(compacted_);
  }

 private:
  // Fails, to keep the partition from being opened, if there is nothing to do.
  [[nodiscard]] absl::Status Rehearse(Log* trial) {
    compacted_.before = ExtentOf(*trial);
    if (absl::Status status = trial->Roll(); !status.ok()) return status;
    CompactionOptions only_look = OptionsOfPass(/*force=*/false);
    only_look.cancel = [] { return true; };
    const absl::StatusOr<CompactionResult> seen = trial->Compact(only_look);
    if (!seen.ok()) return seen.status();
    if (WasDue(seen->reason)) return absl::OkStatus();
    const absl::StatusOr<Census> census = TakeCensus(*trial, now_ms_);
    if (!census.ok()) return census.status();
    if (census->due > 0) return absl::OkStatus();
    compacted_.first_uncleanable_offset = seen->first_uncleanable_offset;
    compacted_.census = *census;
    Describe(*trial);
    nothing_to_do_ = true;
    return absl::CancelledError();
  }

  // Pass by pass, first until nothing is dirty, then as long as tombstones go whose time has come: with a delete
  // retention of 0 that is at once.
  [[nodiscard]] absl::Status CompactAll(Log* log) {
    if (absl::Status status = log->Roll(); !status.ok()) return status;
    for (bool force = false; !compacted_.interrupted;) {
      const absl::StatusOr<CompactionResult> pass = Pass(log, force);
      if (!pass.ok()) return pass.status();
      if (pass->cancelled || (!force && pass->end_offset > pass->first_dirty_offset)) continue;
      const absl::StatusOr<Census> census = TakeCensus(*log, now_ms_);
      compacted_.interrupted = absl::IsCancelled(census.status());
      if (compacted_.interrupted) break;
      if (!census.ok()) return census.status();
      compacted_.census = *census;
      if (census->due == 0 || (force && pass->removed.total() == 0)) break;
      force = true;
    }
    return absl::OkStatus();
  }

  [[nodiscard]] absl::StatusOr<CompactionResult> Pass(Log* log, bool force) {
    compacted_.census.reset();
    CompactionOptions options = OptionsOfPass(force);
    const auto bar = std::make_shared<ProgressBar>(
        compacted_.passes == 0 ? kCommand : fmt::format("{}: pass {}", kCommand, compacted_.passes + 1));
    options.progress = UpdatesOf(bar);
    options.cancel = Interrupted;
    absl::StatusOr<CompactionResult> pass = log->Compact(options);
    if (!pass.ok()) return pass;
    if (WasDue(pass->reason)) ++compacted_.passes;
    compacted_.interrupted = pass->cancelled;
    compacted_.map_keys = std::max(compacted_.map_keys, pass->map_keys);
    compacted_.first_uncleanable_offset = pass->first_uncleanable_offset;
    RemovedRecords& removed = compacted_.removed;
    removed.superseded += pass->removed.superseded;
    removed.tombstones += pass->removed.tombstones;
    removed.unkeyed += pass->removed.unkeyed;
    removed.aborted += pass->removed.aborted;
    removed.markers += pass->removed.markers;
    return pass;
  }

  [[nodiscard]] CompactionOptions OptionsOfPass(bool force) const {
    CompactionOptions options;
    options.key_map_bytes = settings_.map_bytes;
    options.force = force;
    options.refuse_unkeyed = !settings_.drop_unkeyed;
    options.delete_retention_ms = settings_.delete_retention_ms;
    options.min_compaction_lag_ms = settings_.min_lag_ms;
    options.now_ms = now_ms_;
    return options;
  }

  void Describe(const Log& log) {
    compacted_.after = ExtentOf(log);
    compacted_.offsets = log.offsets();
    compacted_.report = log.recovery_report();
    int64_t unstable_base = 0;  // of the segment that the last stable offset lies in
    for (const LogSegmentInfo& segment : log.segments()) {
      if (segment.base_offset <= compacted_.offsets.last_stable_offset) unstable_base = segment.base_offset;
    }
    compacted_.transaction_is_open = unstable_base <= compacted_.first_uncleanable_offset;
  }

  const CompactSettings& settings_;
  const int64_t now_ms_;
  Compacted compacted_;
  bool nothing_to_do_ = false;
};

OrderedJson HeldBackJson(const Compacted& compacted) {
  if (!compacted.holds_back()) return {};
  return {{"from_offset", compacted.first_uncleanable_offset},
          {"by", compacted.transaction_is_open ? "open transaction" : "min lag"}};
}

OrderedJson CompactedJson(const CompactSettings& settings, const Compacted& compacted) {
  const RemovedRecords& removed = compacted.removed;
  OrderedJson records;
  OrderedJson records_before;
  OrderedJson next_horizon_ms;
  if (compacted.census.has_value()) {
    records = compacted.census->records;
    records_before = compacted.census->records + removed.total();
    if (compacted.census->next_horizon_ms.has_value()) next_horizon_ms = *compacted.census->next_horizon_ms;
  }
  return {{"dir", settings.directory},
          {"log_start_offset", compacted.offsets.log_start_offset},
          {"log_end_offset", compacted.offsets.log_end_offset},
          {"bytes", compacted.after.bytes},
          {"bytes_before", compacted.before.bytes},
          {"segments", compacted.after.segments},
          {"segments_before", compacted.before.segments},
          {"records", records},
          {"records_before", records_before},
          {"removed",
           {{"superseded", removed.superseded},
            {"tombstones", removed.tombstones},
            {"unkeyed", removed.unkeyed},
            {"aborted", removed.aborted},
            {"markers", removed.markers}}},
          {"passes", compacted.passes},
          {"map_keys", compacted.map_keys},
          {"held_back", HeldBackJson(compacted)},
          {"next_horizon_ms", next_horizon_ms},
          {"interrupted", compacted.interrupted},
          {"report", ReportJson(compacted.report)}};
}

// "1,234 superseded, 5 tombstones".
std::string TextOf(const RemovedRecords& removed) {
  std::string text;
  for (const auto& [count, name] :
       {std::pair(removed.superseded, "superseded by a later record of the key"),
        std::pair(removed.tombstones, "tombstones whose time had come"), std::pair(removed.unkeyed, "without a key"),
        std::pair(removed.aborted, "of aborted transactions"),
        std::pair(removed.markers, "markers of transactions of which nothing is left")}) {
    if (count == 0) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", FormatCount(count), name);
  }
  return text;
}

void PrintWhatStays(const Compacted& compacted, Output* out) {
  if (compacted.holds_back()) {
    out->Print("  not compacted: offsets {} to {}, in segments that {}\n", compacted.first_uncleanable_offset,
               compacted.offsets.log_end_offset - 1,
               compacted.transaction_is_open ? "an open transaction holds back: run it again once that has ended"
                                             : "hold records younger than --min-lag-ms: run it again later");
  }
  if (compacted.census.has_value() && compacted.census->next_horizon_ms.has_value()) {
    out->Print("  tombstones or markers stay for --delete-retention-ms: the first may go at {}, run it again then\n",
               FormatTime(*compacted.census->next_horizon_ms));
  }
}

void PrintCompacted(const CompactSettings& settings, const Compacted& compacted, Output* out) {
  const LogOffsets& offsets = compacted.offsets;
  if (compacted.passes == 0) {
    out->Print("{}: nothing to compact; offsets {} to {}, {} in {} segments\n", settings.directory,
               offsets.log_start_offset, offsets.log_end_offset, FormatBytes(compacted.after.bytes),
               FormatCount(compacted.after.segments));
    PrintWhatStays(compacted, out);
    return;
  }
  out->Print("{}: {} in {} segments became {} in {}; offsets {} to {}\n", settings.directory,
             FormatBytes(compacted.before.bytes), FormatCount(compacted.before.segments),
             FormatBytes(compacted.after.bytes), FormatCount(compacted.after.segments), offsets.log_start_offset,
             offsets.log_end_offset);
  const int64_t removed = compacted.removed.total();
  if (compacted.census.has_value()) {
    out->Print("  records: {} before, {} now\n", FormatCount(compacted.census->records + removed),
               FormatCount(compacted.census->records));
  }
  if (removed > 0) out->Print("  removed: {}\n", TextOf(compacted.removed));
  if (compacted.passes > 1) {
    out->Print("  {} passes; {} different keys in one at most: a larger --map-bytes may need fewer\n",
               FormatCount(compacted.passes), FormatCount(compacted.map_keys));
  }
  PrintWhatStays(compacted, out);
}

ExitStatus ComplainOf(const absl::Status& status) {
  const ExitStatus exit_status = Complain(kCommand, status);
  if (KafkaErrorOf(status) == KafkaError::kInvalidRecord) {
    WriteToStandardError(
        "  what to do: --drop-unkeyed takes the records without a key out, of which none would be left\n");
  }
  return exit_status;
}

}  // namespace

ExitStatus RunCompact(const CompactSettings& settings) {
  const absl::StatusOr<Compacted> compacted = CompactRun(settings).Run();
  if (!compacted.ok()) return ComplainOf(compacted.status());
  Output out;
  if (settings.json) {
    out.Print("{}\n", JsonText(CompactedJson(settings, *compacted)));
  } else {
    PrintCompacted(settings, *compacted, &out);
  }
  ExitStatus status = ExitStatus::kDone;
  if (compacted->interrupted) {
    out.Flush();
    status = Complain(
        kCommand, ExitStatus::kSystem,
        fmt::format("{}: interrupted; what was compacted stays so, run it again to go on", settings.directory));
  }
  return out.Finish(kCommand, status);
}

}  // namespace varve::cli
