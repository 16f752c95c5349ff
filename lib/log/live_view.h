// LiveView: the segments, epochs and producers of a log that another process is writing, as its live line tells of
// them. Nothing is recovered: what the writer has published is whole. New batches are walked by their headers, so that
// lookups in them need no long scan.
//
// A view is of one generation and one active segment; a roll or a truncation asks for another (Covers). While one is
// made the writer goes on: files are opened by name, and the names may be another generation's by then. Whoever loads a
// view therefore looks at the line again afterwards and believes the view only if its generation still is the line's:
// the writer changes the line before it changes a name, and below its published end a file never shrinks.
//
// Thread rules: one thread at a time; what handles() and epochs() give out is for any thread, and outlives the view.
#ifndef VARVE_LIB_LOG_LIVE_VIEW_H_
#define VARVE_LIB_LOG_LIVE_VIEW_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "log/damage_notes.h"
#include "log/live_line.h"
#include "log/log_core.h"
#include "log/segment_list.h"
#include "record/batch_header.h"
#include "state/leader_epoch_cache.h"
#include "state/producer_state_manager.h"
#include "varve/overlay_file_system.h"

namespace varve::internal {

class LiveView {
 public:
  // `before` is the view of the same generation that this one follows, null if there is none: the handles of segments
  // that were sealed in it are taken over. `core` must outlive the view. kNotFound, kDataLoss: the files are not what
  // the line says, or the writer has changed them meanwhile; else as the file system. Cost: the sizes of the segments
  // that are new, and the headers of the active one.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<LiveView>> Load(const LogCore& core, const LiveValues& values,
                                                                      const LiveView* before);

  LiveView(const LiveView&) = delete;
  LiveView& operator=(const LiveView&) = delete;

  // True if Extend can bring the view up to these values.
  [[nodiscard]] bool Covers(const LiveValues& values) const;

  // Takes in what was published since. kDataLoss: bytes that are no batch; what is before them was taken in.
  [[nodiscard]] absl::Status Extend(const LiveValues& values);

  // What was taken in.
  [[nodiscard]] const LiveValues& values() const { return values_; }
  // Ascending; the last is the active segment.
  [[nodiscard]] const SegmentList::Handles& handles() const { return handles_; }
  [[nodiscard]] const std::shared_ptr<LeaderEpochCache>& epochs() const { return epochs_; }

  // The producers as of what was taken in. Cost: the newest snapshot and the batches behind it, at the first call;
  // afterwards those that are new. A snapshot that cannot be read is passed over; so is a batch, until the next call.
  // None are known where the snapshots cannot be listed or read for want of the system, until the next call.
  [[nodiscard]] std::vector<ProducerStateEntry> Producers();

 private:
  LiveView(const LogCore& core, const LiveValues& values) : core_(core), values_(values) {}

  [[nodiscard]] absl::Status FindSealed(const DamageNotes& damage, const LiveView* before);
  [[nodiscard]] absl::Status OpenActive(const DamageNotes& damage);
  [[nodiscard]] absl::Status LoadEpochs();
  // One batch that is new: its index entry, its epoch.
  [[nodiscard]] absl::Status TakeIn(const BatchHeader& header, int64_t position, TimestampOffset* largest);
  // The batches of all segments but the active one. False: some could not be read.
  [[nodiscard]] bool ReplaySealed();
  // The batches from *position on, which follows them. False: as ReplaySealed.
  [[nodiscard]] bool ReplayProducers(const OpenSegment& segment, int64_t* position);

  const LogCore& core_;
  LiveValues values_;
  SegmentList::Handles handles_;
  std::shared_ptr<OpenSegment> active_;
  LiveIndexes* live_indexes_ = nullptr;  // of active_
  int64_t active_mapped_bytes_ = 0;
  int64_t index_interval_bytes_ = 0;
  int64_t bytes_since_index_entry_ = 0;
  std::shared_ptr<OverlayFileSystem> untouched_;  // what reading would change in the directory stays in memory
  std::shared_ptr<LeaderEpochCache> epochs_;
  std::unique_ptr<ProducerStateManager> producers_;  // null until somebody asks
  int64_t producers_from_offset_ = 0;                // what the snapshot does not cover
  int64_t producers_position_ = 0;                   // in the active segment: what is below was replayed
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_LIVE_VIEW_H_
