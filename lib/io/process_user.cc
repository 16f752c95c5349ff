#include "io/process_user.h"

#include <pwd.h>
#include <unistd.h>

#include <cstddef>
#include <vector>

#include "fmt/format.h"

namespace varve::internal {

uint32_t ProcessUser() { return ::geteuid(); }

std::string UserName(uint32_t user) {
  constexpr size_t kMaxEntryBytes = 16384;
  std::vector<char> strings(kMaxEntryBytes);
  struct passwd entry = {};
  struct passwd* found = nullptr;
  if (::getpwuid_r(user, &entry, strings.data(), strings.size(), &found) == 0 && found != nullptr) {
    return found->pw_name;
  }
  return fmt::format("{}", user);
}

}  // namespace varve::internal
