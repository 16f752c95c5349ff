#include "log/deleted_files.h"

#include <algorithm>
#include <utility>

#include "absl/status/statusor.h"
#include "base/path.h"
#include "log/partition_listing.h"

namespace varve::internal {

DeletedFiles::DeletedFiles(FileSystem* file_system, Clock* clock, std::string directory, int64_t delay_ms)
    : file_system_(file_system), clock_(clock), directory_(std::move(directory)), delay_ms_(delay_ms) {}

FileRemovalResult DeletedFiles::RemoveDue(std::chrono::nanoseconds time_limit) {
  const MutexLock lock(&mutex_);
  FileRemovalResult result{.left = static_cast<int64_t>(seen_ns_.size())};
  const absl::StatusOr<PartitionListing> listing = ListPartition(file_system_, directory_);
  if (!listing.ok()) return result;
  constexpr int64_t kNsPerMs = 1'000'000;
  const int64_t now_ns = clock_->MonotonicNs();
  std::map<std::string, int64_t> left;
  for (const LeftoverFile& file : listing->leftovers) {
    if (file.parts.suffix != SegmentFileSuffix::kDeleted) continue;
    const auto seen = seen_ns_.find(file.name);
    const int64_t seen_ns = seen != seen_ns_.end() ? seen->second : now_ns;
    const int64_t due_ms = std::max<int64_t>(delay_ms_ - (now_ns - seen_ns) / kNsPerMs, 0);
    const bool tried = due_ms == 0 && clock_->MonotonicNs() - now_ns < time_limit.count();
    if (tried && Remove(file.name)) {
      ++result.removed;
      continue;
    }
    if (!tried) result.next_due_ms = std::min(result.next_due_ms.value_or(due_ms), due_ms);
    left.emplace(file.name, seen_ns);
  }
  seen_ns_ = std::move(left);
  result.left = static_cast<int64_t>(seen_ns_.size());
  return result;
}

void DeletedFiles::RemoveAll() {
  const MutexLock lock(&mutex_);
  std::erase_if(seen_ns_, [this](const auto& seen) { return Remove(seen.first); });
}

bool DeletedFiles::Remove(const std::string& name) {
  const absl::Status removed = file_system_->Remove(JoinPath(directory_, name));
  return removed.ok() || absl::IsNotFound(removed);
}

}  // namespace varve::internal
