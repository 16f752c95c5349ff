#include "log/epoch_rebuild.h"

#include <cstdint>

#include "base/path.h"
#include "base/status.h"
#include "log/unjudged_walk.h"
#include "record/batch_scanner.h"
#include "segment/segment_files.h"
#include "state/checkpoint_file.h"

namespace varve::internal {
namespace {

// The epochs of one segment's batches, where they rise. A walk that ends early leaves out the rest.
absl::Status CollectEpochs(const File& log, int64_t size_bytes, std::vector<LeaderEpoch>* epochs) {
  BatchScanner scanner(&log, 0, static_cast<uint64_t>(size_bytes));
  while (true) {
    VARVE_ASSIGN_OR_RETURN(const bool found, NextUnjudged(&scanner, log, size_bytes));
    if (!found) return absl::OkStatus();
    const int32_t epoch = scanner.header().leader_epoch;
    if (epoch < 0 || (!epochs->empty() && epoch <= epochs->back().epoch)) continue;
    epochs->push_back({.epoch = epoch, .start_offset = scanner.header().base_offset});
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<LeaderEpochCache>> OpenEpochs(FileSystem* file_system, const std::string& directory,
                                                             const std::vector<PlannedSegment>& segments,
                                                             std::vector<RecoveryFinding>* findings) {
  const std::string path = JoinPath(directory, kLeaderEpochCheckpoint);
  absl::StatusOr<std::unique_ptr<LeaderEpochCache>> cache = LeaderEpochCache::Open(file_system, path);
  if (!IsFaultOfFile(cache.status())) return cache;
  std::vector<LeaderEpoch> epochs;
  for (const PlannedSegment& segment : segments) {
    const std::string name = SegmentFileName(segment.found.base_offset, SegmentFileKind::kLog);
    VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> log,
                           file_system->Open(JoinPath(directory, name), OpenMode::kRead));
    VARVE_RETURN_IF_ERROR(CollectEpochs(*log, segment.found.size_bytes, &epochs));
  }
  VARVE_RETURN_IF_ERROR(WriteLeaderEpochs(file_system, path, epochs));
  findings->push_back({.action = RecoveryAction::kRebuilt,
                       .rule = "8",
                       .file = kLeaderEpochCheckpoint,
                       .evidence = std::string(cache.status().message())});
  return LeaderEpochCache::Open(file_system, path);
}

}  // namespace varve::internal
