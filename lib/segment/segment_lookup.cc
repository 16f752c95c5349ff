#include "segment/segment_lookup.h"

#include <algorithm>
#include <string>

#include "base/bytes.h"
#include "base/status.h"
#include "record/batch_format.h"
#include "varve/record_batch.h"

namespace varve::internal {
namespace {

// The few fields a scan needs of each batch, read in place.
struct HeaderPeek {
  int64_t base_offset;
  int64_t last_offset;
  int64_t size_bytes;
  bool plausible;
};

// `available` bytes are readable at `batch`; more than 16 of them.
HeaderPeek Peek(const std::byte* batch, int64_t available) {
  HeaderPeek peek{};
  if (available < static_cast<int64_t>(kBatchHeaderBytes)) return peek;
  const int32_t last_offset_delta = LoadBigEndian<int32_t>(batch + kLastOffsetDeltaPosition);
  peek.base_offset = LoadBigEndian<int64_t>(batch + kBaseOffsetPosition);
  peek.last_offset = peek.base_offset + last_offset_delta;
  peek.size_bytes = static_cast<int64_t>(kLogOverheadBytes) + LoadBigEndian<int32_t>(batch + kLengthPosition);
  peek.plausible = peek.size_bytes >= static_cast<int64_t>(kBatchHeaderBytes) && peek.size_bytes <= available &&
                   LoadBigEndian<int8_t>(batch + kMagicPosition) == kMagic && last_offset_delta >= 0 &&
                   peek.base_offset >= 0;
  return peek;
}

absl::Status NotABatch(const OpenSegment& segment, int64_t position) {
  return Error(
      absl::StatusCode::kDataLoss,
      "{}: at position {}: expected a record batch of magic {}, found bytes that are none; `varve repair` says "
      "what can be saved",
      segment.path(), position, kMagic);
}

absl::Status InDamage(const OpenSegment& segment, const DamagedRange& range) {
  return Error(absl::StatusCode::kDataLoss,
               "{}: at position {}: {} damaged bytes; offsets {} to {} cannot be served: {}", segment.path(),
               range.position, range.bytes, range.first_offset, range.last_offset, range.reason);
}

// The damaged range that begins at or covers `position`, if any.
const DamagedRange* DamageAt(const OpenSegment& segment, int64_t position) {
  for (const DamagedRange& range : segment.damage()) {
    if (position >= range.position && position < range.position + range.bytes) return &range;
  }
  return nullptr;
}

// True if whole batches with rising offsets lead from `position` exactly to `goal`.
bool BatchesLeadTo(const OpenSegment& segment, int64_t position, int64_t goal, PublishedEnd end) {
  int64_t expected_offset = segment.base_offset();
  while (position < goal) {
    const HeaderPeek peek = Peek(segment.log() + position, end.end_position - position);
    if (!peek.plausible || peek.base_offset < expected_offset) return false;
    expected_offset = peek.last_offset + 1;
    position += peek.size_bytes;
  }
  return position == goal;
}

// True if the log bears an index entry out: a batch begins where it points, no offset up to the entry's can lie before
// it, and from there batches lead to the next entry. Bytes inside a value, which may be batches of their own, never
// lead there. (An entry of older Kafka names the last offset of several batches.) Paid once for each entry of a file;
// where the segment is damaged, recovery has made the index and the way to the next entry may be barred.
bool EntryHolds(const OpenSegment& segment, const OpenSegment::IndexHint& hint, PublishedEnd end) {
  if (hint.trusted) [[likely]] {
    return hint.entry.position < end.end_position;
  }
  if (hint.entry.position >= end.end_position) return false;
  const HeaderPeek peek = Peek(segment.log() + hint.entry.position, end.end_position - hint.entry.position);
  if (!peek.plausible || peek.base_offset < segment.base_offset() || peek.base_offset > hint.entry.offset ||
      peek.last_offset > hint.entry.offset) {
    return false;
  }
  const int64_t goal = hint.next.has_value() ? hint.next->position : end.end_position;
  if (segment.damage().empty() && !BatchesLeadTo(segment, hint.entry.position, goal, end)) return false;
  segment.Trust(hint.number);
  return true;
}

// Where to begin the scan for `target`. More may have been published since `end` was loaded: an entry for an offset
// beyond it is passed by, as it would lead nowhere. An entry of a file that the log does not bear out spoils the whole
// index.
OffsetPosition ScanStart(const OpenSegment& segment, int64_t target, PublishedEnd end) {
  const OpenSegment::IndexHint floor = segment.FloorOffset(std::min(target, end.next_offset - 1));
  if (floor.entry.position == 0 || EntryHolds(segment, floor, end)) return floor.entry;
  if (!floor.trusted && DamageAt(segment, floor.entry.position) == nullptr) segment.Distrust();
  return {segment.base_offset(), 0};
}

// The larger of `known` and what the batches from `position` on have; *borne_out if one of them is the batch that
// `known` names, with that timestamp.
TimestampOffset LargestFrom(const OpenSegment& segment, int64_t position, TimestampOffset known, PublishedEnd end,
                            bool* borne_out) {
  TimestampOffset largest = known;
  while (position < end.end_position) {
    if (const DamagedRange* range = DamageAt(segment, position); range != nullptr) {
      position = range->position + range->bytes;
      continue;
    }
    const std::byte* const batch = segment.log() + position;
    const HeaderPeek peek = Peek(batch, end.end_position - position);
    if (!peek.plausible) break;  // whoever reads there is told
    const TimestampOffset of_batch{LoadBigEndian<int64_t>(batch + kMaxTimestampPosition), peek.last_offset};
    if (of_batch == known) *borne_out = true;
    if (of_batch.timestamp_ms > largest.timestamp_ms) largest = of_batch;
    position += peek.size_bytes;
  }
  return largest;
}

FoundBatch Found(const HeaderPeek& peek, int64_t position, OffsetPosition floor, int64_t batches_scanned) {
  return {.position = position,
          .size_bytes = peek.size_bytes,
          .base_offset = peek.base_offset,
          .last_offset = peek.last_offset,
          .floor = floor,
          .batches_scanned = batches_scanned};
}

}  // namespace

absl::StatusOr<std::optional<FoundBatch>> FindBatch(const OpenSegment& segment, int64_t target, PublishedEnd end) {
  const OffsetPosition floor = ScanStart(segment, target, end);
  int64_t batches_scanned = 0;
  int64_t expected_offset = segment.base_offset();  // continuity: base offsets are outside the checksum
  for (int64_t position = floor.position; position < end.end_position;) {
    const HeaderPeek peek = Peek(segment.log() + position, end.end_position - position);
    if (!segment.damage().empty()) [[unlikely]] {
      if (const DamagedRange* range = DamageAt(segment, position); range != nullptr) {
        if (target <= range->last_offset) return InDamage(segment, *range);
        position = range->position + range->bytes;
        continue;
      }
    }
    if (!peek.plausible || peek.base_offset < expected_offset || peek.last_offset >= end.next_offset) [[unlikely]] {
      return NotABatch(segment, position);
    }
    ++batches_scanned;
    expected_offset = peek.last_offset + 1;
    if (peek.last_offset >= target) return Found(peek, position, floor, batches_scanned);
    position += peek.size_bytes;
  }
  return std::nullopt;
}

absl::StatusOr<std::optional<FoundBatch>> BatchAt(const OpenSegment& segment, int64_t position, PublishedEnd end) {
  while (const DamagedRange* range = DamageAt(segment, position)) position = range->position + range->bytes;
  if (position >= end.end_position) return std::nullopt;
  const HeaderPeek peek = Peek(segment.log() + position, end.end_position - position);
  if (!peek.plausible) return NotABatch(segment, position);
  return Found(peek, position, {segment.base_offset(), 0}, 1);
}

absl::StatusOr<PublishedEnd> EndOfRun(const OpenSegment& segment, const FoundBatch& first, int64_t max_bytes,
                                      PublishedEnd end) {
  int64_t limit = end.end_position;
  for (const DamagedRange& range : segment.damage()) {
    if (range.position >= first.position) {
      limit = std::min(limit, range.position);
      break;
    }
  }
  if (limit == end.end_position && limit - first.position <= max_bytes) return end;
  limit = std::min(limit, first.position + std::max(max_bytes, first.size_bytes));

  PublishedEnd run{first.position + first.size_bytes, first.last_offset + 1};
  // The index leaps over most of a long run: its entries are batch boundaries. One at the end itself names a batch
  // published since.
  const OpenSegment::IndexHint leap = segment.FloorPosition(std::min(limit, end.end_position - 1));
  if (leap.entry.position > run.end_position && EntryHolds(segment, leap, end)) {
    const HeaderPeek peek = Peek(segment.log() + leap.entry.position, end.end_position - leap.entry.position);
    run = {leap.entry.position, peek.base_offset};
  }
  while (run.end_position < limit) {
    const HeaderPeek peek = Peek(segment.log() + run.end_position, end.end_position - run.end_position);
    if (!peek.plausible) return run;  // the next read begins there and says so
    if (run.end_position + peek.size_bytes > limit) break;
    run = {run.end_position + peek.size_bytes, peek.last_offset + 1};
  }
  return run;
}

namespace {

// The first record of a batch at or above both bounds.
absl::StatusOr<std::optional<FoundRecord>> FirstRecordAtOrAfter(const OpenSegment& segment, const FoundBatch& found,
                                                                int64_t timestamp_ms, int64_t min_offset,
                                                                DecodeBuffer* scratch) {
  const RecordBatchView batch(std::span(segment.log() + found.position, static_cast<size_t>(found.size_bytes)));
  RecordCursor cursor(batch, scratch);
  for (RecordView record; cursor.Next(&record);) {
    if (record.timestamp_ms() >= timestamp_ms && record.offset() >= min_offset) {
      return FoundRecord{{record.timestamp_ms(), record.offset()}, batch.leader_epoch()};
    }
  }
  if (cursor.status().ok()) return std::nullopt;
  return Annotate(cursor.status(), segment.path());
}

// Where a scan for `timestamp_ms` may begin: no record before it qualifies. The time index's entry counts only if the
// batch it names is there and has that timestamp.
int64_t TimeScanStart(const OpenSegment& segment, int64_t timestamp_ms, int64_t min_offset, PublishedEnd end) {
  const TimestampOffset floor = segment.FloorTimestamp(timestamp_ms, end.next_offset);
  int64_t target = segment.base_offset();
  if (floor.timestamp_ms != OpenSegment::kNoTimestampYet) {
    const absl::StatusOr<std::optional<FoundBatch>> named = FindBatch(segment, floor.offset, end);
    if (named.ok() && named->has_value() && (*named)->base_offset <= floor.offset &&
        LoadBigEndian<int64_t>(segment.log() + (*named)->position + kMaxTimestampPosition) == floor.timestamp_ms) {
      target = floor.offset;
    }
  }
  return ScanStart(segment, std::max(target, min_offset), end).position;
}

}  // namespace

absl::StatusOr<std::optional<FoundRecord>> FindTimestamp(const OpenSegment& segment, int64_t timestamp_ms,
                                                         int64_t min_offset, PublishedEnd end, DecodeBuffer* scratch) {
  for (int64_t position = TimeScanStart(segment, timestamp_ms, min_offset, end);;) {
    VARVE_ASSIGN_OR_RETURN(const std::optional<FoundBatch> found, BatchAt(segment, position, end));
    if (!found.has_value()) return std::nullopt;
    position = found->position + found->size_bytes;
    const int64_t max_timestamp_ms = LoadBigEndian<int64_t>(segment.log() + found->position + kMaxTimestampPosition);
    if (max_timestamp_ms < timestamp_ms || found->last_offset < min_offset) continue;
    VARVE_ASSIGN_OR_RETURN(const std::optional<FoundRecord> record,
                           FirstRecordAtOrAfter(segment, *found, timestamp_ms, min_offset, scratch));
    if (record.has_value()) return record;
  }
}

absl::StatusOr<std::optional<FoundRecord>> FindLargestTimestamp(const OpenSegment& segment, int64_t above_ms,
                                                                int64_t min_offset, PublishedEnd end,
                                                                DecodeBuffer* scratch) {
  std::optional<FoundRecord> largest;
  for (int64_t position = ScanStart(segment, min_offset, end).position;;) {
    VARVE_ASSIGN_OR_RETURN(const std::optional<FoundBatch> found, BatchAt(segment, position, end));
    if (!found.has_value()) return largest;
    position = found->position + found->size_bytes;
    const RecordBatchView batch(std::span(segment.log() + found->position, static_cast<size_t>(found->size_bytes)));
    if (batch.max_timestamp_ms() <= above_ms || found->last_offset < min_offset) continue;
    RecordCursor cursor(batch, scratch);
    for (RecordView record; cursor.Next(&record);) {
      if (record.timestamp_ms() <= above_ms || record.offset() < min_offset) continue;
      above_ms = record.timestamp_ms();
      largest = FoundRecord{{record.timestamp_ms(), record.offset()}, batch.leader_epoch()};
    }
    VARVE_RETURN_IF_ERROR(Annotate(cursor.status(), segment.path()));
  }
}

TimestampOffset LargestTimestamp(const OpenSegment& segment, TimestampOffset last_entry, PublishedEnd end) {
  if (last_entry.timestamp_ms != OpenSegment::kNoTimestampYet) {
    const int64_t position = ScanStart(segment, last_entry.offset, end).position;
    bool borne_out = false;
    const TimestampOffset largest = LargestFrom(segment, position, last_entry, end, &borne_out);
    if (borne_out) return largest;
  }
  bool ignored = false;
  return LargestFrom(segment, 0, {OpenSegment::kNoTimestampYet, segment.base_offset()}, end, &ignored);
}

}  // namespace varve::internal
