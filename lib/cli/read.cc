#include "cli/read.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "cli/aborted_filter.h"
#include "cli/json_forms.h"
#include "cli/output.h"
#include "cli/partition_access.h"
#include "cli/quantities.h"
#include "cli/terminal.h"
#include "varve/partition_files.h"

namespace varve::cli {
namespace {

constexpr char kCommand[] = "read";

void PrintRecord(const RecordView& record, const ReadSettings& settings, Output* out) {
  std::string* const text = out->buffer();
  switch (settings.format) {
    case ReadFormat::kJsonLines:
      AppendRecordLine(text, record);
      break;
    case ReadFormat::kKeyValue:
      text->append(record.key().value_or(std::string_view()));
      text->append(settings.key_separator);
      [[fallthrough]];
    case ReadFormat::kValue:
      text->append(record.value().value_or(std::string_view()));
      break;
  }
  *text += '\n';
  out->FlushIfLarge();
}

// Reads from one offset on, as far as the log goes at the time.
class RecordPrinter {
 public:
  RecordPrinter(const ReadSettings& settings, const Log* log, int64_t from_offset, Output* out)
      : settings_(settings), log_(log), reader_(log->NewReader()), next_offset_(from_offset), out_(out) {}

  // True once nothing more is wanted: enough records, the last offset, or nobody to read them.
  [[nodiscard]] bool done() const {
    return records_ >= settings_.max_records || next_offset_ >= settings_.to_offset || !out_->ok();
  }
  [[nodiscard]] int64_t next_offset() const { return next_offset_; }

  // Prints what is there. OK at the visible end, or once done.
  [[nodiscard]] absl::Status PrintToEnd() {
    if (settings_.committed) {
      if (absl::Status status = NoteMarkers(); !status.ok()) return status;
    }
    while (!done() && !Interrupted()) {
      absl::StatusOr<FileRange> range = reader_.Read(next_offset_, Options());
      if (!range.ok()) return range.status();
      if (range->empty()) break;
      std::span<const std::byte> bytes = range->View();
      for (RecordBatchView batch; !done() && NextBatch(&bytes, &batch);) {
        const absl::Status status = PrintBatch(batch);
        next_offset_ = std::max(next_offset_, batch.next_offset());
        if (!status.ok()) return status;
      }
      if (!done()) next_offset_ = std::max(next_offset_, range->next_offset());
    }
    return absl::OkStatus();
  }

  // Goes on behind what cannot be read.
  void SkipTo(int64_t offset) { next_offset_ = std::max(next_offset_, offset); }

 private:
  [[nodiscard]] ReadOptions Options() const {
    return {.isolation = settings_.committed ? Isolation::kCommitted : Isolation::kHighWatermark};
  }

  absl::Status NoteMarkers() {
    for (int64_t offset = std::max(next_offset_, noted_offset_);;) {
      absl::StatusOr<FileRange> range = reader_.Read(offset, Options());
      if (!range.ok()) return range.status();
      if (range->empty()) return absl::OkStatus();
      std::span<const std::byte> bytes = range->View();
      for (RecordBatchView batch; NextBatch(&bytes, &batch);) aborted_.Note(batch);
      offset = noted_offset_ = range->next_offset();
    }
  }

  absl::Status PrintBatch(const RecordBatchView& batch) {
    if (batch.is_control() || (settings_.committed && aborted_.IsAborted(batch))) return absl::OkStatus();
    if (!batch.CrcMatches()) {
      return Failure(absl::StatusCode::kDataLoss,
                     "{}: batch of offsets {} to {}: expected checksum {:#010x}, found {:#010x}", log_->directory(),
                     batch.base_offset(), batch.last_offset(), batch.crc(), batch.ComputeCrc());
    }
    RecordCursor cursor(batch, &scratch_);
    for (RecordView record; !done() && cursor.Next(&record);) {
      if (record.offset() < next_offset_) continue;  // the batch began before the offset asked for
      if (record.offset() >= settings_.to_offset) {
        next_offset_ = settings_.to_offset;
        break;
      }
      PrintRecord(record, settings_, out_);
      ++records_;
    }
    return cursor.status();
  }

