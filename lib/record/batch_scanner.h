// BatchScanner and BatchReader: walks over the batches of a file, the first by headers alone, the second with every
// byte.
//
// Both go from a position, which must be a batch's first byte, up to a limit, and stop without an error where the
// batches stop making sense: what that means is for the caller to say. In the order of Kafka's FileLogInputStream: 17
// bytes or less, or a batch that goes beyond the limit, are a torn tail; a length or magic that cannot be is invalid.
// The limit must not lie beyond the end of the file; where the file has shrunk below it, the walk ends as torn. A
// message of magic 0 or 1 is the error kUnimplemented, so that nobody cuts it off as damage.
//
// Other errors: as File::ReadAt. Messages name file and position. After an error or an end, Next must not be called
// again. Thread rules: one thread at a time. The file must outlive the walk.
//
//   BatchScanner scanner(file, position, limit);
//   while (true) {
//     VARVE_ASSIGN_OR_RETURN(const bool found, scanner.Next());
//     if (!found) break;  // scanner.end() and scanner.reason() say why, scanner.position() where
//     if (scanner.header().last_offset() >= offset) return scanner.position();
//   }
#ifndef VARVE_LIB_RECORD_BATCH_SCANNER_H_
#define VARVE_LIB_RECORD_BATCH_SCANNER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "record/batch_header.h"
#include "record/read_window.h"
#include "varve/file_system.h"
#include "varve/record_batch.h"

namespace varve::internal {

// Why a walk ended.
enum class ScanEnd {
  kLimit,    // a batch ends exactly at the limit, or the limit is the start
  kTorn,     // 17 bytes or less, or a batch that goes beyond the limit
  kInvalid,  // no batch: its length or its magic cannot be
};

// What the two walks share: where they are, and the judgement of what is there.
class BatchWalk {
 public:
  // Of the batch that Next found; after the end, where it ended: the first byte that belongs to no batch.
  [[nodiscard]] uint64_t position() const { return position_; }
  // Of the batch that Next found.
  [[nodiscard]] const BatchHeader& header() const { return header_; }
  [[nodiscard]] ScanEnd end() const { return end_; }
  // What was expected and found at the end; empty for kLimit.
  [[nodiscard]] const std::string& reason() const { return reason_; }

 protected:
  BatchWalk(const File* file, uint64_t position, uint64_t limit)
      : file_(file), window_(file), position_(position), next_position_(position), limit_(limit) {}

  // Moves to the next batch and decodes its header; false at the end. `read_bytes` as in ReadWindow::Fill.
  [[nodiscard]] absl::StatusOr<bool> NextHeader(size_t read_bytes);

  const File* file_;
  ReadWindow window_;
  uint64_t position_;
  uint64_t next_position_;
  uint64_t limit_;
  BatchHeader header_;
  ScanEnd end_ = ScanEnd::kLimit;
  std::string reason_;
};

// Cost: one read of `read_ahead_bytes` for as many batches as fit in it; where batches are larger than that, a small
// read a batch.
class BatchScanner : public BatchWalk {
 public:
  static constexpr size_t kReadAheadBytes = size_t{64} << 10;

  BatchScanner(const File* file, uint64_t position, uint64_t limit, size_t read_ahead_bytes = kReadAheadBytes)
      : BatchWalk(file, position, limit), read_ahead_bytes_(read_ahead_bytes) {}

  // True if there is another batch: then position() and header() are about it.
  [[nodiscard]] absl::StatusOr<bool> Next();

 private:
  size_t read_ahead_bytes_;
};

// Cost: sequential reads of `read_bytes` or of a larger batch's size into one buffer, and the checksum of every byte.
class BatchReader : public BatchWalk {
 public:
  static constexpr size_t kReadBytes = size_t{1} << 20;

  BatchReader(const File* file, uint64_t position, uint64_t limit, size_t read_bytes = kReadBytes)
      : BatchWalk(file, position, limit), read_bytes_(read_bytes) {}

  // True if there is another batch: then all the rest is about it. A wrong checksum is no end.
  [[nodiscard]] absl::StatusOr<bool> Next();

  // As Next where that has nothing to read, at a third of its cost; false where it has, or where no batch comes next.
  // Then it has changed nothing, and Next tells.
  [[nodiscard]] bool NextHeld() {
    if (used_ahead_ == ahead_ && !LookAhead()) return false;
    position_ = next_position_;
    const std::byte* const first = window_.BytesAt(position_).data();
    header_ = DecodeBatchHeader(first);
    bytes_ = {first, header_.size_bytes};
    next_position_ = position_ + header_.size_bytes;
    computed_crc_ = crcs_ahead_[used_ahead_++];
    return true;
  }

  // The whole batch, until the next call of Next.
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  [[nodiscard]] RecordBatchView batch() const { return RecordBatchView(bytes_); }
  [[nodiscard]] bool crc_matches() const { return computed_crc_ == header_.crc; }
  [[nodiscard]] uint32_t computed_crc() const { return computed_crc_; }

 private:
  // Computes the checksums of the next batches that are held; false if there is none.
  [[nodiscard]] bool LookAhead();

  size_t read_bytes_;
  std::span<const std::byte> bytes_;
  uint32_t computed_crc_ = 0;
  std::array<uint32_t, kCrcBlocksAtOnce> crcs_ahead_{};
  size_t ahead_ = 0;  // of the batches from next_position_ on when they were computed; so many are used since
  size_t used_ahead_ = 0;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_RECORD_BATCH_SCANNER_H_
