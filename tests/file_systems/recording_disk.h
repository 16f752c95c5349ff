// RecordingDisk: a DiskRecording as a file of the system, for a loop device: a FUSE file system of one file, served by a
// process of its own. Each write of the loop device is a write to the file, past the page cache, and each flush an fsync.
#ifndef VARVE_TESTS_FILE_SYSTEMS_RECORDING_DISK_H_
#define VARVE_TESTS_FILE_SYSTEMS_RECORDING_DISK_H_

#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "file_systems/child_process.h"
#include "file_systems/disk_recording.h"
#include "io/owned_descriptor.h"

namespace varve::testing_support {

// Goes last of all that uses the file: once the server has ended, whoever waits for it gets errors.
class RecordingDisk {
 public:
  // kUnimplemented where this machine or this process's rights do not allow it. `recording` outlives the disk.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<RecordingDisk>> Serve(DiskRecording* recording);

  [[nodiscard]] int descriptor() const { return file_.number(); }

 private:
  RecordingDisk(std::unique_ptr<ChildProcess> server, internal::OwnedDescriptor mount, int file)
      : server_(std::move(server)), mount_(std::move(mount)), file_(file) {}

  std::unique_ptr<ChildProcess> server_;
  internal::OwnedDescriptor mount_;
  internal::OwnedDescriptor file_;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_FILE_SYSTEMS_RECORDING_DISK_H_
