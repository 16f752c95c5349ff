// OwnedFileSystem: a file system all of whose files are one user's.
#ifndef VARVE_TESTS_SUPPORT_OWNED_FILE_SYSTEM_H_
#define VARVE_TESTS_SUPPORT_OWNED_FILE_SYSTEM_H_

#include <cstdint>
#include <string>

#include "varve/testing/faulty_file_system.h"

namespace varve::testing_support {

class OwnedFileSystem : public FaultyFileSystem {
 public:
  OwnedFileSystem(FileSystem* base, uint32_t owner) : FaultyFileSystem(base), owner_(owner) {}

  absl::StatusOr<FileInfo> Info(const std::string& path) override {
    absl::StatusOr<FileInfo> info = FaultyFileSystem::Info(path);
    if (info.ok()) info->owner = owner_;
    return info;
  }

 private:
  const uint32_t owner_;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_SUPPORT_OWNED_FILE_SYSTEM_H_
