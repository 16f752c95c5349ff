// The JSON forms of what a partition holds, as the contract of the command has them. Rows of large arrays are written
// straight into text; answers and summaries are values of nlohmann-json that keep the order of their members.
//
// Thread rules: free functions, callable from any thread.
#ifndef VARVE_LIB_CLI_JSON_FORMS_H_
#define VARVE_LIB_CLI_JSON_FORMS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/partition_contents.h"
#include "nlohmann/json.hpp"
#include "varve/producer_state.h"
#include "varve/record.h"
#include "varve/record_batch.h"
#include "varve/recovery_report.h"
#include "varve/transaction_index.h"

namespace varve::cli {

// Members stay in the order they were added.
using OrderedJson = nlohmann::ordered_json;

// How bytes are shown: base64, or "sha256:HEX:LENGTH" above kShortBytes unless all are wanted.
enum class BytesForm { kDigest, kFull };
inline constexpr size_t kShortBytes = 48;

// Appends `text` as a JSON string. Bytes that are not valid UTF-8 become U+FFFD.
void AppendJsonString(std::string* out, std::string_view text);

// Appends base64, the digest, or null.
void AppendJsonBytes(std::string* out, std::optional<std::string_view> bytes, BytesForm form);

// Appends a string where the bytes are valid UTF-8, else {"base64":"…"}; or null.
void AppendJsonText(std::string* out, std::optional<std::string_view> bytes);

// Appends [offset,timestamp,key,value,[[header key,header value],…]].
void AppendRecordRow(std::string* out, const RecordView& record, BytesForm form);

// Appends {"offset":…,"timestamp":…,"key":…,"value":…,"headers":[…]}: what `append --format jsonl` takes.
void AppendRecordLine(std::string* out, const RecordView& record);

// Appends {"segment":…,"position":…,…,"last_sequence":…}.
void AppendBatchRow(std::string* out, int64_t segment, int64_t position, const RecordBatchView& batch);

// Appends {"segment":…,"producer_id":…,…}.
void AppendAbortedRow(std::string* out, int64_t segment, const AbortedTransaction& transaction);

// Appends {"producer_id":…,…,"current_txn_first_offset":…}.
void AppendProducerRow(std::string* out, const ProducerStateEntry& entry);

// Appends {"base":…,"log_bytes":…,…,"aborted_txns":…}.
void AppendSegmentRow(std::string* out, const SegmentSummary& segment);

// "CreateTime" or "LogAppendTime".
[[nodiscard]] std::string_view TimestampTypeName(TimestampType type);

// The report as RecoveryReport::ToJson has it.
[[nodiscard]] OrderedJson ReportJson(const RecoveryReport& report);

// {"file":…,"position":…,"bytes":…,"first_offset":…,"last_offset":…,"reason":…}.
[[nodiscard]] OrderedJson DamageOfFileJson(const DamagedRange& range);

// True if the bytes are well-formed UTF-8.
[[nodiscard]] bool IsUtf8(std::string_view bytes);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_JSON_FORMS_H_
