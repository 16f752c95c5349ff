// varve_lives --seed N --count M --into DIR: lives the random lives N to N + M - 1 of logs (random_life.h), each in
// DIR/SEED/topic-0, and prints a line of JSON for each: what to open the directory with, and what the log said of itself at the end.
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "fmt/format.h"
#include "kafka/random_life.h"

namespace varve::testing_support {
namespace {

struct Settings {
  uint64_t seed = 1;
  uint64_t count = 1;
  std::string into;
};

std::optional<Settings> ParseArguments(int count, char** arguments) {
  Settings settings;
  for (int index = 1; index + 1 < count; index += 2) {
    const std::string_view name = arguments[index];
    const char* const value = arguments[index + 1];
    uint64_t* const number = name == "--seed" ? &settings.seed : name == "--count" ? &settings.count : nullptr;
    if (name == "--into") {
      settings.into = value;
    } else if (number == nullptr || std::from_chars(value, value + std::strlen(value), *number).ec != std::errc()) {
      return std::nullopt;
    }
  }
  if (count % 2 == 0 || settings.into.empty()) return std::nullopt;
  return settings;
}

// In the words of Kafka's topic settings.
std::string ConfigOf(const LogOptions& options) {
  constexpr const char* kPolicies[] = {"delete", "compact", "compact,delete"};
  const bool append_time = options.message_timestamp_type == TimestampType::kLogAppendTime;
  return fmt::format(
      R"({{"internal.segment.bytes":{},"segment.ms":{},"index.interval.bytes":{},"segment.index.bytes":{},)"
      R"("cleanup.policy":"{}","message.timestamp.type":"{}"}})",
      options.segment_bytes, options.segment_ms, *options.index_interval_bytes, options.segment_index_bytes,
      kPolicies[static_cast<size_t>(options.cleanup_policy)], append_time ? "LogAppendTime" : "CreateTime");
}

void Print(uint64_t seed, const std::string& directory, const LifeEnd& end) {
  fmt::print(
      R"({{"seed":{},"dir":"{}","clean":{},"recovery_point":{},"log_start_offset":{},"log_end_offset":{},"clock_ms":{},)"
      R"("config":{},"steps":["{}"]}})"
      "\n",
      seed, directory, end.clean, end.recovery_point, end.log_start_offset, end.log_end_offset, end.clock_ms,
      ConfigOf(end.options), fmt::join(end.steps, "\",\""));
}

int Main(int count, char** arguments) {
  const std::optional<Settings> settings = ParseArguments(count, arguments);
  if (!settings.has_value()) {
    fmt::print(stderr, "usage: varve_lives --seed N --count M --into DIR\n");
    return 2;
  }
  for (uint64_t seed = settings->seed; seed < settings->seed + settings->count; ++seed) {
    const std::string parent = fmt::format("{}/{}", settings->into, seed);
    std::error_code error;
    if (!std::filesystem::create_directories(parent, error)) {
      fmt::print(stderr, "varve_lives: {}: must be new: {}\n", parent, error.message());
      return 1;
    }
    const std::string directory = parent + "/topic-0";
    const absl::StatusOr<LifeEnd> end = RandomLife(seed, directory).Live();
    if (!end.ok()) {
      fmt::print(stderr, "varve_lives: --seed {}: {}\n", seed, end.status().ToString());
      return 1;
    }
    Print(seed, directory, *end);
  }
  return 0;
}

}  // namespace
}  // namespace varve::testing_support

int main(int count, char** arguments) { return varve::testing_support::Main(count, arguments); }
