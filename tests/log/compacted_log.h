// What the tests of compaction share: a log of few keys and tiny segments, and what must hold of it whatever was
// compacted.
#ifndef VARVE_TESTS_LOG_COMPACTED_LOG_H_
#define VARVE_TESTS_LOG_COMPACTED_LOG_H_

#include <cstdint>
#include <map>
#include <string>

#include "gtest/gtest.h"
#include "log/log_places.h"
#include "varve/log.h"

namespace varve::testing_support {

inline constexpr int64_t kKeyCount = 5;

inline std::string KeyAt(int64_t offset) { return "key " + std::to_string(offset * offset % 7 % kKeyCount); }

inline LogOptions CompactedOptions(FileSystem* file_system, Clock* clock, IoMode io_mode) {
  LogOptions options = TinyOptions(file_system, clock, io_mode);
  options.cleanup_policy = CleanupPolicy::kCompact;
  return options;
}

inline void AppendKeyed(Log* log, int64_t count, const AppendOptions& options = {}) {
  for (int64_t number = 0; number < count; ++number) {
    const int64_t offset = log->log_end_offset();
    const std::string key = KeyAt(offset);
    const std::string value = ValueAt(offset);
    const auto result = log->Append({{.key = key, .value = value, .timestamp_ms = 1'000'000 + offset}}, options);
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->base_offset, offset);
  }
}

// The offset of the last record of each key below `end`.
inline std::map<std::string, int64_t> LatestBelow(int64_t end) {
  std::map<std::string, int64_t> latest;
  for (int64_t offset = 0; offset < end; ++offset) latest[KeyAt(offset)] = offset;
  return latest;
}

// Every record that is there is the one that was appended there, none twice, and the last of each key is there.
// Answers how many there are.
inline int64_t ExpectLatest(const Log& log, int64_t end) {
  EXPECT_EQ(log.log_end_offset(), end);
  std::map<std::string, int64_t> latest;
  int64_t count = 0;
  int64_t previous = -1;
  LogScan scan = log.Scan(log.log_start_offset());
  for (const RecordView& record : scan) {
    EXPECT_GT(record.offset(), previous);
    previous = record.offset();
    EXPECT_EQ(record.key(), KeyAt(record.offset()));
    EXPECT_EQ(record.value(), ValueAt(record.offset()));
    latest[std::string(*record.key())] = record.offset();
    ++count;
  }
  EXPECT_TRUE(scan.status().ok()) << scan.status();
  EXPECT_EQ(latest, LatestBelow(end));
  return count;
}

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_LOG_COMPACTED_LOG_H_
