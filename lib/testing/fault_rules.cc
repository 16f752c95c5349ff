#include "testing/fault_rules.h"

#include <numeric>
#include <string_view>
#include <utility>

namespace varve::internal {
namespace {

bool Matches(const FaultRule& rule, const FileCall& call) {
  if (rule.operation.has_value() && *rule.operation != call.operation) return false;
  return call.path.find(rule.path_part) != std::string_view::npos ||
         (!call.other_path.empty() && call.other_path.find(rule.path_part) != std::string_view::npos);
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

void FaultRules::SetObserver(std::function<void(const FileCall&)> observer) {
  const absl::MutexLock lock(&mutex_);
  observer_.reset();
  if (observer != nullptr)
    observer_ = std::make_shared<const std::function<void(const FileCall&)>>(std::move(observer));
}

std::optional<Fault> FaultRules::Next(const FileCall& call) {
  std::shared_ptr<const std::function<void(const FileCall&)>> observer;
  {
    const absl::MutexLock lock(&mutex_);
    observer = observer_;
  }
  if (observer != nullptr) (*observer)(call);
  const absl::MutexLock lock(&mutex_);
  return FaultOf(call);
}

std::optional<Fault> FaultRules::FaultOf(const FileCall& call) {
  ++operation_counts_[static_cast<size_t>(call.operation)];
  std::optional<Fault> fault;
  for (CountedRule& counted : rules_) {
    const FaultRule& rule = counted.rule;
    if (!Matches(rule, call)) continue;
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
