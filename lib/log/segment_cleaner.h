// SegmentCleaner: the second half of a compaction, which copies what is left of some neighbouring segments into one, a
// batch at a time (Kafka Cleaner.cleanSegments, format notes §7.4). Of each batch:
//
//   1. It stays, as an empty header if need be, if it is an active producer's last one, so that the producer's sequence
//      is not forgotten, or if it ends the range that this round cleans, so that the log's end can be told.
//   2. All its records go if it is data of an aborted transaction, or a marker of nothing whose horizon has passed.
//   3. Else a record stays if it is above the key map's end; or if it has a key, no later one in the map, and a value
//      or a delete horizon to come. A tombstone that stays, and a marker of nothing, gets its horizon: now + delete
//      retention.
//
// An active producer's last batch: the one of its last data; if there was none, a marker of its epoch.
//
// The output is N.log.cleaned, N.index.cleaned, N.timeindex.cleaned and, where it has entries, N.txnindex.cleaned, N
// being the first source's base offset: of exact sizes, with the index entries that an append of the same batches would
// have made, synced, their names not. Sources stay untouched.
//
// Thread rules: one thread at a time; the segments it reads are sealed. Memory: a batch, decoded and rebuilt, a buffer
// for reading and one for writing.
#ifndef VARVE_LIB_LOG_SEGMENT_CLEANER_H_
#define VARVE_LIB_LOG_SEGMENT_CLEANER_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "log/cleaned_files.h"
#include "log/cleaned_transactions.h"
#include "log/key_offset_map.h"
#include "log/source_reader.h"
#include "record/batch_filter.h"
#include "varve/compaction.h"
#include "varve/file_system.h"
#include "varve/record_batch.h"
#include "varve/time_index.h"

namespace varve::internal {

// Of a producer that the log knows.
struct ActiveProducer {
  std::optional<int64_t> last_data_offset = std::nullopt;  // of its last batch of data, if one is known
  int16_t epoch = kNoProducerEpoch;
};
using ActiveProducers = std::unordered_map<int64_t, ActiveProducer>;  // by producer id

// What all groups of a pass have in common.
struct CleaningPass {
  FileSystem* file_system = nullptr;
  std::string directory;
  const KeyOffsetMap* map = nullptr;
  int64_t map_end_offset = 0;
  // The batch that ends right below it stays.
  int64_t round_end_offset = 0;
  int64_t now_ms = 0;
  int64_t delete_retention_ms = 0;
  int64_t index_interval_bytes = 0;
  int64_t segment_index_bytes = 0;
  ActiveProducers producers;
  CleanedTransactions transactions;  // goes on from group to group
};

struct CleanedSegment {
  int64_t base_offset = 0;
  int64_t next_offset = 0;  // behind the last batch; the base offset if there is none
  int64_t size_bytes = 0;   // of the .log
  int64_t offset_index_bytes = 0;
  int64_t time_index_bytes = 0;
  int64_t transaction_index_bytes = 0;  // 0: there is no such file
  TimestampOffset largest_timestamp;    // {-1, base offset} where no batch has one

  int64_t bytes_read = 0;
  int64_t records_read = 0;  // markers among them
  int64_t records_kept = 0;
  RemovedRecords removed;
};

// What becomes of one batch, by its header and its transaction.
struct BatchRetention {
  bool drop_records = false;     // all of them
  bool retain_empty = false;     // whatever becomes of its records
  bool horizon_for_any = false;  // a marker that can go gets a horizon
};
// `discardable`: data of an aborted transaction, or a marker of nothing.
[[nodiscard]] BatchRetention JudgeRetention(const RecordBatchView& batch, bool discardable, const CleaningPass& pass);

// True if a rebuilt batch may be written: it is no larger than it was, or the segment keeps room for all that is yet to
// be read, should none of it shrink. (Compression of fewer records, by another encoder, can take more bytes.)
[[nodiscard]] bool MayRebuild(int64_t position, int64_t rebuilt_bytes, int64_t source_bytes, int64_t bytes_to_read);

class SegmentCleaner {
 public:
  // `sources`: neighbours in order, at least one, 2^31-1 bytes and offsets in all at most. `pass` outlives it.
  SegmentCleaner(std::vector<SourceSegment> sources, CleaningPass* pass);
  SegmentCleaner(const SegmentCleaner&) = delete;
  SegmentCleaner& operator=(const SegmentCleaner&) = delete;

  // Copies what is left of the next batch. False where there is none: Finish is next. Errors: as SourceReader,
  // CleanedTransactions, BatchFilter and the file system; kResourceExhausted where the disk is full; kInvalidArgument for
  // sources beyond their bounds. After an error, of Finish too, there is no .cleaned file of the group, unless removing
  // it failed as well, and the pass cannot go on.
  [[nodiscard]] absl::StatusOr<bool> Step();
  [[nodiscard]] int64_t bytes_read() const { return source_.bytes_read(); }

  // Completes the files, which are the caller's from then on. Errors: as Step.
  [[nodiscard]] absl::StatusOr<CleanedSegment> Finish();

  // Instead of Finish: removes the files as far as there are any.
  void Discard() { files_.Remove().IgnoreError(); }

 private:
  [[nodiscard]] absl::Status Create();
  [[nodiscard]] absl::StatusOr<bool> CopyNext();
  // What is to be written of the batch.
  [[nodiscard]] absl::StatusOr<std::span<const std::byte>> CleanBatch(const RecordBatchView& batch);
  // True for data of an aborted transaction, and for a marker of nothing.
  [[nodiscard]] absl::StatusOr<bool> EnterTransaction(const RecordBatchView& batch);
  void Keep(std::span<const RecordView> records, std::span<bool> keep);
  [[nodiscard]] bool Stays(const RecordView& record, const KeyOffsetMap::Hash& key);

  CleaningPass& pass_;
  const int64_t base_offset_;
  const int64_t size_bytes_;  // of the sources
  const int64_t new_horizon_ms_;
  SourceReader source_;
  CleanedFiles files_;
  bool created_ = false;
  BatchFilter filter_;
  std::optional<int64_t> delete_horizon_ms_;  // of the batch at hand
  const KeepRecords keep_ = [this](std::span<const RecordView> records, std::span<bool> keep) { Keep(records, keep); };
  const KeepRecords keep_all_ = [](std::span<const RecordView>, std::span<bool> keep) {
    std::ranges::fill(keep, true);
  };
  CleanedSegment counts_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_SEGMENT_CLEANER_H_
