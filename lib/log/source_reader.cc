#include "log/source_reader.h"

#include <utility>

#include "base/path.h"
#include "base/status.h"
#include "segment/segment_files.h"

namespace varve::internal {

absl::StatusOr<std::unique_ptr<SourceReader>> SourceReader::Open(FileSystem* file_system, const std::string& directory,
                                                                 const SourceSegment& segment,
                                                                 const ReadObserver* on_read) {
  const std::string path = JoinPath(directory, SegmentFileName(segment.base_offset, SegmentFileKind::kLog));
  if (!segment.damage.empty()) {
    const DamagedRange& damage = segment.damage.front();
    return Error(absl::StatusCode::kDataLoss, "{}, position {}: {} damaged bytes, offsets {} to {} ({})", path,
                 damage.position, damage.bytes, damage.first_offset, damage.last_offset, damage.reason);
  }
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<File> file, file_system->Open(path, OpenMode::kRead));
  return std::unique_ptr<SourceReader>(new SourceReader(std::move(file), segment, on_read));
}

SourceReader::SourceReader(std::unique_ptr<File> file, const SourceSegment& segment, const ReadObserver* on_read)
    : file_(std::move(file)),
      walk_(file_.get(), 0, static_cast<uint64_t>(segment.size_bytes)),
      next_offset_(segment.base_offset),
      next_base_offset_(segment.next_base_offset),
      on_read_(on_read) {}

absl::StatusOr<bool> SourceReader::Next() {
  VARVE_ASSIGN_OR_RETURN(const bool found, walk_.Next());
  if (!found) {
    if (walk_.end() == ScanEnd::kLimit) return false;
    return Locate(absl::DataLossError(walk_.reason()));
  }
  if (!walk_.crc_matches()) {
    return Locate(Error(absl::StatusCode::kDataLoss, "a checksum of {:08x} expected, found {:08x}", header().crc,
                        walk_.computed_crc()));
  }
  VARVE_RETURN_IF_ERROR(CheckOffsets());
  if (on_read_ != nullptr && *on_read_) {
    VARVE_RETURN_IF_ERROR((*on_read_)(static_cast<int64_t>(header().size_bytes)));
  }
  return true;
}

absl::Status SourceReader::CheckOffsets() {
  if (!HasSaneOffsets(header()) || header().base_offset < next_offset_ || header().next_offset() > next_base_offset_) {
    return Locate(Error(absl::StatusCode::kDataLoss, "offsets from {} to {} expected, found {} and {} more",
                        next_offset_, next_base_offset_ - 1, header().base_offset, header().last_offset_delta));
  }
  next_offset_ = header().next_offset();
  return absl::OkStatus();
}

absl::Status SourceReader::Locate(const absl::Status& status) const {
  return Annotate(status, fmt::format("{}, position {}", file_->path(), walk_.position()));
}

}  // namespace varve::internal
