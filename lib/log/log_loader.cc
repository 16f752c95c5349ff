#include "log/log_loader.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/path.h"
#include "base/status.h"
#include "fmt/format.h"
#include "io/whole_file.h"
#include "log/cut_segment.h"
#include "log/leftovers.h"
#include "log/load_plan.h"
#include "log/pending_operation.h"
#include "log/plan_execution.h"
#include "varve/overlay_file_system.h"

namespace varve::internal {
namespace {

// Where a pending operation that varve.state announces is for certain.
enum class Announcement {
  kPerhapsCached,  // found by an opening: it may be in the page cache alone, and is made stable before it is carried out
  kStable,         // the caller has synced it just now, and carries it out
};

bool HasPending(const std::optional<PartitionStateValues>& state) {
  return state.has_value() && state->pending != PendingOperation::kNone;
}

// Of each, by its number.
constexpr std::array<std::string_view, 4> kOperationNames = {"nothing at", "truncation to", "fresh start at",
                                                             "deletion before"};
static_assert(static_cast<size_t>(PendingOperation::kDeleteBefore) + 1 == kOperationNames.size());

// What the state is once its pending operation is done.
PartitionStateValues Completed(PartitionStateValues values) {
  if (values.pending == PendingOperation::kStartAt) {
    values.durable = {.offset = values.pending_offset, .segment = values.pending_offset};
    values.log_start_offset = values.pending_offset;
  }
  if (values.pending == PendingOperation::kDeleteBefore) {
    values.log_start_offset = std::max(values.log_start_offset, values.pending_offset);
  }
  if (values.pending == PendingOperation::kTruncateTo) {
    values.log_start_offset = std::min(values.log_start_offset, values.pending_offset);
  }
  return values;
}

// Carries an announced operation through, unless somebody else has gone on with the log since; then takes the
// announcement back. Answers the state as it is then.
absl::StatusOr<PartitionStateValues> CompletePending(FileSystem* file_system, const std::string& directory,
                                                     PartitionStateValues values, Announcement announcement,
                                                     RecoveryReport* report) {
  VARVE_ASSIGN_OR_RETURN(const std::string overtaken, ReasonIsOvertaken(file_system, directory, values));
  if (announcement == Announcement::kPerhapsCached) {
    const std::string announced =
        fmt::format("{} {} was announced and not finished", kOperationNames[static_cast<size_t>(values.pending)],
                    values.pending_offset);
    report->findings.push_back({.action = overtaken.empty() ? RecoveryAction::kCompleted : RecoveryAction::kIgnored,
                                .rule = "Writing 7",
                                .file = PartitionState::kFileName,
                                .first_offset = values.pending_offset,
                                .last_offset = values.pending_offset,
                                .evidence = overtaken.empty() ? announced : announced + "; " + overtaken});
  }
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<PartitionState> state,
                         PartitionState::Open(file_system, directory, values));
  if (overtaken.empty()) {
    if (announcement == Announcement::kPerhapsCached) {
      // The process may have died before its sync: names must not be stable before it is.
      state->Store(values);
      VARVE_RETURN_IF_ERROR(state->Sync());
    }
    VARVE_RETURN_IF_ERROR(CarryThrough(file_system, directory, values));
    values = Completed(std::move(values));
  } else if (values.pending == PendingOperation::kStartAt) {
    values.superseded_log_start = 0;
  }
  values.clean = false;
  values.pending = PendingOperation::kNone;
  values.pending_offset = 0;
  values.pending_end = {};
  state->Store(values);
  VARVE_RETURN_IF_ERROR(state->Sync());
  return values;
}

// Finishes what was interrupted, and answers the state as it is then.
absl::StatusOr<std::optional<PartitionStateValues>> Prepare(FileSystem* file_system, const std::string& directory,
                                                            std::optional<PartitionStateValues> state,
                                                            Announcement announcement, RecoveryReport* report) {
  if (HasPending(state)) {
    VARVE_ASSIGN_OR_RETURN(state, CompletePending(file_system, directory, *std::move(state), announcement, report));
  }
  VARVE_RETURN_IF_ERROR(ClearLeftovers(file_system, directory, &report->findings));
  return state;
}

// The report stays in the directory for `varve explain`. A disk without room for it is no reason to refuse.
void KeepReport(FileSystem* file_system, const std::string& directory, const RecoveryReport& report) {
  const std::string json = report.ToJson();
  const absl::Status kept = ReplaceFile(file_system, JoinPath(directory, kReportFileName), AsBytes(json));
  kept.IgnoreError();
}

absl::StatusOr<LoadedLog> Load(FileSystem* file_system, const std::string& directory, const LogOptions& options,
                               const std::optional<PartitionStateValues>& found_state, std::string state_fault,
                               Announcement announcement) {
  const int64_t started_ns = options.clock->MonotonicNs();
  RecoveryReport report;
  const bool state_is_lost = !state_fault.empty();
  if (state_is_lost) {
    report.findings.push_back({.action = RecoveryAction::kIgnored,
                               .rule = "2",
                               .file = PartitionState::kFileName,
                               .evidence = std::move(state_fault)});
  }
  std::optional<PartitionStateValues> state = found_state;
  VARVE_ASSIGN_OR_RETURN(PartitionListing listing, ListPartition(file_system, directory));
  // Finishing changes names, and judging may refuse: both are done first where nothing is changed.
  const bool unfinished = HasPending(state) || !listing.leftovers.empty() || !listing.unfinished.empty();
  OverlayFileSystem trial(file_system);
  FileSystem* const judged = unfinished ? &trial : file_system;
  if (unfinished) {
    VARVE_ASSIGN_OR_RETURN(state, Prepare(judged, directory, found_state, announcement, &report));
    VARVE_ASSIGN_OR_RETURN(listing, ListPartition(judged, directory));
  }
  VARVE_ASSIGN_OR_RETURN(LoadPlan plan,
                         MakeLoadPlan(judged, directory, options, std::move(listing), state, state_is_lost));
  if (unfinished) {
    RecoveryReport known;
    VARVE_RETURN_IF_ERROR(Prepare(file_system, directory, found_state, announcement, &known).status());
    plan.producers->MoveTo(file_system);
  }
  VARVE_ASSIGN_OR_RETURN(LoadedLog loaded,
                         ExecutePlan(file_system, directory, options, std::move(plan), std::move(report)));
  loaded.report.duration_us = (options.clock->MonotonicNs() - started_ns) / 1000;
  // The writer's own truncation is no opening: what the last one found is still to be told.
  const bool opens = announcement == Announcement::kPerhapsCached;
  if (opens && loaded.report.HasNews()) KeepReport(file_system, directory, loaded.report);
  return loaded;
}

}  // namespace

absl::StatusOr<LoadedLog> LoadLog(FileSystem* file_system, const std::string& directory, const LogOptions& options) {
  std::string state_fault;
  VARVE_ASSIGN_OR_RETURN(const std::optional<PartitionStateValues> state,
                         PartitionState::Peek(file_system, directory, &state_fault));
  return Load(file_system, directory, options, state, std::move(state_fault), Announcement::kPerhapsCached);
}

absl::StatusOr<LoadedLog> LoadAnnounced(FileSystem* file_system, const std::string& directory,
                                        const LogOptions& options, const PartitionStateValues& state) {
  return Load(file_system, directory, options, state, /*state_fault=*/{}, Announcement::kStable);
}

}  // namespace varve::internal
