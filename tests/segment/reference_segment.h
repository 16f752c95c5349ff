// Batches for tests, and a segment that is searched by looking at every record: what lookups are compared with.
#ifndef VARVE_TESTS_SEGMENT_REFERENCE_SEGMENT_H_
#define VARVE_TESTS_SEGMENT_REFERENCE_SEGMENT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "gtest/gtest.h"
#include "segment/active_segment.h"
#include "segment/segment_files.h"
#include "varve/compression.h"
#include "varve/file_system.h"
#include "varve/record_batch.h"
#include "varve/time_index.h"

namespace varve::testing_support {

struct BatchSpec {
  int64_t base_offset = 0;
  std::vector<int64_t> timestamps_ms = {1000};        // one record each
  std::string value = "value";                        // of every record
  int64_t offset_step = 1;                            // between records; more leaves holes as compaction does
  std::optional<int64_t> last_offset = std::nullopt;  // where the batch ends behind its last record
  Codec codec = Codec::kNone;
};

inline std::vector<std::byte> MakeBatch(const BatchSpec& spec) {
  RecordBatchBuilder builder(
      {.codec = spec.codec, .base_offset = spec.base_offset, .leader_epoch = 0, .last_offset = spec.last_offset});
  int64_t offset = spec.base_offset;
  for (const int64_t timestamp_ms : spec.timestamps_ms) {
    const Record record{.value = spec.value, .timestamp_ms = timestamp_ms};
    EXPECT_TRUE(builder.AddAt(offset, record).ok());
    offset += spec.offset_step;
  }
  const auto bytes = builder.Build();
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return {bytes->begin(), bytes->end()};
}

inline internal::BatchSummary SummaryOf(std::span<const std::byte> bytes) {
  const RecordBatchView batch(bytes);
  return {static_cast<int64_t>(bytes.size()), batch.last_offset(), batch.max_timestamp_ms()};
}

class ReferenceSegment {
 public:
  struct Batch {
    int64_t position = 0;
    int64_t size_bytes = 0;
    int64_t base_offset = 0;
    int64_t last_offset = 0;
    int64_t max_timestamp_ms = -1;
    std::vector<TimestampOffset> records;
  };

  explicit ReferenceSegment(int64_t base_offset) : base_offset_(base_offset), next_offset_(base_offset) {}

  void Add(std::span<const std::byte> bytes) {
    const RecordBatchView view(bytes);
    Batch batch{.position = static_cast<int64_t>(log_.size()),
                .size_bytes = static_cast<int64_t>(bytes.size()),
                .base_offset = view.base_offset(),
                .last_offset = view.last_offset(),
                .max_timestamp_ms = view.max_timestamp_ms(),
                .records = {}};
    DecodeBuffer scratch;
    RecordCursor cursor(view, &scratch);
    for (RecordView record; cursor.Next(&record);) batch.records.push_back({record.timestamp_ms(), record.offset()});
    EXPECT_TRUE(cursor.status().ok()) << cursor.status();
    batches_.push_back(std::move(batch));
    log_.insert(log_.end(), bytes.begin(), bytes.end());
    next_offset_ = view.next_offset();
  }
  void Add(const BatchSpec& spec) { Add(MakeBatch(spec)); }

  [[nodiscard]] int64_t base_offset() const { return base_offset_; }
  [[nodiscard]] int64_t next_offset() const { return next_offset_; }
  [[nodiscard]] const std::vector<Batch>& batches() const { return batches_; }
  [[nodiscard]] const std::vector<std::byte>& log() const { return log_; }
  [[nodiscard]] std::vector<std::byte>& mutable_log() { return log_; }
  [[nodiscard]] internal::PublishedEnd end() const { return {static_cast<int64_t>(log_.size()), next_offset_}; }
  [[nodiscard]] std::span<const std::byte> BytesOf(const Batch& batch) const {
    return std::span(log_).subspan(static_cast<size_t>(batch.position), static_cast<size_t>(batch.size_bytes));
  }

  // The first batch that ends at or above `offset`; null behind the last.
  [[nodiscard]] const Batch* FindBatch(int64_t offset) const {
    const auto found =
        std::find_if(batches_.begin(), batches_.end(), [&](const Batch& batch) { return batch.last_offset >= offset; });
    return found == batches_.end() ? nullptr : &*found;
  }

