#include "varve/log_reader.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/status.h"
#include "log/log_reader_impl.h"
#include "varve/errors.h"

namespace varve {

using internal::Error;
using internal::FoundBatch;
using internal::FoundRecord;
using internal::OpenSegment;
using internal::PublishedEnd;

LogReader::LogReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LogReader::LogReader(LogReader&&) noexcept = default;
LogReader& LogReader::operator=(LogReader&&) noexcept = default;
LogReader::~LogReader() = default;

void LogReader::Impl::Catch() {
  if (snapshot_.list != nullptr && snapshot_.generation == core_->table.generation()) [[likely]] {
    return;
  }
  snapshot_ = core_->table.Load();
  slots_.fill({});
}

absl::StatusOr<LogReader::Impl::Slot*> LogReader::Impl::Acquire(size_t index) {
  Slot& slot = slots_[index % kSlots];
  if (slot.index != index) {
    VARVE_ASSIGN_OR_RETURN(std::shared_ptr<const OpenSegment> segment, snapshot_.list->at(index)->Acquire());
    // Another process may have given the name to another file since the list was made.
    VARVE_RETURN_IF_ERROR(core_->CheckGeneration());
    slot = {index, std::move(segment)};
  }
  return &slot;
}

// What a file lacks whose writer is at work on the names may be in another by now.
absl::Status LogReader::Impl::CheckAnswer(const absl::Status& answer) const {
  const bool lacks = absl::IsNotFound(answer) || absl::IsDataLoss(answer);
  VARVE_RETURN_IF_ERROR(lacks ? core_->CheckNames() : core_->CheckGeneration());
  // One that keeps no line, a broker for one, takes files away unannounced, or puts others in their place.
  if (core_->options.read_only && (absl::IsNotFound(answer) || (absl::IsDataLoss(answer) && MeetsExchangedFile()))) {
    return internal::Annotate(absl::AbortedError(answer.message()), "call Refresh and read again");
  }
  return absl::OkStatus();
}

bool LogReader::Impl::MeetsExchangedFile() const {
  const internal::SegmentList::Handles& handles = snapshot_.list->handles();
  return std::any_of(handles.begin(), handles.end(), [](const auto& handle) { return handle->IsExchanged(); });
}

absl::Status LogReader::Impl::CheckAnswerAt(int64_t offset, const absl::Status& answer) const {
  const bool known_damage = absl::IsDataLoss(answer) && BehindDamage(offset) != offset;
  return known_damage ? core_->CheckGeneration() : CheckAnswer(answer);
}

absl::StatusOr<std::optional<LogReader::Impl::Place>> LogReader::Impl::FindPlace(int64_t offset) {
  for (;;) {
    VARVE_RETURN_IF_ERROR(core_->CheckGeneration());
    const int64_t log_end = core_->frontiers.log_end();
    Catch();
    if (offset < core_->frontiers.log_start() || offset > log_end) [[unlikely]] {
      return WithKafkaError(Error(absl::StatusCode::kOutOfRange, "{}: offset {}: the log holds {} to {}",
                                  core_->directory, offset, core_->frontiers.log_start(), log_end),
                            KafkaError::kOffsetOutOfRange);
    }
    // A truncation moves the end before it takes segments away.
    if (offset == log_end) return std::nullopt;
    absl::StatusOr<std::optional<Place>> place = FindInList(offset);
    if (place.ok() && place->has_value()) return place;
    VARVE_RETURN_IF_ERROR(CheckAnswerAt(offset, place.status()));
    if (!OutOfDate()) return place;
  }
}

absl::StatusOr<std::optional<LogReader::Impl::Place>> LogReader::Impl::FindInList(int64_t offset) {
  for (size_t index = snapshot_.list->Floor(offset).value_or(0); index < snapshot_.list->size(); ++index) {
    VARVE_ASSIGN_OR_RETURN(Slot* const slot, Acquire(index));
    const PublishedEnd end = slot->segment->published();
    if (offset >= end.next_offset) continue;
    VARVE_ASSIGN_OR_RETURN(const std::optional<FoundBatch> found, internal::FindBatch(*slot->segment, offset, end));
    if (found.has_value()) return Place{slot->segment.get(), &slot->segment, index, *found, end};
  }
  return std::nullopt;
}

absl::StatusOr<std::optional<LogReader::Impl::Place>> LogReader::Impl::FindVisible(int64_t offset,
                                                                                   Isolation isolation) {
  for (;;) {
    VARVE_ASSIGN_OR_RETURN(std::optional<Place> place, FindPlace(offset));
    if (!place.has_value()) return place;
    if (!core_->frontiers.SeesLogEnd(isolation)) place->visible_end = core_->frontiers.VisibleEnd(isolation);
    // The end says nothing of a batch that is not the log's any more.
    if (OutOfDate()) continue;
    if (place->batch.last_offset >= place->visible_end) return std::nullopt;
    return place;
  }
}

absl::StatusOr<PublishedEnd> LogReader::Impl::VisibleEndOf(const Place& place) {
  if (place.visible_end >= place.end.next_offset) return place.end;
  VARVE_ASSIGN_OR_RETURN(const std::optional<FoundBatch> first_hidden,
                         internal::FindBatch(*place.segment, place.visible_end, place.end));
  if (!first_hidden.has_value()) return place.end;
  // The frontier may lie inside that batch, which is read from its beginning once all of it is visible.
  return PublishedEnd{first_hidden->position, std::min(place.visible_end, first_hidden->base_offset)};
}

absl::StatusOr<FileRange> LogReader::Read(int64_t offset, const ReadOptions& options) {
  VARVE_ASSIGN_OR_RETURN(const std::optional<Impl::Place> place, impl_->FindVisible(offset, options.isolation));
  if (!place.has_value() || (!options.min_one_batch && place->batch.size_bytes > options.max_bytes)) {
    return FileRange(offset);
  }
  VARVE_ASSIGN_OR_RETURN(const PublishedEnd visible, Impl::VisibleEndOf(*place));
  VARVE_ASSIGN_OR_RETURN(const PublishedEnd run,
                         internal::EndOfRun(*place->segment, place->batch, options.max_bytes, visible));
  FileRange range(run.next_offset);
  range.data_ = place->segment->log() + place->batch.position;
  range.size_ = run.end_position - place->batch.position;
  assert(range.size_ >= place->batch.size_bytes);
  range.position_ = place->batch.position;
  range.segment_base_ = place->segment->base_offset();
  range.base_offset_ = place->batch.base_offset;
  range.segment_ = place->segment;
  range.borrowed_ = place->hold;
  return range;
}

absl::StatusOr<std::optional<OffsetLookup>> LogReader::Find(int64_t offset, Isolation isolation) {
  VARVE_ASSIGN_OR_RETURN(const std::optional<Impl::Place> place, impl_->FindVisible(offset, isolation));
  if (!place.has_value()) return std::nullopt;
  return OffsetLookup{.segment = place->segment->base_offset(),
                      .position = place->batch.position,
                      .size_bytes = place->batch.size_bytes,
                      .base_offset = place->batch.base_offset,
                      .last_offset = place->batch.last_offset,
                      .index_offset = place->batch.floor.offset,
                      .index_position = place->batch.floor.position,
                      .batches_scanned = place->batch.batches_scanned};
}

absl::StatusOr<std::optional<RecordBatchView>> LogReader::ReadBatch(int64_t offset, Isolation isolation) {
  VARVE_ASSIGN_OR_RETURN(const std::optional<Impl::Place> place, impl_->FindVisible(offset, isolation));
  if (!place.has_value()) return std::nullopt;
  return RecordBatchView(
      std::span(place->segment->log() + place->batch.position, static_cast<size_t>(place->batch.size_bytes)));
}

absl::StatusOr<std::optional<TimestampLookup>> LogReader::OffsetForTimestamp(int64_t timestamp_ms) {
  return impl_->OffsetForTimestamp(timestamp_ms);
}

TimestampLookup LogReader::Impl::WithEpoch(int64_t timestamp_ms, int64_t offset) const {
  return {.timestamp_ms = timestamp_ms, .offset = offset, .leader_epoch = core_->epochs()->EpochForOffset(offset)};
}

absl::StatusOr<std::optional<TimestampLookup>> LogReader::Impl::FindRecord(int64_t timestamp_ms) {
  VARVE_ASSIGN_OR_RETURN(const std::optional<FoundRecord> found,
                         timestamp_ms == kMaxTimestamp ? FirstOfMaximum() : FirstAtOrAfter(timestamp_ms));
  if (!found.has_value()) return std::nullopt;
  TimestampLookup lookup{.timestamp_ms = found->timestamp_ms, .offset = found->offset, .leader_epoch = {}};
  if (found->leader_epoch >= 0) lookup.leader_epoch = found->leader_epoch;
  return lookup;
}

absl::StatusOr<std::optional<TimestampLookup>> LogReader::Impl::OffsetForTimestamp(int64_t timestamp_ms) {
  VARVE_RETURN_IF_ERROR(core_->CheckGeneration());
  if (timestamp_ms == kEarliestTimestamp) return WithEpoch(kNoTimestamp, core_->frontiers.log_start());
  if (timestamp_ms == kLatestTimestamp) {
    return WithEpoch(kNoTimestamp, core_->frontiers.VisibleEnd(Isolation::kHighWatermark));
  }
  if (timestamp_ms < kMaxTimestamp) {
    return Error(absl::StatusCode::kInvalidArgument, "timestamp {}: expected one since the epoch, or -1, -2, -3",
                 timestamp_ms);
  }
  for (;;) {
    Catch();
    const absl::StatusOr<std::optional<TimestampLookup>> found = FindRecord(timestamp_ms);
    // An answer beyond what a consumer may see is none to it.
    const int64_t visible_end = core_->frontiers.VisibleEnd(Isolation::kHighWatermark);
    const absl::Status current = CheckAnswer(found.status());
    if (OutOfDate()) continue;  // as in FindVisible; an error says nothing either
    if (found.ok() && found->has_value() && (*found)->offset < visible_end) return found;
    VARVE_RETURN_IF_ERROR(current);
    VARVE_RETURN_IF_ERROR(found.status());
    return std::nullopt;
  }
}

// The first record in offset order. Unlike Kafka, a segment whose largest timestamp promised one that is not there (it
// was compacted away, or lies below the log start) does not end the search.
absl::StatusOr<std::optional<FoundRecord>> LogReader::Impl::FirstAtOrAfter(int64_t timestamp_ms) {
  const int64_t log_start = core_->frontiers.log_start();
  for (size_t index = 0; index < snapshot_.list->size(); ++index) {
    VARVE_ASSIGN_OR_RETURN(Slot* const slot, Acquire(index));
    const OpenSegment& segment = *slot->segment;
    if (segment.knows_largest_timestamp() && segment.largest_timestamp().timestamp_ms < timestamp_ms) continue;
    VARVE_ASSIGN_OR_RETURN(const std::optional<FoundRecord> found,
                           internal::FindTimestamp(segment, timestamp_ms, log_start, segment.published(), &scratch_));
    if (found.has_value()) return found;
  }
  return std::nullopt;
}

// In the segment with the largest timestamp, the earliest on ties, the first record that has it. Where that record was
// compacted away, or lies below the log start, all records are looked through.
absl::StatusOr<std::optional<FoundRecord>> LogReader::Impl::FirstOfMaximum() {
  std::optional<size_t> best;
  int64_t largest_ms = OpenSegment::kNoTimestampYet;
  for (size_t index = 0; index < snapshot_.list->size(); ++index) {
    VARVE_ASSIGN_OR_RETURN(Slot* const slot, Acquire(index));
    if (!slot->segment->knows_largest_timestamp()) return FirstOfMaximumInAll();
    const int64_t timestamp_ms = slot->segment->largest_timestamp().timestamp_ms;
    if (timestamp_ms <= largest_ms) continue;
    largest_ms = timestamp_ms;
    best = index;
  }
  if (!best.has_value()) return std::nullopt;
  VARVE_ASSIGN_OR_RETURN(Slot* const slot, Acquire(*best));
  VARVE_ASSIGN_OR_RETURN(const std::optional<FoundRecord> found,
                         internal::FindTimestamp(*slot->segment, largest_ms, core_->frontiers.log_start(),
                                                 slot->segment->published(), &scratch_));
  return found.has_value() ? found : FirstOfMaximumInAll();
}

absl::StatusOr<std::optional<FoundRecord>> LogReader::Impl::FirstOfMaximumInAll() {
  const int64_t log_start = core_->frontiers.log_start();
  std::optional<FoundRecord> largest;
  for (size_t index = 0; index < snapshot_.list->size(); ++index) {
    VARVE_ASSIGN_OR_RETURN(Slot* const slot, Acquire(index));
    const OpenSegment& segment = *slot->segment;
    const int64_t above_ms = largest.has_value() ? largest->timestamp_ms : OpenSegment::kNoTimestampYet;
    if (segment.knows_largest_timestamp() && segment.largest_timestamp().timestamp_ms <= above_ms) continue;
    VARVE_ASSIGN_OR_RETURN(
        const std::optional<FoundRecord> found,
        internal::FindLargestTimestamp(segment, above_ms, log_start, segment.published(), &scratch_));
    if (found.has_value()) largest = found;
  }
  return largest;
}

int64_t LogReader::Impl::BehindDamage(int64_t offset) const {
  for (size_t index = 0; index < snapshot_.list->size(); ++index) {
    // What this reader holds may know of damage that the cache has let go of.
    const Slot& slot = slots_[index % kSlots];
    const bool held = slot.index == index && slot.segment != nullptr;
    for (const DamagedRange& range : held ? slot.segment->damage() : snapshot_.list->at(index)->damage()) {
      if (range.first_offset <= offset && offset <= range.last_offset) return range.last_offset + 1;
    }
  }
  return offset;
}

}  // namespace varve
