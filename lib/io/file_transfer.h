// Moving bytes from file to file and from file to descriptor with the least copying that the system offers.
#ifndef VARVE_LIB_IO_FILE_TRANSFER_H_
#define VARVE_LIB_IO_FILE_TRANSFER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "varve/file_system.h"

namespace varve::internal {

// Copies the first `length` bytes of `source` over those of `target`: shared blocks where the file system has them,
// else inside the kernel, else through a buffer. Either may be of any file system; a shorter source is
// kInvalidArgument.
[[nodiscard]] absl::Status CopyPrefix(const File& source, File* target, uint64_t length);

// The last resort of CopyPrefix, from `position` on: read and write.
[[nodiscard]] absl::Status CopyThroughBuffer(const File& source, File* target, uint64_t position, uint64_t length);

// Sends [position, position + length) of `source`, which has a descriptor, to `descriptor`, waiting while that is full.
// A peer that has closed is an error (kInternal), never a SIGPIPE. A range beyond the file's end is kInvalidArgument,
// after what there is was sent.
[[nodiscard]] absl::Status SendFile(const File& source, int descriptor, uint64_t position, uint64_t length);

}  // namespace varve::internal

#endif  // VARVE_LIB_IO_FILE_TRANSFER_H_
