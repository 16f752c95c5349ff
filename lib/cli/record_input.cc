#include "cli/record_input.h"

#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "cli/exit_status.h"
#include "nlohmann/json.hpp"

namespace varve::cli {
namespace {

using Json = nlohmann::json;

constexpr absl::StatusCode kBadInput = absl::StatusCode::kInvalidArgument;

// What a message shows of a line.
std::string_view StartOf(std::string_view line) {
  constexpr size_t kShownBytes = 40;
  return line.substr(0, kShownBytes);
}

// A string, {"base64":"…"} or null.
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
  return Failure(kBadInput, "expected {} as a string, {{\"base64\":\"…\"}} or null, found {}", what,
                 StartOf(json.dump(-1, ' ', false, Json::error_handler_t::replace)));
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
    return Failure(kBadInput, "expected a JSON object: {}", error.what());
  }
  if (!json.is_object()) return Failure(kBadInput, "expected a JSON object, found '{}'", StartOf(line));
  Record record;
  key_.reset();
  value_.reset();
  owned_headers_.clear();
  for (const auto& [name, member] : json.items()) {
    absl::Status status;
    if (name == "key") {
      status = ParseBytes(member, "\"key\"", &key_);
    } else if (name == "value") {
      status = ParseBytes(member, "\"value\"", &value_);
    } else if (name == "timestamp") {
      if (member.is_number_integer()) {
        record.timestamp_ms = member.get<int64_t>();
      } else if (!member.is_null()) {
        status = Failure(kBadInput, "expected \"timestamp\" in milliseconds since the epoch, found {}", member.dump());
      }
    } else if (name == "headers") {
      status = ParseHeaders(member);
    } else if (name != "offset") {  // which `read` prints and the log assigns anew
      status = Failure(kBadInput, "expected the members key, value, timestamp and headers, found \"{}\"", name);
    }
    if (!status.ok()) return status;
  }
  if (record.timestamp_ms.value_or(0) < kNoTimestamp) {
    return Failure(kBadInput, "expected a \"timestamp\" of 0 or more, or -1 for none, found {}", *record.timestamp_ms);
  }
  headers_.clear();
  for (const OwnedHeader& header : owned_headers_) headers_.push_back({.key = header.key, .value = header.value});
  record.key = key_;
  record.value = value_;
  record.headers = headers_;
  return record;
}

absl::Status RecordInput::ParseHeaders(const Json& json) {
  if (json.is_null()) return absl::OkStatus();
  if (!json.is_array()) return Failure(kBadInput, "expected \"headers\" as [[key, value], …], found {}", json.dump());
  for (const Json& pair : json) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string()) {
      return Failure(kBadInput, "expected a header as [key, value], found {}", pair.dump());
    }
    OwnedHeader& header = owned_headers_.emplace_back();
    header.key = pair[0].get<std::string>();
    if (absl::Status status = ParseBytes(pair[1], "a header's value", &header.value); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace varve::cli
