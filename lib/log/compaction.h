// Compaction: one pass over a log, in steps (format notes §7; durability notes, Writing 4, 6 and 7). Its stages:
//
//   plan       what is dirty, what may be touched, whether it is worth it (cleaning_plan.h). If it is, everything is made
//              durable, and varve.state says so: the durable point lies in the active segment
//   map        a batch at a time: the latest offset of each key of what is dirty (key_map_builder.h)
//   clean      of a group of segments, the oldest first, a batch at a time: copied without what goes (segment_cleaner.h)
//   exchange   the copy takes the group's place (segment_swap.h); then the next group is cleaned
//   mark       varve.state's first dirty offset moves behind what the map covers
//   done
//
// Only the exchange and the mark take the writer lock, and nothing is locked between two steps. Truncation and deletion
// win: a pass whose segments are not in the list any more ends. One that ends early leaves the mark where it is: older
// values of a key must be gone before its tombstone may go, so the next pass begins where this one did.
//
// Thread rules: one thread at a time, by the gate's lock.
#ifndef VARVE_LIB_LOG_COMPACTION_H_
#define VARVE_LIB_LOG_COMPACTION_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "io/mutex.h"
#include "log/appender.h"
#include "log/cleaning_plan.h"
#include "log/key_map_builder.h"
#include "log/segment_cleaner.h"
#include "log/segment_list.h"
#include "varve/compaction.h"

namespace varve::internal {

// What the passes over a log and its Close have in common: one pass at a time gets in, and none once it is closed.
struct CompactionGate {
  std::atomic<bool> taken{false};    // by a pass that has not come to its end
  std::atomic<bool> closing{false};  // a step under way ends soon, and no other begins
  Mutex mutex;                       // held for a step
  Compaction* pass ABSL_GUARDED_BY(mutex) = nullptr;
};

class Compaction {
 public:
  // See Log::BeginCompaction. The log may go before the pass does, once it is closed.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Compaction>> Begin(std::shared_ptr<Appender> appender,
                                                                         std::shared_ptr<Flusher> flusher,
                                                                         std::shared_ptr<CompactionGate> gate,
                                                                         const CompactionOptions& options);
  // See Log::PlanCompaction.
  [[nodiscard]] static absl::StatusOr<CompactionResult> Foresee(std::shared_ptr<Appender> appender,
                                                                std::shared_ptr<Flusher> flusher,
                                                                std::shared_ptr<CompactionGate> gate,
                                                                const CompactionOptions& options);
  // For who is about to close the log: the pass that is on its way, if there is one, is given up when it returns.
  static void CloseGate(CompactionGate* gate);

  // See CompactionPass.
  ~Compaction();
  [[nodiscard]] absl::StatusOr<bool> Step(const StepBudget& budget);
  [[nodiscard]] const CompactionResult& result() const { return result_; }
  [[nodiscard]] const CompactionProgress& progress() const { return progress_; }

 private:
  enum class Stage { kPlan, kMap, kClean, kExchange, kMark, kDone };
  // The log as it was planned for.
  struct Plan {
    std::shared_ptr<const SegmentList> list;
    std::vector<CleaningSegment> segments;
    CleanableRange range;
  };

  Compaction(std::shared_ptr<Appender> appender, std::shared_ptr<Flusher> flusher, std::shared_ptr<CompactionGate> gate,
             const CompactionOptions& options);

  // kFailedPrecondition once the log is closed or about to be, or in a child of fork(); the error that poisoned it.
  [[nodiscard]] static absl::Status CheckOpen(const Appender& appender, const CompactionGate& gate);
  [[nodiscard]] absl::StatusOr<bool> StepLocked(const StepBudget& budget) ABSL_EXCLUSIVE_LOCKS_REQUIRED(gate_->mutex);
  void Leave(absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(gate_->mutex);
  // Ends the pass: nothing of it stays but result, progress and status. Under the gate's lock.
  void End(absl::Status status);
  // Unit by unit, until the budget is spent or the pass is done.
  [[nodiscard]] absl::Status Work(const StepBudget& budget);
  [[nodiscard]] absl::Status Advance();

  [[nodiscard]] absl::Status PlanPass();
  // What there is to do, and whether it is due, as the result tells.
  [[nodiscard]] absl::Status Judge();
  [[nodiscard]] absl::Status MakePlan();
  [[nodiscard]] absl::StatusOr<Plan> PlanFor(std::shared_ptr<const SegmentList> list, const LogOffsets& offsets) const;
  [[nodiscard]] absl::StatusOr<CleaningSegment> Measure(SegmentHandle* handle, bool with_timestamps) const;
  [[nodiscard]] absl::Status CheckUndamaged() const;
  [[nodiscard]] absl::Status MakeReady();

  [[nodiscard]] absl::Status BeginMap();
  [[nodiscard]] absl::Status MapBatch();
  [[nodiscard]] absl::Status BeginCleaning();
  [[nodiscard]] absl::Status CleanBatch();

  [[nodiscard]] absl::Status ExchangeGroup();
  [[nodiscard]] absl::StatusOr<std::shared_ptr<SegmentHandle>> OpenCleaned(const CleanedSegment& cleaned) const;
  // False if the sources are not in the list any more.
  [[nodiscard]] absl::StatusOr<bool> Swap(const CleanedSegment& cleaned, std::shared_ptr<SegmentHandle> made);
  [[nodiscard]] absl::Status SwapFiles(size_t at, const CleanedSegment& cleaned, std::shared_ptr<SegmentHandle> made)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(appender_.mutex_);
  [[nodiscard]] absl::Status MoveMark();
  void Count(const CleanedSegment& cleaned);

  // What is worked on: all that was planned for, or a group.
  [[nodiscard]] CleaningGroup Sources() const;
  // Where it is in the list of the moment; absent if that does not hold it any more.
  [[nodiscard]] std::optional<size_t> LocateSources() const;
  // Ends the pass early.
  void Drop();
  // After an error of work on the sources: none, but the pass dropped, if their files were not the log's any more.
  [[nodiscard]] absl::Status GiveUp(const absl::Status& status);
  [[nodiscard]] SourceSegment SourceAt(size_t index) const;

  const std::shared_ptr<Flusher> flusher_;
  const std::shared_ptr<Appender> appender_hold_;
  Appender& appender_;
  const std::shared_ptr<CompactionGate> gate_;
  LogCore& core_;
  const CompactionOptions options_;
  const int64_t now_ms_;
  const CleaningLimits limits_;

  Stage stage_ = Stage::kPlan;
  absl::Status status_;  // of a pass that is done
  Plan plan_;
  CleanedTransactions transactions_;  // at their beginning, for both walks
  std::unique_ptr<KeyMapBuilder> builder_;
  std::optional<BuiltKeyMap> built_;
  std::optional<CleaningPass> cleaning_;  // refers to built_
  std::vector<CleaningGroup> groups_;
  size_t group_ = 0;                         // the one at work
  std::unique_ptr<SegmentCleaner> cleaner_;  // of that one, once it is begun; refers to cleaning_
  std::shared_ptr<SegmentHandle> last_made_;
  CompactionResult result_;
  CompactionProgress progress_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_COMPACTION_H_
