#include "segment/segment_recovery.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "base/status.h"
#include "fmt/format.h"
#include "record/batch_scanner.h"
#include "segment/raw_log.h"

namespace varve::internal {
namespace {

// Why the good batches stop at a position.
struct Stop {
  bool at_end = false;      // the end of the file
  bool unreadable = false;  // the device failed
  std::string reason = {};
};

class Recovery {
 public:
  Recovery(const File& log, const SegmentRecoveryInput& input, BatchVisitor& visitor)
      : file_(log),
        input_(input),
        visitor_(visitor),
        raw_(&log, input.size_bytes),
        indexes_(input.base_offset, input.index_interval_bytes, input.segment_index_bytes),
        durable_position_(input.durable_position),
        durable_offset_(input.durable_offset),
        durable_point_is_boundary_(input.durable_point_is_boundary) {
    result_.next_offset = input.base_offset;
    result_.last_epoch = input.previous_epoch;
  }

  absl::StatusOr<SegmentRecovery> Run() {
    while (true) {
      VARVE_ASSIGN_OR_RETURN(const Stop stop, ScanGoodBatches());
      if (stop.at_end) break;
      VARVE_ASSIGN_OR_RETURN(const bool goes_on, Judge(stop));
      if (!goes_on) break;
    }
    NoteMissingTail();
    if (result_.log_end == LogEnd::kNowhere) result_.end_position = input_.size_bytes;
    result_.final_size_bytes = result_.end_position - excised_bytes_;
    result_.bytes_scanned = input_.size_bytes;
    VARVE_RETURN_IF_ERROR(indexes_.Finish());
    result_.offset_index = indexes_.OffsetIndexBytes();
    result_.time_index = indexes_.TimeIndexBytes();
    return std::move(result_);
  }

 private:
  // --- Good batches ---

  absl::StatusOr<Stop> ScanGoodBatches() {
    BatchReader reader(&file_, static_cast<uint64_t>(position_), static_cast<uint64_t>(input_.size_bytes));
    while (true) {
      if (!reader.NextHeld()) {
        const absl::StatusOr<bool> found = reader.Next();
        if (absl::IsInternal(found.status())) {
          return Stop{.unreadable = true, .reason = std::string(found.status().message())};
        }
        if (absl::IsUnimplemented(found.status())) return StopAtLegacy(found.status());
        if (!found.ok()) return found.status();
        if (!*found && reader.end() == ScanEnd::kLimit) return Stop{.at_end = true};
        if (!*found) return StopAtNoBatch(reader.reason());
      }
      const BatchHeader& header = reader.header();
      if (!reader.crc_matches()) {
        return Stop{.reason =
                        fmt::format("checksum {:08x} expected, computed {:08x}", header.crc, reader.computed_crc())};
      }
      if (!OffsetsFit(header)) return Stop{.reason = OffsetFault(header)};
      DropHintThatContradicts(header);
      if (!IsDoubtful(header)) {
        VARVE_RETURN_IF_ERROR(Accept(header, reader.bytes()));
        continue;
      }
      VARVE_ASSIGN_OR_RETURN(const bool accepted, AcceptOrMend(header, reader.bytes()));
      if (!accepted) return Stop{.reason = "offsets that the batch behind contradicts"};
    }
  }

  // A message of magic 0 or 1 is one only with a good checksum of its own.
  absl::StatusOr<Stop> StopAtLegacy(const absl::Status& refusal) {
    VARVE_ASSIGN_OR_RETURN(const bool legacy, raw_.LegacyMessageAt(position_));
    if (legacy) return refusal;
    return Stop{.reason = std::string(refusal.message())};
  }

  // A higher magic with good checksums is a format of the future if the batch behind has it too.
  absl::StatusOr<Stop> StopAtNoBatch(const std::string& reason) {
    VARVE_ASSIGN_OR_RETURN(const std::optional<int8_t> magic, NewerMagicAt(position_));
    if (magic.has_value()) {
      return Error(absl::StatusCode::kUnimplemented,
                   "{}, position {}: magic {} expected, found {} in batches with good checksums", file_.path(),
                   position_, kMagic, *magic);
    }
    return Stop{.reason = reason};
  }

  absl::StatusOr<std::optional<int8_t>> NewerMagicAt(int64_t position) {
    std::optional<int8_t> magic;
    for (int batch = 0; batch < 2; ++batch) {
      VARVE_ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, raw_.Read(position, kBatchHeaderBytes));
      if (bytes.size() < kBatchHeaderBytes) return std::nullopt;
      const BatchHeader header = DecodeBatchHeader(bytes.data());
      const int64_t end = position + static_cast<int64_t>(header.size_bytes);
      if (header.magic <= kMagic || (magic.has_value() && header.magic != *magic)) return std::nullopt;
      if (header.size_bytes < kBatchHeaderBytes || end > input_.size_bytes) return std::nullopt;
      VARVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> crc,
                             raw_.ExtendCrc(0, position + static_cast<int64_t>(kAttributesPosition), end));
      if (crc != header.crc) return std::nullopt;
      magic = header.magic;
      position = end;
    }
    return magic;
  }

