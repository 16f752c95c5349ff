#include "log/cut_segment.h"

#include <memory>
#include <span>

#include "base/bytes.h"
#include "base/path.h"
#include "base/status.h"
#include "io/whole_file.h"
#include "log/segment_rewrite.h"
#include "segment/segment_files.h"
#include "varve/sparse_offset_index.h"
#include "varve/time_index.h"
#include "varve/transaction_index.h"

namespace varve::internal {
namespace {

// In which the files of a segment go: without its .log the others are leftovers.
constexpr SegmentFileKind kKindsInOrder[] = {SegmentFileKind::kLog, SegmentFileKind::kOffsetIndex,
                                             SegmentFileKind::kTimeIndex, SegmentFileKind::kTransactionIndex,
                                             SegmentFileKind::kSnapshot};

std::string PathOf(const std::string& directory, int64_t base_offset, SegmentFileKind kind) {
  return JoinPath(directory, SegmentFileName(base_offset, kind));
}

// How many entries of an index in file order lie below `next_offset`.
template <typename Index>
size_t EntriesBelow(const Index& index, int64_t next_offset) {
  size_t count = index.entry_count();
  while (count > 0 && index.entry(count - 1).offset >= next_offset) --count;
  return count;
}

// An index is mapped by readers: it is replaced, not shrunk. Here it is read, lest a bad sector end the process. One
// that is missing, or cannot be read and is removed, is left to be rebuilt.
template <typename Index>
absl::Status CutIndex(FileSystem* file_system, const std::string& path, int64_t base_offset, int64_t next_offset) {
  const absl::StatusOr<std::string> bytes = ReadWholeFile(file_system, path, kMaxIndexFileBytes);
  if (absl::IsNotFound(bytes.status())) return absl::OkStatus();
  if (IsFaultOfFile(bytes.status())) return file_system->Remove(path);
  VARVE_RETURN_IF_ERROR(bytes.status());
  const Index index(base_offset, AsBytes(*bytes));
  const std::span<const std::byte> kept = index.bytes().first(EntriesBelow(index, next_offset) * Index::kEntryBytes);
  return ReplaceFile(file_system, path, kept);
}

// Nothing shows that this index is missing: where it cannot be read the offset index goes too, so that the next opening
// reads the segment and makes all of them.
absl::Status CutTransactionIndex(FileSystem* file_system, const std::string& directory, int64_t base_offset,
                                 int64_t next_offset) {
  const std::string path = PathOf(directory, base_offset, SegmentFileKind::kTransactionIndex);
  absl::StatusOr<TransactionIndex> index = TransactionIndex::Open(file_system, path, base_offset);
  if (absl::IsNotFound(index.status())) return absl::OkStatus();
  if (IsFaultOfFile(index.status())) {
    const absl::Status removed = file_system->Remove(PathOf(directory, base_offset, SegmentFileKind::kOffsetIndex));
    if (!absl::IsNotFound(removed)) VARVE_RETURN_IF_ERROR(removed);
    return file_system->Remove(path);
  }
  VARVE_RETURN_IF_ERROR(index.status());
  index->TruncateTo(next_offset);
  if (index->entries().empty()) return file_system->Remove(path);
  return ReplaceFile(file_system, path, TransactionIndex::Encode(index->entries()));
}

absl::Status CopyToCutFile(FileSystem* file_system, const std::string& cut_path, const File& log, int64_t size_bytes) {
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> cut, file_system->Open(cut_path, OpenMode::kTruncate));
  VARVE_RETURN_IF_ERROR(CopyPrefix(log, size_bytes, cut.get()));
  return cut->SyncData();
}

}  // namespace

absl::Status RemoveSegmentFiles(FileSystem* file_system, const std::string& directory, int64_t base_offset) {
  for (const SegmentFileKind kind : kKindsInOrder) {
    absl::Status removed = file_system->Remove(PathOf(directory, base_offset, kind));
    if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
  }
  return absl::OkStatus();
}

absl::Status SetSegmentFilesAside(FileSystem* file_system, const std::string& directory, int64_t base_offset) {
  for (const SegmentFileKind kind : kKindsInOrder) {
    absl::Status renamed =
        file_system->Rename(PathOf(directory, base_offset, kind),
                            JoinPath(directory, SegmentFileName(base_offset, kind, SegmentFileSuffix::kDeleted)));
    if (!renamed.ok() && !absl::IsNotFound(renamed)) return renamed;
  }
  return absl::OkStatus();
}

absl::Status PrepareCut(FileSystem* file_system, const std::string& directory, int64_t base_offset,
                        int64_t size_bytes) {
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> log,
                         file_system->Open(PathOf(directory, base_offset, SegmentFileKind::kLog), OpenMode::kRead));
  VARVE_ASSIGN_OR_RETURN(const uint64_t log_size, log->Size());
  if (log_size <= static_cast<uint64_t>(size_bytes)) return absl::OkStatus();
  const std::string cut_path = JoinPath(directory, kCutFileName);
  absl::Status prepared = CopyToCutFile(file_system, cut_path, *log, size_bytes);
  if (prepared.ok()) prepared = file_system->SyncDirectory(directory);
  if (!prepared.ok()) file_system->Remove(cut_path).IgnoreError();
  return prepared;
}

absl::Status CutSegmentFiles(FileSystem* file_system, const std::string& directory, int64_t base_offset,
                             int64_t size_bytes, int64_t next_offset) {
  const std::string path = PathOf(directory, base_offset, SegmentFileKind::kLog);
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> old_file, file_system->Open(path, OpenMode::kRead));
  VARVE_ASSIGN_OR_RETURN(const uint64_t old_size, old_file->Size());
  if (old_size > static_cast<uint64_t>(size_bytes)) {
    const std::string cut_path = JoinPath(directory, kCutFileName);
    const absl::StatusOr<FileInfo> prepared = file_system->Info(cut_path);
    if (!prepared.ok() || prepared->size != static_cast<uint64_t>(size_bytes)) {
      VARVE_RETURN_IF_ERROR(CopyToCutFile(file_system, cut_path, *old_file, size_bytes));
    }
    VARVE_RETURN_IF_ERROR(file_system->Rename(cut_path, path));
  }
  VARVE_RETURN_IF_ERROR(CutIndex<SparseOffsetIndex>(
      file_system, PathOf(directory, base_offset, SegmentFileKind::kOffsetIndex), base_offset, next_offset));
  VARVE_RETURN_IF_ERROR(CutIndex<TimeIndex>(file_system, PathOf(directory, base_offset, SegmentFileKind::kTimeIndex),
                                            base_offset, next_offset));
  return CutTransactionIndex(file_system, directory, base_offset, next_offset);
}

}  // namespace varve::internal
