// OverlayContent: one file of an OverlayFileSystem: a file of the base by reference, and what differs from it.
#ifndef VARVE_LIB_IO_OVERLAY_CONTENT_H_
#define VARVE_LIB_IO_OVERLAY_CONTENT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "io/memory_content.h"
#include "varve/file_system.h"

namespace varve::internal {

// The content is, in this order: the bytes in memory, once the file had to be mapped as changed; else the changed
// pages; else the base's bytes below base_end_; else zeros, up to the size. A page that is written as it is stays the
// base's. Every operation may be called from any
// thread.
class OverlayContent {
 public:
  // An empty file that the base does not have.
  OverlayContent() : size_(0) {}
  // A file of the base, open for reading; unchanged, it grows and shrinks with it.
  explicit OverlayContent(std::shared_ptr<File> base) : base_(std::move(base)) {}

  [[nodiscard]] absl::StatusOr<size_t> Read(uint64_t position, std::span<std::byte> out) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] absl::Status Write(uint64_t position, std::span<const std::byte> bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] absl::StatusOr<uint64_t> Size() const ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] absl::Status Truncate(uint64_t size) ABSL_LOCKS_EXCLUDED(mutex_);
  // Truncate to `size` if the file is smaller.
  [[nodiscard]] absl::Status Extend(uint64_t size) ABSL_LOCKS_EXCLUDED(mutex_);

  // The base's own mapping of [0, length), where that holds what this file does; null otherwise.
  [[nodiscard]] absl::StatusOr<std::unique_ptr<Mapping>> MapBase(uint64_t length) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Brings the whole file into memory, where it stays, and returns its address. At most
  // MemoryContent::kMaxPinnedBytes.
  [[nodiscard]] absl::StatusOr<std::byte*> Materialize(uint64_t length) ABSL_LOCKS_EXCLUDED(mutex_);

  // The base's file, if [0, length) of this one is the same bytes of it; null otherwise.
  [[nodiscard]] std::shared_ptr<File> SharedPrefix(uint64_t length) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Becomes the first `length` bytes of a base's file, if no byte of this one lies behind them and it is not in memory;
  // otherwise false, and nothing has changed.
  [[nodiscard]] bool Share(std::shared_ptr<File> base, uint64_t length) ABSL_LOCKS_EXCLUDED(mutex_);

  // When it last changed; none while it is the base's.
  [[nodiscard]] std::optional<int64_t> modified_ms() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  static constexpr uint64_t kPageBytes = 4096;
  using Page = std::array<std::byte, kPageBytes>;

  [[nodiscard]] absl::StatusOr<uint64_t> SizeLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Fills `out` from `position` on, with zeros where the file has nothing.
  [[nodiscard]] absl::Status Fill(uint64_t position, std::span<std::byte> out) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // From here on the file is its own: its size no longer follows the base's.
  [[nodiscard]] absl::Status BeginChange() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status WritePages(uint64_t position, std::span<const std::byte> bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Status TruncateLocked(uint64_t size) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::StatusOr<bool> PrefixIsBase(uint64_t length) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::shared_ptr<File> base_ ABSL_GUARDED_BY(mutex_);    // null if there is none
  std::optional<uint64_t> size_ ABSL_GUARDED_BY(mutex_);  // none while it is the base's
  uint64_t base_end_ ABSL_GUARDED_BY(mutex_) = 0;         // of the base's bytes still seen, once size_ is set
  std::map<uint64_t, std::unique_ptr<Page>> pages_ ABSL_GUARDED_BY(mutex_);  // zeros beyond the size
  std::unique_ptr<MemoryContent> memory_ ABSL_GUARDED_BY(mutex_);
  int64_t modified_ms_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_IO_OVERLAY_CONTENT_H_
