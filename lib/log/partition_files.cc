#include "varve/partition_files.h"

#include <charconv>
#include <optional>
#include <utility>

#include "base/status.h"
#include "log/believed_marks.h"
#include "log/partition_listing.h"
#include "log/partition_lock.h"
#include "log/partition_state.h"
#include "log/saved_aside.h"
#include "segment/segment_files.h"
#include "state/checkpoint_file.h"

namespace varve {
namespace {

using internal::SegmentFileKind;
using internal::SegmentFileSuffix;

constexpr std::string_view kPartitionMetadataName = "partition.metadata";
constexpr std::string_view kSavedAsidePrefix = internal::kCutFilePrefix;
constexpr std::string_view kOwnPrefix = "varve.";

PartitionFileKind KindOf(SegmentFileKind kind) {
  switch (kind) {
    case SegmentFileKind::kLog:
      return PartitionFileKind::kLog;
    case SegmentFileKind::kOffsetIndex:
      return PartitionFileKind::kOffsetIndex;
    case SegmentFileKind::kTimeIndex:
      return PartitionFileKind::kTimeIndex;
    case SegmentFileKind::kTransactionIndex:
      return PartitionFileKind::kTransactionIndex;
    case SegmentFileKind::kSnapshot:
      return PartitionFileKind::kSnapshot;
  }
  return PartitionFileKind::kOther;
}

// The number behind the prefix, which may have a suffix that tells it from an earlier one.
int64_t LeadingNumber(std::string_view text) {
  int64_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end != text.data() ? number : -1;
}

}  // namespace

PartitionFile ClassifyPartitionFile(std::string_view name) {
  PartitionFile file{.name = std::string(name)};
  if (const std::optional<internal::ParsedSegmentFile> parsed = internal::ParseSegmentFileName(name)) {
    file.offset = parsed->base_offset;
    file.kind = parsed->suffix == SegmentFileSuffix::kNone ? KindOf(parsed->kind) : PartitionFileKind::kLeftover;
  } else if (name == internal::kLeaderEpochCheckpoint) {
    file.kind = PartitionFileKind::kLeaderEpochs;
  } else if (name == kPartitionMetadataName) {
    file.kind = PartitionFileKind::kPartitionMetadata;
  } else if (name.starts_with(kSavedAsidePrefix)) {
    file.kind = PartitionFileKind::kSavedAside;
    file.offset = LeadingNumber(name.substr(kSavedAsidePrefix.size()));
  } else if (name.starts_with(kOwnPrefix)) {
    file.kind = PartitionFileKind::kOwn;
  }
  return file;
}

absl::StatusOr<std::vector<PartitionFile>> ListPartitionFiles(FileSystem* file_system, const std::string& directory) {
  VARVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, file_system->List(directory));
  std::vector<PartitionFile> files;
  files.reserve(names.size());
  for (const std::string& name : names) files.push_back(ClassifyPartitionFile(name));
  return files;
}

absl::StatusOr<MergedMarks> MergeMarks(FileSystem* file_system, const std::string& directory, const OpenMarks& beside) {
  VARVE_ASSIGN_OR_RETURN(const std::optional<internal::PartitionStateValues> state,
                         internal::PartitionState::Peek(file_system, directory));
  VARVE_ASSIGN_OR_RETURN(const internal::PartitionListing listing, internal::ListPartition(file_system, directory));
  VARVE_ASSIGN_OR_RETURN(const std::vector<internal::FoundSegment> segments,
                         internal::FindSegments(file_system, directory, listing));
  VARVE_ASSIGN_OR_RETURN(const internal::BelievedMarks believed,
                         internal::BelieveMarks(file_system, directory, segments, state, beside));
  return MergedMarks{.clean = believed.clean,
                     .recovery_point = believed.durable_offset,
                     .log_start_offset = believed.log_start_offset,
                     .first_dirty_offset = believed.first_dirty_offset};
}

absl::Status CheckNoWriter(FileSystem* file_system, const std::string& directory) {
  return internal::CheckUnlocked(file_system, directory);
}

absl::StatusOr<bool> PartitionHasWriter(FileSystem* file_system, const std::string& directory) {
  return internal::PartitionIsLocked(file_system, directory);
}

}  // namespace varve
