#include "varve/topic_partition.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/status.h"

namespace varve {
namespace {

constexpr size_t kMaxTopicLength = 249;
constexpr std::string_view kSuffixes[] = {"-future", "-delete", "-stray"};

bool IsTopicCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

absl::Status NotAPartition(std::string_view directory_name, std::string_view why) {
  return internal::Error(absl::StatusCode::kInvalidArgument, "\"{}\" names no partition directory: {}", directory_name,
                         why);
}

}  // namespace

absl::Status CheckTopicName(std::string_view topic) {
  if (topic.empty() || topic.size() > kMaxTopicLength) {
    return internal::Error(absl::StatusCode::kInvalidArgument, "topic \"{}\": expected 1 to {} characters, found {}",
                           topic, kMaxTopicLength, topic.size());
  }
  if (topic == "." || topic == "..") {
    return internal::Error(absl::StatusCode::kInvalidArgument, "topic \"{}\": this name is a directory's", topic);
  }
  const auto bad = std::find_if_not(topic.begin(), topic.end(), IsTopicCharacter);
  if (bad != topic.end()) {
    return internal::Error(absl::StatusCode::kInvalidArgument,
                           "topic \"{}\": character {} is none of a-z A-Z 0-9 . _ -", topic, bad - topic.begin());
  }
  return absl::OkStatus();
}

absl::StatusOr<TopicPartition> ParseTopicPartition(std::string_view directory_name) {
  std::string_view name = directory_name;
  for (const std::string_view suffix : kSuffixes) {
    if (!name.ends_with(suffix)) continue;
    const size_t dot = name.rfind('.');
    if (dot == std::string_view::npos || dot + 1 >= name.size() - suffix.size()) {
      return NotAPartition(directory_name, "the suffix does not follow a \".\" and a unique id");
    }
    name = name.substr(0, dot);
    break;
  }
  const size_t dash = name.rfind('-');
  if (dash == std::string_view::npos || dash == 0) return NotAPartition(directory_name, "no topic before a \"-\"");
  const std::string_view digits = name.substr(dash + 1);
  TopicPartition result{.topic = std::string(name.substr(0, dash)), .partition = 0};
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), result.partition);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return NotAPartition(directory_name, "no partition number behind the last \"-\"");
  }
  return result;
}

std::optional<TopicPartition> LivePartitionOf(std::string_view directory_name) {
  absl::StatusOr<TopicPartition> partition = ParseTopicPartition(directory_name);
  if (!partition.ok() || partition->DirectoryName() != directory_name) return std::nullopt;
  return *std::move(partition);
}

}  // namespace varve
