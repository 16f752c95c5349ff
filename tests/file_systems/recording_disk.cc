#include "file_systems/recording_disk.h"

#define FUSE_USE_VERSION 35
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "file_systems/mounted_image.h"

namespace varve::testing_support {
namespace {

using internal::Error;
using internal::OwnedDescriptor;

constexpr std::string_view kFile = "/disk";

DiskRecording* Recording() { return static_cast<DiskRecording*>(::fuse_get_context()->private_data); }

int GetAttributes(const char* path, struct stat* attributes, fuse_file_info*) {
  *attributes = {};
  if (path == kFile) {
    attributes->st_mode = S_IFREG | 0600;
    attributes->st_size = static_cast<off_t>(Recording()->bytes());
  } else if (path == std::string_view("/")) {
    attributes->st_mode = S_IFDIR | 0700;
  } else {
    return -ENOENT;
  }
  attributes->st_nlink = 1;
  return 0;
}

int Open(const char* path, fuse_file_info* info) {
  if (path != kFile) return -ENOENT;
  info->direct_io = 1;
  return 0;
}

int Read(const char*, char* out, size_t size, off_t position, fuse_file_info*) {
  Recording()->Read(static_cast<uint64_t>(position), std::as_writable_bytes(std::span(out, size)));
  return static_cast<int>(size);
}

int Write(const char*, const char* bytes, size_t size, off_t position, fuse_file_info*) {
  const bool written = Recording()->Write(static_cast<uint64_t>(position), std::as_bytes(std::span(bytes, size)));
  return written ? static_cast<int>(size) : -EIO;
}

int Sync(const char*, int /*data_only*/, fuse_file_info*) { return Recording()->Flush() ? 0 : -EIO; }

// Until the file system is gone.
absl::Status ServeRequests(DiskRecording* recording, int device) {
  fuse_operations operations{};
  operations.getattr = GetAttributes;
  operations.open = Open;
  operations.read = Read;
  operations.write = Write;
  operations.fsync = Sync;
  std::string name = "recording_disk";
  char* names[] = {name.data(), nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(1, names);
  fuse* const server = ::fuse_new(&arguments, &operations, sizeof(operations), recording);
  // Mounted already; the library takes the device from us.
  if (server == nullptr || ::fuse_mount(server, fmt::format("/dev/fd/{}", device).c_str()) != 0) {
    return Error(absl::StatusCode::kInternal, "libfuse does not serve the disk");
  }
  (void)::fuse_loop(server);
  ::fuse_destroy(server);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<RecordingDisk>> RecordingDisk::Serve(DiskRecording* recording) {
  const OwnedDescriptor device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!device.valid()) return SystemRefused("opening /dev/fuse");
  const OwnedDescriptor context(::fsopen("fuse", FSOPEN_CLOEXEC));
  if (!context.valid()) return SystemRefused("asking for the file system fuse");
  const std::pair<const char*, std::string> options[] = {{"source", "recording_disk"},
                                                         {"fd", std::to_string(device.number())},
                                                         {"rootmode", "40000"},
                                                         {"user_id", "0"},
                                                         {"group_id", "0"}};
  for (const auto& [option, value] : options) {
    if (::fsconfig(context.number(), FSCONFIG_SET_STRING, option, value.c_str(), 0) != 0) {
      return SystemRefused(fmt::format("setting FUSE's option {}", option));
    }
  }
  VARVE_ASSIGN_OR_RETURN(const int mount_number, MountContext(context.number(), "fuse"));
  OwnedDescriptor mount(mount_number);
  auto server = std::make_unique<ChildProcess>([&] { return ServeRequests(recording, device.number()); });
  const int file = ::openat(mount.number(), std::string(kFile.substr(1)).c_str(), O_RDWR | O_CLOEXEC);
  if (file == -1) return SystemRefused("opening the disk's file");
  return std::unique_ptr<RecordingDisk>(new RecordingDisk(std::move(server), std::move(mount), file));
}

}  // namespace varve::testing_support
