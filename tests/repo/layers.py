"""Which layer may include what. lib/README.md explains the table; this is the table."""

# A name stands for a whole layer: its public headers and those beside its sources. A path stands for one header.
LAYERS = {
    "base": [],
    "io": [],
    "record": ["varve/file_system.h"],
    "index": ["varve/file_system.h"],
    "segment": ["record", "index", "io/mutex.h", "varve/file_system.h", "varve/clock.h"],
    "state": ["record", "io/mutex.h", "io/whole_file.h", "varve/file_system.h"],
    "log": ["segment", "state", "record", "index", "io/mutex.h", "io/wait_word.h", "io/whole_file.h", "io/zeroed_pages.h",
            "varve/file_system.h",
            "varve/clock.h", "varve/overlay_file_system.h"],
    "store": ["log", "state", "segment/segment_files.h", "io/process_user.h", "io/whole_file.h",
              "io/background_thread.h", "io/fork_mark.h", "io/wait_word.h", "varve/file_system.h", "varve/clock.h",
              "varve/overlay_file_system.h"],
    "testing": ["io"],
}

# Programs and what only builds on the public surface: any public header, no private one but their own.
PUBLIC_HEADERS_ONLY = ["client", "capi", "cli", "examples", "bench"]

# The layer that implements each public header.
PUBLIC_HEADERS = {
    "errors.h": "base",
    "version.h": "base",
    "clock.h": "io",
    "file_system.h": "io",
    "overlay_file_system.h": "io",
    "compression.h": "record",
    "record.h": "record",
    "record_batch.h": "record",
    "sparse_offset_index.h": "index",
    "time_index.h": "index",
    "transaction_index.h": "index",
    "damaged_range.h": "segment",
    "offset_lookup.h": "segment",
    "segment.h": "segment",
    "checkpoint.h": "state",
    "leader_epoch.h": "state",
    "producer_state.h": "state",
    "topic_partition.h": "state",
    "compaction.h": "log",
    "file_range.h": "log",
    "log.h": "log",
    "log_options.h": "log",
    "log_reader.h": "log",
    "partition_files.h": "log",
    "recovery_report.h": "log",
    "retention.h": "log",
    "verify.h": "log",
    "data_directory.h": "store",
    "hand_over.h": "store",
    "maintenance.h": "store",
    "store.h": "store",
}

# The only part of Abseil that users of the library see.
ABSEIL_IN_PUBLIC = {"absl/status/status.h", "absl/status/statusor.h"}

# Headers of the operating system, and of the standard library where it talks to one behind the seams' back.
SYSTEM_DIRECTORIES = ("sys/", "linux/", "asm/", "netinet/", "arpa/", "net/")
SYSTEM_HEADERS = {"aio.h", "dirent.h", "fcntl.h", "poll.h", "pthread.h", "sched.h", "signal.h", "spawn.h", "syslog.h",
                  "termios.h", "unistd.h", "csignal", "cstdio", "filesystem", "fstream", "iostream", "stdio.h", "thread"}
MAY_CALL_THE_SYSTEM = {"io", "testing"}


def layer_of(path):
    """The layer a source file belongs to, or None: lib/log/log.cc is of log, examples/tail.cc of examples."""
    parts = path.split("/")
    if parts[0] == "include":
        if parts[2] == "testing":
            return "testing"
        return PUBLIC_HEADERS.get(parts[2])
    if parts[0] == "lib":
        return parts[1] if len(parts) > 2 else None
    return parts[0]


def may_include(layer, name, from_public_header):
    """Why a file of a layer may not include a header of varve; None where it may."""
    is_public = name.startswith("varve/")
    owner = layer_of("include/" + name) if is_public else name.split("/")[0]
    if from_public_header and not is_public:
        return "a public header may not include a private one"
    if owner == layer:
        return None
    if layer in PUBLIC_HEADERS_ONLY:
        return None if is_public else f"{layer} may include public headers only"
    if owner == "base" or owner in LAYERS[layer] or name in LAYERS[layer]:
        return None
    return f"layer {layer} may not include layer {owner}"


def is_of_varve(name):
    return name.startswith("varve/") or name.split("/")[0] in LAYERS or name.split("/")[0] in PUBLIC_HEADERS_ONLY


def check_layers(tree):
    """Every include of one varve file by another follows the table."""
    problems = []
    for path in tree.code("include", "lib", "examples", "bench"):
        layer = layer_of(path)
        if layer not in LAYERS and layer not in PUBLIC_HEADERS_ONLY:
            problems.append(f"{path}: belongs to no layer named in tests/repo/layers.py")
            continue
        for line, _, name in tree.includes(path):
            if name.startswith("varve/") and layer_of("include/" + name) is None:
                problems.append(f"{path}:{line}: {name} belongs to no layer named in tests/repo/layers.py")
            elif is_of_varve(name):
                why = may_include(layer, name, from_public_header=path.startswith("include/"))
                if why:
                    problems.append(f"{path}:{line}: {name}: {why}")
    return problems


def check_public_includes(tree):
    """Users see the standard library, absl::Status and varve; nothing else, and no macro-laden system header."""
    problems = []
    for path in tree.code("include"):
        for line, quote, name in tree.includes(path):
            if name.startswith("varve/"):
                allowed = True
            elif name.startswith("absl/"):
                allowed = name in ABSEIL_IN_PUBLIC
            else:
                allowed = quote == "<" and "/" not in name and not name.endswith(".h")
            if not allowed:
                problems.append(f"{path}:{line}: {name} may not appear in a public header")
    return problems


def check_system_calls(tree):
    """Only lib/io and lib/testing, and programs, include what reaches the operating system."""
    problems = []
    for path in tree.code("include", "lib"):
        layer = layer_of(path)
        if layer in MAY_CALL_THE_SYSTEM or layer in PUBLIC_HEADERS_ONLY:
            continue
        for line, quote, name in tree.includes(path):
            if quote == "<" and (name in SYSTEM_HEADERS or name.startswith(SYSTEM_DIRECTORIES)):
                problems.append(f"{path}:{line}: <{name}> belongs in lib/io")
    return problems
