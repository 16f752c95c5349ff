// Compacts a log and sets the time beside that of the least which that can take: a scan of the same bytes that verifies
// every checksum, then a plain copy of what was left into a new file that is synced, and a look at a table as large as
// the key map for each record, when the keys are gathered and when it is asked which records stay. All in interleaved
// rounds of one run, from the page cache; each round compacts a fresh copy of the same log. The old segments' files are removed after
// the pass, as file_delete_delay_ms is left as it is, and their removal is not measured.
//
//   build/bench/compaction [DIRECTORY [RECORDS [KEYS [ROUNDS]]]]
//
// Prints seconds (median of the rounds, with the least and the most), the ratio of the medians, and by how much the
// process grew during the compaction at most. Ends with status 1 if that is more than the key map may take and a few
// buffers. Of the default size it takes 3 GB in DIRECTORY.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "varve/log.h"

namespace {

namespace fs = std::filesystem;

constexpr int64_t kTimestampMs = 1'700'000'000'000;
constexpr int64_t kSegmentBytes = int64_t{128} << 20;
constexpr size_t kBatchRecords = 500;
constexpr size_t kReadBytes = 1 << 20;
// Beside the key map: a batch decoded and one rebuilt, buffers for reading and writing, indexes of a segment.
constexpr int64_t kBufferBytes = int64_t{8} << 20;
// Of progress between two looks at the memory, which is near its most from the first half of the pass on.
constexpr int64_t kLookBytes = int64_t{4} << 20;

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "compaction: %s\n", what.c_str());
  std::exit(3);
}

struct Work {
  const char* name;
  std::vector<double> seconds = {};

  double median() const {
    std::vector<double> sorted = seconds;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
  }
};

template <typename Run>
void Measure(Work* work, Run run) {
  const auto begin = std::chrono::steady_clock::now();
  run();
  work->seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
}

varve::LogOptions Options() {
  varve::LogOptions options;
  options.cleanup_policy = varve::CleanupPolicy::kCompact;
  options.segment_bytes = kSegmentBytes;
  return options;
}

std::unique_ptr<varve::Log> Open(const std::string& directory) {
  auto log = varve::Log::Open(directory, Options());
  if (!log.ok()) Die(log.status().ToString());
  return *std::move(log);
}

// The number of the key of each record, in their order.
std::vector<uint32_t> DrawKeys(int64_t records, uint32_t keys) {
  std::mt19937_64 random(1);
  std::vector<uint32_t> drawn(static_cast<size_t>(records));
  for (uint32_t& key : drawn) key = static_cast<uint32_t>(random() % keys);
  return drawn;
}

// Writes records of these keys in batches, and nothing to the last segment. Answers how many different keys there are.
size_t Fill(const std::string& directory, const std::vector<uint32_t>& keys) {
  const auto log = Open(directory);
  std::vector<bool> seen(*std::max_element(keys.begin(), keys.end()) + size_t{1});
  const std::string value(100, 'v');
  std::vector<std::string> names(kBatchRecords);
  std::vector<varve::Record> batch;
  for (size_t number = 0; number < keys.size(); ++number) {
    seen[keys[number]] = true;
    std::string& name = names[batch.size()];
    name = std::to_string(100'000'000 + keys[number]).substr(1);
    batch.push_back({.key = name, .value = value, .timestamp_ms = kTimestampMs});
    if (batch.size() < kBatchRecords && number + 1 < keys.size()) continue;
    if (const auto appended = log->Append(batch); !appended.ok()) Die(appended.status().ToString());
    batch.clear();
  }
  if (const absl::Status rolled = log->Roll(); !rolled.ok()) Die(rolled.ToString());
  if (const absl::Status closed = log->Close(); !closed.ok()) Die(closed.ToString());
  return static_cast<size_t>(std::count(seen.begin(), seen.end(), true));
}

std::vector<std::string> LogFilesIn(const std::string& directory) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == ".log") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

int64_t BytesOf(const std::vector<std::string>& paths) {
  int64_t bytes = 0;
  for (const std::string& path : paths) bytes += static_cast<int64_t>(fs::file_size(path));
  return bytes;
}

