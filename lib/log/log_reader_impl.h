// LogReader::Impl: one thread's view of a log. Reads are: list floor, sparse index, short scan, range.
#ifndef VARVE_LIB_LOG_LOG_READER_IMPL_H_
#define VARVE_LIB_LOG_LOG_READER_IMPL_H_

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "log/aborted_set.h"
#include "log/log_core.h"
#include "segment/segment_lookup.h"
#include "varve/log_reader.h"

namespace varve {

class LogReader::Impl {
 public:
  explicit Impl(std::shared_ptr<internal::LogCore> core) : core_(std::move(core)) {}

  [[nodiscard]] const internal::LogCore& core() const { return *core_; }
  [[nodiscard]] const std::shared_ptr<internal::LogCore>& core_ptr() const { return core_; }

  // A batch found in the log, and the segment it lies in.
  struct Place {
    const internal::OpenSegment* segment = nullptr;
    std::shared_ptr<const internal::OpenSegment>* hold = nullptr;  // the cached hold on it
    size_t index = 0;                                              // in the list
    internal::FoundBatch batch;
    internal::PublishedEnd end;
    int64_t visible_end = std::numeric_limits<int64_t>::max();  // what may be seen lies below
  };

  // The first batch that ends at or above `offset`, wherever the log goes on; absent at its end. kOutOfRange,
  // kDataLoss, kAborted.
  [[nodiscard]] absl::StatusOr<std::optional<Place>> FindPlace(int64_t offset);

  // FindPlace, clamped to what `isolation` may see. The visible end may fall at any time: it is asked for once, here.
  [[nodiscard]] absl::StatusOr<std::optional<Place>> FindVisible(int64_t offset, Isolation isolation);

  // True if what was found last is the log's still, as far as it lies at or above `offset`.
  [[nodiscard]] bool IsCurrent(int64_t offset) const {
    return !OutOfDate() && offset >= core_->frontiers.log_start() && core_->CheckGeneration().ok();
  }

  // Where reading stops in the segment of `place`, given its visible end: a batch boundary, behind its batch where that
  // lies below.
  [[nodiscard]] static absl::StatusOr<internal::PublishedEnd> VisibleEndOf(const Place& place);

  [[nodiscard]] absl::StatusOr<std::optional<TimestampLookup>> OffsetForTimestamp(int64_t timestamp_ms);

  // As LogReader's; *generation: that of the list of segments whose indexes were asked.
  [[nodiscard]] absl::StatusOr<std::vector<AbortedTransaction>> AbortedTransactions(int64_t from_offset,
                                                                                    int64_t to_offset,
                                                                                    uint64_t* generation) const;
  // As LogReader's; absent where that is kAborted because of this log's own segments: the batch is to be read again.
  [[nodiscard]] absl::StatusOr<std::optional<bool>> IsAborted(const RecordBatchView& batch);

  // The first offset behind the damaged range that `offset` lies in; `offset` itself in none that is known.
  [[nodiscard]] int64_t BehindDamage(int64_t offset) const;

 private:
  struct Slot {
    size_t index = SIZE_MAX;
    std::shared_ptr<const internal::OpenSegment> segment;
  };
  static constexpr size_t kSlots = 16;

  // Takes over the list of the moment if it has changed.
  void Catch();
  // True if it has changed since: files that the list in hand names may be gone or cut, so that an error met in it, or
  // a batch not found, says nothing.
  [[nodiscard]] bool OutOfDate() const { return core_->table.generation() != snapshot_.generation; }
  // kAborted if another process has changed what the list in hand was made of, or is at it.
  [[nodiscard]] absl::Status CheckAnswer(const absl::Status& answer) const;
  // The same, of an answer at `offset`: damage that the list in hand knows of is no file's that is being replaced.
  [[nodiscard]] absl::Status CheckAnswerAt(int64_t offset, const absl::Status& answer) const;
  // Whether a name in the list in hand is another file's by now; of a log that is not followed. Cost: a call for each
  // segment.
  [[nodiscard]] bool MeetsExchangedFile() const;
  [[nodiscard]] absl::StatusOr<std::optional<Place>> FindInList(int64_t offset);
  [[nodiscard]] absl::StatusOr<Slot*> Acquire(size_t index);
  [[nodiscard]] absl::StatusOr<std::optional<internal::FoundRecord>> FirstAtOrAfter(int64_t timestamp_ms);
  [[nodiscard]] absl::StatusOr<std::optional<internal::FoundRecord>> FirstOfMaximum();
  [[nodiscard]] absl::StatusOr<std::optional<internal::FoundRecord>> FirstOfMaximumInAll();
  // The record for a time, or for kMaxTimestamp, in the list in hand, with the leader epoch that its batch says: the
  // epoch file need not know it.
  [[nodiscard]] absl::StatusOr<std::optional<TimestampLookup>> FindRecord(int64_t timestamp_ms);
  // Makes aborted_ tell of this batch, and of those behind it that are stable.
  [[nodiscard]] absl::Status CollectAbortedFor(const RecordBatchView& batch);
  [[nodiscard]] TimestampLookup WithEpoch(int64_t timestamp_ms, int64_t offset) const;

  const std::shared_ptr<internal::LogCore> core_;
  internal::SegmentTable::Snapshot snapshot_;
  std::array<Slot, kSlots> slots_;  // the last segments used, by index modulo kSlots
  DecodeBuffer scratch_;
  internal::AbortedSet aborted_;  // what IsAborted was told of last
};

}  // namespace varve

#endif  // VARVE_LIB_LOG_LOG_READER_IMPL_H_
