// LineReader: the lines of a file or of standard input, in constant memory. Reads what a pipe has ready without waiting
// for more; where nothing is, it says so before it waits.
//
// Lines end at LF; the last may lack it; a CR before it is data.
// Thread rules: one thread. Lifetime: a line is valid until the next call.
#ifndef VARVE_LIB_CLI_LINE_READER_H_
#define VARVE_LIB_CLI_LINE_READER_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace varve::cli {

class LineReader {
 public:
  // OK if Open would succeed now. Nothing but a regular file is opened for it: a named pipe would take that for a
  // reader that comes and goes. kInternal: a directory. Else as Open.
  [[nodiscard]] static absl::Status Check(const std::string& path);

  // The size of a regular file; absent where it is not known (a pipe).
  [[nodiscard]] static std::optional<int64_t> SizeOf(const std::string& path);

  // "-" is standard input. kNotFound, kPermissionDenied, kInternal, naming the path. A line of more than
  // `longest_line_bytes` is refused by Next.
  [[nodiscard]] static absl::StatusOr<LineReader> Open(const std::string& path, size_t longest_line_bytes);

  // The next line, without its LF; false at the end. kInvalidArgument naming file and line where it is too long;
  // kInternal where the system cannot read; kCancelled where an interrupt that is caught (terminal.h) came while more
  // was to be read: all whole lines before it have been given out.
  [[nodiscard]] absl::StatusOr<bool> Next(std::string_view* line);

  // Called by Next when all lines are given out and no more has come for kIdleMs, before it waits for as long as it
  // takes. Its failure is Next's.
  void set_on_idle(std::function<absl::Status()> on_idle) { on_idle_ = std::move(on_idle); }
  static constexpr int kIdleMs = 1000;

  // "orders.txt line 12": where the last line came from.
  [[nodiscard]] std::string Where() const;
  // Standard input is called "standard input".
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] int64_t line_number() const { return line_number_; }  // from 1
  [[nodiscard]] int64_t bytes_read() const { return bytes_read_; }

 private:
  // A descriptor of the system, closed unless it is standard input.
  class Descriptor {
   public:
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
      std::swap(number_, other.number_);
      return *this;
    }
    ~Descriptor();
    [[nodiscard]] int number() const { return number_; }

   private:
    int number_;
  };

  LineReader(Descriptor descriptor, std::string name, size_t longest_line_bytes);
  absl::Status Refill();
  absl::Status AwaitInput();

  Descriptor descriptor_;
  std::string name_;
  size_t longest_line_bytes_;
  std::function<absl::Status()> on_idle_;
  std::vector<char> buffer_;
  size_t begin_ = 0;  // of what was not given out yet
  size_t end_ = 0;
  bool at_end_ = false;
  int64_t line_number_ = 0;
  int64_t bytes_read_ = 0;
};

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_LINE_READER_H_
