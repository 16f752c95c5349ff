#include "record/batch_validator.h"

#include <algorithm>

#include "base/status.h"
#include "record/record_rules.h"
#include "varve/errors.h"

namespace varve::internal {
namespace {

template <typename... Args>
absl::Status Refuse(KafkaError error, fmt::format_string<Args...> format, Args&&... args) {
  return WithKafkaError(Error(absl::StatusCode::kInvalidArgument, format, std::forward<Args>(args)...), error);
}

// Takes the next whole batch off `rest`. False at a partial tail, which is dropped silently.
absl::StatusOr<bool> TakeBatch(std::span<const std::byte>* rest, BatchHeader* header,
                               std::span<const std::byte>* batch) {
  switch (JudgeBatch(rest->data(), rest->size(), rest->size())) {
    case BatchForm::kWhole:
      *header = DecodeBatchHeader(rest->data());
      *batch = rest->first(header->size_bytes);
      *rest = rest->subspan(header->size_bytes);
      return true;
    case BatchForm::kTorn:
      return false;
    case BatchForm::kUnsupported:
      return WithKafkaError(absl::UnimplementedError(ExplainBatch(rest->data(), rest->size(), rest->size())),
                            KafkaError::kUnsupportedForMessageFormat);
    case BatchForm::kInvalid:
      break;
  }
  return Refuse(KafkaError::kCorruptMessage, "{}", ExplainBatch(rest->data(), rest->size(), rest->size()));
}

absl::Status CheckCrc(std::span<const std::byte> batch, const BatchHeader& header) {
  const uint32_t computed = BatchCrc(batch);
  if (computed == header.crc) return absl::OkStatus();
  return Refuse(KafkaError::kCorruptMessage, "batch with base offset {}: checksum {:08x} expected, found {:08x}",
                header.base_offset, computed, header.crc);
}

absl::Status CheckSize(size_t size_bytes, const LeaderRules& rules) {
  if (size_bytes <= static_cast<uint64_t>(std::max<int64_t>(rules.max_message_bytes, 0))) return absl::OkStatus();
  return Refuse(KafkaError::kMessageTooLarge, "a batch of at most {} bytes expected, found {}", rules.max_message_bytes,
                size_bytes);
}

// Step 6: what a client may not say in a header.
absl::Status CheckClientHeader(const BatchHeader& header) {
  if (header.last_offset_delta < 0) {
    return Refuse(KafkaError::kInvalidRecord, "a last offset delta of at least 0 expected, found {}",
                  header.last_offset_delta);
  }
  if (header.record_count <= 0) {
    return Refuse(KafkaError::kInvalidRecord, "a record count of at least 1 expected, found {}", header.record_count);
  }
  if (header.record_count - 1 != header.last_offset_delta) {
    return Refuse(KafkaError::kInvalidRecord,
                  "a record count of one more than the last offset delta {} expected, found {}",
                  header.last_offset_delta, header.record_count);
  }
  if (header.is_control()) {
    return Refuse(KafkaError::kInvalidRecord, "a batch of records expected, found a control batch from a client");
  }
  if (header.producer_id > kNoProducerId && header.base_sequence < 0) {
    return Refuse(KafkaError::kInvalidRecord, "producer {}: a base sequence of at least 0 expected, found {}",
                  header.producer_id, header.base_sequence);
  }
  return absl::OkStatus();
}

RecordRules RecordRulesOf(const LeaderRules& rules) {
  return {.compacted = rules.compacted,
          .timestamp_type = rules.timestamp_type,
          .now_ms = rules.now_ms,
          .before_max_ms = rules.before_max_ms,
          .after_max_ms = rules.after_max_ms};
}

// A batch of log append time is nobody's but a log's: refused where no timestamp of the record's own takes its place.
absl::Status CheckTimestampType(const RecordView& record, int32_t number, const BatchHeader& header,
                                const LeaderRules& rules) {
  const bool has_own = rules.timestamp_type == TimestampType::kCreateTime && record.timestamp_ms() != kNoTimestamp;
  if (has_own || header.timestamp_type() == TimestampType::kCreateTime) return absl::OkStatus();
  return Refuse(KafkaError::kInvalidTimestamp,
                "record {}: timestamps of the producer's expected, found a batch of log append time", number);
}

// What a walk over the records found.
struct RecordsSeen {
  int64_t max_timestamp_ms = kNoTimestamp;
  bool offsets_are_consecutive = true;  // 0, 1, 2... from the base offset
};

// A cursor's status as an answer to a producer.
absl::Status AsRefusal(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kDataLoss:
      return Refuse(KafkaError::kInvalidRecord, "{}",
                    std::string_view(status.message().data(), status.message().size()));
    case absl::StatusCode::kUnimplemented:
      return WithKafkaError(status, KafkaError::kUnsupportedCompressionType);
    default:
      return status;
  }
}

absl::StatusOr<RecordsSeen> CheckRecords(RecordBatchView batch, const BatchHeader& header, const LeaderRules& rules,
                                         DecodeBuffer* decoded) {
  RecordsSeen seen;
  const RecordRules record_rules = RecordRulesOf(rules);
  const bool ask_anything =
      record_rules.AskAnything() || header.timestamp_type() != TimestampType::kCreateTime;  // nothing, nearly always
  RecordCursor cursor(batch, decoded);
  int32_t number = 0;
  for (RecordView record; cursor.Next(&record); ++number) {
    if (ask_anything) [[unlikely]] {
      VARVE_RETURN_IF_ERROR(CheckRecordRules(record.key().has_value(), record.timestamp_ms(), number, record_rules));
      VARVE_RETURN_IF_ERROR(CheckTimestampType(record, number, header, rules));
    }
    seen.max_timestamp_ms = std::max(seen.max_timestamp_ms, record.timestamp_ms());
    if (record.offset() != AddWrapping(header.base_offset, number)) seen.offsets_are_consecutive = false;
  }
  if (!cursor.status().ok()) return AsRefusal(cursor.status());
  return seen;
}

// Decodes the batch once more into the builder, with consecutive offsets and the codec asked for.
absl::StatusOr<std::span<const std::byte>> Rebuild(RecordBatchView batch, const BatchHeader& header, Codec codec,
                                                   const LeaderRules& rules, ValidatorScratch* scratch) {
  RecordBatchBuilderOptions options{.codec = codec,
                                    .compression_level = rules.compression_level,
                                    .base_offset = rules.log_end_offset,
                                    .leader_epoch = rules.leader_epoch,
                                    .producer_id = header.producer_id,
                                    .producer_epoch = header.producer_epoch,
                                    .base_sequence = header.base_sequence,
                                    .transactional = header.is_transactional(),
                                    .control = header.is_control()};
  if (rules.timestamp_type == TimestampType::kLogAppendTime) options.log_append_time_ms = rules.now_ms;
  scratch->builder.Reset(options);
  RecordCursor cursor(batch, &scratch->decoded);
  int64_t offset = rules.log_end_offset;
  for (RecordView record; cursor.Next(&record); ++offset) {
    VARVE_RETURN_IF_ERROR(scratch->builder.AddAt(offset, record));
  }
  if (!cursor.status().ok()) return AsRefusal(cursor.status());
  absl::StatusOr<std::span<const std::byte>> built = scratch->builder.Build();
  if (!built.ok()) return AsRefusal(built.status());
  return built;
}

// Steps 1 to 5: one whole batch, sound as a whole. Leaves `batch` empty where there is none.
absl::Status TakeOnlyBatch(std::span<const std::byte> input, const LeaderRules& rules, BatchHeader* header,
                           std::span<const std::byte>* batch) {
  std::span<const std::byte> rest = input;
  VARVE_ASSIGN_OR_RETURN(const bool found, TakeBatch(&rest, header, batch));
  if (!found) {
    // As ProduceRequest has it: a request without one whole batch is not taken for an empty one.
    if (!rules.client_origin) return absl::OkStatus();
    return Refuse(KafkaError::kInvalidRecord, "one whole batch expected, found {} bytes: {}", input.size(),
                  ExplainBatch(input.data(), input.size(), input.size()));
  }
  if (rules.client_origin && header->base_offset != 0) {
    return Refuse(KafkaError::kInvalidRecord, "a base offset of 0 expected from a client, found {}",
                  header->base_offset);
  }
  VARVE_RETURN_IF_ERROR(CheckSize(header->size_bytes, rules));
  VARVE_RETURN_IF_ERROR(CheckCrc(*batch, *header));
  BatchHeader second_header;
  std::span<const std::byte> second;
  VARVE_ASSIGN_OR_RETURN(const bool found_second, TakeBatch(&rest, &second_header, &second));
  if (found_second) return Refuse(KafkaError::kInvalidRecord, "one batch an append expected, found another behind it");
  return absl::OkStatus();
}

// A leader's batches follow each other. Kafka asks for rising last offsets only; a batch that begins inside the one
// before it would be in nobody's way until recovery calls it damage.
absl::Status CheckLeadersOffsets(const BatchHeader& header, int64_t next_offset) {
  if (!HasSaneOffsets(header)) {
    return Refuse(KafkaError::kCorruptMessage,
                  "batch with base offset {}: offsets from 0 to 2^63-2 that do not fall expected, found a last offset "
                  "delta of {}",
                  header.base_offset, header.last_offset_delta);
  }
  if (header.base_offset >= next_offset) return absl::OkStatus();
  return Error(absl::StatusCode::kInvalidArgument, "a base offset of at least {} expected, found {}", next_offset,
               header.base_offset);
}

bool KeepsTimestamps(const BatchHeader& header, const BatchRestamp& restamp) {
  return header.timestamp_type() == restamp.timestamp_type && header.max_timestamp_ms == restamp.max_timestamp_ms;
}

// Kafka computes attributes anew wherever it sets timestamps (DefaultRecordBatch.computeAttributes): bits that mean
// nothing go, and only then.
int16_t RestampedAttributes(const BatchHeader& header, const BatchRestamp& restamp) {
  if (KeepsTimestamps(header, restamp)) return header.attributes;
  const int kept = header.attributes & (kCodecMask | kTransactionalBit | kControlBit | kDeleteHorizonBit);
  return static_cast<int16_t>(kept | (restamp.timestamp_type == TimestampType::kLogAppendTime ? kLogAppendTimeBit : 0));
}

}  // namespace

