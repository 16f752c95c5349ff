#include "log/key_map_builder.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "varve/errors.h"

namespace varve::internal {
namespace {

absl::Status RefuseUnkeyed(int64_t offset) {
  return WithKafkaError(
      Error(absl::StatusCode::kInvalidArgument, "a key expected in every record, found none at offset {}", offset),
      KafkaError::kInvalidRecord);
}

}  // namespace

absl::StatusOr<std::unique_ptr<KeyMapBuilder>> KeyMapBuilder::Create(KeyMapInput input) {
  // A record takes an offset of its own, so there are no more keys than offsets.
  const int64_t end_offset = input.segments.empty() ? input.first_dirty_offset : input.segments.back().next_base_offset;
  const auto offset_count = static_cast<uint64_t>(std::max<int64_t>(0, end_offset - input.first_dirty_offset));
  VARVE_ASSIGN_OR_RETURN(KeyOffsetMap map, KeyOffsetMap::Create(input.budget_bytes, offset_count));
  return std::unique_ptr<KeyMapBuilder>(new KeyMapBuilder(std::move(input), std::move(map)));
}

KeyMapBuilder::KeyMapBuilder(KeyMapInput input, KeyOffsetMap map)
    : first_dirty_offset_(input.first_dirty_offset),
      refuse_unkeyed_(input.refuse_unkeyed),
      source_(input.file_system, std::move(input.directory), std::move(input.segments)),
      transactions_(std::move(input.transactions)),
      built_{.map = std::move(map), .map_end_offset = input.first_dirty_offset - 1} {}

absl::StatusOr<bool> KeyMapBuilder::Step() {
  VARVE_ASSIGN_OR_RETURN(const bool found, source_.Next());
  if (!found) {
    // An offset that nothing is left of is covered too.
    if (!source_.segments().empty()) Cover(source_.segments().back().next_base_offset - 1);
    return false;
  }
  Cover(source_.segment().base_offset - 1);
  const absl::StatusOr<bool> fits = AddBatch(source_.batch());
  if (!fits.ok()) return source_.Locate(fits.status());
  if (*fits) Cover(source_.header().last_offset());
  return *fits;
}

void KeyMapBuilder::Cover(int64_t offset) { built_.map_end_offset = std::max(built_.map_end_offset, offset); }

absl::StatusOr<bool> KeyMapBuilder::AddBatch(const RecordBatchView& batch) {
  if (batch.is_control()) {
    VARVE_RETURN_IF_ERROR(transactions_.OnControl(batch).status());
    return true;
  }
  if (transactions_.OnData(batch) || batch.last_offset() < first_dirty_offset_) return true;
  return AddRecords(batch);
}

absl::StatusOr<bool> KeyMapBuilder::AddRecords(const RecordBatchView& batch) {
  RecordCursor cursor(batch, &decoded_);
  size_t count = 0;
  for (RecordView record; cursor.Next(&record);) {
    ++built_.records_read;
    if (record.offset() < first_dirty_offset_) continue;
    prepared_[count] = {.key = std::nullopt, .offset = record.offset()};
    if (record.key().has_value()) prepared_[count].key = built_.map.Prepare(*record.key());
    if (++count < prepared_.size()) continue;
    VARVE_ASSIGN_OR_RETURN(const bool fit, PutAll(prepared_));
    if (!fit) return false;
    count = 0;
  }
  VARVE_RETURN_IF_ERROR(cursor.status());
  return PutAll({prepared_.data(), count});
}

absl::StatusOr<bool> KeyMapBuilder::PutAll(std::span<const PreparedRecord> records) {
  for (const PreparedRecord& record : records) {
    if (!record.key.has_value() && refuse_unkeyed_) return RefuseUnkeyed(record.offset);
    if (record.key.has_value() && !built_.map.Put(*record.key, record.offset)) return false;
    Cover(record.offset);
  }
  return true;
}

BuiltKeyMap KeyMapBuilder::Finish() && {
  built_.bytes_read = source_.bytes_read();
  return std::move(built_);
}

}  // namespace varve::internal
