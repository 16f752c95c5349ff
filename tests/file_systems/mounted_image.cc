#include "file_systems/mounted_image.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/status.h"
#include "support/temporary_directory.h"

namespace varve::testing_support {
namespace {

using internal::Error;
using internal::OwnedDescriptor;

constexpr uint64_t kMiB = 1 << 20;

// A loop device on an image; it detaches itself once nobody has it open or mounted.
struct LoopDevice {
  OwnedDescriptor descriptor;
  int number;
};

absl::StatusOr<LoopDevice> AttachLoopDevice(int image) {
  const OwnedDescriptor control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control.valid()) return SystemRefused("opening /dev/loop-control");
  // Somebody else may be quicker to take the device that is free.
  for (int attempt = 0; attempt < 100; ++attempt) {
    const int number = ::ioctl(control.number(), LOOP_CTL_GET_FREE);
    if (number < 0) return SystemRefused("asking for a free loop device");
    OwnedDescriptor device(::open(fmt::format("/dev/loop{}", number).c_str(), O_RDWR | O_CLOEXEC));
    if (!device.valid()) return SystemRefused(fmt::format("opening /dev/loop{}", number));
    loop_config config{};
    config.fd = static_cast<uint32_t>(image);
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    if (::ioctl(device.number(), LOOP_CONFIGURE, &config) == 0) return LoopDevice{std::move(device), number};
    if (errno != EBUSY) return SystemRefused(fmt::format("attaching /dev/loop{}", number));
  }
  return Error(absl::StatusCode::kInternal, "no loop device was free for long enough");
}

}  // namespace

absl::Status SystemRefused(const std::string& step) {
  const int number = errno;
  for (const int missing : {EPERM, EACCES, ENOENT, ENODEV, ENXIO, ENOSYS}) {
    if (number == missing) {
      return Error(
          absl::StatusCode::kUnimplemented,
          "{}: {}; this needs root with the right to mount, loop devices, and a kernel that has the file system", step,
          std::strerror(number));
    }
  }
  return Error(absl::StatusCode::kInternal, "{}: {}", step, std::strerror(number));
}

const std::vector<FileSystemKind>& FileSystemKinds() {
  static const auto* const kinds = new std::vector<FileSystemKind>{
      {.name = "ext4_ordered",
       .type = "ext4",
       .make = "mkfs.ext4 -q -F",
       .package = "e2fsprogs",
       .image_bytes = 64 * kMiB,
       .options = {{"data", "ordered"}},
       .without_flushes = "nobarrier"},
      {.name = "ext4_writeback",
       .type = "ext4",
       .make = "mkfs.ext4 -q -F",
       .package = "e2fsprogs",
       .image_bytes = 64 * kMiB,
       .options = {{"data", "writeback"}},
       .without_flushes = "nobarrier"},
      {.name = "xfs", .type = "xfs", .make = "mkfs.xfs -q -f", .package = "xfsprogs", .image_bytes = 300 * kMiB},
      {.name = "btrfs",
       .type = "btrfs",
       .make = "mkfs.btrfs -q -f",
       .package = "btrfs-progs",
       .image_bytes = 128 * kMiB,
       .without_flushes = "nobarrier",
       .whole_block_at = 64 << 10},
  };
  return *kinds;
}

absl::StatusOr<MemoryImage> MakeFileSystem(const FileSystemKind& kind) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/image";
  const OwnedDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file.valid() || ::ftruncate(file.number(), static_cast<off_t>(kind.image_bytes)) != 0) {
    return Error(absl::StatusCode::kInternal, "{}: {}", path, std::strerror(errno));
  }
  const int status = std::system(fmt::format("PATH=$PATH:/usr/sbin:/sbin {} {} >/dev/null", kind.make, path).c_str());
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
    return Error(absl::StatusCode::kUnimplemented, "'{}' is not there; install {}", kind.make, kind.package);
  }
  if (status != 0) return Error(absl::StatusCode::kInternal, "'{}' failed", kind.make);
  return MemoryImage::Of(path);
}

absl::StatusOr<int> MountContext(int context, const std::string& what) {
  if (::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0) {
    const int mount = ::fsmount(context, FSMOUNT_CLOEXEC, 0);
    if (mount != -1) return mount;
  }
  const int number = errno;
  std::array<char, 1000> message{};
  if (::read(context, message.data(), message.size() - 1) <= 0) message[0] = '\0';
  errno = number;
  return SystemRefused(fmt::format("mounting {} ({})", what, message.data()));
}

absl::StatusOr<std::unique_ptr<MountedImage>> MountedImage::Mount(const FileSystemKind& kind, int descriptor) {
  const OwnedDescriptor context(::fsopen(kind.type, FSOPEN_CLOEXEC));
  if (!context.valid()) return SystemRefused(fmt::format("asking for the file system {}", kind.type));
  VARVE_ASSIGN_OR_RETURN(const LoopDevice loop, AttachLoopDevice(descriptor));
  const std::string device = fmt::format("loop{}", loop.number);
  bool set =
      ::fsconfig(context.number(), FSCONFIG_SET_STRING, "source", fmt::format("/dev/{}", device).c_str(), 0) == 0;
  for (const auto& [name, value] : kind.options) {
    set = set &&
          ::fsconfig(context.number(), value == nullptr ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, name, value, 0) == 0;
  }
  if (!set) return SystemRefused(fmt::format("setting the options of {}", kind.name));
  VARVE_ASSIGN_OR_RETURN(const int mount, MountContext(context.number(), kind.name));
  return std::unique_ptr<MountedImage>(new MountedImage(mount, device));
}

absl::StatusOr<std::unique_ptr<MountedImage>> MountedImage::MountMemory(uint64_t bytes) {
  const OwnedDescriptor context(::fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!context.valid() ||
      ::fsconfig(context.number(), FSCONFIG_SET_STRING, "size", std::to_string(bytes).c_str(), 0) != 0) {
    return SystemRefused("asking for the file system tmpfs");
  }
  VARVE_ASSIGN_OR_RETURN(const int mount, MountContext(context.number(), "tmpfs"));
  return std::unique_ptr<MountedImage>(new MountedImage(mount, ""));
}

MountedImage::MountedImage(int mount, std::string device)
    : mount_(mount), path_(fmt::format("/proc/self/fd/{}", mount)), device_(std::move(device)) {}

absl::Status MountedImage::ShutDown(Shutdown how) const {
  constexpr unsigned long kGoingDown = _IOR('X', 125, uint32_t);
  const OwnedDescriptor root(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  auto flags = static_cast<uint32_t>(how);
  if (root.valid() && ::ioctl(root.number(), kGoingDown, &flags) == 0) return absl::OkStatus();
  if (errno == ENOTTY || errno == EOPNOTSUPP) {
    return Error(absl::StatusCode::kUnimplemented, "this kernel does not know how to shut this file system down");
  }
  return SystemRefused("shutting the file system down");
}

absl::Status MountedImage::MakeReadOnly() const {
  const OwnedDescriptor context(::fspick(mount_.number(), "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC));
  if (!context.valid()) return SystemRefused("asking for the mount");
  if (::fsconfig(context.number(), FSCONFIG_SET_FLAG, "ro", nullptr, 0) == 0 &&
      ::fsconfig(context.number(), FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0) == 0) {
    return absl::OkStatus();
  }
  if (errno == EBUSY) return Error(absl::StatusCode::kUnavailable, "files are open for writing");
  return SystemRefused("mounting anew, read-only");
}

}  // namespace varve::testing_support
