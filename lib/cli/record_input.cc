#include "cli/record_input.h"

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "cli/exit_status.h"
#include "nlohmann/json.hpp"

namespace varve::cli {
namespace {

using Json = nlohmann::json;

constexpr absl::StatusCode kBadInput = absl::StatusCode::kInvalidArgument;

// What a message shows of a line, or of another text that may be as long: whole characters.
std::string_view StartOf(std::string_view line) {
  constexpr size_t kShownBytes = 40;
  if (line.size() <= kShownBytes) return line;
  size_t size = kShownBytes;
  while (size > kShownBytes - 4 && (static_cast<unsigned char>(line[size]) & 0xc0) == 0x80) --size;
  return line.substr(0, size);
}

// A string, {"base64":"…"} or null. A message does not show the value, which may be nested deeper than the stack.
absl::Status ParseBytes(const Json& json, std::string_view what, std::optional<std::string>* bytes) {
  if (json.is_null()) {
    bytes->reset();
    return absl::OkStatus();
  }
  if (json.is_string()) {
    *bytes = json.get_ref<const std::string&>();
    return absl::OkStatus();
  }
  if (json.is_object() && json.size() == 1 && json.begin().key() == "base64" && json.begin()->is_string()) {
    bytes->emplace();
    if (absl::Base64Unescape(json.begin()->get_ref<const std::string&>(), &bytes->value())) return absl::OkStatus();
  }
  return Failure(kBadInput, "expected {} as a string, {{\"base64\":\"…\"}} or null, found {} {}", what,
                 json.is_object() ? "another" : "a", json.type_name());
}

}  // namespace

RecordInput::RecordInput(RecordInputOptions options) : options_(std::move(options)) {
  if (options_.timestamp_format.has_value()) time_parser_.emplace(*options_.timestamp_format);
}

absl::StatusOr<Record> RecordInput::Parse(std::string_view line) {
  return options_.format == InputFormat::kLines ? ParseTextLine(line) : ParseJsonLine(line);
}

absl::StatusOr<Record> RecordInput::ParseTextLine(std::string_view line) {
  Record record;
  record.value = line;
  if (time_parser_.has_value()) {
    record.timestamp_ms = time_parser_->Parse(line);
    if (!record.timestamp_ms.has_value()) {
      return Failure(kBadInput, "expected a time of the form '{}' at the start, found '{}'", *options_.timestamp_format,
                     StartOf(line));
    }
    if (*record.timestamp_ms < 0) {
      return Failure(kBadInput, "expected a time at or after 1970-01-01T00:00:00Z, found '{}'", StartOf(line));
    }
  }
  if (options_.key_separator.has_value()) {
    if (const size_t at = line.find(*options_.key_separator); at != std::string_view::npos) {
      record.key = line.substr(0, at);
      record.value = line.substr(at + options_.key_separator->size());
    }
  }
  return record;
}

absl::StatusOr<Record> RecordInput::ParseJsonLine(std::string_view line) {
  Json json;
  try {
    json = Json::parse(line);
  } catch (const Json::exception& error) {
    // The parser's message ends with the last word it read, which may be as long as the line.
    constexpr size_t kShownBytes = 200;
    return Failure(kBadInput, "expected a JSON object, found '{}': {}", StartOf(line),
                   std::string_view(error.what()).substr(0, kShownBytes));
  }
  if (!json.is_object()) return Failure(kBadInput, "expected a JSON object, found '{}'", StartOf(line));
  Record record;
  key_.reset();
  value_.reset();
  owned_headers_.clear();
  for (const auto& [name, member] : json.items()) {
    const absl::Status status = TakeMember(name, member, &record);
    if (!status.ok()) return Failure(kBadInput, "{}, in the line '{}'", MessageOf(status), StartOf(line));
  }
  headers_.clear();
  for (const OwnedHeader& header : owned_headers_) headers_.push_back({.key = header.key, .value = header.value});
  record.key = key_;
  record.value = value_;
  record.headers = headers_;
  return record;
}

absl::Status RecordInput::TakeMember(const std::string& name, const Json& member, Record* record) {
  if (name == "key") return ParseBytes(member, "\"key\"", &key_);
  if (name == "value") return ParseBytes(member, "\"value\"", &value_);
  if (name == "headers") return ParseHeaders(member);
  if (name == "timestamp") return ParseTimestamp(member, &record->timestamp_ms);
  if (name == "offset") return absl::OkStatus();  // which `read` prints and the log assigns anew
  return Failure(kBadInput, "expected the members key, value, timestamp and headers, found \"{}\"", StartOf(name));
}

absl::Status RecordInput::ParseTimestamp(const Json& json, std::optional<int64_t>* timestamp_ms) {
  if (json.is_null()) return absl::OkStatus();
  if (!json.is_number_integer()) {
    return Failure(kBadInput, "expected \"timestamp\" in milliseconds since the epoch, found a {}", json.type_name());
  }
  // What exceeds 63 bits is unsigned to the parser, and would come back as a time before the epoch.
  constexpr uint64_t kLatest = std::numeric_limits<int64_t>::max();
  if (json.is_number_unsigned() && json.get<uint64_t>() > kLatest) {
    return Failure(kBadInput, "expected a \"timestamp\" of at most {}, found {}", kLatest, json.get<uint64_t>());
  }
  *timestamp_ms = json.get<int64_t>();
  if (**timestamp_ms >= kNoTimestamp) return absl::OkStatus();
  return Failure(kBadInput, "expected a \"timestamp\" of 0 or more, or -1 for none, found {}", **timestamp_ms);
}

absl::Status RecordInput::ParseHeaders(const Json& json) {
  if (json.is_null()) return absl::OkStatus();
  if (!json.is_array()) {
    return Failure(kBadInput, "expected \"headers\" as [[key, value], …], found a {}", json.type_name());
  }
  for (const Json& pair : json) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string()) {
      return Failure(kBadInput, "expected a header as [key, value], found {} {}", pair.is_array() ? "another" : "a",
                     pair.type_name());
    }
    OwnedHeader& header = owned_headers_.emplace_back();
    header.key = pair[0].get<std::string>();
    if (absl::Status status = ParseBytes(pair[1], "a header's value", &header.value); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace varve::cli
