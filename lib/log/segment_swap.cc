#include "log/segment_swap.h"

#include <array>
#include <cstddef>
#include <vector>

#include "base/path.h"
#include "base/status.h"
#include "log/partition_listing.h"
#include "segment/segment_files.h"

namespace varve::internal {
namespace {

constexpr std::array kIndexKinds = {SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex,
                                    SegmentFileKind::kTransactionIndex};

// Renames within one directory.
class Names {
 public:
  Names(FileSystem* file_system, const std::string& directory) : file_system_(file_system), directory_(directory) {}

  [[nodiscard]] absl::Status Move(int64_t base_offset, SegmentFileKind kind, SegmentFileSuffix from,
                                  SegmentFileSuffix to) {
    return file_system_->Rename(Path(base_offset, kind, from), Path(base_offset, kind, to));
  }
  // One that need not be there.
  [[nodiscard]] absl::Status MoveIfThere(int64_t base_offset, SegmentFileKind kind, SegmentFileSuffix from,
                                         SegmentFileSuffix to) {
    absl::Status moved = Move(base_offset, kind, from, to);
    return absl::IsNotFound(moved) ? absl::OkStatus() : moved;
  }
  [[nodiscard]] absl::Status SetAside(int64_t base_offset, SegmentFileKind kind) {
    return MoveIfThere(base_offset, kind, SegmentFileSuffix::kNone, SegmentFileSuffix::kDeleted);
  }
  [[nodiscard]] absl::Status Remove(const std::string& name) {
    absl::Status removed = file_system_->Remove(JoinPath(directory_, name));
    return absl::IsNotFound(removed) ? absl::OkStatus() : removed;
  }
  [[nodiscard]] absl::Status Sync() { return file_system_->SyncDirectory(directory_); }

 private:
  [[nodiscard]] std::string Path(int64_t base_offset, SegmentFileKind kind, SegmentFileSuffix suffix) const {
    return JoinPath(directory_, SegmentFileName(base_offset, kind, suffix));
  }

  FileSystem* const file_system_;
  const std::string& directory_;
};

}  // namespace

absl::Status ProposeSwap(FileSystem* file_system, const std::string& directory, int64_t base_offset) {
  Names names(file_system, directory);
  VARVE_RETURN_IF_ERROR(names.Sync());
  for (const SegmentFileKind kind : kIndexKinds) {
    VARVE_RETURN_IF_ERROR(names.MoveIfThere(base_offset, kind, SegmentFileSuffix::kCleaned, SegmentFileSuffix::kSwap));
  }
  return names.Move(base_offset, SegmentFileKind::kLog, SegmentFileSuffix::kCleaned, SegmentFileSuffix::kSwap);
}

// A .swap without its .log would be completed, and one without its indexes too: first the .log revokes them all, then
// they go, then it.
absl::Status RevokeSwap(FileSystem* file_system, const std::string& directory) {
  VARVE_ASSIGN_OR_RETURN(const PartitionListing listing, ListPartition(file_system, directory));
  Names names(file_system, directory);
  std::vector<std::string> swaps;
  std::vector<std::string> cleaned;
  for (const LeftoverFile& file : listing.leftovers) {
    const auto& [base_offset, kind, suffix] = file.parts;
    if (suffix == SegmentFileSuffix::kCleaned) cleaned.push_back(file.name);
    if (suffix != SegmentFileSuffix::kSwap) continue;
    if (kind != SegmentFileKind::kLog) {
      swaps.push_back(file.name);
      continue;
    }
    VARVE_RETURN_IF_ERROR(names.Move(base_offset, kind, SegmentFileSuffix::kSwap, SegmentFileSuffix::kCleaned));
    cleaned.push_back(SegmentFileName(base_offset, kind, SegmentFileSuffix::kCleaned));
  }
  if (!swaps.empty()) VARVE_RETURN_IF_ERROR(names.Sync());
  for (const std::string& name : swaps) VARVE_RETURN_IF_ERROR(names.Remove(name));
  if (!swaps.empty()) VARVE_RETURN_IF_ERROR(names.Sync());
  for (const std::string& name : cleaned) VARVE_RETURN_IF_ERROR(names.Remove(name));
  return absl::OkStatus();
}

absl::Status CompleteSwap(FileSystem* file_system, const std::string& directory, std::span<const int64_t> replaced,
                          int64_t next_offset) {
  Names names(file_system, directory);
  VARVE_RETURN_IF_ERROR(names.Sync());
  const int64_t base_offset = replaced.front();
  size_t covered = 1;  // the first one's name is the new segment's
  while (covered < replaced.size() && replaced[covered] < next_offset) ++covered;
  for (size_t index = 0; index < replaced.size(); ++index) {
    VARVE_RETURN_IF_ERROR(names.SetAside(replaced[index], SegmentFileKind::kLog));
    if (index + 1 >= covered) VARVE_RETURN_IF_ERROR(names.Sync());
  }
  for (const int64_t old_base : replaced) {
    for (const SegmentFileKind kind : kIndexKinds) VARVE_RETURN_IF_ERROR(names.SetAside(old_base, kind));
    if (old_base != base_offset) VARVE_RETURN_IF_ERROR(names.SetAside(old_base, SegmentFileKind::kSnapshot));
  }
  VARVE_RETURN_IF_ERROR(
      names.Move(base_offset, SegmentFileKind::kLog, SegmentFileSuffix::kSwap, SegmentFileSuffix::kNone));
  VARVE_RETURN_IF_ERROR(names.Sync());
  for (const SegmentFileKind kind : kIndexKinds) {
    VARVE_RETURN_IF_ERROR(names.MoveIfThere(base_offset, kind, SegmentFileSuffix::kSwap, SegmentFileSuffix::kNone));
  }
  return names.Sync();
}

}  // namespace varve::internal
