#include "segment/segment_lookup.h"

#include <algorithm>
#include <limits>
#include <string>

#include "base/bytes.h"
#include "base/prefetch.h"
#include "base/status.h"
#include "base/wrapping.h"
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
  peek.last_offset = AddWrapping(peek.base_offset, last_offset_delta);
  peek.size_bytes = static_cast<int64_t>(kLogOverheadBytes) + LoadBigEndian<int32_t>(batch + kLengthPosition);
  peek.plausible = peek.size_bytes >= static_cast<int64_t>(kBatchHeaderBytes) && peek.size_bytes <= available &&
                   LoadBigEndian<int8_t>(batch + kMagicPosition) == kMagic && last_offset_delta >= 0 &&
                   peek.base_offset >= 0 && peek.last_offset >= 0 &&
                   peek.last_offset < std::numeric_limits<int64_t>::max();
  return peek;
}

RecordBatchView BatchOf(const OpenSegment& segment, int64_t position, const HeaderPeek& peek) {
  return RecordBatchView(std::span(segment.log() + position, static_cast<size_t>(peek.size_bytes)));
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

// True if good batches with rising offsets lead from `position` past the stretch's entry, where one of them begins, to
// the end of the stretch, and what begins there goes on. A length or an offset that has changed leads elsewhere, and so
// does one that leads into a record's value, which may be batches of its own: the checksum of the batch that leads there
// tells. The batches of the stretch are noted on the way.
bool BatchesLeadOn(const OpenSegment& segment, int64_t position, const OpenSegment::Stretch& stretch,
                   Waypoints* waypoints) {
  const PublishedEnd files = segment.file_end();
  int64_t expected_offset = segment.base_offset();
  bool passed = false;
  while (position < stretch.end.position) {
    passed = passed || position == stretch.entry.position;
    if (const DamagedRange* range = DamageAt(segment, position); range != nullptr) {
      position = range->position + range->bytes;
      expected_offset = std::max(expected_offset, range->last_offset + 1);
      continue;
    }
    const HeaderPeek peek = Peek(segment.log() + position, stretch.end.position - position);
    if (!peek.plausible || peek.base_offset < expected_offset) return false;
    if (!BatchOf(segment, position, peek).CrcMatches()) return false;
    if (passed) {
      waypoints->Note(peek.base_offset, position - stretch.entry.position, stretch.entry.offset, stretch.end.offset);
    }
    expected_offset = peek.last_offset + 1;
    position += peek.size_bytes;
  }
  if (position != stretch.end.position || !passed) return false;
  if (position == files.end_position) return expected_offset <= files.next_offset;
  if (DamageAt(segment, position) != nullptr) return true;
  return Peek(segment.log() + position, files.end_position - position).base_offset >= expected_offset;
}

// True if the log bears a stretch out, whose bytes are present: a batch begins where its entry points, no offset up to the
// entry's can lie before it, and from there good batches lead to the next entry.
bool StretchHolds(const OpenSegment& segment, const OpenSegment::Stretch& stretch, Waypoints* waypoints) {
  const int64_t position = stretch.entry.position;
  int64_t from = position;
  if (position > 0 && DamageAt(segment, position) == nullptr) {
    const HeaderPeek peek = Peek(segment.log() + position, stretch.end.position - position);
    if (!peek.plausible || peek.last_offset > stretch.entry.offset) return false;
    // An entry of older Kafka names the last offset of several batches. Should it be of one, its offsets are too low.
    if (peek.last_offset != stretch.entry.offset) from = stretch.previous_position;
  }
  return BatchesLeadOn(segment, from, stretch, waypoints);
}

// True if the log bears out all stretches from `first` to `last` that come from files. Paid once for each of them.
bool AllHold(const OpenSegment& segment, size_t first, size_t last) {
  last = std::min(last, segment.last_from_files());
  while (first <= last && segment.IsTested(first)) ++first;
  if (first > last) return true;
  const int64_t end_with_header = segment.StretchAt(last).end.position + static_cast<int64_t>(kBatchHeaderBytes);
  const absl::Status present = segment.Populate(segment.StretchAt(first).previous_position,
                                                std::min(end_with_header, segment.file_end().end_position));
  if (!present.ok() && !absl::IsUnimplemented(present)) return false;
  for (size_t number = first; number <= last; ++number) {
    if (segment.IsTested(number)) continue;
    Waypoints waypoints;
    if (!StretchHolds(segment, segment.StretchAt(number), &waypoints)) return false;
    segment.MarkTested(number, waypoints);
  }
  return true;
}

// Tests the stretch of a hint and the one behind it, and has the segment judged where they do not hold: then a hint that
// is asked for anew is another.
absl::Status Test(const OpenSegment& segment, const OpenSegment::IndexHint& hint) {
  return AllHold(segment, hint.stretch, hint.stretch + 1) ? absl::OkStatus() : segment.Judge();
}

// Where to begin a scan: at a batch at or behind the one that the index entry leads to.
struct Start {
  OffsetPosition floor;
  int64_t position = 0;
};

// The start of the scan for `target`. More may have been published since `end` was loaded: an entry for an offset beyond
// it is passed by, as it would lead nowhere.
absl::StatusOr<Start> ScanStart(const OpenSegment& segment, int64_t target, PublishedEnd end) {
  const int64_t offset = std::min(target, end.next_offset - 1);
  OpenSegment::IndexHint hint = segment.FloorOffset(offset);
  if (!hint.trusted) [[unlikely]] {
    VARVE_RETURN_IF_ERROR(Test(segment, hint));
    hint = segment.FloorOffset(offset);
  }
  if (hint.entry.position + hint.skip_bytes >= end.end_position) return Start{{segment.base_offset(), 0}, 0};
  return Start{hint.entry, hint.entry.position + hint.skip_bytes};
}

// Somebody has met what is no batch. OK if the search is to begin anew, as the segment has been judged now.
absl::Status MeetNoBatch(const OpenSegment& segment, int64_t position) {
  if (segment.judged() || position >= segment.file_end().end_position) return NotABatch(segment, position);
  return segment.Judge();
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
  VARVE_ASSIGN_OR_RETURN(const Start start, ScanStart(segment, target, end));
  int64_t batches_scanned = 0;
  int64_t expected_offset = segment.base_offset();  // continuity: base offsets are outside the checksum
  for (int64_t position = start.position; position < end.end_position;) {
    if (!segment.damage().empty()) [[unlikely]] {
      if (const DamagedRange* range = DamageAt(segment, position); range != nullptr) {
        if (target <= range->last_offset) {
          VARVE_ASSIGN_OR_RETURN(const bool judged_again, segment.JudgeAgain(*range));
          return judged_again ? FindBatch(segment, target, end) : InDamage(segment, *range);
        }
        position = range->position + range->bytes;
        continue;
      }
    }
    const HeaderPeek peek = Peek(segment.log() + position, end.end_position - position);
    if (!peek.plausible || peek.base_offset < expected_offset || peek.last_offset >= end.next_offset) [[unlikely]] {
      VARVE_RETURN_IF_ERROR(MeetNoBatch(segment, position));
      return FindBatch(segment, target, end);
    }
    ++batches_scanned;
    expected_offset = peek.last_offset + 1;
    if (peek.last_offset >= target) return Found(peek, position, start.floor, batches_scanned);
    position += peek.size_bytes;
  }
  return std::nullopt;
}

absl::StatusOr<std::optional<FoundBatch>> BatchAt(const OpenSegment& segment, int64_t position, PublishedEnd end) {
  while (const DamagedRange* range = DamageAt(segment, position)) {
    VARVE_ASSIGN_OR_RETURN(const bool judged_again, segment.JudgeAgain(*range));
    if (!judged_again) position = range->position + range->bytes;
  }
  if (position >= end.end_position) return std::nullopt;
  const HeaderPeek peek = Peek(segment.log() + position, end.end_position - position);
  if (peek.plausible) return Found(peek, position, {segment.base_offset(), 0}, 1);
  VARVE_RETURN_IF_ERROR(MeetNoBatch(segment, position));
  return BatchAt(segment, position, end);
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
  limit = std::min(limit, first.position + std::max(max_bytes, first.size_bytes));
  // The index leaps over most of a long run: its entries are batch boundaries. One at the end itself names a batch
  // published since, one where damage begins a batch that is none.
  int64_t last = std::min(limit, end.end_position - 1);
  if (DamageAt(segment, last) != nullptr) --last;
  const bool is_believed = first.position < segment.file_end().end_position && !segment.judged();
  if (is_believed && !AllHold(segment, segment.StretchOf(first.position), segment.StretchOf(last))) {
    VARVE_RETURN_IF_ERROR(segment.Judge());
    return EndOfRun(segment, first, max_bytes, end);  // there may be damage on the way
  }
  if (limit == end.end_position) return end;

  PublishedEnd run{first.position + first.size_bytes, first.last_offset + 1};
  const OffsetPosition leap = segment.FloorPosition(last).entry;
  if (leap.position > run.end_position) {
    const HeaderPeek peek = Peek(segment.log() + leap.position, end.end_position - leap.position);
    run = {leap.position, peek.base_offset};
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

// The batches from a position on, each stretch tested before the first batch in it.
class TestedWalk {
 public:
  // `position` is a batch's, or damaged.
  TestedWalk(const OpenSegment& segment, int64_t position, PublishedEnd end)
      : segment_(segment), position_(position), end_(end) {}

  // As BatchAt.
  absl::StatusOr<std::optional<FoundBatch>> Next() {
    if (position_ >= tested_end_) VARVE_RETURN_IF_ERROR(TestStretch());
    VARVE_ASSIGN_OR_RETURN(std::optional<FoundBatch> found, BatchAt(segment_, position_, end_));
    if (!found.has_value()) return found;
    position_ = found->position + found->size_bytes;
    if (found->size_bytes <= kFetchedAhead) FetchAhead();
    return found;
  }

 private:
  // The headers of small batches follow one another at little distance: those to come are on their way while one is
  // looked at.
  void FetchAhead() {
    const int64_t end = std::min(position_ + kFetchedAhead, end_.end_position);
    const int64_t from = std::max(position_, fetched_);
    if (from >= end) return;
    Prefetch(segment_.log() + from, segment_.log() + end);
    fetched_ = end;
  }

  absl::Status TestStretch() {
    const OpenSegment::IndexHint hint = segment_.FloorPosition(position_);
    if (!hint.trusted) VARVE_RETURN_IF_ERROR(Test(segment_, hint));
    const bool all_is_known = segment_.judged() || position_ >= segment_.file_end().end_position;
    tested_end_ = all_is_known ? kNoEnd : segment_.StretchAt(hint.stretch).end.position;
    return absl::OkStatus();
  }

  static constexpr int64_t kNoEnd = std::numeric_limits<int64_t>::max();
  static constexpr int64_t kFetchedAhead = 16 * kCacheLineBytes;

  const OpenSegment& segment_;
  int64_t position_;
  const PublishedEnd end_;
  int64_t tested_end_ = 0;
  int64_t fetched_ = 0;
};

int64_t MaxTimestampOf(const OpenSegment& segment, const FoundBatch& batch) {
  return LoadBigEndian<int64_t>(segment.log() + batch.position + kMaxTimestampPosition);
}

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

// True if the batch that an entry of the time index names has its timestamp, and none behind the entry before reaches it
// earlier. Paid once for each entry of a file: a walk through the headers between the two.
bool IsFirstToReach(const OpenSegment& segment, const OpenSegment::TimeHint& hint, const FoundBatch& named,
                    PublishedEnd end) {
  if (MaxTimestampOf(segment, named) != hint.entry.timestamp_ms) return false;
  if (hint.trusted) return true;
  const absl::StatusOr<Start> start = ScanStart(segment, hint.previous_offset, end);
  if (!start.ok()) return false;
  for (TestedWalk walk(segment, start->position, end);;) {
    const absl::StatusOr<std::optional<FoundBatch>> found = walk.Next();
    if (!found.ok() || !found->has_value()) return false;
    if ((*found)->position >= named.position) break;
    if (MaxTimestampOf(segment, **found) >= hint.entry.timestamp_ms) return false;
  }
  segment.MarkTimeTested(hint.number);
  return true;
}

// Where a scan for `timestamp_ms` may begin: no record before it qualifies.
absl::StatusOr<int64_t> TimeScanStart(const OpenSegment& segment, int64_t timestamp_ms, int64_t min_offset,
                                      PublishedEnd end) {
  const std::optional<OpenSegment::TimeHint> hint = segment.FloorTimestamp(timestamp_ms, end.next_offset);
  if (hint.has_value()) {
    const int64_t offset = hint->entry.offset;
    const absl::StatusOr<std::optional<FoundBatch>> named = FindBatch(segment, offset, end);
    if (named.ok() && named->has_value() && (*named)->base_offset <= offset && (*named)->last_offset >= min_offset &&
        IsFirstToReach(segment, *hint, **named, end)) {
      return (*named)->position;
    }
  }
  VARVE_ASSIGN_OR_RETURN(const Start start, ScanStart(segment, min_offset, end));
  return start.position;
}

// The larger of `known` and what the batches from `position` on have; *borne_out if one of them is the batch that
// `known` names, with that timestamp. *failed: why not all of them were looked at.
TimestampOffset LargestFrom(const OpenSegment& segment, int64_t position, TimestampOffset known, PublishedEnd end,
                            bool* borne_out, absl::Status* failed) {
  TimestampOffset largest = known;
  TestedWalk walk(segment, position, end);
  while (true) {
    const absl::StatusOr<std::optional<FoundBatch>> found = walk.Next();
    if (!found.ok()) *failed = found.status();
    if (!found.ok() || !found->has_value()) return largest;
    const TimestampOffset of_batch{MaxTimestampOf(segment, **found), (*found)->last_offset};
    if (of_batch == known) *borne_out = true;
    if (of_batch.timestamp_ms > largest.timestamp_ms) largest = of_batch;
  }
}

}  // namespace

absl::StatusOr<std::optional<FoundRecord>> FindTimestamp(const OpenSegment& segment, int64_t timestamp_ms,
                                                         int64_t min_offset, PublishedEnd end, DecodeBuffer* scratch) {
  VARVE_ASSIGN_OR_RETURN(const int64_t start, TimeScanStart(segment, timestamp_ms, min_offset, end));
  for (TestedWalk walk(segment, start, end);;) {
    VARVE_ASSIGN_OR_RETURN(const std::optional<FoundBatch> found, walk.Next());
    if (!found.has_value()) return std::nullopt;
    if (MaxTimestampOf(segment, *found) < timestamp_ms || found->last_offset < min_offset) continue;
    VARVE_ASSIGN_OR_RETURN(const std::optional<FoundRecord> record,
                           FirstRecordAtOrAfter(segment, *found, timestamp_ms, min_offset, scratch));
    if (record.has_value()) return record;
  }
}

absl::StatusOr<std::optional<FoundRecord>> FindLargestTimestamp(const OpenSegment& segment, int64_t above_ms,
                                                                int64_t min_offset, PublishedEnd end,
                                                                DecodeBuffer* scratch) {
  std::optional<FoundRecord> largest;
  VARVE_ASSIGN_OR_RETURN(const Start start, ScanStart(segment, min_offset, end));
  for (TestedWalk walk(segment, start.position, end);;) {
    VARVE_ASSIGN_OR_RETURN(const std::optional<FoundBatch> found, walk.Next());
    if (!found.has_value()) return largest;
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

TimestampOffset LargestTimestamp(const OpenSegment& segment, TimestampOffset last_entry, PublishedEnd end,
                                 absl::Status* failed) {
  if (last_entry.timestamp_ms != OpenSegment::kNoTimestampYet) {
    const absl::StatusOr<Start> start = ScanStart(segment, last_entry.offset, end);
    bool borne_out = false;
    const TimestampOffset largest =
        LargestFrom(segment, start.ok() ? start->position : 0, last_entry, end, &borne_out, failed);
    if (borne_out) return largest;
  }
  bool ignored = false;
  *failed = absl::OkStatus();
  return LargestFrom(segment, 0, {OpenSegment::kNoTimestampYet, segment.base_offset()}, end, &ignored, failed);
}

}  // namespace varve::internal
