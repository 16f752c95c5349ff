#include "varve/recovery_report.h"

#include <array>
#include <cstddef>
#include <optional>

#include "base/status.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace varve {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 9> kActionNames = {"cut",     "kept",      "saved_aside", "mended", "rebuilt",
                                                          "removed", "completed", "rewritten",   "ignored"};
static_assert(kActionNames.size() == static_cast<size_t>(RecoveryAction::kIgnored) + 1);

std::optional<RecoveryAction> ActionOf(std::string_view name) {
  for (size_t i = 0; i < kActionNames.size(); ++i) {
    if (kActionNames[i] == name) return static_cast<RecoveryAction>(i);
  }
  return std::nullopt;
}

Json DamageJson(const DamagedRange& range) {
  return {{"segment", range.segment},           {"position", range.position},       {"bytes", range.bytes},
          {"first_offset", range.first_offset}, {"last_offset", range.last_offset}, {"reason", range.reason}};
}

Json FindingJson(const RecoveryFinding& finding) {
  return {{"action", RecoveryActionName(finding.action)},
          {"rule", finding.rule},
          {"file", finding.file},
          {"position", finding.position},
          {"bytes", finding.bytes},
          {"first_offset", finding.first_offset},
          {"last_offset", finding.last_offset},
          {"evidence", finding.evidence}};
}

// Reads members of one object; the first that is missing or of another type makes ok() false, later calls do nothing.
class MemberReader {
 public:
  explicit MemberReader(const Json& object) : object_(object), ok_(object.is_object()) {}

  void Read(const char* name, int64_t* value) {
    const Json* member = Find(name);
    if (member == nullptr || !member->is_number_integer()) return Fail();
    *value = member->get<int64_t>();
  }
  void Read(const char* name, bool* value) {
    const Json* member = Find(name);
    if (member == nullptr || !member->is_boolean()) return Fail();
    *value = member->get<bool>();
  }
  void Read(const char* name, std::string* value) {
    const Json* member = Find(name);
    if (member == nullptr || !member->is_string()) return Fail();
    *value = member->get<std::string>();
  }
  // The elements of an array; none if it is missing or something else.
  [[nodiscard]] const Json& Array(const char* name) {
    static const Json kNone = Json::array();
    const Json* member = Find(name);
    if (member != nullptr && member->is_array()) return *member;
    Fail();
    return kNone;
  }
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  void Fail() { ok_ = false; }
  const Json* Find(const char* name) const {
    if (!ok_) return nullptr;
    const auto member = object_.find(name);
    return member == object_.end() ? nullptr : &*member;
  }

  const Json& object_;
  bool ok_;
};

bool ReadDamage(const Json& json, DamagedRange* range) {
  MemberReader reader(json);
  reader.Read("segment", &range->segment);
  reader.Read("position", &range->position);
  reader.Read("bytes", &range->bytes);
  reader.Read("first_offset", &range->first_offset);
  reader.Read("last_offset", &range->last_offset);
  reader.Read("reason", &range->reason);
  return reader.ok();
}

bool ReadFinding(const Json& json, RecoveryFinding* finding) {
  MemberReader reader(json);
  std::string action;
  reader.Read("action", &action);
  reader.Read("rule", &finding->rule);
  reader.Read("file", &finding->file);
  reader.Read("position", &finding->position);
  reader.Read("bytes", &finding->bytes);
  reader.Read("first_offset", &finding->first_offset);
  reader.Read("last_offset", &finding->last_offset);
  reader.Read("evidence", &finding->evidence);
  const std::optional<RecoveryAction> known = ActionOf(action);
  if (known.has_value()) finding->action = *known;
  return reader.ok() && known.has_value();
}

bool ReadReport(const Json& json, RecoveryReport* report) {
  MemberReader reader(json);
  reader.Read("clean", &report->clean);
  reader.Read("cache_survived", &report->cache_survived);
  reader.Read("durable_offset", &report->durable_offset);
  reader.Read("log_start_offset", &report->log_start_offset);
  reader.Read("log_end_offset", &report->log_end_offset);
  reader.Read("segments", &report->segments);
  reader.Read("segments_recovered", &report->segments_recovered);
  reader.Read("bytes_scanned", &report->bytes_scanned);
  reader.Read("bytes_cut", &report->bytes_cut);
  reader.Read("bytes_saved_aside", &report->bytes_saved_aside);
  reader.Read("batches_saved_aside", &report->batches_saved_aside);
  reader.Read("duration_us", &report->duration_us);
  for (const Json& element : reader.Array("damage")) {
    if (!ReadDamage(element, &report->damage.emplace_back())) return false;
  }
  for (const Json& element : reader.Array("findings")) {
    if (!ReadFinding(element, &report->findings.emplace_back())) return false;
  }
  return reader.ok();
}

}  // namespace

std::string_view RecoveryActionName(RecoveryAction action) { return kActionNames[static_cast<size_t>(action)]; }

std::string RecoveryFinding::ToString() const {
  std::string line = fmt::format("{}: {}", file, RecoveryActionName(action));
  if (bytes > 0) line += fmt::format(", {} bytes at {}", bytes, position);
  if (first_offset >= 0 && first_offset <= last_offset)
    line += fmt::format(", offsets {}-{}", first_offset, last_offset);
  return line + fmt::format(" (rule {}: {})", rule, evidence);
}

std::string RecoveryReport::ToJson() const {
  Json json = {{"clean", clean},
               {"cache_survived", cache_survived},
               {"durable_offset", durable_offset},
               {"log_start_offset", log_start_offset},
               {"log_end_offset", log_end_offset},
               {"segments", segments},
               {"segments_recovered", segments_recovered},
               {"bytes_scanned", bytes_scanned},
               {"bytes_cut", bytes_cut},
               {"bytes_saved_aside", bytes_saved_aside},
               {"batches_saved_aside", batches_saved_aside},
               {"duration_us", duration_us},
               {"damage", Json::array()},
               {"findings", Json::array()}};
  for (const DamagedRange& range : damage) json["damage"].push_back(DamageJson(range));
  for (const RecoveryFinding& finding : findings) json["findings"].push_back(FindingJson(finding));
  // Names of files are bytes; what is not UTF-8 in them must not make the report fail.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<RecoveryReport> RecoveryReport::FromJson(std::string_view json) {
  const Json parsed = Json::parse(json, /*cb=*/nullptr, /*allow_exceptions=*/false);
  RecoveryReport report;
  if (parsed.is_discarded() || !ReadReport(parsed, &report)) {
    return internal::Error(
        absl::StatusCode::kDataLoss,
        "not a recovery report: expected the members of RecoveryReport, found {} bytes beginning \"{}\"", json.size(),
        json.substr(0, 40));
  }
  return report;
}

}  // namespace varve