// --- The limit ---

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : number_(::open(path.c_str(), flags, 0644)) {
    if (number_ < 0) Die("opening " + path);
  }
  ~Descriptor() { ::close(number_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int number() const { return number_; }

  // 0 at the end of the file.
  [[nodiscard]] size_t Read(std::byte* target, size_t bytes) const {
    const ssize_t count = ::read(number_, target, bytes);
    if (count < 0) Die("reading");
    return static_cast<size_t>(count);
  }

 private:
  const int number_;
};

void Scan(const std::vector<std::string>& paths) {
  std::vector<std::byte> buffer(2 * kReadBytes);
  for (const std::string& path : paths) {
    const Descriptor file(path, O_RDONLY);
    size_t held = 0;  // the beginning of a batch
    while (const size_t count = file.Read(buffer.data() + held, buffer.size() - held)) {
      std::span<const std::byte> rest(buffer.data(), held + count);
      for (varve::RecordBatchView batch; varve::NextBatch(&rest, &batch);) {
        if (!batch.CrcMatches()) Die("a wrong checksum in " + path);
      }
      held = rest.size();
      std::memmove(buffer.data(), rest.data(), held);
    }
    if (held > 0) Die("bytes that are no batch in " + path);
  }
}

void Copy(const std::vector<std::string>& paths, const std::string& directory) {
  std::vector<std::byte> buffer(kReadBytes);
  for (const std::string& path : paths) {
    const std::string target = directory / fs::path(path).filename();
    const Descriptor source(path, O_RDONLY);
    const Descriptor copy(target, O_WRONLY | O_CREAT | O_EXCL);
    while (const size_t count = source.Read(buffer.data(), buffer.size())) {
      if (::write(copy.number(), buffer.data(), count) != static_cast<ssize_t>(count)) Die("writing " + target);
    }
    if (::fdatasync(copy.number()) != 0) Die("syncing " + target);
  }
}

// A table with entries of the key map's size, each key's at a place of its own. A put and a find for each record, some at
// once, so that memory is waited for but once; nothing is compared, and the places cost nothing to find.
class ProbedTable {
 public:
  ProbedTable(const std::vector<uint32_t>& keys, size_t bytes) : bytes_(bytes) {
    void* const mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) Die("no memory for a table");
    (void)::madvise(mapped, bytes, MADV_HUGEPAGE);
    entries_ = static_cast<Entry*>(mapped);
    const uint64_t count = bytes / sizeof(Entry);
    places_.reserve(keys.size());
    for (const uint32_t key : keys) {
      std::mt19937_64 place(key);
      places_.push_back(static_cast<uint32_t>(place() % count));
    }
  }
  ~ProbedTable() { ::munmap(entries_, bytes_); }
  ProbedTable(const ProbedTable&) = delete;
  ProbedTable& operator=(const ProbedTable&) = delete;

  void Probe() {
    ForEach([this](uint32_t place) { entries_[place].offset = place; });
    uint64_t sum = 0;
    ForEach([&](uint32_t place) { sum += entries_[place].offset; });
    asm volatile("" : : "r"(sum));
  }

 private:
  struct Entry {
    uint64_t hash[2];
    uint64_t offset;
  };

  template <typename Visit>
  void ForEach(Visit visit) {
    constexpr size_t kAtOnce = 32;
    for (size_t begin = 0; begin < places_.size(); begin += kAtOnce) {
      const size_t end = std::min(begin + kAtOnce, places_.size());
      for (size_t next = begin; next < end; ++next) __builtin_prefetch(&entries_[places_[next]]);
      for (size_t next = begin; next < end; ++next) visit(places_[next]);
    }
  }

  const size_t bytes_;
  Entry* entries_;
  std::vector<uint32_t> places_;
};

// --- The compaction ---

// What the process has for itself, which pages of mapped files are not.
int64_t PrivateBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kib = 0;
    if (word == "RssAnon:" && status >> kib) return kib * 1024;
  }
  Die("/proc/self/status has no RssAnon");
}

struct Compaction {
  varve::CompactionResult result;
  int64_t grown_bytes = 0;  // at most
};

