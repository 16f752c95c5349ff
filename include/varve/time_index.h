// TimeIndex, TimeIndexBuilder: timestamp -> offset, for the moments at which a segment's largest timestamp rose.
//
// The .timeindex file is a row of entries of 12 bytes, big-endian, and nothing else:
//
//   bytes  field
//   0-7    int64  timestamp, milliseconds since the Unix epoch
//   8-11   int32  offset minus the segment's base offset
//
// An entry says: `timestamp` is the largest among the batches up to the one that ends at `offset`, and that batch was
// the first to have it. Timestamps rise strictly and are not negative, offsets never fall. An entry is tried together
// with every entry of the offset index, and once more, whatever the space, when the segment is rolled, closed or
// recovered; so the last entry of a closed segment is its largest timestamp. A segment without timestamps has no
// entries. Zeros behind the entries of an active segment, and what a crash leaves: as in varve/sparse_offset_index.h.
// (Kafka: TimeIndex.)
//
// Thread rules, lifetime, cost: as in varve/sparse_offset_index.h.
//
//   absl::StatusOr<varve::TimeIndex> index = varve::TimeIndex::Open(fs, "orders-0/00000000000000000000.timeindex", 0);
//   const int64_t offset = index->Floor(1'700'000'000'000).offset;  // nothing up to here is later than that
#ifndef VARVE_TIME_INDEX_H_
#define VARVE_TIME_INDEX_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/file_system.h"

namespace varve {

namespace internal {
template <size_t kEntryBytes>
class EntryChunks;
struct IndexFile;
}  // namespace internal

// A decoded entry.
struct TimestampOffset {
  int64_t timestamp_ms = -1;
  int64_t offset = 0;

  friend bool operator==(const TimestampOffset&, const TimestampOffset&) = default;
};

class TimeIndex {
 public:
  static constexpr size_t kEntryBytes = 12;

  // No entries, base offset 0.
  TimeIndex() = default;

  // Views `entries`, which must outlive this and its copies. Bytes behind the last whole entry are not read, but Check
  // reports them. base_offset >= 0.
  TimeIndex(int64_t base_offset, std::span<const std::byte> entries);

  // Maps the whole file, whatever it holds. An empty file is an index without entries. Errors: as FileSystem::Open.
  [[nodiscard]] static absl::StatusOr<TimeIndex> Open(FileSystem* file_system, const std::string& path,
                                                      int64_t base_offset);

  [[nodiscard]] int64_t base_offset() const { return base_offset_; }
  [[nodiscard]] size_t entry_count() const { return bytes_.size() / kEntryBytes; }

  // The bytes of the whole entries, as they are in the file.
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_.first(entry_count() * kEntryBytes); }

  // entry_index < entry_count().
  [[nodiscard]] TimestampOffset entry(size_t entry_index) const;

  // The last entry; {-1, base_offset()} if there is none.
  [[nodiscard]] TimestampOffset last_entry() const;

  // The greatest entry whose timestamp is not above `timestamp_ms`; {-1, base_offset()} if there is none. An index that
  // Check would refuse gives some entry of it, or that.
  [[nodiscard]] TimestampOffset Floor(int64_t timestamp_ms) const;
  [[nodiscard]] std::optional<size_t> FloorIndex(int64_t timestamp_ms) const;

  // OK if the entries are in order, within [base_offset(), end_offset), and no byte is left over; end_offset is the
  // segment's next offset. Otherwise kDataLoss, naming the first bad entry. A single entry of zeros passes: a segment
  // may hold one record of 1970. Cost: reads every entry.
  [[nodiscard]] absl::Status Check(int64_t end_offset) const;

 private:
  int64_t base_offset_ = 0;
  std::span<const std::byte> bytes_;
  std::shared_ptr<const internal::IndexFile> file_;  // null over a caller's bytes
};

// The time index of an active segment, on the heap. Appending never moves an entry that readers can see; before the
// first entry it holds no memory.
class TimeIndexBuilder {
 public:
  // base_offset >= 0. max_index_bytes (segment.index.bytes) is rounded down to whole entries.
  TimeIndexBuilder(int64_t base_offset, int64_t max_index_bytes);
  ~TimeIndexBuilder();
  TimeIndexBuilder(const TimeIndexBuilder&) = delete;
  TimeIndexBuilder& operator=(const TimeIndexBuilder&) = delete;

  [[nodiscard]] int64_t base_offset() const { return base_offset_; }
  [[nodiscard]] size_t max_entry_count() const { return max_entry_count_; }

  // Any thread. Full means one free slot or none: the last one is kept for the closing entry.
  [[nodiscard]] size_t entry_count() const { return count_.load(std::memory_order_acquire); }
  [[nodiscard]] bool full() const { return entry_count() + 1 >= max_entry_count_; }

  // As in TimeIndex, on the entries published so far; entry_index is below a count that entry_count() gave. Any thread.
  [[nodiscard]] TimestampOffset entry(size_t entry_index) const;
  [[nodiscard]] TimestampOffset last_entry() const;
  [[nodiscard]] TimestampOffset Floor(int64_t timestamp_ms) const;
  [[nodiscard]] std::optional<size_t> FloorIndex(int64_t timestamp_ms) const;

  // Adds an entry and publishes it, if `timestamp_ms` is above the last one's, or not negative if there is none; an
  // equal timestamp changes nothing. kInvalidArgument, with nothing changed, if timestamp or offset is below the last
  // entry's or the offset does not fit in 31 bits relative to the base (Kafka: TimeIndex.maybeAppend). When full, the
  // entry is left out and the answer is OK, for the reason given at SparseOffsetIndexBuilder::Append; the closing entry
  // says even_if_full and is always added. Writer only.
  [[nodiscard]] absl::Status MaybeAppend(int64_t timestamp_ms, int64_t offset, bool even_if_full = false);

  // Replaces all entries by those of an index that Check accepts, even if there are more than the maximum.
  // kInvalidArgument if the base offsets differ. Writer only, before there are readers.
  [[nodiscard]] absl::Status Load(const TimeIndex& index);

  // Writes `count` entries from `first_entry` on, in the form of the file, to out[0, count * 12).
  // first_entry + count <= entry_count(). Any thread.
  void CopyTo(size_t first_entry, size_t count, std::byte* out) const;

 private:
  const int64_t base_offset_;
  const size_t max_entry_count_;
  std::unique_ptr<internal::EntryChunks<TimeIndex::kEntryBytes>> chunks_;  // set before count_ leaves 0
  std::atomic<size_t> count_{0};
};

}  // namespace varve

#endif  // VARVE_TIME_INDEX_H_
