#include "log/source_reader.h"

#include <utility>

#include "base/path.h"
#include "base/status.h"
#include "segment/segment_files.h"

namespace varve::internal {

SourceReader::SourceReader(FileSystem* file_system, std::string directory, std::vector<SourceSegment> segments)
    : file_system_(file_system), directory_(std::move(directory)), segments_(std::move(segments)) {}

absl::StatusOr<bool> SourceReader::Next() {
  for (; index_ < segments_.size(); ++index_) {
    if (file_ == nullptr) VARVE_RETURN_IF_ERROR(Open());
    VARVE_ASSIGN_OR_RETURN(const bool found, NextInSegment());
    if (found) return true;
    file_.reset();
  }
  return false;
}

absl::Status SourceReader::Open() {
  const std::string path = JoinPath(directory_, SegmentFileName(segment().base_offset, SegmentFileKind::kLog));
  if (!segment().damage.empty()) {
    const DamagedRange& damage = segment().damage.front();
    return Error(absl::StatusCode::kDataLoss, "{}, position {}: {} damaged bytes, offsets {} to {} ({})", path,
                 damage.position, damage.bytes, damage.first_offset, damage.last_offset, damage.reason);
  }
  VARVE_ASSIGN_OR_RETURN(file_, file_system_->Open(path, OpenMode::kRead));
  walk_.emplace(file_.get(), 0, static_cast<uint64_t>(segment().size_bytes));
  next_offset_ = segment().base_offset;
  return absl::OkStatus();
}

absl::StatusOr<bool> SourceReader::NextInSegment() {
  VARVE_ASSIGN_OR_RETURN(const bool found, walk_->Next());
  if (!found) {
    if (walk_->end() == ScanEnd::kLimit) return false;
    return Locate(absl::DataLossError(walk_->reason()));
  }
  if (!walk_->crc_matches()) {
    return Locate(Error(absl::StatusCode::kDataLoss, "a checksum of {:08x} expected, found {:08x}", header().crc,
                        walk_->computed_crc()));
  }
  VARVE_RETURN_IF_ERROR(CheckOffsets());
  bytes_read_ += static_cast<int64_t>(header().size_bytes);
  return true;
}

absl::Status SourceReader::CheckOffsets() {
  const int64_t next_base_offset = segment().next_base_offset;
  if (!HasSaneOffsets(header()) || header().base_offset < next_offset_ || header().next_offset() > next_base_offset) {
    return Locate(Error(absl::StatusCode::kDataLoss, "offsets from {} to {} expected, found {} and {} more",
                        next_offset_, next_base_offset - 1, header().base_offset, header().last_offset_delta));
  }
  next_offset_ = header().next_offset();
  return absl::OkStatus();
}

absl::Status SourceReader::Locate(const absl::Status& status) const {
  return Annotate(status, fmt::format("{}, position {}", file_->path(), walk_->position()));
}

}  // namespace varve::internal
