#include "log/tail_check.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <memory>
#include <string_view>

#include "base/path.h"
#include "base/status.h"
#include "fmt/format.h"
#include "io/whole_file.h"
#include "record/batch_scanner.h"
#include "segment/damage_analysis.h"
#include "segment/raw_log.h"
#include "segment/segment_files.h"
#include "varve/time_index.h"
#include "varve/transaction_index.h"

namespace varve::internal {
namespace {

// Indexes are read, not mapped: a bad sector must be an error, not a signal.
absl::StatusOr<std::string> ReadIndex(FileSystem* file_system, const std::string& directory, int64_t base_offset,
                                      SegmentFileKind kind) {
  return ReadWholeFile(file_system, JoinPath(directory, SegmentFileName(base_offset, kind)), kMaxIndexFileBytes);
}

// The entries at the start of a .index that rise.
std::vector<OffsetPosition> RisingEntries(const FoundSegment& segment, std::string_view bytes) {
  const SparseOffsetIndex index(segment.base_offset, AsBytes(bytes));
  std::vector<OffsetPosition> entries;
  OffsetPosition last{.offset = segment.base_offset, .position = 0};
  for (size_t i = 0; i < index.entry_count(); ++i) {
    const OffsetPosition entry = index.entry(i);
    const bool rises = entry.position > last.position && entry.offset > last.offset;
    if (!rises || entry.position >= segment.size_bytes) break;
    entries.push_back(entry);
    last = entry;
  }
  return entries;
}

// What is wrong with the last entry of a time index: the batch that it names has another timestamp, or one on the way
// there, from the entry of the .index before it, has a larger one.
absl::StatusOr<std::string> LastTimeFault(const File& log, const FoundSegment& segment,
                                          const std::vector<OffsetPosition>& entries, TimestampOffset last) {
  const auto above = std::ranges::upper_bound(entries, last.offset, {}, &OffsetPosition::offset);
  const int64_t start = above == entries.begin() ? 0 : std::prev(above)->position;
  BatchScanner scanner(&log, static_cast<uint64_t>(start), static_cast<uint64_t>(segment.size_bytes));
  bool named = last.timestamp_ms < 0;
  while (true) {
    const absl::StatusOr<bool> found = scanner.Next();
    if (absl::IsInternal(found.status()) || absl::IsUnimplemented(found.status())) {
      return std::string(found.status().message());
    }
    VARVE_RETURN_IF_ERROR(found.status());
    if (!*found) break;
    const BatchHeader& header = scanner.header();
    if (header.base_offset > last.offset) break;
    named = named || (header.max_timestamp_ms == last.timestamp_ms && last.offset <= header.last_offset());
    if (header.max_timestamp_ms > last.timestamp_ms) {
      return fmt::format("the largest timestamp in the last entry expected, found {}, and {} at offset {}",
                         last.timestamp_ms, header.max_timestamp_ms, header.base_offset);
    }
  }
  if (named) return std::string();
  return fmt::format("the last entry with the timestamp of its batch expected, found {} with offset {}",
                     last.timestamp_ms, last.offset);
}

// What is wrong with the last segment's indexes, of which `offsets` is the .index and `entries` what rises in it; `tail`
// tells where the log ends.
absl::StatusOr<std::string> IndexContentFault(FileSystem* file_system, const std::string& directory, const File& log,
                                              const FoundSegment& segment, const absl::StatusOr<std::string>& offsets,
                                              const std::vector<OffsetPosition>& entries, const SegmentTail& tail) {
  if (IsFaultOfFile(offsets.status())) return std::string(offsets.status().message());
  VARVE_RETURN_IF_ERROR(offsets.status());
  absl::Status checked = SparseOffsetIndex(segment.base_offset, AsBytes(*offsets)).Check(segment.size_bytes);
  if (!checked.ok()) return std::string(checked.message());
  const absl::StatusOr<std::string> times =
      ReadIndex(file_system, directory, segment.base_offset, SegmentFileKind::kTimeIndex);
  if (IsFaultOfFile(times.status())) return std::string(times.status().message());
  VARVE_RETURN_IF_ERROR(times.status());
  const TimeIndex time_index(segment.base_offset, AsBytes(*times));
  checked = time_index.Check(tail.next_offset);
  if (!checked.ok()) return std::string(checked.message());
  return LastTimeFault(log, segment, entries, time_index.last_entry());
}

// Reads the batches from `position` on.
absl::Status ReadTail(const File& log, const FoundSegment& segment, int64_t position, SegmentTail* tail) {
  BatchReader reader(&log, static_cast<uint64_t>(position), static_cast<uint64_t>(segment.size_bytes));
  const auto fail = [&](std::string fault) {
    tail->fault = fmt::format("position {}: {}", reader.position(), fault);
    tail->log_is_whole = false;
    return absl::OkStatus();
  };
  while (true) {
    const absl::StatusOr<bool> found = reader.Next();
    if (absl::IsInternal(found.status()) || absl::IsUnimplemented(found.status())) {
      return fail(std::string(found.status().message()));
    }
    if (!found.ok()) return found.status();
    if (!*found) return reader.end() == ScanEnd::kLimit ? absl::OkStatus() : fail(reader.reason());
    const BatchHeader& header = reader.header();
    if (!reader.crc_matches()) {
      return fail(fmt::format("checksum {:08x} expected, computed {:08x}", header.crc, reader.computed_crc()));
    }
    if (!HasSaneOffsets(header) || header.base_offset < tail->next_offset ||
        header.last_offset() - segment.base_offset > std::numeric_limits<int32_t>::max()) {
      return fail(fmt::format("base offset of at least {} expected, found {}", tail->next_offset, header.base_offset));
    }
    tail->next_offset = header.next_offset();
    tail->last_batch_position = static_cast<int64_t>(reader.position());
    tail->last_batch_crc = header.crc;
    tail->bytes_scanned += static_cast<int64_t>(header.size_bytes);
  }
}

// Where the reading of a tail may begin: the last index entry that agrees with its batch.
absl::StatusOr<OffsetPosition> TailStart(const File& log, const FoundSegment& segment,
                                         const std::vector<OffsetPosition>& entries) {
  RawLog raw(&log, segment.size_bytes);
  for (size_t i = entries.size(); i-- > 0;) {
    VARVE_ASSIGN_OR_RETURN(const bool agrees, EntryAgrees(raw, entries[i]));
    if (agrees) return entries[i];
  }
  return OffsetPosition{.offset = segment.base_offset, .position = 0};
}

}  // namespace

absl::StatusOr<SegmentTail> CheckTail(FileSystem* file_system, const std::string& directory,
                                      const PartitionListing& listing, const FoundSegment& segment) {
  SegmentTail tail{.fault = {}, .next_offset = segment.base_offset};
  VARVE_ASSIGN_OR_RETURN(tail.fault, IndexFault(file_system, directory, listing, segment));
  const std::string name = SegmentFileName(segment.base_offset, SegmentFileKind::kLog);
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> log,
                         file_system->Open(JoinPath(directory, name), OpenMode::kRead));
  const absl::StatusOr<std::string> offsets =
      ReadIndex(file_system, directory, segment.base_offset, SegmentFileKind::kOffsetIndex);
  const std::vector<OffsetPosition> entries = RisingEntries(segment, offsets.ok() ? *offsets : std::string_view());
  VARVE_ASSIGN_OR_RETURN(const OffsetPosition start, TailStart(*log, segment, entries));
  VARVE_RETURN_IF_ERROR(ReadTail(*log, segment, start.position, &tail));
  if (!tail.fault.empty()) return tail;
  if (!entries.empty() && start != entries.back()) {
    tail.fault = fmt::format("a batch that ends at offset {} expected at position {}", entries.back().offset,
                             entries.back().position);
    return tail;
  }
  VARVE_ASSIGN_OR_RETURN(tail.fault, IndexContentFault(file_system, directory, *log, segment, offsets, entries, tail));
  return tail;
}

