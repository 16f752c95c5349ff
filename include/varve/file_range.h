// FileRange: what a read returns. A run of whole batches in one segment file: view it, copy it, or hand it to a socket.
//
// Lifetime: a FileRange from LogReader::Read borrows the reader's hold on the segment and is valid until the next call
// on that reader; Keep() gives it a hold of its own (one atomic increment). One from Log::Read has its own already.
// While held, the bytes never change and never go away: not by appends, retention, compaction, truncation or Close.
// Thread rules: const operations from any thread; a kept range may be handed to another thread.
// View() reads a mapping: a media error under it ends the process (SIGBUS); CopyTo and SendTo answer it as a status.
// Finding a range walks batch headers in the mapping, between two index entries and from the last one to the range's
// end: a media error under one of them is a signal too. Recovery and verify read by calls alone.
//
//   absl::StatusOr<varve::FileRange> range = log->Read(offset, {.max_bytes = 1 << 20});
//   if (range.ok() && !range->empty()) (void)range->SendTo(socket);
#ifndef VARVE_FILE_RANGE_H_
#define VARVE_FILE_RANGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/status.h"

namespace varve {

namespace internal {
class OpenSegment;
}  // namespace internal

class FileRange {
 public:
  // An empty range at `next_offset`.
  explicit FileRange(int64_t next_offset = 0) : next_offset_(next_offset) {}

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] int64_t size_bytes() const { return size_; }
  [[nodiscard]] int64_t position() const { return position_; }     // of the first byte in the .log
  [[nodiscard]] int64_t segment() const { return segment_base_; }  // base offset of the segment
  [[nodiscard]] int64_t base_offset() const {
    return base_offset_;
  }  // of the first batch; may lie before the asked one
  [[nodiscard]] int64_t next_offset() const { return next_offset_; }  // where the next read goes on

  // The batches, back to back. Walk them with NextBatch (record_batch.h).
  [[nodiscard]] std::span<const std::byte> View() const { return {data_, static_cast<size_t>(size_)}; }

  // Copies all bytes by read calls. kInvalidArgument if `out` is smaller than the range.
  [[nodiscard]] absl::Status CopyTo(std::span<std::byte> out) const;

  // Sends all bytes to a descriptor by sendfile; blocks until they are taken.
  [[nodiscard]] absl::Status SendTo(int descriptor) const;

  // Gives the range a hold of its own on the segment; cheap, idempotent.
  void Keep();

 private:
  friend class LogReader;
  const std::byte* data_ = nullptr;
  int64_t size_ = 0;
  int64_t position_ = 0;
  int64_t segment_base_ = 0;
  int64_t base_offset_ = 0;
  int64_t next_offset_ = 0;
  const internal::OpenSegment* segment_ = nullptr;
  const std::shared_ptr<const internal::OpenSegment>* borrowed_ = nullptr;  // the reader's hold, until its next call
  std::shared_ptr<const internal::OpenSegment> hold_;
};

}  // namespace varve

#endif  // VARVE_FILE_RANGE_H_
