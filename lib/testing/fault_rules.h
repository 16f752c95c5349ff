// FaultRules: which operation fails next.
#ifndef VARVE_LIB_TESTING_FAULT_RULES_H_
#define VARVE_LIB_TESTING_FAULT_RULES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "varve/testing/faulty_file_system.h"

namespace varve::internal {

// How an operation is to fail.
struct Fault {
  absl::Status status;
  bool after_effect;
  std::optional<size_t> partial_bytes;
};

// Every operation may be called from any thread.
class FaultRules {
 public:
  size_t Add(const FaultRule& rule) ABSL_LOCKS_EXCLUDED(mutex_);
  void Clear() ABSL_LOCKS_EXCLUDED(mutex_);

  // May be null.
  void SetObserver(std::function<void(const FileCall&)> observer) ABSL_LOCKS_EXCLUDED(mutex_);

  // Tells the observer of an operation and counts it; answers how it fails, if it does.
  [[nodiscard]] std::optional<Fault> Next(const FileCall& call) ABSL_LOCKS_EXCLUDED(mutex_);

  [[nodiscard]] uint64_t operation_count(FileOperation operation) const ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] uint64_t operation_count() const ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] uint64_t faults_fired() const ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] uint64_t faults_fired(size_t rule) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  static constexpr size_t kOperationCount = static_cast<size_t>(FileOperation::kLock) + 1;

  struct CountedRule {
    FaultRule rule;
    uint64_t match_count = 0;
    uint64_t fired_count = 0;
  };

  [[nodiscard]] std::optional<Fault> FaultOf(const FileCall& call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::shared_ptr<const std::function<void(const FileCall&)>> observer_ ABSL_GUARDED_BY(mutex_);
  std::vector<CountedRule> rules_ ABSL_GUARDED_BY(mutex_);
  std::array<uint64_t, kOperationCount> operation_counts_ ABSL_GUARDED_BY(mutex_) = {};
  uint64_t fired_count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_TESTING_FAULT_RULES_H_
