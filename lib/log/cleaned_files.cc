#include "log/cleaned_files.h"

#include <limits>

#include "base/path.h"
#include "base/status.h"

namespace varve::internal {

CleanedFiles::CleanedFiles(FileSystem* file_system, const std::string& directory, int64_t base_offset,
                           int64_t index_interval_bytes, int64_t segment_index_bytes)
    : file_system_(file_system),
      directory_(directory),
      base_offset_(base_offset),
      next_offset_(base_offset),
      indexes_(base_offset, index_interval_bytes, segment_index_bytes),
      aborted_(base_offset) {}

std::string CleanedFiles::Path(SegmentFileKind kind) const {
  return JoinPath(directory_, SegmentFileName(base_offset_, kind, SegmentFileSuffix::kCleaned));
}

absl::Status CleanedFiles::Create() {
  VARVE_RETURN_IF_ERROR(Remove());
  VARVE_ASSIGN_OR_RETURN(log_, file_system_->Open(Path(SegmentFileKind::kLog), OpenMode::kCreate));
  return absl::OkStatus();
}

absl::Status CleanedFiles::Append(std::span<const std::byte> batch) {
  const BatchHeader header = DecodeBatchHeader(batch.data());
  if (header.last_offset() - base_offset_ > std::numeric_limits<int32_t>::max()) {
    return Error(absl::StatusCode::kInvalidArgument, "{}: an offset at most 2^31-1 above the base expected, found {}",
                 Path(SegmentFileKind::kLog), header.last_offset());
  }
  VARVE_RETURN_IF_ERROR(indexes_.Add(header, size_bytes_));
  if (buffer_.size() + batch.size() > kBufferBytes) VARVE_RETURN_IF_ERROR(WriteBuffer());
  buffer_.insert(buffer_.end(), batch.begin(), batch.end());
  size_bytes_ += static_cast<int64_t>(batch.size());
  next_offset_ = header.next_offset();
  return absl::OkStatus();
}

absl::Status CleanedFiles::WriteBuffer() {
  if (buffer_.empty()) return absl::OkStatus();
  const uint64_t position = static_cast<uint64_t>(size_bytes_) - buffer_.size();
  VARVE_RETURN_IF_ERROR(log_->WriteAt(position, buffer_));
  // The sync at the end then has less to wait for.
  log_->StartWriteOut(position, buffer_.size());
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status CleanedFiles::WriteWhole(SegmentFileKind kind, std::span<const std::byte> bytes) {
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, file_system_->Open(Path(kind), OpenMode::kCreate));
  if (!bytes.empty()) VARVE_RETURN_IF_ERROR(file->WriteAt(0, bytes));
  return file->SyncData();
}

absl::Status CleanedFiles::Finish() {
  VARVE_RETURN_IF_ERROR(WriteBuffer());
  VARVE_RETURN_IF_ERROR(log_->SyncData());
  log_.reset();
  VARVE_RETURN_IF_ERROR(indexes_.Finish());
  const std::vector<std::byte> offset_index = indexes_.OffsetIndexBytes();
  VARVE_RETURN_IF_ERROR(WriteWhole(SegmentFileKind::kOffsetIndex, offset_index));
  const std::vector<std::byte> time_index = indexes_.TimeIndexBytes();
  VARVE_RETURN_IF_ERROR(WriteWhole(SegmentFileKind::kTimeIndex, time_index));
  const std::vector<std::byte> aborted = TransactionIndex::Encode(aborted_.entries());
  if (!aborted.empty()) VARVE_RETURN_IF_ERROR(WriteWhole(SegmentFileKind::kTransactionIndex, aborted));
  offset_index_bytes_ = static_cast<int64_t>(offset_index.size());
  time_index_bytes_ = static_cast<int64_t>(time_index.size());
  transaction_index_bytes_ = static_cast<int64_t>(aborted.size());
  return absl::OkStatus();
}

absl::Status CleanedFiles::Remove() {
  log_.reset();
  absl::Status all_gone;
  for (const SegmentFileKind kind : {SegmentFileKind::kLog, SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex,
                                     SegmentFileKind::kTransactionIndex}) {
    const absl::Status removed = file_system_->Remove(Path(kind));
    if (!absl::IsNotFound(removed)) all_gone.Update(removed);
  }
  return all_gone;
}

}  // namespace varve::internal
