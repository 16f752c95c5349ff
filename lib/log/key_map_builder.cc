#include "log/key_map_builder.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/status.h"
#include "varve/compression.h"
#include "varve/errors.h"

namespace varve::internal {
namespace {

absl::Status RefuseUnkeyed(int64_t offset) {
  return WithKafkaError(
      Error(absl::StatusCode::kInvalidArgument, "a key expected in every record, found none at offset {}", offset),
      KafkaError::kInvalidRecord);
}

class KeyMapBuilder {
 public:
  KeyMapBuilder(const KeyMapInput& input, KeyOffsetMap map)
      : input_(input),
        transactions_(input.transactions),
        built_{.map = std::move(map), .map_end_offset = input.first_dirty_offset - 1} {}

  // False where the map is full.
  [[nodiscard]] absl::StatusOr<bool> AddSegment(const SourceSegment& segment) {
    VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<SourceReader> source,
                           SourceReader::Open(input_.file_system, input_.directory, segment, &input_.on_read));
    while (true) {
      VARVE_ASSIGN_OR_RETURN(const bool found, source->Next());
      if (!found) break;
      built_.bytes_read += static_cast<int64_t>(source->header().size_bytes);
      const absl::StatusOr<bool> fits = AddBatch(source->batch());
      if (!fits.ok()) return source->Locate(fits.status());
      if (!*fits) return false;
      built_.map_end_offset = std::max(built_.map_end_offset, source->header().last_offset());
    }
    built_.map_end_offset = std::max(built_.map_end_offset, segment.next_base_offset - 1);
    return true;
  }

  [[nodiscard]] BuiltKeyMap Finish() && { return std::move(built_); }

 private:
  [[nodiscard]] absl::StatusOr<bool> AddBatch(const RecordBatchView& batch) {
    if (batch.is_control()) {
      VARVE_RETURN_IF_ERROR(transactions_.OnControl(batch).status());
      return true;
    }
    if (transactions_.OnData(batch) || batch.last_offset() < input_.first_dirty_offset) return true;
    return AddRecords(batch);
  }

  [[nodiscard]] absl::StatusOr<bool> AddRecords(const RecordBatchView& batch) {
    RecordCursor cursor(batch, &decoded_);
    for (RecordView record; cursor.Next(&record);) {
      ++built_.records_read;
      if (record.offset() < input_.first_dirty_offset) continue;
      if (!record.key().has_value() && input_.refuse_unkeyed) return RefuseUnkeyed(record.offset());
      if (record.key().has_value() && !built_.map.Put(*record.key(), record.offset())) return false;
      built_.map_end_offset = record.offset();
    }
    VARVE_RETURN_IF_ERROR(cursor.status());
    return true;
  }

  const KeyMapInput& input_;
  CleanedTransactions transactions_;
  DecodeBuffer decoded_;
  BuiltKeyMap built_;
};

}  // namespace

absl::StatusOr<BuiltKeyMap> BuildKeyMap(const KeyMapInput& input) {
  // A record takes an offset of its own, so there are no more keys than offsets.
  const int64_t end_offset = input.segments.empty() ? input.first_dirty_offset : input.segments.back().next_base_offset;
  const auto offset_count = static_cast<uint64_t>(std::max<int64_t>(0, end_offset - input.first_dirty_offset));
  VARVE_ASSIGN_OR_RETURN(KeyOffsetMap map, KeyOffsetMap::Create(input.budget_bytes, offset_count));
  KeyMapBuilder builder(input, std::move(map));
  for (const SourceSegment& segment : input.segments) {
    VARVE_ASSIGN_OR_RETURN(const bool fits, builder.AddSegment(segment));
    if (!fits) break;
  }
  return std::move(builder).Finish();
}

}  // namespace varve::internal
