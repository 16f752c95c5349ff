// The partition that is to be adopted, judged as an opening would, and its copy held against that judgement: an opening
// may give files other names or other bytes before it serves them, and what is copied is what is there.
//
// Thread rules: free functions; the caller holds the lock of the partition.
#ifndef VARVE_LIB_STORE_ADOPTION_SOURCE_H_
#define VARVE_LIB_STORE_ADOPTION_SOURCE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "store/adoption_plan.h"
#include "varve/file_system.h"
#include "varve/leader_epoch.h"
#include "varve/partition_files.h"
#include "varve/producer_state.h"

namespace varve::internal {

struct AdoptionSource {
  std::vector<PartitionFile> files;  // that go along as they are, but for epochs
  std::vector<std::string> left_behind;
  std::vector<SegmentExtent> segments;
  std::vector<LeaderEpoch> leader_epochs;
  // With an open transaction, for which a broker has to know them. No other goes along: a cluster gives producers ids
  // of its own, and would take the records of one that got the id of another's for records that are there already.
  std::vector<ProducerStateEntry> producers;
  AdoptedExtent extent;
  int64_t last_stable_offset = 0;
};

// Reads nothing of the records: what the partition's own marks vouch for is believed. Changes nothing. With `move`,
// nothing may stay behind that anybody could want. kFailedPrecondition: not closed cleanly, or an opening would change
// a file that goes along, or damage is known, or something would be lost. Others: as Log::Open.
[[nodiscard]] absl::StatusOr<AdoptionSource> InspectAdoptionSource(FileSystem* file_system,
                                                                   const std::string& directory, bool move);

// Opens the copy for reading, with the marks that it is handed over with. kDataLoss: it is not, segment for segment and
// byte for byte of their sizes, what `source` was judged to be.
[[nodiscard]] absl::Status CheckAdoptedCopy(FileSystem* file_system, const std::string& copy,
                                            const AdoptionSource& source);

}  // namespace varve::internal

#endif  // VARVE_LIB_STORE_ADOPTION_SOURCE_H_
