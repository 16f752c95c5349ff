#include "state/producer_state_manager.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/path.h"
#include "base/status.h"
#include "base/wrapping.h"
#include "varve/errors.h"

namespace varve::internal {
namespace {

struct Marker {
  ControlRecord control;
  int64_t timestamp_ms = kNoTimestamp;
};

// The marker in a control batch; absent if the batch was emptied by compaction, or holds a control record of another
// kind.
absl::StatusOr<std::optional<Marker>> ReadMarker(const RecordBatchView& batch) {
  if (batch.record_count() == 0) return std::nullopt;
  RecordCursor cursor(batch, nullptr);
  RecordView record;
  if (!cursor.Next(&record)) {
    return Error(absl::StatusCode::kDataLoss, "control batch at offset {}: {}", batch.base_offset(),
                 std::string_view(cursor.status().message().data(), cursor.status().message().size()));
  }
  auto control = ParseControlRecord(record);
  if (!control.ok()) {
    return Annotate(control.status(), fmt::format("control batch at offset {}", batch.base_offset()));
  }
  if (!control->IsMarker()) return std::nullopt;
  return Marker{.control = *control, .timestamp_ms = record.timestamp_ms()};
}

bool Follows(int32_t last_sequence, int32_t first_sequence) {
  if (last_sequence == std::numeric_limits<int32_t>::max()) return first_sequence == 0;
  return first_sequence == last_sequence + 1;
}

template <typename... Args>
absl::Status Refuse(KafkaError error, fmt::format_string<Args...> format, Args&&... args) {
  return WithKafkaError(Error(absl::StatusCode::kInvalidArgument, format, std::forward<Args>(args)...), error);
}

absl::Status CheckEpoch(const ProducerStateEntry& known, const RecordBatchView& batch) {
  if (batch.producer_epoch() >= known.epoch) return absl::OkStatus();
  return Refuse(KafkaError::kInvalidProducerEpoch, "producer {}: expected epoch {} or above, found {}",
                known.producer_id, known.epoch, batch.producer_epoch());
}

absl::Status CheckSequence(const ProducerStateEntry& known, const RecordBatchView& batch) {
  const int32_t first_sequence = batch.base_sequence();
  if (batch.producer_epoch() != known.epoch) {
    if (first_sequence == 0) return absl::OkStatus();
    return Refuse(KafkaError::kOutOfOrderSequenceNumber,
                  "producer {}: expected sequence 0 with the new epoch {}, found {}", known.producer_id,
                  batch.producer_epoch(), first_sequence);
  }
  if (Follows(known.last_sequence(), first_sequence)) return absl::OkStatus();
  return Refuse(KafkaError::kOutOfOrderSequenceNumber,
                "producer {}: expected the sequence behind {} of epoch {}, found {} to {}", known.producer_id,
                known.last_sequence(), known.epoch, first_sequence, batch.last_sequence());
}

std::optional<ProducerBatch> FindDuplicate(const ProducerStateEntry& known, const RecordBatchView& batch) {
  if (batch.producer_epoch() != known.epoch) return std::nullopt;
  const auto same = std::find_if(known.batches.begin(), known.batches.end(), [&](const ProducerBatch& kept) {
    return kept.first_sequence() == batch.base_sequence() && kept.last_sequence == batch.last_sequence();
  });
  if (same == known.batches.end()) return std::nullopt;
  return *same;
}

// A new epoch begins with no batches known.
void AdvanceEpoch(ProducerStateEntry* producer, int16_t epoch) {
  if (producer->epoch == epoch) return;
  producer->epoch = epoch;
  producer->batches.clear();
}

absl::Status IgnoreNotFound(const absl::Status& status) { return absl::IsNotFound(status) ? absl::OkStatus() : status; }

}  // namespace

ProducerStateManager::ProducerStateManager(FileSystem* file_system, std::string directory, int64_t expiration_ms)
    : file_system_(file_system), directory_(std::move(directory)), expiration_ms_(expiration_ms) {}

absl::StatusOr<std::optional<ProducerBatch>> ProducerStateManager::CheckProducer(const RecordBatchView& batch) const {
  const ProducerStateEntry* const known = Find(batch.producer_id());
  if (batch.is_control()) {
    VARVE_ASSIGN_OR_RETURN(const std::optional<Marker> marker, ReadMarker(batch));
    if (!marker.has_value() || known == nullptr) return std::nullopt;
    VARVE_RETURN_IF_ERROR(CheckEpoch(*known, batch));
    if (marker->control.coordinator_epoch < known->coordinator_epoch) {
      return Refuse(KafkaError::kTransactionCoordinatorFenced,
                    "producer {}: expected a marker of coordinator epoch {} or above, found {}", known->producer_id,
                    known->coordinator_epoch, marker->control.coordinator_epoch);
    }
    return std::nullopt;
  }
  if (known == nullptr) return std::nullopt;
  if (std::optional<ProducerBatch> duplicate = FindDuplicate(*known, batch)) return duplicate;
  VARVE_RETURN_IF_ERROR(CheckEpoch(*known, batch));
  VARVE_RETURN_IF_ERROR(CheckSequence(*known, batch));
  if (known->current_transaction_first_offset.has_value() && !batch.is_transactional()) {
    return Refuse(KafkaError::kInvalidTxnState,
                  "producer {}: expected transactional data, its transaction from offset {} on is open",
                  known->producer_id, *known->current_transaction_first_offset);
  }
  return std::nullopt;
}

absl::Status ProducerStateManager::ReplayProducer(const RecordBatchView& batch,
                                                  std::optional<CompletedTransaction>* completed) {
  if (batch.is_control()) return ReplayMarker(batch, completed);
  ReplayData(batch);
  return absl::OkStatus();
}

void ProducerStateManager::ReplayData(const RecordBatchView& batch) {
  ProducerStateEntry& producer = producers_[batch.producer_id()];
  producer.producer_id = batch.producer_id();
  AdvanceEpoch(&producer, batch.producer_epoch());
  if (producer.batches.size() == ProducerStateEntry::kMaxBatchCount) producer.batches.erase(producer.batches.begin());
  producer.batches.push_back({.last_sequence = batch.last_sequence(),
                              .last_offset = batch.last_offset(),
                              .offset_delta = batch.last_offset_delta(),
                              .timestamp_ms = batch.max_timestamp_ms()});
  producer.last_timestamp_ms = batch.max_timestamp_ms();
  if (batch.is_transactional() && !producer.current_transaction_first_offset.has_value()) {
    producer.current_transaction_first_offset = batch.base_offset();
    open_.insert_or_assign(batch.base_offset(), batch.producer_id());
  }
}

absl::Status ProducerStateManager::ReplayMarker(const RecordBatchView& batch,
                                                std::optional<CompletedTransaction>* completed) {
  VARVE_ASSIGN_OR_RETURN(const std::optional<Marker> marker, ReadMarker(batch));
  if (!marker.has_value()) return absl::OkStatus();
  ProducerStateEntry& producer = producers_[batch.producer_id()];
  producer.producer_id = batch.producer_id();
  AdvanceEpoch(&producer, batch.producer_epoch());
  producer.coordinator_epoch = marker->control.coordinator_epoch;
  producer.last_timestamp_ms = marker->timestamp_ms;
  if (producer.current_transaction_first_offset.has_value()) {
    *completed = Complete(producer.producer_id, *producer.current_transaction_first_offset, batch.base_offset(),
                          marker->control.type == static_cast<int16_t>(ControlType::kAbort));
    producer.current_transaction_first_offset.reset();
  }
  return absl::OkStatus();
}

CompletedTransaction ProducerStateManager::Complete(int64_t producer_id, int64_t first_offset, int64_t last_offset,
                                                    bool aborted) {
  open_.erase(first_offset);
  unreplicated_.insert_or_assign(first_offset, last_offset);
  return {.producer_id = producer_id,
          .first_offset = first_offset,
          .last_offset = last_offset,
          .last_stable_offset = open_.empty() ? last_offset + 1 : open_.begin()->first,
          .aborted = aborted};
}

absl::Status ProducerStateManager::CheckReadable(const RecordBatchView& batch) {
  if (!batch.is_control() || batch.producer_id() < 0) return absl::OkStatus();
  absl::Status read = ReadMarker(batch).status();
  if (read.ok()) return read;
  return Refuse(KafkaError::kCorruptMessage, "{}", std::string_view(read.message().data(), read.message().size()));
}

ProducerStateManager::Memory ProducerStateManager::Remember(std::span<const int64_t> producer_ids) const {
  Memory memory;
  for (const int64_t id : producer_ids) {
    const ProducerStateEntry* const known = Find(id);
    memory.producers.emplace_back(id, known != nullptr ? std::optional(*known) : std::nullopt);
  }
  return memory;
}

void ProducerStateManager::Restore(Memory memory, int64_t log_end_offset) {
  std::erase_if(unreplicated_, [log_end_offset](const auto& entry) { return entry.second >= log_end_offset; });
  for (auto& [id, before] : memory.producers) {
    const ProducerStateEntry* const now = Find(id);
    if (now != nullptr && now->current_transaction_first_offset.has_value()) {
      open_.erase(*now->current_transaction_first_offset);
    }
    producers_.erase(id);
  }
  for (auto& [id, before] : memory.producers) {
    if (!before.has_value()) continue;
    if (before->current_transaction_first_offset.has_value()) {
      open_.insert_or_assign(*before->current_transaction_first_offset, id);
    }
    producers_.insert_or_assign(id, *std::move(before));
  }
}

const ProducerStateEntry* ProducerStateManager::Find(int64_t producer_id) const {
  const auto found = producers_.find(producer_id);
  return found == producers_.end() ? nullptr : &found->second;
}

std::vector<ProducerStateEntry> ProducerStateManager::entries() const {
  std::vector<ProducerStateEntry> entries;
  entries.reserve(producers_.size());
  for (const auto& [id, producer] : producers_) entries.push_back(producer);
  std::sort(entries.begin(), entries.end(),
            [](const ProducerStateEntry& a, const ProducerStateEntry& b) { return a.producer_id < b.producer_id; });
  return entries;
}

std::optional<int64_t> ProducerStateManager::FirstOpenOffset() const {
  if (open_.empty()) return std::nullopt;
  return open_.begin()->first;
}

void ProducerStateManager::KeepClosedTransactions(const ProducerStateManager& before, int64_t log_end_offset) {
  for (const auto& [first_offset, marker_offset] : before.unreplicated_) {
    if (marker_offset < log_end_offset) unreplicated_.emplace(first_offset, marker_offset);
  }
}

bool ProducerStateManager::AdvanceHighWatermark(int64_t high_watermark) {
  return std::erase_if(unreplicated_, [high_watermark](const auto& entry) { return entry.second < high_watermark; }) >
         0;
}

bool ProducerStateManager::IsExpired(const ProducerStateEntry& producer, int64_t now_ms) const {
  return !producer.current_transaction_first_offset.has_value() &&
         SubtractWrapping(now_ms, producer.last_timestamp_ms) >= expiration_ms_;
}

int64_t ProducerStateManager::RemoveExpired(int64_t now_ms) {
  return static_cast<int64_t>(
      std::erase_if(producers_, [&](const auto& entry) { return IsExpired(entry.second, now_ms); }));
}

void ProducerStateManager::Forget() {
  producers_.clear();
  open_.clear();
  unreplicated_.clear();
}

void ProducerStateManager::LoadEntries(std::vector<ProducerStateEntry> entries, int64_t now_ms) {
  for (ProducerStateEntry& entry : entries) {
    if (IsExpired(entry, now_ms)) continue;
    if (entry.current_transaction_first_offset.has_value()) {
      open_.insert_or_assign(*entry.current_transaction_first_offset, entry.producer_id);
    }
    producers_.insert_or_assign(entry.producer_id, std::move(entry));
  }
}

absl::StatusOr<int64_t> ProducerStateManager::Reload(int64_t log_start_offset, int64_t log_end_offset, int64_t now_ms,
                                                     const std::set<int64_t>& disregarded) {
  Forget();
  last_snapshot_offset_ = log_start_offset;
  VARVE_ASSIGN_OR_RETURN(const std::vector<int64_t> offsets, ListProducerSnapshots(file_system_, directory_));
  for (auto offset = offsets.rbegin(); offset != offsets.rend(); ++offset) {
    if (*offset > log_end_offset || disregarded.contains(*offset)) continue;
    if (*offset <= log_start_offset) break;
    auto entries = ReadProducerSnapshot(file_system_, SnapshotPath(*offset));
    if (IsFaultOfFile(entries.status())) continue;
    VARVE_RETURN_IF_ERROR(entries.status());
    LoadEntries(*std::move(entries), now_ms);
    last_snapshot_offset_ = *offset;
    break;
  }
  return last_snapshot_offset_;
}

absl::Status ProducerStateManager::WriteSnapshot(int64_t offset, SnapshotSync sync) {
  if (offset <= last_snapshot_offset_) return absl::OkStatus();
  VARVE_RETURN_IF_ERROR(WriteProducerSnapshot(file_system_, SnapshotPath(offset), entries(), sync));
  last_snapshot_offset_ = offset;
  return absl::OkStatus();
}

absl::Status ProducerStateManager::RemoveSnapshot(int64_t offset) {
  return IgnoreNotFound(file_system_->Remove(SnapshotPath(offset)));
}

std::string ProducerStateManager::SnapshotPath(int64_t offset) const {
  return JoinPath(directory_, ProducerSnapshotName(offset));
}

}  // namespace varve::internal
