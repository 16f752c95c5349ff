// IndexRebuilder: the .index and .timeindex that a segment's batches ask for, byte for byte what Kafka's recovery makes
// (LogSegment.recover, format notes §5.3 and §3.2).
#ifndef VARVE_LIB_SEGMENT_INDEX_REBUILDER_H_
#define VARVE_LIB_SEGMENT_INDEX_REBUILDER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "record/batch_header.h"
#include "varve/sparse_offset_index.h"
#include "varve/time_index.h"

namespace varve::internal {

// Thread rules: one thread at a time.
class IndexRebuilder {
 public:
  IndexRebuilder(int64_t base_offset, int64_t index_interval_bytes, int64_t segment_index_bytes);

  // The next batch of the segment, at `position`. kInvalidArgument: its offset is not above the one before, or not
  // within 2^31 of the base.
  [[nodiscard]] absl::Status Add(const BatchHeader& header, int64_t position);

  // The closing entry of the time index. Nothing is added afterwards.
  [[nodiscard]] absl::Status Finish();

  // The largest timestamp so far and the last offset of the first batch that has it; {-1, base offset} if none has one.
  [[nodiscard]] TimestampOffset largest_timestamp() const { return largest_; }

  // What the files are to hold; complete after Finish.
  [[nodiscard]] std::vector<std::byte> OffsetIndexBytes() const;
  [[nodiscard]] std::vector<std::byte> TimeIndexBytes() const;

 private:
  const int64_t index_interval_bytes_;
  int64_t bytes_since_entry_ = 0;
  TimestampOffset largest_;
  SparseOffsetIndexBuilder offset_index_;
  TimeIndexBuilder time_index_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_SEGMENT_INDEX_REBUILDER_H_
