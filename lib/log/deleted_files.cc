#include "log/deleted_files.h"

#include <utility>

#include "absl/status/statusor.h"
#include "base/path.h"
#include "log/partition_listing.h"

namespace varve::internal {

DeletedFiles::DeletedFiles(FileSystem* file_system, Clock* clock, std::string directory, int64_t delay_ms)
    : file_system_(file_system), clock_(clock), directory_(std::move(directory)), delay_ms_(delay_ms) {}

int64_t DeletedFiles::RemoveDue() {
  const absl::MutexLock lock(&mutex_);
  const absl::StatusOr<PartitionListing> listing = ListPartition(file_system_, directory_);
  if (!listing.ok()) return static_cast<int64_t>(seen_ns_.size());
  constexpr int64_t kNsPerMs = 1'000'000;
  const int64_t now_ns = clock_->MonotonicNs();
  std::map<std::string, int64_t> left;
  for (const LeftoverFile& file : listing->leftovers) {
    if (file.parts.suffix != SegmentFileSuffix::kDeleted) continue;
    const auto seen = seen_ns_.find(file.name);
    const int64_t seen_ns = seen != seen_ns_.end() ? seen->second : now_ns;
    if ((now_ns - seen_ns) / kNsPerMs >= delay_ms_ && Remove(file.name)) continue;
    left.emplace(file.name, seen_ns);
  }
  seen_ns_ = std::move(left);
  return static_cast<int64_t>(seen_ns_.size());
}

void DeletedFiles::RemoveAll() {
  const absl::MutexLock lock(&mutex_);
  std::erase_if(seen_ns_, [this](const auto& seen) { return Remove(seen.first); });
}

bool DeletedFiles::Remove(const std::string& name) {
  const absl::Status removed = file_system_->Remove(JoinPath(directory_, name));
  return removed.ok() || absl::IsNotFound(removed);
}

}  // namespace varve::internal
