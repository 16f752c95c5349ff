"""What a file of the library names, its includes reach.

The library is compiled with precompiled headers here, which hide an include that is missing from a host that compiles
without them.
"""

import re

# Header -> what of it a file may name. A header that another one is sure to bring is in INSTEAD.
NAMES = {
    "absl/status/status.h": r"absl::Status\b",
    "absl/status/statusor.h": r"absl::StatusOr\b",
    "fmt/format.h": r"fmt::\w",
    "algorithm": r"std::(?:ranges::)?(?:all_of|any_of|binary_search|clamp|copy|copy_n|count_if|equal|fill|find|find_if|"
                 r"for_each|is_sorted|lower_bound|max|max_element|min|min_element|none_of|partition_point|remove_if|"
                 r"reverse|rotate|sort|stable_sort|transform|unique|upper_bound)\(",
    "array": r"std::array\b",
    "atomic": r"std::atomic\b",
    "chrono": r"std::chrono\b",
    "cstdint": r"\bu?int(?:8|16|32|64)_t\b",
    "cstring": r"std::mem(?:chr|cmp|cpy|move|set)\b",
    "deque": r"std::deque\b",
    "functional": r"std::(?:function|greater|hash|less)\b",
    "limits": r"std::numeric_limits\b",
    "map": r"std::(?:multi)?map\b",
    "memory": r"std::(?:make_shared|make_unique|shared_ptr|unique_ptr|weak_ptr)\b",
    "optional": r"std::(?:nullopt|optional)\b",
    "set": r"std::(?:multi)?set\b",
    "span": r"std::span\b",
    "string": r"std::(?:string|to_string)\b",
    "string_view": r"std::string_view\b",
    "utility": r"std::(?:as_const|exchange|forward|move|pair|swap)\b",
    "variant": r"std::variant\b",
    "vector": r"std::vector\b",
}
INSTEAD = {"absl/status/status.h": "absl/status/statusor.h", "string_view": "string"}


class Includes:
    """What the files of the library include, by way of each other."""

    def __init__(self, tree):
        self._tree = tree
        self._direct = {path: [name for _, _, name in tree.includes(path)] for path in tree.code("include", "lib")}

    def reached_from(self, path):
        """The names of all headers that a file includes, those of included files of the library among them."""
        reached, paths = set(), [path]
        while paths:
            for name in self._direct[paths.pop()]:
                if name not in reached:
                    reached.add(name)
                    paths += [place + name for place in ("include/", "lib/") if place + name in self._direct]
        return reached


def check_standard_includes(tree):
    """Every file of the library compiles without precompiled headers."""
    includes = Includes(tree)
    problems = []
    for path in tree.code("include", "lib"):
        code = re.sub(r"//.*", "", tree.read(path))
        reached = includes.reached_from(path)
        for header, names in NAMES.items():
            match = re.search(names, code)
            if match and header not in reached and INSTEAD.get(header) not in reached:
                problems.append(f"{path}: names {match.group(0).rstrip('(')} and includes nothing that brings <{header}>")
    return problems
