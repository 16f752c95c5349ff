// Frontiers: the log's four offsets, who waits for them, and what stopped the log. Nothing else knows them.
//
//   log start ≤ high watermark ≤ log end,   durable ≤ log end
//
// Publishing an end costs one locked instruction while nobody waits. A waiter registers first and then looks at the end
// again, the publisher stores the end and then looks for waiters, all in the one order of sequentially consistent
// operations: one of the two sees the other, so no wake-up is lost. (With loads that only acquire, both could look too
// early.)
//
// Thread rules: Publish* and the truncating calls from the log's writer (PublishDurable from whoever syncs, one at a
// time); everything else from any thread.
#ifndef VARVE_LIB_LOG_FRONTIERS_H_
#define VARVE_LIB_LOG_FRONTIERS_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "io/mutex.h"
#include "varve/log.h"
#include "varve/log_options.h"

namespace varve::internal {

class Frontiers {
 public:
  explicit Frontiers(Visibility visibility) : visibility_(visibility) {}

  // Sets all four anew: at open, after a truncation, at a follower's refresh.
  void Reset(int64_t log_start_offset, int64_t log_end_offset, int64_t durable_offset);

  [[nodiscard]] int64_t log_start() const { return log_start_.load(std::memory_order_acquire); }
  [[nodiscard]] int64_t log_end() const { return log_end_.load(std::memory_order_seq_cst); }
  [[nodiscard]] int64_t durable() const { return durable_.load(std::memory_order_seq_cst); }
  [[nodiscard]] LogOffsets Load() const;

  // Where a reader of this isolation stops.
  [[nodiscard]] int64_t VisibleEnd(Isolation isolation) const;
  // True if VisibleEnd(isolation) is simply the log end, so that what a segment publishes may be read whole.
  [[nodiscard]] bool SeesLogEnd(Isolation isolation) const {
    return isolation == Isolation::kLogEnd ||
           (isolation == Isolation::kHighWatermark && visibility_ == Visibility::kLogEnd &&
            managed_high_watermark_.load(std::memory_order_seq_cst) == kFollowsLog);
  }

  void PublishEnd(int64_t log_end_offset) {
    log_end_.store(log_end_offset, std::memory_order_seq_cst);
    if (waiters_.load(std::memory_order_seq_cst) != 0) [[unlikely]] {
      Wake();
    }
  }
  void PublishDurable(int64_t durable_offset);
  void AdvanceLogStart(int64_t log_start_offset);
  // A replicating host's high watermark, clamped to [log start, log end].
  void SetHighWatermark(int64_t offset);
  // What holds committed readers back: the first offset of the oldest open transaction, kNone if there is none; and
  // transactions that a marker has closed (first offset -> the marker's), each until the high watermark lies beyond its
  // marker. Whoever sees an end of the log sees what was set before it was published. A transaction that is closed is
  // set among the closed ones first.
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  void SetFirstUnstable(int64_t offset) { first_unstable_.store(offset, std::memory_order_release); }
  void SetClosedTransactions(std::map<int64_t, int64_t> closed);
  [[nodiscard]] int64_t first_unstable() const { return first_unstable_.load(std::memory_order_acquire); }
  // All closed transactions as one: where the first of them begins, and the last marker; -1 twice if there is none.
  struct ClosedSpan {
    int64_t first_offset = -1;
    int64_t last_marker_offset = -1;
  };
  [[nodiscard]] ClosedSpan closed_transactions() const {
    if (!any_closed_.load(std::memory_order_acquire)) return {};
    const MutexLock lock(&closed_mutex_);
    return closed_span_;
  }
  // What SetHighWatermark has set; absent while the high watermark follows the log.
  [[nodiscard]] std::optional<int64_t> managed_high_watermark() const;
  [[nodiscard]] Visibility visibility() const { return visibility_; }

  // What a log is for readers of another process. An absent high watermark follows the log, as the visibility says; one
  // to be kept is what SetHighWatermark has set, even while this is taken over.
  struct Followed {
    int64_t log_start_offset = 0;
    int64_t log_end_offset = 0;
    int64_t durable_offset = 0;
    std::optional<int64_t> high_watermark = std::nullopt;
    bool keep_high_watermark = false;
    int64_t first_open_offset = kNone;                    // as SetFirstUnstable has it
    std::map<int64_t, int64_t> closed_transactions = {};  // as SetClosedTransactions has them
  };
  // A follower's, one thread at a time: takes everything over, in an order in which nothing shows too early.
  void Follow(const Followed& followed);

  // Until the visible end lies beyond `offset`. kDeadlineExceeded; kFailedPrecondition once closed.
  [[nodiscard]] absl::Status WaitVisible(int64_t offset, std::chrono::nanoseconds timeout) const;

  // Stops the log for appends, for the first reason given; `reason` is what later appends answer.
  void Poison(const absl::Status& reason);
  void Close();
  // OK, or why there can be no appends. One load while all is well.
  [[nodiscard]] absl::Status Writable() const {
    return stopped_.load(std::memory_order_acquire) ? StopReason() : absl::OkStatus();
  }
  [[nodiscard]] bool closed() const;

 private:
  static constexpr int64_t kFollowsLog = -1;

  // Load without the last stable offset.
  [[nodiscard]] LogOffsets Bounds() const;
  [[nodiscard]] int64_t LastStable(int64_t log_start_offset, int64_t high_watermark) const;
  [[nodiscard]] int64_t HighWatermark(int64_t log_end_offset, int64_t durable_offset) const;
  [[nodiscard]] absl::Status StopReason() const;
  void CapHighWatermark();
  void Wake() const;
  void AssertOrder() const;

  const Visibility visibility_;
  std::atomic<int64_t> log_start_{0};
  std::atomic<int64_t> log_end_{0};
  std::atomic<int64_t> durable_{0};
  std::atomic<int64_t> managed_high_watermark_{kFollowsLog};
  std::atomic<int64_t> first_unstable_{kNone};
  std::atomic<bool> any_closed_{false};
  std::atomic<bool> stopped_{false};
  mutable std::atomic<int> waiters_{0};
  mutable absl::Mutex mutex_;
  mutable absl::CondVar changed_;
  mutable Mutex closed_mutex_;
  std::map<int64_t, int64_t> closed_transactions_ ABSL_GUARDED_BY(closed_mutex_);
  ClosedSpan closed_span_ ABSL_GUARDED_BY(closed_mutex_);  // of those
  absl::Status stop_reason_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_FRONTIERS_H_
