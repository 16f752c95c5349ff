#include "cli/partition_contents.h"

#include <algorithm>
#include <memory>
#include <span>
#include <utility>

#include "cli/exit_status.h"
#include "cli/log_file_walk.h"
#include "fmt/format.h"
#include "varve/checkpoint.h"

namespace varve::cli {
namespace {

bool IsZero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

size_t LastEntryInUse(std::span<const std::byte> bytes, size_t entry_bytes) {
  size_t count = bytes.size() / entry_bytes;
  while (count > 0 && IsZero(bytes.subspan((count - 1) * entry_bytes, entry_bytes))) --count;
  return count;
}

void AddOnce(std::string text, std::vector<std::string>* list) {
  if (std::find(list->begin(), list->end(), text) == list->end()) list->push_back(std::move(text));
}

}  // namespace

std::string FaultAt(const std::string& path, int64_t position, const absl::Status& status) {
  return fmt::format("{} position {}: {}", path, position, MessageOf(status));
}

EntriesInUse CountEntries(const SparseOffsetIndex& index) {
  // No entry is all zeros: the first batch of a segment never has one.
  const size_t count = LastEntryInUse(index.bytes(), SparseOffsetIndex::kEntryBytes);
  return {.count = count, .padding_bytes = index.bytes().size() - count * SparseOffsetIndex::kEntryBytes};
}

EntriesInUse CountEntries(const TimeIndex& index) {
  size_t count = LastEntryInUse(index.bytes(), TimeIndex::kEntryBytes);
  // One record of 1970-01-01 makes an entry of zeros; alone it is that, several are padding.
  if (count == 0 && index.entry_count() == 1) count = 1;
  return {.count = count, .padding_bytes = index.bytes().size() - count * TimeIndex::kEntryBytes};
}

absl::StatusOr<PartitionContents> PartitionContents::OfDirectory(FileSystem* file_system,
                                                                 const std::string& directory) {
  absl::StatusOr<std::vector<PartitionFile>> files = ListPartitionFiles(file_system, directory);
  if (!files.ok()) return files.status();
  return PartitionContents(file_system, directory, *std::move(files));
}

PartitionContents PartitionContents::OfFile(FileSystem* file_system, const std::string& path) {
  const size_t slash = path.rfind('/');
  std::string directory = slash == std::string::npos ? "." : path.substr(0, slash);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  std::vector<PartitionFile> files{ClassifyPartitionFile(name)};
  if (files.front().kind == PartitionFileKind::kLeftover) {
    // Its content is that of the file it was or is to become.
    files.front().kind = ClassifyPartitionFile(name.substr(0, name.rfind('.'))).kind;
  }
  return PartitionContents(file_system, std::move(directory), std::move(files));
}

std::vector<PartitionFile> PartitionContents::Files(PartitionFileKind kind) const {
  std::vector<PartitionFile> files;
  std::copy_if(files_.begin(), files_.end(), std::back_inserter(files),
               [kind](const PartitionFile& file) { return file.kind == kind; });
  return files;
}

void PartitionContents::ReportProgress(ProgressCallback progress, int64_t passes) {
  progress_ = std::move(progress);
  for (const PartitionFile& file : files_) {
    if (file.kind != PartitionFileKind::kLog && files_.size() > 1) continue;
    const absl::StatusOr<FileInfo> info = file_system_->Info(PathOf(file));
    if (info.ok()) total_bytes_ += static_cast<int64_t>(info->size) * passes;  // whoever reads it tells what is wrong
  }
}

void PartitionContents::AddFault(std::string fault) { AddOnce(std::move(fault), &faults_); }

void PartitionContents::AddNote(std::string note) { AddOnce(std::move(note), &notes_); }

void PartitionContents::NotePadding(const PartitionFile& file, const EntriesInUse& in_use) {
  if (in_use.padding_bytes == 0) return;
  AddNote(fmt::format("{}: {} bytes of zeros behind the entries", PathOf(file), in_use.padding_bytes));
}

absl::Status PartitionContents::TakeFault(const absl::Status& status) {
  if (!absl::IsDataLoss(status)) return status;
  AddFault(std::string(MessageOf(status)));
  return absl::OkStatus();
}

absl::StatusOr<SparseOffsetIndex> PartitionContents::LoadOffsetIndex(const PartitionFile& file) const {
  return SparseOffsetIndex::Open(file_system_, PathOf(file), file.offset);
}

absl::StatusOr<TimeIndex> PartitionContents::LoadTimeIndex(const PartitionFile& file) const {
  return TimeIndex::Open(file_system_, PathOf(file), file.offset);
}

absl::StatusOr<TransactionIndex> PartitionContents::LoadTransactionIndex(const PartitionFile& file) const {
  return TransactionIndex::Open(file_system_, PathOf(file), file.offset);
}

absl::Status PartitionContents::VisitBatches(const PartitionFile& file, bool check_crc, const BatchVisitor& visit) {
  const absl::StatusOr<std::unique_ptr<File>> log = file_system_->Open(PathOf(file), OpenMode::kRead);
  if (!log.ok()) return log.status();
  LogFileWalk walk(log->get());
  for (;;) {
    const absl::StatusOr<bool> more = walk.Next();
    if (!more.ok()) return more.status();
    if (!*more) break;
    const bool crc_matches = !check_crc || walk.batch().CrcMatches();
    if (!crc_matches) {
      AddFault(fmt::format("{} position {}: batch of offsets {} to {}: expected checksum {:#010x}, found {:#010x}",
                           PathOf(file), walk.position(), walk.batch().base_offset(), walk.batch().last_offset(),
                           walk.batch().crc(), walk.batch().ComputeCrc()));
    }
    if (!visit(walk.position(), walk.batch(), crc_matches)) return absl::OkStatus();
    if (progress_) progress_(visited_bytes_ + walk.next_position(), total_bytes_);
  }
  visited_bytes_ += walk.next_position() + walk.bytes_left();
  if (walk.end() == WalkEnd::kZeros) {
    AddNote(fmt::format("{} position {}: {} bytes of zeros behind the last batch", PathOf(file), walk.next_position(),
                        walk.bytes_left()));
  } else if (walk.end() != WalkEnd::kEndOfFile) {
    AddFault(fmt::format("{} position {}: {}; {} bytes left out", PathOf(file), walk.next_position(), walk.reason(),
                         walk.bytes_left()));
  }
  return absl::OkStatus();
}

absl::Status PartitionContents::CountIndexEntries(SegmentSummary* segment) {
  for (const PartitionFile& file : files_) {
    if (file.offset != segment->base_offset) continue;
    if (file.kind == PartitionFileKind::kOffsetIndex) {
      const absl::StatusOr<SparseOffsetIndex> index = LoadOffsetIndex(file);
      if (!index.ok()) return index.status();
      segment->index_entries = static_cast<int64_t>(CountEntries(*index).count);
    } else if (file.kind == PartitionFileKind::kTimeIndex) {
      const absl::StatusOr<TimeIndex> index = LoadTimeIndex(file);
      if (!index.ok()) return index.status();
      segment->time_index_entries = static_cast<int64_t>(CountEntries(*index).count);
    } else if (file.kind == PartitionFileKind::kTransactionIndex) {
      const absl::StatusOr<TransactionIndex> index = LoadTransactionIndex(file);
      if (absl::Status status = TakeFault(index.status()); !status.ok()) return status;
      if (index.ok()) segment->aborted_transactions = static_cast<int64_t>(index->entries().size());
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<SegmentSummary> PartitionContents::SummarizeSegment(const PartitionFile& log_file) {
  SegmentSummary segment;
  segment.base_offset = log_file.offset;
  segment.next_offset = log_file.offset;
  const absl::StatusOr<FileInfo> info = file_system_->Info(PathOf(log_file));
  if (!info.ok()) return info.status();
  segment.log_bytes = static_cast<int64_t>(info->size);
  const absl::Status visited =
      VisitBatches(log_file, /*check_crc=*/false, [&segment](int64_t, const RecordBatchView& batch, bool) {
        ++segment.batches;
        segment.records += batch.record_count();
        segment.next_offset = batch.next_offset();
        const int64_t timestamp_ms = batch.max_timestamp_ms();
        if (timestamp_ms != kNoTimestamp &&
            (segment.min_timestamp_ms == kNoTimestamp || timestamp_ms < segment.min_timestamp_ms)) {
          segment.min_timestamp_ms = timestamp_ms;
        }
        segment.max_timestamp_ms = std::max(segment.max_timestamp_ms, timestamp_ms);
        ++segment.batches_of_codec[batch.codec()];
        return true;
      });
  if (!visited.ok()) return visited;
  if (absl::Status status = CountIndexEntries(&segment); !status.ok()) return status;
  return segment;
}

absl::Status PartitionContents::SummarizeState(PartitionSummary* summary) {
  if (const std::vector<PartitionFile> snapshots = Files(PartitionFileKind::kSnapshot); !snapshots.empty()) {
    absl::StatusOr<std::vector<ProducerStateEntry>> producers =
        LoadProducerSnapshot(file_system_, PathOf(snapshots.back()));
    if (absl::Status status = TakeFault(producers.status()); !status.ok()) return status;
    if (producers.ok()) summary->producers = *std::move(producers);
  }
  for (const PartitionFile& file : Files(PartitionFileKind::kLeaderEpochs)) {
    absl::StatusOr<std::vector<LeaderEpoch>> epochs = LoadLeaderEpochCheckpoint(file_system_, PathOf(file));
    if (absl::Status status = TakeFault(epochs.status()); !status.ok()) return status;
    if (epochs.ok()) summary->leader_epochs = *std::move(epochs);
  }
  return absl::OkStatus();
}

absl::StatusOr<PartitionSummary> PartitionContents::Summarize() {
  PartitionSummary summary;
  for (const PartitionFile& file : Files(PartitionFileKind::kLog)) {
    absl::StatusOr<SegmentSummary> segment = SummarizeSegment(file);
    if (!segment.ok()) return segment.status();
    summary.batches += segment->batches;
    summary.records += segment->records;
    summary.segments.push_back(*std::move(segment));
  }
  if (absl::Status status = SummarizeState(&summary); !status.ok()) return status;
  if (!summary.segments.empty()) {
    summary.log_start_offset = summary.segments.front().base_offset;
    summary.log_end_offset = summary.segments.back().next_offset;
  }
  summary.last_stable_offset = summary.log_end_offset;
  for (const ProducerStateEntry& producer : summary.producers) {
    summary.last_stable_offset = std::min(
        summary.last_stable_offset, producer.current_transaction_first_offset.value_or(summary.last_stable_offset));
  }
  return summary;
}

}  // namespace varve::cli
