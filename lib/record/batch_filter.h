// BatchFilter: a batch with some of its records taken out, as compaction leaves it (Kafka MemoryRecords.filterTo,
// format notes §2.1 and §7.4).
//
//   nothing taken out, no horizon to be set   the batch itself, byte for byte
//   some records left                         rebuilt with the same codec at its default level. Base offset, last offset,
//                                             producer, epochs and the first sequence stay, so that offsets get holes;
//                                             deltas count from the first record left, or from the delete horizon; the
//                                             max timestamp is that of the records left, or the log append time as it was
//   none left                                 nothing; or, for a batch that must stay, its header: 61 bytes without
//                                             codec and horizon, base timestamp -1, max timestamp as it was
//
// A delete horizon is the wall time from which a batch's tombstones, or its transaction marker, may be taken out. It is
// set the first time that a batch with any is filtered, and stays as it is from then on.
//
// Thread rules: one thread at a time. Cost: decoding, and a second walk over the records where the batch is rebuilt; no
// allocation once the buffers have the size of the largest batch.
#ifndef VARVE_LIB_RECORD_BATCH_FILTER_H_
#define VARVE_LIB_RECORD_BATCH_FILTER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/compression.h"
#include "varve/record_batch.h"

namespace varve::internal {

// Sets keep[i], which is false, to whether records[i] stays. Asked about each record of a batch once, in order, and
// about up to kRecordsAsked at a time: who has to look them up can begin with all before it ends with the first.
inline constexpr size_t kRecordsAsked = 64;
using KeepRecords = std::function<void(std::span<const RecordView> records, std::span<bool> keep)>;

struct FilterRules {
  // A batch of which nothing is left stays as its header.
  bool retain_empty = false;
  // What is set as delete horizon where one is due: in a batch without, of which a tombstone is left, or, where
  // `horizon_for_any` says so (a marker that can go), any record.
  int64_t new_horizon_ms = 0;
  bool horizon_for_any = false;
};

struct FilteredBatch {
  // The batch as it is to be written; none if nothing is. Of the source, or of the filter until its next call.
  std::span<const std::byte> bytes;
  int32_t kept_count = 0;  // records
};

class BatchFilter {
 public:
  // kDataLoss: a malformed batch. kUnimplemented, kResourceExhausted: as Decompress. kInvalidArgument: a rebuilt batch
  // above 2^31-1 bytes.
  [[nodiscard]] absl::StatusOr<FilteredBatch> Filter(const RecordBatchView& batch, const FilterRules& rules,
                                                     const KeepRecords& keep);

  // The header that stays of a batch without its records. Never fails on a batch whose offsets are sane.
  [[nodiscard]] absl::StatusOr<std::span<const std::byte>> Empty(const RecordBatchView& batch);

 private:
  struct Decision {
    int32_t kept_count = 0;
    bool kept_tombstone = false;
  };
  [[nodiscard]] absl::StatusOr<Decision> Decide(const RecordBatchView& batch, const KeepRecords& keep);
  void Ask(std::span<const RecordView> records, const KeepRecords& keep, Decision* decision);
  [[nodiscard]] absl::Status AddKept(const RecordBatchView& batch);

  DecodeBuffer decoded_;
  std::array<RecordView, kRecordsAsked> asked_;
  std::vector<bool> kept_;  // by number of the record in the batch
  RecordBatchBuilder builder_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_RECORD_BATCH_FILTER_H_
