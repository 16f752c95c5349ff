#include "segment/append_transaction.h"

#include <array>
#include <cstddef>
#include <memory>

#include "base/path.h"
#include "base/status.h"
#include "segment/segment_files.h"

namespace varve::internal {

absl::Status AppendToTransactionIndex(FileSystem* file_system, const std::string& directory, int64_t base_offset,
                                      const AbortedTransaction& transaction) {
  const std::string path = JoinPath(directory, SegmentFileName(base_offset, SegmentFileKind::kTransactionIndex));
  absl::StatusOr<std::unique_ptr<File>> file = file_system->Open(path, OpenMode::kReadWrite);
  if (absl::IsNotFound(file.status())) file = file_system->Open(path, OpenMode::kCreate);
  VARVE_RETURN_IF_ERROR(file.status());
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, (*file)->Size());
  std::array<std::byte, TransactionIndex::kEntryBytes> entry;
  TransactionIndex::Encode(transaction, entry);
  return (*file)->WriteAt(size, entry);
}

}  // namespace varve::internal
