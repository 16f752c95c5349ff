#include "cli/option_checks.h"

#include <cstdint>

#include "absl/status/statusor.h"
#include "cli/quantities.h"

namespace varve::cli {
namespace {

// CLI11's contract: the value is replaced in place, and the answer is empty or the complaint.
template <typename Parse>
CLI::Validator Conversion(Parse parse, const std::string& name) {
  return CLI::Validator(
      [parse](std::string& text) {
        const absl::StatusOr<int64_t> time_ms = parse(text);
        if (!time_ms.ok()) return std::string(time_ms.status().message());
        text = std::to_string(*time_ms);
        return std::string();
      },
      name);
}

}  // namespace

CLI::Validator SizeInBytes() { return CLI::AsSizeValue(/*kb_is_1000=*/true); }

CLI::Validator TimeInMs() { return Conversion(ParseTime, "TIME"); }

CLI::Validator LookupTimeInMs() { return Conversion(ParseLookupTime, "TIME"); }

}  // namespace varve::cli
