// MemoryFileImage: what one file holds, and what stable storage holds of it.
#ifndef VARVE_LIB_TESTING_MEMORY_FILE_IMAGE_H_
#define VARVE_LIB_TESTING_MEMORY_FILE_IMAGE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "io/memory_content.h"
#include "testing/space_account.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {

// Not thread-safe: the file system's lock guards it, but for stores into mapped memory.
class MemoryFileImage {
 public:
  static constexpr uint64_t kSectorBytes = 512;
  static constexpr uint64_t kPageBytes = SpaceAccount::kBlockBytes;

  // Space is taken from `space`, which must outlive the image.
  explicit MemoryFileImage(SpaceAccount* space) : space_(space) {}

  [[nodiscard]] uint64_t size() const { return content_.size(); }
  [[nodiscard]] size_t Read(uint64_t position, std::span<std::byte> out) const;

  // Extends the file. kResourceExhausted after as much was written as there was room for.
  [[nodiscard]] absl::Status Write(uint64_t position, std::span<const std::byte> bytes);
  [[nodiscard]] absl::Status Truncate(uint64_t size);

  // Takes the space of the range; all of it or nothing. Does not extend the file.
  [[nodiscard]] absl::Status TakeSpace(uint64_t position, uint64_t length);

  // Gives all space back: the file has lost its last name and its last user and changes no more. It stays for crash
  // clones, which may find the name again.
  void FreeSpace();

  // Makes the content's address stay, for a mapping of `length` bytes, and returns it.
  [[nodiscard]] absl::StatusOr<std::byte*> Pin(uint64_t length);

  // SyncData: all bytes and the size become stable, but for pages that an earlier sync dropped.
  void Sync();

  // A failed SyncData: the unsynced pages are dropped from what later syncs write.
  void DropUnsyncedPages();

  // The dropped pages below `length` that have not changed since, as the disk has them: their bytes by position.
  [[nodiscard]] std::map<uint64_t, std::vector<std::byte>> DroppedAsStored(uint64_t length) const;

  // The content of the range may reach the disk at any moment from now on.
  void StartWriteOut(uint64_t position, uint64_t length);

  // What is found after a crash; all of it is stable.
  [[nodiscard]] std::unique_ptr<MemoryFileImage> AfterCrash(CrashMode mode, std::mt19937_64* random,
                                                            SpaceAccount* space) const;
  [[nodiscard]] std::unique_ptr<MemoryFileImage> AfterProcessDeath(SpaceAccount* space) const;
  // True if both have the same content now.
  [[nodiscard]] bool HoldsWhat(const MemoryFileImage& other) const;

 private:
  using Sector = std::array<std::byte, kSectorBytes>;
  using Page = std::array<std::byte, kPageBytes>;

  [[nodiscard]] absl::Status NoSpace(uint64_t position, uint64_t length) const;
  // The clone takes the space that its part of this file has.
  void CopySpaceTo(MemoryFileImage* clone) const;
  // Remembers what unsynced sectors of the range hold now as a version that the disk may have got.
  void KeepVersions(uint64_t begin, uint64_t end);
  void CopyDurable(uint64_t position, std::span<std::byte> out) const;
  // The page was dropped by a failed sync and has not changed since.
  [[nodiscard]] bool IsDropped(uint64_t page, const Page& content) const;
  [[nodiscard]] Sector SectorAfterCrash(uint64_t sector, CrashMode mode, unsigned keep_eighths,
                                        std::mt19937_64* random) const;

  SpaceAccount* space_;
  MemoryContent content_;
  std::set<uint64_t> blocks_;  // the blocks that have space

  std::vector<std::byte> durable_;  // content and size at the last sync
  // The smallest size since the last sync: what lies beyond was cut off, and if it came back, came back on other
  // sectors.
  uint64_t smallest_size_ = 0;
  std::map<uint64_t, Sector> versions_;  // by sector: an older unsynced content
  std::map<uint64_t, Page> dropped_;     // by page: its content when a sync failed
};

}  // namespace varve::internal

#endif  // VARVE_LIB_TESTING_MEMORY_FILE_IMAGE_H_
