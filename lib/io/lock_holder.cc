#include "io/lock_holder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <system_error>

#include "fmt/format.h"

namespace varve::internal {
namespace {

namespace fs = std::filesystem;

std::optional<pid_t> ParseProcessId(std::string_view name) {
  pid_t id = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), id);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return id;
}

// A line of fdinfo: "lock:\t1: OFDLCK  ADVISORY  WRITE -1 fe:00:1234 0 EOF".
bool ShowsDescriptionLock(const fs::path& descriptor_info) {
  std::ifstream info(descriptor_info);
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("lock:") && line.find(" OFDLCK ") != std::string::npos) return true;
  }
  return false;
}

bool HoldsDescriptionLock(const fs::path& process, const struct stat& file) {
  std::error_code error;
  for (fs::directory_iterator entry(process / "fd", error), end; !error && entry != end; entry.increment(error)) {
    struct stat opened = {};
    if (::stat(entry->path().c_str(), &opened) == -1) continue;
    if (opened.st_dev != file.st_dev || opened.st_ino != file.st_ino) continue;
    if (ShowsDescriptionLock(process / "fdinfo" / entry->path().filename())) return true;
  }
  return false;
}

std::optional<pid_t> FindDescriptionLockHolder(const struct stat& file) {
  std::error_code error;
  for (fs::directory_iterator entry("/proc", error), end; !error && entry != end; entry.increment(error)) {
    const std::optional<pid_t> id = ParseProcessId(entry->path().filename().native());
    if (id.has_value() && HoldsDescriptionLock(entry->path(), file)) return id;
  }
  return std::nullopt;
}

}  // namespace

std::string DescribeLockHolder(int descriptor, struct flock wanted) {
  std::optional<pid_t> holder;
  // The question leaves l_pid at -1 for a lock that belongs to no process, at 0 if the holder let go meanwhile.
  wanted.l_pid = 0;
  if (::fcntl(descriptor, F_OFD_GETLK, &wanted) == 0 && wanted.l_type != F_UNLCK && wanted.l_pid > 0) {
    holder = wanted.l_pid;
  }
  struct stat file = {};
  if (!holder.has_value() && ::fstat(descriptor, &file) == 0) holder = FindDescriptionLockHolder(file);
  if (!holder.has_value()) return "another process";
  return *holder == ::getpid() ? "this process" : fmt::format("process {}", *holder);
}

}  // namespace varve::internal
