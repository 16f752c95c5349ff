#include "io/file_owner.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "fmt/format.h"
#include "io/errno_status.h"

namespace varve::internal {
namespace {

std::string UserName(uid_t user) {
  constexpr size_t kMaxEntryBytes = 16384;
  std::vector<char> strings(kMaxEntryBytes);
  struct passwd entry = {};
  struct passwd* found = nullptr;
  if (::getpwuid_r(user, &entry, strings.data(), strings.size(), &found) == 0 && found != nullptr) {
    return found->pw_name;
  }
  return fmt::format("{}", user);
}

}  // namespace

absl::StatusOr<std::optional<ForeignOwner>> ForeignOwnerOf(const File& file) {
  if (file.Descriptor() < 0) return std::nullopt;
  struct stat info = {};
  if (::fstat(file.Descriptor(), &info) == -1) return ErrnoStatus(errno, file.path(), "stat");
  const uid_t caller = ::geteuid();
  if (info.st_uid == caller) return std::nullopt;
  return ForeignOwner{.owner = UserName(info.st_uid), .caller = UserName(caller)};
}

}  // namespace varve::internal
