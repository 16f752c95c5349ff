#include "log/believed_marks.h"

#include <algorithm>
#include <memory>

#include "base/path.h"
#include "base/status.h"
#include "fmt/format.h"
#include "log/tail_check.h"
#include "record/batch_scanner.h"
#include "segment/damage_analysis.h"
#include "segment/raw_log.h"
#include "segment/segment_files.h"
#include "state/checkpoint_file.h"

namespace varve::internal {
namespace {

constexpr char kStateRule[] = "2";

RecoveryFinding Ignored(const std::string& file, std::string evidence) {
  return {.action = RecoveryAction::kIgnored, .rule = kStateRule, .file = file, .evidence = std::move(evidence)};
}

// True if the file that varve wrote last is still one of the segments: by inode and birth time, as a restart changes
// the mount and may change the device.
bool HasLastWritten(const std::vector<FoundSegment>& segments, const FileIdentity& last_written) {
  return std::any_of(segments.begin(), segments.end(), [&](const FoundSegment& segment) {
    return segment.identity.inode == last_written.inode && segment.identity.birth_ns == last_written.birth_ns;
  });
}

// Whether the last batch below the point is there: its stored checksum, or, should that field itself be damaged, the
// checksum of its body.
absl::StatusOr<bool> BatchIsThere(RawLog& raw, const DurablePoint& point) {
  VARVE_ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, raw.Read(point.batch_position, kBatchHeaderBytes));
  if (bytes.size() < kBatchHeaderBytes) return false;
  if (DecodeBatchHeader(bytes.data()).crc == point.batch_crc) return true;
  VARVE_ASSIGN_OR_RETURN(
      const std::optional<uint32_t> crc,
      raw.ExtendCrc(0, point.batch_position + static_cast<int64_t>(kAttributesPosition), point.position));
  return crc == point.batch_crc;
}

// The position of a good batch that lies where the point's last one cannot have lain, if any: on its place, across its
// first byte or across its end. Bytes that batches do not lead to prove nothing: a record's value may hold batches.
absl::StatusOr<std::optional<int64_t>> OtherBatch(const File& log, RawLog& raw, const DurablePoint& point,
                                                  const std::vector<OffsetPosition>& index_entries) {
  int64_t start = 0;
  for (const OffsetPosition& entry : index_entries) {
    if (entry.position > point.batch_position) break;
    VARVE_ASSIGN_OR_RETURN(const bool agrees, EntryAgrees(raw, entry));
    if (agrees) start = entry.position;
  }
  BatchScanner scanner(&log, static_cast<uint64_t>(start), static_cast<uint64_t>(raw.size_bytes()));
  while (true) {
    const absl::StatusOr<bool> found = scanner.Next();
    if (absl::IsInternal(found.status()) || absl::IsUnimplemented(found.status())) return std::nullopt;
    if (!found.ok()) return found.status();
    const int64_t position = static_cast<int64_t>(scanner.position());
    if (!*found) return std::nullopt;
    const int64_t end = position + static_cast<int64_t>(scanner.header().size_bytes);
    if (end <= point.batch_position) continue;
    VARVE_ASSIGN_OR_RETURN(const std::optional<BatchHeader> good, raw.ValidBatchAt(position));
    // Its own batch, which could not be read a moment ago, is no other.
    const bool is_own = good.has_value() && position == point.batch_position && good->crc == point.batch_crc;
    return good.has_value() && !is_own ? std::optional(position) : std::nullopt;
  }
}

// Whether the page cache that varve last wrote to is the one read from now. The file last written is one of the two
// newest: the process may have died between making a segment and noting it.
bool CacheSurvived(const std::string& boot_id, const std::vector<FoundSegment>& segments,
                   const PartitionStateValues& state, std::string* evidence) {
  constexpr size_t kNewest = 2;
  if (boot_id.empty() || state.boot_id != boot_id) {
    *evidence = boot_id.empty() ? "boot id unknown" : "boot id changed";
    return false;
  }
  if (state.active.mount == 0 || state.active.inode == 0) {
    *evidence = "mount or inode unknown";
    return false;
  }
  for (size_t i = segments.size(); i > 0 && segments.size() - i < kNewest; --i) {
    if (segments[i - 1].identity == state.active) {
      *evidence = "same boot id, mount and file";
      return true;
    }
  }
  *evidence = "mount id or file changed";
  return false;
}

}  // namespace

