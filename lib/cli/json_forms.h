// The JSON forms of what a partition holds, as the contract of the command has them, written straight into text: rows
// of arrays that may be large. Answers and summaries are values (json_values.h).
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
#include "varve/producer_state.h"
#include "varve/record.h"
#include "varve/record_batch.h"
#include "varve/transaction_index.h"

namespace varve::cli {

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

// True if the bytes are well-formed UTF-8.
[[nodiscard]] bool IsUtf8(std::string_view bytes);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_JSON_FORMS_H_
