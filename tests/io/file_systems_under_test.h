// The file systems that the contract test runs on, each with an empty directory to work in.
#ifndef VARVE_TESTS_IO_FILE_SYSTEMS_UNDER_TEST_H_
#define VARVE_TESTS_IO_FILE_SYSTEMS_UNDER_TEST_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "varve/file_system.h"

namespace varve::testing_support {

// Owns a file system and what it stands on.
class FileSystemUnderTest {
 public:
  virtual ~FileSystemUnderTest() = default;
  [[nodiscard]] virtual FileSystem* file_system() = 0;
  [[nodiscard]] virtual std::string root() = 0;
};

struct FileSystemKind {
  std::string name;
  std::function<std::unique_ptr<FileSystemUnderTest>()> make;
  // Files have a descriptor of the system, so that SendTo works.
  bool has_descriptors = false;
};

[[nodiscard]] std::vector<FileSystemKind> AllFileSystemKinds();

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_IO_FILE_SYSTEMS_UNDER_TEST_H_
