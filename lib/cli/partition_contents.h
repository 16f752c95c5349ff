// PartitionContents: what the files of a partition hold, file by file, as they are. It trusts no index and repairs
// nothing; what it cannot make out it lists.
//
// Thread rules: one thread. Lifetime: the file system must outlive it. Cost: files are read when they are asked for,
// and sequentially; no more than one batch is in memory.
#ifndef VARVE_LIB_CLI_PARTITION_CONTENTS_H_
#define VARVE_LIB_CLI_PARTITION_CONTENTS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/compression.h"
#include "varve/file_system.h"
#include "varve/leader_epoch.h"
#include "varve/log_options.h"
#include "varve/partition_files.h"
#include "varve/producer_state.h"
#include "varve/record_batch.h"
#include "varve/sparse_offset_index.h"
#include "varve/time_index.h"
#include "varve/transaction_index.h"

namespace varve::cli {

// What one segment's files hold. Counts are of the files: records below the log start included.
struct SegmentSummary {
  int64_t base_offset = 0;
  int64_t log_bytes = 0;  // of the file
  int64_t batches = 0;
  int64_t records = 0;
  int64_t next_offset = 0;
  int64_t min_timestamp_ms = kNoTimestamp;  // smallest and largest of the batches' max timestamps
  int64_t max_timestamp_ms = kNoTimestamp;
  int64_t index_entries = 0;
  int64_t time_index_entries = 0;
  int64_t aborted_transactions = 0;
  std::map<Codec, int64_t> batches_of_codec;
};

struct PartitionSummary {
  int64_t log_start_offset = 0;
  int64_t log_end_offset = 0;
  int64_t last_stable_offset = 0;
  int64_t recovery_point = 0;
  int64_t batches = 0;
  int64_t records = 0;
  std::vector<SegmentSummary> segments;
  std::vector<ProducerStateEntry> producers;
  std::vector<LeaderEpoch> leader_epochs;
};

// Where the entries of an index file end: zeros behind them are the room that an active segment's index has.
struct EntriesInUse {
  size_t count = 0;
  size_t padding_bytes = 0;
};
[[nodiscard]] EntriesInUse CountEntries(const SparseOffsetIndex& index);
[[nodiscard]] EntriesInUse CountEntries(const TimeIndex& index);

// "PATH position P: message".
[[nodiscard]] std::string FaultAt(const std::string& path, int64_t position, const absl::Status& status);

class PartitionContents {
 public:
  // A batch: its position in the .log, itself, and whether its checksum matches. The records of one that does not
  // cannot be believed. False ends the visit.
  using BatchVisitor = std::function<bool(int64_t position, const RecordBatchView& batch, bool crc_matches)>;

  // All files of a partition directory. Errors: as ListPartitionFiles.
  [[nodiscard]] static absl::StatusOr<PartitionContents> OfDirectory(FileSystem* file_system,
                                                                     const std::string& directory);
  // A single file of one, by its path.
  [[nodiscard]] static PartitionContents OfFile(FileSystem* file_system, const std::string& path);

  [[nodiscard]] const std::vector<PartitionFile>& files() const { return files_; }
  // The files of a kind, in the order of their offsets.
  [[nodiscard]] std::vector<PartitionFile> Files(PartitionFileKind kind) const;
  [[nodiscard]] std::string PathOf(const PartitionFile& file) const { return directory_ + "/" + file.name; }

  // Reads all batch headers. Offsets of the log as the files alone tell them.
  [[nodiscard]] absl::StatusOr<PartitionSummary> Summarize();

  // The batches of a .log, checksums computed if `check_crc` (else they count as matching). Faults are listed.
  [[nodiscard]] absl::Status VisitBatches(const PartitionFile& file, bool check_crc, const BatchVisitor& visit);

  [[nodiscard]] absl::StatusOr<SparseOffsetIndex> LoadOffsetIndex(const PartitionFile& file) const;
  [[nodiscard]] absl::StatusOr<TimeIndex> LoadTimeIndex(const PartitionFile& file) const;
  [[nodiscard]] absl::StatusOr<TransactionIndex> LoadTransactionIndex(const PartitionFile& file) const;

  // To be told of the bytes read, of all that `passes` readings of every .log take (of a single file, of that).
  void ReportProgress(ProgressCallback progress, int64_t passes);

  // What was met so far that is damage, and what is odd but none; each names its file and is listed once.
  [[nodiscard]] const std::vector<std::string>& faults() const { return faults_; }
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }
  void AddFault(std::string fault);
  void AddNote(std::string note);
  // Notes the room behind an index file's entries, if there is any.
  void NotePadding(const PartitionFile& file, const EntriesInUse& in_use);
  // Lists damage as a fault and answers OK, so that the rest can be looked at; passes any other failure on.
  [[nodiscard]] absl::Status TakeFault(const absl::Status& status);

 private:
  PartitionContents(FileSystem* file_system, std::string directory, std::vector<PartitionFile> files)
      : file_system_(file_system), directory_(std::move(directory)), files_(std::move(files)) {}

  absl::StatusOr<SegmentSummary> SummarizeSegment(const PartitionFile& log_file);
  absl::Status CountIndexEntries(SegmentSummary* segment);
  absl::Status SummarizeState(PartitionSummary* summary);

  FileSystem* file_system_;
  std::string directory_;
  std::vector<PartitionFile> files_;
  ProgressCallback progress_;
  int64_t total_bytes_ = 0;
  int64_t visited_bytes_ = 0;  // of the files visited so far
  std::vector<std::string> faults_;
  std::vector<std::string> notes_;
};

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_PARTITION_CONTENTS_H_
