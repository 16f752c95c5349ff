#include "cli/line_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "cli/exit_status.h"
#include "cli/terminal.h"

namespace varve::cli {
namespace {

constexpr size_t kReadBytes = 1 << 18;

absl::StatusCode CodeOfErrno(int error) {
  switch (error) {
    case ENOENT:
      return absl::StatusCode::kNotFound;
    case EACCES:
    case EPERM:
      return absl::StatusCode::kPermissionDenied;
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::Status FailureOf(const std::string& path, int error) {
  return Failure(CodeOfErrno(error), "{}: {}", path, std::strerror(error));
}

}  // namespace

LineReader::Descriptor::~Descriptor() {
  if (number_ > STDIN_FILENO) close(number_);
}

LineReader::LineReader(Descriptor descriptor, std::string name, size_t longest_line_bytes)
    : descriptor_(std::move(descriptor)),
      name_(std::move(name)),
      longest_line_bytes_(longest_line_bytes),
      buffer_(kReadBytes) {}

absl::Status LineReader::Check(const std::string& path) {
  if (path == "-") return absl::OkStatus();
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return FailureOf(path, errno);
  if (S_ISDIR(info.st_mode)) return FailureOf(path, EISDIR);
  if (S_ISREG(info.st_mode)) return Open(path, 0).status();
  return access(path.c_str(), R_OK) == 0 ? absl::OkStatus() : FailureOf(path, errno);
}

std::optional<int64_t> LineReader::SizeOf(const std::string& path) {
  struct stat info {};
  const int answer = path == "-" ? fstat(STDIN_FILENO, &info) : stat(path.c_str(), &info);
  if (answer != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return static_cast<int64_t>(info.st_size);
}

absl::StatusOr<LineReader> LineReader::Open(const std::string& path, size_t longest_line_bytes) {
  if (path == "-") return LineReader(Descriptor(STDIN_FILENO), "standard input", longest_line_bytes);
  Descriptor descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (descriptor.number() < 0) return FailureOf(path, errno);
  return LineReader(std::move(descriptor), path, longest_line_bytes);
}

absl::StatusOr<bool> LineReader::Next(std::string_view* line) {
  size_t searched = begin_;
  for (;;) {
    const char* lf = static_cast<const char*>(std::memchr(buffer_.data() + searched, '\n', end_ - searched));
    if (lf != nullptr || (at_end_ && begin_ < end_)) {
      const size_t line_end = lf != nullptr ? static_cast<size_t>(lf - buffer_.data()) : end_;
      *line = std::string_view(buffer_.data() + begin_, line_end - begin_);
      begin_ = lf != nullptr ? line_end + 1 : end_;
      ++line_number_;
      return true;
    }
    if (at_end_) return false;
    if (end_ - begin_ > longest_line_bytes_) {
      ++line_number_;
      return Failure(absl::StatusCode::kInvalidArgument,
                     "{}: expected a line of at most {} bytes, found more before its end", Where(),
                     longest_line_bytes_);
    }
    searched = end_ - begin_;
    if (absl::Status status = Refill(); !status.ok()) return status;
    searched += begin_;
  }
}

absl::Status LineReader::AwaitInput() {
  InputState state = WaitForInput(descriptor_.number(), on_idle_ ? kIdleMs : -1);
  if (state == InputState::kNothing) {
    if (absl::Status status = on_idle_(); !status.ok()) return status;
    state = WaitForInput(descriptor_.number(), -1);
  }
  if (state != InputState::kInterrupted) return absl::OkStatus();
  return Failure(absl::StatusCode::kCancelled, "{}: interrupted behind line {}", name_, line_number_);
}

absl::Status LineReader::Refill() {
  if (absl::Status status = AwaitInput(); !status.ok()) return status;
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  if (buffer_.size() - end_ < kReadBytes / 2) buffer_.resize(buffer_.size() * 2);
  ssize_t count = -1;
  do {
    count = read(descriptor_.number(), buffer_.data() + end_, buffer_.size() - end_);
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    const int error = errno;
    return Failure(CodeOfErrno(error), "{}: cannot read behind line {}: {}", name_, line_number_, std::strerror(error));
  }
  end_ += static_cast<size_t>(count);
  bytes_read_ += count;
  at_end_ = count == 0;
  return absl::OkStatus();
}

std::string LineReader::Where() const { return fmt::format("{} line {}", name_, line_number_); }

}  // namespace varve::cli
