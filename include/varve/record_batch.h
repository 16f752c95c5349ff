// RecordBatchView: a record batch in place. RecordCursor: its records. RecordBatchBuilder: a ready-made batch.
//
// A log file is batches of this form back to back (magic 2, Kafka's DefaultRecordBatch). Integers are big-endian:
//
//    0  int64   base offset         the producer sends 0, the log assigns
//    8  int32   length              bytes behind this field; the whole batch is 12 more
//   12  int32   leader epoch        -1 from a producer
//   16  int8    magic               2
//   17  uint32  crc                 CRC-32C of everything from byte 21 on
//   21  int16   attributes          bits 0-2 codec, 3 log append time, 4 transactional, 5 control, 6 delete horizon set
//   23  int32   last offset delta   last offset = base offset + this
//   27  int64   base timestamp      of the first record, not the smallest; or the delete horizon
//   35  int64   max timestamp       or the log append time
//   43  int64   producer id         -1 none
//   51  int16   producer epoch      -1 none
//   53  int32   base sequence       -1 none
//   57  int32   record count
//   61          records             as record.h has them; one compressed blob if there is a codec
//
// Offset, length and leader epoch are outside the checksum, so that a log may stamp them without computing it anew.
// With the log append time bit every record's timestamp reads as the max timestamp. Compaction keeps base offset and
// last offset delta while it removes records: offsets have holes, the count says nothing about them, and a batch
// emptied but kept for its producer's sake is the header alone.
//
// Lifetime: views refer to the bytes they were made from. Thread rules: const access from any thread; a cursor, a
// builder and a DecodeBuffer serve one thread at a time.
//
//   absl::StatusOr<varve::RecordBatchView> batch = varve::RecordBatchView::Parse(bytes);
//   varve::DecodeBuffer scratch;
//   varve::RecordCursor cursor(*batch, &scratch);
//   for (varve::RecordView record; cursor.Next(&record);) Use(record);
//   if (!cursor.status().ok()) Complain(cursor.status());
#ifndef VARVE_RECORD_BATCH_H_
#define VARVE_RECORD_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/compression.h"
#include "varve/record.h"

namespace varve {

enum class TimestampType : uint8_t { kCreateTime = 0, kLogAppendTime = 1 };

// `sequence` + `delta` in the circle 0 to 2^31-1 of producer sequence numbers; delta may be negative.
[[nodiscard]] inline int32_t AddToSequence(int32_t sequence, int32_t delta) {
  return static_cast<int32_t>((static_cast<uint32_t>(sequence) + static_cast<uint32_t>(delta)) & 0x7fffffffU);
}

class RecordBatchView {
 public:
  // What stands before the records; no batch is shorter.
  static constexpr size_t kHeaderBytes = 61;

  // The size, length field and all, that a batch claims which begins with `bytes`: what its reader is to read next if
  // that can be. Damaged bytes claim anything, from 12 - 2^31 on. Absent where `bytes` end before the length does.
  [[nodiscard]] static std::optional<int64_t> ClaimedBytes(std::span<const std::byte> bytes);

  // The batch at the start of `bytes`, which may hold more behind it. Checks length and magic, not the checksum.
  // kUnimplemented: magic 0 or 1. kDataLoss: any other fault; the message says what was expected and found.
  [[nodiscard]] static absl::StatusOr<RecordBatchView> Parse(std::span<const std::byte> bytes);

  // `bytes` are one whole batch that Parse has accepted, or would.
  explicit RecordBatchView(std::span<const std::byte> bytes) : bytes_(bytes) {}
  RecordBatchView() = default;

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  [[nodiscard]] size_t size_bytes() const { return bytes_.size(); }

  [[nodiscard]] int64_t base_offset() const;
  [[nodiscard]] int32_t leader_epoch() const;
  [[nodiscard]] int8_t magic() const;
  [[nodiscard]] uint32_t crc() const;
  [[nodiscard]] int16_t attributes() const;
  [[nodiscard]] int32_t last_offset_delta() const;
  // Both wrap at 2^63, as they do in Kafka; only damaged bytes get there.
  [[nodiscard]] int64_t last_offset() const;
  [[nodiscard]] int64_t next_offset() const;
  // The field: what record deltas count from. Where a delete horizon is set, that horizon.
  [[nodiscard]] int64_t base_timestamp_ms() const;
  [[nodiscard]] int64_t max_timestamp_ms() const;
  [[nodiscard]] int64_t producer_id() const;
  [[nodiscard]] int16_t producer_epoch() const;
  [[nodiscard]] int32_t base_sequence() const;
  // kNoSequence if the batch has none.
  [[nodiscard]] int32_t last_sequence() const;
  [[nodiscard]] int32_t record_count() const;

