#include "segment/index_rebuilder.h"

#include "base/status.h"

namespace varve::internal {

IndexRebuilder::IndexRebuilder(int64_t base_offset, int64_t index_interval_bytes, int64_t segment_index_bytes)
    : index_interval_bytes_(index_interval_bytes),
      largest_{.timestamp_ms = -1, .offset = base_offset},
      offset_index_(base_offset, segment_index_bytes),
      time_index_(base_offset, segment_index_bytes) {}

absl::Status IndexRebuilder::Add(const BatchHeader& header, int64_t position) {
  if (header.max_timestamp_ms > largest_.timestamp_ms) {
    largest_ = {.timestamp_ms = header.max_timestamp_ms, .offset = header.last_offset()};
  }
  if (bytes_since_entry_ > index_interval_bytes_) {
    VARVE_RETURN_IF_ERROR(offset_index_.Append(header.last_offset(), position));
    VARVE_RETURN_IF_ERROR(time_index_.MaybeAppend(largest_.timestamp_ms, largest_.offset));
    bytes_since_entry_ = 0;
  }
  bytes_since_entry_ += static_cast<int64_t>(header.size_bytes);
  return absl::OkStatus();
}

absl::Status IndexRebuilder::Finish() {
  if (largest_.timestamp_ms < 0) return absl::OkStatus();
  return time_index_.MaybeAppend(largest_.timestamp_ms, largest_.offset, /*even_if_full=*/true);
}

std::vector<std::byte> IndexRebuilder::OffsetIndexBytes() const {
  const size_t entry_count = offset_index_.entry_count();
  std::vector<std::byte> bytes(entry_count * SparseOffsetIndex::kEntryBytes);
  offset_index_.CopyTo(0, entry_count, bytes.data());
  return bytes;
}

std::vector<std::byte> IndexRebuilder::TimeIndexBytes() const {
  const size_t entry_count = time_index_.entry_count();
  std::vector<std::byte> bytes(entry_count * TimeIndex::kEntryBytes);
  time_index_.CopyTo(0, entry_count, bytes.data());
  return bytes;
}

}  // namespace varve::internal
