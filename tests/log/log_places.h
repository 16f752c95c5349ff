// Logs for tests: tiny segments, in memory and on disk, mapped and by write calls.
#ifndef VARVE_TESTS_LOG_LOG_PLACES_H_
#define VARVE_TESTS_LOG_LOG_PLACES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "support/status_matchers.h"
#include "support/temporary_directory.h"
#include "varve/log.h"
#include "varve/testing/manual_clock.h"
#include "varve/testing/memory_file_system.h"

namespace varve::testing_support {

inline constexpr char kPartition[] = "orders-0";

struct LogPlace {
  const char* name;
  bool on_disk;
  IoMode io_mode;
};

inline constexpr LogPlace kLogPlaces[] = {{"MemoryMapped", false, IoMode::kMapped},
                                          {"MemoryWrite", false, IoMode::kWrite},
                                          {"DiskMapped", true, IoMode::kMapped},
                                          {"DiskWrite", true, IoMode::kWrite}};

// Settings under which a few dozen records cross every boundary: some five batches a segment, an index entry for every
// second one.
inline LogOptions TinyOptions(FileSystem* file_system, Clock* clock, IoMode io_mode) {
  LogOptions options;
  options.file_system = file_system;
  options.clock = clock;
  options.io_mode = io_mode;
  options.segment_bytes = 512;
  options.index_interval_bytes = 100;
  options.segment_index_bytes = 1024;
  return options;
}

// The value of the record at `offset`.
inline std::string ValueAt(int64_t offset) { return "value " + std::to_string(offset); }

inline std::unique_ptr<Log> OpenLog(const std::string& directory, const LogOptions& options) {
  auto log = Log::Open(directory, options);
  EXPECT_TRUE(log.ok()) << log.status();
  return log.ok() ? *std::move(log) : nullptr;
}

// Appends one record with the value of its offset, and expects that offset.
inline void AppendNext(Log* log, const AppendOptions& options = {}) {
  const int64_t offset = log->log_end_offset();
  const std::string value = ValueAt(offset);
  const auto result = log->Append({{.key = "key", .value = value, .timestamp_ms = 1'000'000 + offset}}, options);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->base_offset, offset);
  ASSERT_EQ(result->last_offset, offset);
}

inline void AppendMany(Log* log, int64_t count, const AppendOptions& options = {}) {
  for (int64_t number = 0; number < count; ++number) ASSERT_NO_FATAL_FAILURE(AppendNext(log, options));
}

// The records from `from` to the log end are those that AppendNext made, none missing.
inline void ExpectRecords(const Log& log, int64_t from, int64_t to) {
  int64_t offset = from;
  LogScan scan = log.Scan(from);
  for (const RecordView& record : scan) {
    ASSERT_EQ(record.offset(), offset);
    ASSERT_EQ(record.value(), ValueAt(offset));
    ASSERT_EQ(record.timestamp_ms(), 1'000'000 + offset);
    ++offset;
  }
  ASSERT_TRUE(scan.status().ok()) << scan.status();
  ASSERT_EQ(offset, to);
}

class LogTest : public ::testing::Test {
 protected:
  LogTest() : options_(TinyOptions(&memory_, &clock_, IoMode::kMapped)) {}

  std::unique_ptr<Log> Open() { return OpenLog(directory_, options_); }

  ManualClock clock_{1'700'000'000'000, 1'000'000'000'000};
  MemoryFileSystem memory_;
  std::string directory_ = kPartition;
  LogOptions options_;
};

class LogPlaceTest : public LogTest, public ::testing::WithParamInterface<LogPlace> {
 protected:
  LogPlaceTest() {
    options_.io_mode = GetParam().io_mode;
    if (!GetParam().on_disk) return;
    options_.file_system = FileSystem::Default();
    directory_ = temporary_.path() + "/" + kPartition;
  }

 private:
  TemporaryDirectory temporary_;
};

}  // namespace varve::testing_support

#define VARVE_INSTANTIATE_LOG_PLACES(suite)                                                    \
  INSTANTIATE_TEST_SUITE_P(, suite, ::testing::ValuesIn(::varve::testing_support::kLogPlaces), \
                           [](const auto& param) { return std::string(param.param.name); })

#endif  // VARVE_TESTS_LOG_LOG_PLACES_H_
