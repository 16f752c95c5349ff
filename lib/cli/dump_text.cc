#include <optional>
#include <string>
#include <string_view>

#include "cli/dump_forms.h"
#include "cli/exit_status.h"
#include "cli/quantities.h"
#include "varve/checkpoint.h"

namespace varve::cli {
namespace {

// A key or value as a JSON string where it is text and short, else its digest or base64.
void AppendShown(std::string* out, std::optional<std::string_view> bytes, BytesForm form) {
  if (bytes.has_value() && IsUtf8(*bytes) && (form == BytesForm::kFull || bytes->size() <= kShortBytes)) {
    AppendJsonString(out, *bytes);
  } else {
    AppendJsonBytes(out, bytes, form);
  }
}

void PrintRecord(const RecordView& record, BytesForm form, Output* out) {
  out->Print("    {}  {}  key ", record.offset(), FormatTime(record.timestamp_ms()));
  std::string* const text = out->buffer();
  AppendShown(text, record.key(), form);
  text->append(", value ");
  AppendShown(text, record.value(), form);
  for (const Header header : record.headers()) {
    text->append(", header ");
    AppendJsonString(text, header.key);
    text->append(" ");
    AppendShown(text, header.value, form);
  }
  out->Write("\n");
}

void PrintBatch(int64_t position, const RecordBatchView& batch, bool crc_matches, Output* out) {
  out->Print("  {}: {} bytes, offsets {} to {}, {} records, {}, {} {}, epoch {}", position, batch.size_bytes(),
             batch.base_offset(), batch.last_offset(), batch.record_count(), CodecName(batch.codec()),
             TimestampTypeName(batch.timestamp_type()), FormatTime(batch.max_timestamp_ms()), batch.leader_epoch());
  if (batch.has_producer_id()) {
    out->Print(", producer {} epoch {} sequences {} to {}", batch.producer_id(), batch.producer_epoch(),
               batch.base_sequence(), batch.last_sequence());
  }
  if (batch.is_transactional()) out->Write(", transactional");
  if (batch.is_control()) out->Write(", control");
  if (const std::optional<int64_t> horizon_ms = batch.delete_horizon_ms(); horizon_ms.has_value()) {
    out->Print(", delete horizon {}", FormatTime(*horizon_ms));
  }
  out->Write(crc_matches ? "\n" : ", CHECKSUM WRONG\n");
}

absl::Status PrintBatches(const PartitionFile& file, PartitionContents* contents, const DumpForm& form, Output* out) {
  DecodeBuffer scratch;
  return contents->VisitBatches(file, /*check_crc=*/true,
                                [&](int64_t position, const RecordBatchView& batch, bool crc_matches) {
                                  PrintBatch(position, batch, crc_matches, out);
                                  if (form.batches_only || !crc_matches) return out->ok();
                                  RecordCursor cursor(batch, &scratch);
                                  for (RecordView record; cursor.Next(&record);) PrintRecord(record, form.bytes, out);
                                  if (!cursor.status().ok()) {
                                    contents->AddFault(FaultAt(contents->PathOf(file), position, cursor.status()));
                                  }
                                  return out->ok();  // a dump that nobody reads any more ends here
                                });
}

absl::Status PrintOffsetIndex(const PartitionFile& file, PartitionContents* contents, Output* out) {
  const absl::StatusOr<SparseOffsetIndex> index = contents->LoadOffsetIndex(file);
  if (!index.ok()) return index.status();
  const EntriesInUse in_use = CountEntries(*index);
  out->Print("  {}: {} entries\n", file.name, in_use.count);
  for (size_t i = 0; i < in_use.count; ++i) {
    out->Print("    offset {} at {}\n", index->entry(i).offset, index->entry(i).position);
  }
  contents->NotePadding(file, in_use);
  return absl::OkStatus();
}

absl::Status PrintTimeIndex(const PartitionFile& file, PartitionContents* contents, Output* out) {
  const absl::StatusOr<TimeIndex> index = contents->LoadTimeIndex(file);
  if (!index.ok()) return index.status();
  const EntriesInUse in_use = CountEntries(*index);
  out->Print("  {}: {} entries\n", file.name, in_use.count);
  for (size_t i = 0; i < in_use.count; ++i) {
    out->Print("    {} at offset {}\n", FormatTime(index->entry(i).timestamp_ms), index->entry(i).offset);
  }
  contents->NotePadding(file, in_use);
  return absl::OkStatus();
}

absl::Status PrintAborted(const PartitionFile& file, PartitionContents* contents, Output* out) {
  const absl::StatusOr<TransactionIndex> index = contents->LoadTransactionIndex(file);
  if (!index.ok()) return contents->TakeFault(index.status());
  out->Print("  {}: {} aborted transactions\n", file.name, index->entries().size());
  for (const AbortedTransaction& transaction : index->entries()) {
    out->Print("    producer {}, offsets {} to {}, last stable offset {}\n", transaction.producer_id,
               transaction.first_offset, transaction.last_offset, transaction.last_stable_offset);
  }
  return absl::OkStatus();
}

void PrintProducer(const ProducerStateEntry& entry, Output* out) {
  out->Print("    producer {}: epoch {}, last sequence {}, last offset {}, {}", entry.producer_id, entry.epoch,
             entry.last_sequence(), entry.last_offset(), FormatTime(entry.last_timestamp_ms));
  if (entry.coordinator_epoch >= 0) out->Print(", coordinator epoch {}", entry.coordinator_epoch);
  if (entry.current_transaction_first_offset.has_value()) {
    out->Print(", transaction open since offset {}", *entry.current_transaction_first_offset);
  }
  out->Write("\n");
}

absl::Status PrintSnapshot(FileSystem* file_system, const PartitionFile& file, PartitionContents* contents,
                           Output* out) {
  const absl::StatusOr<std::vector<ProducerStateEntry>> entries =
      LoadProducerSnapshot(file_system, contents->PathOf(file));
  if (!entries.ok()) return contents->TakeFault(entries.status());
  out->Print("  {}: {} producers\n", file.name, entries->size());
  for (const ProducerStateEntry& entry : *entries) PrintProducer(entry, out);
  return absl::OkStatus();
}

void PrintEpochs(const std::vector<LeaderEpoch>& epochs, Output* out) {
  out->Print("  leader-epoch-checkpoint: {} epochs\n", epochs.size());
  for (const LeaderEpoch& epoch : epochs) out->Print("    epoch {} from offset {}\n", epoch.epoch, epoch.start_offset);
}

}  // namespace

absl::Status DumpFileText(FileSystem* file_system, const PartitionFile& file, PartitionContents* contents,
                          const DumpForm& form, Output* out) {
  switch (file.kind) {
    case PartitionFileKind::kLog:
    case PartitionFileKind::kSavedAside:
      return PrintBatches(file, contents, form, out);
    case PartitionFileKind::kOffsetIndex:
      return PrintOffsetIndex(file, contents, out);
    case PartitionFileKind::kTimeIndex:
      return PrintTimeIndex(file, contents, out);
    case PartitionFileKind::kTransactionIndex:
      return PrintAborted(file, contents, out);
    case PartitionFileKind::kSnapshot:
      return PrintSnapshot(file_system, file, contents, out);
    case PartitionFileKind::kLeaderEpochs: {
      const absl::StatusOr<std::vector<LeaderEpoch>> epochs =
          LoadLeaderEpochCheckpoint(file_system, contents->PathOf(file));
      if (!epochs.ok()) return contents->TakeFault(epochs.status());
      PrintEpochs(*epochs, out);
      return absl::OkStatus();
    }
    case PartitionFileKind::kPartitionMetadata: {
      const absl::StatusOr<std::string> topic_id = LoadTopicId(file_system, contents->PathOf(file));
      if (!topic_id.ok()) return contents->TakeFault(topic_id.status());
      out->Print("  partition.metadata: topic id {}\n", *topic_id);
      return absl::OkStatus();
    }
    default:
      return absl::OkStatus();
  }
}

absl::Status DumpPartitionText(FileSystem* file_system, PartitionContents* contents, const PartitionSummary& summary,
                               const DumpForm& form, Output* out) {
  out->Print("log: offsets {} to {}, last stable offset {}, recovery point {}; {} segments, {} batches, {} records\n",
             summary.log_start_offset, summary.log_end_offset, summary.last_stable_offset, summary.recovery_point,
             summary.segments.size(), summary.batches, summary.records);
  for (const SegmentSummary& segment : summary.segments) {
    out->Print("segment {}: {} bytes, {} batches, {} records, next offset {}, largest time {}\n", segment.base_offset,
               segment.log_bytes, segment.batches, segment.records, segment.next_offset,
               FormatTime(segment.max_timestamp_ms));
    for (const PartitionFileKind kind : {PartitionFileKind::kLog, PartitionFileKind::kOffsetIndex,
                                         PartitionFileKind::kTimeIndex, PartitionFileKind::kTransactionIndex}) {
      for (const PartitionFile& file : contents->Files(kind)) {
        if (file.offset != segment.base_offset) continue;
        if (absl::Status status = DumpFileText(file_system, file, contents, form, out); !status.ok()) return status;
      }
    }
  }
  out->Print("producers: {}\n", summary.producers.size());
  for (const ProducerStateEntry& entry : summary.producers) PrintProducer(entry, out);
  out->Write("files of the partition\n");
  PrintEpochs(summary.leader_epochs, out);
  for (const PartitionFileKind kind : {PartitionFileKind::kPartitionMetadata, PartitionFileKind::kSnapshot}) {
    for (const PartitionFile& file : contents->Files(kind)) {
      if (absl::Status status = DumpFileText(file_system, file, contents, form, out); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace varve::cli
