#include "io/file_systems_under_test.h"

#include "support/temporary_directory.h"

namespace varve::testing_support {
namespace {

class PosixUnderTest : public FileSystemUnderTest {
 public:
  FileSystem* file_system() override { return FileSystem::Default(); }
  std::string root() override { return directory_.path(); }

 private:
  TemporaryDirectory directory_;
};

template <typename T>
std::unique_ptr<FileSystemUnderTest> Make() {
  return std::make_unique<T>();
}

}  // namespace

std::vector<FileSystemKind> AllFileSystemKinds() {
  return {
      {.name = "Posix", .make = Make<PosixUnderTest>, .has_descriptors = true},
  };
}

}  // namespace varve::testing_support
