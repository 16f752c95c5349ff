#include "log/index_judge.h"

#include <algorithm>
#include <string_view>

#include "base/bytes.h"
#include "base/path.h"
#include "base/status.h"
#include "fmt/format.h"
#include "io/whole_file.h"
#include "segment/segment_files.h"
#include "varve/record_batch.h"

namespace varve::internal {
namespace {

bool Follows(const OffsetPosition& previous, const OffsetPosition& entry) {
  return entry.offset > previous.offset && entry.position > previous.position;
}

bool Follows(const TimestampOffset& previous, const TimestampOffset& entry) {
  return entry.timestamp_ms > previous.timestamp_ms && entry.offset >= previous.offset;
}

std::string Describe(const OffsetPosition& entry) {
  return fmt::format("offset {} at position {}", entry.offset, entry.position);
}

std::string Describe(const TimestampOffset& entry) {
  return fmt::format("timestamp {} with offset {}", entry.timestamp_ms, entry.offset);
}

// The bytes before the zero entries at the end.
std::string_view WithoutPadding(std::string_view bytes, size_t entry_bytes) {
  size_t entries = bytes.size() / entry_bytes;
  const auto is_zero = [&](size_t entry) {
    const std::string_view text = bytes.substr(entry * entry_bytes, entry_bytes);
    return std::all_of(text.begin(), text.end(), [](char byte) { return byte == 0; });
  };
  while (entries > 0 && is_zero(entries - 1)) --entries;
  return bytes.substr(0, entries * entry_bytes);
}

class IndexFiles {
 public:
  IndexFiles(FileSystem* file_system, const std::string& directory, const PartitionListing& listing,
             SegmentIndexes* indexes)
      : file_system_(file_system), directory_(directory), listing_(listing), indexes_(*indexes) {}

  absl::Status ReadAll() {
    VARVE_ASSIGN_OR_RETURN(bool whole,
                           ReadEntries<SparseOffsetIndex>(SegmentFileKind::kOffsetIndex, &indexes_.offsets));
    VARVE_ASSIGN_OR_RETURN(whole, ReadEntries<TimeIndex>(SegmentFileKind::kTimeIndex, &indexes_.times));
    indexes_.times_are_whole = whole;
    return ReadAborted();
  }

 private:
  // Absent, with a fault noted, where the file is missing or cannot be read.
  absl::StatusOr<std::optional<std::string>> ReadBytes(SegmentFileKind kind, const std::string& name) {
    if (!listing_.Has(indexes_.segment.base_offset, kind)) {
      AddFault(name, -1, "the file is missing");
      return std::nullopt;
    }
    absl::StatusOr<std::string> bytes = ReadWholeFile(file_system_, JoinPath(directory_, name), kMaxIndexFileBytes);
    // A file that has gone since it was listed is missing, a bad sector or a size no index has is the file's fault.
    if (absl::IsNotFound(bytes.status()) || IsFaultOfFile(bytes.status())) {
      AddFault(name, -1, std::string(bytes.status().message()));
      return std::nullopt;
    }
    VARVE_RETURN_IF_ERROR(bytes.status());
    return *std::move(bytes);
  }

  // True if every entry of the file is in *entries.
  template <typename Index, typename Entry>
  absl::StatusOr<bool> ReadEntries(SegmentFileKind kind, std::vector<Entry>* entries) {
    const std::string name = SegmentFileName(indexes_.segment.base_offset, kind);
    VARVE_ASSIGN_OR_RETURN(const std::optional<std::string> file, ReadBytes(kind, name));
    if (!file.has_value()) return false;
    bool whole = file->size() % Index::kEntryBytes == 0 || indexes_.state == IndexState::kBeingWritten;
    if (!whole) {
      AddFault(name, -1, fmt::format("entries of {} bytes expected, found {} bytes", Index::kEntryBytes, file->size()));
    }
    std::string_view bytes = *file;
    if (indexes_.state != IndexState::kFinished) {
      bytes = WithoutPadding(bytes, Index::kEntryBytes);
      NotePadding(name, file->size() - bytes.size());
    }
    const Index index(indexes_.segment.base_offset, AsBytes(bytes));
    Entry previous = Index(indexes_.segment.base_offset, {}).last_entry();
    for (size_t i = 0; i < index.entry_count(); ++i) {
      const Entry entry = index.entry(i);
      if (!Follows(previous, entry)) {
        AddFault(name, static_cast<int64_t>(i),
                 fmt::format("an entry above {} expected, found {}", Describe(previous), Describe(entry)));
        return false;
      }
      entries->push_back(entry);
      previous = entry;
    }
    return whole;
  }

