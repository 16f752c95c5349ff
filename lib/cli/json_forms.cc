#include "cli/json_forms.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "absl/strings/escaping.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "nlohmann/json.hpp"

namespace varve::cli {
namespace {

using Json = nlohmann::json;

// A character that stands in a JSON string as it is: printable ASCII but the quote and the backslash.
bool IsPlain(char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

void AppendSha256(std::string* out, std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int digest_size = 0;
  // Fetched once: looking the algorithm up costs more than digesting a short value. It stays for the life of the
  // process.
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &digest_size, sha256, nullptr);
  fmt::format_to(std::back_inserter(*out), "\"sha256:{:02x}:{}\"",
                 fmt::join(digest.begin(), digest.begin() + digest_size, ""), bytes.size());
}

void AppendBase64(std::string* out, std::string_view bytes) {
  *out += '"';
  *out += absl::Base64Escape(absl::string_view(bytes.data(), bytes.size()));
  *out += '"';
}

}  // namespace

bool IsUtf8(std::string_view bytes) {
  if (std::all_of(bytes.begin(), bytes.end(), IsPlain)) return true;
  try {
    (void)Json(bytes).dump(-1, ' ', false, Json::error_handler_t::strict);
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

void AppendJsonString(std::string* out, std::string_view text) {
  if (std::all_of(text.begin(), text.end(), IsPlain)) {
    *out += '"';
    *out += text;
    *out += '"';
    return;
  }
  *out += Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

void AppendJsonBytes(std::string* out, std::optional<std::string_view> bytes, BytesForm form) {
  if (!bytes.has_value()) {
    *out += "null";
  } else if (form == BytesForm::kFull || bytes->size() <= kShortBytes) {
    AppendBase64(out, *bytes);
  } else {
    AppendSha256(out, *bytes);
  }
}

void AppendJsonText(std::string* out, std::optional<std::string_view> bytes) {
  if (!bytes.has_value()) {
    *out += "null";
  } else if (IsUtf8(*bytes)) {
    AppendJsonString(out, *bytes);
  } else {
    *out += "{\"base64\":";
    AppendBase64(out, *bytes);
    *out += '}';
  }
}

void AppendRecordRow(std::string* out, const RecordView& record, BytesForm form) {
  fmt::format_to(std::back_inserter(*out), "[{},{},", record.offset(), record.timestamp_ms());
  AppendJsonBytes(out, record.key(), form);
  *out += ',';
  AppendJsonBytes(out, record.value(), form);
  *out += ",[";
  std::string_view separator;
  for (const Header header : record.headers()) {
    *out += separator;
    separator = ",";
    *out += '[';
    AppendJsonString(out, header.key);
    *out += ',';
    AppendJsonBytes(out, header.value, form);
    *out += ']';
  }
  *out += "]]";
}

void AppendRecordLine(std::string* out, const RecordView& record) {
  fmt::format_to(std::back_inserter(*out), "{{\"offset\":{},\"timestamp\":{},\"key\":", record.offset(),
                 record.timestamp_ms());
  AppendJsonText(out, record.key());
  *out += ",\"value\":";
  AppendJsonText(out, record.value());
  *out += ",\"headers\":[";
  std::string_view separator;
  for (const Header header : record.headers()) {
    *out += separator;
    separator = ",";
    *out += '[';
    AppendJsonString(out, header.key);
    *out += ',';
    AppendJsonText(out, header.value);
    *out += ']';
  }
  *out += "]}";
}

void AppendBatchRow(std::string* out, int64_t segment, int64_t position, const RecordBatchView& batch) {
  const std::optional<int64_t> horizon_ms = batch.delete_horizon_ms();
  fmt::format_to(
      std::back_inserter(*out),
      "{{\"segment\":{},\"position\":{},\"bytes\":{},\"base_offset\":{},\"last_offset\":{},\"count\":{},"
      "\"leader_epoch\":{},\"magic\":{},\"crc\":{},\"attributes\":{},\"codec\":\"{}\",\"timestamp_type\":\"{}\","
      "\"transactional\":{},\"control\":{},\"delete_horizon\":{},\"base_timestamp\":{},\"max_timestamp\":{},"
      "\"producer_id\":{},\"producer_epoch\":{},\"base_sequence\":{},\"last_sequence\":{}}}",
      segment, position, batch.size_bytes(), batch.base_offset(), batch.last_offset(), batch.record_count(),
      batch.leader_epoch(), batch.magic(), batch.crc(), batch.attributes(), CodecName(batch.codec()),
      TimestampTypeName(batch.timestamp_type()), batch.is_transactional(), batch.is_control(),
      horizon_ms.has_value() ? fmt::format("{}", *horizon_ms) : "null", batch.base_timestamp_ms(),
      batch.max_timestamp_ms(), batch.producer_id(), batch.producer_epoch(), batch.base_sequence(),
      batch.last_sequence());
}

void AppendAbortedRow(std::string* out, int64_t segment, const AbortedTransaction& transaction) {
  fmt::format_to(
      std::back_inserter(*out),
      "{{\"segment\":{},\"producer_id\":{},\"first_offset\":{},\"last_offset\":{},\"last_stable_offset\":{}}}", segment,
      transaction.producer_id, transaction.first_offset, transaction.last_offset, transaction.last_stable_offset);
}

void AppendProducerRow(std::string* out, const ProducerStateEntry& entry) {
  fmt::format_to(std::back_inserter(*out),
                 "{{\"producer_id\":{},\"epoch\":{},\"last_sequence\":{},\"last_offset\":{},\"offset_delta\":{},"
                 "\"timestamp\":{},\"coordinator_epoch\":{},\"current_txn_first_offset\":{}}}",
                 entry.producer_id, entry.epoch, entry.last_sequence(), entry.last_offset(), entry.last_offset_delta(),
                 entry.last_timestamp_ms, entry.coordinator_epoch, entry.current_transaction_first_offset.value_or(-1));
}

void AppendSegmentRow(std::string* out, const SegmentSummary& segment) {
  fmt::format_to(std::back_inserter(*out),
                 "{{\"base\":{},\"log_bytes\":{},\"batches\":{},\"records\":{},\"next_offset\":{},\"max_timestamp\":{},"
                 "\"index_entries\":{},\"time_index_entries\":{},\"aborted_txns\":{}}}",
                 segment.base_offset, segment.log_bytes, segment.batches, segment.records, segment.next_offset,
                 segment.max_timestamp_ms, segment.index_entries, segment.time_index_entries,
                 segment.aborted_transactions);
}

std::string_view TimestampTypeName(TimestampType type) {
  return type == TimestampType::kCreateTime ? "CreateTime" : "LogAppendTime";
}

}  // namespace varve::cli
