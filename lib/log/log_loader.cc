#include "log/log_loader.h"

#include <algorithm>
#include <optional>
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

bool HasPending(const std::optional<PartitionStateValues>& state) {
  return state.has_value() && state->pending != PendingOperation::kNone;
}

std::string_view NameOf(PendingOperation operation) {
  switch (operation) {
    case PendingOperation::kTruncateTo:
      return "truncation to";
    case PendingOperation::kStartAt:
      return "fresh start at";
    case PendingOperation::kDeleteBefore:
      return "deletion before";
    case PendingOperation::kNone:
      break;
  }
  return "nothing at";
}

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
// announcement back.
absl::Status CompletePending(FileSystem* file_system, const std::string& directory, PartitionStateValues values,
                             RecoveryReport* report) {
  VARVE_ASSIGN_OR_RETURN(const std::string overtaken, ReasonIsOvertaken(file_system, directory, values));
  const std::string announced =
      fmt::format("{} {} was announced and not finished", NameOf(values.pending), values.pending_offset);
  report->findings.push_back({.action = overtaken.empty() ? RecoveryAction::kCompleted : RecoveryAction::kIgnored,
                              .rule = "Writing 7",
                              .file = PartitionState::kFileName,
                              .first_offset = values.pending_offset,
                              .last_offset = values.pending_offset,
                              .evidence = overtaken.empty() ? announced : announced + "; " + overtaken});
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<PartitionState> state, PartitionState::Open(file_system, directory));
  if (overtaken.empty()) {
    // It may be in the page cache alone, where the process died before its sync. Names must not be stable before it is.
    state->Store(values);
    VARVE_RETURN_IF_ERROR(state->Sync());
    VARVE_RETURN_IF_ERROR(CarryThrough(file_system, directory, values));
    values = Completed(std::move(values));
  }
  values.clean = false;
  values.pending = PendingOperation::kNone;
  values.pending_offset = 0;
  values.pending_end = {};
  state->Store(values);
  return state->Sync();
}

// Finishes what was interrupted, and answers the state as it is then.
absl::StatusOr<std::optional<PartitionStateValues>> Prepare(FileSystem* file_system, const std::string& directory,
                                                            std::optional<PartitionStateValues> state,
                                                            RecoveryReport* report) {
  if (HasPending(state)) {
    VARVE_RETURN_IF_ERROR(CompletePending(file_system, directory, *std::move(state), report));
    VARVE_ASSIGN_OR_RETURN(state, PartitionState::Peek(file_system, directory));
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

}  // namespace

absl::StatusOr<LoadedLog> LoadLog(FileSystem* file_system, const std::string& directory, const LogOptions& options) {
  const int64_t started_ns = options.clock->MonotonicNs();
  RecoveryReport report;
  std::string state_fault;
  VARVE_ASSIGN_OR_RETURN(const std::optional<PartitionStateValues> found_state,
                         PartitionState::Peek(file_system, directory, &state_fault));
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
    VARVE_ASSIGN_OR_RETURN(state, Prepare(judged, directory, found_state, &report));
    VARVE_ASSIGN_OR_RETURN(listing, ListPartition(judged, directory));
  }
  VARVE_ASSIGN_OR_RETURN(LoadPlan plan,
                         MakeLoadPlan(judged, directory, options, std::move(listing), state, state_is_lost));
  if (unfinished) {
    RecoveryReport known;
    VARVE_RETURN_IF_ERROR(Prepare(file_system, directory, found_state, &known).status());
    plan.producers->MoveTo(file_system);
  }
  VARVE_ASSIGN_OR_RETURN(LoadedLog loaded,
                         ExecutePlan(file_system, directory, options, std::move(plan), std::move(report)));
  loaded.report.duration_us = (options.clock->MonotonicNs() - started_ns) / 1000;
  if (loaded.report.HasNews()) KeepReport(file_system, directory, loaded.report);
  return loaded;
}

}  // namespace varve::internal
