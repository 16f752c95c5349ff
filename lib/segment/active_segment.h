// ActiveSegment: the one segment that is written, until Seal makes it one like the others.
//
// Bytes go in first, index entries then, and only Publish makes both visible to readers (format notes §3.2):
//
//   VARVE_ASSIGN_OR_RETURN(std::byte* place, active->Reserve(size, /*durable_acks=*/false));
//   EncodeBatch(records, stamp, plan, place);
//   VARVE_RETURN_IF_ERROR(active->Commit({.size_bytes = …, .last_offset = …, .max_timestamp_ms = …}));
//   active->Publish();
//
// In mapped mode Reserve hands out a place in the file's own pages; in write mode a buffer that Commit writes. Large
// ready-made batches go by a write call in either mode (WriteThrough): the page cache is one, and a call zeroes nothing
// first. Indexes live on the heap and are written to their files as whole pages of entries fill, and at Seal.
//
// What a crash leaves: bytes behind the last published batch (a torn tail, batches of an append that was not answered
// yet, or zeros that were allocated ahead), indexes that lack entries. Opening cuts the one and rebuilds the other.
//
// Thread rules: one writer; readers use open().
#ifndef VARVE_LIB_SEGMENT_ACTIVE_SEGMENT_H_
#define VARVE_LIB_SEGMENT_ACTIVE_SEGMENT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "segment/open_segment.h"
#include "segment/write_window.h"
#include "varve/clock.h"
#include "varve/file_system.h"

namespace varve::internal {

struct ActiveSegmentOptions {
  std::shared_ptr<FileSystem> file_system;
  Clock* clock = nullptr;
  std::string directory;
  int64_t segment_bytes = 0;
  int64_t segment_index_bytes = 0;
  int64_t index_interval_bytes = 0;
  bool mapped =
      true;  // falls back to write calls where the file system or the kernel does not offer what mapping needs
};

// What the index rules need to know of a batch.
struct BatchSummary {
  int64_t size_bytes = 0;
  int64_t last_offset = 0;
  int64_t max_timestamp_ms = -1;
};

class ActiveSegment {
 public:
  // Batches of this size and more are written by a call; the measured crossover is about half a MiB.
  static constexpr size_t kWriteThroughBytes = size_t{512} * 1024;

  // Makes the files of a new, empty segment; files of these names are replaced. After an error the names are free
  // again; kInternal where they could not be freed. That names are there, or gone, is durable only after the directory
  // is synced.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<ActiveSegment>> Create(const ActiveSegmentOptions& options,
                                                                             int64_t base_offset);

  // Takes the files of a segment that Create made, and that nobody knows of yet, off the disk again: a .log of that name
  // would count as the log's newest segment at the next opening. kInternal where that fails.
  [[nodiscard]] absl::Status RemoveFiles();

