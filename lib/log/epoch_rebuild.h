// Epoch rebuild: leader-epoch-checkpoint opened, or made anew from the batches where it cannot be read.
#ifndef VARVE_LIB_LOG_EPOCH_REBUILD_H_
#define VARVE_LIB_LOG_EPOCH_REBUILD_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "log/load_plan.h"
#include "state/leader_epoch_cache.h"
#include "varve/file_system.h"
#include "varve/recovery_report.h"

namespace varve::internal {

// A file that is missing is made empty, as Kafka does on every open. Cost of a rebuild: the headers of the whole log.
// Errors: as the file system.
[[nodiscard]] absl::StatusOr<std::unique_ptr<LeaderEpochCache>> OpenEpochs(FileSystem* file_system,
                                                                           const std::string& directory,
                                                                           const std::vector<PlannedSegment>& segments,
                                                                           std::vector<RecoveryFinding>* findings);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_EPOCH_REBUILD_H_
