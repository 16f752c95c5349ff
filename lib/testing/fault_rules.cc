#include "testing/fault_rules.h"

#include <numeric>
#include <utility>

namespace varve::internal {
namespace {

bool Matches(const FaultRule& rule, FileOperation operation, std::string_view path, std::string_view other_path) {
  if (rule.operation.has_value() && *rule.operation != operation) return false;
  return path.find(rule.path_part) != std::string_view::npos ||
         (!other_path.empty() && other_path.find(rule.path_part) != std::string_view::npos);
}

}  // namespace

size_t FaultRules::Add(const FaultRule& rule) {
  const absl::MutexLock lock(&mutex_);
  rules_.push_back({.rule = rule});
  return rules_.size() - 1;
}

void FaultRules::Clear() {
  const absl::MutexLock lock(&mutex_);
  rules_.clear();
}

std::optional<Fault> FaultRules::Next(FileOperation operation, std::string_view path, std::string_view other_path) {
  const absl::MutexLock lock(&mutex_);
  ++operation_counts_[static_cast<size_t>(operation)];
  std::optional<Fault> fault;
  for (CountedRule& counted : rules_) {
    const FaultRule& rule = counted.rule;
    if (!Matches(rule, operation, path, other_path)) continue;
    ++counted.match_count;
    const bool fires = counted.match_count == rule.nth || (rule.for_ever && counted.match_count > rule.nth);
    if (!fires || fault.has_value()) continue;
    ++counted.fired_count;
    ++fired_count_;
    fault = Fault{.status = rule.status, .after_effect = rule.after_effect, .partial_bytes = rule.partial_bytes};
  }
  return fault;
}

uint64_t FaultRules::operation_count(FileOperation operation) const {
  const absl::MutexLock lock(&mutex_);
  return operation_counts_[static_cast<size_t>(operation)];
}

uint64_t FaultRules::operation_count() const {
  const absl::MutexLock lock(&mutex_);
  return std::accumulate(operation_counts_.begin(), operation_counts_.end(), uint64_t{0});
}

uint64_t FaultRules::faults_fired() const {
  const absl::MutexLock lock(&mutex_);
  return fired_count_;
}

uint64_t FaultRules::faults_fired(size_t rule) const {
  const absl::MutexLock lock(&mutex_);
  return rule < rules_.size() ? rules_[rule].fired_count : 0;
}

}  // namespace varve::internal
