// TemporaryDirectory: a fresh directory of the system, removed with all it holds at the end.
#ifndef VARVE_TESTS_SUPPORT_TEMPORARY_DIRECTORY_H_
#define VARVE_TESTS_SUPPORT_TEMPORARY_DIRECTORY_H_

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>

#include "gtest/gtest.h"

namespace varve::testing_support {

class TemporaryDirectory {
 public:
  // Below `parent`, which ends with a slash.
  explicit TemporaryDirectory(const std::string& parent = ::testing::TempDir())
      : path_(parent + "varve-" + std::string(6, 'X')) {
    if (::mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "no temporary directory at " << path_;
  }
  ~TemporaryDirectory() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_SUPPORT_TEMPORARY_DIRECTORY_H_
