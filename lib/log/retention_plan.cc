#include "log/retention_plan.h"

#include <algorithm>

namespace varve::internal {
namespace {

class Planner {
 public:
  Planner(const RetentionView& view, const RetentionLimits& limits, const LargestTimestampOf& largest_timestamp_of)
      : view_(view), limits_(limits), largest_timestamp_of_(largest_timestamp_of) {}

  RetentionPlan Plan() {
    Take(RetentionRule::kLogStart, [this](size_t index) {
      return index + 1 < view_.segments.size() && NextOffset(index) <= view_.log_start_offset;
    });
    if (!limits_.deletes) return plan_;
    if (limits_.retention_bytes >= 0) {
      int64_t excess_bytes = -limits_.retention_bytes;
      for (size_t index = next(); index < view_.segments.size(); ++index) {
        excess_bytes += view_.segments[index].size_bytes;
      }
      Take(RetentionRule::kSize, [&](size_t index) {
        excess_bytes -= view_.segments[index].size_bytes;
        return excess_bytes >= 0;
      });
    }
    if (limits_.retention_ms >= 0) {
      Take(RetentionRule::kTime, [this](size_t index) { return IsDue(index); });
      if (!plan_.more_due) plan_.block = BlockAt(next());
    }
    return plan_;
  }

 private:
  // The first segment that stays, as far as is known.
  size_t next() const { return plan_.rules.size(); }

  int64_t NextOffset(size_t index) const {
    return index + 1 < view_.segments.size() ? view_.segments[index + 1].base_offset : view_.log_end_offset;
  }

  bool MayGo(size_t index) const {
    const bool is_empty_active = index + 1 == view_.segments.size() && view_.segments[index].size_bytes == 0;
    return NextOffset(index) <= view_.high_watermark && !is_empty_active;
  }

  template <typename Predicate>
  void Take(RetentionRule rule, Predicate goes) {
    while (next() < view_.segments.size() && MayGo(next()) && goes(next())) {
      plan_.more_due = next() == limits_.max_segments;
      if (plan_.more_due) break;
      plan_.rules.push_back(rule);
    }
  }

  // Of a timestamp, which is never negative: no difference of two overflows.
  bool IsExpired(int64_t timestamp_ms) const { return view_.now_ms - timestamp_ms > limits_.retention_ms; }
  bool IsTrusted(int64_t timestamp_ms) const {
    return timestamp_ms - view_.now_ms <= limits_.ahead_max_ms && view_.now_ms - timestamp_ms <= limits_.behind_max_ms;
  }

  // The nearest trusted timestamp, of the segment itself or of one behind it. `index` never falls.
  std::optional<int64_t> TrustedAtOrBehind(size_t index) {
    for (trusted_ = std::max(trusted_, index); trusted_ < view_.segments.size(); ++trusted_) {
      const std::optional<int64_t> timestamp_ms = largest_timestamp_of_(trusted_);
      if (timestamp_ms.has_value() && IsTrusted(*timestamp_ms)) return timestamp_ms;
    }
    return std::nullopt;
  }

  bool IsDue(size_t index) {
    if (view_.segments[index].size_bytes == 0) return true;  // nothing in it is young
    if (!largest_timestamp_of_(index).has_value()) return false;
    const std::optional<int64_t> evidence_ms = TrustedAtOrBehind(index);
    return evidence_ms.has_value() && IsExpired(*evidence_ms);
  }

  // A segment that time alone will let go in retention_ms or less blocks nothing; nor does one that others hold back.
  std::optional<RetentionBlock> BlockAt(size_t index) const {
    if (index >= view_.segments.size() || !MayGo(index)) return std::nullopt;
    const std::optional<int64_t> timestamp_ms = largest_timestamp_of_(index);
    if (timestamp_ms.has_value() && (*timestamp_ms <= view_.now_ms || !IsTrusted(*timestamp_ms))) return std::nullopt;
    RetentionBlock block{.base_offset = view_.segments[index].base_offset,
                         .next_offset = NextOffset(index),
                         .timestamp_ms = timestamp_ms,
                         .ahead_ms = timestamp_ms.value_or(view_.now_ms) - view_.now_ms};
    for (size_t behind = index + 1; behind < view_.segments.size() && MayGo(behind); ++behind) {
      const std::optional<int64_t> own_ms = largest_timestamp_of_(behind);
      if (!own_ms.has_value() || !IsTrusted(*own_ms) || !IsExpired(*own_ms)) continue;
      ++block.due_segments;
      block.due_bytes += view_.segments[behind].size_bytes;
    }
    if (block.due_segments == 0) return std::nullopt;
    return block;
  }

  const RetentionView& view_;
  const RetentionLimits& limits_;
  const LargestTimestampOf& largest_timestamp_of_;
  size_t trusted_ = 0;
  RetentionPlan plan_;
};

}  // namespace

RetentionPlan PlanRetention(const RetentionView& view, const RetentionLimits& limits,
                            const LargestTimestampOf& largest_timestamp_of) {
  return Planner(view, limits, largest_timestamp_of).Plan();
}

}  // namespace varve::internal
