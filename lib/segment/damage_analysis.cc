#include "segment/damage_analysis.h"

#include <algorithm>
#include <limits>
#include <unordered_set>
#include <utility>

#include "base/status.h"

namespace varve::internal {
namespace {

class Analyzer {
 public:
  Analyzer(RawLog& log, const DamageSite& site) : log_(log), site_(site) {}

  absl::StatusOr<DamageAnalysis> Run() {
    VARVE_RETURN_IF_ERROR(FindAnchor());
    VARVE_ASSIGN_OR_RETURN(std::optional<DamageAnalysis> found, Mend());
    if (found.has_value()) return *found;
    VARVE_ASSIGN_OR_RETURN(const std::optional<int64_t> resume, FindResume());
    if (resume.has_value()) return DamageAnalysis{.verdict = DamageVerdict::kResumes, .resume_position = *resume};
    VARVE_ASSIGN_OR_RETURN(const bool only_zeros, log_.OnlyZerosFrom(site_.position));
    if (only_zeros) return Ends(DamageVerdict::kZeros);
    VARVE_ASSIGN_OR_RETURN(const bool valid_behind, HasBatchesBehind());
    return Ends(valid_behind ? DamageVerdict::kLost : DamageVerdict::kCutShort);
  }

 private:
  DamageAnalysis Ends(DamageVerdict verdict) const {
    return {.verdict = verdict, .resume_position = log_.size_bytes()};
  }

  // The first anchor behind the damage, if any: the search for candidates ends there.
  absl::Status FindAnchor() {
    for (const OffsetPosition& entry : site_.index_entries) {
      if (entry.position <= site_.position || entry.offset < site_.expected_offset) continue;
      VARVE_ASSIGN_OR_RETURN(const bool agrees, EntryAgrees(log_, entry));
      VARVE_ASSIGN_OR_RETURN(const bool fits, GoodBatchFrom(entry.position, site_.expected_offset));
      if (!agrees || !fits) continue;
      anchor_ = entry.position;
      break;
    }
    if (site_.boundary.has_value() && site_.boundary->position <= log_.size_bytes() &&
        (!anchor_.has_value() || site_.boundary->position < *anchor_)) {
      anchor_ = site_.boundary->position;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<BatchHeader>> GoodBatch(int64_t position, int64_t least_offset) {
    VARVE_ASSIGN_OR_RETURN(std::optional<BatchHeader> header, log_.ValidBatchAt(position));
    if (!header.has_value() || header->base_offset < least_offset || !WithinSegment(*header)) return std::nullopt;
    return header;
  }
  absl::StatusOr<bool> GoodBatchFrom(int64_t position, int64_t least_offset) {
    VARVE_ASSIGN_OR_RETURN(const std::optional<BatchHeader> header, GoodBatch(position, least_offset));
    return header.has_value();
  }

  // Offsets that the segment can hold.
  bool WithinSegment(const BatchHeader& header) const {
    if (header.last_offset() - site_.segment_base_offset > std::numeric_limits<int32_t>::max()) return false;
    return !site_.next_segment_base_offset.has_value() || header.next_offset() <= *site_.next_segment_base_offset;
  }

  // --- Mending ---

  BatchNeighbours NeighboursOf(int64_t end, const std::optional<BatchHeader>& next) const {
    BatchNeighbours neighbours{.expected_offset = site_.expected_offset, .previous_epoch = site_.previous_epoch};
    if (next.has_value()) {
      neighbours.next_base_offset = next->base_offset;
      neighbours.next_epoch = next->leader_epoch;
    } else if (site_.next_segment_base_offset.has_value()) {
      neighbours.next_base_offset = site_.next_segment_base_offset;
    }
    if (site_.boundary.has_value() && site_.boundary->position == end) {
      neighbours.exact_next_offset = site_.boundary->offset;
    }
    for (const OffsetPosition& entry : site_.index_entries) {
      if (entry.position == site_.position) neighbours.indexed_last_offset = entry.offset;
    }
    return neighbours;
  }

  // Mends the header if the body from byte 21 on is good up to some end that makes sense.
  absl::StatusOr<std::optional<DamageAnalysis>> Mend() {
    VARVE_ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, log_.Read(site_.position, kBatchHeaderBytes));
    if (bytes.size() < kBatchHeaderBytes) return std::nullopt;
    BatchHeader header = DecodeBatchHeader(bytes.data());
    VARVE_ASSIGN_OR_RETURN(const std::optional<int64_t> end, FindBodyEnd(header));
    if (!end.has_value()) return std::nullopt;
    VARVE_ASSIGN_OR_RETURN(const std::optional<BatchHeader> next, GoodBatch(*end, 0));
    const BatchNeighbours neighbours = NeighboursOf(*end, next);
    header.size_bytes = static_cast<size_t>(*end - site_.position);
    header.magic = kMagic;
    if (!BaseOffsetFits(header, neighbours) || !WithinSegment(header)) {
      const std::optional<int64_t> base_offset = MendBaseOffset(header, neighbours);
      if (!base_offset.has_value()) return std::nullopt;
      header.base_offset = *base_offset;
      if (!WithinSegment(header)) return std::nullopt;
    }
    header.leader_epoch = MendLeaderEpoch(header, neighbours).value_or(header.leader_epoch);
    DamageAnalysis analysis{.verdict = DamageVerdict::kMended, .resume_position = *end};
    std::array<std::byte, kBatchHeaderBytes> encoded;
    EncodeBatchHeader(header, encoded.data());
    std::copy_n(encoded.begin(), analysis.mended.size(), analysis.mended.begin());
    return analysis;
  }

  // Where the body ends by its checksum: at the length the header gives, else at the next anchor, at a place that looks
  // like a batch, or where the bytes end.
  absl::StatusOr<std::optional<int64_t>> FindBodyEnd(const BatchHeader& header) {
    const int64_t least_end = site_.position + static_cast<int64_t>(kBatchHeaderBytes);
    const auto declared = LengthEnd(header);
    VARVE_ASSIGN_OR_RETURN(const bool declared_is_good, BodyMatches(header.crc, least_end, declared));
    if (declared_is_good) return declared;
    const int64_t search_end = anchor_.value_or(log_.size_bytes());
    int64_t summed_to = site_.position + static_cast<int64_t>(kAttributesPosition);
    uint32_t crc = 0;
    const auto matches_at = [&](int64_t end) -> absl::StatusOr<bool> {
      VARVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> extended, log_.ExtendCrc(crc, summed_to, end));
      if (!extended.has_value()) return false;
      crc = *extended;
      summed_to = end;
      return crc == header.crc;
    };
    for (int64_t end = least_end; end < search_end; ++end) {
      VARVE_ASSIGN_OR_RETURN(end, NextLookalike(end, search_end));
      if (end >= search_end) break;
      VARVE_ASSIGN_OR_RETURN(const bool matches, matches_at(end));
      if (matches) return end;
    }
    if (search_end < least_end) return std::nullopt;
    VARVE_ASSIGN_OR_RETURN(const bool matches, matches_at(search_end));
    return matches ? std::optional(search_end) : std::nullopt;
  }

