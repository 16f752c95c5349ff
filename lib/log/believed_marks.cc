#include "log/believed_marks.h"

#include <algorithm>
#include <memory>

#include "base/path.h"
#include "base/status.h"
#include "fmt/format.h"
#include "segment/raw_log.h"
#include "segment/segment_files.h"

namespace varve::internal {
namespace {

constexpr char kStateRule[] = "2";

RecoveryFinding Ignored(const std::string& file, std::string evidence) {
  return {.action = RecoveryAction::kIgnored, .rule = kStateRule, .file = file, .evidence = std::move(evidence)};
}

// Whether the last batch below the point is there: its stored checksum, or, should that field itself be damaged, the
// checksum of its body.
absl::StatusOr<bool> BatchIsThere(const File& log, const DurablePoint& point) {
  RawLog raw(&log, point.position);
  VARVE_ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, raw.Read(point.batch_position, kBatchHeaderBytes));
  if (bytes.size() < kBatchHeaderBytes) return false;
  if (DecodeBatchHeader(bytes.data()).crc == point.batch_crc) return true;
  VARVE_ASSIGN_OR_RETURN(
      const std::optional<uint32_t> crc,
      raw.ExtendCrc(0, point.batch_position + static_cast<int64_t>(kAttributesPosition), point.position));
  return crc == point.batch_crc;
}

// Why the durable point does not match the files; empty if it does.
absl::StatusOr<std::string> PointFault(FileSystem* file_system, const std::string& directory,
                                       const std::vector<FoundSegment>& segments, const DurablePoint& point) {
  const auto segment = std::find_if(segments.begin(), segments.end(),
                                    [&](const FoundSegment& found) { return found.base_offset == point.segment; });
  if (segment == segments.end()) return fmt::format("segment {} absent", point.segment);
  if (segment->size_bytes < point.position) {
    return fmt::format("segment {} of at least {} bytes expected, found {}", point.segment, point.position,
                       segment->size_bytes);
  }
  if (point.batch_position < 0) return std::string();
  VARVE_ASSIGN_OR_RETURN(
      const std::unique_ptr<File> log,
      file_system->Open(JoinPath(directory, SegmentFileName(point.segment, SegmentFileKind::kLog)), OpenMode::kRead));
  VARVE_ASSIGN_OR_RETURN(const bool there, BatchIsThere(*log, point));
  if (there) return std::string();
  return fmt::format("batch with checksum {:08x} absent at position {} of segment {}", point.batch_crc,
                     point.batch_position, point.segment);
}

// Whether the page cache that varve last wrote to is the one read from now. The file last written is one of the two
// newest: the process may have died between making a segment and noting it.
absl::StatusOr<bool> CacheSurvived(FileSystem* file_system, const std::string& directory,
                                   const std::vector<FoundSegment>& segments, const PartitionStateValues& state,
                                   std::string* evidence) {
  constexpr size_t kNewest = 2;
  const std::string boot_id = file_system->BootId();
  if (boot_id.empty() || state.boot_id != boot_id) {
    *evidence = boot_id.empty() ? "boot id unknown" : "boot id changed";
    return false;
  }
  if (state.active.mount == 0 || state.active.inode == 0) {
    *evidence = "mount or inode unknown";
    return false;
  }
  for (size_t i = segments.size(); i > 0 && segments.size() - i < kNewest; --i) {
    const std::string name = SegmentFileName(segments[i - 1].base_offset, SegmentFileKind::kLog);
    VARVE_ASSIGN_OR_RETURN(const FileInfo info, file_system->Info(JoinPath(directory, name)));
    if (info.identity == state.active) {
      *evidence = "same boot id, mount and file";
      return true;
    }
  }
  *evidence = "mount id or file changed";
  return false;
}

}  // namespace

absl::StatusOr<BelievedMarks> BelieveMarks(FileSystem* file_system, const std::string& directory,
                                           const std::vector<FoundSegment>& segments,
                                           const std::optional<PartitionStateValues>& state, const OpenMarks& marks) {
  BelievedMarks believed;
  bool state_counts = state.has_value();
  if (state.has_value()) {
    VARVE_ASSIGN_OR_RETURN(const std::string fault, PointFault(file_system, directory, segments, state->durable));
    state_counts = fault.empty();
    if (!state_counts) {
      believed.findings.push_back(
          Ignored(PartitionState::kFileName, fmt::format("durable point {}: {}", state->durable.offset, fault)));
    }
  }
  believed.evidence = "no varve.state that matches the files";
  if (state_counts) {
    VARVE_ASSIGN_OR_RETURN(believed.cache_survived,
                           CacheSurvived(file_system, directory, segments, *state, &believed.evidence));
    believed.durable_point = state->durable;
    believed.durable_offset = state->durable.offset;
    believed.log_start_offset = believed.deleted_before_offset = state->log_start_offset;
    believed.written_by_varve = !marks.clean.has_value();  // else Kafka may have gone on after it
  }
  if (marks.recovery_point.has_value() && (!state_counts || *marks.recovery_point < believed.durable_offset)) {
    believed.durable_offset = std::max<int64_t>(0, *marks.recovery_point);
    believed.durable_point.reset();
  }
  believed.log_start_offset = std::max(believed.log_start_offset, marks.log_start_offset.value_or(0));
  believed.clean =
      (state_counts || marks.clean.has_value()) && (!state_counts || state->clean) && marks.clean.value_or(true);
  return believed;
}

}  // namespace varve::internal