void RestampBatch(std::span<std::byte> batch, const BatchRestamp& restamp) {
  BatchHeader header = DecodeBatchHeader(batch.data());
  StoreBigEndian(batch.data() + kBaseOffsetPosition, restamp.base_offset);
  StoreBigEndian(batch.data() + kLeaderEpochPosition, restamp.leader_epoch);
  if (KeepsTimestamps(header, restamp)) return;
  StoreBigEndian(batch.data() + kAttributesPosition, RestampedAttributes(header, restamp));
  StoreBigEndian(batch.data() + kMaxTimestampPosition, restamp.max_timestamp_ms);
  SealBatch(batch);
}

void RestampBatch(std::span<std::byte> batch, int64_t base_offset, int32_t leader_epoch,
                  std::optional<int64_t> log_append_time_ms) {
  const BatchHeader header = DecodeBatchHeader(batch.data());
  BatchRestamp restamp{.base_offset = base_offset,
                       .leader_epoch = leader_epoch,
                       .timestamp_type = header.timestamp_type(),
                       .max_timestamp_ms = header.max_timestamp_ms};
  if (log_append_time_ms.has_value()) {
    restamp.timestamp_type = TimestampType::kLogAppendTime;
    restamp.max_timestamp_ms = *log_append_time_ms;
  }
  RestampBatch(batch, restamp);
}