absl::StatusOr<std::string> IndexFault(FileSystem* file_system, const std::string& directory,
                                       const PartitionListing& listing, const FoundSegment& segment) {
  struct Width {
    SegmentFileKind kind;
    size_t entry_bytes;
  };
  constexpr Width kWidths[] = {{SegmentFileKind::kOffsetIndex, SparseOffsetIndex::kEntryBytes},
                               {SegmentFileKind::kTimeIndex, TimeIndex::kEntryBytes}};
  for (const auto& [kind, entry_bytes] : kWidths) {
    const std::string name = SegmentFileName(segment.base_offset, kind);
    if (!listing.Has(segment.base_offset, kind)) return fmt::format("{} is missing", name);
    VARVE_ASSIGN_OR_RETURN(const FileInfo info, file_system->Info(JoinPath(directory, name)));
    if (info.size % entry_bytes != 0) {
      return fmt::format("{}: entries of {} bytes expected, found {} bytes", name, entry_bytes, info.size);
    }
  }
  if (!listing.Has(segment.base_offset, SegmentFileKind::kTransactionIndex)) return std::string();
  const std::string path =
      JoinPath(directory, SegmentFileName(segment.base_offset, SegmentFileKind::kTransactionIndex));
  const absl::Status read = TransactionIndex::Open(file_system, path, segment.base_offset).status();
  if (IsFaultOfFile(read)) return std::string(read.message());
  VARVE_RETURN_IF_ERROR(read);
  return std::string();
}

std::vector<OffsetPosition> RisingIndexEntries(FileSystem* file_system, const std::string& directory,
                                               const FoundSegment& segment) {
  const absl::StatusOr<std::string> bytes =
      ReadIndex(file_system, directory, segment.base_offset, SegmentFileKind::kOffsetIndex);
  return RisingEntries(segment, bytes.ok() ? *bytes : std::string_view());
}

}  // namespace varve::internal