  bool OffsetsFit(const BatchHeader& header) const {
    return HasSaneOffsets(header) && header.base_offset >= result_.next_offset &&
           header.last_offset() - input_.base_offset <= std::numeric_limits<int32_t>::max() &&
           header.next_offset() <= input_.next_segment_base_offset.value_or(std::numeric_limits<int64_t>::max());
  }

  // What is wrong with the offsets of a batch that do not fit.
  std::string OffsetFault(const BatchHeader& header) const {
    if (!HasSaneOffsets(header)) {
      return fmt::format("base offset {} with last offset delta {}", header.base_offset, header.last_offset_delta);
    }
    if (header.base_offset < result_.next_offset) {
      return fmt::format("base offset of at least {} expected, found {}", result_.next_offset, header.base_offset);
    }
    if (header.last_offset() - input_.base_offset > std::numeric_limits<int32_t>::max()) {
      return fmt::format("last offset within 2^31 of {} expected, found {}", input_.base_offset, header.last_offset());
    }
    return fmt::format("last offset below the next segment's {} expected, found {}",
                       input_.next_segment_base_offset.value_or(0), header.last_offset());
  }

  // A header outside the checksum is doubted only where it breaks the row: a gap, another epoch, or an end that does
  // not meet a known boundary. After a restart nothing above the durable point is mended: the log ends where it is not
  // good.
  bool IsDoubtful(const BatchHeader& header) const {
    if (!MayMend()) return false;
    const int64_t end = position_ + static_cast<int64_t>(header.size_bytes);
    const bool misses_boundary = EndsAtBoundary(end) && header.next_offset() != durable_offset_;
    return misses_boundary || header.base_offset != result_.next_offset ||
           (result_.last_epoch != kUnknownEpoch && header.leader_epoch != result_.last_epoch);
  }

  // A batch right behind the one before it is where it belongs. A hint that has another offset at its end is the wrong one.
  void DropHintThatContradicts(const BatchHeader& header) {
    const int64_t end = position_ + static_cast<int64_t>(header.size_bytes);
    if (!input_.durable_point_is_hint || header.base_offset != result_.next_offset || !EndsAtBoundary(end) ||
        header.next_offset() == durable_offset_) {
      return;
    }
    DropHint();
  }

  // All offsets that a hint tells of are there, and nothing behind them: it is wrong about where they end.
  absl::Status DropHintBehindTheEnd() {
    if (!input_.durable_point_is_hint || result_.next_offset != durable_offset_) return absl::OkStatus();
    VARVE_ASSIGN_OR_RETURN(const bool only_zeros, raw_.OnlyZerosFrom(position_));
    if (only_zeros) DropHint();
    return absl::OkStatus();
  }

  void DropHint() {
    durable_position_ = durable_offset_ = 0;
    durable_point_is_boundary_ = false;
  }

  bool MayMend() const { return IsBelowDurablePoint() || input_.cache_survived || input_.durable_point_is_lost; }
  bool EndsAtBoundary(int64_t end) const { return durable_point_is_boundary_ && end == durable_position_; }

  bool IsBelowDurablePoint() const {
    return position_ < durable_position_ || (!durable_point_is_boundary_ && result_.next_offset < durable_offset_);
  }

  // Of a doubtful batch. False if it contradicts its neighbours and cannot be mended.
  absl::StatusOr<bool> AcceptOrMend(const BatchHeader& header, std::span<const std::byte> bytes) {
    const int64_t end = position_ + static_cast<int64_t>(header.size_bytes);
    VARVE_ASSIGN_OR_RETURN(const std::optional<BatchHeader> next, raw_.ValidBatchAt(end));
    BatchNeighbours neighbours{.expected_offset = result_.next_offset, .previous_epoch = result_.last_epoch};
    // A successor that lies below what comes before this batch is itself the wrong one. So is one that lies within this
    // batch, where that cannot begin further down.
    const bool follows_closely = header.base_offset == result_.next_offset;
    const int64_t least_next_offset = follows_closely ? header.next_offset() : result_.next_offset + 1;
    if (next.has_value() && next->base_offset >= least_next_offset) neighbours.next_base_offset = next->base_offset;
    if (next.has_value()) neighbours.next_epoch = next->leader_epoch;
    if (EndsAtBoundary(end)) neighbours.exact_next_offset = durable_offset_;
    BatchHeader mended = header;
    if (!BaseOffsetFits(header, neighbours)) {
      const std::optional<int64_t> base_offset = MendBaseOffset(header, neighbours);
      if (!base_offset.has_value()) return false;
      mended.base_offset = *base_offset;
    }
    mended.leader_epoch = MendLeaderEpoch(header, neighbours).value_or(header.leader_epoch);
    if (mended.base_offset == header.base_offset && mended.leader_epoch == header.leader_epoch) {
      VARVE_RETURN_IF_ERROR(Accept(header, bytes));
      return true;
    }
    UncheckedHeader unchecked;
    std::array<std::byte, kBatchHeaderBytes> encoded;
    EncodeBatchHeader(mended, encoded.data());
    std::copy_n(encoded.begin(), unchecked.size(), unchecked.begin());
    VARVE_RETURN_IF_ERROR(AcceptMended({bytes.begin(), bytes.end()}, unchecked));
    return true;
  }

