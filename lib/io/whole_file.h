// Small files read and replaced whole: checkpoints, snapshots, state.
#ifndef VARVE_LIB_IO_WHOLE_FILE_H_
#define VARVE_LIB_IO_WHOLE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/file_system.h"

namespace varve::internal {

// Gives the file of this name new content, by the protocol of Kafka's CheckpointFile.write and
// Utils.atomicMoveWithFallback: write "<path>.tmp", sync it, rename it over, sync the directory.
//
// When it returns OK the new content is on stable storage. After an error or a crash the name holds the old content or
// the new one, whole, and "<path>.tmp" may be left: the next call overwrites it. One writer a path at a time.
[[nodiscard]] absl::Status ReplaceFile(FileSystem* file_system, const std::string& path,
                                       std::span<const std::byte> bytes);

// The whole content of a file. kDataLoss if it is larger than `limit_bytes`: a file of a kind that is small has then
// been damaged or is something else, and its size is not taken for a length to allocate.
[[nodiscard]] absl::StatusOr<std::string> ReadWholeFile(FileSystem* file_system, const std::string& path,
                                                        uint64_t limit_bytes);

}  // namespace varve::internal

#endif  // VARVE_LIB_IO_WHOLE_FILE_H_
