#include "kafka/appended_records.h"

#include <algorithm>
#include <set>

#include "base/status.h"

namespace varve::testing_support {
namespace {

template <typename... Args>
absl::Status Fault(fmt::format_string<Args...> format, Args&&... args) {
  return internal::Error(absl::StatusCode::kInternal, format, std::forward<Args>(args)...);
}

}  // namespace

absl::Status AppendedRecords::Append(const AppendResult& result, std::vector<AppendedRecord> batch) {
  const int64_t next_offset = log_end_offset_ + batch.back().offset + 1;
  if (result.duplicate || result.base_offset != log_end_offset_ || result.end_offset() != next_offset) {
    return Fault("{} records were appended at {} to {}, expected at {}", batch.size(), result.base_offset,
                 result.end_offset(), log_end_offset_);
  }
  for (AppendedRecord& record : batch) record.offset += result.base_offset;
  AppendAt(std::move(batch), next_offset);
  return absl::OkStatus();
}

void AppendedRecords::AppendAt(std::vector<AppendedRecord> batch, int64_t next_offset) {
  for (AppendedRecord& record : batch) records_.insert_or_assign(record.offset, std::move(record));
  log_end_offset_ = next_offset;
}

absl::Status AppendedRecords::TruncateTo(int64_t offset, const Log& log) {
  truncated_count_ += std::erase_if(records_, [&](const auto& entry) { return entry.first >= offset; });
  const int64_t end = log.log_end_offset();
  const int64_t last = records_.empty() ? -1 : records_.rbegin()->first;
  if (end <= last || end > offset) return Fault("truncated to {}, the log ends at {}", offset, end);
  log_end_offset_ = end;
  log_start_offset_ = std::min(log_start_offset_, end);
  return absl::OkStatus();
}

void AppendedRecords::StartAt(int64_t offset) {
  records_.clear();
  log_start_offset_ = log_end_offset_ = offset;
}

void AppendedRecords::DeleteBefore(int64_t offset) {
  log_start_offset_ = std::max(log_start_offset_, offset);
  deleted_count_ += std::erase_if(records_, [&](const auto& entry) { return entry.first < log_start_offset_; });
}

absl::Status AppendedRecords::CheckEnds(const Log& log) const {
  const LogOffsets offsets = log.offsets();
  if (offsets.log_start_offset == log_start_offset_ && offsets.log_end_offset == log_end_offset_) {
    return absl::OkStatus();
  }
  return Fault("the log is from {} to {}, expected from {} to {}", offsets.log_start_offset, offsets.log_end_offset,
               log_start_offset_, log_end_offset_);
}

absl::Status AppendedRecords::TakeOutCompacted(const Log& log) {
  std::set<int64_t> left;
  LogScan scan = log.Scan(log.log_start_offset(), {.control_records = true});
  for (const RecordView& record : scan) left.insert(record.offset());
  VARVE_RETURN_IF_ERROR(scan.status());
  const int64_t last_stable_offset = log.offsets().last_stable_offset;
  for (const auto& [offset, record] : records_) {
    if (left.contains(offset) || MayBeCompacted(record, last_stable_offset)) continue;
    return Fault("the record at {} is gone", offset);
  }
  compacted_count_ += std::erase_if(records_, [&](const auto& entry) { return !left.contains(entry.first); });
  for (auto& [offset, record] : records_) record.outlived_pass = true;
  return absl::OkStatus();
}

bool AppendedRecords::MayBeCompacted(const AppendedRecord& record, int64_t last_stable_offset) const {
  if (record.outlived_pass && (record.control.has_value() || !record.value.has_value())) return true;
  if (IsAborted(record)) return true;
  return std::any_of(records_.upper_bound(record.offset), records_.lower_bound(last_stable_offset),
                     [&](const auto& entry) {
                       const AppendedRecord& later = entry.second;
                       return !later.control.has_value() && later.key == record.key && !IsAborted(later);
                     });
}

bool AppendedRecords::IsAborted(const AppendedRecord& record) const {
  if (!record.transactional || record.control.has_value()) return false;
  const auto marker = std::find_if(records_.upper_bound(record.offset), records_.end(), [&](const auto& entry) {
    return entry.second.control.has_value() && entry.second.producer_id == record.producer_id;
  });
  return marker != records_.end() && marker->second.control == ControlType::kAbort;
}

}  // namespace varve::testing_support