  // Goes on with a segment that recovery or a clean close has left: `end` is what it holds, its indexes are exact.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<ActiveSegment>> Reopen(const ActiveSegmentOptions& options,
                                                                             int64_t base_offset, PublishedEnd end,
                                                                             std::vector<DamagedRange> damage);

  [[nodiscard]] int64_t base_offset() const { return base_offset_; }
  // Bytes and offsets committed, published or not.
  [[nodiscard]] PublishedEnd end() const { return end_; }
  [[nodiscard]] int64_t size_bytes() const { return end_.end_position; }
  [[nodiscard]] const std::shared_ptr<OpenSegment>& open() const { return open_; }
  [[nodiscard]] const std::shared_ptr<File>& file() const { return file_; }
  [[nodiscard]] bool mapped() const { return window_.has_value(); }

  // What the roll rules ask (roll_policy.h). Indexes hold what is published.
  [[nodiscard]] bool indexes_full() const { return live_->offsets.full() || live_->times.full(); }
  // Max timestamp of the segment's first batch; absent for an empty segment, and where that batch is damaged or cannot
  // be read.
  [[nodiscard]] std::optional<int64_t> first_batch_timestamp_ms() const { return first_batch_timestamp_ms_; }
  [[nodiscard]] int64_t opened_wall_ms() const { return opened_wall_ms_; }

  // Room for size_bytes behind what is committed, to be filled before Commit. kResourceExhausted: disk full, nothing
  // changed. size_bytes() + size_bytes must not exceed segment_bytes (or what was there at Reopen).
  [[nodiscard]] absl::StatusOr<std::byte*> Reserve(int64_t size_bytes, bool durable_acks) {
    if (window_.has_value() && end_.end_position + size_bytes <= window_->end()) [[likely]] {
      return mapping_data_ + end_.end_position;
    }
    return ReserveSlow(size_bytes, durable_acks);
  }

  // Takes in what was put at the place Reserve gave. In write mode this writes, and may fail: kResourceExhausted leaves
  // the segment as it was; any other error is for the caller to poison the log by.
  [[nodiscard]] absl::Status Commit(const BatchSummary& batch);

  // Reserve, copy and Commit in one, by a write call if `bytes` are large.
  [[nodiscard]] absl::Status Append(std::span<const std::byte> bytes, const BatchSummary& batch, bool durable_acks);

  // Drops what was committed but not published, or half written, and cuts the file there: left behind the published
  // end, whole batches would be taken for appended ones by the next opening, and the rest of longer ones for damage.
  // True if bytes were cut off, which only a sync makes last. An error is for the caller to poison the log by: the
  // bytes may be there still.
  [[nodiscard]] absl::StatusOr<bool> Discard();

  // Makes everything committed visible to readers of the segment: the batches first, then what leads to them, so that
  // neither an index entry nor the largest timestamp tells of a batch that no reader may see.
  void Publish() {
    open_->Publish(end_);
    if (!unpublished_entries_.empty()) [[unlikely]] {
      PublishIndexEntries();
    }
    if (counters_.largest.timestamp_ms != published_counters_.largest.timestamp_ms) {
      open_->SetLargestTimestamp(counters_.largest);
    }
    published_counters_ = counters_;
  }

  // Everything committed is published. The closing time entry, indexes written whole, files trimmed. Nothing is synced.
  // The segment can be read on, sealed again after an error (kResourceExhausted), and even appended to, should its
  // successor not come about.
  [[nodiscard]] absl::Status Seal();

 private:
  ActiveSegment(const ActiveSegmentOptions& options, int64_t base_offset);

  [[nodiscard]] absl::Status OpenFiles(OpenMode mode, PublishedEnd end, std::vector<DamagedRange> damage);
  [[nodiscard]] absl::Status LoadIndexes();
  [[nodiscard]] std::optional<int64_t> ReadFirstBatchTimestamp() const;
  [[nodiscard]] absl::StatusOr<std::byte*> ReserveSlow(int64_t size_bytes, bool durable_acks);
  [[nodiscard]] absl::Status WriteIndexEntries();
  void TakeIn(const BatchSummary& batch);
  void AddToIndexes(const BatchSummary& batch);
  void PublishIndexEntries();
  void WriteFullIndexPages();

  const ActiveSegmentOptions options_;
  const int64_t base_offset_;
  std::shared_ptr<File> file_;
  std::unique_ptr<File> offset_index_file_;
  std::unique_ptr<File> time_index_file_;
  std::shared_ptr<OpenSegment> open_;
  LiveIndexes* live_ = nullptr;        // owned by open_
  std::byte* mapping_data_ = nullptr;  // owned by open_
  std::optional<WriteWindow> window_;  // mapped mode only
  std::vector<std::byte> buffer_;      // write mode: what Reserve gave
  bool reserved_in_buffer_ = false;
  // What the index rules carry from batch to batch.
  struct Counters {
    int64_t bytes_since_index_entry = 0;
    TimestampOffset largest;
  };

  PublishedEnd end_;
  int64_t touched_end_ = 0;  // nothing but zeros was stored or written behind it since the file was last cut
  Counters counters_;
  Counters published_counters_;
  // What leads to a batch that is not published yet.
  struct IndexEntries {
    OffsetPosition batch;
    TimestampOffset largest;
  };
  std::vector<IndexEntries> unpublished_entries_;
  std::optional<int64_t> first_batch_timestamp_ms_;
  int64_t opened_wall_ms_;
  size_t offset_entries_written_ = 0;
  size_t time_entries_written_ = 0;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_SEGMENT_ACTIVE_SEGMENT_H_