  [[nodiscard]] std::optional<TimestampOffset> FindTimestamp(int64_t timestamp_ms, int64_t min_offset) const {
    for (const Batch& batch : batches_) {
      for (const TimestampOffset& record : batch.records) {
        if (record.timestamp_ms >= timestamp_ms && record.offset >= min_offset) return record;
      }
    }
    return std::nullopt;
  }

  // Index entries as Kafka writes them when it appends `batches_per_append` batches at once: since 4.1 for each batch,
  // before that once for each append, with the last offset of it and the position of its first batch.
  struct Indexes {
    std::vector<std::byte> offsets;
    std::vector<std::byte> times;
  };
  [[nodiscard]] Indexes MakeIndexes(int64_t interval_bytes, size_t batches_per_append) const {
    Indexes indexes;
    int64_t bytes_since_entry = 0;
    TimestampOffset largest{-1, base_offset_};
    int64_t last_entry_ms = -1;
    const auto add_time_entry = [&] {
      if (largest.timestamp_ms <= last_entry_ms) return;
      last_entry_ms = largest.timestamp_ms;
      Put<int64_t>(&indexes.times, largest.timestamp_ms);
      Put<int32_t>(&indexes.times, static_cast<int32_t>(largest.offset - base_offset_));
    };
    for (size_t first = 0; first < batches_.size(); first += batches_per_append) {
      const size_t end = std::min(first + batches_per_append, batches_.size());
      int64_t append_bytes = 0;
      TimestampOffset append_largest{-1, base_offset_};
      for (size_t index = first; index < end; ++index) {
        append_bytes += batches_[index].size_bytes;
        if (batches_[index].max_timestamp_ms > append_largest.timestamp_ms) {
          append_largest = {batches_[index].max_timestamp_ms, batches_[index].last_offset};
        }
      }
      if (append_largest.timestamp_ms > largest.timestamp_ms) largest = append_largest;
      if (bytes_since_entry > interval_bytes) {
        Put<int32_t>(&indexes.offsets, static_cast<int32_t>(batches_[end - 1].last_offset - base_offset_));
        Put<int32_t>(&indexes.offsets, static_cast<int32_t>(batches_[first].position));
        add_time_entry();
        bytes_since_entry = 0;
      }
      bytes_since_entry += append_bytes;
    }
    add_time_entry();
    return indexes;
  }

 private:
  template <typename T>
  static void Put(std::vector<std::byte>* out, T value) {
    out->resize(out->size() + sizeof value);
    internal::StoreBigEndian(out->data() + out->size() - sizeof value, value);
  }

  int64_t base_offset_;
  int64_t next_offset_;
  std::vector<Batch> batches_;
  std::vector<std::byte> log_;
};

inline void WriteWholeFile(FileSystem* file_system, const std::string& path, std::span<const std::byte> bytes) {
  const auto file = file_system->Open(path, OpenMode::kTruncate);
  ASSERT_TRUE(file.ok()) << file.status();
  const absl::Status written = (*file)->WriteAt(0, bytes);
  ASSERT_TRUE(written.ok()) << written;
}

inline std::vector<std::byte> ReadWholeFile(FileSystem* file_system, const std::string& path) {
  const auto file = file_system->Open(path, OpenMode::kRead);
  EXPECT_TRUE(file.ok()) << file.status();
  if (!file.ok()) return {};
  const auto size = (*file)->Size();
  EXPECT_TRUE(size.ok()) << size.status();
  std::vector<std::byte> bytes(size.value_or(0));
  const auto count = (*file)->ReadAt(0, bytes);
  EXPECT_TRUE(count.ok()) << count.status();
  EXPECT_EQ(count.value_or(0), bytes.size());
  return bytes;
}

inline std::string SegmentPath(const std::string& directory, int64_t base_offset, internal::SegmentFileKind kind) {
  return directory + "/" + internal::SegmentFileName(base_offset, kind);
}

inline void WriteSegmentFiles(FileSystem* file_system, const std::string& directory, const ReferenceSegment& segment,
                              const ReferenceSegment::Indexes& indexes) {
  const auto path = [&](internal::SegmentFileKind kind) { return SegmentPath(directory, segment.base_offset(), kind); };
  WriteWholeFile(file_system, path(internal::SegmentFileKind::kLog), segment.log());
  WriteWholeFile(file_system, path(internal::SegmentFileKind::kOffsetIndex), indexes.offsets);
  WriteWholeFile(file_system, path(internal::SegmentFileKind::kTimeIndex), indexes.times);
}

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_SEGMENT_REFERENCE_SEGMENT_H_