  const ReadSettings& settings_;
  const Log* const log_;
  LogReader reader_;
  DecodeBuffer scratch_;
  AbortedFilter aborted_;
  int64_t noted_offset_ = 0;  // markers below are noted
  int64_t next_offset_;
  int64_t records_ = 0;
  Output* const out_;
};

// Where to begin: the log start unless an offset or a time was given. kOutOfRange where no record is of that time or
// later.
absl::StatusOr<int64_t> FirstOffset(const ReadSettings& settings, const Log& log) {
  if (settings.from_offset.has_value()) {
    const LogOffsets offsets = log.offsets();
    if (*settings.from_offset >= offsets.log_start_offset && *settings.from_offset <= offsets.log_end_offset) {
      return *settings.from_offset;
    }
    return Failure(absl::StatusCode::kOutOfRange, "{}: expected an offset from {} to {}, found {}", settings.directory,
                   offsets.log_start_offset, offsets.log_end_offset, *settings.from_offset);
  }
  if (!settings.from_time_ms.has_value()) return log.log_start_offset();
  const absl::StatusOr<std::optional<TimestampLookup>> found = log.OffsetForTimestamp(*settings.from_time_ms);
  if (!found.ok()) return found.status();
  if (found->has_value()) return (*found)->offset;
  if (settings.follow) return log.log_end_offset();  // such a record may come
  return Failure(absl::StatusCode::kOutOfRange, "{}: no record at or after {}", settings.directory,
                 FormatTime(*settings.from_time_ms));
}

// The end of the damage that a read met at `offset`: where reading goes on.
int64_t BehindDamage(const Log& log, int64_t offset) {
  for (const DamagedRange& range : log.damage()) {
    if (range.first_offset <= offset && offset <= range.last_offset) return range.last_offset + 1;
  }
  return offset;
}

// Prints to the end of the log, around damage, which is complained about.
absl::Status PrintAroundDamage(const Log& log, RecordPrinter* printer, ExitStatus* exit_status) {
  for (;;) {
    const int64_t offset_before = printer->next_offset();
    const absl::Status status = printer->PrintToEnd();
    if (!absl::IsDataLoss(status)) return status;
    *exit_status = Complain(kCommand, status);
    printer->SkipTo(BehindDamage(log, printer->next_offset()));
    if (printer->next_offset() == offset_before) return status;
  }
}

// Waits a moment for something new. Only a living writer says where its log ends; without one the directory is looked
// at now and then, which costs an opening.
absl::Status WaitForMore(Log* log, int64_t offset, int64_t round) {
  constexpr std::chrono::milliseconds kRound{100};  // Ctrl-C, and a pipe that was closed, are noticed this soon
  constexpr int64_t kRoundsPerLook = 5;
  const absl::StatusOr<bool> has_writer = PartitionHasWriter(FileSystem::Default(), log->directory());
  if (!has_writer.ok()) return has_writer.status();
  if (!*has_writer) {
    std::this_thread::sleep_for(kRound);
    return round % kRoundsPerLook == 0 ? log->Refresh() : absl::OkStatus();
  }
  const absl::Status waited = log->WaitForData(offset, kRound);
  if (absl::IsAborted(waited)) return log->Refresh();
  return absl::IsDeadlineExceeded(waited) ? absl::OkStatus() : waited;
}

absl::Status Follow(Log* log, RecordPrinter* printer, Output* out, ExitStatus* exit_status) {
  for (int64_t round = 1; !printer->done() && !Interrupted(); ++round) {
    out->Flush();
    if (absl::Status status = WaitForMore(log, printer->next_offset(), round); !status.ok()) return status;
    const absl::Status status = PrintAroundDamage(*log, printer, exit_status);
    if (!status.ok() && !absl::IsAborted(status)) return status;
  }
  return absl::OkStatus();
}

}  // namespace

ExitStatus RunRead(const ReadSettings& settings) {
  absl::StatusOr<std::unique_ptr<Log>> log = OpenForReading(kCommand, settings.directory);
  if (!log.ok()) return Complain(kCommand, log.status());
  const absl::StatusOr<int64_t> from_offset = FirstOffset(settings, **log);
  if (!from_offset.ok()) return Complain(kCommand, from_offset.status());
  if (settings.follow) CatchInterrupts();

  Output out;
  ExitStatus exit_status = ExitStatus::kDone;
  RecordPrinter printer(settings, log->get(), *from_offset, &out);
  absl::Status status = PrintAroundDamage(**log, &printer, &exit_status);
  if (absl::IsAborted(status)) {  // a writer truncated the log just now: what is left is read anew
    status = (*log)->Refresh();
    if (status.ok()) status = PrintAroundDamage(**log, &printer, &exit_status);
  }
  if (status.ok() && settings.follow) status = Follow(log->get(), &printer, &out, &exit_status);
  if (!status.ok()) exit_status = Complain(kCommand, status);
  return out.Finish(kCommand, exit_status);
}

}  // namespace varve::cli
