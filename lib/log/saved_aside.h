// varve.cut-OFFSET: bytes that an opening or a repair takes out of a log, kept beside it. OFFSET is the first offset
// concerned, in 20 digits; where that name is taken by other bytes, or by some that the device cannot read, "-1", "-2"
// and so on follow it. The content is as it stood in the .log: batches, and whatever stood between them (zeros where
// the device could not read); `varve dump` reads it. Nothing removes such a file but the user.
//
// Thread rules: free functions; the caller holds the partition's lock.
#ifndef VARVE_LIB_LOG_SAVED_ASIDE_H_
#define VARVE_LIB_LOG_SAVED_ASIDE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "varve/file_system.h"

namespace varve::internal {

inline constexpr char kCutFilePrefix[] = "varve.cut-";

// Where the bytes are for certain that are copied aside.
enum class SavedBytes {
  kStable,         // on the disk
  kPerhapsCached,  // the disk may lack them though the page cache, after a failed sync, takes them for clean
};

// Copies [position, position + bytes) of the file `name` aside; durable under its name when it returns. Doing it again
// for the same bytes gives the same name. Returns the name. Errors: as the file system. Cost: from the beginning of a
// file on, stable bytes are shared where the file system can, so that a whole segment needs no room; others are read and
// written, as what is shared is what the disk has.
[[nodiscard]] absl::StatusOr<std::string> SaveAside(FileSystem* file_system, const std::string& directory,
                                                    const std::string& name, int64_t position, int64_t bytes,
                                                    int64_t first_offset, SavedBytes saved_bytes);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_SAVED_ASIDE_H_
