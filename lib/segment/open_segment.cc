#include "segment/open_segment.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

#include "base/path.h"
#include "base/prefetch.h"
#include "base/status.h"
#include "index/entry_search.h"
#include "segment/segment_files.h"
#include "segment/segment_lookup.h"

namespace varve::internal {
namespace {

// An index that cannot be opened or fails its check costs speed, not answers: the segment does without.
SparseOffsetIndex UsableOffsetIndex(FileSystem* file_system, const std::string& path, int64_t base_offset,
                                    int64_t log_bytes) {
  absl::StatusOr<SparseOffsetIndex> index = SparseOffsetIndex::Open(file_system, path, base_offset);
  if (!index.ok() || !index->Check(log_bytes).ok()) return SparseOffsetIndex(base_offset, {});
  return *std::move(index);
}

TimeIndex UsableTimeIndex(FileSystem* file_system, const std::string& path, int64_t base_offset, int64_t next_offset) {
  absl::StatusOr<TimeIndex> index = TimeIndex::Open(file_system, path, base_offset);
  if (!index.ok() || !index->Check(next_offset).ok()) return TimeIndex(base_offset, {});
  return *std::move(index);
}

// At a time, of pages that are to be present.
constexpr int64_t kReadBytes = 16 * 1024;

int64_t BytesOf(const std::vector<DamagedRange>& ranges) {
  int64_t bytes = 0;
  for (const DamagedRange& range : ranges) bytes += range.bytes;
  return bytes;
}

// How many entries point at or before `position`, of either form of the index: entries rise in both members.
template <typename Index>
size_t CountAtOrBefore(const Index& index, int64_t position) {
  return CountNotAbove(index.entry_count(), position, [&index](size_t number) { return index.entry(number).position; });
}

}  // namespace

absl::StatusOr<std::shared_ptr<const OpenSegment>> OpenSegment::OpenSealed(
    const std::shared_ptr<FileSystem>& file_system, const std::string& directory, int64_t base_offset, PublishedEnd end,
    std::vector<DamagedRange> damage, SegmentFileSuffix suffix) {
  const auto path_of = [&](SegmentFileKind kind) {
    return JoinPath(directory, SegmentFileName(base_offset, kind, suffix));
  };
  const std::string path = JoinPath(directory, SegmentFileName(base_offset, SegmentFileKind::kLog));
  // The next segment may begin further up than the offsets of this one can reach. An end between the two does as well:
  // who reads on from there is in the gap, and led to the next.
  constexpr int64_t kReach = int64_t{1} << 31;
  end.next_offset = std::min(end.next_offset, base_offset + kReach);
  if (end.end_position == 0) {
    auto empty =
        std::make_shared<OpenSegment>(file_system, path, base_offset, nullptr, nullptr, nullptr, std::move(damage));
    empty->Publish(end);
    return empty;
  }
  VARVE_ASSIGN_OR_RETURN(std::shared_ptr<File> file,
                         file_system->Open(path_of(SegmentFileKind::kLog), OpenMode::kRead));
  VARVE_ASSIGN_OR_RETURN(const FileInfo info, file->Info());
  if (static_cast<int64_t>(info.size) < end.end_position) {
    return Error(absl::StatusCode::kDataLoss, "{}: expected at least {} bytes, found {}", path, end.end_position,
                 info.size);
  }
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<Mapping> mapping,
                         file->Map(static_cast<uint64_t>(end.end_position), Access::kRead));
  auto segment = std::make_shared<OpenSegment>(file_system, path, base_offset, nullptr, std::move(mapping), nullptr,
                                               std::move(damage));
  segment->ReleaseFile(info.identity);
  segment->offset_index_ =
      UsableOffsetIndex(file_system.get(), path_of(SegmentFileKind::kOffsetIndex), base_offset, end.end_position);
  segment->time_index_ =
      UsableTimeIndex(file_system.get(), path_of(SegmentFileKind::kTimeIndex), base_offset, end.next_offset);
  segment->TookFromFiles(end);
  absl::Status* const failed = &segment->largest_timestamp_status_;
  segment->SetLargestTimestamp(LargestTimestamp(*segment, segment->time_index_.last_entry(), end, failed));
  if (failed->ok() && segment->awaits_device()) {
    *failed = absl::InternalError(segment->judgement()->found.unreadable.front().reason);
  }
  segment->Publish(end);
  return segment;
}

