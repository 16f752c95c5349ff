#include "segment/transaction_index_writer.h"

#include <utility>

#include "base/path.h"
#include "base/status.h"
#include "segment/segment_files.h"

namespace varve::internal {

TransactionIndexWriter::TransactionIndexWriter(std::shared_ptr<FileSystem> file_system, const std::string& directory,
                                               int64_t base_offset)
    : file_system_(std::move(file_system)),
      path_(JoinPath(directory, SegmentFileName(base_offset, SegmentFileKind::kTransactionIndex))) {}

absl::Status TransactionIndexWriter::OpenFile() {
  absl::StatusOr<std::unique_ptr<File>> file = file_system_->Open(path_, OpenMode::kReadWrite);
  if (absl::IsNotFound(file.status())) file = file_system_->Open(path_, OpenMode::kCreate);
  VARVE_RETURN_IF_ERROR(file.status());
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, (*file)->Size());
  entry_count_ = size / TransactionIndex::kEntryBytes;
  file_ = *std::move(file);
  return absl::OkStatus();
}

absl::Status TransactionIndexWriter::Append(std::span<const AbortedTransaction> transactions) {
  if (file_ == nullptr) VARVE_RETURN_IF_ERROR(OpenFile());
  absl::Status written =
      file_->WriteAt(entry_count_ * TransactionIndex::kEntryBytes, TransactionIndex::Encode(transactions));
  if (!written.ok()) {
    VARVE_RETURN_IF_ERROR(TakeBack());
    return written;
  }
  entry_count_ += transactions.size();
  return absl::OkStatus();
}

// An entry half written would put those behind it out of step. A full disk that does not even let the file be cut is no
// case in which nothing has changed.
absl::Status TransactionIndexWriter::TakeBack() {
  absl::Status cut = file_->Truncate(entry_count_ * TransactionIndex::kEntryBytes);
  if (cut.ok()) return cut;
  return Error(absl::StatusCode::kInternal, "{}: the entries of an append that failed cannot be taken back: {}", path_,
               std::string_view(cut.message().data(), cut.message().size()));
}

}  // namespace varve::internal
