// varve_lives --seed N --count M --into DIR: lives the random lives N to N + M - 1 of logs (random_life.h), each in
// DIR/SEED/topic-0, and prints a line of JSON for each: what to open the directory with, what the log said of itself at
// the end, and every record that it must have, keys and values in hexadecimal.
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

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

std::string Joined(const std::vector<std::string>& members) { return fmt::format("[{}]", fmt::join(members, ",")); }

std::string Hex(const std::optional<std::string>& bytes) {
  if (!bytes.has_value()) return "null";
  std::string digits;
  for (const char byte : *bytes) digits += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return "\"" + digits + "\"";
}

std::string RecordsOf(const AppendedRecords& appended) {
  std::vector<std::string> records;
  for (const auto& [offset, record] : appended.by_offset()) {
    std::vector<std::string> headers;
    for (const auto& [key, value] : record.headers) headers.push_back(fmt::format("[{},{}]", Hex(key), Hex(value)));
    records.push_back(fmt::format("[{},{},{},{},{}]", offset, record.timestamp_ms, Hex(record.key), Hex(record.value),
                                  Joined(headers)));
  }
  return Joined(records);
}

std::string AbortsOf(const AppendedRecords& appended) {
  std::vector<std::string> offsets;
  for (const auto& [offset, record] : appended.by_offset()) {
    if (record.control == ControlType::kAbort) offsets.push_back(fmt::format("{}", offset));
  }
  return Joined(offsets);
}

std::string ProducersOf(const LifeEnd& end) {
  std::vector<std::string> producers;
  for (const ProducerStateEntry& producer : end.producers) {
    producers.push_back(fmt::format(
        R"({{"producer_id":{},"epoch":{},"last_sequence":{},"last_offset":{},"offset_delta":{},"timestamp":{},)"
        R"("coordinator_epoch":{},"current_txn_first_offset":{}}})",
        producer.producer_id, producer.epoch, producer.last_sequence(), producer.last_offset(),
        producer.last_offset_delta(), producer.last_timestamp_ms, producer.coordinator_epoch,
        producer.current_transaction_first_offset.value_or(-1)));
  }
  return Joined(producers);
}

std::string EpochsOf(const LifeEnd& end) {
  std::vector<std::string> epochs;
  for (const LeaderEpoch& epoch : end.leader_epochs) {
    epochs.push_back(fmt::format("[{},{}]", epoch.epoch, epoch.start_offset));
  }
  return Joined(epochs);
}

void Print(uint64_t seed, const std::string& directory, const LifeEnd& end) {
  const AppendedRecords& appended = end.appended;
  fmt::print(
      R"({{"seed":{},"dir":"{}","clean":{},"recovery_point":{},"log_start_offset":{},"log_end_offset":{},)"
      R"("last_stable_offset":{},"clock_ms":{},"config":{},"producers":{},"leader_epochs":{},"records":{},"aborts":{},)"
      R"("compacted":{},"truncated":{},"deleted":{},"steps":["{}"]}})"
      "\n",
      seed, directory, end.clean, end.recovery_point, appended.log_start_offset(), appended.log_end_offset(),
      end.last_stable_offset, end.clock_ms, ConfigOf(end.options), ProducersOf(end), EpochsOf(end), RecordsOf(appended),
      AbortsOf(appended), appended.compacted_count(), appended.truncated_count(), appended.deleted_count(),
      fmt::join(end.steps, "\",\""));
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
