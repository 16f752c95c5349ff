// RecordInput: from a line of input to a record, by the format that `append` was told.
//
// Thread rules: one thread. Lifetime: a record is valid until the next call, and as long as the line it was made from.
#ifndef VARVE_LIB_CLI_RECORD_INPUT_H_
#define VARVE_LIB_CLI_RECORD_INPUT_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/quantities.h"
#include "nlohmann/json_fwd.hpp"
#include "varve/record.h"

namespace varve::cli {

enum class InputFormat { kLines, kJsonLines };

struct RecordInputOptions {
  InputFormat format = InputFormat::kLines;
  // kLines: what stands between key and value; a line without it has a null key. Absent: every line is a value.
  std::optional<std::string> key_separator;
  // kLines: the strptime format of the time that a line begins with; the text stays in the value.
  std::optional<std::string> timestamp_format;
};

class RecordInput {
 public:
  explicit RecordInput(RecordInputOptions options);

  // kInvalidArgument saying what was expected and found; the caller knows the file and the line.
  [[nodiscard]] absl::StatusOr<Record> Parse(std::string_view line);

 private:
  struct OwnedHeader {
    std::string key;
    std::optional<std::string> value;
  };

  absl::StatusOr<Record> ParseTextLine(std::string_view line);
  absl::StatusOr<Record> ParseJsonLine(std::string_view line);
  absl::Status TakeMember(const std::string& name, const nlohmann::json& member, Record* record);
  absl::Status ParseTimestamp(const nlohmann::json& json, std::optional<int64_t>* timestamp_ms);
  absl::Status ParseHeaders(const nlohmann::json& json);

  const RecordInputOptions options_;
  std::optional<LineTimeParser> time_parser_;
  // The parts of a JSON record; a Record only refers to them.
  std::optional<std::string> key_;
  std::optional<std::string> value_;
  std::vector<OwnedHeader> owned_headers_;
  std::vector<Header> headers_;
};

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_RECORD_INPUT_H_
