// What the tests of opening share: a partition in a MemoryFileSystem, filled with batches, with a directory that Kafka
// wrote, or with bytes at will; and its files as a map, to compare.
#ifndef VARVE_TESTS_LOG_PARTITION_FIXTURE_H_
#define VARVE_TESTS_LOG_PARTITION_FIXTURE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "log/log_loader.h"
#include "log/partition_state.h"
#include "nlohmann/json.hpp"
#include "varve/log_options.h"
#include "varve/record_batch.h"
#include "varve/testing/manual_clock.h"
#include "varve/testing/memory_file_system.h"

namespace varve::testing_support {

inline constexpr char kDirectory[] = "orders-0";

// A batch of `record_count` records from `base_offset` on, of some 100 bytes each.
struct TestBatch {
  int64_t base_offset = 0;
  int32_t record_count = 1;
  int32_t leader_epoch = 0;
  std::string value = std::string(100, 'v');
  int64_t timestamp_ms = 1'700'000'000'000;
  std::optional<Header> header = std::nullopt;
};
[[nodiscard]] std::string BatchBytes(const TestBatch& batch);

// Batches of one record each, at offsets [first, end), back to back.
[[nodiscard]] std::string BatchesBytes(int64_t first_offset, int64_t end_offset, int32_t leader_epoch = 0);

// A message of magic 0 or 1 without a key, with a good checksum: offset, size, checksum, magic, attributes, from magic
// 1 on a timestamp, key, value.
[[nodiscard]] std::string LegacyMessage(int8_t magic, int64_t offset, std::string_view value = "before batches");

void WriteFile(FileSystem* file_system, const std::string& path, std::string_view content);
[[nodiscard]] std::string ReadFile(FileSystem* file_system, const std::string& path);
// Every file of a directory, by name.
using FileMap = std::map<std::string, std::string>;
[[nodiscard]] FileMap ReadFiles(FileSystem* file_system, const std::string& directory);
// The same without varve's own files.
[[nodiscard]] FileMap ReadKafkaFiles(FileSystem* file_system, const std::string& directory);

// The batches that a loaded log serves, byte for byte, in order: everything that its report does not call damaged.
[[nodiscard]] std::vector<std::string> ServedBatches(FileSystem* file_system, const internal::LoadedLog& loaded);
// The batches of bytes that hold nothing else.
[[nodiscard]] std::vector<std::string> SplitBatches(std::string_view log);

// Syncs every file and the directory.
void SyncAll(FileSystem* file_system, const std::string& directory);

// A partition to be opened, small index interval, clock standing at 1'700'000'100'000 ms.
struct Partition {
  Partition();
  explicit Partition(std::unique_ptr<MemoryFileSystem> files);

  std::unique_ptr<MemoryFileSystem> fs;
  ManualClock clock{1'700'000'100'000};
  LogOptions options;

  [[nodiscard]] absl::StatusOr<internal::LoadedLog> Load();
  // The .log of a segment, synced, without indexes.
  void AddSegment(int64_t base_offset, std::string_view log);
  [[nodiscard]] std::string LogPath(int64_t base_offset) const;
  [[nodiscard]] std::string Log(int64_t base_offset) const;
  // Stores varve.state as a writer would that has synced everything below `offset`, which lies at `position` of
  // `segment`; `survived`: on this boot and mount.
  void SetDurablePoint(int64_t segment, int64_t position, int64_t offset, bool survived, bool clean = false);
  // Changes one byte.
  void FlipBit(const std::string& name, int64_t position, int bit = 0);
};

// One of tests/golden.
struct GoldenCase {
  std::string name;
  nlohmann::json manifest;
  FileMap files;  // of the partition as handed over
};
[[nodiscard]] GoldenCase LoadGoldenCase(const std::string& name);
[[nodiscard]] std::vector<std::string> GoldenCaseNames();
// Sets a partition up with the files and the options of a case.
void SetUpGolden(const GoldenCase& golden, Partition* partition);

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_LOG_PARTITION_FIXTURE_H_
