// Appends records one by one and sets the cost beside a plain memory copy of the same bytes and one write call a
// record, in interleaved rounds of one run, each into fresh files or memory.
//
//   build/bench/append_one_by_one [DIRECTORY [RECORDS [ROUNDS]]]
//
// Prints nanoseconds a record (median of the rounds, with the least and the most) and each as a ratio to the copies.
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
#include <functional>
#include <string>
#include <vector>

#include "varve/log.h"

namespace {

constexpr int64_t kTimestampMs = 1'700'000'000'000;

struct Work {
  const char* name;
  std::function<void()> run;
  std::vector<double> ns_per_record = {};
};

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "append_one_by_one: %s\n", what.c_str());
  std::exit(3);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// One batch of one record, as it lies in the log: what the copies copy.
std::vector<std::byte> OneBatch(const varve::Record& record) {
  varve::RecordBatchBuilder builder;
  if (!builder.Add(record).ok()) Die("building a batch");
  const auto batch = builder.Build();
  if (!batch.ok()) Die(batch.status().ToString());
  return {batch->begin(), batch->end()};
}

void CopyInto(std::byte* target, const std::vector<std::byte>& batch, int64_t records) {
  for (int64_t number = 0; number < records; ++number) {
    std::memcpy(target + static_cast<size_t>(number) * batch.size(), batch.data(), batch.size());
    asm volatile("" : : "r"(target) : "memory");  // the copies are not to be merged or dropped
  }
}

// Fresh pages of a file in the page cache, as an append to a log has them: made present by the copy itself.
void CopyIntoMappedFile(const std::string& path, const std::vector<std::byte>& batch, int64_t records) {
  const size_t bytes = batch.size() * static_cast<size_t>(records);
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0644);
  if (file < 0 || ::ftruncate(file, static_cast<off_t>(bytes)) != 0) Die("making " + path);
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) Die("mapping " + path);
  CopyInto(static_cast<std::byte*>(memory), batch, records);
  ::munmap(memory, bytes);
  ::close(file);
}

void WriteEach(const std::string& path, const std::vector<std::byte>& batch, int64_t records) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file < 0) Die("making " + path);
  for (int64_t number = 0; number < records; ++number) {
    if (::write(file, batch.data(), batch.size()) != static_cast<ssize_t>(batch.size())) Die("writing " + path);
  }
  ::close(file);
}

void AppendEach(const std::string& directory, const varve::Record& record, int64_t records) {
  auto log = varve::Log::Open(directory, {.io_mode = varve::IoMode::kMapped});
  if (!log.ok()) Die(log.status().ToString());
  for (int64_t number = 0; number < records; ++number) {
    if (const auto result = (*log)->Append(std::span(&record, 1)); !result.ok()) Die(result.status().ToString());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string directory = argc > 1 ? argv[1] : std::filesystem::temp_directory_path().string();
  const int64_t records = argc > 2 ? std::atoll(argv[2]) : 2'000'000;
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 5;
  const std::string root = directory + "/varve-append-bench";
  const std::string value(100, 'v');
  const varve::Record record{.key = "12345678", .value = value, .timestamp_ms = kTimestampMs};
  const std::vector<std::byte> batch = OneBatch(record);
  std::vector<std::byte> present(batch.size() * static_cast<size_t>(records), std::byte{1});  // every page touched

  std::vector<Work> works;
  works.push_back({"memory copy, pages present", [&] { CopyInto(present.data(), batch, records); }});
  works.push_back({"memory copy, fresh mapped file", [&] { CopyIntoMappedFile(root + "/mapped", batch, records); }});
  works.push_back({"one write call a record", [&] { WriteEach(root + "/written", batch, records); }});
  works.push_back({"varve Append, kWritten, mapped", [&] { AppendEach(root + "/log-0", record, records); }});

  for (int round = -1; round < rounds; ++round) {  // the first one warms up
    for (Work& work : works) {
      std::filesystem::remove_all(root);
      std::filesystem::create_directories(root);
      const auto begin = std::chrono::steady_clock::now();
      work.run();
      const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
      if (round >= 0) work.ns_per_record.push_back(took.count() / static_cast<double>(records));
    }
  }
  std::filesystem::remove_all(root);

  std::printf("%lld records of 8 bytes of key and 100 of value, %zu bytes each in the log; %d rounds\n\n",
              static_cast<long long>(records), batch.size(), rounds);
  std::printf("%-32s %10s %18s %14s %14s\n", "", "ns/record", "least to most", "x copy present", "x copy fresh");
  const double copy_present = Median(works[0].ns_per_record);
  const double copy_fresh = Median(works[1].ns_per_record);
  for (const Work& work : works) {
    const double median = Median(work.ns_per_record);
    const auto [least, most] = std::minmax_element(work.ns_per_record.begin(), work.ns_per_record.end());
    std::printf("%-32s %10.1f %8.1f to %6.1f %14.2f %14.2f\n", work.name, median, *least, *most, median / copy_present,
                median / copy_fresh);
  }
}
