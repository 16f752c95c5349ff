// SegmentHandle: one segment of a log, opened when it is first read. SegmentList: the segments in order, immutable.
// SegmentTable: the list of the moment, swapped whole by the writer, loaded by readers without a lock of the writer's.
//
// Thread rules: handles and lists from any thread; the table's mutators from the log's writer only.
#ifndef VARVE_LIB_LOG_SEGMENT_LIST_H_
#define VARVE_LIB_LOG_SEGMENT_LIST_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "io/mutex.h"
#include "segment/open_segment.h"
#include "varve/file_system.h"
#include "varve/recovery_report.h"
#include "varve/transaction_index.h"

namespace varve::internal {

class SegmentHandle;

// Keeps at most so many sealed segments open; the one opened longest ago is let go first. Readers that hold one keep
// it.
class OpenSegmentCache {
 public:
  explicit OpenSegmentCache(int64_t max_open_segments) : max_open_segments_(static_cast<size_t>(max_open_segments)) {}
  void Add(const std::shared_ptr<SegmentHandle>& handle);

 private:
  const size_t max_open_segments_;
  Mutex mutex_;
  std::deque<std::weak_ptr<SegmentHandle>> opened_ ABSL_GUARDED_BY(mutex_);
};

class SegmentHandle : public std::enable_shared_from_this<SegmentHandle> {
 public:
  // A sealed segment, opened on first use.
  SegmentHandle(std::shared_ptr<FileSystem> file_system, std::string directory, int64_t base_offset, PublishedEnd end,
                std::vector<DamagedRange> damage, std::shared_ptr<OpenSegmentCache> cache);
  // The active segment, or one that was active: open already.
  SegmentHandle(std::shared_ptr<FileSystem> file_system, std::string directory, std::shared_ptr<const OpenSegment> open,
                std::shared_ptr<OpenSegmentCache> cache);
  // A sealed segment whose files have not got their names yet: nothing is read by name before Sealed.
  SegmentHandle(std::shared_ptr<FileSystem> file_system, std::string directory, std::shared_ptr<const OpenSegment> open,
                std::shared_ptr<const TransactionIndex> aborted, std::shared_ptr<OpenSegmentCache> cache);

  [[nodiscard]] int64_t base_offset() const { return base_offset_; }
  // What it holds now; grows while it is active.
  [[nodiscard]] PublishedEnd end() const;
  [[nodiscard]] std::vector<DamagedRange> damage() const;
  [[nodiscard]] std::vector<DamagedRange> lasting_damage() const;  // OpenSegment::lasting_damage

  // The segment, opened if it is not. Errors: as OpenSegment::OpenSealed; kAborted once it is retired.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const OpenSegment>> Acquire();

  // The aborted transactions whose markers lie in this segment; none where it has no .txnindex. A sealed segment's file
  // is read once, that of the active one at each call: whole entries count. kDataLoss: opening has read the file, and
  // it has gone bad since; kInternal; kAborted once it is retired.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const TransactionIndex>> AbortedIndex();

  // OpenSegment::largest_timestamp. Of a sealed segment it is read once, without displacing what readers keep open.
  // Errors: as Acquire; kInternal where what may have a larger one cannot be read.
  [[nodiscard]] absl::StatusOr<TimestampOffset> LargestTimestamp();

  // Notes which file the .log is, so that IsExchanged can tell; where the system does not say, nothing is noted.
  void NoteFile();
  // True if the name of the .log that was noted is another file's by now.
  [[nodiscard]] bool IsExchanged() const;

  // The active segment has been sealed: from now on the cache may let go of it, and its files stay as they are.
  void Sealed();

  // The list names it no more, and its names are about to be another segment's: what was not read by now never is.
  void Retire();

 private:
  friend class OpenSegmentCache;
  void Release();
  [[nodiscard]] absl::Status CheckNames() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<FileSystem> file_system_;
  const std::string directory_;
  const int64_t base_offset_;
  const std::shared_ptr<OpenSegmentCache> cache_;
  mutable Mutex mutex_;
  PublishedEnd end_ ABSL_GUARDED_BY(mutex_);                  // while open_ is null
  std::vector<DamagedRange> damage_ ABSL_GUARDED_BY(mutex_);  // likewise
  std::shared_ptr<const OpenSegment> open_ ABSL_GUARDED_BY(mutex_);
  std::optional<FileIdentity> noted_ ABSL_GUARDED_BY(mutex_);
  bool sealed_ ABSL_GUARDED_BY(mutex_);
  bool retired_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<const TransactionIndex> aborted_ ABSL_GUARDED_BY(mutex_);   // of a sealed segment, once read
  std::optional<TimestampOffset> largest_timestamp_ ABSL_GUARDED_BY(mutex_);  // once it has been asked for
};

class SegmentList {
 public:
  using Handles = std::vector<std::shared_ptr<SegmentHandle>>;
  explicit SegmentList(Handles handles);

  [[nodiscard]] size_t size() const { return handles_.size(); }
  [[nodiscard]] const Handles& handles() const { return handles_; }
  [[nodiscard]] const std::shared_ptr<SegmentHandle>& at(size_t index) const { return handles_[index]; }
  [[nodiscard]] int64_t base_offset(size_t index) const { return base_offsets_[index]; }

  // The index of the segment with the greatest base offset at or below `offset`; absent below the first.
  [[nodiscard]] std::optional<size_t> Floor(int64_t offset) const;

 private:
  Handles handles_;
  std::vector<int64_t> base_offsets_;  // apart from the handles, so that the search stays in few cache lines
};

class SegmentTable {
 public:
  // The list of the moment and its number; a reader keeps both and asks generation() whether they still hold.
  struct Snapshot {
    std::shared_ptr<const SegmentList> list;
    uint64_t generation = 0;
  };

  [[nodiscard]] uint64_t generation() const { return generation_.load(std::memory_order_acquire); }
  [[nodiscard]] Snapshot Load() const;

  // The four ways a list changes.
  void ReplaceActive(std::shared_ptr<SegmentHandle> active);  // the old active segment stays as a sealed one
  void ReplaceRange(size_t begin, size_t end, const SegmentList::Handles& with);
  void DropPrefix(size_t count);
  void DropSuffix(size_t from, std::shared_ptr<SegmentHandle> replacement);

 private:
  void Store(SegmentList::Handles handles);

  mutable Mutex mutex_;  // held for the copy of one shared_ptr
  std::shared_ptr<const SegmentList> list_ ABSL_GUARDED_BY(mutex_) =
      std::make_shared<const SegmentList>(SegmentList::Handles{});
  std::atomic<uint64_t> generation_{0};
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_SEGMENT_LIST_H_
