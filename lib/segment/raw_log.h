// RawLog: a .log looked at byte by byte, where batches no longer follow one another.
//
// Reads by pread only, so that a bad sector is bytes that cannot be had, not a signal (durability notes, Writing 5).
// Thread rules: one thread at a time. The file must outlive it.
#ifndef VARVE_LIB_SEGMENT_RAW_LOG_H_
#define VARVE_LIB_SEGMENT_RAW_LOG_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>

#include "absl/status/statusor.h"
#include "record/batch_header.h"
#include "record/read_window.h"
#include "varve/file_system.h"

namespace varve::internal {

class RawLog {
 public:
  // Looks at the first `size_bytes` of the file.
  RawLog(const File* file, int64_t size_bytes) : file_(file), size_bytes_(size_bytes), window_(file) {}

  [[nodiscard]] int64_t size_bytes() const { return size_bytes_; }
  [[nodiscard]] const File& file() const { return *file_; }
  // True if bytes could not be read since this was asked last.
  [[nodiscard]] bool TakeReadFailed() { return std::exchange(read_failed_, false); }

  // Up to `wanted_bytes` from `position` on, fewer at the end; empty where the device cannot read them. Valid until the
  // next call. kResourceExhausted: no memory.
  [[nodiscard]] absl::StatusOr<std::span<const std::byte>> Read(int64_t position, size_t wanted_bytes);

  // The header at `position` if it has the form of a batch that fits; its checksum is not looked at.
  [[nodiscard]] absl::StatusOr<std::optional<BatchHeader>> HeaderAt(int64_t position);

  // The header at `position` if a batch with the right checksum and sane offsets is there.
  [[nodiscard]] absl::StatusOr<std::optional<BatchHeader>> ValidBatchAt(int64_t position);

  // True if every byte from `position` to the end is zero (and can be read): the unpublished rest of preallocated
  // space.
  [[nodiscard]] absl::StatusOr<bool> OnlyZerosFrom(int64_t position);

  // True if a message of magic 0 or 1 with the right checksum of its own kind (CRC-32, IEEE) is at `position`. Only
  // then is it one: a damaged byte 16 of a batch of magic 2 would look the same otherwise.
  [[nodiscard]] absl::StatusOr<bool> LegacyMessageAt(int64_t position);

  // The checksum of [from, to), continued from `crc`; absent where bytes cannot be read.
  [[nodiscard]] absl::StatusOr<std::optional<uint32_t>> ExtendCrc(uint32_t crc, int64_t from, int64_t to);

 private:
  const File* file_;
  int64_t size_bytes_;
  ReadWindow window_;
  bool read_failed_ = false;
};

// The first position in [from, end) at which 61 bytes have the form of a batch that fits, with sane offsets, and `takes`
// their header; `end` if there is none. Checksums are not looked at. Errors: as RawLog::Read.
[[nodiscard]] absl::StatusOr<int64_t> NextBatchLookalike(RawLog& log, int64_t from, int64_t end,
                                                         const std::function<bool(const BatchHeader&)>& takes);

}  // namespace varve::internal

#endif  // VARVE_LIB_SEGMENT_RAW_LOG_H_
