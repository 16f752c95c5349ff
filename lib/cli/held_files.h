// HeldFiles: the files of a partition as they are at one moment, whatever becomes of their names: a cleaner, retention
// and a running broker take files away while somebody reads one after the other.
//
// All files are opened at once, and again until the directory was the same before and after: so those held are of one
// moment. Each stays as long as it was then, though not what is overwritten in place. Where the process may not have as
// many files open, none is held: each is opened when it is asked for, and must be the same still. A name that was not
// there at that moment is not there; what lies elsewhere is the base's.
//
// For reading only: all that would change something is kPermissionDenied.
//
// Thread rules: as FileSystem. Lifetime: the base must outlive it; files may outlive it.
//
//   absl::StatusOr<std::unique_ptr<HeldFiles>> files = HeldFiles::OfPartition(FileSystem::Default(), "orders-0");
#ifndef VARVE_LIB_CLI_HELD_FILES_H_
#define VARVE_LIB_CLI_HELD_FILES_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/file_system.h"

namespace varve::cli {

class HeldFiles : public FileSystem {
 public:
  // All files of a partition directory. Where some are just being swapped in, it waits a moment. kAborted: the directory
  // changed during each of several looks. Else as FileSystem::List and Info. Cost: an open file for each.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<HeldFiles>> OfPartition(FileSystem* base,
                                                                              const std::string& directory);
  // A single file. Errors: as FileSystem::Open.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<HeldFiles>> OfFile(FileSystem* base, const std::string& path);

  // kAborted: the file was not held, and is gone or another by now.
  [[nodiscard]] absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  [[nodiscard]] absl::StatusOr<std::vector<std::string>> List(const std::string& path) override;
  [[nodiscard]] absl::StatusOr<FileInfo> Info(const std::string& path) override;
  [[nodiscard]] absl::StatusOr<bool> IsLocked(const std::string& path) override { return base_->IsLocked(path); }
  [[nodiscard]] std::string BootId() override { return base_->BootId(); }
  [[nodiscard]] absl::StatusOr<bool> AllocationIsPromise(const std::string& directory) override {
    return base_->AllocationIsPromise(directory);
  }

  [[nodiscard]] absl::Status Rename(const std::string& from, const std::string& to) override;
  [[nodiscard]] absl::Status Remove(const std::string& path) override;
  [[nodiscard]] absl::Status CreateDirectory(const std::string& path) override;
  [[nodiscard]] absl::Status RemoveDirectory(const std::string& path) override;
  [[nodiscard]] absl::Status SyncDirectory(const std::string& path) override;
  [[nodiscard]] absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path, LockKind kind) override;

 private:
  struct Entry {
    std::shared_ptr<File> file;  // null: not held
    FileInfo info;
  };

  explicit HeldFiles(FileSystem* base) : base_(base) {}

  // One look: true if the directory was the same before and after.
  absl::StatusOr<bool> HoldAll(const std::string& directory);
  // True if the directory is what it was when it was listed.
  absl::StatusOr<bool> IsSame(const std::string& directory) const;
  // True if a writer, now or before a crash, has not given every file its name yet.
  [[nodiscard]] bool HasSwap() const;
  absl::Status Hold(const std::string& path);
  // The entry of a path; null where it has none. kNotFound if it lies in the directory and was not there.
  absl::StatusOr<const Entry*> Find(const std::string& path) const;
  absl::StatusOr<std::unique_ptr<File>> OpenSame(const std::string& path, const FileInfo& info);

  FileSystem* const base_;
  bool may_hold_ = true;                // false once the process may not have more files open
  std::string directory_;               // as keys have it
  std::vector<std::string> names_;      // in the directory; none where a single file is held
  std::map<std::string, Entry> files_;  // by path, normalised
};

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_HELD_FILES_H_