absl::StatusOr<LeaderPlan> ValidateAsLeader(std::span<const std::byte> input, const LeaderRules& rules,
                                            ValidatorScratch* scratch) {
  LeaderPlan plan;
  BatchHeader header;
  std::span<const std::byte> bytes;
  VARVE_RETURN_IF_ERROR(TakeOnlyBatch(input, rules, &header, &bytes));
  if (bytes.empty()) return plan;
  if (rules.client_origin) VARVE_RETURN_IF_ERROR(CheckClientHeader(header));
  if (rules.log_end_offset >= std::numeric_limits<int64_t>::max() - std::max(header.last_offset_delta, 0)) {
    return Refuse(KafkaError::kInvalidRecord, "a batch of {} offsets does not fit between the log end {} and 2^63-1",
                  int64_t{header.last_offset_delta} + 1, rules.log_end_offset);
  }
  const RecordBatchView batch(bytes);
  VARVE_ASSIGN_OR_RETURN(const RecordsSeen seen, CheckRecords(batch, header, rules, &scratch->decoded));

  const Codec target = rules.codec.value_or(header.codec());
  const bool stays_uncompressed = header.codec() == Codec::kNone && (target == Codec::kNone || header.is_control());
  const bool in_place = stays_uncompressed || (header.codec() == target && seen.offsets_are_consecutive);
  plan.bytes = bytes;
  if (!in_place) {
    VARVE_ASSIGN_OR_RETURN(plan.bytes, Rebuild(batch, header, target, rules, scratch));
    plan.rebuilt = true;
    VARVE_RETURN_IF_ERROR(CheckSize(plan.bytes.size(), rules));
  }
  const bool is_append_time = rules.timestamp_type == TimestampType::kLogAppendTime;
  plan.restamp = {.base_offset = rules.log_end_offset,
                  .leader_epoch = rules.leader_epoch,
                  .timestamp_type = rules.timestamp_type,
                  .max_timestamp_ms = is_append_time ? rules.now_ms : seen.max_timestamp_ms};
  plan.header = DecodeBatchHeader(plan.bytes.data());
  plan.header.attributes = RestampedAttributes(plan.header, plan.restamp);
  plan.header.base_offset = plan.restamp.base_offset;
  plan.header.leader_epoch = plan.restamp.leader_epoch;
  plan.header.max_timestamp_ms = plan.restamp.max_timestamp_ms;
  return plan;
}

