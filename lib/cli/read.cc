#include "cli/read.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "cli/json_forms.h"
#include "cli/log_batches.h"
#include "cli/output.h"
#include "cli/partition_access.h"
#include "cli/progress_bar.h"
#include "cli/quantities.h"
#include "cli/terminal.h"

namespace varve::cli {
namespace {

constexpr char kCommand[] = "read";
// How often a log is looked at anew in the middle of a reading that ends where the log does.
constexpr int kRefreshes = 100;

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

// The bytes of the log from an offset on.
int64_t BytesFrom(int64_t offset, const Log& log) {
  int64_t bytes = 0;
  for (const LogSegmentInfo& segment : log.segments()) {
    if (segment.base_offset <= offset) bytes = 0;
    bytes += segment.size_bytes;
  }
  LogReader reader = log.NewReader();
  const absl::StatusOr<std::optional<OffsetLookup>> found = reader.Find(offset, Isolation::kLogEnd);
  return bytes - (found.ok() && found->has_value() ? (*found)->position : 0);  // at the end and in damage: about that
}

// What a batch is known again by.
struct BatchPrint {
  int64_t base_offset = 0;
  int64_t last_offset = 0;
  int32_t record_count = 0;
  uint32_t crc = 0;
};

BatchPrint PrintOf(const RecordBatchView& batch) {
  return {.base_offset = batch.base_offset(),
          .last_offset = batch.last_offset(),
          .record_count = batch.record_count(),
          .crc = batch.crc()};
}

// True if `found`, the first batch that ends at or above the base offset of `before`, is that batch, or compaction may
// have made it of it, or taken it out: it keeps the offsets of a batch, and takes records away or sets a delete horizon.
bool CanBeLeftOf(const BatchPrint& before, const RecordBatchView& found) {
  if (found.base_offset() > before.last_offset) return true;
  if (found.base_offset() != before.base_offset || found.last_offset() != before.last_offset) return false;
  return found.crc() == before.crc || found.record_count() < before.record_count ||
         found.delete_horizon_ms().has_value();
}

// Reads from one offset on, as far as the log goes at the time.
class RecordPrinter {
 public:
  RecordPrinter(const ReadSettings& settings, const Log* log, int64_t from_offset, Output* out)
      : settings_(settings),
        log_(log),
        next_offset_(from_offset),
        out_(out),
        total_bytes_(BytesFrom(from_offset, *log)),
        bar_(kCommand, ProgressBar::Beside::kOutput) {}

  // True once nothing more is wanted: enough records, the last offset, or nobody to read them.
  [[nodiscard]] bool done() const {
    return records_ >= settings_.max_records || next_offset_ >= settings_.to_offset || !out_->ok();
  }
  [[nodiscard]] int64_t next_offset() const { return next_offset_; }

  // Prints what is there, around damage, which is complained of. OK at the visible end, or once done. kDataLoss: damage
  // that there is no way around. kAborted: the log is to be refreshed; what is left of it is printed next time.
  [[nodiscard]] absl::Status PrintToEnd() {
    GoBackToLogEnd();
    absl::Status status;
    for (bool more = true; more && status.ok();) status = PrintToDamage(&more);
    bar_.Finish();
    return status;
  }

  // kDone, or what the damage amounts to that was complained of.
  [[nodiscard]] ExitStatus exit_status() const { return exit_status_; }

 private:
  // A writer may have truncated the log below what was printed, and have written on since.
  void GoBackToLogEnd() {
    const int64_t log_end_offset = log_->log_end_offset();
    if (next_offset_ > log_end_offset) {
      Note(kCommand, fmt::format("{}: truncated to offset {}: offsets {} to {} were there before and are gone; reading "
                                 "goes on at the log end",
                                 settings_.directory, log_end_offset, log_end_offset, next_offset_ - 1));
      next_offset_ = log_end_offset;
      last_batch_.reset();
    } else if (LastBatchIsAnother()) {
      last_batch_.reset();
      Note(kCommand, fmt::format("{}: truncated and written on: other records than those that were read lie below "
                                 "offset {}, where reading goes on",
                                 settings_.directory, next_offset_));
    }
  }