  // 5 to 7, which no codec has, come back as they stand.
  [[nodiscard]] Codec codec() const;
  [[nodiscard]] TimestampType timestamp_type() const;
  [[nodiscard]] bool is_transactional() const;
  [[nodiscard]] bool is_control() const;
  [[nodiscard]] bool has_producer_id() const { return producer_id() > kNoProducerId; }
  // Wall time from which compaction may remove this batch's tombstones or markers, if it was set.
  [[nodiscard]] std::optional<int64_t> delete_horizon_ms() const;

  // Cost: reads the whole batch.
  [[nodiscard]] uint32_t ComputeCrc() const;
  [[nodiscard]] bool CrcMatches() const { return ComputeCrc() == crc(); }

  // What stands behind the header, compressed or not.
  [[nodiscard]] std::span<const std::byte> payload() const;

 private:
  std::span<const std::byte> bytes_;
};

// Takes the first whole batch off `rest`, as a consumer of a FileRange does. False, with `rest` untouched, where no
// whole batch of magic 2 begins: at the end, at a batch cut off by the range, or at bytes that RecordBatchView::Parse
// explains.
[[nodiscard]] bool NextBatch(std::span<const std::byte>* rest, RecordBatchView* batch);

// The records of one batch, in order. Uncompressed batches are read in place and without allocation; compressed ones
// are first decoded into the caller's buffer, which must outlive the records and not be used for anything else
// meanwhile.
class RecordCursor {
 public:
  // `scratch` may be null for an uncompressed batch.
  RecordCursor(RecordBatchView batch, DecodeBuffer* scratch);
  // The same over records that are decoded already, as the scratch of an earlier cursor over the batch holds them, or the
  // payload of an uncompressed batch.
  RecordCursor(RecordBatchView batch, std::span<const std::byte> decoded_records);

  // False at the end, or at the first fault: then status() is not OK, and *record is none.
  [[nodiscard]] bool Next(RecordView* record);

  // As Next, for a record that is not looked at: of its bytes only the length is checked.
  [[nodiscard]] bool Skip();

  // kDataLoss: a malformed record, records missing, or bytes left over; the message names base offset, record number,
  // expected and found. kResourceExhausted, kUnimplemented: as Decompress. kInvalidArgument: no scratch for a
  // compressed batch.
  [[nodiscard]] const absl::Status& status() const { return status_; }

 private:
  explicit RecordCursor(RecordBatchView batch);
  void Start(std::span<const std::byte> records);
  const std::byte* DecodeLength(const std::byte** end);
  bool MoveTo(const std::byte* end);
  bool Fail(std::string_view expected, int64_t found);
  bool CheckHeaders(const std::byte* next, const std::byte* end, HeaderRange* headers);

  int64_t base_offset_;
  int64_t base_timestamp_ms_;
  int64_t log_append_time_ms_;  // if has_log_append_time_
  bool has_log_append_time_;
  int32_t remaining_;
  int32_t record_count_;
  const std::byte* next_ = nullptr;
  const std::byte* end_ = nullptr;
  absl::Status status_;
};

// What a control record says. Further types exist in Kafka's metadata log.
enum class ControlType : int16_t { kAbort = 0, kCommit = 1 };

struct ControlRecord {
  int16_t version = 0;             // of the key
  int16_t type = 0;                // a ControlType, or one that varve does not know
  int32_t coordinator_epoch = -1;  // of an abort or commit marker, else -1

