#include "cli/quantities.h"

#include <array>
#include <charconv>
#include <climits>
#include <ctime>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "cli/exit_status.h"
#include "fmt/chrono.h"
#include "fmt/format.h"
#include "varve/log_reader.h"

namespace varve::cli {
namespace {

std::optional<int64_t> ParseInteger(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Milliseconds of a broken-down time; absent if it names no day of the calendar.
std::optional<int64_t> MillisecondsOf(std::tm fields, bool has_zone, long zone_seconds) {
  const int day = fields.tm_mday;
  const int month = fields.tm_mon;
  fields.tm_wday = -1;  // stays so where the conversion fails: -1 alone is also the second before the epoch
  const std::time_t seconds = has_zone ? timegm(&fields) : mktime(&fields);
  if (fields.tm_wday == -1) return std::nullopt;
  if (fields.tm_mday != day || fields.tm_mon != month) return std::nullopt;  // February 30 became March 2
  return (static_cast<int64_t>(seconds) - (has_zone ? zone_seconds : 0)) * 1000;
}

}  // namespace

absl::StatusOr<int64_t> ParseWholeNumber(std::string_view text) {
  if (const std::optional<int64_t> number = ParseInteger(text); number.has_value()) return *number;
  return Failure(absl::StatusCode::kInvalidArgument, "expected a whole number below 2^63, found '{}'", text);
}

absl::StatusOr<int64_t> ParseTime(std::string_view text) {
  if (const std::optional<int64_t> milliseconds = ParseInteger(text); milliseconds.has_value()) {
    if (*milliseconds >= 0) return *milliseconds;
  } else {
    absl::Time time;
    std::string error;
    // ParseTime of Abseil also takes "infinite-future".
    if (absl::ParseTime(absl::RFC3339_full, absl::string_view(text.data(), text.size()), &time, &error) &&
        time != absl::InfiniteFuture() && time != absl::InfinitePast() && time >= absl::UnixEpoch()) {
      return absl::ToUnixMillis(time);
    }
  }
  return Failure(absl::StatusCode::kInvalidArgument,
                 "expected a time as milliseconds since the epoch or like 2026-01-31T12:00:00Z, found '{}'", text);
}

absl::StatusOr<int64_t> ParseLookupTime(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, int64_t>, 3> kAliases{
      {{"latest", kLatestTimestamp}, {"earliest", kEarliestTimestamp}, {"max", kMaxTimestamp}}};
  const std::optional<int64_t> number = ParseInteger(text);
  for (const auto& [alias, value] : kAliases) {
    if (text == alias || number == value) return value;
  }
  absl::StatusOr<int64_t> time = ParseTime(text);
  if (time.ok()) return time;
  return Failure(
      absl::StatusCode::kInvalidArgument,
      "expected a time as milliseconds since the epoch, like 2026-01-31T12:00:00Z, or one of earliest, latest, "
      "max; found '{}'",
      text);
}

std::string FormatTime(int64_t timestamp_ms) {
  constexpr int64_t kYear9999Ms = 253'402'300'799'999;
  if (timestamp_ms == kNoTimestamp) return "no time";
  if (timestamp_ms < 0 || timestamp_ms > kYear9999Ms) return fmt::format("{}", timestamp_ms);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(static_cast<std::time_t>(timestamp_ms / 1000)),
                     timestamp_ms % 1000);
}

std::string FormatBytes(int64_t bytes) {
  constexpr std::array<const char*, 5> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 10'000) return fmt::format("{} bytes", bytes);
  double amount = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; amount >= 1024 && unit + 1 < kUnits.size(); ++unit) amount /= 1024;
  return fmt::format("{:.1f} {}", amount, kUnits.at(unit));
}

std::string FormatCount(int64_t count) {
  const std::string digits = fmt::format("{}", count);
  const size_t first = digits.front() == '-' ? 1 : 0;
  std::string grouped;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > first && (digits.size() - i) % 3 == 0) grouped.push_back(',');
    grouped.push_back(digits[i]);
  }
  return grouped;
}

std::optional<int64_t> LineTimeParser::Parse(std::string_view line) {
  // Longer than any time in use; strptime needs the terminating zero, and a line may be large.
  constexpr size_t kLongestTime = 512;
  line = line.substr(0, kLongestTime);
  // What follows the text belongs to the key: "%S" may have more digits to take.
  if (!last_text_.empty() && line.substr(0, last_text_.size()) == last_text_) return last_time_ms_;

  line_.assign(line);
  constexpr long kNoZone = LONG_MIN;
  std::tm fields{};
  fields.tm_year = 70;
  fields.tm_mday = 1;
  fields.tm_isdst = -1;
  fields.tm_gmtoff = kNoZone;
  const char* end = strptime(line_.c_str(), format_.c_str(), &fields);
  if (end == nullptr) return std::nullopt;
  const bool has_zone = fields.tm_gmtoff != kNoZone;
  const std::optional<int64_t> time_ms = MillisecondsOf(fields, has_zone, fields.tm_gmtoff);
  const auto text_size = static_cast<size_t>(end - line_.c_str());
  last_text_ = text_size < line_.size() ? line_.substr(0, text_size + 1) : std::string();
  last_time_ms_ = time_ms;
  return time_ms;
}

}  // namespace varve::cli
