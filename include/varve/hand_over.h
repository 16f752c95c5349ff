// AdoptPartition and ExportPartition: a partition handed over to Apache Kafka, and taken back out.
//
// A broker serves a partition directory only under its own name and topic id, in its log directory, and believes what
// the checkpoints there say of it. Adopting brings a copy in under exactly these conditions:
//
//   1. the topic is created in Kafka, replication factor 1, and the broker stopped: it has made TOPIC-N, empty
//   2. absl::StatusOr<varve::AdoptResult> adopted =
//          varve::AdoptPartition(varve::FileSystem::Default(), "data/orders-0", "/var/lib/kafka/data");
//   3. the broker is started: it serves offsets adopted->log_start_offset to adopted->log_end_offset
//
// Exporting is the way back: the copy lies in a directory of its own and has its own marks, in varve.state.
//
// Both copy, sync all they have copied, and only then give it its name: a crash at any point leaves the source whole,
// and at the target what was there before, nothing, or the whole copy. What an interrupted adoption leaves is named
// TOPIC-N.UNIQUE-delete: the next adoption of the partition puts back what was put aside there, and removes it; a
// broker removes it log.segment.delete.delay.ms after its start, and makes TOPIC-N anew where it is missing. Where the
// source is removed, it is called .NAME.UNIQUE-moved meanwhile: once it has that name, the copy is in place, and what an
// interruption leaves of it is of no use; the next adoption that moves a source called NAME from there removes it. An
// interrupted export leaves .NAME.UNIQUE-export beside its target, and the next one to there removes it. On an OverlayFileSystem either is a dry run; paths
// are then to be absolute, without links.
//
// Modification times are the copy's: Kafka's retention goes by them where a segment has no timestamps.
//
// Thread rules: free functions; each holds the locks of the directories that it reads and changes.
#ifndef VARVE_HAND_OVER_H_
#define VARVE_HAND_OVER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/file_system.h"
#include "varve/log_options.h"
#include "varve/recovery_report.h"
#include "varve/topic_partition.h"