  // True if the batch that was read last, or what takes its place, is not what it was; but for what compaction may have
  // made of it.
  bool LastBatchIsAnother() const {
    if (!last_batch_.has_value()) return false;
    const absl::StatusOr<std::optional<RecordBatchView>> batch =
        log_->NewReader().ReadBatch(last_batch_->base_offset, Isolation::kLogEnd);
    if (!batch.ok() || last_batch_->base_offset < log_->log_start_offset()) return false;  // deleted, or damaged since
    return !batch->has_value() || !CanBeLeftOf(*last_batch_, **batch);
  }

  // Prints to the visible end, or to behind the first damage, which is complained of: then there is more.
  absl::Status PrintToDamage(bool* more_behind) {
    *more_behind = false;
    LogBatches batches(log_, settings_.committed ? Isolation::kCommitted : Isolation::kHighWatermark, next_offset_);
    while (!done() && !Interrupted()) {
      const absl::StatusOr<bool> more = batches.Next();
      absl::Status status = more.status();
      if (status.ok() && *more) {
        ShowProgress(batches.batch());
        status = PrintBatch(&batches);
        if (status.ok()) last_batch_ = PrintOf(batches.batch());
      }
      if (!status.ok() && !absl::IsDataLoss(status)) return status;  // what was not printed is met again
      const bool passed_by = batches.next_offset() > next_offset_;
      if (!done()) next_offset_ = std::max(next_offset_, batches.next_offset());
      if (absl::IsDataLoss(status) && passed_by) {
        bar_.Finish();
        exit_status_ = Complain(kCommand, status);
        *more_behind = true;
        return absl::OkStatus();
      }
      if (!status.ok() || !*more) return status;
    }
    return absl::OkStatus();
  }

  void ShowProgress(const RecordBatchView& batch) {
    done_bytes_ += static_cast<int64_t>(batch.size_bytes());
    if (done_bytes_ <= total_bytes_) bar_.Update(done_bytes_, total_bytes_);  // beyond, it follows
  }

  absl::Status PrintBatch(LogBatches* batches) {
    const RecordBatchView& batch = batches->batch();
    if (batch.is_control()) return absl::OkStatus();
    if (settings_.committed) {
      const absl::StatusOr<bool> aborted = batches->IsAborted();
      if (!aborted.ok() || *aborted) return aborted.status();
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
  int64_t next_offset_;
  std::optional<BatchPrint> last_batch_;
  DecodeBuffer scratch_;
  int64_t records_ = 0;
  ExitStatus exit_status_ = ExitStatus::kDone;
  Output* const out_;
  const int64_t total_bytes_;  // what there was to read at the beginning
  int64_t done_bytes_ = 0;
  ProgressBar bar_;
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

absl::Status Follow(Log* log, RecordPrinter* printer, Output* out) {
  for (int64_t round = 1; !printer->done() && !Interrupted(); ++round) {
    out->Flush();
    if (NobodyReadsStandardOutput()) return absl::OkStatus();  // a log that stays idle would never write to it
    if (absl::Status status = WaitForMore(log, printer->next_offset(), round); !status.ok()) return status;
    absl::Status status = printer->PrintToEnd();
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
  RecordPrinter printer(settings, log->get(), *from_offset, &out);
  absl::Status status = printer.PrintToEnd();
  if (settings.follow && (status.ok() || absl::IsAborted(status))) {
    status = Follow(log->get(), &printer, &out);
  } else {
    // A writer truncated or compacted the log just now: what is left is read anew.
    for (int tries = 0; absl::IsAborted(status) && tries < kRefreshes; ++tries) {
      status = (*log)->Refresh();
      if (status.ok()) status = printer.PrintToEnd();
    }
  }
  ExitStatus exit_status = printer.exit_status();
  if (!status.ok()) exit_status = std::max(exit_status, Complain(kCommand, status));
  return out.Finish(kCommand, exit_status);
}

}  // namespace varve::cli
