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

DivergenceStep StepAfterDivergence(const LeaderEpoch& diverging, const std::optional<LeaderEpoch>& own_end,
                                   int64_t log_end_offset) {
  if (!own_end.has_value()) return {.truncate_to = std::min(diverging.start_offset, log_end_offset)};
  const int64_t own = std::min(own_end->start_offset, log_end_offset);
  if (own_end->epoch != diverging.epoch) return {.truncate_to = own, .ask_again = true};
  return {.truncate_to = std::min(own, diverging.start_offset)};
}

OutOfRangeStep StepAfterOutOfRange(int64_t leader_log_start_offset, int64_t leader_log_end_offset,
                                   int64_t log_end_offset) {
  if (leader_log_end_offset < log_end_offset) return {OutOfRangeAction::kTruncateTo, leader_log_end_offset};
  if (leader_log_start_offset > log_end_offset) {
    return {OutOfRangeAction::kTruncateFullyAndStart, leader_log_start_offset};
  }
  return {OutOfRangeAction::kGoOn, log_end_offset};
}

}  // namespace varve
