#include "driver/child_process.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "driver/failure.h"

namespace varve::bench {

std::vector<double> InChild(const std::function<std::vector<double>()>& run) {
  std::array<int, 2> ends = {};
  if (::pipe(ends.data()) != 0) Fail("pipe");
  const pid_t child = ::fork();
  if (child < 0) Fail("fork");
  if (child == 0) {
    ::close(ends[0]);
    const std::vector<double> values = run();
    const size_t bytes = values.size() * sizeof(double);
    const bool sent = ::write(ends[1], values.data(), bytes) == static_cast<ssize_t>(bytes);
    std::_Exit(sent ? 0 : 3);
  }
  ::close(ends[1]);
  std::vector<double> values;
  for (double value = 0; ::read(ends[0], &value, sizeof(value)) == static_cast<ssize_t>(sizeof(value));) {
    values.push_back(value);
  }
  ::close(ends[0]);
  int status = 0;
  if (::waitpid(child, &status, 0) != child || status != 0) Fail("a child did not end well");
  return values;
}

int64_t PrivateBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t size_pages = 0;
  int64_t resident_pages = 0;
  int64_t shared_pages = 0;  // of files, and of memory that processes share
  if (!(statm >> size_pages >> resident_pages >> shared_pages)) Fail("reading /proc/self/statm");
  return (resident_pages - shared_pages) * ::sysconf(_SC_PAGESIZE);
}

int64_t DescriptorCount() {
  int64_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    count += static_cast<int64_t>(!entry.path().empty());
  }
  return count - 1;  // the listing has one itself
}

void RaiseDescriptorLimit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) Fail("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) Fail("setrlimit");
}

}  // namespace varve::bench
