#include "model/reference_log.h"

#include <algorithm>
#include <utility>

namespace varve::testing_support {

std::ostream& operator<<(std::ostream& out, const ReferenceRecord& record) {
  return out << "{" << record.offset << ", " << record.timestamp_ms << " ms, " << record.key.value_or("null") << ": "
             << record.value.value_or("null") << "}";
}

void ReferenceLog::Append(ReferenceBatch batch) {
  batch.base_offset = log_end_offset_;
  for (ReferenceRecord& record : batch.records) record.offset = log_end_offset_++;
  batch.last_offset = log_end_offset_ - 1;
  batches_.push_back(std::move(batch));
}

void ReferenceLog::AppendAt(int64_t base_offset, ReferenceBatch batch) {
  log_end_offset_ = base_offset;
  Append(std::move(batch));
}

int64_t ReferenceLog::LastRecordEnd() const {
  for (auto batch = batches_.rbegin(); batch != batches_.rend(); ++batch) {
    if (!batch->records.empty()) return std::max(batch->last_offset + 1, log_start_offset_);
  }
  return log_start_offset_;
}

void ReferenceLog::TruncateTo(int64_t offset) {
  while (!batches_.empty() && batches_.back().last_offset >= offset) batches_.pop_back();
  if (offset < log_end_offset_) {
    // Compaction may have taken these out altogether, as their producers had later ones.
    for (ReferenceBatch& batch : batches_) {
      if (HasNothingLeft(batch)) batch.base_sequence = kNoSequence;
    }
  }
  log_end_offset_ = offset;
  log_start_offset_ = std::min(log_start_offset_, offset);  // it can be lower where compaction left a gap
}

void ReferenceLog::StartAt(int64_t offset) {
  batches_.clear();
  log_start_offset_ = log_end_offset_ = offset;
}

void ReferenceLog::DeleteBefore(int64_t offset) { log_start_offset_ = std::max(log_start_offset_, offset); }

void ReferenceLog::Keep(const std::set<int64_t>& offsets) {
  for (ReferenceBatch& batch : batches_) {
    std::erase_if(batch.records, [&](const ReferenceRecord& record) {
      return record.offset >= log_start_offset_ && !offsets.contains(record.offset);
    });
  }
}

std::vector<ReferenceRecord> ReferenceLog::Records() const {
  std::vector<ReferenceRecord> records;
  for (const ReferenceBatch& batch : batches_) {
    if (batch.control.has_value()) continue;
    for (const ReferenceRecord& record : batch.records) {
      if (record.offset >= log_start_offset_) records.push_back(record);
    }
  }
  return records;
}

bool ReferenceLog::HasNothingLeft(const ReferenceBatch& batch) const {
  return batch.records.empty() || batch.records.back().offset < log_start_offset_;
}

std::optional<ControlType> ReferenceLog::MarkerOf(size_t index) const {
  for (size_t later = index + 1; later < batches_.size(); ++later) {
    if (batches_[later].control.has_value() && batches_[later].producer_id == batches_[index].producer_id) {
      return batches_[later].control;
    }
  }
  return std::nullopt;
}

int64_t ReferenceLog::LastStableOffset(DeletedTransactions deleted) const {
  for (size_t index = 0; index < batches_.size(); ++index) {
    const ReferenceBatch& batch = batches_[index];
    if (deleted == DeletedTransactions::kForgotten && HasNothingLeft(batch)) continue;
    if (batch.transactional && !batch.control.has_value() && !MarkerOf(index).has_value()) {
      return std::max(batch.base_offset, log_start_offset_);
    }
  }
  return log_end_offset_;
}

std::vector<ReferenceRecord> ReferenceLog::CommittedRecords(int64_t last_stable_offset) const {
  std::vector<ReferenceRecord> records;
  for (size_t index = 0; index < batches_.size(); ++index) {
    const ReferenceBatch& batch = batches_[index];
    if (batch.control.has_value()) continue;
    if (batch.transactional && MarkerOf(index) == ControlType::kAbort) continue;
    for (const ReferenceRecord& record : batch.records) {
      if (record.offset >= log_start_offset_ && record.offset < last_stable_offset) records.push_back(record);
    }
  }
  return records;
}

std::optional<int64_t> ReferenceLog::OffsetForTimestamp(int64_t timestamp_ms) const {
  for (const ReferenceBatch& batch : batches_) {
    for (const ReferenceRecord& record : batch.records) {
      if (record.offset >= log_start_offset_ && record.timestamp_ms >= timestamp_ms) return record.offset;
    }
  }
  return std::nullopt;
}

std::optional<int32_t> ReferenceLog::NextSequence(int64_t producer_id, int16_t epoch) const {
  for (auto batch = batches_.rbegin(); batch != batches_.rend(); ++batch) {
    if (batch->producer_id != producer_id || batch->control.has_value()) continue;
    if (batch->producer_epoch != epoch || batch->last_offset < log_start_offset_) return std::nullopt;
    if (batch->base_sequence == kNoSequence) return std::nullopt;
    return batch->base_sequence + static_cast<int32_t>(batch->last_offset - batch->base_offset) + 1;
  }
  return std::nullopt;
}

bool ReferenceLog::IsOpen(int64_t producer_id) const {
  for (auto batch = batches_.rbegin(); batch != batches_.rend(); ++batch) {
    if (batch->producer_id == producer_id) return batch->transactional && !batch->control.has_value();
  }
  return false;
}

bool ReferenceLog::IsAborted(int64_t offset) const {
  for (size_t index = 0; index < batches_.size(); ++index) {
    const ReferenceBatch& batch = batches_[index];
    if (offset < batch.base_offset || offset > batch.last_offset) continue;
    return batch.transactional && !batch.control.has_value() && MarkerOf(index) == ControlType::kAbort;
  }
  return false;
}

std::vector<int64_t> ReferenceLog::TransactionOf(int64_t marker_offset) const {
  std::vector<int64_t> offsets;
  int64_t producer_id = kNoProducerId;
  for (auto batch = batches_.rbegin(); batch != batches_.rend(); ++batch) {
    if (batch->base_offset == marker_offset) {
      producer_id = batch->producer_id;
    } else if (producer_id != kNoProducerId && batch->producer_id == producer_id) {
      if (batch->control.has_value()) break;
      for (const ReferenceRecord& record : batch->records) offsets.push_back(record.offset);
    }
  }
  return offsets;
}

}  // namespace varve::testing_support
