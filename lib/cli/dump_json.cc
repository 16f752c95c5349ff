#include <optional>
#include <string>
#include <string_view>

#include "cli/dump_forms.h"
#include "cli/exit_status.h"
#include "varve/checkpoint.h"

namespace varve::cli {
namespace {

// Writes {"a":[row,…],"b":…}, each row on a line of its own, without ever holding a list.
class JsonLists {
 public:
  explicit JsonLists(Output* out) : out_(out) { out_->Write("{"); }

  void Member(std::string_view name) { out_->Print("{}\"{}\":", members_++ > 0 ? ",\n" : "", name); }
  void Begin(std::string_view name) {
    Member(name);
    out_->Write("[");
    rows_ = 0;
  }
  // Where the next row is to be appended.
  [[nodiscard]] std::string* Row() {
    out_->Write(rows_++ > 0 ? ",\n" : "\n");
    return out_->buffer();
  }
  void End() { out_->Write(rows_ > 0 ? "\n]" : "]"); }
  void Finish() { out_->Write("}\n"); }

 private:
  Output* const out_;
  int64_t members_ = 0;
  int64_t rows_ = 0;
};

void WriteLog(const PartitionSummary& summary, JsonLists* lists, Output* out) {
  lists->Member("log");
  out->Print(
      "{{\"log_start_offset\":{},\"log_end_offset\":{},\"last_stable_offset\":{},\"recovery_point\":{},\"segments\":{},"
      "\"batches\":{},\"records\":{}}}",
      summary.log_start_offset, summary.log_end_offset, summary.last_stable_offset, summary.recovery_point,
      summary.segments.size(), summary.batches, summary.records);
}

void WriteSegments(const PartitionSummary& summary, JsonLists* lists) {
  lists->Begin("segments");
  for (const SegmentSummary& segment : summary.segments) AppendSegmentRow(lists->Row(), segment);
  lists->End();
}

// A dump that nobody reads any more ends at the next batch.
absl::Status WriteBatches(const PartitionFile& file, PartitionContents* contents, JsonLists* lists, const Output& out) {
  return contents->VisitBatches(file, /*check_crc=*/true,
                                [&](int64_t position, const RecordBatchView& batch, bool crc_matches) {
                                  std::string* const row = lists->Row();
                                  AppendBatchRow(row, file.offset, position, batch);
                                  // Only where there is something to say: a sound batch has the members of the contract
                                  // and no other.
                                  if (!crc_matches) row->insert(row->size() - 1, ",\"crc_matches\":false");
                                  return out.ok();
                                });
}

absl::Status WriteRecords(const PartitionFile& file, const DumpForm& form, PartitionContents* contents,
                          JsonLists* lists, const Output& out) {
  DecodeBuffer scratch;
  return contents->VisitBatches(file, /*check_crc=*/true,
                                [&](int64_t position, const RecordBatchView& batch, bool crc_matches) {
                                  if (!crc_matches) return true;
                                  RecordCursor cursor(batch, &scratch);
                                  for (RecordView record; cursor.Next(&record);) {
                                    AppendRecordRow(lists->Row(), record, form.bytes);
                                  }
                                  if (!cursor.status().ok()) {
                                    contents->AddFault(FaultAt(contents->PathOf(file), position, cursor.status()));
                                  }
                                  return out.ok();
                                });
}

absl::Status WriteOffsetIndex(const PartitionFile& file, PartitionContents* contents, JsonLists* lists) {
  const absl::StatusOr<SparseOffsetIndex> index = contents->LoadOffsetIndex(file);
  if (!index.ok()) return index.status();
  const EntriesInUse in_use = CountEntries(*index);
  for (size_t i = 0; i < in_use.count; ++i) {
    const OffsetPosition entry = index->entry(i);
    fmt::format_to(std::back_inserter(*lists->Row()), "[{},{},{}]", file.offset, entry.offset, entry.position);
  }
  contents->NotePadding(file, in_use);
  return absl::OkStatus();
}

absl::Status WriteTimeIndex(const PartitionFile& file, PartitionContents* contents, JsonLists* lists) {
  const absl::StatusOr<TimeIndex> index = contents->LoadTimeIndex(file);
  if (!index.ok()) return index.status();
  const EntriesInUse in_use = CountEntries(*index);
  for (size_t i = 0; i < in_use.count; ++i) {
    const TimestampOffset entry = index->entry(i);
    fmt::format_to(std::back_inserter(*lists->Row()), "[{},{},{}]", file.offset, entry.timestamp_ms, entry.offset);
  }
  contents->NotePadding(file, in_use);
  return absl::OkStatus();
}

absl::Status WriteAborted(const PartitionFile& file, PartitionContents* contents, JsonLists* lists) {
  const absl::StatusOr<TransactionIndex> index = contents->LoadTransactionIndex(file);
  if (!index.ok()) return contents->TakeFault(index.status());
  for (const AbortedTransaction& transaction : index->entries()) {
    AppendAbortedRow(lists->Row(), file.offset, transaction);
  }
  return absl::OkStatus();
}

absl::Status WriteSnapshot(FileSystem* file_system, const PartitionFile& file, PartitionContents* contents,
                           JsonLists* lists) {
  const absl::StatusOr<std::vector<ProducerStateEntry>> entries =
      LoadProducerSnapshot(file_system, contents->PathOf(file));
  if (!entries.ok()) return contents->TakeFault(entries.status());
  std::string* const row = lists->Row();
  fmt::format_to(std::back_inserter(*row), "{{\"offset\":{},\"entries\":[", file.offset);
  std::string_view separator;
  for (const ProducerStateEntry& entry : *entries) {
    row->append(separator);
    separator = ",";
    AppendProducerRow(row, entry);
  }
  row->append("]}");
  return absl::OkStatus();
}

void WriteEpochs(const std::vector<LeaderEpoch>& epochs, JsonLists* lists) {
  lists->Begin("leader_epochs");
  for (const LeaderEpoch& epoch : epochs) {
    fmt::format_to(std::back_inserter(*lists->Row()), "[{},{}]", epoch.epoch, epoch.start_offset);
  }
  lists->End();
}

// One list, filled by every file of a kind. The first failure of the system ends the dump.
template <typename Write>
absl::Status WriteList(std::string_view name, PartitionFileKind kind, PartitionContents* contents, JsonLists* lists,
                       Write write) {
  lists->Begin(name);
  for (const PartitionFile& file : contents->Files(kind)) {
    if (absl::Status status = write(file); !status.ok()) return status;
  }
  lists->End();
  return absl::OkStatus();
}

// The lists that files of a kind fill, in the order of the contract.
absl::Status WriteListsOfKind(FileSystem* file_system, PartitionFileKind kind, PartitionContents* contents,
                              const DumpForm& form, JsonLists* lists, const Output& out) {
  switch (kind) {
    case PartitionFileKind::kLog:
    case PartitionFileKind::kSavedAside: {
      absl::Status status = WriteList("batches", kind, contents, lists, [&](const PartitionFile& file) {
        return WriteBatches(file, contents, lists, out);
      });
      if (!status.ok() || form.batches_only) return status;
      return WriteList("records", kind, contents, lists,
                       [&](const PartitionFile& file) { return WriteRecords(file, form, contents, lists, out); });
    }
    case PartitionFileKind::kOffsetIndex:
      return WriteList("index", kind, contents, lists,
                       [&](const PartitionFile& file) { return WriteOffsetIndex(file, contents, lists); });
    case PartitionFileKind::kTimeIndex:
      return WriteList("time_index", kind, contents, lists,
                       [&](const PartitionFile& file) { return WriteTimeIndex(file, contents, lists); });
    case PartitionFileKind::kTransactionIndex:
      return WriteList("aborted_txns", kind, contents, lists,
                       [&](const PartitionFile& file) { return WriteAborted(file, contents, lists); });
    case PartitionFileKind::kSnapshot:
      return WriteList("snapshots", kind, contents, lists,
                       [&](const PartitionFile& file) { return WriteSnapshot(file_system, file, contents, lists); });
    default:
      return absl::OkStatus();
  }
}

}  // namespace

absl::Status DumpPartitionJson(FileSystem* file_system, PartitionContents* contents, const PartitionSummary& summary,
                               const DumpForm& form, Output* out) {
  JsonLists lists(out);
  WriteLog(summary, &lists, out);
  WriteSegments(summary, &lists);
  for (const PartitionFileKind kind : {PartitionFileKind::kLog, PartitionFileKind::kOffsetIndex,
                                       PartitionFileKind::kTimeIndex, PartitionFileKind::kTransactionIndex}) {
    if (absl::Status status = WriteListsOfKind(file_system, kind, contents, form, &lists, *out); !status.ok()) {
      return status;
    }
  }
  lists.Begin("producers");
  for (const ProducerStateEntry& producer : summary.producers) AppendProducerRow(lists.Row(), producer);
  lists.End();
  WriteEpochs(summary.leader_epochs, &lists);
  if (absl::Status status = WriteListsOfKind(file_system, PartitionFileKind::kSnapshot, contents, form, &lists, *out);
      !status.ok()) {
    return status;
  }
  lists.Finish();
  return absl::OkStatus();
}

absl::Status DumpFileJson(FileSystem* file_system, const PartitionFile& file, PartitionContents* contents,
                          const DumpForm& form, Output* out) {
  JsonLists lists(out);
  if (file.kind == PartitionFileKind::kLeaderEpochs) {
    const absl::StatusOr<std::vector<LeaderEpoch>> epochs =
        LoadLeaderEpochCheckpoint(file_system, contents->PathOf(file));
    if (absl::Status status = contents->TakeFault(epochs.status()); !status.ok()) return status;
    if (epochs.ok()) WriteEpochs(*epochs, &lists);
  } else if (file.kind == PartitionFileKind::kPartitionMetadata) {
    const absl::StatusOr<std::string> topic_id = LoadTopicId(file_system, contents->PathOf(file));
    if (absl::Status status = contents->TakeFault(topic_id.status()); !status.ok()) return status;
    if (topic_id.ok()) {
      lists.Member("topic_id");
      AppendJsonString(out->buffer(), *topic_id);
    }
  } else {
    if (file.kind == PartitionFileKind::kLog) {
      const absl::StatusOr<PartitionSummary> summary = contents->Summarize();
      if (!summary.ok()) return summary.status();
      WriteSegments(*summary, &lists);
    }
    if (absl::Status status = WriteListsOfKind(file_system, file.kind, contents, form, &lists, *out); !status.ok()) {
      return status;
    }
  }
  lists.Finish();
  return absl::OkStatus();
}

absl::Status DumpOffsetCheckpoint(FileSystem* file_system, const std::string& path, bool json, Output* out) {
  const absl::StatusOr<std::vector<PartitionOffset>> offsets = LoadOffsetCheckpoint(file_system, path);
  if (!offsets.ok()) return offsets.status();
  if (!json) {
    for (const PartitionOffset& line : *offsets) {
      out->Print("{} {} {}\n", line.partition.topic, line.partition.partition, line.offset);
    }
    return absl::OkStatus();
  }
  JsonLists lists(out);
  lists.Begin("checkpoint");
  for (const PartitionOffset& line : *offsets) {
    std::string* const row = lists.Row();
    row->append("[");
    AppendJsonString(row, line.partition.topic);
    fmt::format_to(std::back_inserter(*row), ",{},{}]", line.partition.partition, line.offset);
  }
  lists.End();
  lists.Finish();
  return absl::OkStatus();
}

}  // namespace varve::cli
