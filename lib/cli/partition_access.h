// How commands get at a partition: checks that say what is wrong with a path, marks of a Kafka data directory, and a
// Log opened for reading or for writing by the rules for each.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_PARTITION_ACCESS_H_
#define VARVE_LIB_CLI_PARTITION_ACCESS_H_

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

// The partitions in a directory: itself if it is one, else the subdirectories named TOPIC-N that are, sorted.
// kInvalidArgument where there is none; else as CheckPartition.
[[nodiscard]] absl::StatusOr<std::vector<std::string>> PartitionsIn(FileSystem* file_system,
                                                                    const std::string& directory);

// Opens read-only: no lock, no change, an unclean directory answered as opening would leave it. Notes what is odd about
// the marks on standard error in the name of `command`.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Log>> OpenForReading(std::string_view command,
                                                                  const std::string& directory);

struct WritablePartition {
  DataDirectory data;
  std::unique_ptr<Log> log;
};

// Opens for writing with `options` and the marks beside the partition. Below a Kafka data directory the clean marker is
// removed first, which is noted on standard error, but only once it is known that the open would succeed.
[[nodiscard]] absl::StatusOr<WritablePartition> OpenForWriting(std::string_view command, const std::string& directory,
                                                               LogOptions options);

// Before the first change: DataDirectory::PrepareForWriting, and a note if it removed the clean marker.
[[nodiscard]] absl::Status PrepareForWriting(std::string_view command, DataDirectory* data);

// DataDirectory::Of, its notes passed on.
[[nodiscard]] absl::StatusOr<DataDirectory> ReadMarks(std::string_view command, FileSystem* file_system,
                                                      const std::string& directory);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_PARTITION_ACCESS_H_
