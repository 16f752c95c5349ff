// Kafka's checkpoint files: text, one frame for all of them.
//
//   0                     version
//   2                     number of the lines that follow
//   orders 3 42           fields, separated by white space
//   __consumer_offsets 7 0
//
// Every line ends in LF. Four files of a data directory hold "topic partition offset":
// recovery-point-offset-checkpoint, log-start-offset-checkpoint, replication-offset-checkpoint and
// cleaner-offset-checkpoint; a partition's leader-epoch-checkpoint holds "epoch start-offset". A file without a second
// line, an empty one above all, has no entries. Files are replaced whole (io/whole_file.h): a crash leaves the old
// content or the new one. (Kafka: CheckpointFile, OffsetCheckpointFile, LeaderEpochCheckpointFile.)
//
// Thread rules: free functions; one writer a file at a time.
// Errors: kDataLoss for any fault of the text, naming the line; kNotFound if there is no file; else as the file system.
#ifndef VARVE_LIB_STATE_CHECKPOINT_FILE_H_
#define VARVE_LIB_STATE_CHECKPOINT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/file_system.h"
#include "varve/leader_epoch.h"
#include "varve/topic_partition.h"

namespace varve::internal {

inline constexpr char kRecoveryPointCheckpoint[] = "recovery-point-offset-checkpoint";
inline constexpr char kLogStartOffsetCheckpoint[] = "log-start-offset-checkpoint";
inline constexpr char kReplicationOffsetCheckpoint[] = "replication-offset-checkpoint";
inline constexpr char kCleanerOffsetCheckpoint[] = "cleaner-offset-checkpoint";
inline constexpr char kLeaderEpochCheckpoint[] = "leader-epoch-checkpoint";

// Of each partition an offset; which, the file's name says. A partition that is named twice has its last offset.
using OffsetCheckpoint = std::map<TopicPartition, int64_t>;

// `path` is for messages.
[[nodiscard]] absl::StatusOr<OffsetCheckpoint> ParseOffsetCheckpoint(std::string_view path, std::string_view text);
[[nodiscard]] std::string FormatOffsetCheckpoint(const OffsetCheckpoint& checkpoint);
[[nodiscard]] absl::StatusOr<OffsetCheckpoint> ReadOffsetCheckpoint(FileSystem* file_system, const std::string& path);
// Durable when it returns OK.
[[nodiscard]] absl::Status WriteOffsetCheckpoint(FileSystem* file_system, const std::string& path,
                                                 const OffsetCheckpoint& checkpoint);

// The lines as they stand: LeaderEpochCache applies them one by one.
[[nodiscard]] absl::StatusOr<std::vector<LeaderEpoch>> ParseLeaderEpochs(std::string_view path, std::string_view text);
[[nodiscard]] std::string FormatLeaderEpochs(std::span<const LeaderEpoch> epochs);
[[nodiscard]] absl::StatusOr<std::vector<LeaderEpoch>> ReadLeaderEpochs(FileSystem* file_system,
                                                                        const std::string& path);
// Durable when it returns OK.
[[nodiscard]] absl::Status WriteLeaderEpochs(FileSystem* file_system, const std::string& path,
                                             std::span<const LeaderEpoch> epochs);

}  // namespace varve::internal

#endif  // VARVE_LIB_STATE_CHECKPOINT_FILE_H_
