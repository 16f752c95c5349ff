// The directory in which an adoption makes its copy, and puts aside what it replaces.
//
//   LOG_DIR/TOPIC-N.UNIQUE-delete/TOPIC-N    the copy
//   LOG_DIR/TOPIC-N.UNIQUE-delete/replaced   the broker's empty directory
//
// TOPIC may be cut short in the first name, so that the copy's, which is whole, tells whose stage it is: as long as
// something is put aside there, a directory of that name stays, be it an empty one.
//
// Brokers remove what has such a name, log.segment.delete.delay.ms after they have started. What Kafka itself names so
// holds files, these only directories.
//
// Thread rules: free functions; the caller holds the lock of the log directory.
#ifndef VARVE_LIB_STORE_ADOPTION_STAGE_H_
#define VARVE_LIB_STORE_ADOPTION_STAGE_H_

#include <string>

#include "absl/status/status.h"
#include "varve/file_system.h"
#include "varve/topic_partition.h"

namespace varve::internal {

struct AdoptionStage {
  std::string path;
  std::string copy;
  std::string replaced;
};

// Of a name that is free. Nothing is made.
[[nodiscard]] AdoptionStage NewAdoptionStage(const std::string& log_directory, const TopicPartition& partition);

// Ends the adoptions of this partition that were killed: what had been put aside in vain is put back, with the
// checkpoints of an empty partition, and their stages go. Errors: as WriteCheckpointLines and the file system.
[[nodiscard]] absl::Status ClearAdoptionStages(FileSystem* file_system, const std::string& log_directory,
                                               const TopicPartition& partition);

}  // namespace varve::internal

#endif  // VARVE_LIB_STORE_ADOPTION_STAGE_H_
