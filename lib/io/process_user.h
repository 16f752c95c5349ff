// Whom this process runs as, to compare with the owner of a file (FileInfo::owner).
//
// Thread rules: free functions, callable from any thread.
#ifndef VARVE_LIB_IO_PROCESS_USER_H_
#define VARVE_LIB_IO_PROCESS_USER_H_

#include <cstdint>
#include <string>

namespace varve::internal {

// The number of the effective user.
[[nodiscard]] uint32_t ProcessUser();

// For messages: the name of a user, or the number where the system knows no name.
[[nodiscard]] std::string UserName(uint32_t user);

}  // namespace varve::internal

#endif  // VARVE_LIB_IO_PROCESS_USER_H_
