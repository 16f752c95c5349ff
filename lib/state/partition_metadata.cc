#include "state/partition_metadata.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/escaping.h"
#include "base/status.h"
#include "io/whole_file.h"

namespace varve::internal {
namespace {

constexpr std::string_view kVersionKey = "version: ";
constexpr std::string_view kTopicIdKey = "topic_id: ";
// The file has 43 bytes; later versions may add to it.
constexpr uint64_t kMaxFileBytes = uint64_t{64} * 1024;

// Takes a line off `text`, without its LF or CRLF.
std::string_view TakeLine(std::string_view* text) {
  const size_t end = text->find('\n');
  std::string_view line = text->substr(0, end);
  text->remove_prefix(end == std::string_view::npos ? text->size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// 22 characters hold 132 bits for 128: encoding anew tells whether the spare ones were zeros, and whether there was
// padding or white space, which the decoder forgives.
bool DecodeTopicId(std::string_view text, TopicId* topic_id) {
  std::string bytes;
  if (!absl::WebSafeBase64Unescape(absl::string_view(text.data(), text.size()), &bytes)) return false;
  if (bytes.size() != topic_id->size() || absl::WebSafeBase64Escape(bytes) != text) return false;
  std::copy(bytes.begin(), bytes.end(), topic_id->begin());
  return true;
}

bool IsZero(const TopicId& topic_id) { return topic_id == TopicId{}; }

}  // namespace

absl::StatusOr<TopicId> ParseTopicId(std::string_view text) {
  TopicId topic_id;
  if (!DecodeTopicId(text, &topic_id) || IsZero(topic_id)) {
    return Error(absl::StatusCode::kInvalidArgument,
                 "expected a topic id of 22 characters of base64, other than zero, found \"{}\"", text);
  }
  return topic_id;
}

std::string FormatTopicId(const TopicId& topic_id) {
  return absl::WebSafeBase64Escape(absl::string_view(reinterpret_cast<const char*>(topic_id.data()), topic_id.size()));
}

absl::StatusOr<TopicId> ParsePartitionMetadata(std::string_view path, std::string_view text) {
  const std::string_view version_line = TakeLine(&text);
  int32_t version = -1;
  if (version_line.starts_with(kVersionKey)) {
    const char* const end = version_line.data() + version_line.size();
    const auto [stop, error] = std::from_chars(version_line.data() + kVersionKey.size(), end, version);
    if (error != std::errc() || stop != end) version = -1;
  }
  if (version < 0) {
    return Error(absl::StatusCode::kDataLoss, "{}: line 1: expected \"version: \" and a number from 0 on, found \"{}\"",
                 path, version_line);
  }
  const std::string_view id_line = TakeLine(&text);
  TopicId topic_id;
  if (!id_line.starts_with(kTopicIdKey) || !DecodeTopicId(id_line.substr(kTopicIdKey.size()), &topic_id)) {
    return Error(absl::StatusCode::kDataLoss,
                 "{}: line 2: expected \"topic_id: \" and 22 characters of base64, found \"{}\"", path, id_line);
  }
  if (IsZero(topic_id)) {
    return Error(absl::StatusCode::kDataLoss, "{}: line 2: the topic id is zero, which is no topic's", path);
  }
  return topic_id;
}

std::string FormatPartitionMetadata(const TopicId& topic_id) {
  return fmt::format("{}0\n{}{}", kVersionKey, kTopicIdKey, FormatTopicId(topic_id));
}

absl::StatusOr<TopicId> ReadPartitionMetadata(FileSystem* file_system, const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(file_system, path, kMaxFileBytes));
  return ParsePartitionMetadata(path, text);
}

}  // namespace varve::internal
