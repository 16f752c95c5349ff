// IndexJudge: a segment's index files held against its batches.
//
// An entry is judged by what lookups rely on (format notes §3.2, §4), never by equality with a rebuilt one:
//   .index      rises; names the first byte of a batch; every batch before that one ends below its offset
//   .timeindex  rises; its timestamp is the largest of the batch that holds its offset, and no batch before has
//               as large a one; the file of a segment that is not written any more ends with the segment's largest timestamp
//   .txnindex   rises; its last offset is that of an abort marker of its producer, where that marker is still there
// An entry that points into damaged bytes is not judged: the damage is reported already.
//
//   VARVE_ASSIGN_OR_RETURN(const SegmentIndexes indexes, ReadSegmentIndexes(fs, directory, listing, segment, state));
//   IndexJudge judge(&indexes, damage);
//   for (each good batch, in order) judge.Take(header, position, control_type);
//   judge.Finish(next_offset, next_segment_base_offset, &faults);
//
// Thread rules: one thread at a time. Everything is read by pread, so that a bad sector is a fault and not a signal.
#ifndef VARVE_LIB_LOG_INDEX_JUDGE_H_
#define VARVE_LIB_LOG_INDEX_JUDGE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "log/believed_marks.h"
#include "log/partition_listing.h"
#include "record/batch_header.h"
#include "varve/damaged_range.h"
#include "varve/file_system.h"
#include "varve/sparse_offset_index.h"
#include "varve/time_index.h"
#include "varve/transaction_index.h"
#include "varve/verify.h"

namespace varve::internal {

// What may be expected of index files.
enum class IndexState {
  kFinished,      // sealed or closed cleanly: exact sizes, the last timestamp is there
  kLeft,          // of an active segment that was not closed: zeros behind the entries, or entries missing
  kBeingWritten,  // by a live writer: also entries beyond what it has published, and half an entry
};

// The entries of a segment's index files up to the first that breaks their order, and what is wrong with the files by
// themselves.
struct SegmentIndexes {
  FoundSegment segment;
  IndexState state = IndexState::kFinished;
  std::vector<OffsetPosition> offsets;
  std::vector<TimestampOffset> times;
  bool times_are_whole = true;  // the .timeindex is there, and every entry of it is in `times`
  std::vector<AbortedTransaction> aborted;
  std::vector<IndexFault> faults;
  std::vector<std::string> notes;
};

// `segment.size_bytes` is what of the .log is looked at. Files that are missing or cannot be read are faults.
// kResourceExhausted, kPermissionDenied: as the file system.
[[nodiscard]] absl::StatusOr<SegmentIndexes> ReadSegmentIndexes(FileSystem* file_system, const std::string& directory,
                                                                const PartitionListing& listing,
                                                                const FoundSegment& segment, IndexState state);

class IndexJudge {
 public:
  // Both must outlive this. `damage` of this segment, ascending.
  IndexJudge(const SegmentIndexes* indexes, std::span<const DamagedRange> damage)
      : indexes_(*indexes), damage_(damage) {}

  // The next good batch, which begins at byte `position`. `control_type`: of a control batch's record, if it has one.
  void Take(const BatchHeader& header, int64_t position, std::optional<int16_t> control_type);

  // No batch is left; `end_offset` is behind the last, `limit_offset` is the next segment's base offset, or the same
  // in the last segment. Appends every fault, those of the files by themselves first.
  void Finish(int64_t end_offset, int64_t limit_offset, std::vector<IndexFault>* faults);

 private:
  void TakeOffsets(int64_t position);
  void TakeTimes(const BatchHeader& header);
  void TakeAborted(const BatchHeader& header, std::optional<int16_t> control_type);
  void JudgeNoBatchAt(size_t entry_index);
  void JudgeNoBatchWith(size_t entry_index);
  void FinishOffsets(int64_t end_offset);
  void FinishTimes(int64_t end_offset);
  void FinishAborted(int64_t limit_offset);
  [[nodiscard]] std::string NameOf(SegmentFileKind kind) const;

  const SegmentIndexes& indexes_;
  const std::span<const DamagedRange> damage_;
  std::vector<IndexFault> faults_;
  size_t offset_entry_ = 0;  // the next to be judged
  size_t time_entry_ = 0;
  size_t aborted_entry_ = 0;
  int64_t last_offset_ = -1;        // of the batches taken
  int64_t largest_timestamp_ = -1;  // of the batches taken, milliseconds
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_INDEX_JUDGE_H_
