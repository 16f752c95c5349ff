#include "crash/crash_check.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "base/status.h"
#include "fmt/format.h"

namespace varve::testing_support {
namespace {

using internal::Annotate;
using internal::Error;

absl::Status Wrong(std::string_view what) { return Error(absl::StatusCode::kDataLoss, "{}", what); }

// The possible log with what was lost taken out.
ReferenceLog Settled(const FoundLog& found, const PossibleLog& possible) {
  ReferenceLog settled = *possible.log;
  if (possible.may_be_missing != nullptr) {
    std::set<int64_t> offsets;
    for (const ReferenceRecord& record : found.records) offsets.insert(record.offset);
    settled.Keep(offsets);
  }
  if (found.offsets.log_end_offset < settled.log_end_offset()) settled.TruncateTo(found.offsets.log_end_offset);
  return settled;
}

absl::Status CheckOffsetLookup(LogReader* reader, const std::vector<ReferenceRecord>& records, int64_t offset) {
  VARVE_ASSIGN_OR_RETURN(const auto batch, reader->ReadBatch(offset, Isolation::kLogEnd));
  const auto next = std::find_if(records.begin(), records.end(),
                                 [&](const ReferenceRecord& record) { return record.offset >= offset; });
  if (next == records.end()) return absl::OkStatus();
  if (batch.has_value() && batch->last_offset() >= offset && batch->base_offset() <= next->offset) {
    return absl::OkStatus();
  }
  return Error(absl::StatusCode::kDataLoss, "looking for offset {}: the batch that holds {} was passed over", offset,
               next->offset);
}

absl::Status CheckTimeLookup(LogReader* reader, const ReferenceLog& settled, int64_t timestamp_ms) {
  VARVE_ASSIGN_OR_RETURN(const auto by_time, reader->OffsetForTimestamp(timestamp_ms));
  const std::optional<int64_t> expected = settled.OffsetForTimestamp(timestamp_ms);
  const std::optional<int64_t> found = by_time.has_value() ? std::optional(by_time->offset) : std::nullopt;
  if (found == expected) return absl::OkStatus();
  return Error(absl::StatusCode::kDataLoss, "looking for time {}: offset {} expected, found {}", timestamp_ms,
               expected.value_or(-1), found.value_or(-1));
}

// Indexes are hints, whatever the crash has left of them.
absl::Status CheckLookups(const Log& log, const ReferenceLog& settled, size_t draw) {
  LogReader reader = log.NewReader();
  const std::vector<ReferenceRecord> records = settled.Records();
  if (records.empty()) return absl::OkStatus();
  const ReferenceRecord& record = records[draw % records.size()];
  VARVE_RETURN_IF_ERROR(CheckOffsetLookup(&reader, records, record.offset));
  if (record.timestamp_ms == kNoTimestamp) return absl::OkStatus();
  return CheckTimeLookup(&reader, settled, record.timestamp_ms);
}

absl::Status CheckCommitted(const Log& log, const ReferenceLog& settled) {
  using Deleted = ReferenceLog::DeletedTransactions;
  const bool any = std::any_of(settled.batches().begin(), settled.batches().end(),
                               [](const ReferenceBatch& batch) { return batch.transactional; });
  if (!any) return absl::OkStatus();
  const int64_t last_stable_offset = log.offsets().last_stable_offset;
  if (last_stable_offset < settled.LastStableOffset(Deleted::kRemembered) ||
      last_stable_offset > settled.LastStableOffset(Deleted::kForgotten)) {
    return Error(absl::StatusCode::kDataLoss, "a last stable offset of {} to {} expected, found {}",
                 settled.LastStableOffset(Deleted::kRemembered), settled.LastStableOffset(Deleted::kForgotten),
                 last_stable_offset);
  }
  const std::vector<ReferenceRecord> committed = settled.CommittedRecords(last_stable_offset);
  auto next = committed.begin();
  LogScan scan = log.Scan(log.log_start_offset(), {.isolation = Isolation::kCommitted});
  for (const RecordView& record : scan) {
    if (next == committed.end() || next->offset != record.offset()) {
      return Error(absl::StatusCode::kDataLoss, "committed: the record {} is not", record.offset());
    }
    ++next;
  }
  if (next == committed.end()) return scan.status();
  return Error(absl::StatusCode::kDataLoss, "committed: the record {} is missing", next->offset);
}

// How the opening came to what it found.
std::string Findings(const RecoveryReport& report) {
  std::string lines;
  for (const RecoveryFinding& finding : report.findings) lines += "\n  " + finding.ToString();
  return lines;
}

absl::StatusOr<ReferenceLog> CheckOpened(const Log& log, const std::vector<PossibleLog>& possible, bool power_lost,
                                         bool rebooted, size_t draw) {
  VARVE_RETURN_IF_ERROR(CheckReport(log, rebooted));
  VARVE_ASSIGN_OR_RETURN(const FoundLog found, FoundLog::Of(log));
  VARVE_ASSIGN_OR_RETURN(const size_t index, CompareAny(found, possible, power_lost));
  ReferenceLog settled = Settled(found, possible[index]);
  VARVE_RETURN_IF_ERROR(CheckLookups(log, settled, draw));
  VARVE_RETURN_IF_ERROR(CheckCommitted(log, settled));
  return settled;
}

// Opens and compares; what was found is left in *settled.
absl::StatusOr<std::unique_ptr<Log>> OpenAndCompare(const std::string& directory, const LogOptions& options,
                                                    const std::vector<PossibleLog>& possible, bool power_lost,
                                                    bool rebooted, size_t draw, ReferenceLog* settled) {
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<Log> log, Log::Open(directory, options));
  absl::StatusOr<ReferenceLog> checked = CheckOpened(*log, possible, power_lost, rebooted, draw);
  if (!checked.ok()) {
    return Error(checked.status().code(), "{}{}", std::string(checked.status().message()),
                 Findings(log->recovery_report()));
  }
  *settled = *std::move(checked);
  return log;
}

// All of it, and nothing else.
std::vector<PossibleLog> Exactly(const ReferenceLog& log) {
  return {{.log = &log,
           .durable_offset = log.log_end_offset(),
           .written_offset = log.log_end_offset(),
           .may_be_missing = nullptr}};
}

absl::Status CheckSame(const std::string& directory, const LogOptions& options, const ReferenceLog& log, bool rebooted,
                       size_t draw) {
  ReferenceLog settled;
  return OpenAndCompare(directory, options, Exactly(log), rebooted, rebooted, draw, &settled).status();
}

// Another power loss: of what no sync has made durable since, a beginning is left.
absl::Status CheckPowerLoss(const CrashState& state, const std::string& directory, LogOptions options, const Log& log,
                            const ReferenceLog& settled, size_t draw) {
  std::vector<PossibleLog> possible = Exactly(settled);
  possible.front().durable_offset = log.durable_offset();
  const auto crashed = state.disk->CloneAfterCrash({.seed = draw});
  options.file_system = crashed.get();
  ReferenceLog found;
  return OpenAndCompare(directory, options, possible, /*power_lost=*/true, /*rebooted=*/true, draw, &found).status();
}

// What is appended to the log as it was recovered is durable in its turn.
absl::Status CheckGoesOn(MemoryFileSystem* disk, const std::string& directory, LogOptions options,
                         const ReferenceLog& before, size_t draw) {
  options.file_system = disk;
  ReferenceLog after = before;
  {
    ReferenceLog settled;
    VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<Log> log,
                           OpenAndCompare(directory, options, Exactly(before), false, false, draw, &settled));
    const int64_t now_ms = options.clock->WallMs();
    after.Append({.records = {{.timestamp_ms = now_ms, .key = "key", .value = "after the crash"}}});
    VARVE_RETURN_IF_ERROR(
        log->Append({{.key = "key", .value = "after the crash", .timestamp_ms = now_ms}}, {.ack = Ack::kDurable})
            .status());
    const auto crashed = disk->CloneAfterCrash({.seed = draw, .mode = CrashMode::kLoseAllUnsynced});
    options.file_system = crashed.get();
    return CheckSame(directory, options, after, /*rebooted=*/true, draw);
  }
}

}  // namespace

