// ChildProcess: a part of a test in a process of its own, which ends with the test at the latest.
#ifndef VARVE_TESTS_FILE_SYSTEMS_CHILD_PROCESS_H_
#define VARVE_TESTS_FILE_SYSTEMS_CHILD_PROCESS_H_

#include <array>
#include <cstddef>
#include <functional>

#include "absl/status/status.h"
#include "file_systems/shared_memory.h"

namespace varve::testing_support {

class ChildProcess {
 public:
  // Begins a child that does this and ends.
  explicit ChildProcess(const std::function<absl::Status()>& body);
  ~ChildProcess() { Kill(); }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // False once it has ended by itself.
  [[nodiscard]] bool IsRunning();
  // Ends it at once, if it has not ended yet.
  void Kill();
  // Waits for its end. kAborted: its body answered an error, which is told; kInternal: a signal ended it.
  [[nodiscard]] absl::Status Wait();
  // Which ended it; 0 where none did, or it has not been waited for.
  [[nodiscard]] int signal() const;

 private:
  static constexpr size_t kMessageBytes = 1000;

  void Reap(int options);

  SharedMemory<std::array<char, kMessageBytes>> message_;
  int id_ = -1;
  bool running_ = true;
  int wait_status_ = 0;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_FILE_SYSTEMS_CHILD_PROCESS_H_