  absl::Status ReadAborted() {
    const int64_t base_offset = indexes_.segment.base_offset;
    if (!listing_.Has(base_offset, SegmentFileKind::kTransactionIndex)) return absl::OkStatus();
    const std::string name = SegmentFileName(base_offset, SegmentFileKind::kTransactionIndex);
    VARVE_ASSIGN_OR_RETURN(const std::optional<std::string> file, ReadBytes(SegmentFileKind::kTransactionIndex, name));
    if (!file.has_value()) return absl::OkStatus();
    std::string_view bytes = *file;
    // A writer appends whole entries; what a reader sees of the one on its way may be less.
    if (indexes_.state == IndexState::kBeingWritten) {
      bytes = bytes.substr(0, bytes.size() / TransactionIndex::kEntryBytes * TransactionIndex::kEntryBytes);
    }
    const absl::StatusOr<TransactionIndex> index = TransactionIndex::Parse(name, base_offset, AsBytes(bytes));
    if (!index.ok()) {
      AddFault(name, -1, std::string(index.status().message()));
    } else {
      indexes_.aborted = index->entries();
    }
    return absl::OkStatus();
  }

  void AddFault(const std::string& name, int64_t entry, std::string reason) {
    indexes_.faults.push_back({.file = name, .entry = entry, .reason = std::move(reason)});
  }

  void NotePadding(const std::string& name, size_t padding_bytes) {
    if (padding_bytes == 0) return;
    indexes_.notes.push_back(
        fmt::format("{}: {} bytes of padding behind the entries, as an active segment has them", name, padding_bytes));
  }