absl::StatusOr<std::string> ReasonPointIsVoid(FileSystem* file_system, const std::string& directory,
                                              const std::vector<FoundSegment>& segments,
                                              const PartitionStateValues& state) {
  const DurablePoint& point = state.durable;
  const auto segment = std::find_if(segments.begin(), segments.end(),
                                    [&](const FoundSegment& found) { return found.base_offset == point.segment; });
  if (segment == segments.end()) return fmt::format("segment {} absent", point.segment);
  if (segment->size_bytes < point.position && state.active.inode != 0 && !HasLastWritten(segments, state.active)) {
    return fmt::format("segment {} of at least {} bytes expected, found {} in another file", point.segment,
                       point.position, segment->size_bytes);
  }
  if (point.batch_position < 0) return std::string();
  const std::string name = SegmentFileName(point.segment, SegmentFileKind::kLog);
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> log,
                         file_system->Open(JoinPath(directory, name), OpenMode::kRead));
  RawLog raw(log.get(), segment->size_bytes);
  VARVE_ASSIGN_OR_RETURN(const bool there, BatchIsThere(raw, point));
  if (there) return std::string();
  VARVE_ASSIGN_OR_RETURN(const std::optional<int64_t> other,
                         OtherBatch(*log, raw, point, RisingIndexEntries(file_system, directory, *segment)));
  if (!other.has_value()) return std::string();
  return fmt::format("batch with checksum {:08x} absent at position {} of segment {}: another one at position {}",
                     point.batch_crc, point.batch_position, point.segment, *other);
}

absl::StatusOr<BelievedMarks> BelieveMarks(FileSystem* file_system, const std::string& directory,
                                           const std::vector<FoundSegment>& segments,
                                           const std::optional<PartitionStateValues>& state, const OpenMarks& marks) {
  BelievedMarks believed;
  believed.state_counts = state.has_value();
  if (state.has_value()) {
    VARVE_ASSIGN_OR_RETURN(const std::string fault, ReasonPointIsVoid(file_system, directory, segments, *state));
    believed.state_counts = fault.empty();
    if (!believed.state_counts) {
      believed.findings.push_back(
          Ignored(PartitionState::kFileName, fmt::format("durable point {}: {}", state->durable.offset, fault)));
      if (state->log_start_offset > 0) believed.doubtful_log_start_offset = state->log_start_offset;
    }
  }
  believed.evidence = "no varve.state that matches the files";
  if (believed.state_counts) {
    believed.cache_survived = CacheSurvived(file_system->BootId(), segments, *state, &believed.evidence);
    believed.durable_point = state->durable;
    believed.durable_offset = state->durable.offset;
    believed.log_start_offset = believed.deleted_before_offset = state->log_start_offset;
    believed.first_dirty_offset = state->first_dirty_offset;
    if (!marks.clean.has_value() && !state->clean) believed.unbroken_from_offset = state->durable.offset;
  }
  if (marks.recovery_point.has_value() && (!believed.state_counts || *marks.recovery_point < believed.durable_offset)) {
    believed.durable_offset = std::max<int64_t>(0, *marks.recovery_point);
    believed.durable_point.reset();
  }
  const int64_t marked_start = marks.log_start_offset.value_or(0);
  if (believed.state_counts && marked_start > state->log_start_offset && marked_start == state->superseded_log_start) {
    believed.findings.push_back(
        Ignored(kLogStartOffsetCheckpoint,
                fmt::format("log start {} is of before the log was started anew below it; {} says {}", marked_start,
                            PartitionState::kFileName, state->log_start_offset)));
  } else {
    believed.log_start_offset = std::max(believed.log_start_offset, marked_start);
  }
  believed.clean = (believed.state_counts || marks.clean.has_value()) && (!believed.state_counts || state->clean) &&
                   marks.clean.value_or(true);
  return believed;
}

std::vector<int64_t> SetDeletedAside(const BelievedMarks& marks, std::vector<FoundSegment>* segments) {
  std::vector<int64_t> deleted;
  while (segments->size() > deleted.size() + 1 &&
         (*segments)[deleted.size() + 1].base_offset <= marks.deleted_before_offset) {
    deleted.push_back((*segments)[deleted.size()].base_offset);
  }
  segments->erase(segments->begin(), segments->begin() + static_cast<std::ptrdiff_t>(deleted.size()));
  return deleted;
}

}  // namespace varve::internal
