// MemoryFileSystem: files in memory that know which of their bytes and names a crash would lose.
//
// What a file holds and what stable storage holds of it are kept apart: SyncData carries bytes and size over,
// SyncDirectory names. A crash at any moment can be had as a clone: another file system with what would be found after
// the reboot. Of what was not synced a clone keeps, loses or tears as the assumptions of varve's durability allow:
//   * a 512-byte sector once synced and then rewritten holds its old content or a newer one, whole; one never
//     synced may also hold zeros or garbage. Sectors are independent of each other and of the file's size, which is the old one,
//     the new one or any between;
//   * every change of a name (creation, removal, rename) has happened or not, each on its own; a rename is one change;
//   * what was synced is there.
//
// Mapped memory is the file's content itself. A file may be mapped up to 4 GiB. Storing into a mapping beyond the
// file's end does not end the process as the system would: such bytes are never part of the file.
//
// Thread rules: as FileSystem. Paths start at one root, with or without a leading slash; there is no working directory.
//
//   varve::MemoryFileSystem fs;
//   VARVE_ASSERT_OK(fs.CreateDirectory("orders-0"));
//   ... write, sync, write ...
//   std::unique_ptr<varve::MemoryFileSystem> after = fs.CloneAfterCrash({.seed = 7});
//   ... open a log on *after: what was acknowledged as durable must be there ...
#ifndef VARVE_TESTING_MEMORY_FILE_SYSTEM_H_
#define VARVE_TESTING_MEMORY_FILE_SYSTEM_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "varve/clock.h"
#include "varve/file_system.h"

namespace varve {

namespace internal {
class MemoryState;
}  // namespace internal

enum class CrashMode {
  kLoseAllUnsynced,  // every unsynced byte, size and name is as it was at its last sync
  kKeepAll,          // everything had reached the disk, but for what a failed sync dropped
  kRandom,           // every sector, size and name on its own, as the seed says
};

struct CrashOptions {
  uint64_t seed = 0;  // the same seed at the same state gives the same clone
  CrashMode mode = CrashMode::kRandom;
};

class MemoryFileSystem : public FileSystem {
 public:
  struct Options {
    // For modification and birth times. Null: a count that starts at 1'700'000'000'000 ms and goes up by one a change.
    Clock* clock = nullptr;
    // What AllocationIsPromise answers; where false, Allocate is kUnimplemented.
    bool allocation_is_promise = true;
  };

  MemoryFileSystem();
  explicit MemoryFileSystem(const Options& options);

  // What the machine finds after power loss or a kernel crash now, and a reboot: a new boot id and mount, no locks.
  [[nodiscard]] std::unique_ptr<MemoryFileSystem> CloneAfterCrash(const CrashOptions& options) const;

  // What the next process finds after this one is killed now: all bytes and names, still unsynced where they are, the
  // same boot id and mount, no locks.
  [[nodiscard]] std::unique_ptr<MemoryFileSystem> CloneAfterProcessDeath() const;

  // The disk's size; none is no limit. A write, Allocate or Populate that needs more 4096-byte blocks than are free
  // fails with kResourceExhausted, a write after having written what fits. A limit below what is used is a full disk.
  void set_capacity_bytes(std::optional<uint64_t> capacity_bytes);

  // Blocks in use by files that have a name or are open, in bytes.
  [[nodiscard]] uint64_t used_bytes() const;

  // Makes the next SyncData of a file whose path contains `path_part` fail with `status`, and lose the file's unsynced
  // pages as Linux does: they stay readable and count as clean, so a later SyncData returns OK without them, and a
  // crash has none of them. Writing a page again by WriteAt, or storing other bytes into it through a mapping, makes it
  // dirty again. (That storing the same bytes would do so too cannot be seen from here.)
  void FailNextSync(const std::string& path_part, absl::Status status);

  [[nodiscard]] absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  [[nodiscard]] absl::Status Rename(const std::string& from, const std::string& to) override;
  [[nodiscard]] absl::Status Remove(const std::string& path) override;
  [[nodiscard]] absl::Status CreateDirectory(const std::string& path) override;
  [[nodiscard]] absl::Status RemoveDirectory(const std::string& path) override;
  [[nodiscard]] absl::StatusOr<std::vector<std::string>> List(const std::string& path) override;
  [[nodiscard]] absl::Status SyncDirectory(const std::string& path) override;
  [[nodiscard]] absl::StatusOr<FileInfo> Info(const std::string& path) override;
  [[nodiscard]] absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path, LockKind kind) override;
  [[nodiscard]] absl::StatusOr<bool> IsLocked(const std::string& path) override;
  [[nodiscard]] std::string BootId() override;
  [[nodiscard]] absl::StatusOr<bool> AllocationIsPromise(const std::string& directory) override;

 private:
  explicit MemoryFileSystem(std::shared_ptr<internal::MemoryState> state);

  std::shared_ptr<internal::MemoryState> state_;
};

}  // namespace varve

#endif  // VARVE_TESTING_MEMORY_FILE_SYSTEM_H_
