#include "segment/segment_judgement.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/bytes.h"
#include "base/status.h"
#include "record/batch_format.h"
#include "segment/segment_recovery.h"

namespace varve::internal {
namespace {

DamagedRange RangeOf(int64_t base_offset, const MendedHeader& mended) {
  const auto length = LoadBigEndian<int32_t>(mended.bytes.data() + kLengthPosition);
  return {.segment = base_offset,
          .position = mended.position,
          .bytes = static_cast<int64_t>(kLogOverheadBytes) + length,
          .first_offset = mended.base_offset,
          .last_offset = mended.last_offset,
          .reason = mended.evidence};
}

bool Contains(const DamagedRange& all, const DamagedRange& part) {
  return all.position <= part.position && part.position + part.bytes <= all.position + all.bytes;
}

// Adds a range to others. What is known of its bytes already grows by it.
void Add(DamagedRange range, std::vector<DamagedRange>* damage) {
  for (DamagedRange& known : *damage) {
    if (!Overlap(known, range)) continue;
    const int64_t end = std::max(known.position + known.bytes, range.position + range.bytes);
    range.position = std::min(known.position, range.position);
    range.bytes = end - range.position;
    range.first_offset = std::min(known.first_offset, range.first_offset);
    range.last_offset = std::max(known.last_offset, range.last_offset);
    range.reason = known.reason;
    known.bytes = -1;
  }
  std::erase_if(*damage, [](const DamagedRange& known) { return known.bytes < 0; });
  damage->push_back(std::move(range));
}

}  // namespace

bool Overlap(const DamagedRange& one, const DamagedRange& other) {
  return one.position < other.position + other.bytes && other.position < one.position + one.bytes;
}

absl::StatusOr<SegmentJudgement> JudgeSegment(const File& log, int64_t base_offset, int64_t size_bytes,
                                              int64_t next_offset, const std::vector<DamagedRange>& known,
                                              std::vector<OffsetPosition> index_entries) {
  const SegmentRecoveryInput input{.base_offset = base_offset,
                                   .size_bytes = size_bytes,
                                   .next_segment_base_offset = next_offset,
                                   .index_entries = std::move(index_entries),
                                   .durable_position = size_bytes};
  NoVisitor visitor;
  VARVE_ASSIGN_OR_RETURN(SegmentRecovery found, RecoverSegment(log, input, visitor));
  SegmentJudgement judgement{
      .damage = known, .unreadable = std::move(found.unreadable), .index = std::move(found.offset_index)};
  std::erase_if(judgement.unreadable, [&known](const DamagedRange& range) {
    return std::ranges::any_of(known, [&range](const DamagedRange& other) { return Contains(other, range); });
  });
  for (const DamagedRange& range : found.damage) Add(range, &judgement.damage);
  for (const MendedHeader& mended : found.mended) Add(RangeOf(base_offset, mended), &judgement.damage);
  std::ranges::stable_sort(judgement.damage, {}, &DamagedRange::position);
  return judgement;
}

}  // namespace varve::internal
