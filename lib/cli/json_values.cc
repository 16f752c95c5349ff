#include "cli/json_values.h"

#include "fmt/format.h"

namespace varve::cli {

std::string JsonText(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

OrderedJson ReportJson(const RecoveryReport& report) { return OrderedJson::parse(report.ToJson()); }

OrderedJson DamageOfFileJson(const DamagedRange& range) {
  return {{"file", fmt::format("{:020}.log", range.segment)},
          {"position", range.position},
          {"bytes", range.bytes},
          {"first_offset", range.first_offset},
          {"last_offset", range.last_offset},
          {"reason", range.reason}};
}

}  // namespace varve::cli
