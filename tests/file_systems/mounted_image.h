// FileSystemKind, MountedImage: real file systems on images. They are mounted without a place in any tree of names, by
// loop devices that detach themselves: with the process that holds them they are gone, however it ends.
#ifndef VARVE_TESTS_FILE_SYSTEMS_MOUNTED_IMAGE_H_
#define VARVE_TESTS_FILE_SYSTEMS_MOUNTED_IMAGE_H_

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "file_systems/memory_image.h"
#include "io/owned_descriptor.h"

namespace varve::testing_support {

struct FileSystemKind {
  const char* name = "";  // "ext4_ordered"
  const char* type = "";  // "ext4"
  const char* make = "";  // the command that makes one in the file whose name is put behind
  const char* package = "";
  uint64_t image_bytes = 0;
  std::vector<std::pair<const char*, const char*>> options = {};  // of the mount; a null value: a flag
  // The option with which it flushes no disk's cache; null where there is none.
  const char* without_flushes = nullptr;
  // Where it expects a write of a block to happen or not, and does not mount where that was torn: a superblock without
  // another to choose. 0: nowhere.
  uint64_t whole_block_at = 0;

  friend std::ostream& operator<<(std::ostream& out, const FileSystemKind& kind) { return out << kind.name; }
};

// ext4 (data=ordered, data=writeback), XFS, Btrfs.
[[nodiscard]] const std::vector<FileSystemKind>& FileSystemKinds();

// kUnimplemented, here and below: the machine or the rights of this process do not allow it; the message says what is
// missing. An empty file system.
[[nodiscard]] absl::StatusOr<MemoryImage> MakeFileSystem(const FileSystemKind& kind);

// How a file system is shut down (XFS_IOC_GOINGDOWN, which ext4 understands too).
enum class Shutdown : uint32_t {
  kDefault = 0,     // everything is written first
  kLogFlush = 1,    // the journal is written first, and no data
  kNoLogFlush = 2,  // nothing is written any more
};

class MountedImage {
 public:
  // `descriptor` is that of the file which holds the image; it may be closed afterwards.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<MountedImage>> Mount(const FileSystemKind& kind, int descriptor);

  // A file system in memory, of this size.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<MountedImage>> MountMemory(uint64_t bytes);

  // The path of its root directory, in this process and in children that it forks.
  [[nodiscard]] const std::string& path() const { return path_; }
  // "loop0": its name below /sys/fs/ext4.
  [[nodiscard]] const std::string& device() const { return device_; }

  [[nodiscard]] absl::Status ShutDown(Shutdown how) const;
  // As mount -o remount,ro does. kUnavailable while files are open for writing.
  [[nodiscard]] absl::Status MakeReadOnly() const;

 private:
  MountedImage(int mount, std::string device);

  internal::OwnedDescriptor mount_;
  std::string path_;
  std::string device_;
};

// What the system says to a step that needs rights or devices: kUnimplemented where they are missing, else kInternal.
// errno must still be that of the step.
[[nodiscard]] absl::Status SystemRefused(const std::string& step);

// Whether the file system of this mount context is made; the mount without a place is `fsmount`ed from it. The context
// names what the kernel found wrong.
[[nodiscard]] absl::StatusOr<int> MountContext(int context, const std::string& what);

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_FILE_SYSTEMS_MOUNTED_IMAGE_H_
