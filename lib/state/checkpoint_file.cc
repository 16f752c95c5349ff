#include "state/checkpoint_file.h"

#include <charconv>
#include <concepts>
#include <iterator>
#include <optional>

#include "base/bytes.h"
#include "base/status.h"
#include "fmt/format.h"
#include "io/whole_file.h"

namespace varve::internal {
namespace {

constexpr int32_t kVersion = 0;
// A broker's largest checkpoints have a line for each of some 100,000 partitions; a line is at most 290 bytes.
constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;

// A decimal number as Java's parseInt and parseLong read it: an optional sign and digits, nothing else.
template <std::integral T>
std::optional<T> ParseNumber(std::string_view text) {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Takes a line off `text` as Java's BufferedReader does: up to LF, CR or CRLF; the last one may lack it. Absent at the
// end.
std::optional<std::string_view> TakeLine(std::string_view* text) {
  if (text->empty()) return std::nullopt;
  const size_t end = text->find_first_of("\r\n");
  const std::string_view line = text->substr(0, end);
  if (end == std::string_view::npos) {
    *text = {};
  } else {
    const bool two = text->substr(end).starts_with("\r\n");
    text->remove_prefix(end + (two ? 2 : 1));
  }
  return line;
}

// Splits at runs of white space, as Java's split("\\s+") does: white space at the end is nothing, at the start it makes
// an empty field, and so does an empty line.
std::vector<std::string_view> SplitFields(std::string_view line) {
  constexpr std::string_view kWhiteSpace = " \t\n\v\f\r";
  std::vector<std::string_view> fields;
  while (true) {
    const size_t end = line.find_first_of(kWhiteSpace);
    fields.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return fields;
    const size_t next = line.find_first_not_of(kWhiteSpace, end);
    if (next == std::string_view::npos) return fields;
    line.remove_prefix(next);
  }
}

absl::Status BadLine(std::string_view path, size_t line_number, std::string_view expected, std::string_view found) {
  return Error(absl::StatusCode::kDataLoss, "{}: line {}: expected {}, found \"{}\"", path, line_number, expected,
               found);
}

// Reads the frame and hands the fields of each line to `take`, which says whether it understood them.
template <typename Take>
absl::Status ParseFrame(std::string_view path, std::string_view text, std::string_view expected_fields, Take take) {
  const std::optional<std::string_view> version_line = TakeLine(&text);
  if (!version_line.has_value()) return absl::OkStatus();
  if (ParseNumber<int32_t>(*version_line) != kVersion) return BadLine(path, 1, "version 0", *version_line);
  const std::optional<std::string_view> count_line = TakeLine(&text);
  if (!count_line.has_value()) return absl::OkStatus();
  const std::optional<int32_t> count = ParseNumber<int32_t>(*count_line);
  if (!count.has_value()) return BadLine(path, 2, "the number of entries", *count_line);
  int64_t found = 0;
  while (const std::optional<std::string_view> line = TakeLine(&text)) {
    if (!take(SplitFields(*line))) return BadLine(path, static_cast<size_t>(found) + 3, expected_fields, *line);
    ++found;
  }
  if (found != *count) {
    return Error(absl::StatusCode::kDataLoss, "{}: expected {} entries as line 2 says, found {}", path, *count, found);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<OffsetCheckpoint> ParseOffsetCheckpoint(std::string_view path, std::string_view text) {
  OffsetCheckpoint checkpoint;
  VARVE_RETURN_IF_ERROR(ParseFrame(path, text, "\"topic partition offset\"", [&](const auto& fields) {
    if (fields.size() != 3) return false;
    const std::optional<int32_t> partition = ParseNumber<int32_t>(fields[1]);
    const std::optional<int64_t> offset = ParseNumber<int64_t>(fields[2]);
    if (!partition.has_value() || !offset.has_value()) return false;
    checkpoint.insert_or_assign({.topic = std::string(fields[0]), .partition = *partition}, *offset);
    return true;
  }));
  return checkpoint;
}

std::string FormatOffsetCheckpoint(const OffsetCheckpoint& checkpoint) {
  std::string text = fmt::format("{}\n{}\n", kVersion, checkpoint.size());
  for (const auto& [partition, offset] : checkpoint) {
    fmt::format_to(std::back_inserter(text), "{} {} {}\n", partition.topic, partition.partition, offset);
  }
  return text;
}

absl::StatusOr<OffsetCheckpoint> ReadOffsetCheckpoint(FileSystem* file_system, const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(file_system, path, kMaxFileBytes));
  return ParseOffsetCheckpoint(path, text);
}

absl::Status WriteOffsetCheckpoint(FileSystem* file_system, const std::string& path,
                                   const OffsetCheckpoint& checkpoint) {
  return ReplaceFile(file_system, path, AsBytes(FormatOffsetCheckpoint(checkpoint)));
}

absl::StatusOr<std::vector<LeaderEpoch>> ParseLeaderEpochs(std::string_view path, std::string_view text) {
  std::vector<LeaderEpoch> epochs;
  VARVE_RETURN_IF_ERROR(ParseFrame(path, text, "\"epoch start-offset\", neither negative", [&](const auto& fields) {
    if (fields.size() != 2) return false;
    const std::optional<int32_t> epoch = ParseNumber<int32_t>(fields[0]);
    const std::optional<int64_t> start_offset = ParseNumber<int64_t>(fields[1]);
    if (epoch.value_or(-1) < 0 || start_offset.value_or(-1) < 0) return false;
    epochs.push_back({.epoch = *epoch, .start_offset = *start_offset});
    return true;
  }));
  return epochs;
}

std::string FormatLeaderEpochs(std::span<const LeaderEpoch> epochs) {
  std::string text = fmt::format("{}\n{}\n", kVersion, epochs.size());
  for (const LeaderEpoch& epoch : epochs) {
    fmt::format_to(std::back_inserter(text), "{} {}\n", epoch.epoch, epoch.start_offset);
  }
  return text;
}

absl::StatusOr<std::vector<LeaderEpoch>> ReadLeaderEpochs(FileSystem* file_system, const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(file_system, path, kMaxFileBytes));
  return ParseLeaderEpochs(path, text);
}

absl::Status WriteLeaderEpochs(FileSystem* file_system, const std::string& path, std::span<const LeaderEpoch> epochs) {
  return ReplaceFile(file_system, path, AsBytes(FormatLeaderEpochs(epochs)));
}

}  // namespace varve::internal