OpenSegment::OpenSegment(std::shared_ptr<FileSystem> file_system, std::string path, int64_t base_offset,
                         std::shared_ptr<File> file, std::unique_ptr<Mapping> mapping,
                         std::unique_ptr<LiveIndexes> live, std::vector<DamagedRange> damage)
    : file_system_(std::move(file_system)),
      path_(std::move(path)),
      base_offset_(base_offset),
      mapping_(std::move(mapping)),
      log_(mapping_ != nullptr ? mapping_->data() : nullptr),
      live_(std::move(live)),
      offset_index_(base_offset, {}),
      time_index_(base_offset, {}),
      damage_(std::move(damage)),
      largest_timestamp_offset_(base_offset),
      file_(std::move(file)) {}

void OpenSegment::TookFromFiles(PublishedEnd end) {
  if (end.end_position == 0) return;
  file_entries_ = offset_entry_count();
  file_end_ = end;
  notes_.reset(static_cast<uint64_t*>(std::calloc(file_entries_ + 1, sizeof(uint64_t))));
  file_time_entries_ = time_entry_count();
  times_tested_.reset(static_cast<uint8_t*>(std::calloc(file_time_entries_ + 1, sizeof(uint8_t))));
}

// What begins behind a stretch: the next entry, or the end of what comes from files or of all.
OffsetPosition OpenSegment::EndOf(size_t stretch) const {
  if (ComesFromFiles(stretch) && stretch == file_entries_) return {file_end_.next_offset, file_end_.end_position};
  if (stretch < offset_entry_count()) return Entry(stretch);
  const PublishedEnd end = published();
  return {end.next_offset, end.end_position};
}

OffsetPosition OpenSegment::Entry(size_t number) const {
  return live_ != nullptr ? live_->offsets.entry(number) : offset_index_.entry(number);
}

// Stretch n lies behind entry n - 1.
template <typename CountNotAbove>
OpenSegment::IndexHint OpenSegment::Floor(CountNotAbove count_not_above) const {
  const size_t stretch = live_ != nullptr ? count_not_above(live_->offsets) : count_not_above(offset_index_);
  const bool trusted = IsTested(stretch) && IsTested(stretch + 1);
  if (const Judgement* const judgement = trusted ? nullptr : this->judgement(); judgement != nullptr) [[unlikely]] {
    const size_t count = count_not_above(judgement->index);
    return {.entry = count > 0 ? judgement->index.entry(count - 1) : OffsetPosition{base_offset_, 0},
            .stretch = kJudged};
  }
  return {.entry = stretch == 0 ? OffsetPosition{base_offset_, 0} : Entry(stretch - 1),
          .stretch = stretch,
          .trusted = trusted};
}

// Where `target` lies if all batches of the segment are equal. While the guesses are right, what lies there is fetched
// while the index is searched, and so is what was noted of its stretch.
int64_t OpenSegment::GuessPosition(int64_t target) const {
  const bool from_files = target < file_end_.next_offset;
  const PublishedEnd end = from_files ? file_end_ : published();
  if (target < base_offset_ || target >= end.next_offset || end.end_position == 0) return 0;
  const double share = static_cast<double>(target - base_offset_) / static_cast<double>(end.next_offset - base_offset_);
  const auto guess = static_cast<int64_t>(share * static_cast<double>(end.end_position));
  if (even_.load(std::memory_order_relaxed)) {
    Prefetch(log_ + guess, log_ + guess + 2 * kCacheLineBytes);
    if (from_files && notes_ != nullptr) {
      __builtin_prefetch(&notes_[static_cast<size_t>(share * static_cast<double>(file_entries_))]);
    }
  }
  return guess;
}

OpenSegment::IndexHint OpenSegment::FloorOffset(int64_t target) const {
  const int64_t guess = GuessPosition(target);
  IndexHint hint = Floor([target](const auto& index) {
    const std::optional<size_t> number = index.FloorIndex(target);
    return number.has_value() ? *number + 1 : 0;
  });
  if (hint.stretch == kJudged || target < hint.entry.offset || log_ == nullptr) return hint;
  const OffsetPosition end = EndOf(hint.stretch);
  if (target >= end.offset) return hint;
  const bool even = guess >= hint.entry.position && guess < end.position;
  if (even != even_.load(std::memory_order_relaxed)) even_.store(even, std::memory_order_relaxed);
  // Equal batches let it lie there: fetched while the rest is found out, and with it what is walked through on the way.
  const int64_t guessed_bytes =
      (end.position - hint.entry.position) * (target - hint.entry.offset) / (end.offset - hint.entry.offset);
  const std::byte* const begin = log_ + hint.entry.position;
  Prefetch(begin + guessed_bytes, begin + guessed_bytes + 1);
  if (ComesFromFiles(hint.stretch)) {
    hint.skip_bytes = WaypointsOf(hint.stretch).DistanceTo(target, hint.entry.offset, end.offset);
  }
  constexpr int64_t kMostBytes = 16 * kCacheLineBytes;
  constexpr int64_t kHeaderWithFirstRecord = 2 * kCacheLineBytes;
  Prefetch(begin + hint.skip_bytes,
           begin + std::min(guessed_bytes + kHeaderWithFirstRecord, hint.skip_bytes + kMostBytes));
  return hint;
}

