#include "log/partition_listing.h"

#include <optional>
#include <string_view>

#include "base/path.h"
#include "base/status.h"
#include "log/cut_segment.h"
#include "varve/partition_files.h"

namespace varve::internal {

bool PartitionListing::Has(int64_t base_offset, SegmentFileKind kind) const {
  const auto segment = segments.find(base_offset);
  return segment != segments.end() && segment->second.contains(kind);
}

std::vector<int64_t> PartitionListing::BaseOffsets() const {
  std::vector<int64_t> base_offsets;
  base_offsets.reserve(segments.size());
  for (const auto& [base_offset, kinds] : segments) base_offsets.push_back(base_offset);
  return base_offsets;
}

namespace {

// NAME.tmp is how a file that is replaced whole is written; of names that are not a partition's, nothing is known.
bool IsUnfinished(std::string_view name) {
  constexpr std::string_view kTemporary = ".tmp";
  if (name == kCutFileName) return true;
  if (!name.ends_with(kTemporary)) return false;
  name.remove_suffix(kTemporary.size());
  return ClassifyPartitionFile(name).kind != PartitionFileKind::kOther;
}

}  // namespace

PartitionListing SortNames(const std::vector<std::string>& names) {
  PartitionListing listing;
  std::vector<LeftoverFile> indexes;
  for (const std::string& name : names) {
    const std::optional<ParsedSegmentFile> parts = ParseSegmentFileName(name);
    if (!parts.has_value()) {
      if (IsUnfinished(name)) listing.unfinished.push_back(name);
      continue;
    }
    if (parts->suffix != SegmentFileSuffix::kNone) {
      listing.leftovers.push_back({name, *parts});
    } else if (parts->kind == SegmentFileKind::kSnapshot) {
      listing.snapshots.insert(parts->base_offset);
    } else if (parts->kind == SegmentFileKind::kLog) {
      listing.segments[parts->base_offset].insert(SegmentFileKind::kLog);
    } else {
      indexes.push_back({name, *parts});
    }
  }
  for (const LeftoverFile& index : indexes) {
    const auto segment = listing.segments.find(index.parts.base_offset);
    if (segment == listing.segments.end()) {
      listing.leftovers.push_back(index);
    } else {
      segment->second.insert(index.parts.kind);
    }
  }
  return listing;
}

absl::StatusOr<PartitionListing> ListPartition(FileSystem* file_system, const std::string& directory) {
  VARVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, file_system->List(directory));
  return SortNames(names);
}

absl::StatusOr<std::vector<FoundSegment>> FindSegments(FileSystem* file_system, const std::string& directory,
                                                       const PartitionListing& listing) {
  std::vector<FoundSegment> found;
  for (const auto& [base_offset, kinds] : listing.segments) {
    const std::string name = SegmentFileName(base_offset, SegmentFileKind::kLog);
    VARVE_ASSIGN_OR_RETURN(const FileInfo info, file_system->Info(JoinPath(directory, name)));
    found.push_back(
        {.base_offset = base_offset, .size_bytes = static_cast<int64_t>(info.size), .identity = info.identity});
  }
  return found;
}

}  // namespace varve::internal
