// Finding a batch or a record in one open segment: the sparse index's floor, then a short scan of batch headers (Kafka
// LogSegment.translateOffset, findOffsetByTimestamp; format notes §4), from a waypoint on where one is known. Reads
// mapped memory: no allocation and no system call unless something is wrong. The first search in a stretch between two
// index entries of a file reads the batches in it, checksums and all: a header that has changed must cost its batch
// alone, and invent none. Where one has, the segment is judged (segment_judgement.h) and the search done again; all
// answer the errors of that, too.
#ifndef VARVE_LIB_SEGMENT_SEGMENT_LOOKUP_H_
#define VARVE_LIB_SEGMENT_SEGMENT_LOOKUP_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "segment/open_segment.h"
#include "varve/compression.h"
#include "varve/time_index.h"

namespace varve::internal {

// A batch found, and what the search went through.
struct FoundBatch {
  int64_t position = 0;
  int64_t size_bytes = 0;
  int64_t base_offset = 0;
  int64_t last_offset = 0;
  OffsetPosition floor;         // the index entry the scan began at or behind; {segment base, 0} if none
  int64_t batches_scanned = 0;  // headers looked at, the found one included
};

// A record found by its time, and the leader epoch that its batch says, -1 for none.
struct FoundRecord : TimestampOffset {
  int32_t leader_epoch = -1;
};

// The first batch of the segment whose last offset is at or above `target`, within what `end` publishes; absent if
// there is none. kDataLoss, naming file, position and offsets, if that batch may lie in a damaged range or a header is
// met that is none.
[[nodiscard]] absl::StatusOr<std::optional<FoundBatch>> FindBatch(const OpenSegment& segment, int64_t target,
                                                                  PublishedEnd end);

// The batch that begins at `position`, which is a batch boundary below the end (a damaged range is stepped over);
// absent at the end. kDataLoss as above.
[[nodiscard]] absl::StatusOr<std::optional<FoundBatch>> BatchAt(const OpenSegment& segment, int64_t position,
                                                                PublishedEnd end);

// Where a run of whole batches from `position` on ends that holds at most max_bytes, and at least the first batch:
// {position behind its last batch, next offset}. Damaged ranges end a run, of which every batch was tested once.
[[nodiscard]] absl::StatusOr<PublishedEnd> EndOfRun(const OpenSegment& segment, const FoundBatch& first,
                                                    int64_t max_bytes, PublishedEnd end);

// The first record, in offset order, with a timestamp at or above `timestamp_ms` and an offset at or above min_offset;
// absent if the segment has none. `scratch` serves compressed batches.
[[nodiscard]] absl::StatusOr<std::optional<FoundRecord>> FindTimestamp(const OpenSegment& segment, int64_t timestamp_ms,
                                                                       int64_t min_offset, PublishedEnd end,
                                                                       DecodeBuffer* scratch);

// The first record with the largest timestamp of those above `above_ms` at or above `min_offset`; absent where there is
// none. Walks all batch headers from there and decodes each batch that has a larger timestamp. Errors: kDataLoss.
[[nodiscard]] absl::StatusOr<std::optional<FoundRecord>> FindLargestTimestamp(const OpenSegment& segment,
                                                                              int64_t above_ms, int64_t min_offset,
                                                                              PublishedEnd end, DecodeBuffer* scratch);

// The largest timestamp of the segment and the last offset of the first batch that has it. `last_entry` is what the
// time index says of it. An index may have lost its end, or all of it, or be wrong: the batches from that entry on are
// looked at, and all of them where none is the one that the entry names. *failed: what kept it from looking at all that
// it had to, which may have a larger one. Cost: usually the headers between two index entries.
[[nodiscard]] TimestampOffset LargestTimestamp(const OpenSegment& segment, TimestampOffset last_entry, PublishedEnd end,
                                               absl::Status* failed);

}  // namespace varve::internal

#endif  // VARVE_LIB_SEGMENT_SEGMENT_LOOKUP_H_