OpenSegment::IndexHint OpenSegment::FloorPosition(int64_t position) const {
  return Floor([position](const auto& index) { return CountAtOrBefore(index, position); });
}

void OpenSegment::MarkTested(size_t stretch, Waypoints waypoints) const {
  if (notes_ == nullptr) return;
  waypoints.SetTested();
  std::atomic_ref(notes_[stretch]).store(waypoints.word(), std::memory_order_relaxed);
}

size_t OpenSegment::StretchOf(int64_t position) const {
  return live_ != nullptr ? CountAtOrBefore(live_->offsets, position) : CountAtOrBefore(offset_index_, position);
}

OpenSegment::Stretch OpenSegment::StretchAt(size_t stretch) const {
  return {.entry = stretch == 0 ? OffsetPosition{base_offset_, 0} : Entry(stretch - 1),
          .previous_position = stretch > 1 ? Entry(stretch - 2).position : 0,
          .end = EndOf(stretch)};
}

absl::Status OpenSegment::Populate(int64_t from, int64_t to) const {
  if (live_ == nullptr) return mapping_->Populate(static_cast<size_t>(from), static_cast<size_t>(to - from));
  // Pages that may be stored into would be made present as dirty ones: a call that reads them does as well.
  const std::shared_ptr<const File> file = Reopened();
  return file != nullptr ? ReadThrough(*file, from, to) : absl::OkStatus();
}

absl::Status OpenSegment::ReadThrough(const File& file, int64_t from, int64_t to) const {
  std::array<std::byte, kReadBytes> ignored;
  for (int64_t position = from; position < to; position += kReadBytes) {
    const auto count = static_cast<size_t>(std::min(kReadBytes, to - position));
    VARVE_RETURN_IF_ERROR(ReadFrom(file, position, std::span(ignored).first(count)));
  }
  return absl::OkStatus();
}

absl::Status OpenSegment::Judge() const {
  const MutexLock lock(&judge_mutex_);
  if (judged()) return absl::OkStatus();
  VARVE_RETURN_IF_ERROR(unsupported_);
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<const Judgement> judgement, NewJudgement());
  GoBy(std::move(judgement));
  return absl::OkStatus();
}

absl::StatusOr<bool> OpenSegment::JudgeAgain(const DamagedRange& met) const {
  if (!judged()) return false;
  const MutexLock lock(&judge_mutex_);
  const Judgement& last = *judgement();
  if (std::ranges::find(last.found.damage, met) == last.found.damage.end()) return true;  // somebody else did
  VARVE_RETURN_IF_ERROR(unsupported_);
  std::vector<DamagedRange> failed;
  std::ranges::copy_if(last.found.unreadable, std::back_inserter(failed),
                       [&met](const DamagedRange& range) { return Overlap(met, range); });
  if (failed.empty()) return false;
  absl::Status refused;
  const std::shared_ptr<const File> file = Reopened(&refused);
  VARVE_RETURN_IF_ERROR(file == nullptr ? refused : absl::OkStatus());
  if (file == nullptr) return false;
  for (const DamagedRange& range : failed) {
    if (!ReadThrough(*file, range.position, range.position + range.bytes).ok()) return false;
  }
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<const Judgement> judgement, NewJudgement());
  if (BytesOf(judgement->found.unreadable) >= BytesOf(last.found.unreadable)) return false;
  GoBy(std::move(judgement));
  return true;
}

void OpenSegment::GoBy(std::unique_ptr<const Judgement> judgement) const {
  judgements_.push_back(std::move(judgement));
  judgement_.store(judgements_.back().get(), std::memory_order_release);
}

absl::StatusOr<std::unique_ptr<const OpenSegment::Judgement>> OpenSegment::NewJudgement() const {
  absl::Status refused;
  const std::shared_ptr<const File> file = Reopened(&refused);
  if (file == nullptr) {
    VARVE_RETURN_IF_ERROR(refused);
    return Error(absl::StatusCode::kDataLoss, "{}: its batches are not as its index says, and the file is gone", path_);
  }
  std::vector<OffsetPosition> entries;
  for (size_t number = 0; number < file_entries_; ++number) entries.push_back(Entry(number));
  absl::StatusOr<SegmentJudgement> found =
      JudgeSegment(*file, base_offset_, file_end_.end_position, file_end_.next_offset, damage_, std::move(entries));
  if (absl::IsUnimplemented(found.status())) unsupported_ = found.status();
  VARVE_RETURN_IF_ERROR(found.status());
  auto judgement = std::make_unique<Judgement>();
  judgement->found = *std::move(found);
  judgement->index = SparseOffsetIndex(base_offset_, judgement->found.index);
  return judgement;
}

