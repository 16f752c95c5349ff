// Times and amounts as people write and read them.
//
// Thread rules: free functions; LineTimeParser serves one thread.
#ifndef VARVE_LIB_CLI_QUANTITIES_H_
#define VARVE_LIB_CLI_QUANTITIES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "varve/clock.h"

namespace varve::cli {

// A whole number in decimal digits, with a minus sign where it is below zero. kInvalidArgument for anything else, and
// beyond 63 bits.
[[nodiscard]] absl::StatusOr<int64_t> ParseWholeNumber(std::string_view text);

// Milliseconds since the epoch ("1769860800000") or RFC 3339 ("2026-01-31T12:00:00Z", fractions below the millisecond
// are cut off). kInvalidArgument naming both forms.
[[nodiscard]] absl::StatusOr<int64_t> ParseTime(std::string_view text);

// As ParseTime, or an alias: "latest" is -1, "earliest" -2, "max" -3 (log_reader.h). Below -3 there is no time.
[[nodiscard]] absl::StatusOr<int64_t> ParseLookupTime(std::string_view text);

// "2026-01-31T12:00:00.000Z"; "no time" for -1, the plain number where the calendar ends.
[[nodiscard]] std::string FormatTime(int64_t timestamp_ms);

// "4127 bytes", "4.0 MiB": binary units, one decimal.
[[nodiscard]] std::string FormatBytes(int64_t bytes);

// "1,234,567".
[[nodiscard]] std::string FormatCount(int64_t count);

// Reads the time at the start of a line by a strptime format. A time without a zone (%z) is local. What the format
// leaves out is that of 1970-01-01 00:00:00. The same text twice in a row is parsed once: logs have many lines a
// second.
class LineTimeParser {
 public:
  explicit LineTimeParser(std::string format) : format_(std::move(format)) {}

  // Milliseconds since the epoch; absent if the line does not begin with such a time, or names no day (February 30).
  [[nodiscard]] std::optional<int64_t> Parse(std::string_view line);

 private:
  const std::string format_;
  std::string line_;       // the line, terminated
  std::string last_text_;  // the text parsed before
  std::optional<int64_t> last_time_ms_;
};

// A clock whose wall time stands still at a given moment (`--now`); durations go on.
class StoppedClock : public Clock {
 public:
  explicit StoppedClock(int64_t wall_ms) : wall_ms_(wall_ms) {}
  [[nodiscard]] int64_t WallMs() override { return wall_ms_; }
  [[nodiscard]] int64_t MonotonicNs() override { return Clock::Default()->MonotonicNs(); }

 private:
  const int64_t wall_ms_;
};

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_QUANTITIES_H_
