// The part of the appender that knows of producers: their batches, the markers that end their transactions, and what
// both leave in the producer state and the transaction index.
#include <algorithm>
#include <utility>

#include "base/status.h"
#include "log/appender.h"
#include "varve/errors.h"

namespace varve::internal {
namespace {

std::vector<int64_t> ProducerIds(std::span<const std::byte> batches) {
  std::vector<int64_t> ids;
  for (RecordBatchView batch; NextBatch(&batches, &batch);) {
    if (batch.has_producer_id()) ids.push_back(batch.producer_id());
  }
  return ids;
}

absl::Status CheckProducerId(int64_t producer_id, int16_t producer_epoch) {
  if (producer_id >= 0 && producer_epoch >= 0) return absl::OkStatus();
  return WithKafkaError(
      Error(absl::StatusCode::kInvalidArgument, "producer {} of epoch {}: expected an id and an epoch from 0 on",
            producer_id, producer_epoch),
      KafkaError::kInvalidRecord);
}

absl::Status CheckStamp(const ProducerStamp& stamp) {
  VARVE_RETURN_IF_ERROR(CheckProducerId(stamp.producer_id, stamp.producer_epoch));
  if (stamp.base_sequence >= 0) return absl::OkStatus();
  return WithKafkaError(
      Error(absl::StatusCode::kInvalidArgument, "producer {}: expected a sequence from 0 on, found {}",
            stamp.producer_id, stamp.base_sequence),
      KafkaError::kInvalidRecord);
}

absl::Status CheckMarker(const MarkerOptions& marker) {
  VARVE_RETURN_IF_ERROR(CheckProducerId(marker.producer_id, marker.producer_epoch));
  if (marker.type == ControlType::kCommit || marker.type == ControlType::kAbort) return absl::OkStatus();
  return WithKafkaError(
      Error(absl::StatusCode::kInvalidArgument, "the end of a transaction: expected type {} or {}, found {}",
            static_cast<int>(ControlType::kAbort), static_cast<int>(ControlType::kCommit),
            static_cast<int>(marker.type)),
      KafkaError::kInvalidRecord);
}

}  // namespace

// Not in place: whether it is to be written at all is seen by the batch.
absl::StatusOr<AppendResult> Appender::AppendOfProducer(std::span<const Record> records, BatchStamp stamp,
                                                        const AppendOptions& options) {
  VARVE_RETURN_IF_ERROR(Annotate(CheckStamp(*options.producer), core_->directory));
  stamp.producer_id = options.producer->producer_id;
  stamp.producer_epoch = options.producer->producer_epoch;
  stamp.base_sequence = options.producer->base_sequence;
  stamp.transactional = options.producer->transactional;
  BatchPlan plan;
  VARVE_RETURN_IF_ERROR(PlanBatch(records, stamp, &plan));
  if (stamp.codec != Codec::kNone) {
    VARVE_RETURN_IF_ERROR(EncodeCompressedBatch(records, stamp, plan, &scratch_));
  } else {
    scratch_.resize(plan.size_bytes);
    EncodeBatch(records, stamp, plan, scratch_.data());
  }
  VARVE_RETURN_IF_ERROR(CheckSize(static_cast<int64_t>(scratch_.size())));
  return AppendChecked(options);
}

absl::StatusOr<AppendResult> Appender::AppendMarker(const MarkerOptions& marker, const AppendOptions& options) {
  VARVE_RETURN_IF_ERROR(Annotate(CheckMarker(marker), core_->directory));
  MarkerOptions stamped = marker;
  stamped.timestamp_ms = core_->options.clock->WallMs();
  VARVE_ASSIGN_OR_RETURN(const std::vector<std::byte> batch, BuildTransactionMarker(stamped));
  absl::StatusOr<AppendResult> result;
  {
    const MutexLock lock(&mutex_);
    result = AppendAsLeader(batch, /*client_origin=*/false, options);
  }
  return Acknowledge(std::move(result), options);
}

absl::StatusOr<AppendResult> Appender::AppendChecked(const AppendOptions& options) {
  const RecordBatchView batch(scratch_);
  const bool log_append_time = batch.timestamp_type() == TimestampType::kLogAppendTime;
  VARVE_ASSIGN_OR_RETURN(const ProducersSeen seen, LookForProducers(scratch_));
  VARVE_ASSIGN_OR_RETURN(const std::optional<ProducerBatch> duplicate, producers_->Check(batch));
  if (duplicate.has_value()) {
    return AppendResult{.base_offset = duplicate->first_offset(),
                        .last_offset = duplicate->last_offset,
                        .log_append_time_ms = log_append_time ? duplicate->timestamp_ms : kNoTimestamp,
                        .duplicate = true};
  }
  VARVE_RETURN_IF_ERROR(AppendReady(
      {static_cast<int64_t>(scratch_.size()), batch.last_offset(), batch.max_timestamp_ms(), scratch_},
      batch.leader_epoch(), batch.base_offset(), options.ack == Ack::kDurable || flusher_->durable_acks_wanted()));
  VARVE_RETURN_IF_ERROR(UpdateProducers(scratch_, seen));
  Publish();
  return AppendResult{.base_offset = batch.base_offset(),
                      .last_offset = batch.last_offset(),
                      .log_append_time_ms = log_append_time ? batch.max_timestamp_ms() : kNoTimestamp};
}

absl::StatusOr<Appender::ProducersSeen> Appender::LookForProducers(std::span<const std::byte> batches) {
  ProducersSeen seen;
  for (RecordBatchView batch; NextBatch(&batches, &batch);) {
    if (!batch.has_producer_id()) continue;
    seen.any = true;
    seen.any_transactional |= batch.is_transactional();
    seen.any_marker |= batch.is_control();
    VARVE_RETURN_IF_ERROR(ProducerStateManager::CheckReadable(batch));
  }
  return seen;
}

absl::Status Appender::UpdateProducers(std::span<const std::byte> batches, const ProducersSeen& seen) {
  if (!seen.any) return absl::OkStatus();
  // Only a marker can fail, by the transaction index.
  ProducerStateManager::Memory before;
  if (seen.any_marker) before = producers_->Remember(ProducerIds(batches));
  std::vector<AbortedTransaction> aborted;
  absl::Status updated = ReplayProducers(batches, &aborted);
  if (updated.ok() && !aborted.empty()) {
    updated = transactions_->Append(aborted);
    if (updated.ok()) flusher_->WrittenBeside(transactions_->file());
  }
  if (!updated.ok()) {
    producers_->Restore(std::move(before), core_->frontiers.log_end());
    return Failed(std::move(updated));
  }
  if (seen.any_marker || seen.any_transactional) ShowTransactions();
  return absl::OkStatus();
}

absl::Status Appender::ReplayProducers(std::span<const std::byte> batches, std::vector<AbortedTransaction>* aborted) {
  for (RecordBatchView batch; NextBatch(&batches, &batch);) {
    std::optional<CompletedTransaction> completed;
    VARVE_RETURN_IF_ERROR(producers_->Replay(batch, &completed));
    if (!completed.has_value() || !completed->aborted) continue;
    aborted->push_back({.producer_id = completed->producer_id,
                        .first_offset = completed->first_offset,
                        .last_offset = completed->last_offset,
                        .last_stable_offset = completed->last_stable_offset});
  }
  return absl::OkStatus();
}

void Appender::ShowTransactions() {
  core_->frontiers.SetClosedTransactions(producers_->closed_transactions());
  core_->frontiers.SetFirstUnstable(producers_->FirstOpenOffset().value_or(Frontiers::kNone));
  transactions_changed_ = true;
}

void Appender::ForgetCommitted() {
  if (producers_->closed_transactions().empty()) [[likely]] {
    return;
  }
  const int64_t high_watermark = core_->frontiers.VisibleEnd(Isolation::kHighWatermark);
  if (high_watermark == committed_below_) return;
  committed_below_ = high_watermark;
  if (producers_->AdvanceHighWatermark(high_watermark)) ShowTransactions();
}

absl::StatusOr<int64_t> Appender::RemoveExpiredProducers() {
  const MutexLock lock(&mutex_);
  VARVE_RETURN_IF_ERROR(Writable());
  return producers_->RemoveExpired(core_->options.clock->WallMs());
}

std::vector<ProducerStateEntry> Appender::producers() const {
  const MutexLock lock(&mutex_);
  return producers_->entries();
}

}  // namespace varve::internal
