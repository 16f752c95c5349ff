#include "segment/write_window.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/status.h"

namespace varve::internal {
namespace {

// Space is allocated some steps ahead, so that not each of them asks for it, and more of them once they are large.
constexpr int64_t kAllocateSteps = 4;
constexpr int64_t kAllocateLargeSteps = 16;

// The folio that a write call makes is dirty as a whole once a byte of it is: while steps are small, because the log is
// slow or somebody waits for syncs, a sync of one record is to write no more than this.
constexpr int64_t kSmallWriteBytes = int64_t{16} * 1024;

int64_t PageFloor(int64_t position) { return position / WriteWindow::kPageBytes * WriteWindow::kPageBytes; }
int64_t PageCeiling(int64_t position) { return PageFloor(position + WriteWindow::kPageBytes - 1); }

}  // namespace

WriteWindow::WriteWindow(File* file, Mapping* mapping, Clock* clock, int64_t begin, int64_t allocated, int64_t capacity)
    : file_(file), mapping_(mapping), clock_(clock), end_(begin), allocated_(allocated), capacity_(capacity) {}

void WriteWindow::AdaptStep(bool durable_acks) {
  const int64_t now_ns = clock_->MonotonicNs();
  const int64_t took_ns = now_ns - last_step_ns_;
  last_step_ns_ = now_ns;
  if (durable_acks) {
    step_bytes_ = kMinStepBytes;
  } else if (took_ns < kQuickStepNs) {
    step_bytes_ = std::min(step_bytes_ * 2, kMaxStepBytes);
  } else if (took_ns > 10 * kQuickStepNs) {
    step_bytes_ = std::max(step_bytes_ / 2, kMinStepBytes);
  }
}

absl::Status WriteWindow::Extend(int64_t begin, int64_t size_bytes, bool durable_acks) {
  AdaptStep(durable_acks);
  const int64_t needed = begin + size_bytes;
  const int64_t wanted = std::min(capacity_, PageCeiling(needed + step_bytes_));
  absl::Status extended = ExtendTo(begin, wanted);
  if (!absl::IsResourceExhausted(extended) || wanted == needed) return extended;
  // Nearly full: what is needed may still fit where a step does not.
  return ExtendTo(begin, std::min(capacity_, PageCeiling(needed)));
}

absl::Status WriteWindow::ExtendTo(int64_t begin, int64_t new_end) {
  if (new_end > allocated_) {
    const int64_t steps = step_bytes_ < kMaxStepBytes ? kAllocateSteps : kAllocateLargeSteps;
    const int64_t ahead = std::min(capacity_, PageCeiling(new_end + (steps - 1) * step_bytes_));
    absl::Status allocated =
        file_->Allocate(static_cast<uint64_t>(allocated_), static_cast<uint64_t>(ahead - allocated_));
    int64_t reached = ahead;
    if (absl::IsResourceExhausted(allocated) && ahead > new_end) {
      allocated = file_->Allocate(static_cast<uint64_t>(allocated_), static_cast<uint64_t>(new_end - allocated_));
      reached = new_end;
    }
    VARVE_RETURN_IF_ERROR(allocated);
    allocated_ = reached;
  }
  VARVE_RETURN_IF_ERROR(WriteZeros(end_, new_end));
  const int64_t from = PageFloor(std::min(begin, end_));
  VARVE_RETURN_IF_ERROR(mapping_->Populate(static_cast<size_t>(from), static_cast<size_t>(new_end - from)));
  end_ = new_end;
  return absl::OkStatus();
}

// A write call makes pages in folios of its own size, where a page fault reads a few unwritten blocks at a time as zeros
// and dirties them one by one: a page costs half as much.
absl::Status WriteWindow::WriteZeros(int64_t begin, int64_t end) {
  static std::array<std::byte, kMaxStepBytes> zeros;  // takes no memory: nothing is ever stored to it
  const int64_t most = step_bytes_ == kMinStepBytes ? kSmallWriteBytes : step_bytes_;
  for (int64_t at = begin; at < end;) {
    const int64_t count = std::min(most - at % most, end - at);
    VARVE_RETURN_IF_ERROR(
        file_->WriteAt(static_cast<uint64_t>(at), std::span(zeros).first(static_cast<size_t>(count))));
    at += count;
  }
  return absl::OkStatus();
}

void WriteWindow::Skip(int64_t position) {
  end_ = position;
  allocated_ = std::max(allocated_, position);
}

void WriteWindow::Trim(int64_t size_bytes) {
  end_ = size_bytes;
  allocated_ = size_bytes;
}

}  // namespace varve::internal
