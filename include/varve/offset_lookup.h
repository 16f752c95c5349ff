// OffsetLookup: the answer to "where does this offset lie?", of a log (log_reader.h) and of a segment (segment.h).
//
// A plain value.
#ifndef VARVE_OFFSET_LOOKUP_H_
#define VARVE_OFFSET_LOOKUP_H_

#include <cstdint>

namespace varve {

// How an offset was found: where its batch lies, and what the search went through.
struct OffsetLookup {
  int64_t segment = 0;     // base offset of the segment
  int64_t position = 0;    // of the batch in the .log
  int64_t size_bytes = 0;  // of the batch
  int64_t base_offset = 0;
  int64_t last_offset = 0;
  int64_t index_offset = 0;  // the index's floor entry, (segment base, 0) where there is none
  int64_t index_position = 0;
  int64_t batches_scanned = 0;  // batch headers looked at, the found one included
};

}  // namespace varve

#endif  // VARVE_OFFSET_LOOKUP_H_
