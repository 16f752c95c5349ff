// Answers and summaries as JSON: values of nlohmann-json that keep the order of their members.
//
// Thread rules: free functions, callable from any thread.
#ifndef VARVE_LIB_CLI_JSON_VALUES_H_
#define VARVE_LIB_CLI_JSON_VALUES_H_

#include <string>

#include "nlohmann/json.hpp"
#include "varve/recovery_report.h"

namespace varve::cli {

// Members stay in the order they were added.
using OrderedJson = nlohmann::ordered_json;

// The value on one line. Bytes that are not valid UTF-8, which a path may have, become U+FFFD.
[[nodiscard]] std::string JsonText(const OrderedJson& json);

// The report as RecoveryReport::ToJson has it.
[[nodiscard]] OrderedJson ReportJson(const RecoveryReport& report);

// {"file":…,"position":…,"bytes":…,"first_offset":…,"last_offset":…,"reason":…}.
[[nodiscard]] OrderedJson DamageOfFileJson(const DamagedRange& range);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_JSON_VALUES_H_
