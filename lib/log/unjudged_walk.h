// A walk over the batches of a .log that nobody has judged: a segment that is believed unread, or a leftover. What
// comes behind bytes that are no batch is not known there, whatever made them so.
//
// Thread rules: as the walk.
#ifndef VARVE_LIB_LOG_UNJUDGED_WALK_H_
#define VARVE_LIB_LOG_UNJUDGED_WALK_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "base/status.h"
#include "record/batch_scanner.h"
#include "segment/raw_log.h"
#include "varve/file_system.h"

namespace varve::internal {

// The walk's Next, for which bytes that the device cannot read are the end, too, and a magic of 0 or 1 in a batch whose
// byte 16 was flipped. kUnimplemented: a message of magic 0 or 1 with the checksum of its own kind. `log` is the file
// that `walk`, a BatchScanner or a BatchReader, goes through, and `size_bytes` its limit.
template <typename Walk>
[[nodiscard]] absl::StatusOr<bool> NextUnjudged(Walk* walk, const File& log, int64_t size_bytes) {
  absl::StatusOr<bool> found = walk->Next();
  if (absl::IsInternal(found.status())) return false;
  if (!absl::IsUnimplemented(found.status())) return found;
  RawLog raw(&log, size_bytes);
  VARVE_ASSIGN_OR_RETURN(const bool legacy, raw.LegacyMessageAt(static_cast<int64_t>(walk->position())));
  if (legacy) return found;
  return false;
}

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_UNJUDGED_WALK_H_
