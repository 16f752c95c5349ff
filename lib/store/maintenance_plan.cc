#include "store/maintenance_plan.h"

#include <algorithm>
#include <limits>

namespace varve::internal {
namespace {

constexpr int64_t kNsPerMs = 1'000'000;
constexpr int64_t kMaxRetryDelayMs = 3'600'000;
// Of files, which have no interval of their own: as long as Kafka's log.segment.delete.delay.ms.
constexpr int64_t kFilesIntervalMs = 60'000;

constexpr size_t IndexOf(MaintenanceKind kind) { return static_cast<size_t>(kind); }

}  // namespace

int64_t RetryDelayMs(int64_t interval_ms, int64_t failures) {
  int64_t delay_ms = interval_ms;
  for (int64_t failure = 1; failure < failures && delay_ms < kMaxRetryDelayMs; ++failure) delay_ms *= 2;
  return std::max(interval_ms, std::min(delay_ms, kMaxRetryDelayMs));
}

MaintenancePlan::Turn MaintenancePlan::TurnAt(int64_t now_ns, int64_t delay_ms) {
  // An interval may be so long that its end cannot be told.
  const int64_t most_ms = (std::numeric_limits<int64_t>::max() - std::max<int64_t>(now_ns, 0)) / kNsPerMs;
  return {.due_ns = now_ns + std::min(delay_ms, most_ms) * kNsPerMs, .number = ++last_number_};
}

void MaintenancePlan::Add(LogId log, bool compacts, int64_t now_ns) {
  LogTurns& added = logs_[log];
  for (const MaintenanceKind kind : {MaintenanceKind::kFlush, MaintenanceKind::kRetention, MaintenanceKind::kProducers,
                                     MaintenanceKind::kCompaction}) {
    const std::optional<int64_t>& interval_ms = intervals_[IndexOf(kind)];
    if (!interval_ms.has_value() || (kind == MaintenanceKind::kCompaction && !compacts)) continue;
    const bool at_once = kind == MaintenanceKind::kRetention || kind == MaintenanceKind::kCompaction;
    added.turns[IndexOf(kind)] = TurnAt(now_ns, at_once ? 0 : *interval_ms);
  }
}

void MaintenancePlan::Suspend(LogId log) { logs_.at(log).suspended = true; }

void MaintenancePlan::Remove(LogId log) {
  logs_.erase(log);
  if (pass_ == log) pass_.reset();
}

std::optional<MaintenancePlan::Choice> MaintenancePlan::NextPass() const {
  if (pass_.has_value()) return std::nullopt;
  std::optional<Turn> longest;  // that somebody has been waiting
  for (const auto& [id, log] : logs_) {
    if (log.is_free() && log.candidate.has_value())
      longest = std::min(longest.value_or(log.candidate->since), log.candidate->since);
  }
  if (!longest.has_value()) return std::nullopt;
  Choice choice{.turn = std::max(*longest, pass_ended_),
                .work = {.kind = MaintenanceKind::kCompaction, .of_pass = true}};
  double highest = -1;
  for (const auto& [id, log] : logs_) {
    if (!log.is_free() || !log.candidate.has_value() || log.candidate->dirty_ratio <= highest) continue;
    // It has had a pass meanwhile.
    if (log.last_pass > longest->number) continue;
    highest = log.candidate->dirty_ratio;
    choice.work.log = id;
  }
  return choice;
}

std::optional<MaintenancePlan::Choice> MaintenancePlan::Next() const {
  std::optional<Choice> earliest = NextPass();
  for (const auto& [id, log] : logs_) {
    if (!log.is_free()) continue;
    for (size_t kind = 0; kind < kMaintenanceKinds; ++kind) {
      const std::optional<Turn>& turn = log.turns[kind];
      if (!turn.has_value() || (earliest.has_value() && earliest->turn < *turn)) continue;
      const auto of = static_cast<MaintenanceKind>(kind);
      const bool of_pass = of == MaintenanceKind::kCompaction && pass_ == id;
      earliest = {.turn = *turn, .work = {.log = id, .kind = of, .of_pass = of_pass}};
    }
  }
  return earliest;
}

std::optional<int64_t> MaintenancePlan::NextDueNs() const {
  const std::optional<Choice> next = Next();
  if (!next.has_value()) return std::nullopt;
  return next->turn.due_ns;
}

std::optional<MaintenanceWork> MaintenancePlan::Take(int64_t now_ns) {
  const std::optional<Choice> next = Next();
  if (!next.has_value() || next->turn.due_ns > now_ns) return std::nullopt;
  logs_.at(next->work.log).at_work = true;
  if (next->work.of_pass) pass_ = next->work.log;
  return next->work;
}

void MaintenancePlan::SettlePass(const MaintenanceWork& work, const MaintenanceOutcome& outcome, int64_t now_ns) {
  LogTurns& log = logs_.at(work.log);
  if (work.of_pass) {
    log.candidate.reset();
    if (outcome.pass_goes_on) return;
    pass_.reset();
    pass_ended_ = TurnAt(now_ns, 0);
    log.last_pass = pass_ended_.number;
  } else if (!outcome.dirty_ratio.has_value()) {
    log.candidate.reset();
  } else if (log.candidate.has_value()) {
    log.candidate->dirty_ratio = *outcome.dirty_ratio;
  } else {
    log.candidate = {.dirty_ratio = *outcome.dirty_ratio, .since = TurnAt(now_ns, 0)};
  }
}

void MaintenancePlan::Settle(const MaintenanceWork& work, const MaintenanceOutcome& outcome, int64_t now_ns) {
  LogTurns& log = logs_.at(work.log);
  const size_t kind = IndexOf(work.kind);
  log.at_work = false;
  if (work.kind == MaintenanceKind::kCompaction) SettlePass(work, outcome, now_ns);
  // What has only begun well, or is only found to be due, may fail as it did before.
  const bool at_its_end = !outcome.pass_goes_on && !outcome.dirty_ratio.has_value();
  if (outcome.failed) {
    ++log.failures[kind];
  } else if (at_its_end) {
    log.failures[kind] = 0;
  }
  log.turns[kind].reset();
  // Files that are left have a moment of their own.
  const bool has_turn = work.kind != MaintenanceKind::kFiles || outcome.failed;
  if (has_turn && !outcome.never_again) {
    const int64_t interval_ms = intervals_[kind].value_or(kFilesIntervalMs);
    const int64_t delay_ms = outcome.failed ? RetryDelayMs(interval_ms, log.failures[kind]) : interval_ms;
    log.turns[kind] = TurnAt(now_ns, outcome.again_ms.value_or(delay_ms));
  }
  if (outcome.files_due_ms.has_value()) {
    std::optional<Turn>& files = log.turns[IndexOf(MaintenanceKind::kFiles)];
    const Turn turn = TurnAt(now_ns, *outcome.files_due_ms);
    files = std::min(files.value_or(turn), turn);
  }
}

}  // namespace varve::internal