  FileSystem* const file_system_;
  const std::string& directory_;
  const PartitionListing& listing_;
  SegmentIndexes& indexes_;
};

}  // namespace

absl::StatusOr<SegmentIndexes> ReadSegmentIndexes(FileSystem* file_system, const std::string& directory,
                                                  const PartitionListing& listing, const FoundSegment& segment,
                                                  IndexState state) {
  SegmentIndexes indexes;
  indexes.segment = segment;
  indexes.state = state;
  VARVE_RETURN_IF_ERROR(IndexFiles(file_system, directory, listing, &indexes).ReadAll());
  return indexes;
}

void IndexJudge::Take(const BatchHeader& header, int64_t position, std::optional<int16_t> control_type) {
  TakeOffsets(position);
  TakeTimes(header);
  TakeAborted(header, control_type);
  last_offset_ = header.last_offset();
  largest_timestamp_ = std::max(largest_timestamp_, header.max_timestamp_ms);
}

void IndexJudge::Finish(int64_t end_offset, int64_t limit_offset, std::vector<IndexFault>* faults) {
  FinishOffsets(end_offset);
  FinishTimes(end_offset);
  FinishAborted(limit_offset);
  faults->insert(faults->end(), indexes_.faults.begin(), indexes_.faults.end());
  faults->insert(faults->end(), faults_.begin(), faults_.end());
}

void IndexJudge::TakeOffsets(int64_t position) {
  const std::vector<OffsetPosition>& entries = indexes_.offsets;
  while (offset_entry_ < entries.size() && entries[offset_entry_].position < position) JudgeNoBatchAt(offset_entry_++);
  if (offset_entry_ == entries.size() || entries[offset_entry_].position != position) return;
  const OffsetPosition& entry = entries[offset_entry_];
  if (entry.offset <= last_offset_) {
    faults_.push_back({.file = NameOf(SegmentFileKind::kOffsetIndex),
                       .entry = static_cast<int64_t>(offset_entry_),
                       .reason = fmt::format("an offset above {}, where the batch before position {} ends, expected, "
                                             "found {}",
                                             last_offset_, position, entry.offset)});
  }
  ++offset_entry_;
}

void IndexJudge::JudgeNoBatchAt(size_t entry_index) {
  const int64_t position = indexes_.offsets[entry_index].position;
  const bool damaged = std::any_of(damage_.begin(), damage_.end(), [&](const DamagedRange& range) {
    return position >= range.position && position - range.position < range.bytes;
  });
  if (damaged) return;
  faults_.push_back({.file = NameOf(SegmentFileKind::kOffsetIndex),
                     .entry = static_cast<int64_t>(entry_index),
                     .reason = fmt::format("the position of a batch expected, found {}", position)});
}

void IndexJudge::TakeTimes(const BatchHeader& header) {
  const std::vector<TimestampOffset>& entries = indexes_.times;
  for (; time_entry_ < entries.size() && entries[time_entry_].offset <= header.last_offset(); ++time_entry_) {
    const TimestampOffset& entry = entries[time_entry_];
    if (entry.offset < header.base_offset) {
      JudgeNoBatchWith(time_entry_);
      continue;
    }
    const bool is_largest = entry.timestamp_ms == header.max_timestamp_ms && entry.timestamp_ms > largest_timestamp_;
    if (is_largest) continue;
    faults_.push_back(
        {.file = NameOf(SegmentFileKind::kTimeIndex),
         .entry = static_cast<int64_t>(time_entry_),
         .reason = fmt::format("the largest timestamp {} of the batch with offset {}, above the {} before "
                               "it, expected, found {}",
                               header.max_timestamp_ms, entry.offset, largest_timestamp_, entry.timestamp_ms)});
  }
}

void IndexJudge::JudgeNoBatchWith(size_t entry_index) {
  const int64_t offset = indexes_.times[entry_index].offset;
  const bool damaged = std::any_of(damage_.begin(), damage_.end(), [&](const DamagedRange& range) {
    return offset >= range.first_offset && offset <= range.last_offset;
  });
  if (damaged) return;
  faults_.push_back({.file = NameOf(SegmentFileKind::kTimeIndex),
                     .entry = static_cast<int64_t>(entry_index),
                     .reason = fmt::format("the offset of a batch expected, found {}", offset)});
}

void IndexJudge::TakeAborted(const BatchHeader& header, std::optional<int16_t> control_type) {
  const std::vector<AbortedTransaction>& entries = indexes_.aborted;
  for (; aborted_entry_ < entries.size() && entries[aborted_entry_].last_offset <= header.last_offset();
       ++aborted_entry_) {
    const AbortedTransaction& entry = entries[aborted_entry_];
    // Compaction may have taken the marker, or its record: then nothing speaks against the entry.
    const bool marker_is_gone = entry.last_offset < header.base_offset || (header.is_control() && !control_type);
    const bool agrees = control_type == static_cast<int16_t>(ControlType::kAbort) &&
                        header.producer_id == entry.producer_id && entry.last_offset == header.last_offset();
    if (marker_is_gone || agrees) continue;
    faults_.push_back({.file = NameOf(SegmentFileKind::kTransactionIndex),
                       .entry = static_cast<int64_t>(aborted_entry_),
                       .reason = fmt::format("an abort marker of producer {} at offset {} expected, found a batch of "
                                             "producer {} that is none",
                                             entry.producer_id, entry.last_offset, header.producer_id)});
  }
}

void IndexJudge::FinishOffsets(int64_t end_offset) {
  const std::vector<OffsetPosition>& entries = indexes_.offsets;
  const bool being_written = indexes_.state == IndexState::kBeingWritten;
  for (; offset_entry_ < entries.size(); ++offset_entry_) {
    if (being_written && entries[offset_entry_].position >= indexes_.segment.size_bytes) return;
    JudgeNoBatchAt(offset_entry_);
  }
  if (entries.empty() || being_written || entries.back().offset < end_offset) return;
  faults_.push_back({.file = NameOf(SegmentFileKind::kOffsetIndex),
                     .entry = static_cast<int64_t>(entries.size()) - 1,
                     .reason = fmt::format("an offset below the segment's end {} expected, found {}", end_offset,
                                           entries.back().offset)});
}

void IndexJudge::FinishTimes(int64_t end_offset) {
  const std::vector<TimestampOffset>& entries = indexes_.times;
  for (; time_entry_ < entries.size(); ++time_entry_) {
    if (indexes_.state == IndexState::kBeingWritten && entries[time_entry_].offset >= end_offset) return;
    JudgeNoBatchWith(time_entry_);
  }
  const int64_t last_timestamp = entries.empty() ? -1 : entries.back().timestamp_ms;
  if (indexes_.state != IndexState::kFinished || !indexes_.times_are_whole || last_timestamp >= largest_timestamp_) {
    return;
  }
  faults_.push_back({.file = NameOf(SegmentFileKind::kTimeIndex),
                     .entry = -1,
                     .reason = fmt::format("a last entry with the segment's largest timestamp {} expected, found {}",
                                           largest_timestamp_, last_timestamp)});
}

// Compaction takes markers behind the last batch it leaves, so only the next segment bounds a sealed one's entries.
void IndexJudge::FinishAborted(int64_t limit_offset) {
  const std::vector<AbortedTransaction>& entries = indexes_.aborted;
  if (indexes_.state == IndexState::kBeingWritten) return;
  for (; aborted_entry_ < entries.size(); ++aborted_entry_) {
    if (entries[aborted_entry_].last_offset < limit_offset) continue;
    faults_.push_back({.file = NameOf(SegmentFileKind::kTransactionIndex),
                       .entry = static_cast<int64_t>(aborted_entry_),
                       .reason = fmt::format("a last offset below the segment's end {} expected, found {}",
                                             limit_offset, entries[aborted_entry_].last_offset)});
  }
}

std::string IndexJudge::NameOf(SegmentFileKind kind) const {
  return SegmentFileName(indexes_.segment.base_offset, kind);
}

}  // namespace varve::internal
