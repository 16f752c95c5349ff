// varve.state: what varve must remember of a partition beyond Kafka's own files. Kafka ignores it and no reader needs
// it.
//
// Two 512-byte slots written in turn, each with its own sequence number and checksum, in one file: the valid
// slot with the higher number counts. A slot is never rewritten while it is the one that counts, so a crash in the
// middle of a store leaves the one before. Store() puts values into the page cache (they survive the process); Sync()
// makes them stable. A directory without the file, or with two invalid slots, has durable point 0 and counts as
// restarted.
#ifndef VARVE_LIB_LOG_PARTITION_STATE_H_
#define VARVE_LIB_LOG_PARTITION_STATE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/file_system.h"
#include "varve/log_options.h"

namespace varve::internal {

// A change of names or sizes that is announced before it begins, so that opening can carry it through (durability
// notes, Writing 7).
enum class PendingOperation : uint8_t {
  kNone = 0,
  kTruncateTo = 1,    // drop everything at and above pending_offset, which is all behind the durable point
  kStartAt = 2,       // drop everything; an empty log at pending_offset
  kDeleteBefore = 3,  // drop the segments wholly below pending_offset, which is not above log_start_offset
};

// Everything below `offset` is on stable storage. Named by the last batch below it, so that a directory that somebody
// else has changed meanwhile is recognised: where that batch is not there, the point is void.
struct DurablePoint {
  int64_t offset = 0;
  int64_t segment = 0;          // base offset of the segment the point lies in
  int64_t position = 0;         // bytes of that segment below the point
  int64_t batch_position = -1;  // of the last batch below the point in that segment; -1 where the segment has none
  uint32_t batch_crc = 0;       // its header's checksum

  friend bool operator==(const DurablePoint&, const DurablePoint&) = default;
};

// A byte of the log: `position` of the segment with that base offset.
struct LogPlace {
  int64_t segment = 0;
  int64_t position = 0;

  friend bool operator==(const LogPlace&, const LogPlace&) = default;
};

struct PartitionStateValues {
  std::array<uint8_t, 16> lineage{};  // random, new whenever varve starts to keep state here; names the state's owner
  bool clean = false;                 // closed cleanly at `durable`; nothing was changed since
  std::string boot_id;                // of the kernel that last wrote here; at most 36 characters
  FileIdentity active;                // of the active segment's .log
  DurablePoint durable;
  int64_t log_start_offset = 0;
  int64_t index_interval_bytes = 4096;
  PendingOperation pending = PendingOperation::kNone;
  int64_t pending_offset = 0;
  LogPlace pending_end;  // kTruncateTo, kStartAt: where the files ended when the operation was announced
  // Everything below was compacted. Where that is the log start or below it, nothing was: so a file says that is older
  // than this field, which was zero.
  int64_t first_dirty_offset = 0;
  // What Kafka's log-start-offset-checkpoint said when varve last started the log anew below that: it is of before, and
  // counts for nothing as long as it says the same. 0: nothing of the kind; so says a file that is older than this field.
  int64_t superseded_log_start = 0;

  friend bool operator==(const PartitionStateValues&, const PartitionStateValues&) = default;
};

// What is asked for, else what the partition was written with, else Kafka's default.
[[nodiscard]] inline int64_t IndexIntervalBytes(const LogOptions& options,
                                                const std::optional<PartitionStateValues>& state) {
  return options.index_interval_bytes.value_or(state.value_or(PartitionStateValues()).index_interval_bytes);
}

class PartitionState {
 public:
  static constexpr char kFileName[] = "varve.state";

  // Opens the file, or makes it with a fresh lineage (then stored() is false until the first Store). A file that the
  // device cannot read is replaced. What was `known` of it, from an earlier look, stays: where the file tells nothing any
  // more it is stored, and stable when this returns. Where nothing was known the new file tells that something was lost.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<PartitionState>> Open(
      FileSystem* file_system, const std::string& directory,
      const std::optional<PartitionStateValues>& known = std::nullopt);
  // The values of a directory that is only read; absent where there is no file or no valid slot. Where that cannot be a
  // crash's doing, since the device cannot read the file or both slots hold something else, *fault (unless null) says
  // so.
  [[nodiscard]] static absl::StatusOr<std::optional<PartitionStateValues>> Peek(FileSystem* file_system,
                                                                                const std::string& directory,
                                                                                std::string* fault = nullptr);

  [[nodiscard]] bool stored() const { return stored_; }
  [[nodiscard]] const PartitionStateValues& values() const { return values_; }

  // Into the page cache, by a write call: a store into a mapping would end the process where a copy-on-write file
  // system has no room for it. Where it fails, values() and the file stay as they were, and the next Sync says why:
  // what is stored on the way, without a sync, is a lower bound that may lag. One thread at a time.
  void Store(const PartitionStateValues& values);

  // The error of the last Store.
  [[nodiscard]] const absl::Status& store_status() const { return store_status_; }

  // Makes what was stored stable; the error of the last Store, if it failed.
  [[nodiscard]] absl::Status Sync();

 private:
  PartitionState() = default;
  std::unique_ptr<File> file_;
  PartitionStateValues values_;
  absl::Status store_status_;
  uint64_t sequence_ = 0;
  bool stored_ = false;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_PARTITION_STATE_H_
