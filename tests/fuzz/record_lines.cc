// Lines of input that the command is to append.
#include <algorithm>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "cli/record_input.h"
#include "fuzz/decoders.h"

namespace varve::fuzz {

void FuzzRecordLines(Input input) {
  using cli::InputFormat;
  cli::RecordInput forms[] = {
      cli::RecordInput({.format = InputFormat::kJsonLines, .key_separator = {}, .timestamp_format = {}}),
      cli::RecordInput({.format = InputFormat::kLines, .key_separator = ":", .timestamp_format = {}}),
      cli::RecordInput({.format = InputFormat::kLines, .key_separator = {}, .timestamp_format = "%Y-%m-%d %H:%M:%S"})};
  for (cli::RecordInput& form : forms) {
    std::string_view rest = internal::AsText(input);
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      const absl::StatusOr<Record> record = form.Parse(line);
      if (!record.ok()) {
        Require(absl::IsInvalidArgument(record.status()), record.status().ToString());
        Require(!record.status().message().empty(), "a complaint to say something");
      }
    }
  }
}

}  // namespace varve::fuzz
