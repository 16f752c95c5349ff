// CommandDirectory: a directory of its own in which a command may do what it likes, with partitions and a broker's log
// directory, and streams that are nobody's.
//
// Thread rules: one thread, one at a time: a process has one working directory.
#ifndef VARVE_TESTS_FUZZ_COMMAND_DIRECTORY_H_
#define VARVE_TESTS_FUZZ_COMMAND_DIRECTORY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace varve::fuzz {

class CommandDirectory {
 public:
  // Removed when the process ends.
  CommandDirectory();
  ~CommandDirectory();
  CommandDirectory(const CommandDirectory&) = delete;
  CommandDirectory& operator=(const CommandDirectory&) = delete;

  // Runs `work` in the directory; nothing is printed. Answers whether it has changed a file there, and makes it as it
  // was then. Ends the process where something beside the directory has changed.
  bool Run(std::string_view standard_input, const std::function<void()>& work);

 private:
  // Of each file below: size, and when it was changed.
  using Stamps = std::map<std::string, std::pair<uint64_t, int64_t>>;

  void Refill();
  [[nodiscard]] Stamps Look() const;

  std::string root_;
  Stamps filled_;
};

}  // namespace varve::fuzz

#endif  // VARVE_TESTS_FUZZ_COMMAND_DIRECTORY_H_
