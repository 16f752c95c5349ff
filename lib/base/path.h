// Names of files as text: no system call, no normalisation beyond the joining slash.
#ifndef VARVE_LIB_BASE_PATH_H_
#define VARVE_LIB_BASE_PATH_H_

#include <string>
#include <string_view>
#include <vector>

namespace varve::internal {

// "directory/name"; just the name if the directory is empty. A directory's trailing slash is not doubled.
[[nodiscard]] std::string JoinPath(std::string_view directory, std::string_view name);

// The directory that holds the path's last component: "a/b" gives "a", "b" gives ".", "/b" and "/" give "/". Trailing
// slashes belong to the last component.
[[nodiscard]] std::string ParentDirectory(std::string_view path);

// The path's last component without trailing slashes: "a/b" and "a/b/" give "b", "/" gives "/", "" gives "".
[[nodiscard]] std::string BaseName(std::string_view path);

// The names of a path from its root on; "." is no step: "/a/./b/" gives {"a", "b"}, "/" and "" give {}.
[[nodiscard]] std::vector<std::string> PathComponents(const std::string& path);

}  // namespace varve::internal

#endif  // VARVE_LIB_BASE_PATH_H_
