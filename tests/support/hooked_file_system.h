// HookedFileSystem: a file system that calls a test at its operations on names, so that something else may happen at
// just that moment.
#ifndef VARVE_TESTS_SUPPORT_HOOKED_FILE_SYSTEM_H_
#define VARVE_TESTS_SUPPORT_HOOKED_FILE_SYSTEM_H_

#include <functional>
#include <memory>
#include <string>
#include <type_traits>

#include "varve/testing/faulty_file_system.h"

namespace varve::testing_support {

class HookedFileSystem : public FaultyFileSystem {
 public:
  using FaultyFileSystem::FaultyFileSystem;

  // Called with the path of every file before it is opened; what it opens itself does not call it again. May be null.
  std::function<void(const std::string&)> before_open;
  // Called before and after each change of a name. May be null.
  std::function<void()> around_change;

  absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override {
    if (before_open != nullptr && !opening_) {
      opening_ = true;
      before_open(path);
      opening_ = false;
    }
    const auto open = [&] { return FaultyFileSystem::Open(path, mode); };
    return mode == OpenMode::kRead || mode == OpenMode::kReadWrite ? open() : Around(open);
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return Around([&] { return FaultyFileSystem::Rename(from, to); });
  }
  absl::Status Remove(const std::string& path) override {
    return Around([&] { return FaultyFileSystem::Remove(path); });
  }

 private:
  template <typename Change>
  std::invoke_result_t<Change> Around(Change change) {
    if (around_change != nullptr) around_change();
    std::invoke_result_t<Change> result = change();
    if (around_change != nullptr) around_change();
    return result;
  }

  bool opening_ = false;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_SUPPORT_HOOKED_FILE_SYSTEM_H_