  int64_t LengthEnd(const BatchHeader& header) const {
    return site_.position + static_cast<int64_t>(static_cast<int32_t>(header.size_bytes - kLogOverheadBytes)) +
           static_cast<int64_t>(kLogOverheadBytes);
  }

  absl::StatusOr<bool> BodyMatches(uint32_t expected_crc, int64_t least_end, int64_t end) {
    if (end < least_end || end > log_.size_bytes()) return false;
    VARVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> crc,
                           log_.ExtendCrc(0, site_.position + static_cast<int64_t>(kAttributesPosition), end));
    return crc == expected_crc;
  }

  // --- Resuming ---

  absl::StatusOr<std::optional<int64_t>> FindResume() {
    VARVE_ASSIGN_OR_RETURN(const std::optional<int64_t> successor, Successor());
    if (successor.has_value()) return successor;
    const int64_t search_end = anchor_.value_or(log_.size_bytes());
    for (int64_t at = site_.position + 1; at < search_end; ++at) {
      VARVE_ASSIGN_OR_RETURN(at, NextLookalike(at, search_end));
      if (at >= search_end) break;
      VARVE_ASSIGN_OR_RETURN(const bool reaches, ChainReachesAnchor(at));
      if (reaches) return at;
    }
    return anchor_;
  }