namespace varve {

struct AdoptOptions {
  std::optional<TopicPartition> as = std::nullopt;  // absent: what the name of the directory says
  // As Kafka prints it, 22 characters. Absent: that of the directory which the broker made for the partition.
  std::optional<std::string> topic_id = std::nullopt;
  // The source goes once the copy is in place; it takes the room of both until then. Whoever asks for it must know that
  // the broker keeps the copy: that the topic has one replica, or else its leader, whose log is empty, has the copy cut
  // down to that; and that its retention.ms and retention.bytes reach back to the first record.
  bool move = false;
  ProgressCallback copy_progress = nullptr;
  ProgressCallback verify_progress = nullptr;  // of the check of the copy
};

struct AdoptResult {
  TopicPartition partition;
  std::string directory;   // in the log directory
  std::string topic_id;    // 22 characters
  std::string cluster_id;  // of meta.properties; empty where it does not say
  std::string node_id;
  int64_t log_start_offset = 0;
  int64_t log_end_offset = 0;
  // Below log_end_offset while a transaction is open: no broker will end it by itself.
  int64_t last_stable_offset = 0;
  int64_t segments = 0;
  int64_t bytes = 0;       // of all files
  bool compacted = false;  // a part of the log at least: no topic without cleanup.policy=compact goes on with that
  // That go along: those with an open transaction. Should a producer of the cluster get the id of one, the broker takes
  // its batches for that one's: it refuses them, or takes them for duplicates.
  int64_t producers = 0;
  int32_t max_leader_epoch = 0;          // the latest epoch that the broker knew
  int64_t batches_restamped = 0;         // that bore a later one, and bear this one now
  bool replaced_empty = false;           // the broker's own directory of the partition
  bool stopped_cleanly = false;          // the broker; otherwise it checks its logs when it starts
  bool source_removed = false;           // AdoptOptions::move
  std::vector<std::string> left_behind;  // files that did not go along: varve's own, and what is no file of a partition
};

// Puts a copy of the closed partition in `directory` into `log_directory`, that of a stopped broker. Of the varve.*
// files none goes along: Kafka would ignore them, and they would speak of a log that has changed since.
//
// The broker is to know none of the producers that the log knew, but for those with an open transaction, without whom
// it could not be aborted: a cluster gives out ids of its own, from 0 on, and whoever gets a known one has its records
// taken for some that are there already. So the copy has one snapshot of producers, at its end, and ends with an empty
// segment, so that no recovery meets the earlier ones either.
//
// A leader epoch above the latest that the broker knows would be thrown away by the broker, skipped by followers and
// taken for a truncation by consumers: such batches, and the epoch file, get that latest epoch. It is outside of the
// checksum; the records are as they were. The lines of the checkpoints are set; the clean marker stays as it is, and
// what it says holds for the copy too. The copy is checked, checksums and all, before it gets its name.
//
// Errors: kInvalidArgument: `log_directory` is none of a broker, or its meta.properties names no cluster.id or node.id;
// the topic id is not the broker's, as far as the directories of the partition and its neighbours tell; a name or an id
// is none, or Kafka would not tell the topic from another. kAlreadyExists: the broker's directory holds records, or has
// held any, or files that an empty partition has not. kFailedPrecondition: the source was not closed cleanly, holds
// damage that a recovery noted, or has to be recovered, or an opening would change its files; a checkpoint of the
// broker cannot be parsed; the broker has not made the partition, or never led it; with `move`, the source holds what
// would be lost. kPermissionDenied: the log directory is another user's than whom this process runs as, whose files its
// broker could not use; or it may not read the source, or with `move` not write there. kUnavailable: the broker runs, or
// another adoption, or the partition is open for writing. kDataLoss: damage in the copy, or another log in it than in
// the source. Others: as the file system. After an error the target is as it was before, unless the message says that
// undoing failed as well; only where removing the source failed is the copy in place already.
[[nodiscard]] absl::StatusOr<AdoptResult> AdoptPartition(FileSystem* file_system, const std::string& directory,
                                                         const std::string& log_directory,
                                                         const AdoptOptions& options = {});

struct ExportOptions {
  ProgressCallback copy_progress = nullptr;
  ProgressCallback recovery_progress = nullptr;  // of the copy, if the broker was not stopped cleanly
};

struct ExportResult {
  std::optional<std::string> topic_id = std::nullopt;  // partition.metadata goes along
  int64_t log_start_offset = 0;
  int64_t log_end_offset = 0;
  int64_t segments = 0;
  int64_t bytes = 0;                     // of all files that were copied
  bool stopped_cleanly = false;          // the broker
  RecoveryReport report;                 // of the copy's first opening
  std::vector<std::string> notes;        // checkpoints that cannot be parsed, and count as absent
  std::vector<std::string> left_behind;  // files that did not go along
};

// Copies the partition in `directory`, which lies in the log directory of a stopped broker, to `target`: an absolute path
// whose name is free, not below a log directory as far as the names on its way tell (links are not followed). The lock
// of the log directory is taken, for which it has to be writable. The copy is opened with the marks that the broker
// left, recovered if they say so, and closed cleanly: what its varve.state vouches for is what the marks vouched for and
// what the opening has seen. The source stays as it is.
//
// Errors: kInvalidArgument: `directory` is not in a log directory; `target` is, or is a relative path. kAlreadyExists:
// `target`. kPermissionDenied: there is no lock file, and this runs as another user than the broker. kUnavailable: the
// broker runs, or the partition is open for writing. Others: as Log::Open and the file system; then there is no target.
[[nodiscard]] absl::StatusOr<ExportResult> ExportPartition(FileSystem* file_system, const std::string& directory,
                                                           const std::string& target,
                                                           const ExportOptions& options = {});

}  // namespace varve

#endif  // VARVE_HAND_OVER_H_
