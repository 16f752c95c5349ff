// ProducerStateEntry: what a log knows of one idempotent or transactional producer.
//
// A producer numbers its records (sequences, 0 to 2^31-1, then 0 again). A log remembers the last batches of each, to
// tell a repeated batch from a new one and a gap from either, and the transaction that is open, if one is. (Kafka:
// ProducerStateEntry, BatchMetadata.)
//
// Thread rules: values.
//
//   for (const varve::ProducerStateEntry& producer : log->producers()) Print(producer.producer_id,
//   producer.last_offset());
#ifndef VARVE_PRODUCER_STATE_H_
#define VARVE_PRODUCER_STATE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace varve {

// One appended batch of data.
struct ProducerBatch {
  int32_t last_sequence = -1;
  int64_t last_offset = -1;
  int32_t offset_delta = 0;   // last offset - first offset; also last sequence - first sequence
  int64_t timestamp_ms = -1;  // the batch's largest

  [[nodiscard]] int64_t first_offset() const { return last_offset - offset_delta; }
  // In the circle of sequences. A producer without sequences has -1.
  [[nodiscard]] int32_t first_sequence() const {
    if (last_sequence < 0) return last_sequence;
    return static_cast<int32_t>((static_cast<uint32_t>(last_sequence) - static_cast<uint32_t>(offset_delta)) &
                                0x7fffffffU);
  }

  friend bool operator==(const ProducerBatch&, const ProducerBatch&) = default;
};

struct ProducerStateEntry {
  // A resent batch is recognised if it is among so many last ones.
  static constexpr size_t kMaxBatchCount = 5;

  int64_t producer_id = -1;
  int16_t epoch = -1;
  int32_t coordinator_epoch = -1;  // of the last transaction marker; -1 none
  int64_t last_timestamp_ms = -1;  // largest of the last batch, or the last marker's
  std::optional<int64_t> current_transaction_first_offset = std::nullopt;
  std::vector<ProducerBatch> batches = {};  // of data, of this epoch, the oldest first; at most kMaxBatchCount

  // Of the last batch of data; -1, -1 and 0 if there is none.
  [[nodiscard]] int32_t last_sequence() const { return batches.empty() ? -1 : batches.back().last_sequence; }
  [[nodiscard]] int64_t last_offset() const { return batches.empty() ? -1 : batches.back().last_offset; }
  [[nodiscard]] int32_t last_offset_delta() const { return batches.empty() ? 0 : batches.back().offset_delta; }

  friend bool operator==(const ProducerStateEntry&, const ProducerStateEntry&) = default;
};

}  // namespace varve

#endif  // VARVE_PRODUCER_STATE_H_
