// Output: standard output of a command, buffered, with a pipe that closes early taken as "enough".
//
// Thread rules: one thread.
//
//   Output out;
//   out.Print("{}\n", offset);
//   return out.Finish("read", ExitStatus::kDone);
#ifndef VARVE_LIB_CLI_OUTPUT_H_
#define VARVE_LIB_CLI_OUTPUT_H_

#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "cli/exit_status.h"
#include "fmt/format.h"

namespace varve::cli {

class Output {
 public:
  Output() = default;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void Write(std::string_view text) {
    buffer_.append(text);
    FlushIfLarge();
  }

  template <typename... Args>
  void Print(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(buffer_), format, std::forward<Args>(args)...);
    FlushIfLarge();
  }

  // For callers that append to the text themselves; they call FlushIfLarge now and then.
  [[nodiscard]] std::string* buffer() { return &buffer_; }
  void FlushIfLarge() {
    if (buffer_.size() >= kFlushBytes) Flush();
  }

  // Hands everything to the system now.
  void Flush();

  // False once the system has refused output: nobody listens any more (or the disk is full), so a loop may end.
  [[nodiscard]] bool ok() const { return error_ == 0; }

  // Flushes. Returns `status`, unless output was lost for another reason than a closed pipe: that is complained about
  // and is kSystem. Whoever closes the pipe has seen enough, which is no failure of its own.
  [[nodiscard]] ExitStatus Finish(std::string_view command, ExitStatus status);

 private:
  static constexpr size_t kFlushBytes = 1 << 16;

  std::string buffer_;
  int error_ = 0;  // errno of the first write that failed
};

// A broken pipe shall be an error of the write, not a signal. Called once, first of all.
void IgnoreBrokenPipes();

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_OUTPUT_H_
