// SparseOffsetIndex, SparseOffsetIndexBuilder: offset -> byte position in a segment's .log, for some of its batches.
//
// The .index file is a row of entries of 8 bytes, big-endian, and nothing else:
//
//   bytes  field
//   0-3    int32  offset minus the segment's base offset
//   4-7    int32  position in the .log, bytes
//
// Both rise strictly from entry to entry, and from (0, 0). An entry says: a batch starts at `position`, and every batch
// before it ends below `offset`. That is all a reader may rely on; the batch at `position` need not hold `offset`
// (older Kafka wrote one entry for several batches). The first batch of a segment never has an entry. The file of an
// active segment may be longer than its entries, with zeros behind them (segment.index.bytes at most); the count is not
// stored. So a crash leaves zeros that look like entries: Check refuses them and recovery rebuilds the file. Rolled and
// closed segments have files of exactly their entries. (Kafka: OffsetIndex, AbstractIndex.)
//
// Thread rules: a SparseOffsetIndex is immutable; any thread may use and copy it. A SparseOffsetIndexBuilder has one
// writer and any number of concurrent readers, without locks.
// Lifetime: an index from Open keeps its mapping; one over a span of bytes needs them to stay.
// Cost: a floor search touches about log2(entries) entries; copying an index costs one reference count.
//
//   absl::StatusOr<varve::SparseOffsetIndex> index =
//       varve::SparseOffsetIndex::Open(fs, "orders-0/00000000000000000000.index", 0);
//   const int64_t position = index->Floor(4711).position;  // where to begin looking for offset 4711
#ifndef VARVE_SPARSE_OFFSET_INDEX_H_
#define VARVE_SPARSE_OFFSET_INDEX_H_

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

// A decoded entry. `position` is a byte in the .log.
struct OffsetPosition {
  int64_t offset = 0;
  int64_t position = 0;

  friend bool operator==(const OffsetPosition&, const OffsetPosition&) = default;
};

// Where a search for an offset has to look: from `floor` up to `next`, or to the end of the log if there is none.
struct OffsetBracket {
  OffsetPosition floor;
  std::optional<OffsetPosition> next;

  friend bool operator==(const OffsetBracket&, const OffsetBracket&) = default;
};

class SparseOffsetIndex {
 public:
  static constexpr size_t kEntryBytes = 8;

  // No entries, base offset 0.
  SparseOffsetIndex() = default;

  // Views `entries`, which must outlive this and its copies. Bytes behind the last whole entry are not read, but Check
  // reports them. base_offset >= 0.
  SparseOffsetIndex(int64_t base_offset, std::span<const std::byte> entries);

  // Maps the whole file, whatever it holds. An empty file is an index without entries. Errors: as FileSystem::Open.
  [[nodiscard]] static absl::StatusOr<SparseOffsetIndex> Open(FileSystem* file_system, const std::string& path,
                                                              int64_t base_offset);

  [[nodiscard]] int64_t base_offset() const { return base_offset_; }
  [[nodiscard]] size_t entry_count() const { return bytes_.size() / kEntryBytes; }

  // The bytes of the whole entries, as they are in the file.
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_.first(entry_count() * kEntryBytes); }

  // entry_index < entry_count().
  [[nodiscard]] OffsetPosition entry(size_t entry_index) const;

  // The last entry; {base_offset(), 0} if there is none.
  [[nodiscard]] OffsetPosition last_entry() const;

  // The greatest entry whose offset is not above `target`; {base_offset(), 0} if there is none. An index that Check
  // would refuse gives some entry of it, or that.
  [[nodiscard]] OffsetPosition Floor(int64_t target) const;
  [[nodiscard]] std::optional<size_t> FloorIndex(int64_t target) const;
  [[nodiscard]] OffsetBracket FloorAndNext(int64_t target) const;

  // The first entry at or behind a byte of the log, if any (Kafka: OffsetIndex.fetchUpperBoundOffset).
  [[nodiscard]] std::optional<OffsetPosition> FirstAtOrAfterPosition(int64_t position) const;

  // OK if every entry rises and points into a log of log_bytes bytes, and no byte is left over. Otherwise kDataLoss,
  // naming the first bad entry. Whether positions are batch boundaries only the log can tell. Cost: reads every entry.
  [[nodiscard]] absl::Status Check(int64_t log_bytes) const;

 private:
  int64_t base_offset_ = 0;
  std::span<const std::byte> bytes_;
  std::shared_ptr<const internal::IndexFile> file_;  // null over a caller's bytes
};

// The index of an active segment, on the heap. Appending never moves an entry that readers can see; before the first
// entry it holds no memory.
class SparseOffsetIndexBuilder {
 public:
  // base_offset >= 0. max_index_bytes (segment.index.bytes) is rounded down to whole entries.
  SparseOffsetIndexBuilder(int64_t base_offset, int64_t max_index_bytes);
  ~SparseOffsetIndexBuilder();
  SparseOffsetIndexBuilder(const SparseOffsetIndexBuilder&) = delete;
  SparseOffsetIndexBuilder& operator=(const SparseOffsetIndexBuilder&) = delete;

  [[nodiscard]] int64_t base_offset() const { return base_offset_; }
  [[nodiscard]] size_t max_entry_count() const { return max_entry_count_; }

  // Any thread.
  [[nodiscard]] size_t entry_count() const { return count_.load(std::memory_order_acquire); }
  [[nodiscard]] bool full() const { return entry_count() >= max_entry_count_; }

  // As in SparseOffsetIndex, on the entries published so far; entry_index is below a count that entry_count() gave. Any
  // thread.
  [[nodiscard]] OffsetPosition entry(size_t entry_index) const;
  [[nodiscard]] OffsetPosition last_entry() const;
  [[nodiscard]] OffsetPosition Floor(int64_t target) const;
  [[nodiscard]] std::optional<size_t> FloorIndex(int64_t target) const { return FloorIndex(entry_count(), target); }
  [[nodiscard]] OffsetBracket FloorAndNext(int64_t target) const;
  [[nodiscard]] std::optional<OffsetPosition> FirstAtOrAfterPosition(int64_t position) const;

  // Adds an entry and publishes it. kInvalidArgument, with nothing changed, unless offset and position are above the
  // last entry's and fit in 31 bits relative to the base (Kafka: InvalidOffsetException). When full, the entry is left
  // out and the answer is OK: one append of many batches can meet an index that filled up after the check at its start,
  // the index is sparse anyway, and its file never outgrows segment.index.bytes, the size at which Kafka maps it.
  // Writer only.
  [[nodiscard]] absl::Status Append(int64_t offset, int64_t position);

  // Replaces all entries by those of an index that Check accepts, even if there are more than the maximum.
  // kInvalidArgument if the base offsets differ. Writer only, before there are readers.
  [[nodiscard]] absl::Status Load(const SparseOffsetIndex& index);

  // Writes `count` entries from `first_entry` on, in the form of the file, to out[0, count * 8).
  // first_entry + count <= entry_count(). Any thread.
  void CopyTo(size_t first_entry, size_t count, std::byte* out) const;

 private:
  [[nodiscard]] std::optional<size_t> FloorIndex(size_t published, int64_t target) const;

  const int64_t base_offset_;
  const size_t max_entry_count_;
  std::unique_ptr<internal::EntryChunks<SparseOffsetIndex::kEntryBytes>> chunks_;  // set before count_ leaves 0
  std::atomic<size_t> count_{0};
};

}  // namespace varve

#endif  // VARVE_SPARSE_OFFSET_INDEX_H_
