#include "state/leader_epoch_cache.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "state/checkpoint_file.h"

namespace varve::internal {
namespace {

// The pure half of Assign.
void AssignTo(std::vector<LeaderEpoch>* entries, const LeaderEpoch& entry) {
  if (!entries->empty() && entries->back().epoch == entry.epoch && entry.start_offset >= entries->back().start_offset) {
    return;
  }
  while (!entries->empty() &&
         (entries->back().epoch >= entry.epoch || entries->back().start_offset >= entry.start_offset)) {
    entries->pop_back();
  }
  entries->push_back(entry);
}

// The first entry that starts above `offset`.
auto FirstStartingAbove(const std::vector<LeaderEpoch>& entries, int64_t offset) {
  return std::upper_bound(entries.begin(), entries.end(), offset,
                          [](int64_t value, const LeaderEpoch& entry) { return value < entry.start_offset; });
}

}  // namespace

absl::StatusOr<std::unique_ptr<LeaderEpochCache>> LeaderEpochCache::Open(FileSystem* file_system, std::string path) {
  std::vector<LeaderEpoch> entries;
  auto lines = ReadLeaderEpochs(file_system, path);
  if (lines.ok()) {
    for (const LeaderEpoch& line : *lines) AssignTo(&entries, line);
  } else if (absl::IsNotFound(lines.status())) {
    VARVE_RETURN_IF_ERROR(file_system->Open(path, OpenMode::kCreate).status());
  } else {
    return lines.status();
  }
  return std::unique_ptr<LeaderEpochCache>(new LeaderEpochCache(file_system, std::move(path), std::move(entries)));
}

LeaderEpochCache::LeaderEpochCache(FileSystem* file_system, std::string path, std::vector<LeaderEpoch> entries)
    : file_system_(file_system), path_(std::move(path)) {
  Publish(std::move(entries));
}

std::optional<LeaderEpoch> LeaderEpochCache::Latest() const {
  const MutexLock lock(&mutex_);
  if (entries_.empty()) return std::nullopt;
  return entries_.back();
}

std::vector<LeaderEpoch> LeaderEpochCache::entries() const {
  const MutexLock lock(&mutex_);
  return entries_;
}

std::optional<int32_t> LeaderEpochCache::EpochForOffset(int64_t offset) const {
  const MutexLock lock(&mutex_);
  const auto above = FirstStartingAbove(entries_, offset);
  if (above == entries_.begin()) return std::nullopt;
  return std::prev(above)->epoch;
}

std::optional<LeaderEpoch> LeaderEpochCache::EndOffsetFor(int32_t epoch, int64_t log_end_offset) const {
  const MutexLock lock(&mutex_);
  if (epoch < 0 || entries_.empty() || epoch > entries_.back().epoch) return std::nullopt;
  if (epoch == entries_.back().epoch) return LeaderEpoch{.epoch = epoch, .start_offset = log_end_offset};
  const auto higher = std::upper_bound(entries_.begin(), entries_.end(), epoch,
                                       [](int32_t value, const LeaderEpoch& entry) { return value < entry.epoch; });
  const int32_t known = higher == entries_.begin() ? epoch : std::prev(higher)->epoch;
  return LeaderEpoch{.epoch = known, .start_offset = higher->start_offset};
}

absl::Status LeaderEpochCache::Assign(int32_t epoch, int64_t start_offset) {
  if (epoch < 0 || start_offset < 0) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: leader epoch {} from offset {}: neither may be negative",
                 path_, epoch, start_offset);
  }
  const MutexLock lock(&writer_mutex_);
  std::vector<LeaderEpoch> changed = entries();
  AssignTo(&changed, {.epoch = epoch, .start_offset = start_offset});
  return Replace(std::move(changed));
}

absl::Status LeaderEpochCache::TruncateFromEnd(int64_t offset) {
  const MutexLock lock(&writer_mutex_);
  std::vector<LeaderEpoch> changed = entries();
  while (!changed.empty() && changed.back().start_offset >= offset) changed.pop_back();
  return Replace(std::move(changed));
}

absl::Status LeaderEpochCache::TruncateFromStart(int64_t offset) {
  const MutexLock lock(&writer_mutex_);
  std::vector<LeaderEpoch> changed = entries();
  const auto above = FirstStartingAbove(changed, offset);
  if (above == changed.begin()) return absl::OkStatus();
  const auto covering = changed.begin() + (above - changed.begin()) - 1;
  covering->start_offset = offset;
  changed.erase(changed.begin(), covering);
  return Replace(std::move(changed));
}

absl::Status LeaderEpochCache::Clear() {
  const MutexLock lock(&writer_mutex_);
  return Replace({});
}

absl::Status LeaderEpochCache::Replace(std::vector<LeaderEpoch> entries) {
  if (entries == this->entries()) return absl::OkStatus();
  VARVE_RETURN_IF_ERROR(WriteLeaderEpochs(file_system_, path_, entries));
  Publish(std::move(entries));
  return absl::OkStatus();
}

void LeaderEpochCache::Publish(std::vector<LeaderEpoch> entries) {
  const MutexLock lock(&mutex_);
  entries_ = std::move(entries);
  latest_epoch_.store(entries_.empty() ? -1 : entries_.back().epoch, std::memory_order_relaxed);
}

}  // namespace varve::internal
