#include "log/leftovers.h"

#include <algorithm>
#include <memory>

#include "base/path.h"
#include "base/status.h"
#include "fmt/format.h"
#include "log/unjudged_walk.h"
#include "record/batch_scanner.h"

namespace varve::internal {
namespace {

std::optional<int64_t> SmallestCleaned(const PartitionListing& listing) {
  std::optional<int64_t> smallest;
  for (const LeftoverFile& file : listing.leftovers) {
    if (file.parts.suffix != SegmentFileSuffix::kCleaned) continue;
    smallest = std::min(smallest.value_or(file.parts.base_offset), file.parts.base_offset);
  }
  return smallest;
}

bool SwapCounts(const LeftoverFile& file, const std::optional<int64_t>& smallest_cleaned) {
  return file.parts.suffix == SegmentFileSuffix::kSwap &&
         (!smallest_cleaned.has_value() || file.parts.base_offset < *smallest_cleaned);
}

bool IsCovered(int64_t base_offset, const std::optional<SwapRange>& covered) {
  return covered.has_value() && base_offset >= covered->first && base_offset < covered->second;
}

// The next offset of a swap log: it was synced before it got its name, so headers are enough. Where one
// of them is damaged, what is behind it counts for nothing: rather keep an old segment too many.
absl::StatusOr<int64_t> NextOffsetOf(FileSystem* file_system, const std::string& path, int64_t base_offset) {
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, file_system->Open(path, OpenMode::kRead));
  VARVE_ASSIGN_OR_RETURN(const uint64_t size_bytes, file->Size());
  BatchScanner scanner(file.get(), 0, size_bytes);
  int64_t next_offset = base_offset;
  while (true) {
    VARVE_ASSIGN_OR_RETURN(const bool found, NextUnjudged(&scanner, *file, static_cast<int64_t>(size_bytes)));
    if (!found) return next_offset;
    next_offset = std::max(next_offset, scanner.header().next_offset());
  }
}

absl::StatusOr<std::optional<SwapRange>> CoveredRange(FileSystem* file_system, const std::string& directory,
                                                      const PartitionListing& listing) {
  std::optional<SwapRange> covered;
  for (const LeftoverFile& file : CountingSwapLogs(listing)) {
    VARVE_ASSIGN_OR_RETURN(const int64_t next_offset,
                           NextOffsetOf(file_system, JoinPath(directory, file.name), file.parts.base_offset));
    if (!covered.has_value()) covered = SwapRange{file.parts.base_offset, next_offset};
    covered->first = std::min(covered->first, file.parts.base_offset);
    covered->second = std::max(covered->second, next_offset);
  }
  return covered;
}

}  // namespace

std::vector<LeftoverFile> CountingSwapLogs(const PartitionListing& listing) {
  const std::optional<int64_t> smallest_cleaned = SmallestCleaned(listing);
  std::vector<LeftoverFile> logs;
  for (const LeftoverFile& file : listing.leftovers) {
    if (file.parts.kind == SegmentFileKind::kLog && SwapCounts(file, smallest_cleaned)) logs.push_back(file);
  }
  return logs;
}

LeftoversPlan PlanLeftovers(const PartitionListing& listing, const std::optional<SwapRange>& covered) {
  const std::optional<int64_t> smallest_cleaned = SmallestCleaned(listing);
  LeftoversPlan plan;
  std::set<int64_t> renamed_logs;
  for (const LeftoverFile& file : listing.leftovers) {
    if (!SwapCounts(file, smallest_cleaned)) continue;
    plan.completions.emplace_back(file.name, SegmentFileName(file.parts.base_offset, file.parts.kind));
    if (file.parts.kind == SegmentFileKind::kLog) renamed_logs.insert(file.parts.base_offset);
  }
  const auto first_index = std::stable_partition(plan.completions.begin(), plan.completions.end(),
                                                 [](const auto& rename) { return rename.second.ends_with(".log"); });
  plan.index_completions.assign(first_index, plan.completions.end());
  plan.completions.erase(first_index, plan.completions.end());
  for (const LeftoverFile& file : listing.leftovers) {
    const bool unsuffixed = file.parts.suffix == SegmentFileSuffix::kNone;
    const bool orphan_gets_log = unsuffixed && renamed_logs.contains(file.parts.base_offset);
    if (SwapCounts(file, smallest_cleaned)) continue;
    if (orphan_gets_log && !IsCovered(file.parts.base_offset, covered)) continue;
    const bool revoked = file.parts.suffix == SegmentFileSuffix::kSwap;
    (revoked ? plan.revoked : plan.removals).push_back(file.name);
  }
  for (const auto& [base_offset, kinds] : listing.segments) {
    if (!IsCovered(base_offset, covered)) continue;
    for (const SegmentFileKind kind : kinds) plan.removals.push_back(SegmentFileName(base_offset, kind));
  }
  for (const int64_t offset : listing.snapshots) {
    if (IsCovered(offset, covered)) plan.removals.push_back(SegmentFileName(offset, SegmentFileKind::kSnapshot));
  }
  return plan;
}

namespace {

absl::Status RemoveAll(FileSystem* file_system, const std::string& directory, const std::vector<std::string>& names,
                       const std::string& reason, std::vector<RecoveryFinding>* findings) {
  for (const std::string& name : names) {
    // A log that is open and opened anew may be removing what it has deleted.
    absl::Status removed = file_system->Remove(JoinPath(directory, name));
    if (absl::IsNotFound(removed)) continue;
    VARVE_RETURN_IF_ERROR(removed);
    findings->push_back(
        {.action = RecoveryAction::kRemoved, .rule = "format notes 5.5", .file = name, .evidence = reason});
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ClearLeftovers(FileSystem* file_system, const std::string& directory,
                            std::vector<RecoveryFinding>* findings) {
  VARVE_ASSIGN_OR_RETURN(const PartitionListing listing, ListPartition(file_system, directory));
  VARVE_RETURN_IF_ERROR(
      RemoveAll(file_system, directory, listing.unfinished, "a copy that had not taken its file's name", findings));
  if (listing.leftovers.empty()) return absl::OkStatus();
  // The names that decide are known to the disk before anything is removed for their sake: a process that was killed
  // may have left them unsynced.
  VARVE_RETURN_IF_ERROR(file_system->SyncDirectory(directory));
  VARVE_ASSIGN_OR_RETURN(const std::optional<SwapRange> covered, CoveredRange(file_system, directory, listing));
  const LeftoversPlan plan = PlanLeftovers(listing, covered);
  const std::string reason =
      covered.has_value()
          ? fmt::format("left over; complete swaps cover offsets {}-{}", covered->first, covered->second - 1)
          : "left over by an interrupted operation, or an index without its .log";
  for (const std::vector<std::string>& names : {plan.revoked, plan.removals}) {
    VARVE_RETURN_IF_ERROR(RemoveAll(file_system, directory, names, reason, findings));
    if (!names.empty()) VARVE_RETURN_IF_ERROR(file_system->SyncDirectory(directory));
  }
  for (const auto& renames : {plan.completions, plan.index_completions}) {
    for (const auto& [from, to] : renames) {
      VARVE_RETURN_IF_ERROR(file_system->Rename(JoinPath(directory, from), JoinPath(directory, to)));
      findings->push_back({.action = RecoveryAction::kCompleted,
                           .rule = "format notes 5.5",
                           .file = to,
                           .evidence = fmt::format("{} was complete and not yet in place", from)});
    }
    if (!renames.empty()) VARVE_RETURN_IF_ERROR(file_system->SyncDirectory(directory));
  }
  return absl::OkStatus();
}

}  // namespace varve::internal
