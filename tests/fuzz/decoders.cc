// Targets that decode one thing: a batch, an index, a small file.
#include "fuzz/decoders.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "fuzz/fuzz_target.h"
#include "record/batch_validator.h"
#include "state/checkpoint_file.h"
#include "state/partition_metadata.h"
#include "state/producer_snapshot.h"
#include "varve/record_batch.h"
#include "varve/sparse_offset_index.h"
#include "varve/time_index.h"
#include "varve/transaction_index.h"

namespace varve::fuzz {
namespace {

constexpr char kName[] = "input";
constexpr size_t kDecodeLimitBytes = size_t{1} << 22;

// The records up to the first fault; true if there is none.
bool ReadRecords(const RecordBatchView& batch, DecodeBuffer* scratch) {
  RecordCursor cursor(batch, scratch);
  RecordView record;
  int64_t count = 0;
  size_t bytes = 0;
  while (cursor.Next(&record)) {
    ++count;
    if (record.key().has_value()) bytes += record.key()->size();
    if (record.value().has_value()) bytes += record.value()->size();
    for (const Header& header : record.headers()) bytes += header.key.size() + header.value.value_or("").size();
    (void)ParseControlRecord(record);
  }
  Require(bytes <= scratch->bytes().size() + batch.size_bytes(), "fields no longer than what was decoded");
  if (cursor.status().ok()) Require(count == batch.record_count(), "as many records as the header says");
  return cursor.status().ok();
}

}  // namespace

void FuzzBatch(Input input) {
  DecodeBuffer scratch(kDecodeLimitBytes);
  const absl::StatusOr<RecordBatchView> batch = RecordBatchView::Parse(input);
  RecordBatchView taken;
  std::span<const std::byte> rest = input;
  Require(NextBatch(&rest, &taken) == batch.ok(), "NextBatch to take what Parse accepts");
  if (!batch.ok()) return;
  Require(RecordBatchView::ClaimedBytes(input) == static_cast<int64_t>(batch->size_bytes()), "the claimed size");
  Require(batch->size_bytes() + rest.size() == input.size(), "a batch within the input");
  (void)ReadRecords(*batch, &scratch);
}

// As a producer sends it: the checksum is made right, so that what is behind it is reached.
void FuzzAppendedBatch(Input input) {
  std::vector<std::byte> bytes(input.begin(), input.end());
  const absl::StatusOr<RecordBatchView> sent = RecordBatchView::Parse(bytes);
  if (!sent.ok()) return;
  constexpr size_t kCrcPosition = 17;
  internal::StoreBigEndian(bytes.data() + kCrcPosition, sent->ComputeCrc());
  internal::ValidatorScratch scratch{.decoded = DecodeBuffer(kDecodeLimitBytes), .builder = {}};
  for (const std::optional<Codec> codec :
       {std::optional<Codec>(), std::optional(Codec::kNone), std::optional(Codec::kLz4)}) {
    const internal::LeaderRules rules{
        .log_end_offset = 7, .leader_epoch = 3, .now_ms = 1'700'000'000'000, .codec = codec};
    const auto plan = internal::ValidateAsLeader(bytes, rules, &scratch);
    if (!plan.ok()) continue;
    std::vector<std::byte> written(plan->bytes.begin(), plan->bytes.end());
    internal::RestampBatch(written, plan->restamp);
    const absl::StatusOr<RecordBatchView> batch = RecordBatchView::Parse(written);
    Require(batch.ok() && batch->CrcMatches(), "a leader to write a sound batch");
    Require(batch->base_offset() == 7 && batch->leader_epoch() == 3, "the offset and epoch that were assigned");
    DecodeBuffer decoded(kDecodeLimitBytes);
    Require(ReadRecords(*batch, &decoded), "records that a leader took to be readable");
  }
}

void FuzzOffsetIndex(Input input) {
  const SparseOffsetIndex index(1'000, input);
  const bool sound = index.Check(1 << 20).ok();
  for (const int64_t target : {int64_t{0}, int64_t{1'000}, int64_t{1'500}, int64_t{1} << 33, INT64_MAX}) {
    const OffsetPosition floor = index.Floor(target);
    if (sound && target >= 1'000) Require(floor.offset <= target, "a floor that is not above its target");
    (void)index.FloorAndNext(target);
    (void)index.FirstAtOrAfterPosition(target);
  }
  if (!sound) return;
  for (size_t entry = 0; entry < index.entry_count(); ++entry) {
    Require(index.Floor(index.entry(entry).offset) == index.entry(entry), "an entry to be its own floor");
  }
}

void FuzzTimeIndex(Input input) {
  const TimeIndex index(1'000, input);
  const bool sound = index.Check(int64_t{1} << 32).ok();
  for (const int64_t target : {INT64_MIN, int64_t{-1}, int64_t{0}, int64_t{1'700'000'000'000}, INT64_MAX}) {
    const TimestampOffset floor = index.Floor(target);
    if (sound && floor.timestamp_ms >= 0) Require(floor.timestamp_ms <= target, "a floor that is not above its target");
  }
  (void)index.last_entry();
}

void FuzzTransactionIndex(Input input) {
  const absl::StatusOr<TransactionIndex> index = TransactionIndex::Parse(kName, 0, input);
  if (!index.ok()) return;
  const std::vector<std::byte> encoded = TransactionIndex::Encode(index->entries());
  Require(TransactionIndex::Parse(kName, 0, encoded)->entries() == index->entries(), "what was encoded to be decoded");
  std::vector<AbortedTransaction> aborted;
  (void)index->Collect(0, INT64_MAX, &aborted);
  Require(aborted.size() <= index->entries().size(), "no transaction twice");
}

void FuzzProducerSnapshot(Input input) {
  const auto producers = internal::DecodeProducerSnapshot(kName, input);
  if (!producers.ok()) return;
  const std::vector<std::byte> encoded = internal::EncodeProducerSnapshot(*producers);
  const auto again = internal::DecodeProducerSnapshot(kName, encoded);
  Require(again.ok() && *again == *producers, "what was encoded to be decoded");
}

void FuzzOffsetCheckpoint(Input input) {
  const auto checkpoint = internal::ParseOffsetCheckpoint(kName, internal::AsText(input));
  if (!checkpoint.ok()) return;
  const auto again = internal::ParseOffsetCheckpoint(kName, internal::FormatOffsetCheckpoint(*checkpoint));
  Require(again.ok() && *again == *checkpoint, "what was written to be read");
}

void FuzzLeaderEpochs(Input input) {
  const auto epochs = internal::ParseLeaderEpochs(kName, internal::AsText(input));
  if (!epochs.ok()) return;
  const auto again = internal::ParseLeaderEpochs(kName, internal::FormatLeaderEpochs(*epochs));
  Require(again.ok() && *again == *epochs, "what was written to be read");
}

void FuzzPartitionMetadata(Input input) {
  const auto topic_id = internal::ParsePartitionMetadata(kName, internal::AsText(input));
  if (!topic_id.ok()) return;
  const auto again = internal::ParsePartitionMetadata(kName, internal::FormatPartitionMetadata(*topic_id));
  Require(again.ok() && *again == *topic_id, "what was written to be read");
}

}  // namespace varve::fuzz
