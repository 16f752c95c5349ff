// A partition's leader epochs brought down to one that nobody will take for the future: in the list of epochs, and in
// the batches, where the epoch is outside of the checksum.
//
// Epochs above the limit become the limit. Their order stays; where one ended and the next began is no longer told,
// which only replicas of the partition under its former leaders would ask for.
//
// Thread rules: free functions; a file has one writer at a time.
#ifndef VARVE_LIB_LOG_LEADER_EPOCH_LIMIT_H_
#define VARVE_LIB_LOG_LEADER_EPOCH_LIMIT_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "varve/file_system.h"
#include "varve/leader_epoch.h"

namespace varve::internal {

// Of epochs that rise in both members, and so does the answer.
[[nodiscard]] std::vector<LeaderEpoch> LimitLeaderEpochs(std::span<const LeaderEpoch> epochs, int32_t max_epoch);

// Of the batches of a .log, in place; nothing is synced. Answers how many bore a later epoch. kDataLoss: what is not
// batches up to the end. Cost: the headers are read, and four bytes written for each batch that changes.
[[nodiscard]] absl::StatusOr<int64_t> LimitBatchEpochs(File* log_file, int32_t max_epoch);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_LEADER_EPOCH_LIMIT_H_
