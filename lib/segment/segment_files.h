// Names of a segment's files (Kafka LogFileUtils, format notes §1.2):
//
//   00000000000000000042.log          record batches
//   00000000000000000042.index        offset index
//   00000000000000000042.timeindex    time index
//   00000000000000000042.txnindex     aborted transactions, where there were any
//   00000000000000000042.snapshot     producers known before offset 42
//
// The number is the base offset in exactly 20 digits. A suffix behind the extension says that the file is on its way in
// or out; what a crash may leave of each is told in the format notes §5.5 and dealt with by log/leftovers.h.
//
// Thread rules: free functions, callable from any thread.
#ifndef VARVE_LIB_SEGMENT_SEGMENT_FILES_H_
#define VARVE_LIB_SEGMENT_SEGMENT_FILES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace varve::internal {

enum class SegmentFileKind { kLog, kOffsetIndex, kTimeIndex, kTransactionIndex, kSnapshot };

enum class SegmentFileSuffix {
  kNone,     // in use
  kDeleted,  // out of use, to be unlinked once readers are done with it
  kCleaned,  // being written by a compaction or a split
  kSwap,     // complete, about to take the place of what it was made from
};

// No index is larger: relative offsets are 31 bits and rise, so that a size above it is none to allocate.
inline constexpr uint64_t kMaxIndexFileBytes = uint64_t{1} << 31;

// A file name taken apart.
struct ParsedSegmentFile {
  int64_t base_offset = 0;
  SegmentFileKind kind = SegmentFileKind::kLog;
  SegmentFileSuffix suffix = SegmentFileSuffix::kNone;

  friend bool operator==(const ParsedSegmentFile&, const ParsedSegmentFile&) = default;
};

// "00000000000000000042.log"; base_offset >= 0.
[[nodiscard]] std::string SegmentFileName(int64_t base_offset, SegmentFileKind kind,
                                          SegmentFileSuffix suffix = SegmentFileSuffix::kNone);

// The name's parts; absent unless SegmentFileName would give exactly this name for them.
[[nodiscard]] std::optional<ParsedSegmentFile> ParseSegmentFileName(std::string_view name);

}  // namespace varve::internal

#endif  // VARVE_LIB_SEGMENT_SEGMENT_FILES_H_
