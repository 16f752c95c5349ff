// Producer snapshots: NNNNNNNNNNNNNNNNNNNN.snapshot, the state of all producers as of the offset in the name (20
// digits): after every record below it and before any other. Big-endian:
//
//   bytes  field
//   0-1    int16   version, 1
//   2-5    uint32  CRC-32C of all that follows
//   6-9    int32   number of entries
//   then for each producer, in any order, 46 bytes:
//   0-7    int64   producer id
//   8-9    int16   epoch
//   10-13  int32   last sequence, -1 none
//   14-21  int64   last offset of data, -1 none
//   22-25  int32   last offset - first offset of that batch
//   26-33  int64   timestamp of the last batch or marker
//   34-37  int32   coordinator epoch, -1 none
//   38-45  int64   first offset of the open transaction, -1 none
//
// Only the newest batch of each producer is kept. A file may be written without a sync: after a crash it can be short
// or damaged, which its checksum shows, and the next older one serves, with more of the log to read. (Kafka:
// ProducerStateManager.readSnapshot, writeSnapshot, SnapshotFile.)
//
// Thread rules: free functions.
#ifndef VARVE_LIB_STATE_PRODUCER_SNAPSHOT_H_
#define VARVE_LIB_STATE_PRODUCER_SNAPSHOT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/file_system.h"
#include "varve/producer_state.h"

namespace varve::internal {

[[nodiscard]] std::string ProducerSnapshotName(int64_t offset);
// The offset in a snapshot's name; absent for any other name.
[[nodiscard]] std::optional<int64_t> ParseProducerSnapshotName(std::string_view name);

// The offsets of the snapshots in a directory, ascending. Errors: as FileSystem::List.
[[nodiscard]] absl::StatusOr<std::vector<int64_t>> ListProducerSnapshots(FileSystem* file_system,
                                                                         const std::string& directory);

[[nodiscard]] std::vector<std::byte> EncodeProducerSnapshot(std::span<const ProducerStateEntry> producers);
// `path` is for messages. kDataLoss: another version, a wrong checksum, or a size that is not that of its entries.
[[nodiscard]] absl::StatusOr<std::vector<ProducerStateEntry>> DecodeProducerSnapshot(std::string_view path,
                                                                                     std::span<const std::byte> bytes);

// Errors: as DecodeProducerSnapshot and ReadWholeFile.
[[nodiscard]] absl::StatusOr<std::vector<ProducerStateEntry>> ReadProducerSnapshot(FileSystem* file_system,
                                                                                   const std::string& path);

enum class SnapshotSync {
  kNone,     // a write to the page cache, as Kafka does at a roll, where nothing may wait for the disk
  kDurable,  // replaced by rename and on stable storage when the call returns
};

// Errors: as FileSystem::Open and File::WriteAt, or as ReplaceFile.
[[nodiscard]] absl::Status WriteProducerSnapshot(FileSystem* file_system, const std::string& path,
                                                 std::span<const ProducerStateEntry> producers, SnapshotSync sync);

}  // namespace varve::internal

#endif  // VARVE_LIB_STATE_PRODUCER_SNAPSHOT_H_
