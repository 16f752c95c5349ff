#include "kafka/random_appends.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <span>
#include <utility>

#include "base/status.h"
#include "varve/errors.h"

namespace varve::testing_support {
namespace {

constexpr int64_t kIdempotent[] = {300, 301};
constexpr int64_t kTransactional[] = {100, 200, 201};

absl::Status UnlessTooLarge(const absl::Status& status) {
  const std::optional<KafkaError> error = KafkaErrorOf(status);
  const bool too_large = error == KafkaError::kRecordListTooLarge || error == KafkaError::kMessageTooLarge;
  return too_large ? absl::OkStatus() : status;
}

int32_t LatestEpoch(const Log& log) {
  const std::vector<LeaderEpoch> epochs = log.leader_epochs();
  return epochs.empty() ? kNoLeaderEpoch : epochs.back().epoch;
}

void Append(std::vector<std::byte>* bytes, std::span<const std::byte> more) {
  bytes->insert(bytes->end(), more.begin(), more.end());
}

}  // namespace

OwnedRecords RandomAppends::SomeRecords() {
  shape_.around_ms = clock_->WallMs();
  const int64_t count = random_->OneIn(12) ? 1 + random_->Below(60) : 1 + random_->Below(5);
  return RandomRecords(random_->engine(), static_cast<size_t>(count), shape_);
}

Codec RandomAppends::SomeCodec() {
  constexpr Codec kCodecs[] = {Codec::kNone,   Codec::kNone, Codec::kNone, Codec::kGzip,
                               Codec::kSnappy, Codec::kLz4,  Codec::kZstd};
  return random_->Of(kCodecs);
}

AppendOptions RandomAppends::SomeOptions(const Log& log) {
  AppendOptions options{.ack = random_->OneIn(6) ? Ack::kDurable : Ack::kWritten};
  if (random_->OneIn(15)) leader_epoch_ += static_cast<int32_t>(random_->Below(3));
  if (LatestEpoch(log) != leader_epoch_ || random_->OneIn(4)) options.leader_epoch = leader_epoch_;
  return options;
}

absl::Status RandomAppends::AssignLeaderEpoch(Log* log) {
  leader_epoch_ += 1 + static_cast<int32_t>(random_->Below(3));
  return log->AssignLeaderEpoch(leader_epoch_);
}

absl::Status RandomAppends::Records(Log* log) {
  const OwnedRecords records = SomeRecords();
  AppendOptions options = SomeOptions(*log);
  options.compression = SomeCodec();
  return UnlessTooLarge(log->Append(records.views(), options).status());
}

absl::StatusOr<std::vector<std::byte>> RandomAppends::Build(const RecordBatchBuilderOptions& options) {
  RecordBatchBuilder builder(options);
  const OwnedRecords records = SomeRecords();
  for (const Record& record : records.views()) VARVE_RETURN_IF_ERROR(builder.Add(record));
  VARVE_ASSIGN_OR_RETURN(const std::span<const std::byte> batch, builder.Build());
  return std::vector<std::byte>(batch.begin(), batch.end());
}

absl::StatusOr<std::vector<std::byte>> RandomAppends::BuildSparse(RecordBatchBuilderOptions options) {
  const OwnedRecords records = SomeRecords();
  std::vector<int64_t> offsets;
  int64_t offset = options.base_offset;
  for (size_t index = 0; index < records.views().size(); ++index) {
    offset += random_->Below(3);
    offsets.push_back(offset++);
  }
  options.last_offset = offsets.back() + random_->Below(3);
  RecordBatchBuilder builder(options);
  for (size_t index = 0; index < offsets.size(); ++index) {
    VARVE_RETURN_IF_ERROR(builder.AddAt(offsets[index], records.views()[index]));
  }
  VARVE_ASSIGN_OR_RETURN(const std::span<const std::byte> batch, builder.Build());
  return std::vector<std::byte>(batch.begin(), batch.end());
}

absl::Status RandomAppends::ReadyMadeBatch(Log* log) {
  VARVE_ASSIGN_OR_RETURN(const std::vector<std::byte> batch,
                         Build({.codec = SomeCodec(), .default_timestamp_ms = clock_->WallMs()}));
  return UnlessTooLarge(log->AppendBatch(batch, SomeOptions(*log)).status());
}

ProducerStamp RandomAppends::NextStamp(const Log& log) {
  ProducerStamp stamp;
  stamp.transactional = random_->OneIn(2);
  stamp.producer_id = stamp.transactional ? random_->Of(kTransactional) : random_->Of(kIdempotent);
  // Whom the log does not know may begin anywhere.
  stamp.base_sequence =
      random_->OneIn(2) ? 0 : std::numeric_limits<int32_t>::max() - static_cast<int32_t>(random_->Below(8));
  for (const ProducerStateEntry& known : log.producers()) {
    if (known.producer_id != stamp.producer_id) continue;
    const bool begins_epoch = !known.current_transaction_first_offset.has_value() && random_->OneIn(10);
    stamp.producer_epoch = static_cast<int16_t>(known.epoch + (begins_epoch ? 1 : 0));
    stamp.base_sequence = begins_epoch ? 0 : AddToSequence(known.last_sequence(), 1);
  }
  return stamp;
}

absl::Status RandomAppends::OfProducer(Log* log) {
  const ProducerStamp stamp = NextStamp(*log);
  VARVE_ASSIGN_OR_RETURN(last_of_producer_, Build({.codec = SomeCodec(),
                                                   .producer_id = stamp.producer_id,
                                                   .producer_epoch = stamp.producer_epoch,
                                                   .base_sequence = stamp.base_sequence,
                                                   .transactional = stamp.transactional,
                                                   .default_timestamp_ms = clock_->WallMs()}));
  const absl::StatusOr<AppendResult> result = log->AppendBatch(last_of_producer_, SomeOptions(*log));
  // A producer whose last batch has no timestamp counts as idle for ever: an opening forgets it.
  if (!result.ok() || RecordBatchView(last_of_producer_).max_timestamp_ms() == kNoTimestamp) Forget();
  return UnlessTooLarge(result.status());
}

absl::Status RandomAppends::Again(Log* log) {
  if (last_of_producer_.empty()) return absl::OkStatus();
  VARVE_ASSIGN_OR_RETURN(const AppendResult again, log->AppendBatch(last_of_producer_));
  if (again.duplicate) return absl::OkStatus();
  return internal::Error(absl::StatusCode::kInternal, "a batch was appended twice, at {} too", again.base_offset);
}

absl::Status RandomAppends::EndTransaction(Log* log) {
  for (const ProducerStateEntry& producer : log->producers()) {
    if (!producer.current_transaction_first_offset.has_value() || random_->OneIn(3)) continue;
    // A coordinator that fences a producer ends its transaction with the next epoch.
    const auto epoch = static_cast<int16_t>(producer.epoch + (random_->OneIn(8) ? 1 : 0));
    if (epoch != producer.epoch) Forget();
    const int32_t coordinator_epoch = std::max(producer.coordinator_epoch, 0) + (random_->OneIn(8) ? 1 : 0);
    const ControlType end = random_->OneIn(2) ? ControlType::kAbort : ControlType::kCommit;
    return log->AppendEndTransaction(producer.producer_id, epoch, end, coordinator_epoch, SomeOptions(*log)).status();
  }
  return absl::OkStatus();
}

absl::Status RandomAppends::AsFollower(Log* log) {
  std::vector<std::byte> batches;
  const int64_t count = 1 + random_->Below(3);
  int64_t next_offset = log->log_end_offset();
  const int32_t epoch_before = leader_epoch_;
  std::optional<ProducerStamp> producer;  // of one batch at most: the log does not know yet what comes before it
  for (int64_t number = 0; number < count; ++number) {
    if (random_->OneIn(4)) next_offset += random_->Below(random_->OneIn(10) ? int64_t{1} << 29 : 20);
    if (random_->OneIn(6)) leader_epoch_ += 1 + static_cast<int32_t>(random_->Below(3));
    RecordBatchBuilderOptions options{.codec = SomeCodec(),
                                      .base_offset = next_offset,
                                      .leader_epoch = leader_epoch_,
                                      .default_timestamp_ms = clock_->WallMs()};
    if (random_->OneIn(4)) options.log_append_time_ms = clock_->WallMs() - random_->Below(1000);
    if (!producer.has_value() && random_->OneIn(3)) {
      producer = NextStamp(*log);
      options.producer_id = producer->producer_id;
      options.producer_epoch = producer->producer_epoch;
      options.base_sequence = producer->base_sequence;
      options.transactional = producer->transactional;
      Forget();
    }
    VARVE_ASSIGN_OR_RETURN(const std::vector<std::byte> batch,
                           random_->OneIn(3) ? BuildSparse(options) : Build(options));
    Append(&batches, batch);
    next_offset = RecordBatchView(batch).next_offset();
  }
  // A fetch may end in the midst of a batch.
  if (random_->OneIn(5)) Append(&batches, std::span<const std::byte>(batches).first(40));
  // Batches of an epoch that the follower has not heard of yet are left out.
  const int32_t known_epoch = random_->OneIn(8) ? epoch_before : leader_epoch_;
  return UnlessTooLarge(log->AppendAsFollower(batches, known_epoch).status());
}

}  // namespace varve::testing_support
