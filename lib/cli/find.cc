#include "cli/find.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/json_values.h"
#include "cli/log_batches.h"
#include "cli/output.h"
#include "cli/partition_access.h"
#include "cli/quantities.h"

namespace varve::cli {
namespace {

constexpr char kCommand[] = "find";

// The offset of the first record at or after `offset`; absent at the end of the log.
absl::StatusOr<std::optional<int64_t>> FirstRecordAt(int64_t offset, const Log* log, DecodeBuffer* scratch) {
  LogBatches batches(log, Isolation::kLogEnd, offset, /*read_bytes=*/1);  // a batch at a time
  for (;;) {
    const absl::StatusOr<bool> more = batches.Next();
    if (!more.ok()) return more.status();
    if (!*more) return std::nullopt;
    RecordCursor cursor(batches.batch(), scratch);
    for (RecordView record; cursor.Next(&record);) {
      if (record.offset() >= offset) return record.offset();
    }
    if (!cursor.status().ok()) return cursor.status();
  }
}

std::string TimeName(int64_t time_ms) {
  switch (time_ms) {
    case kLatestTimestamp:
      return "latest";
    case kEarliestTimestamp:
      return "earliest";
    case kMaxTimestamp:
      return "max";
    default:
      return FormatTime(time_ms);
  }
}

// How often a question is asked again that a writer made void by replacing segments meanwhile.
constexpr int kTries = 10;

class Finder {
 public:
  Finder(const FindSettings& settings, Log* log, Output* out)
      : settings_(settings), log_(log), reader_(log->NewReader()), out_(out) {}

  // Answers one question. kDataLoss, kInternal…: there is no answer but that. kAborted: segments were replaced each time
  // that it was asked.
  [[nodiscard]] absl::Status Answer(const Query& query) {
    absl::Status status = AnswerNow(query);
    for (int tries = 1; absl::IsAborted(status) && tries < kTries; ++tries) {
      status = log_->Refresh();
      if (status.ok()) status = AnswerNow(query);
    }
    return status;
  }

  // True if an offset was out of range, or a time had no record. An epoch that is not known is an answer too.
  [[nodiscard]] bool missed() const { return missed_; }

 private:
  absl::Status AnswerNow(const Query& query) {
    switch (query.kind) {
      case QueryKind::kOffset:
        return AnswerOffset(query.value);
      case QueryKind::kTime:
        return AnswerTime(query.value);
      case QueryKind::kEpoch:
        return AnswerEpoch(static_cast<int32_t>(query.value));
    }
    return absl::OkStatus();
  }

  void Print(const OrderedJson& json, std::string_view text) {
    if (settings_.json) {
      out_->Print("{}\n", JsonText(json));
    } else {
      out_->Print("{}\n", text);
    }
  }

  absl::Status AnswerOffset(int64_t offset) {
    const absl::StatusOr<std::optional<OffsetLookup>> found = reader_.Find(offset, Isolation::kLogEnd);
    if (absl::IsOutOfRange(found.status())) {
      missed_ = true;
      const LogOffsets offsets = log_->offsets();
      Print({{"offset", offset}, {"result", "out_of_range"}},
            fmt::format("offset {}: out of range, the log holds {} to {}", offset, offsets.log_start_offset,
                        offsets.log_end_offset));
      return absl::OkStatus();
    }
    if (!found.ok()) return found.status();
    if (!found->has_value()) {
      Print({{"offset", offset}, {"result", "empty"}}, fmt::format("offset {}: the log ends here", offset));
      return absl::OkStatus();
    }
    const OffsetLookup& lookup = **found;
    const absl::StatusOr<std::optional<int64_t>> first_record = FirstRecordAt(offset, log_, &scratch_);
    if (!first_record.ok()) return first_record.status();
    const OrderedJson record = first_record->has_value() ? OrderedJson(**first_record) : OrderedJson();
    Print(
        {{"offset", offset},
         {"result", "batch"},
         {"segment", lookup.segment},
         {"position", lookup.position},
         {"base_offset", lookup.base_offset},
         {"last_offset", lookup.last_offset},
         {"bytes", lookup.size_bytes},
         {"first_record", record},
         {"index", OrderedJson::array({lookup.index_offset, lookup.index_position})},
         {"batches_scanned", lookup.batches_scanned}},
        fmt::format("offset {}: segment {}, position {}: batch of offsets {} to {}, {} bytes; first record {}; index "
                    "entry ({} at {}), {} batches scanned",
                    offset, lookup.segment, lookup.position, lookup.base_offset, lookup.last_offset, lookup.size_bytes,
                    JsonText(record), lookup.index_offset, lookup.index_position, lookup.batches_scanned));
    return absl::OkStatus();
  }

  absl::Status AnswerTime(int64_t time_ms) {
    const absl::StatusOr<std::optional<TimestampLookup>> found = reader_.OffsetForTimestamp(time_ms);
    if (!found.ok()) return found.status();
    if (!found->has_value()) {
      missed_ = true;
      Print({{"time", time_ms}, {"result", "none"}}, fmt::format("time {}: no such record", TimeName(time_ms)));
      return absl::OkStatus();
    }
    const TimestampLookup& lookup = **found;
    const OrderedJson epoch = lookup.leader_epoch.has_value() ? OrderedJson(*lookup.leader_epoch) : OrderedJson();
    Print({{"time", time_ms},
           {"result", "found"},
           {"timestamp", lookup.timestamp_ms},
           {"offset", lookup.offset},
           {"leader_epoch", epoch}},
          fmt::format("time {}: offset {}, {}, leader epoch {}", TimeName(time_ms), lookup.offset,
                      FormatTime(lookup.timestamp_ms), JsonText(epoch)));
    return absl::OkStatus();
  }

  absl::Status AnswerEpoch(int32_t epoch) {
    const std::optional<LeaderEpoch> found = log_->EndOffsetForEpoch(epoch);
    if (!found.has_value()) {
      Print({{"epoch", epoch}, {"found_epoch", nullptr}, {"end_offset", nullptr}},
            fmt::format("epoch {}: not known", epoch));
    } else {
      Print({{"epoch", epoch}, {"found_epoch", found->epoch}, {"end_offset", found->start_offset}},
            fmt::format("epoch {}: epoch {} ends at offset {}", epoch, found->epoch, found->start_offset));
    }
    return absl::OkStatus();
  }

  const FindSettings& settings_;
  Log* const log_;
  LogReader reader_;
  DecodeBuffer scratch_;
  Output* const out_;
  bool missed_ = false;
};

}  // namespace

ExitStatus RunFind(const FindSettings& settings) {
  const absl::StatusOr<std::unique_ptr<Log>> log = OpenForReading(kCommand, settings.directory);
  if (!log.ok()) return Complain(kCommand, log.status());
  Output out;
  Finder finder(settings, log->get(), &out);
  ExitStatus status = ExitStatus::kDone;
  for (const Query& query : settings.queries) {
    if (const absl::Status answered = finder.Answer(query); !answered.ok()) {
      out.Flush();  // what was answered comes before the complaint
      status = std::max(status, Complain(kCommand, answered));
    }
  }
  if (status == ExitStatus::kDone && finder.missed()) status = ExitStatus::kDataWrong;
  return out.Finish(kCommand, status);
}

}  // namespace varve::cli
