// SourceReader: the batches of neighbouring sealed segments that compaction reads, every byte checked, in order.
//
// Nothing damaged is compacted: what cannot be read, or does not check, ends the pass with kDataLoss, or as the file
// system says, and the message names file and position. Reads are read calls, so that a bad sector is a status.
//
// Thread rules: one thread at a time. One file is open at a time.
#ifndef VARVE_LIB_LOG_SOURCE_READER_H_
#define VARVE_LIB_LOG_SOURCE_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "record/batch_scanner.h"
#include "varve/damaged_range.h"
#include "varve/file_system.h"

namespace varve::internal {

// A sealed segment by value, as it was when the pass was planned.
struct SourceSegment {
  int64_t base_offset = 0;
  int64_t next_base_offset = 0;  // of the segment behind it: all its offsets are below
  int64_t size_bytes = 0;        // of its .log
  std::vector<DamagedRange> damage = {};
};

class SourceReader {
 public:
  // `segments`: neighbours, in order.
  SourceReader(FileSystem* file_system, std::string directory, std::vector<SourceSegment> segments);

  // True if there is another batch: then the rest is about it. kDataLoss: known damage in its segment, a wrong checksum,
  // no batch, the file is shorter than the segment, or offsets that do not rise or are not the segment's.
  // kUnimplemented: magic 0 or 1.
  [[nodiscard]] absl::StatusOr<bool> Next();

  [[nodiscard]] RecordBatchView batch() const { return walk_->batch(); }
  [[nodiscard]] const BatchHeader& header() const { return walk_->header(); }
  [[nodiscard]] const SourceSegment& segment() const { return segments_[index_]; }

  // Of all batches so far.
  [[nodiscard]] int64_t bytes_read() const { return bytes_read_; }
  [[nodiscard]] const std::vector<SourceSegment>& segments() const { return segments_; }

  // The status of work on the batch, with file and position.
  [[nodiscard]] absl::Status Locate(const absl::Status& status) const;

 private:
  [[nodiscard]] absl::Status Open();
  [[nodiscard]] absl::StatusOr<bool> NextInSegment();
  [[nodiscard]] absl::Status CheckOffsets();

  FileSystem* const file_system_;
  const std::string directory_;
  const std::vector<SourceSegment> segments_;
  size_t index_ = 0;
  std::unique_ptr<File> file_;       // of the segment at index_, once it is open
  std::optional<BatchReader> walk_;  // likewise
  int64_t next_offset_ = 0;
  int64_t bytes_read_ = 0;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_SOURCE_READER_H_
