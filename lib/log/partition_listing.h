// PartitionListing: the names in a partition directory, sorted into segments, snapshots and leftovers.
//
// A value: any thread may read it. The format notes §1.2 say what each name is.
#ifndef VARVE_LIB_LOG_PARTITION_LISTING_H_
#define VARVE_LIB_LOG_PARTITION_LISTING_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "segment/segment_files.h"
#include "varve/file_system.h"

namespace varve::internal {

// A file that an interrupted operation left, or an index without its .log.
struct LeftoverFile {
  std::string name;
  ParsedSegmentFile parts;

  friend bool operator==(const LeftoverFile&, const LeftoverFile&) = default;
};

struct PartitionListing {
  std::map<int64_t, std::set<SegmentFileKind>> segments;  // by base offset; each has its .log, snapshots are not listed
  std::set<int64_t> snapshots;                            // by the offset in the name
  std::vector<LeftoverFile> leftovers;                    // with a suffix, or orphans, by name
  std::vector<std::string> unfinished;                    // copies that had not taken their file's name yet, by name

  [[nodiscard]] bool Has(int64_t base_offset, SegmentFileKind kind) const;
  // Segment base offsets, ascending.
  [[nodiscard]] std::vector<int64_t> BaseOffsets() const;
};

// A segment's .log as found.
struct FoundSegment {
  int64_t base_offset = 0;
  int64_t size_bytes = 0;
  FileIdentity identity = {};
};

// Sorts names; those that no partition file has are passed over.
[[nodiscard]] PartitionListing SortNames(const std::vector<std::string>& names);

// Errors: as FileSystem::List.
[[nodiscard]] absl::StatusOr<PartitionListing> ListPartition(FileSystem* file_system, const std::string& directory);

// The segments of a listing, ascending. Cost: a call for each. Errors: as FileSystem::Info.
[[nodiscard]] absl::StatusOr<std::vector<FoundSegment>> FindSegments(FileSystem* file_system,
                                                                     const std::string& directory,
                                                                     const PartitionListing& listing);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_PARTITION_LISTING_H_
