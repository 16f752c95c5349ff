#include "fuzz/command_line.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "base/bytes.h"
#include "cli/command_line.h"
#include "cli/exit_status.h"
#include "fuzz/command_directory.h"
#include "fuzz/decoders.h"

namespace varve::fuzz {
namespace {

constexpr size_t kMostArguments = 24;
constexpr std::array<std::string_view, 6> kReadingCommands = {"read", "find", "stat", "dump", "verify", "explain"};

// Without what leads out of the working directory: a slash that none of its names is before, and a way up.
std::string Confined(std::string_view argument) {
  std::string confined;
  for (const char c : argument) {
    if (c == '\0') break;  // as every argument of a process ends
    const char before = confined.empty() ? '=' : confined.back();
    if (c == '/' && (before == '=' || before == '/' || before == '-')) continue;
    if (c == '.' && before == '.') continue;
    confined.push_back(c);
  }
  return confined;
}

}  // namespace

CommandLine DecodeCommandLine(Input input) {
  CommandLine line;
  std::string_view rest = internal::AsText(input);
  while (!rest.empty() && line.arguments.size() < kMostArguments) {
    const std::string_view text = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), text.size() + 1));
    if (text.empty()) break;
    std::string argument = Confined(text);
    if (!argument.starts_with("--follow")) line.arguments.push_back(std::move(argument));
  }
  line.standard_input = rest;
  return line;
}

// A command ends, with one of its four statuses; wrong use changes nothing, nor does a command that only reads.
void FuzzCommandLine(Input input) {
  static CommandDirectory directory;
  CommandLine line = DecodeCommandLine(input);
  std::string name = "varve";
  std::vector<char*> arguments = {name.data()};
  for (std::string& argument : line.arguments) arguments.push_back(argument.data());
  const auto count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  auto status = cli::ExitStatus::kDone;
  const bool changed =
      directory.Run(line.standard_input, [&] { status = cli::ParseCommandLine(count, arguments.data())(); });
  Require(status >= cli::ExitStatus::kDone && status <= cli::ExitStatus::kSystem, "one of the four statuses");
  if (!changed) return;
  Require(status != cli::ExitStatus::kUsage, "no change by a command that is used wrongly");
  for (const std::string_view reading : kReadingCommands) {
    Require(line.arguments.front() != reading, "no change by a command that only reads");
  }
}

}  // namespace varve::fuzz
