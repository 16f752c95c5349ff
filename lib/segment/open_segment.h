// OpenSegment: one segment with its files at hand, as readers see it, active or sealed.
//
// The log is mapped for reading. What is published of it, and up to which offset, is one 64-bit word: a reader that
// loads it sees the bytes and index entries stored before. A sealed segment's indexes are views of its files; an active
// one's are the writer's builders, which readers search while entries are added; they stay when the segment is sealed,
// so nobody has to let go of anything at a roll.
//
// An index is a hint, and a segment that opening believed unread is one too. Check refuses an index that is out of order
// or points outside the log. Its entries divide the log into stretches, from one entry to the next; whoever reads
// (segment_lookup.h) tests a stretch that comes from files before its first use, checksums and all, and notes waypoints
// in it (waypoints.h). Whoever finds one wrong calls Judge: the whole segment is read, and what that finds is added to
// the known damage, and takes the place of the index in stretches that nobody has tested.
//
// Thread rules: any thread, except where a function names the writer. Lifetime: shared by whoever reads; deleting,
// truncating or replacing the files takes nothing away from those who hold one.
#ifndef VARVE_LIB_SEGMENT_OPEN_SEGMENT_H_
#define VARVE_LIB_SEGMENT_OPEN_SEGMENT_H_

#include <atomic>
#include <cassert>
#include <cstdint>
#include <cstdlib>
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
#include "io/mutex.h"
#include "segment/segment_files.h"
#include "segment/segment_judgement.h"
#include "segment/waypoints.h"
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

  // Where to begin a search: an index entry and the stretch that it leads to. It is trusted if this stretch and the one
  // behind it are as the index says: an entry names its batch by the last offset, so the others of the batch are looked
  // for from the entry before.
  struct IndexHint {
    OffsetPosition entry;  // {base offset, 0} for the first stretch, which no entry leads to
    size_t stretch = 0;    // its number; kJudged where the entry is none of the index's
    bool trusted = true;
    int64_t skip_bytes = 0;  // a batch this far behind the entry serves as well as the one that it points to
  };
  static constexpr size_t kJudged = std::numeric_limits<size_t>::max();
  // The stretch in which `target` lies by the last entry that is not above it.
  [[nodiscard]] IndexHint FloorOffset(int64_t target) const;
  // The one in which `position` lies.
  [[nodiscard]] IndexHint FloorPosition(int64_t position) const;

  // True if a stretch is known to be as the index says: what was written in this process is, one that comes from files
  // is once somebody has tested it and called MarkTested.
  [[nodiscard]] bool IsTested(size_t stretch) const {
    return !ComesFromFiles(stretch) || WaypointsOf(stretch).tested();
  }
  // `waypoints`: the batches met on the way.
  void MarkTested(size_t stretch, Waypoints waypoints) const;
  // The number of the last stretch that comes from files, where there is one.
  [[nodiscard]] size_t last_from_files() const { return file_entries_; }
  // The number of the stretch with this byte.
  [[nodiscard]] size_t StretchOf(int64_t position) const;

  // A stretch of what comes from files, and where the one before it begins.
  struct Stretch {
    OffsetPosition entry;
    int64_t previous_position = 0;
    OffsetPosition end;  // the entry behind it, or the end of all
  };
  [[nodiscard]] Stretch StretchAt(size_t stretch) const;
  // Of all that comes from files: {0, base offset} where everything was written in this process.
  [[nodiscard]] PublishedEnd file_end() const { return file_end_; }

  // Makes the bytes from files in [from, to) present, so that reading them is no SIGBUS where the device fails: that is
  // an error here. kUnimplemented where the kernel cannot. Cost: one system call; of a segment that is open for writing,
  // one that reads for each 16 KiB.
  [[nodiscard]] absl::Status Populate(int64_t from, int64_t to) const;

  // Reads all that comes from files, unless that was done, and goes by what it finds from now on. Errors: as JudgeSegment;
  // kDataLoss where the file is gone; else as File opens. They change nothing: the next call tries again.
  [[nodiscard]] absl::Status Judge() const;
  // For whoever meets damage, of damage(). True if the device failed when it was found, no longer does there, and the
  // segment was judged anew: then what was asked for may be had. Errors: as Judge. Cost: nothing where the device had not
  // failed; else the calls that read this damage, up to the first that fails.
  [[nodiscard]] absl::StatusOr<bool> JudgeAgain(const DamagedRange& met) const;

  // Where to begin a search by time: an entry of the time index, and the offset of the one before it, the base offset
  // where there is none. It is trusted if the batch that it names is known to be the first to reach its timestamp.
  struct TimeHint {
    TimestampOffset entry;
    size_t number = 0;
    int64_t previous_offset = 0;
    bool trusted = true;
  };
  // The last entry whose timestamp is not above `timestamp_ms` and whose offset lies below `next_offset`, up to which the
  // caller reads.
  [[nodiscard]] std::optional<TimeHint> FloorTimestamp(int64_t timestamp_ms, int64_t next_offset) const;
  // For whoever has tested an entry that was not trusted.
  void MarkTimeTested(size_t number) const;
  [[nodiscard]] size_t offset_entry_count() const {
    return live_ != nullptr ? live_->offsets.entry_count() : offset_index_.entry_count();
  }

  // True once something was not as the index says, and the segment was judged.
  [[nodiscard]] bool judged() const { return judgement() != nullptr; }
  // True while JudgeAgain may find less damage.
  [[nodiscard]] bool awaits_device() const { return AwaitsDevice(judgement()); }

  // Sorted by position. Empty nearly always. What is judged is added. The ranges stay valid as long as the segment.
  [[nodiscard]] const std::vector<DamagedRange>& damage() const {
    const Judgement* const judgement = this->judgement();
    return judgement != nullptr ? judgement->found.damage : damage_;
  }
  // The same without what may only have been unreadable for a while: for whoever keeps it longer than the segment.
  [[nodiscard]] const std::vector<DamagedRange>& lasting_damage() const {
    const Judgement* const judgement = this->judgement();
    return judgement != nullptr && !AwaitsDevice(judgement) ? judgement->found.damage : damage_;
  }

  // What the live indexes hold now, up to `end`, comes from files. Writer only, before there are readers.
  void TookFromFiles(PublishedEnd end);

  // The largest timestamp in the segment and the last offset of the first batch that has it; {-1, base offset} if no
  // record has one.
  [[nodiscard]] TimestampOffset largest_timestamp() const;
  // Not OK where something that may have a larger one could not be read when the segment was opened.
  [[nodiscard]] const absl::Status& largest_timestamp_status() const { return largest_timestamp_status_; }
  [[nodiscard]] bool knows_largest_timestamp() const { return largest_timestamp_status_.ok(); }
  // Writer only.
  void SetLargestTimestamp(TimestampOffset largest);

  // Lets go of the descriptor, which ReadAt and SendTo open again where they need it. `identity` is the file's.
  void ReleaseFile(const FileIdentity& identity) const;

  // By read calls, so that a media error is a status. [position, position + out.size()) is published.
  [[nodiscard]] absl::Status ReadAt(int64_t position, std::span<std::byte> out) const;
  [[nodiscard]] absl::Status SendTo(int descriptor, int64_t position, int64_t size_bytes) const;

  static constexpr int64_t kNoTimestampYet = -1;

 private:
  struct Free {
    void operator()(void* allocated) const { std::free(allocated); }
  };

  // What the segment goes by once something in it was not as the index says.
  struct Judgement {
    SegmentJudgement found;
    SparseOffsetIndex index;
  };
  [[nodiscard]] const Judgement* judgement() const { return judgement_.load(std::memory_order_acquire); }
  [[nodiscard]] static bool AwaitsDevice(const Judgement* judgement) {
    return judgement != nullptr && !judgement->found.unreadable.empty();
  }
  [[nodiscard]] absl::StatusOr<std::unique_ptr<const Judgement>> NewJudgement() const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(judge_mutex_);
  void GoBy(std::unique_ptr<const Judgement> judgement) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(judge_mutex_);

  // `count_not_above` answers how many entries of an index, of any form, are not above the target.
  template <typename CountNotAbove>
  [[nodiscard]] IndexHint Floor(CountNotAbove count_not_above) const;
  [[nodiscard]] OffsetPosition Entry(size_t number) const;
  [[nodiscard]] OffsetPosition EndOf(size_t stretch) const;
  [[nodiscard]] int64_t GuessPosition(int64_t target) const;
  [[nodiscard]] size_t time_entry_count() const {
    return live_ != nullptr ? live_->times.entry_count() : time_index_.entry_count();
  }
  [[nodiscard]] TimestampOffset TimeEntry(size_t number) const {
    return live_ != nullptr ? live_->times.entry(number) : time_index_.entry(number);
  }
  [[nodiscard]] bool ComesFromFiles(size_t stretch) const {
    return stretch <= file_entries_ && file_end_.end_position > 0;
  }
  // Of a stretch that comes from files. Without memory for them one is tested at each use.
  [[nodiscard]] Waypoints WaypointsOf(size_t stretch) const {
    return notes_ != nullptr ? Waypoints(std::atomic_ref(notes_[stretch]).load(std::memory_order_relaxed))
                             : Waypoints();
  }

  // kDataLoss: the file is shorter than that.
  [[nodiscard]] absl::Status ReadFrom(const File& file, int64_t position, std::span<std::byte> out) const;
  // By read calls, whose bytes nobody needs.
  [[nodiscard]] absl::Status ReadThrough(const File& file, int64_t from, int64_t to) const;

  // The file's descriptor, opened again if it was closed to save descriptors, as .swap while compaction gives it its
  // name, as .deleted for as long as a deleted one is there; null where the name is gone or is another file by now, or
  // `refused` says why it cannot be opened (then the mapping serves).
  std::shared_ptr<const File> Reopened(absl::Status* refused = nullptr) const;

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
  absl::Status largest_timestamp_status_;
  // What comes from files: so many entries, up to this end, with a word for each stretch. None where all was written
  // here.
  size_t file_entries_ = 0;
  PublishedEnd file_end_;
  std::unique_ptr<uint64_t[], Free> notes_;  // Waypoints; zeroed by the system, so that few lookups cost few pages
  size_t file_time_entries_ = 0;
  std::unique_ptr<uint8_t[], Free> times_tested_;  // not 0: this entry of the time index was; zeroed as notes_ is
  mutable std::atomic<bool> even_{true};           // the last guess of a position was right
  mutable Mutex judge_mutex_;
  mutable absl::Status unsupported_ ABSL_GUARDED_BY(judge_mutex_);  // why the segment never can be judged
  mutable std::atomic<const Judgement*> judgement_{nullptr};        // the last of judgements_
  mutable std::vector<std::unique_ptr<const Judgement>> judgements_ ABSL_GUARDED_BY(judge_mutex_);  // readers hold any
  mutable Mutex file_mutex_;
  mutable std::shared_ptr<const File> file_ ABSL_GUARDED_BY(file_mutex_);
  mutable FileIdentity identity_ ABSL_GUARDED_BY(file_mutex_);  // of the file that is mapped
};

}  // namespace varve::internal

#endif  // VARVE_LIB_SEGMENT_OPEN_SEGMENT_H_
