#include "kafka/random_appends.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <span>
#include <string>
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

// What a batch of these options has of it.
AppendedRecord Appended(int64_t offset, const Record& record, const RecordBatchBuilderOptions& options) {
  AppendedRecord appended{.offset = offset,
                          .timestamp_ms = record.timestamp_ms.value_or(options.default_timestamp_ms),
                          .producer_id = options.producer_id,
                          .transactional = options.transactional};
  if (options.log_append_time_ms.has_value()) appended.timestamp_ms = *options.log_append_time_ms;
  if (record.key.has_value()) appended.key = *record.key;
  if (record.value.has_value()) appended.value = *record.value;
  for (const Header& header : record.headers) {
    appended.headers.emplace_back(header.key, std::nullopt);
    if (header.value.has_value()) appended.headers.back().second = *header.value;
  }
  return appended;
}

std::vector<AppendedRecord> AllAppended(std::span<const Record> records, const RecordBatchBuilderOptions& options) {
  std::vector<AppendedRecord> appended;
  for (const Record& record : records) {
    appended.push_back(Appended(options.base_offset + std::ssize(appended), record, options));
  }
  return appended;
}

// As Kafka's ControlRecordType and EndTransactionMarker write it, both of version 0.
AppendedRecord Marker(int64_t producer_id, ControlType type, int32_t coordinator_epoch, int64_t timestamp_ms) {
  std::string value(6, '\0');
  for (size_t index = 0; index < 4; ++index) value[5 - index] = static_cast<char>(coordinator_epoch >> (8 * index));
  return {.timestamp_ms = timestamp_ms,
          .key = std::string({0, 0, 0, type == ControlType::kCommit ? '\1' : '\0'}),
          .value = value,
          .producer_id = producer_id,
          .transactional = true,
          .control = type};
}

}  // namespace

absl::Status RandomAppends::Note(const Log& log, const absl::StatusOr<AppendResult>& result,
                                 std::vector<AppendedRecord> records) {
  if (!result.ok()) return UnlessTooLarge(result.status());
  if (log.options().message_timestamp_type == TimestampType::kLogAppendTime) {
    for (AppendedRecord& record : records) record.timestamp_ms = clock_->WallMs();
  }
  return appended_->Append(*result, std::move(records));
}

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
  return Note(*log, log->Append(records.views(), options),
              AllAppended(records.views(), {.default_timestamp_ms = clock_->WallMs()}));
}

absl::StatusOr<RandomAppends::Batch> RandomAppends::Build(const RecordBatchBuilderOptions& options) {
  RecordBatchBuilder builder(options);
  const OwnedRecords records = SomeRecords();
  for (const Record& record : records.views()) VARVE_RETURN_IF_ERROR(builder.Add(record));
  VARVE_ASSIGN_OR_RETURN(const std::span<const std::byte> batch, builder.Build());
  return Batch{.bytes = {batch.begin(), batch.end()}, .records = AllAppended(records.views(), options)};
}

absl::StatusOr<RandomAppends::Batch> RandomAppends::BuildSparse(RecordBatchBuilderOptions options) {
  const OwnedRecords records = SomeRecords();
  std::vector<int64_t> offsets;
  int64_t offset = options.base_offset;
  for (size_t index = 0; index < records.views().size(); ++index) {
    offset += random_->Below(3);
    offsets.push_back(offset++);
  }
  options.last_offset = offsets.back() + random_->Below(3);
  RecordBatchBuilder builder(options);
  Batch sparse;
  for (size_t index = 0; index < offsets.size(); ++index) {
    VARVE_RETURN_IF_ERROR(builder.AddAt(offsets[index], records.views()[index]));
    sparse.records.push_back(Appended(offsets[index], records.views()[index], options));
  }
  VARVE_ASSIGN_OR_RETURN(const std::span<const std::byte> batch, builder.Build());
  sparse.bytes.assign(batch.begin(), batch.end());
  return sparse;
}

absl::Status RandomAppends::ReadyMadeBatch(Log* log) {
  VARVE_ASSIGN_OR_RETURN(Batch batch, Build({.codec = SomeCodec(), .default_timestamp_ms = clock_->WallMs()}));
  return Note(*log, log->AppendBatch(batch.bytes, SomeOptions(*log)), std::move(batch.records));
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
  VARVE_ASSIGN_OR_RETURN(Batch batch, Build({.codec = SomeCodec(),
                                             .producer_id = stamp.producer_id,
                                             .producer_epoch = stamp.producer_epoch,
                                             .base_sequence = stamp.base_sequence,
                                             .transactional = stamp.transactional,
                                             .default_timestamp_ms = clock_->WallMs()}));
  last_of_producer_ = std::move(batch.bytes);
  const absl::StatusOr<AppendResult> result = log->AppendBatch(last_of_producer_, SomeOptions(*log));
  // A producer whose last batch has no timestamp counts as idle for ever: an opening forgets it.
  if (!result.ok() || RecordBatchView(last_of_producer_).max_timestamp_ms() == kNoTimestamp) Forget();
  return Note(*log, result, std::move(batch.records));
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
    return Note(*log, log->AppendEndTransaction(producer.producer_id, epoch, end, coordinator_epoch, SomeOptions(*log)),
                {Marker(producer.producer_id, end, coordinator_epoch, clock_->WallMs())});
  }
  return absl::OkStatus();
}

absl::Status RandomAppends::AsFollower(Log* log) {
  std::vector<std::byte> batches;
  std::vector<Batch> built;
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
    VARVE_ASSIGN_OR_RETURN(Batch batch, random_->OneIn(3) ? BuildSparse(options) : Build(options));
    Append(&batches, batch.bytes);
    next_offset = RecordBatchView(batch.bytes).next_offset();
    built.push_back(std::move(batch));
  }
  // A fetch may end in the midst of a batch.
  if (random_->OneIn(5)) Append(&batches, std::span<const std::byte>(batches).first(40));
  // Batches of an epoch that the follower has not heard of yet are left out.
  const int32_t known_epoch = random_->OneIn(8) ? epoch_before : leader_epoch_;
  const absl::Status status = log->AppendAsFollower(batches, known_epoch).status();
  if (!status.ok()) return UnlessTooLarge(status);
  for (Batch& batch : built) {
    const RecordBatchView view(batch.bytes);
    if (view.leader_epoch() > known_epoch) break;
    appended_->AppendAt(std::move(batch.records), view.next_offset());
  }
  return absl::OkStatus();
}

}  // namespace varve::testing_support
