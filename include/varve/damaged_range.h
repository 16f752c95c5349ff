// DamagedRange: bytes of a segment that cannot be served. Found by recovery and verification, listed in their reports.
//
// A plain value.
#ifndef VARVE_DAMAGED_RANGE_H_
#define VARVE_DAMAGED_RANGE_H_

#include <cstdint>
#include <string>

namespace varve {

// A range of bytes of a .log that cannot be served, and the offsets that were or may have been in it.
struct DamagedRange {
  int64_t segment = 0;       // base offset of the segment
  int64_t position = 0;      // first damaged byte in its .log
  int64_t bytes = 0;         // up to where valid batches go on, or to the end of the file
  int64_t first_offset = 0;  // first offset that may be missing
  int64_t last_offset = 0;   // last one; first_offset - 1 where no offset is missing
  std::string reason;        // what was expected and what was found

  friend bool operator==(const DamagedRange&, const DamagedRange&) = default;
};

}  // namespace varve

#endif  // VARVE_DAMAGED_RANGE_H_
