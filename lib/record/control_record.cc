#include <array>

#include "base/bytes.h"
#include "base/status.h"
#include "record/batch_encoder.h"
#include "varve/record_batch.h"

namespace varve {
namespace {

// A control record's key is a version and a type (ControlRecordType).
constexpr size_t kKeyBytes = sizeof(int16_t) + sizeof(int16_t);
// A marker's value is a version and the coordinator's epoch (EndTransactionMarker). Later versions may append fields.
constexpr size_t kMarkerValueBytes = sizeof(int16_t) + sizeof(int32_t);
constexpr int16_t kVersion = 0;

}  // namespace

absl::StatusOr<ControlRecord> ParseControlRecord(const RecordView& record) {
  const std::string_view key = record.key().value_or(std::string_view());
  if (key.size() < kKeyBytes) {
    return internal::Error(absl::StatusCode::kDataLoss,
                           "control record at offset {}: a key of at least {} bytes expected, found {}",
                           record.offset(), kKeyBytes, key.size());
  }
  const std::byte* const key_bytes = internal::AsBytes(key).data();
  ControlRecord control{.version = internal::LoadBigEndian<int16_t>(key_bytes),
                        .type = internal::LoadBigEndian<int16_t>(key_bytes + sizeof(int16_t))};
  if (control.version < 0) {
    return internal::Error(absl::StatusCode::kDataLoss,
                           "control record at offset {}: a key version of at least 0 expected, found {}",
                           record.offset(), control.version);
  }
  if (!control.IsMarker()) return control;
  const std::string_view value = record.value().value_or(std::string_view());
  if (value.size() < kMarkerValueBytes) {
    return internal::Error(absl::StatusCode::kDataLoss,
                           "control record at offset {}: a marker value of at least {} bytes expected, found {}",
                           record.offset(), kMarkerValueBytes, value.size());
  }
  const std::byte* const value_bytes = internal::AsBytes(value).data();
  if (const auto version = internal::LoadBigEndian<int16_t>(value_bytes); version < 0) {
    return internal::Error(absl::StatusCode::kDataLoss,
                           "control record at offset {}: a marker version of at least 0 expected, found {}",
                           record.offset(), version);
  }
  control.coordinator_epoch = internal::LoadBigEndian<int32_t>(value_bytes + sizeof(int16_t));
  return control;
}

absl::StatusOr<std::vector<std::byte>> BuildTransactionMarker(const MarkerOptions& options) {
  std::array<std::byte, kKeyBytes> key;
  internal::StoreBigEndian(key.data(), kVersion);
  internal::StoreBigEndian(key.data() + sizeof(int16_t), static_cast<int16_t>(options.type));
  std::array<std::byte, kMarkerValueBytes> value;
  internal::StoreBigEndian(value.data(), kVersion);
  internal::StoreBigEndian(value.data() + sizeof(int16_t), options.coordinator_epoch);

  const Record record{
      .key = internal::AsText(key), .value = internal::AsText(value), .timestamp_ms = options.timestamp_ms};
  const internal::BatchStamp stamp{.base_offset = options.base_offset,
                                   .leader_epoch = options.leader_epoch,
                                   .producer_id = options.producer_id,
                                   .producer_epoch = options.producer_epoch,
                                   .transactional = true,
                                   .control = true};
  internal::BatchPlan plan;
  VARVE_RETURN_IF_ERROR(internal::PlanBatch({&record, 1}, stamp, &plan));
  std::vector<std::byte> batch(plan.size_bytes);
  internal::EncodeBatch({&record, 1}, stamp, plan, batch.data());
  return batch;
}

}  // namespace varve
