// A command line as one input: an argument a line, up to an empty line; what is behind that is standard input.
#ifndef VARVE_TESTS_FUZZ_COMMAND_LINE_H_
#define VARVE_TESTS_FUZZ_COMMAND_LINE_H_

#include <string>
#include <string_view>
#include <vector>

#include "fuzz/fuzz_target.h"

namespace varve::fuzz {

struct CommandLine {
  std::vector<std::string> arguments;
  std::string_view standard_input;
};

// Of these arguments none waits, and each that names a file names one in the working directory or below: what would
// make it another is left out.
[[nodiscard]] CommandLine DecodeCommandLine(Input input);

}  // namespace varve::fuzz

#endif  // VARVE_TESTS_FUZZ_COMMAND_LINE_H_
