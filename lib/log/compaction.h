// Compaction: one pass over a log (format notes §7; durability notes, Writing 4, 6 and 7). In order:
//
//   plan       what is dirty, what may be touched, whether it is worth it (cleaning_plan.h)
//   sync       everything is durable first, and varve.state says so: the durable point lies in the active segment
//   map        the latest offset of each key of what is dirty (key_map_builder.h)
//   groups     the oldest first, each is copied without what goes (segment_cleaner.h), then swapped in (segment_swap.h)
//   mark       varve.state's first dirty offset moves behind what the map covers
//
// Only the swap and the mark take the writer lock. Truncation and deletion win: a group whose sources are not in the
// list any more is given up, and the pass ends. A pass that ends early leaves the mark where it is: older values of a
// key must be gone before its tombstone may go, so the next pass begins where this one did.
//
// Thread rules: one pass at a time for a log.
#ifndef VARVE_LIB_LOG_COMPACTION_H_
#define VARVE_LIB_LOG_COMPACTION_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "log/appender.h"
#include "log/cleaning_plan.h"
#include "log/key_map_builder.h"
#include "log/segment_cleaner.h"
#include "log/segment_list.h"
#include "varve/compaction.h"

namespace varve::internal {

class Compaction {
 public:
  // All outlive it. `closing`: becomes true when the log is about to be closed, which ends the pass as a cancellation
  // does.
  Compaction(Appender* appender, const CompactionOptions& options, const std::atomic<bool>* closing);

  // As Log::Compact.
  [[nodiscard]] absl::StatusOr<CompactionResult> Run();

 private:
  // The log as it was planned for.
  struct Plan {
    std::shared_ptr<const SegmentList> list;
    std::vector<CleaningSegment> segments;
    CleanableRange range;
  };

  [[nodiscard]] absl::Status RunIfDue();
  [[nodiscard]] absl::Status MakePlan();
  [[nodiscard]] absl::StatusOr<Plan> PlanFor(std::shared_ptr<const SegmentList> list, int64_t last_stable_offset);
  [[nodiscard]] absl::StatusOr<CleaningSegment> Measure(SegmentHandle* handle, bool with_timestamps) const;
  [[nodiscard]] absl::Status CheckUndamaged() const;
  [[nodiscard]] absl::Status MakeReady();
  [[nodiscard]] absl::StatusOr<BuiltKeyMap> MapKeys(const CleanedTransactions& transactions);
  [[nodiscard]] absl::Status CleanAll();
  // Until one is given up.
  [[nodiscard]] absl::Status CleanGroups(const std::vector<CleaningGroup>& groups, CleaningPass* pass);
  // False if the sources are not in the list any more.
  [[nodiscard]] absl::StatusOr<bool> CleanOne(const CleaningGroup& group, CleaningPass* pass);
  [[nodiscard]] absl::StatusOr<std::shared_ptr<SegmentHandle>> OpenCleaned(const CleaningGroup& group,
                                                                           const CleanedSegment& cleaned) const;
  [[nodiscard]] absl::StatusOr<bool> Swap(const CleaningGroup& group, const CleanedSegment& cleaned,
                                          std::shared_ptr<SegmentHandle> made);
  [[nodiscard]] absl::Status Exchange(const CleaningGroup& group, size_t at, const CleanedSegment& cleaned,
                                      std::shared_ptr<SegmentHandle> made)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender_.mutex_);
  [[nodiscard]] absl::Status MoveMark(int64_t end_offset);
  void Count(const CleaningGroup& group, const CleanedSegment& cleaned);

  // Where the sources of a group are in the list of the moment; absent if it does not hold them any more.
  [[nodiscard]] std::optional<size_t> Locate(const CleaningGroup& group) const;
  // After an error of work on a group: none, but one segment dropped, if its files were not the log's any more.
  [[nodiscard]] absl::Status GiveUp(const CleaningGroup& group, absl::Status status);
  [[nodiscard]] SourceSegment SourceAt(size_t index) const;
  // Of so many bytes more: progress, and whether to go on.
  [[nodiscard]] absl::Status OnRead(int64_t bytes);

  Appender& appender_;
  LogCore& core_;
  const CompactionOptions& options_;
  const std::atomic<bool>& closing_;
  const int64_t now_ms_;
  const CleaningLimits limits_;
  Plan plan_;
  CompactionResult result_;
  std::shared_ptr<SegmentHandle> last_made_;
  int64_t done_bytes_ = 0;
  int64_t total_bytes_ = 0;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_COMPACTION_H_
