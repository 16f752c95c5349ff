// Copies of partition directories, made aside and given their name when they are whole.
//
// Thread rules: free functions; nobody else uses the directories meanwhile.
#ifndef VARVE_LIB_STORE_PARTITION_COPY_H_
#define VARVE_LIB_STORE_PARTITION_COPY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/file_system.h"
#include "varve/log_options.h"
#include "varve/partition_files.h"

namespace varve::internal {

// 32 hexadecimal digits that no other directory has, as Kafka gives them to directories on their way in or out.
[[nodiscard]] std::string UniqueSuffix();

// True if `name_with` makes `name` of some unique suffix.
[[nodiscard]] bool IsNameWithUniqueSuffix(std::string_view name,
                                          const std::function<std::string(std::string_view unique)>& name_with);

// The longest name that file systems take.
inline constexpr size_t kMaxNameBytes = 255;

// `name` and `suffix`, the name cut short where both are longer than a name may be.
[[nodiscard]] std::string CappedName(std::string_view name, std::string_view suffix);

// Called with a file's copy before it is synced, to change it.
using AmendCopy = std::function<absl::Status(const PartitionFile& file, File* copy)>;

// Where the bytes are for certain that are copied.
enum class SourceBytes {
  kStable,         // on the disk: they may be copied by reference, where the file system can
  kPerhapsCached,  // the disk may lack them though the page cache, after a failed sync, takes them for clean: they are
                   // read and written, as what is shared is what the disk has
};

// Copies these files of `from` into the new directory `to`, and syncs them and both names of each: after it nothing of
// the copy can get lost, once the directory's own name is synced. Answers their bytes. kAlreadyExists: `to`. After an
// error, part of it may be there.
[[nodiscard]] absl::StatusOr<int64_t> CopyPartitionFiles(FileSystem* file_system, const std::string& from,
                                                         const std::vector<PartitionFile>& files, const std::string& to,
                                                         SourceBytes source_bytes, const ProgressCallback& progress,
                                                         const AmendCopy& amend = nullptr);

// Removes all that a directory holds. Stops at the first error. Durable after SyncDirectory of the directory.
[[nodiscard]] absl::Status RemoveContent(FileSystem* file_system, const std::string& path);

// Removes a directory with all it holds. Stops at the first error. Durable after SyncDirectory of its parent.
[[nodiscard]] absl::Status RemoveTree(FileSystem* file_system, const std::string& path);

}  // namespace varve::internal

#endif  // VARVE_LIB_STORE_PARTITION_COPY_H_
