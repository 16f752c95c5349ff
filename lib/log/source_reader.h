// SourceReader: the batches of a sealed segment that compaction reads, every byte checked, in order.
//
// Nothing damaged is compacted: what cannot be read, or does not check, ends the pass with kDataLoss, or as the file
// system says, and the message names file and position. Reads are read calls, so that a bad sector is a status.
//
// Thread rules: one thread at a time.
#ifndef VARVE_LIB_LOG_SOURCE_READER_H_
#define VARVE_LIB_LOG_SOURCE_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
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

// Told of every so many bytes that were read, a batch at a time; an error stops the pass, and is what it answers.
using ReadObserver = std::function<absl::Status(int64_t bytes)>;

class SourceReader {
 public:
  // `on_read` may be null, and outlives the reader. kDataLoss: the segment has known damage.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<SourceReader>> Open(FileSystem* file_system,
                                                                          const std::string& directory,
                                                                          const SourceSegment& segment,
                                                                          const ReadObserver* on_read);

  // True if there is another batch: then the rest is about it. kDataLoss: a wrong checksum, no batch, the file is
  // shorter than the segment, or offsets that do not rise or are not the segment's. kUnimplemented: magic 0 or 1.
  [[nodiscard]] absl::StatusOr<bool> Next();

  [[nodiscard]] RecordBatchView batch() const { return walk_.batch(); }
  [[nodiscard]] const BatchHeader& header() const { return walk_.header(); }

  // The status of work on the batch, with file and position.
  [[nodiscard]] absl::Status Locate(const absl::Status& status) const;

 private:
  SourceReader(std::unique_ptr<File> file, const SourceSegment& segment, const ReadObserver* on_read);
  [[nodiscard]] absl::Status CheckOffsets();

  const std::unique_ptr<File> file_;
  BatchReader walk_;
  int64_t next_offset_;
  const int64_t next_base_offset_;
  const ReadObserver* const on_read_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_SOURCE_READER_H_
