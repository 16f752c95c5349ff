// FaultyFileSystem: another file system whose operations fail when and where a test says.
//
// Operations are counted by kind; rules say which of them fail. The usual loop makes the n-th operation fail, for
// n = 1, 2, ... until a run comes through without the fault having fired:
//
//   for (uint64_t n = 1;; ++n) {
//     varve::MemoryFileSystem memory;
//     varve::FaultyFileSystem fs(&memory);
//     fs.AddRule({.nth = n, .status = absl::ResourceExhaustedError("disk full")});
//     const absl::Status status = Run(&fs);
//     if (fs.faults_fired() == 0) break;  // n is beyond the last operation
//     ... a failed run left nothing half done ...
//   }
//
// Thread rules: as FileSystem; rules may be added at any time. The base must outlive this; open files may outlive it.
#ifndef VARVE_TESTING_FAULTY_FILE_SYSTEM_H_
#define VARVE_TESTING_FAULTY_FILE_SYSTEM_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "varve/file_system.h"

namespace varve {

namespace internal {
class FaultRules;
}  // namespace internal

enum class FileOperation {
  kOpen,
  kRead,
  kWrite,
  kTruncate,
  kAllocate,
  kSync,
  kMap,
  kPopulate,
  kCopy,
  kSend,
  kInfo,  // Info and Size of a file or a path, AllocationIsPromise
  kRename,
  kRemove,  // of a file or a directory
  kCreateDirectory,
  kList,
  kSyncDirectory,
  kLock,  // Lock and IsLocked
};

// An operation that is asked for.
struct FileCall {
  FileOperation operation = FileOperation::kOpen;
  std::string_view path;        // of a rename the old one; valid during the call
  std::string_view other_path;  // of a rename the new one
  bool changes = false;         // it may change bytes, sizes or names, or what of them is stable
};

struct FaultRule {
  // Which operations match: of this kind, or of any; whose path contains this text (for a rename either path; for a
  // copy the target's).
  std::optional<FileOperation> operation = std::nullopt;
  std::string path_part = {};

  // The fault fires at the nth match, counted from 1, and with for_ever at every later match too.
  uint64_t nth = 1;
  bool for_ever = false;

  // What the operation answers. The base is not asked, so nothing has changed; but see the next two. A rule whose
  // status is OK lets the operation through and only counts it.
  absl::Status status = absl::InternalError("injected fault");

  // True: the operation is carried out and answers `status` all the same, as when a device or a network takes the
  // request and loses the answer. Where the base itself fails, its error is the answer. What the operation would hand
  // back, a file or a lock, is let go of. A read has no effect, and partial_bytes plays no part then.
  bool after_effect = false;

  // For kRead and kWrite: this many bytes of the range are read or written first. A read whose status is OK answers
  // with this count, as if the file ended there.
  std::optional<size_t> partial_bytes = std::nullopt;
};

class FaultyFileSystem : public FileSystem {
 public:
  explicit FaultyFileSystem(FileSystem* base);

  // Of several rules that match an operation each counts it; the first added of those that fire gives the answer.
  // Returns the rule's number.
  size_t AddRule(const FaultRule& rule);
  void ClearRules();

  // Is told of every operation before it is carried out or fails, on the thread that asks for it, and may use the base
  // meanwhile. Null for nobody.
  void SetObserver(std::function<void(const FileCall&)> observer);

  // Operations asked for since the beginning, failed ones too.
  [[nodiscard]] uint64_t operation_count(FileOperation operation) const;
  [[nodiscard]] uint64_t operation_count() const;

  // Operations that a rule made fail since the beginning: by any rule, or by this one (0 after ClearRules).
  [[nodiscard]] uint64_t faults_fired() const;
  [[nodiscard]] uint64_t faults_fired(size_t rule) const;

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
  FileSystem* base_;
  std::shared_ptr<internal::FaultRules> rules_;
};

}  // namespace varve

#endif  // VARVE_TESTING_FAULTY_FILE_SYSTEM_H_
