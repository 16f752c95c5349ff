// Segment: the files of one base offset, to be read by themselves: by tools, tests and whoever needs no Log.
//
//   NNNNNNNNNNNNNNNNNNNN.log        record batches, back to back (record_batch.h)
//   NNNNNNNNNNNNNNNNNNNN.index      offset -> position, for some batches (sparse_offset_index.h)
//   NNNNNNNNNNNNNNNNNNNN.timeindex  timestamp -> offset (time_index.h)
//   NNNNNNNNNNNNNNNNNNNN.txnindex   aborted transactions, where there were any (transaction_index.h)
//
// The number is the base offset in 20 digits: no offset in the segment is below it. A crash may leave a batch cut short
// or zeros at the end of the .log, and indexes of any content; neither is repaired here. What is readable ends before
// the first bytes that are no batch: valid_bytes(). Indexes that fail their check are not used.
//
// Thread rules: any thread, after Open; a Segment is immutable and shows the files as they were then. Copies share.
// Lifetime: views stay valid as long as any copy of the Segment; names may go away meanwhile.
//
//   absl::StatusOr<varve::Segment> segment = varve::Segment::Open(varve::FileSystem::Default(), "orders-0", 0);
//   absl::StatusOr<std::optional<varve::OffsetLookup>> where = segment->FindOffset(4711);
#ifndef VARVE_SEGMENT_H_
#define VARVE_SEGMENT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "varve/file_system.h"
#include "varve/offset_lookup.h"
#include "varve/record_batch.h"
#include "varve/sparse_offset_index.h"
#include "varve/time_index.h"

namespace varve {

namespace internal {
class OpenSegment;
}  // namespace internal

class Segment {
 public:
  // Opens the files of `base_offset` in `directory`. kNotFound if there is no .log; kUnimplemented for batches of magic
  // 0 or 1; missing indexes count as empty. Cost: reads the indexes and walks the headers behind the last index
  // entry; maps the rest.
  [[nodiscard]] static absl::StatusOr<Segment> Open(FileSystem* file_system, const std::string& directory,
                                                    int64_t base_offset);

  // The base offsets of all segments in a directory, ascending.
  [[nodiscard]] static absl::StatusOr<std::vector<int64_t>> List(FileSystem* file_system, const std::string& directory);

  [[nodiscard]] int64_t base_offset() const;
  [[nodiscard]] int64_t file_bytes() const { return file_bytes_; }  // of the .log
  [[nodiscard]] int64_t valid_bytes() const;                        // of whole batches from its start on
  [[nodiscard]] int64_t next_offset() const;                        // behind the last of them
  // The largest timestamp the time index knows, and an offset it was reached at; {-1, base offset} if none.
  [[nodiscard]] TimestampOffset largest_timestamp() const;

  // The first batch whose last offset is at or above `offset`; absent behind the last. kDataLoss: a header that is
  // none.
  [[nodiscard]] absl::StatusOr<std::optional<OffsetLookup>> FindOffset(int64_t offset) const;

  // The first record with a timestamp at or above `timestamp_ms` and an offset at or above `min_offset`.
  [[nodiscard]] absl::StatusOr<std::optional<TimestampOffset>> FindTimestamp(int64_t timestamp_ms,
                                                                             int64_t min_offset = 0) const;

  // The batch that starts at `position`, which is 0 or where one ends; absent at valid_bytes().
  [[nodiscard]] absl::StatusOr<std::optional<RecordBatchView>> BatchAt(int64_t position) const;

 private:
  Segment(std::shared_ptr<const internal::OpenSegment> open, int64_t file_bytes)
      : open_(std::move(open)), file_bytes_(file_bytes) {}

  std::shared_ptr<const internal::OpenSegment> open_;
  int64_t file_bytes_ = 0;
};

}  // namespace varve

#endif  // VARVE_SEGMENT_H_