  [[nodiscard]] bool IsMarker() const {
    return type == static_cast<int16_t>(ControlType::kAbort) || type == static_cast<int16_t>(ControlType::kCommit);
  }
};

// Reads the record of a control batch. kDataLoss: a key of less than 4 bytes, a marker's value of less than 6, or a
// negative version.
[[nodiscard]] absl::StatusOr<ControlRecord> ParseControlRecord(const RecordView& record);

struct RecordBatchBuilderOptions {
  Codec codec = Codec::kNone;
  std::optional<int> compression_level = std::nullopt;  // see Compress
  int64_t base_offset = 0;
  int32_t leader_epoch = kNoLeaderEpoch;
  int64_t producer_id = kNoProducerId;
  int16_t producer_epoch = kNoProducerEpoch;
  int32_t base_sequence = kNoSequence;
  bool transactional = false;
  bool control = false;
  // For records without a timestamp of their own.
  int64_t default_timestamp_ms = kNoTimestamp;
  // Set: the batch is of log append time, with this time.
  std::optional<int64_t> log_append_time_ms = std::nullopt;

  // What compaction keeps of the batch it rewrites. Set: the batch ends at this offset whatever records it has, and it
  // may have none: then it is 61 bytes, uncompressed.
  std::optional<int64_t> last_offset = std::nullopt;
  // Set: the base timestamp holds this time and deltas count from it.
  std::optional<int64_t> delete_horizon_ms = std::nullopt;
  // The max timestamp of a batch without records.
  int64_t empty_max_timestamp_ms = kNoTimestamp;
};

// Builds one batch after the other in memory of its own.
//
//   varve::RecordBatchBuilder builder({.codec = varve::Codec::kZstd});
//   absl::Status added = builder.Add({.key = "k", .value = "v", .timestamp_ms = 1'700'000'000'000});
//   absl::StatusOr<std::span<const std::byte>> batch = builder.Build();
class RecordBatchBuilder {
 public:
  RecordBatchBuilder() : RecordBatchBuilder(RecordBatchBuilderOptions()) {}
  explicit RecordBatchBuilder(const RecordBatchBuilderOptions& options);

  // Adds a record at the offset behind the last one. kInvalidArgument: a timestamp below -1, or a batch that would
  // exceed 2^31-1 bytes or offsets; the batch is as it was.
  [[nodiscard]] absl::Status Add(const Record& record);
  // The same at `offset`, which must be above the last one's (and not below the base offset).
  [[nodiscard]] absl::Status AddAt(int64_t offset, const Record& record);
  // A record of another batch with its own timestamp, whatever that is; its headers are copied as they stand.
  [[nodiscard]] absl::Status AddAt(int64_t offset, const RecordView& record);

  [[nodiscard]] int32_t record_count() const { return record_count_; }
  // Of the batch so far, uncompressed; what the same batch takes with `record` added at the next offset.
  [[nodiscard]] size_t size_bytes() const;
  [[nodiscard]] size_t SizeWith(const Record& record) const;

  // The finished batch, checksum and all; valid until the next call of any other member.
  // kInvalidArgument: no record and no last_offset, or last_offset below the last record's. Else as Compress.
  [[nodiscard]] absl::StatusOr<std::span<const std::byte>> Build();

  // Starts the next batch.
  void Reset() { Reset(options_); }
  void Reset(const RecordBatchBuilderOptions& options);

 private:
  struct Fields;
  absl::Status AddFields(int64_t offset, int64_t timestamp_ms, const Fields& fields);

  RecordBatchBuilderOptions options_;
  std::vector<std::byte> buffer_;      // room for the header, then the records
  std::vector<std::byte> compressed_;  // the same with the records compressed
  int32_t record_count_ = 0;
  int64_t last_offset_ = 0;
  int64_t base_timestamp_ms_ = kNoTimestamp;
  int64_t max_timestamp_ms_ = kNoTimestamp;
};

struct MarkerOptions {
  ControlType type = ControlType::kCommit;
  int64_t base_offset = 0;
  int32_t leader_epoch = kNoLeaderEpoch;
  int64_t timestamp_ms = kNoTimestamp;
  int64_t producer_id = kNoProducerId;
  int16_t producer_epoch = kNoProducerEpoch;
  int32_t coordinator_epoch = 0;
};

// The 78-byte control batch that ends a transaction (EndTransactionMarker). kInvalidArgument: a base offset below 0 or
// a timestamp below -1.
[[nodiscard]] absl::StatusOr<std::vector<std::byte>> BuildTransactionMarker(const MarkerOptions& options);

}  // namespace varve

#endif  // VARVE_RECORD_BATCH_H_
