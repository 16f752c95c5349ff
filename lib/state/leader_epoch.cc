#include "varve/leader_epoch.h"

#include <algorithm>

namespace varve {

FetchAnswer JudgeFetch(int32_t last_fetched_epoch, int64_t fetch_offset, const std::optional<LeaderEpoch>& end_of_epoch,
                       int64_t leader_log_start_offset) {
  if (!end_of_epoch.has_value() || fetch_offset < leader_log_start_offset) {
    return {.verdict = FetchVerdict::kOutOfRange};
  }
  if (end_of_epoch->epoch < last_fetched_epoch || end_of_epoch->start_offset < fetch_offset) {
    return {.verdict = FetchVerdict::kDiverging, .diverging = *end_of_epoch};
  }
  return {};
}

namespace {

TruncationStep TruncateTo(int64_t offset, int64_t log_start_offset, bool ask_again) {
  const bool keeps_any = offset >= log_start_offset;
  return {keeps_any ? TruncationAction::kTruncateTo : TruncationAction::kTruncateFullyAndStart, offset, ask_again};
}

}  // namespace

TruncationStep StepAfterDivergence(const LeaderEpoch& diverging, const std::optional<LeaderEpoch>& own_end,
                                   int64_t log_start_offset, int64_t log_end_offset) {
  const int64_t own = own_end.has_value() ? std::min(own_end->start_offset, log_end_offset) : log_end_offset;
  const bool ask_again = own_end.has_value() && own_end->epoch != diverging.epoch;
  return TruncateTo(ask_again ? own : std::min(own, diverging.start_offset), log_start_offset, ask_again);
}

TruncationStep StepAfterOutOfRange(int64_t leader_log_start_offset, int64_t leader_log_end_offset,
                                   int64_t log_start_offset, int64_t log_end_offset) {
  if (leader_log_end_offset < log_end_offset) {
    return TruncateTo(leader_log_end_offset, log_start_offset, /*ask_again=*/false);
  }
  if (leader_log_start_offset > log_end_offset) {
    return {TruncationAction::kTruncateFullyAndStart, leader_log_start_offset};
  }
  return {TruncationAction::kGoOn, log_end_offset};
}

}  // namespace varve