  // The end of the damaged batch by its own header, where the batch behind begins at the offset that this header leads
  // to: the two confirm each other, so only the body between is damaged.
  absl::StatusOr<std::optional<int64_t>> Successor() {
    VARVE_ASSIGN_OR_RETURN(const std::optional<BatchHeader> damaged, log_.HeaderAt(site_.position));
    if (!damaged.has_value() || damaged->base_offset < site_.expected_offset) return std::nullopt;
    const int64_t end = site_.position + static_cast<int64_t>(damaged->size_bytes);
    if (end == log_.size_bytes() && site_.next_segment_base_offset.has_value()) {
      return LeadsTo(*damaged, *site_.next_segment_base_offset) ? std::optional(end) : std::nullopt;
    }
    VARVE_ASSIGN_OR_RETURN(const std::optional<BatchHeader> next, GoodBatch(end, damaged->base_offset + 1));
    if (!next.has_value() || !LeadsTo(*damaged, next->base_offset)) return std::nullopt;
    return end;
  }

  // By the last offset delta or, as that is under the damaged checksum too, by the record count. A gap behind it is no
  // contradiction: compaction and replication make them, and a batch in a value must not fill it.
  static bool LeadsTo(const BatchHeader& damaged, int64_t offset) {
    return (damaged.last_offset_delta >= 0 && damaged.next_offset() <= offset) ||
           (damaged.record_count > 0 && damaged.base_offset + damaged.record_count <= offset);
  }

  // Follows good batches with rising offsets from `position`. Positions of chains that led nowhere are remembered, so
  // that the search reads each batch once.
  absl::StatusOr<bool> ChainReachesAnchor(int64_t position) {
    int64_t expected_offset = site_.expected_offset;
    while (!dead_ends_.contains(position)) {
      VARVE_ASSIGN_OR_RETURN(const std::optional<BatchHeader> header, GoodBatch(position, expected_offset));
      dead_ends_.insert(position);
      if (!header.has_value()) return false;
      position += static_cast<int64_t>(header->size_bytes);
      expected_offset = header->next_offset();
      if (position == anchor_) return AnchorTakes(expected_offset);
      if (position == log_.size_bytes()) return expected_offset == site_.next_segment_base_offset;
    }
    return false;
  }

  // Whether the anchor's batch goes on from `expected_offset`.
  absl::StatusOr<bool> AnchorTakes(int64_t expected_offset) {
    if (site_.boundary.has_value() && site_.boundary->position == *anchor_) {
      return expected_offset == site_.boundary->offset;
    }
    return GoodBatchFrom(*anchor_, expected_offset);
  }

  // Whether there is a good batch that cannot be part of what stands at the damage. If that is the beginning of a batch
  // that was being appended, everything within its length is its own.
  absl::StatusOr<bool> HasBatchesBehind() {
    int64_t from = site_.position + 1;
    VARVE_ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, log_.Read(site_.position, kBatchHeaderBytes));
    if (bytes.size() == kBatchHeaderBytes) {
      const BatchHeader header = DecodeBatchHeader(bytes.data());
      if (header.magic == kMagic && header.base_offset >= site_.expected_offset && WithinSegment(header)) {
        from = std::max(from, LengthEnd(header));
      }
    }
    for (int64_t at = from; at < log_.size_bytes(); ++at) {
      VARVE_ASSIGN_OR_RETURN(at, NextLookalike(at, log_.size_bytes()));
      if (at >= log_.size_bytes()) break;
      VARVE_ASSIGN_OR_RETURN(const bool good, GoodBatchFrom(at, site_.expected_offset));
      if (good) return true;
    }
    return false;
  }

  // The next position at which the log could go on, by the header there; `end` if there is none.
  absl::StatusOr<int64_t> NextLookalike(int64_t from, int64_t end) {
    return NextBatchLookalike(log_, from, end, [this](const BatchHeader& header) {
      return header.base_offset >= site_.expected_offset && WithinSegment(header);
    });
  }

  RawLog& log_;
  const DamageSite& site_;
  std::optional<int64_t> anchor_;
  std::unordered_set<int64_t> dead_ends_;
};

}  // namespace

absl::StatusOr<DamageAnalysis> AnalyzeDamage(RawLog& log, const DamageSite& site) { return Analyzer(log, site).Run(); }

absl::StatusOr<bool> EntryAgrees(RawLog& log, const OffsetPosition& entry) {
  VARVE_ASSIGN_OR_RETURN(const std::optional<BatchHeader> header, log.ValidBatchAt(entry.position));
  // The batch itself, or the first of several that were appended together (format notes §3.2, "[≤4.0]").
  return header.has_value() && header->last_offset() <= entry.offset;
}

}  // namespace varve::internal
