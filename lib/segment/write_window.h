// WriteWindow: the part of an active segment's mapping that is safe to store into: space allocated, pages present.
//
// It runs ahead of the log's end in steps, so that storing costs no system call: a step is 64 KiB, doubles up to 1 MiB
// while the log consumes a step in under 10 ms and nobody waits for syncs, and halves when it takes ten times that
// (pages that are made ahead are dirty pages, and the next sync has to write them). A step is written as zeros and then
// made present: it stays in the processor's cache until records come, which larger ones do not. Space is allocated
// somewhat further. Storing beyond the window would end the process where the disk is full (SIGBUS): Extend
// answers it as an error.
//
// Thread rules: the segment's writer only.
#ifndef VARVE_LIB_SEGMENT_WRITE_WINDOW_H_
#define VARVE_LIB_SEGMENT_WRITE_WINDOW_H_

#include <cstdint>

#include "absl/status/status.h"
#include "varve/clock.h"
#include "varve/file_system.h"

namespace varve::internal {

class WriteWindow {
 public:
  static constexpr int64_t kMinStepBytes = int64_t{64} * 1024;
  static constexpr int64_t kMaxStepBytes = int64_t{1024} * 1024;
  static constexpr int64_t kQuickStepNs = 10'000'000;
  static constexpr int64_t kPageBytes = 4096;

  // `begin` is the log's end, `allocated` the size of the file: both at most `capacity`, the mapping's size.
  WriteWindow(File* file, Mapping* mapping, Clock* clock, int64_t begin, int64_t allocated, int64_t capacity);

  // One past the last byte that may be stored into.
  [[nodiscard]] int64_t end() const { return end_; }

  // Makes [begin, begin + size_bytes) part of the window, and a step beyond where there is room. begin lies at or
  // before the present end, or anywhere after Skip; begin + size_bytes <= capacity. kResourceExhausted: disk full; the
  // window is as it was. kUnimplemented: this file system allocates nothing, or this kernel cannot populate: use write
  // calls.
  [[nodiscard]] absl::Status Extend(int64_t begin, int64_t size_bytes, bool durable_acks);

  // The bytes below `position` were written by a write call: the window goes on from there.
  void Skip(int64_t position);

  // The file was cut to `size_bytes`: nothing behind it may be stored into until the next Extend.
  void Trim(int64_t size_bytes);

 private:
  [[nodiscard]] absl::Status ExtendTo(int64_t begin, int64_t new_end);
  [[nodiscard]] absl::Status WriteZeros(int64_t begin, int64_t end);
  void AdaptStep(bool durable_acks);

  File* file_;
  Mapping* mapping_;
  Clock* clock_;
  int64_t end_;
  int64_t allocated_;
  int64_t capacity_;
  int64_t step_bytes_ = kMinStepBytes;
  int64_t last_step_ns_ = 0;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_SEGMENT_WRITE_WINDOW_H_
