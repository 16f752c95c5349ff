// How commands get at a partition: checks that say what is wrong with a path, marks of a Kafka data directory, and a
// Log opened for reading or for writing by the rules for each.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_PARTITION_ACCESS_H_
#define VARVE_LIB_CLI_PARTITION_ACCESS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/data_directory.h"
#include "varve/file_system.h"
#include "varve/log.h"
#include "varve/log_options.h"

namespace varve::cli {

// OK if `directory` holds files of a partition. kNotFound: no such directory. kInvalidArgument: a file, or a directory
// without a partition's files. kPermissionDenied.
[[nodiscard]] absl::Status CheckPartition(FileSystem* file_system, const std::string& directory);

// The partitions in a directory: itself if it is one, else the subdirectories named TOPIC-N that are, or that cannot be
// looked into, sorted. kInvalidArgument where there is none; else as CheckPartition.
[[nodiscard]] absl::StatusOr<std::vector<std::string>> PartitionsIn(FileSystem* file_system,
                                                                    const std::string& directory);

// The path that `directory` leads to, whatever links are on the way, and whether it is there or not: a partition's own
// name and parent count, which ".", "../orders-0/." and a symbolic link do not tell.
[[nodiscard]] absl::StatusOr<std::string> CanonicalPath(const std::string& directory);

// The name that the user gave the directory by, be it a link's; where a path gives none, as "." and "..", its own.
// Errors: as CanonicalPath.
[[nodiscard]] absl::StatusOr<std::string> NameAsGiven(const std::string& directory);

// The bytes of all .log files of a partition. Errors: as FileSystem::List and Info.
[[nodiscard]] absl::StatusOr<int64_t> LogBytes(FileSystem* file_system, const std::string& directory);

// What stands before the bar of an opening that has to recover the partition.
[[nodiscard]] std::string RecoveryTitle(std::string_view command);

// Opens read-only: no lock, no change, an unclean directory answered as opening would leave it. Notes what is odd about
// the marks on standard error in the name of `command`.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Log>> OpenForReading(std::string_view command,
                                                                  const std::string& directory);

struct WritablePartition {
  DataDirectory data;  // keeps a broker away
  std::unique_ptr<Log> log;
};

// What is to be done with a log, tried on one that keeps every change in memory.
using Rehearsal = std::function<absl::Status(Log*)>;

// Opens for writing with `options` and the marks beside the partition. Below a Kafka data directory the clean marker is
// removed first, which is noted on standard error, but only once it is known that the open would succeed; and the
// checkpoints are lowered to where the log will end once it is open, after the rehearsal if there is one. With a
// rehearsal nothing at all is changed before that has succeeded; it costs a second opening. kUnavailable comes first:
// somebody else has the partition open for writing.
[[nodiscard]] absl::StatusOr<WritablePartition> OpenForWriting(std::string_view command, const std::string& directory,
                                                               LogOptions options,
                                                               const Rehearsal& rehearsal = nullptr);

// Before the first change: DataDirectory::PrepareForWriting, and a note if it removed the clean marker.
[[nodiscard]] absl::Status PrepareForWriting(std::string_view command, DataDirectory* data);

// DataDirectory::Of the place that `directory` leads to, whatever links are on the way; its notes are passed on.
[[nodiscard]] absl::StatusOr<DataDirectory> ReadMarks(std::string_view command, FileSystem* file_system,
                                                      const std::string& directory);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_PARTITION_ACCESS_H_
