// OpenSegment: one segment with its files at hand, as readers see it, active or sealed.
//
// The log is mapped for reading. What is published of it, and up to which offset, is one 64-bit word: a reader that
// loads it sees the bytes and index entries stored before. A sealed segment's indexes are views of its files; an active
// one's are the writer's builders, which readers search while entries are added; they stay when the segment is sealed,
// so nobody has to let go of anything at a roll.
//
// An index is a hint. Check refuses one that is out of order or points outside the log; FindBatch (segment_lookup.h)
// tests an entry of a file against the log before its first use; whoever finds the index wrong calls Distrust, and
// searches start at position 0.
//
// Thread rules: any thread, except where a function names the writer. Lifetime: shared by whoever reads; deleting,
// truncating or replacing the files takes nothing away from those who hold one.
#ifndef VARVE_LIB_SEGMENT_OPEN_SEGMENT_H_
#define VARVE_LIB_SEGMENT_OPEN_SEGMENT_H_

#include <atomic>
#include <cassert>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "segment/segment_files.h"
#include "varve/damaged_range.h"
#include "varve/file_system.h"
#include "varve/sparse_offset_index.h"
#include "varve/time_index.h"

namespace varve::internal {

// How much of a segment is readable: `end_position` bytes, which hold everything below `next_offset`.
struct PublishedEnd {
  int64_t end_position = 0;
  int64_t next_offset = 0;

  friend bool operator==(const PublishedEnd&, const PublishedEnd&) = default;
};

// The indexes of a segment that is being written.
struct LiveIndexes {
  LiveIndexes(int64_t base_offset, int64_t max_index_bytes)
      : offsets(base_offset, max_index_bytes), times(base_offset, max_index_bytes) {}
  SparseOffsetIndexBuilder offsets;
  TimeIndexBuilder times;
};

class OpenSegment {
 public:
  // Opens the files of a sealed segment, of whose .log `end` counts; none where that is of no bytes, as the file may be
  // gone for a moment while it is cut. An index that is missing or fails its check is left out. `suffix`: what the
  // files are called now, if they have yet to get their names.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const OpenSegment>> OpenSealed(
      const std::shared_ptr<FileSystem>& file_system, const std::string& directory, int64_t base_offset,
      PublishedEnd end, std::vector<DamagedRange> damage, SegmentFileSuffix suffix = SegmentFileSuffix::kNone);

  // A segment that is being written: `mapping` covers all it may grow to.
  OpenSegment(std::shared_ptr<FileSystem> file_system, std::string path, int64_t base_offset,
              std::shared_ptr<File> file, std::unique_ptr<Mapping> mapping, std::unique_ptr<LiveIndexes> live,
              std::vector<DamagedRange> damage);

  OpenSegment(const OpenSegment&) = delete;
  OpenSegment& operator=(const OpenSegment&) = delete;

  [[nodiscard]] int64_t base_offset() const { return base_offset_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::byte* log() const { return log_; }

  [[nodiscard]] PublishedEnd published() const {
    const uint64_t word = published_.load(std::memory_order_acquire);
    return {static_cast<int64_t>(word >> 32), base_offset_ + static_cast<int64_t>(word & 0xffffffffU)};
  }
  // Writer only. end_position < 2^31 and next_offset - base_offset <= 2^31, so both fit the word.
  void Publish(PublishedEnd end) {
    assert(end.end_position >= 0 && end.end_position <= std::numeric_limits<int32_t>::max());
    assert(end.next_offset >= base_offset_ && end.next_offset - base_offset_ <= int64_t{1} << 31);
    published_.store(
        static_cast<uint64_t>(end.end_position) << 32 | static_cast<uint64_t>(end.next_offset - base_offset_),
        std::memory_order_release);
  }

  // An index entry, and whether it is known to be true: those of a segment written in this process are, one from a file
  // is once somebody has followed the batches from it to the next entry and called Trust.
  struct IndexHint {
    OffsetPosition entry;  // {base offset, 0} where the index has none
    size_t number = 0;     // of the entry
    bool trusted = true;
    std::optional<OffsetPosition> next = std::nullopt;  // the entry behind it; only where it is not trusted
  };
  [[nodiscard]] IndexHint FloorOffset(int64_t target) const;
  // The last entry that points at or before `position`.
  [[nodiscard]] IndexHint FloorPosition(int64_t position) const;
  void Trust(size_t number) const;

  // The last entry of the time index whose timestamp is not above `timestamp_ms` and whose offset lies below
  // `next_offset`, up to which the caller reads; {kNoTimestampYet, base offset} where there is none.
  [[nodiscard]] TimestampOffset FloorTimestamp(int64_t timestamp_ms, int64_t next_offset) const;
  [[nodiscard]] size_t offset_entry_count() const {
    return live_ != nullptr ? live_->offsets.entry_count() : offset_index_.entry_count();
  }

  // No index entry of this segment is believed any more. Any thread.
  void Distrust() const { distrusted_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool distrusted() const { return distrusted_.load(std::memory_order_relaxed); }

  // Sorted by position. Empty nearly always.
  [[nodiscard]] const std::vector<DamagedRange>& damage() const { return damage_; }

  // The largest timestamp in the segment and the last offset of the first batch that has it; {-1, base offset} if no
  // record has one.
  [[nodiscard]] TimestampOffset largest_timestamp() const;
  // Writer only.
  void SetLargestTimestamp(TimestampOffset largest);

  // Lets go of the descriptor, which ReadAt and SendTo open again where they need it. `identity` is the file's.
  void ReleaseFile(const FileIdentity& identity) const;

  // By read calls, so that a media error is a status. [position, position + out.size()) is published.
  [[nodiscard]] absl::Status ReadAt(int64_t position, std::span<std::byte> out) const;
  [[nodiscard]] absl::Status SendTo(int descriptor, int64_t position, int64_t size_bytes) const;

  static constexpr int64_t kNoTimestampYet = -1;

 private:
  [[nodiscard]] IndexHint HintOf(size_t number) const;

  // The file's descriptor, opened again if it was closed to save descriptors, as .swap while compaction gives it its
  // name, as .deleted for as long as a deleted one is there; null where the name is gone or is another file by now (then
  // the mapping serves).
  std::shared_ptr<const File> Reopened() const;

  const std::shared_ptr<FileSystem> file_system_;
  const std::string path_;  // of the .log, when it was opened
  const int64_t base_offset_;
  std::unique_ptr<Mapping> mapping_;
  const std::byte* log_;
  std::unique_ptr<LiveIndexes> live_;  // active, or sealed since it was opened
  SparseOffsetIndex offset_index_;     // where live_ is null
  TimeIndex time_index_;
  std::vector<DamagedRange> damage_;
  std::atomic<uint64_t> published_{0};
  std::atomic<int64_t> largest_timestamp_ms_{kNoTimestampYet};
  std::atomic<int64_t> largest_timestamp_offset_;
  mutable std::atomic<bool> distrusted_{false};
  std::unique_ptr<std::atomic<uint64_t>[]> trusted_;  // a bit for each entry of offset_index_
  mutable absl::Mutex file_mutex_;
  mutable std::shared_ptr<const File> file_ ABSL_GUARDED_BY(file_mutex_);
  mutable FileIdentity identity_ ABSL_GUARDED_BY(file_mutex_);  // of the file that is mapped
};

}  // namespace varve::internal

#endif  // VARVE_LIB_SEGMENT_OPEN_SEGMENT_H_