absl::StatusOr<FollowerPlan> ValidateAsFollower(std::span<const std::byte> input, const FollowerRules& rules) {
  FollowerPlan plan;
  std::span<const std::byte> rest = input;
  while (true) {
    BatchHeader header;
    std::span<const std::byte> batch;
    VARVE_ASSIGN_OR_RETURN(const bool found, TakeBatch(&rest, &header, &batch));
    if (!found || header.leader_epoch > rules.leader_epoch) break;
    VARVE_RETURN_IF_ERROR(CheckCrc(batch, header));
    const int64_t next_offset = plan.batch_count == 0 ? rules.log_end_offset : plan.last_offset + 1;
    VARVE_RETURN_IF_ERROR(CheckLeadersOffsets(header, next_offset));
    if (plan.batch_count == 0) plan.first_offset = header.base_offset;
    plan.last_offset = header.last_offset();
    if (plan.last_offset - plan.first_offset > std::numeric_limits<int32_t>::max()) {
      return Error(absl::StatusCode::kInvalidArgument,
                   "an append of offsets {} to {}: expected no more than 2^31 of them, which is what a segment holds",
                   plan.first_offset, plan.last_offset);
    }
    plan.max_timestamp_ms = std::max(plan.max_timestamp_ms, header.max_timestamp_ms);
    plan.bytes = input.first(plan.bytes.size() + header.size_bytes);
    ++plan.batch_count;
  }
  return plan;
}

}  // namespace varve::internal