  absl::Status Accept(const BatchHeader& header, std::span<const std::byte> bytes) {
    const int64_t final_position = position_ - excised_bytes_;
    VARVE_RETURN_IF_ERROR(visitor_.Visit(header, bytes));
    VARVE_RETURN_IF_ERROR(indexes_.Add(header, final_position));
    ++result_.batches;
    result_.next_offset = header.next_offset();
    result_.last_epoch = header.leader_epoch;
    result_.last_batch_position = final_position;
    result_.last_batch_crc = header.crc;
    position_ += static_cast<int64_t>(header.size_bytes);
    return absl::OkStatus();
  }

  absl::Status AcceptMended(std::vector<std::byte> batch, const UncheckedHeader& unchecked) {
    const BatchHeader before = DecodeBatchHeader(batch.data());
    // Nothing was wrong with it: the read that failed went on into a bad sector behind it.
    if (std::equal(unchecked.begin(), unchecked.end(), batch.begin())) return Accept(before, batch);
    std::copy(unchecked.begin(), unchecked.end(), batch.begin());
    const BatchHeader header = DecodeBatchHeader(batch.data());
    result_.mended.push_back(
        {.position = position_,
         .bytes = unchecked,
         .base_offset = header.base_offset,
         .last_offset = header.last_offset(),
         .evidence = fmt::format(
             "body with good checksum {:08x}; offset {}, {} bytes, epoch {}, magic {} by its neighbours, "
             "found {}, {}, {}, {}",
             header.crc, header.base_offset, header.size_bytes, header.leader_epoch, header.magic, before.base_offset,
             static_cast<int64_t>(before.size_bytes), before.leader_epoch, before.magic)});
    return Accept(header, batch);
  }

  // --- Everything else ---

  // True if the scan goes on at position_, false if the log or the segment ends.
  absl::StatusOr<bool> Judge(const Stop& stop) {
    VARVE_RETURN_IF_ERROR(DropHintBehindTheEnd());
    const bool below = IsBelowDurablePoint();
    const bool lost = input_.durable_point_is_lost;
    if (!below && !lost && !input_.cache_survived && !stop.unreadable) return EndLog(LogEnd::kAtInvalid, stop.reason);
    VARVE_ASSIGN_OR_RETURN(const DamageAnalysis analysis, AnalyzeDamage(raw_, Site()));
    if (analysis.verdict == DamageVerdict::kMended) return Mend(analysis);
    const bool last = !input_.next_segment_base_offset.has_value();
    const bool torn =
        analysis.verdict == DamageVerdict::kZeros || (analysis.verdict == DamageVerdict::kCutShort && !lost);
    if (!below && last && torn && !stop.unreadable) {
      result_.end_is_zeros = analysis.verdict == DamageVerdict::kZeros;
      return EndLog(LogEnd::kTornTail, stop.reason);
    }
    if (input_.ends_at_damage) return EndLog(LogEnd::kAtDamage, stop.reason);
    return SkipDamage(analysis.resume_position, stop);
  }

  DamageSite Site() const {
    DamageSite site{.segment_base_offset = input_.base_offset,
                    .position = position_,
                    .expected_offset = result_.next_offset,
                    .previous_epoch = result_.last_epoch,
                    .next_segment_base_offset = input_.next_segment_base_offset,
                    .boundary = std::nullopt,
                    .index_entries = input_.index_entries};
    if (durable_point_is_boundary_ && durable_position_ > position_) {
      site.boundary = {.position = durable_position_, .offset = durable_offset_};
    }
    return site;
  }

  bool EndLog(LogEnd end, const std::string& reason) {
    result_.log_end = end;
    result_.end_position = position_;
    result_.end_reason = reason;
    return false;
  }

