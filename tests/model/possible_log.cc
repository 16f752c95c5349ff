#include "model/possible_log.h"

#include <algorithm>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

#include "base/status.h"
#include "fmt/format.h"

namespace varve::testing_support {
namespace {

using internal::Error;

std::string Text(const ReferenceRecord& record) {
  std::ostringstream text;
  text << record;
  return text.str();
}

// Offsets that nothing was ever appended at, as a follower's, may be durable and gone all the same.
int64_t WithoutGap(const ReferenceLog& log, int64_t offset) {
  int64_t end_offset = log.log_start_offset();
  for (const ReferenceBatch& batch : log.batches()) {
    if (batch.base_offset < offset) end_offset = std::max(end_offset, batch.last_offset + 1);
  }
  return std::min(offset, end_offset);
}

absl::Status CompareOffsets(const FoundLog& found, const PossibleLog& possible, bool power_lost) {
  const int64_t end_offset = found.offsets.log_end_offset;
  const int64_t least = WithoutGap(
      *possible.log, power_lost ? possible.durable_offset : std::max(possible.durable_offset, possible.written_offset));
  if (end_offset < least || end_offset > possible.log->log_end_offset()) {
    return Error(absl::StatusCode::kDataLoss, "a log end of {} to {} expected, found {}", least,
                 possible.log->log_end_offset(), end_offset);
  }
  const int64_t start_offset = std::min(possible.log->log_start_offset(), end_offset);
  if (found.offsets.log_start_offset != start_offset) {
    return Error(absl::StatusCode::kDataLoss, "a log start of {} expected, found {}", start_offset,
                 found.offsets.log_start_offset);
  }
  for (const ReferenceBatch& batch : possible.log->batches()) {
    if (batch.base_offset < end_offset && batch.last_offset >= end_offset) {
      return Error(absl::StatusCode::kDataLoss,
                   "the batch {} to {} whole or not at all expected, found a log end of {}", batch.base_offset,
                   batch.last_offset, end_offset);
    }
  }
  return absl::OkStatus();
}

// The marker's key and value are Kafka's business.
bool Same(const ReferenceBatch& batch, const ReferenceRecord& expected, const ReferenceRecord& found) {
  return batch.control.has_value() ? expected.offset == found.offset : expected == found;
}

absl::Status CompareRecords(const FoundLog& found, const PossibleLog& possible) {
  const int64_t end_offset = found.offsets.log_end_offset;
  auto next = found.records.begin();
  for (const ReferenceBatch& batch : possible.log->batches()) {
    for (const ReferenceRecord& record : batch.records) {
      if (record.offset < found.offsets.log_start_offset || record.offset >= end_offset) continue;
      if (next != found.records.end() && Same(batch, record, *next)) {
        ++next;
        continue;
      }
      if (possible.may_be_missing != nullptr && possible.may_be_missing(batch, record, end_offset)) continue;
      return Error(absl::StatusCode::kDataLoss, "{} expected, found {}", Text(record),
                   next != found.records.end() ? Text(*next) : "no more records");
    }
  }
  if (next == found.records.end()) return absl::OkStatus();
  return Error(absl::StatusCode::kDataLoss, "no more records expected, found {}", Text(*next));
}

// Who follows this log asks it for the epoch of an offset.
absl::Status CompareEpochs(const FoundLog& found, const PossibleLog& possible) {
  for (const ReferenceBatch& batch : possible.log->batches()) {
    if (!batch.leader_epoch.has_value() || batch.last_offset >= found.offsets.log_end_offset) continue;
    const int64_t offset = std::max(batch.base_offset, found.offsets.log_start_offset);
    if (offset > batch.last_offset) continue;
    std::optional<int32_t> epoch;
    for (const LeaderEpoch& entry : found.epochs) {
      if (entry.start_offset <= offset) epoch = entry.epoch;
    }
    if (epoch == batch.leader_epoch) continue;
    return Error(absl::StatusCode::kDataLoss, "leader epoch {} at offset {} expected, found {}", *batch.leader_epoch,
                 offset, epoch.value_or(kNoLeaderEpoch));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FoundLog> FoundLog::Of(const Log& log) {
  FoundLog found{.offsets = log.offsets(), .records = {}, .epochs = log.leader_epochs()};
  LogScan scan = log.Scan(found.offsets.log_start_offset, {.control_records = true, .isolation = Isolation::kLogEnd});
  for (const RecordView& record : scan) {
    ReferenceRecord copy{.offset = record.offset(), .timestamp_ms = record.timestamp_ms()};
    if (record.key().has_value()) copy.key = std::string(*record.key());
    if (record.value().has_value()) copy.value = std::string(*record.value());
    found.records.push_back(std::move(copy));
  }
  if (!scan.status().ok()) return internal::Annotate(scan.status(), "reading what was found");
  return found;
}

absl::Status Compare(const FoundLog& found, const PossibleLog& possible, bool power_lost) {
  VARVE_RETURN_IF_ERROR(CompareOffsets(found, possible, power_lost));
  VARVE_RETURN_IF_ERROR(CompareRecords(found, possible));
  return possible.may_be_missing != nullptr ? absl::OkStatus() : CompareEpochs(found, possible);
}

absl::StatusOr<size_t> CompareAny(const FoundLog& found, const std::vector<PossibleLog>& possible, bool power_lost) {
  std::string reasons;
  for (size_t index = 0; index < possible.size(); ++index) {
    const absl::Status status = Compare(found, possible[index], power_lost);
    if (status.ok()) return index;
    if (!reasons.empty()) reasons += "; nor is it what an operation under way leaves: ";
    reasons += std::string(status.message());
  }
  return Error(absl::StatusCode::kDataLoss, "{}", reasons);
}

}  // namespace varve::testing_support