std::optional<OpenSegment::TimeHint> OpenSegment::FloorTimestamp(int64_t timestamp_ms, int64_t next_offset) const {
  std::optional<size_t> number =
      live_ != nullptr ? live_->times.FloorIndex(timestamp_ms) : time_index_.FloorIndex(timestamp_ms);
  // More may have been published since the caller loaded its end: the few newest entries are not for it.
  while (number.has_value() && TimeEntry(*number).offset >= next_offset) {
    number = *number > 0 ? std::optional(*number - 1) : std::nullopt;
  }
  if (!number.has_value()) return std::nullopt;
  const bool from_files = *number < file_time_entries_;
  const bool trusted = !from_files || (times_tested_ != nullptr &&
                                       std::atomic_ref(times_tested_[*number]).load(std::memory_order_relaxed) != 0);
  return TimeHint{.entry = TimeEntry(*number),
                  .number = *number,
                  .previous_offset = *number > 0 ? TimeEntry(*number - 1).offset : base_offset_,
                  .trusted = trusted};
}

void OpenSegment::MarkTimeTested(size_t number) const {
  if (times_tested_ != nullptr) std::atomic_ref(times_tested_[number]).store(1, std::memory_order_relaxed);
}

TimestampOffset OpenSegment::largest_timestamp() const {
  // The offset is stored first: a reader that sees a timestamp sees an offset at least as far along.
  const int64_t timestamp_ms = largest_timestamp_ms_.load(std::memory_order_acquire);
  return {timestamp_ms, largest_timestamp_offset_.load(std::memory_order_relaxed)};
}

void OpenSegment::SetLargestTimestamp(TimestampOffset largest) {
  largest_timestamp_offset_.store(largest.offset, std::memory_order_relaxed);
  largest_timestamp_ms_.store(largest.timestamp_ms, std::memory_order_release);
}

void OpenSegment::ReleaseFile(const FileIdentity& identity) const {
  const MutexLock lock(&file_mutex_);
  identity_ = identity;
  file_.reset();
}

std::shared_ptr<const File> OpenSegment::Reopened(absl::Status* refused) const {
  const MutexLock lock(&file_mutex_);
  if (file_ != nullptr) return file_;
  // In the order in which a file has these names, so that one that is just being renamed is not missed.
  for (const SegmentFileSuffix suffix :
       {SegmentFileSuffix::kSwap, SegmentFileSuffix::kNone, SegmentFileSuffix::kDeleted}) {
    const std::string name = SegmentFileName(base_offset_, SegmentFileKind::kLog, suffix);
    absl::StatusOr<std::unique_ptr<File>> file =
        file_system_->Open(JoinPath(ParentDirectory(path_), name), OpenMode::kRead);
    if (absl::IsNotFound(file.status())) continue;
    const absl::StatusOr<FileInfo> info = file.ok() ? (*file)->Info() : file.status();
    if (!info.ok() && refused != nullptr) *refused = info.status();
    if (!info.ok() || info->identity != identity_) continue;
    file_ = *std::move(file);
    return file_;
  }
  return nullptr;
}

absl::Status OpenSegment::ReadAt(int64_t position, std::span<std::byte> out) const {
  const std::shared_ptr<const File> file = Reopened();
  if (file == nullptr) {
    std::memcpy(out.data(), log_ + position, out.size());
    return absl::OkStatus();
  }
  return ReadFrom(*file, position, out);
}

absl::Status OpenSegment::ReadFrom(const File& file, int64_t position, std::span<std::byte> out) const {
  VARVE_ASSIGN_OR_RETURN(const size_t count, file.ReadAt(static_cast<uint64_t>(position), out));
  if (count == out.size()) return absl::OkStatus();
  return Error(absl::StatusCode::kDataLoss, "{}: at position {}: expected {} bytes, found {}: the file was shrunk",
               path_, position, out.size(), count);
}

absl::Status OpenSegment::SendTo(int descriptor, int64_t position, int64_t size_bytes) const {
  const std::shared_ptr<const File> file = Reopened();
  if (file == nullptr) {
    return Error(absl::StatusCode::kNotFound, "{}: the file is gone or was replaced: send View() instead", path_);
  }
  return file->SendTo(descriptor, static_cast<uint64_t>(position), static_cast<uint64_t>(size_bytes));
}

}  // namespace varve::internal
