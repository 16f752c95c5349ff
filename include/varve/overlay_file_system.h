// OverlayFileSystem: the files of another file system, with every change kept in memory and none carried out.
//
// It answers "what would this do?" with the very code that does it: a read-only open of a partition that stopped
// uncleanly, `varve dump --as-opened` and `varve repair --dry-run` run on one. A file that is not changed costs
// nothing; a changed one keeps the pages that differ; CopyPrefixFrom of an unchanged file shares it.
//
// A mapping for reading of a part that is unchanged is the base's own: it does not show what is written here later. A
// changed file that is mapped, and any file mapped for writing, is brought into memory whole. A file that the overlay
// did not change follows the base's changes. One file is to be named by one path: a link, "..", or a relative path
// beside an absolute one is another file here.
//
// Thread rules: as FileSystem. The base must outlive the overlay and the files opened through it.
//
//   varve::OverlayFileSystem trial(varve::FileSystem::Default());
//   absl::StatusOr<varve::RecoveryReport> report = varve::Repair(&trial, "orders-0", {});
#ifndef VARVE_OVERLAY_FILE_SYSTEM_H_
#define VARVE_OVERLAY_FILE_SYSTEM_H_

#include <memory>
#include <string>
#include <vector>

#include "varve/file_system.h"

namespace varve {

class OverlayFileSystem : public FileSystem {
 public:
  explicit OverlayFileSystem(FileSystem* base);
  ~OverlayFileSystem() override;

  [[nodiscard]] absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  [[nodiscard]] absl::Status Rename(const std::string& from, const std::string& to) override;
  [[nodiscard]] absl::Status Remove(const std::string& path) override;
  [[nodiscard]] absl::Status CreateDirectory(const std::string& path) override;
  [[nodiscard]] absl::Status RemoveDirectory(const std::string& path) override;
  [[nodiscard]] absl::StatusOr<std::vector<std::string>> List(const std::string& path) override;
  // Does nothing, successfully, to a directory that is there.
  [[nodiscard]] absl::Status SyncDirectory(const std::string& path) override;
  [[nodiscard]] absl::StatusOr<FileInfo> Info(const std::string& path) override;
  // Always granted among users of this overlay by the usual rules; the base is neither locked nor asked.
  [[nodiscard]] absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path, LockKind kind) override;
  // As the base answers; true also for an exclusive lock taken here.
  [[nodiscard]] absl::StatusOr<bool> IsLocked(const std::string& path) override;
  [[nodiscard]] std::string BootId() override;
  [[nodiscard]] absl::StatusOr<bool> AllocationIsPromise(const std::string& directory) override;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace varve

#endif  // VARVE_OVERLAY_FILE_SYSTEM_H_