  absl::StatusOr<bool> Mend(const DamageAnalysis& analysis) {
    const size_t size_bytes = static_cast<size_t>(analysis.resume_position - position_);
    VARVE_ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, raw_.Read(position_, size_bytes));
    VARVE_RETURN_IF_ERROR(AcceptMended({bytes.begin(), bytes.end()}, analysis.mended));
    return true;
  }

  absl::StatusOr<bool> SkipDamage(int64_t resume_position, const Stop& stop) {
    const int64_t next_offset = result_.next_offset;
    int64_t resume_offset = std::max(next_offset, OffsetBehindDamage());
    const bool is_lost_tail = resume_position == input_.size_bytes && !input_.next_segment_base_offset.has_value();
    if (is_lost_tail && !EndsAtBoundary(resume_position)) {
      VARVE_ASSIGN_OR_RETURN(const int64_t least, OffsetBehindLostTail());
      resume_offset = std::max(resume_offset, least);
    }
    if (resume_position < input_.size_bytes) {
      VARVE_ASSIGN_OR_RETURN(const std::optional<BatchHeader> next, raw_.HeaderAt(resume_position));
      if (next.has_value()) {
        resume_offset = std::max(next_offset, next->base_offset);
      } else if (EndsAtBoundary(resume_position)) {
        resume_offset = std::max(next_offset, durable_offset_);
      }
    }
    result_.damage.push_back({.segment = input_.base_offset,
                              .position = position_,
                              .bytes = resume_position - position_,
                              .first_offset = next_offset,
                              .last_offset = resume_offset - 1,
                              .reason = stop.reason});
    const bool raw_failed = raw_.TakeReadFailed();
    if (stop.unreadable || raw_failed) result_.unreadable.push_back(result_.damage.back());
    if (input_.excises_damage) excised_bytes_ += resume_position - position_;
    position_ = resume_position;
    result_.next_offset = resume_offset;
    return position_ < input_.size_bytes;
  }

  // What the damage at the end of a segment may have held: everything up to the next segment or the durable point.
  int64_t OffsetBehindDamage() const { return input_.next_segment_base_offset.value_or(durable_offset_); }

  // An offset that nothing lost at the end of the log can have had, as far as it shows: at least one batch was lost,
  // and those that still look good are counted in. So no lost offset is given out again, and the next segment has a new
  // name.
  absl::StatusOr<int64_t> OffsetBehindLostTail() const {
    VARVE_ASSIGN_OR_RETURN(const BatchesBehind behind, CountBatchesBehind(file_, position_, input_.size_bytes));
    const int64_t least = result_.next_offset + 1;
    const bool within = behind.last_offset - input_.base_offset < std::numeric_limits<int32_t>::max();
    return within ? std::max(least, behind.last_offset + 1) : least;
  }

  // Offsets below the durable point that the file ends before.
  void NoteMissingTail() {
    if (result_.log_end != LogEnd::kNowhere || input_.next_segment_base_offset.has_value() ||
        result_.next_offset >= durable_offset_) {
      return;
    }
    result_.damage.push_back(
        {.segment = input_.base_offset,
         .position = input_.size_bytes,
         .bytes = 0,
         .first_offset = result_.next_offset,
         .last_offset = durable_offset_ - 1,
         .reason = fmt::format("batches up to offset {} expected, the file ends", durable_offset_ - 1)});
    result_.next_offset = durable_offset_;
  }

  const File& file_;
  const SegmentRecoveryInput& input_;
  BatchVisitor& visitor_;
  RawLog raw_;
  IndexRebuilder indexes_;
  SegmentRecovery result_;
  // The input's, until a hint turns out to be wrong.
  int64_t durable_position_;
  int64_t durable_offset_;
  bool durable_point_is_boundary_;
  int64_t position_ = 0;
  int64_t excised_bytes_ = 0;
};

}  // namespace

absl::StatusOr<SegmentRecovery> RecoverSegment(const File& log, const SegmentRecoveryInput& input,
                                               BatchVisitor& visitor) {
  return Recovery(log, input, visitor).Run();
}

absl::StatusOr<BatchesBehind> CountBatchesBehind(const File& log, int64_t from, int64_t size_bytes) {
  RawLog raw(&log, size_bytes);
  BatchesBehind behind{.end_position = from};
  for (int64_t position = from; position < size_bytes;) {
    VARVE_ASSIGN_OR_RETURN(const std::optional<BatchHeader> header, raw.ValidBatchAt(position));
    if (header.has_value()) {
      ++behind.batches;
      position += static_cast<int64_t>(header->size_bytes);
      behind.end_position = position;
      behind.last_offset = std::max(behind.last_offset, header->last_offset());
      continue;
    }
    const auto takes_any = [](const BatchHeader&) { return true; };
    VARVE_ASSIGN_OR_RETURN(position, NextBatchLookalike(raw, position + 1, size_bytes, takes_any));
  }
  return behind;
}

}  // namespace varve::internal