Compaction Compact(varve::Log* log, Work* work) {
  Compaction compaction;
  const int64_t bytes_before = PrivateBytes();
  int64_t next_look_bytes = 0;
  varve::CompactionOptions options;
  options.progress = [&](int64_t done_bytes, int64_t /*total_bytes*/) {
    if (done_bytes < next_look_bytes) return;
    compaction.grown_bytes = std::max(compaction.grown_bytes, PrivateBytes() - bytes_before);
    next_look_bytes = done_bytes + kLookBytes;
  };
  Measure(work, [&] {
    const auto result = log->Compact(options);
    if (!result.ok()) Die(result.status().ToString());
    compaction.result = *result;
  });
  return compaction;
}

int64_t NumberAt(int argc, char** argv, int index, int64_t otherwise) {
  return argc > index ? std::atoll(argv[index]) : otherwise;
}

void PrintTimes(const std::vector<const Work*>& works) {
  std::printf("%-36s %10s %20s\n", "", "seconds", "least to most");
  for (const Work* work : works) {
    const auto [least, most] = std::minmax_element(work->seconds.begin(), work->seconds.end());
    std::printf("%-36s %10.3f %10.3f to %6.3f\n", work->name, work->median(), *least, *most);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string directory = argc > 1 ? argv[1] : fs::temp_directory_path().string();
  const int64_t records = NumberAt(argc, argv, 2, 10'000'000);
  const int64_t keys = NumberAt(argc, argv, 3, 1'000'000);
  const int64_t rounds = NumberAt(argc, argv, 4, 5);
  const std::string root = directory + "/varve-compaction-bench";
  const std::string original = root + "/original-0";
  const std::string compacted = root + "/compacted-0";
  const std::string copies = root + "/copies";
  std::error_code error;
  fs::remove_all(root, error);
  if (!fs::create_directories(root, error)) Die("making " + root);
  const auto map_bytes = static_cast<int64_t>(varve::CompactionOptions().key_map_bytes);
  const std::vector<uint32_t> drawn = DrawKeys(records, static_cast<uint32_t>(keys));
  const size_t different_keys = Fill(original, drawn);
  const std::vector<std::string> sources = LogFilesIn(original);

  Work scan{"scan that verifies every checksum"};
  Work copy{"copy of what is left, and its sync"};
  Work probes{"probes of a table like the key map"};
  Work compact{"varve Compact"};
  Compaction last;
  int64_t grown_bytes = 0;
  for (int64_t round = 0; round < rounds; ++round) {
    fs::remove_all(compacted);
    fs::remove_all(copies);
    fs::create_directory(copies);
    fs::copy(original, compacted);
    const auto log = Open(compacted);
    ::sync();  // so that nobody waits for the bytes of the copy
    Measure(&scan, [&] { Scan(sources); });
    last = Compact(log.get(), &compact);
    if (last.result.records_kept != static_cast<int64_t>(different_keys)) Die("not one record of each key is left");
    Measure(&copy, [&] { Copy(LogFilesIn(compacted), copies); });
    ProbedTable table(drawn, static_cast<size_t>(map_bytes));
    Measure(&probes, [&] { table.Probe(); });
    grown_bytes = std::max(grown_bytes, last.grown_bytes);
  }

  constexpr double kMiB = 1 << 20;
  std::printf("%lld records of %zu keys, 8 bytes of key and 100 of value: %.0f MiB became %.0f MiB; %lld rounds\n\n",
              static_cast<long long>(records), different_keys, static_cast<double>(BytesOf(sources)) / kMiB,
              static_cast<double>(last.result.bytes_after) / kMiB, static_cast<long long>(rounds));
  fs::remove_all(root);
  PrintTimes({&scan, &copy, &probes, &compact});
  const double least = scan.median() + copy.median() + probes.median();
  std::printf("\nx a scan, the copy and the probes: %.2f; at most 1.5 asked\n", compact.median() / least);
  std::printf("x the same with two scans:         %.2f (what is dirty has to be read twice)\n",
              compact.median() / (least + scan.median()));
  std::printf("most memory: %.1f MiB more than before, of which the key map may take %.0f MiB\n",
              static_cast<double>(grown_bytes) / kMiB, static_cast<double>(map_bytes) / kMiB);
  if (grown_bytes > map_bytes + kBufferBytes) {
    std::fprintf(stderr, "compaction: it took more memory than the key map and a few buffers\n");
    return 1;
  }
}
