// The files of a partition directory by kind, for tools that look at them as they are: Log and Segment serve what they
// hold.
//
//   00000000000000000042.log .index .timeindex .txnindex .snapshot   a segment; the number is an offset in 20 digits
//   leader-epoch-checkpoint, partition.metadata                      Kafka's text files
//   varve.cut-42, varve.*                                            what varve saved aside at offset 42; its own state
//   *.deleted *.cleaned *.swap                                       on their way out or in (Kafka LogFileUtils)
//
// Thread rules: free functions, callable from any thread.
//
//   absl::StatusOr<std::vector<varve::PartitionFile>> files = varve::ListPartitionFiles(fs, "data/orders-0");
//   for (const varve::PartitionFile& file : *files) {
//     if (file.kind == varve::PartitionFileKind::kLog) Visit(file.name, file.offset);
//   }
#ifndef VARVE_PARTITION_FILES_H_
#define VARVE_PARTITION_FILES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "varve/file_system.h"
#include "varve/log_options.h"

namespace varve {

enum class PartitionFileKind {
  kLog,
  kOffsetIndex,
  kTimeIndex,
  kTransactionIndex,
  kSnapshot,           // of producer state
  kLeaderEpochs,       // leader-epoch-checkpoint
  kPartitionMetadata,  // partition.metadata
  kSavedAside,         // varve.cut-OFFSET: bytes that recovery took out of a .log
  kOwn,                // any other varve.*
  kLeftover,           // a segment's file with the suffix .deleted, .cleaned or .swap
  kOther,              // no file of a partition
};

struct PartitionFile {
  std::string name;  // within the directory
  PartitionFileKind kind = PartitionFileKind::kOther;
  // In the name: a segment's base offset, the end offset of a snapshot, the first offset saved aside. -1 where the name
  // has none.
  int64_t offset = -1;

  friend bool operator==(const PartitionFile&, const PartitionFile&) = default;
};

// By the name alone; `name` is without a directory.
[[nodiscard]] PartitionFile ClassifyPartitionFile(std::string_view name);

// Every name in the directory, in the order of names: segments by base offset. Errors: as FileSystem::List.
[[nodiscard]] absl::StatusOr<std::vector<PartitionFile>> ListPartitionFiles(FileSystem* file_system,
                                                                            const std::string& directory);

// What was written down about a partition, beside it and in it, as far as it matches the files.
struct MergedMarks {
  bool clean = false;            // both say so, where both exist; one at least exists
  int64_t recovery_point = 0;    // the lower of both
  int64_t log_start_offset = 0;  // the higher of both; a mark of before varve started the log anew further down is none
  // varve.state's: below it the log is compacted. 0 where there is none, or it does not match the files.
  int64_t first_dirty_offset = 0;
};

// Merges the marks beside a partition with those of its own varve.state, as opening does. Errors: as the file system.
// Cost: the size of each segment, and the batch before the recovery point; should another one stand there, the headers
// from the last index entry before it on.
[[nodiscard]] absl::StatusOr<MergedMarks> MergeMarks(FileSystem* file_system, const std::string& directory,
                                                     const OpenMarks& beside);

// True while somebody (this process included) has the partition open for writing. Errors: as FileSystem::IsLocked.
[[nodiscard]] absl::StatusOr<bool> PartitionHasWriter(FileSystem* file_system, const std::string& directory);

// OK if nobody has, else kUnavailable, naming who. Log::Open answers the same, after its lock was refused: this is for
// who has work to do before that. Errors: as FileSystem::IsLocked.
[[nodiscard]] absl::Status CheckNoWriter(FileSystem* file_system, const std::string& directory);

}  // namespace varve

#endif  // VARVE_PARTITION_FILES_H_