absl::Status CheckReport(const Log& log, bool rebooted) {
  const RecoveryReport& report = log.recovery_report();
  if (!report.damage.empty()) return Wrong("damage was reported: " + report.damage.front().reason);
  if (!log.damage().empty()) return Wrong("the log has damage: " + log.damage().front().reason);
  for (const RecoveryFinding& finding : report.findings) {
    if (finding.action == RecoveryAction::kKept || finding.action == RecoveryAction::kMended) {
      return Wrong("a torn tail was taken for damage: " + finding.ToString());
    }
  }
  if (rebooted && report.cache_survived) return Wrong("the page cache is believed to have survived a power loss");
  if (report.log_end_offset != log.log_end_offset()) return Wrong("the report tells of another log end");
  if (log.durable_offset() > log.log_end_offset() || log.durable_offset() != report.durable_offset) {
    return Error(absl::StatusCode::kDataLoss, "opened, the log is durable up to {}, and ends at {}; the report says {}",
                 log.durable_offset(), log.log_end_offset(), report.durable_offset);
  }
  return absl::OkStatus();
}

absl::Status CheckCrash(const CrashState& state, const std::string& directory, LogOptions options,
                        const std::vector<PossibleLog>& possible) {
  const size_t draw = std::hash<std::string>()(state.id);
  options.file_system = state.file_system;
  ReferenceLog settled;
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<Log> log, OpenAndCompare(directory, options, possible, state.power_lost,
                                                                  state.rebooted, draw, &settled));
  // What follows costs as much as what came before, so half of the states go without.
  switch (draw % 6) {
    case 0:
      return Annotate(CheckPowerLoss(state, directory, options, *log, settled, draw),
                      "after another power loss as soon as the log was open");
    case 3:
      VARVE_RETURN_IF_ERROR(Annotate(log->Flush(), "making durable what was recovered"));
      return Annotate(CheckPowerLoss(state, directory, options, *log, settled, draw),
                      "after another power loss once all was durable");
    case 1:
      VARVE_RETURN_IF_ERROR(Annotate(log->Close(), "closing what was recovered"));
      log.reset();
      options.file_system = state.disk;
      return Annotate(CheckSame(directory, options, settled, /*rebooted=*/false, draw), "closed and opened again");
    case 2: {
      const auto killed = state.disk->CloneAfterProcessDeath();
      return Annotate(CheckGoesOn(killed.get(), directory, options, settled, draw), "killed and opened again");
    }
    default:
      return absl::OkStatus();
  }
}

}  // namespace varve::testing_support
