#include "log/frontiers.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status.h"

namespace varve::internal {

void Frontiers::Reset(int64_t log_start_offset, int64_t log_end_offset, int64_t durable_offset) {
  log_start_.store(log_start_offset, std::memory_order_release);
  durable_.store(durable_offset, std::memory_order_release);
  if (const int64_t managed = managed_high_watermark_.load(std::memory_order_relaxed); managed != kFollowsLog) {
    managed_high_watermark_.store(std::clamp(managed, log_start_offset, log_end_offset), std::memory_order_release);
  }
  PublishEnd(log_end_offset);
  AssertOrder();
}

int64_t Frontiers::HighWatermark(int64_t log_end_offset, int64_t durable_offset) const {
  const int64_t managed = managed_high_watermark_.load(std::memory_order_seq_cst);
  if (managed != kFollowsLog) return managed;
  return visibility_ == Visibility::kDurable ? durable_offset : log_end_offset;
}

LogOffsets Frontiers::Load() const {
  LogOffsets offsets = Bounds();
  offsets.last_stable_offset = LastStable(offsets.log_start_offset, offsets.high_watermark);
  return offsets;
}

LogOffsets Frontiers::Bounds() const {
  // Read in the order in which they may only have grown since, then held to the order that callers rely on: a
  // truncation may fall in between.
  LogOffsets offsets;
  offsets.log_start_offset = log_start();
  const int64_t durable_offset = durable();
  offsets.log_end_offset = log_end();
  offsets.durable_offset = std::min(durable_offset, offsets.log_end_offset);
  offsets.log_start_offset = std::min(offsets.log_start_offset, offsets.log_end_offset);
  offsets.high_watermark = std::clamp(HighWatermark(offsets.log_end_offset, offsets.durable_offset),
                                      offsets.log_start_offset, offsets.log_end_offset);
  return offsets;
}

// Judged anew for each high watermark, so that it holds whoever moves that: the writer, the host, or a sync.
int64_t Frontiers::LastStable(int64_t log_start_offset, int64_t high_watermark) const {
  int64_t first_unstable = first_unstable_.load(std::memory_order_acquire);
  if (any_closed_.load(std::memory_order_acquire)) [[unlikely]] {
    const MutexLock lock(&closed_mutex_);
    for (const auto& [first_offset, marker_offset] : closed_transactions_) {
      if (marker_offset >= high_watermark) first_unstable = std::min(first_unstable, first_offset);
    }
  }
  return std::min(high_watermark, std::max(first_unstable, log_start_offset));
}

void Frontiers::SetClosedTransactions(std::map<int64_t, int64_t> closed) {
  const MutexLock lock(&closed_mutex_);
  closed_transactions_ = std::move(closed);
  closed_span_ = {};
  for (const auto& [first_offset, marker_offset] : closed_transactions_) {
    if (closed_span_.first_offset < 0) closed_span_.first_offset = first_offset;
    closed_span_.last_marker_offset = std::max(closed_span_.last_marker_offset, marker_offset);
  }
  any_closed_.store(!closed_transactions_.empty(), std::memory_order_release);
}

int64_t Frontiers::VisibleEnd(Isolation isolation) const {
  if (SeesLogEnd(isolation)) return log_end();
  const LogOffsets bounds = Bounds();
  if (isolation == Isolation::kHighWatermark) return bounds.high_watermark;
  return LastStable(bounds.log_start_offset, bounds.high_watermark);
}

void Frontiers::PublishDurable(int64_t durable_offset) {
  durable_.store(durable_offset, std::memory_order_seq_cst);
  AssertOrder();
  if (waiters_.load(std::memory_order_seq_cst) != 0) Wake();
}

void Frontiers::AdvanceLogStart(int64_t log_start_offset) {
  if (const int64_t managed = managed_high_watermark_.load(std::memory_order_relaxed);
      managed != kFollowsLog && managed < log_start_offset) {
    managed_high_watermark_.store(log_start_offset, std::memory_order_release);
  }
  log_start_.store(log_start_offset, std::memory_order_release);
  AssertOrder();
}

void Frontiers::SetHighWatermark(int64_t offset) {
  // A follower may have taken over one of the two and not yet the other.
  const int64_t end = log_end();
  managed_high_watermark_.store(std::clamp(offset, std::min(log_start(), end), end), std::memory_order_seq_cst);
  CapHighWatermark();
  AssertOrder();
  if (waiters_.load(std::memory_order_seq_cst) != 0) Wake();
}

// One above an end that went back would rise with the log again.
void Frontiers::CapHighWatermark() {
  int64_t managed = managed_high_watermark_.load(std::memory_order_seq_cst);
  for (int64_t end = log_end(); managed > end; end = log_end()) {
    if (managed_high_watermark_.compare_exchange_weak(managed, end)) managed = end;
  }
}

std::optional<int64_t> Frontiers::managed_high_watermark() const {
  const int64_t managed = managed_high_watermark_.load(std::memory_order_seq_cst);
  return managed != kFollowsLog ? std::optional(managed) : std::nullopt;
}

void Frontiers::Follow(const Followed& followed) {
  if (any_closed_.load(std::memory_order_relaxed) || !followed.closed_transactions.empty()) {
    SetClosedTransactions(followed.closed_transactions);
  }
  first_unstable_.store(followed.first_open_offset, std::memory_order_release);
  if (followed.high_watermark.has_value()) {
    managed_high_watermark_.store(
        std::clamp(*followed.high_watermark, followed.log_start_offset, followed.log_end_offset),
        std::memory_order_seq_cst);
  }
  log_start_.store(followed.log_start_offset, std::memory_order_release);
  const int64_t durable_offset = std::min(followed.durable_offset, followed.log_end_offset);
  if (durable_offset < durable()) durable_.store(durable_offset, std::memory_order_seq_cst);
  log_end_.store(followed.log_end_offset, std::memory_order_seq_cst);
  durable_.store(durable_offset, std::memory_order_seq_cst);
  if (followed.keep_high_watermark) {
    CapHighWatermark();
  } else if (!followed.high_watermark.has_value()) {
    managed_high_watermark_.store(kFollowsLog, std::memory_order_seq_cst);
  }
  AssertOrder();
  if (waiters_.load(std::memory_order_seq_cst) != 0) Wake();
}

absl::Status Frontiers::WaitVisible(int64_t offset, std::chrono::nanoseconds timeout) const {
  if (VisibleEnd(Isolation::kHighWatermark) > offset) return absl::OkStatus();
  const absl::Time deadline = absl::Now() + absl::FromChrono(timeout);
  const absl::MutexLock lock(&mutex_);
  waiters_.fetch_add(1, std::memory_order_seq_cst);
  bool in_time = true;
  while (VisibleEnd(Isolation::kHighWatermark) <= offset && !closed_ && in_time) {
    in_time = !changed_.WaitWithDeadline(&mutex_, deadline);
  }
  waiters_.fetch_sub(1, std::memory_order_relaxed);
  if (VisibleEnd(Isolation::kHighWatermark) > offset) return absl::OkStatus();
  if (closed_) return stop_reason_;
  return Error(absl::StatusCode::kDeadlineExceeded, "waited for offset {}: the visible end is still {}", offset,
               VisibleEnd(Isolation::kHighWatermark));
}

void Frontiers::Poison(const absl::Status& reason) {
  const absl::MutexLock lock(&mutex_);
  if (stopped_.load(std::memory_order_relaxed)) return;
  stop_reason_ = MarkPoisoned(absl::FailedPreconditionError(
      fmt::format("the log takes no appends since a write or sync failed; close and open it again: {}",
                  std::string_view(reason.message().data(), reason.message().size()))));
  stopped_.store(true, std::memory_order_release);
  changed_.SignalAll();
}

void Frontiers::Close() {
  const absl::MutexLock lock(&mutex_);
  closed_ = true;
  stop_reason_ = absl::FailedPreconditionError("the log is closed");
  stopped_.store(true, std::memory_order_release);
  changed_.SignalAll();
}

bool Frontiers::closed() const {
  if (!stopped_.load(std::memory_order_acquire)) [[likely]] {
    return false;
  }
  const absl::MutexLock lock(&mutex_);
  return closed_;
}

absl::Status Frontiers::StopReason() const {
  const absl::MutexLock lock(&mutex_);
  return stop_reason_;
}

void Frontiers::Wake() const {
  const absl::MutexLock lock(&mutex_);
  changed_.SignalAll();
}

void Frontiers::AssertOrder() const {
#ifndef NDEBUG
  const LogOffsets offsets = Load();
  assert(offsets.log_start_offset <= offsets.high_watermark);
  assert(offsets.high_watermark <= offsets.log_end_offset);
  assert(durable() <= log_end());
#endif
}

}  // namespace varve::internal
